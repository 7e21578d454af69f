//! Sessions of DataFusion in which whatever flows have is computed exactly.

use std::{num::NonZeroUsize, sync::Arc};

use datafusion::{
    execution::{
        FunctionRegistry, SessionStateBuilder,
        memory_pool::{FairSpillPool, TrackConsumersPool},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    logical_expr::ScalarUDF,
    optimizer::Analyzer,
    physical_optimizer::optimizer::PhysicalOptimizer,
    prelude::{SessionConfig, SessionContext},
};

use super::{FlowTable, date_trunc::DateTrunc, exact::Exact, flow_groups::GroupFlows, functions};
use crate::{
    archive::Archive,
    error::{Error, ErrorKind, Result},
};

/// A session for SQL and data frames over flows, ready for a [`FlowTable`](super::FlowTable). It differs from a plain
/// `SessionContext` in these:
///
/// - It knows the [`functions`] `ip`, `ip_text`, `cidr_contains`, `protocol_name` and `tcp_flags_text`.
/// - Sums, differences and products of integers never wrap, which they do silently in DataFusion. Where the result
///   might not fit, `src_bytes - dst_bytes` and `sum(src_bytes)` are decimals without a fraction; of signed integers of
///   64 bits an overflow is an error.
/// - A text is compared with a time exactly and in all years from 0 to 9999: `start_time < '9999-12-31T00:00:00Z'` is an
///   error in DataFusion, whose timestamps end in 2262.
/// - `SELECT dst_ip, sum(src_bytes) FROM flows GROUP BY dst_ip` and its like are added up as a summary is: by one or two
///   columns, with numbers of flows and sums of bytes. Numbers of flows alone are taken from lists of values where these
///   tell: `SELECT dst_port, count(*) FROM flows GROUP BY dst_port` reads no row. So are `ip_text`, `protocol_name` and
///   `tcp_flags_text` of a column, and `date_bin` and `date_trunc` of `start_time`, of which the pages that lie in one bucket
///   are not read.
/// - `date_trunc` works although a flow lies outside the years 1677 to 2262. Of such flows, `date_bin` is still an error.
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
    session_in(config, Arc::default())
}

/// A [`session`] in which the flows of an archive are the table `flows`: [live](FlowTable::live), so that each query sees
/// what was committed before it.
///
/// Threads are those of `config` (`with_target_partitions`), and memory is that of `runtime`: `Arc::default()` has no
/// limit, and [`limited_memory`] has one.
///
/// ```
/// use datafusion::prelude::{SessionConfig, col, lit};
/// use flowseek::{Archive, query::{archive_session, limited_memory}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = SessionConfig::new().with_target_partitions(2);
/// let context = archive_session(Archive::open("testdata/archive")?, config, limited_memory(256 << 20)?)?;
/// let https = context.table("flows").await?.filter(col("dst_port").eq(lit(443)))?;
/// assert!(https.count().await? > 0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ErrorKind::InvalidInput`] where `config` has no schema in which the table could be.
pub fn archive_session(archive: Archive, config: SessionConfig, runtime: Arc<RuntimeEnv>) -> Result<SessionContext> {
    let context = session_in(config, runtime);
    let registered = context.register_table("flows", Arc::new(FlowTable::live(archive)));
    registered.map_err(Error::with(ErrorKind::InvalidInput, "the session has no place for the table flows"))?;
    Ok(context)
}

/// What a session runs in that may hold at most `bytes` of memory at a time for groups, sorts and joins. Beyond that,
/// groups and sorts go on in files in the directory for temporary files; what cannot, such as most joins, ends with
/// DataFusion's `ResourcesExhausted`. Pages and indexes of an archive are not among it: they have limits of their own
/// ([`Settings`](crate::Settings)).
///
/// # Errors
/// [`ErrorKind::Io`] where DataFusion refuses to make it.
pub fn limited_memory(bytes: usize) -> Result<Arc<RuntimeEnv>> {
    let pool = TrackConsumersPool::new(FairSpillPool::new(bytes), NonZeroUsize::MIN);
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).build_arc();
    runtime.map_err(Error::with(ErrorKind::Io, "no memory can be set aside for SQL"))
}

fn session_in(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionContext {
    let mut rules = Analyzer::new().rules;
    rules.insert(0, Arc::new(Exact));
    let state = SessionStateBuilder::new_with_default_features().with_config(config).with_runtime_env(runtime);
    let state = state.with_analyzer_rules(rules);
    let state = state.with_physical_optimizer_rules(GroupFlows::among(PhysicalOptimizer::new().rules));
    let context = SessionContext::new_with_state(state.build());
    functions().into_iter().for_each(|function| context.register_udf(function));
    if let Ok(inner) = context.udf("date_trunc") {
        context.register_udf(ScalarUDF::new_from_impl(DateTrunc { inner }));
    }
    context
}
