//! Sessions of DataFusion in which whatever flows have is computed exactly.

use std::sync::Arc;

use datafusion::{
    execution::{FunctionRegistry, SessionStateBuilder},
    logical_expr::ScalarUDF,
    optimizer::Analyzer,
    prelude::{SessionConfig, SessionContext},
};

use super::{address_functions, date_trunc::DateTrunc, exact::Exact};

/// A session for SQL and data frames over flows, ready for a [`FlowTable`](super::FlowTable). It differs from a plain
/// `SessionContext` in these:
///
/// - It knows the functions `ip` and `ip_text` ([`address_functions`]).
/// - Sums, differences and products of integers never wrap, which they do silently in DataFusion. Where the result
///   might not fit, `src_bytes - dst_bytes` and `sum(src_bytes)` are decimals without a fraction; of signed integers of
///   64 bits an overflow is an error.
/// - A text is compared with a time exactly and in all years from 0 to 9999: `start_time < '9999-12-31T00:00:00Z'` is an
///   error in DataFusion, whose timestamps end in 2262.
/// - `date_trunc` works although a flow lies outside the years 1677 to 2262. Of such flows, `date_bin` still answers null.
///
/// A table cannot see to this by itself: types are made equal, and functions chosen, before it is asked. A host that
/// has more to set starts from the state of this session (`SessionStateBuilder::new_from_existing`).
///
/// ```
/// use std::sync::Arc;
///
/// use datafusion::{functions_aggregate::expr_fn::sum, prelude::{SessionConfig, col}};
/// use flowseek::{Archive, query::{FlowTable, session}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = session(SessionConfig::new());
/// context.register_table("flows", Arc::new(FlowTable::new(Archive::open("testdata/archive")?.snapshot()?)))?;
///
/// let flows = context.table("flows").await?;
/// let difference = flows.aggregate(vec![], vec![sum(col("src_bytes") - col("dst_bytes"))])?.collect().await?;
/// assert_eq!(difference[0].num_rows(), 1); // negative, and right
/// # Ok(())
/// # }
/// ```
pub fn session(config: SessionConfig) -> SessionContext {
    let mut rules = Analyzer::new().rules;
    rules.insert(0, Arc::new(Exact));
    let state = SessionStateBuilder::new_with_default_features().with_config(config).with_analyzer_rules(rules);
    let context = SessionContext::new_with_state(state.build());
    address_functions().into_iter().for_each(|function| context.register_udf(function));
    if let Ok(inner) = context.udf("date_trunc") {
        context.register_udf(ScalarUDF::new_from_impl(DateTrunc { inner }));
    }
    context
}
