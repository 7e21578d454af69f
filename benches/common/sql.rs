//! Plain DataFusion SQL over the files of an archive.

use std::path::Path;

use arrow::{
    array::AsArray,
    compute::cast,
    datatypes::{DataType, UInt64Type},
};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use tokio::runtime::Runtime;

use super::{
    asked::Asked,
    case::{Answer, Case},
    dialect::Dialect,
};

/// DataFusion as its users have it, with predicate pushdown on.
pub struct Sql<'a> {
    runtime: &'a Runtime,
    context: SessionContext,
}

impl<'a> Sql<'a> {
    pub fn new(runtime: &'a Runtime, archive: &Path) -> Self {
        let mut config = SessionConfig::new();
        config.options_mut().execution.parquet.pushdown_filters = true;
        let context = SessionContext::new_with_config(config);
        let data = format!("{}/", archive.join("data").display());
        runtime.block_on(context.register_parquet("flows", data, ParquetReadOptions::default())).unwrap();
        Self { runtime, context }
    }

    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The numbers that a statement answers: the flow IDs of rows, or a count.
    pub fn numbers(&self, sql: &str) -> Vec<u64> {
        let batches = async { self.context.sql(sql).await.unwrap().collect().await.unwrap() };
        let batches = self.runtime.block_on(batches);
        let columns = batches.iter().map(|batch| {
            let column = batch.column_by_name("flow_id").unwrap_or(batch.column(0));
            cast(column, &DataType::UInt64).unwrap()
        });
        columns.flat_map(|column| column.as_primitive::<UInt64Type>().values().to_vec()).collect()
    }

    /// That a case has the right answer.
    pub fn check(&self, case: &Case, asked: &Asked) {
        assert_eq!(asked.found(), self.numbers(&asked.sql(Dialect::DataFusion)), "{}", case.name);
        if let Some(rest) = asked.rest_sql(Dialect::DataFusion) {
            let all = Dialect::DataFusion.count(&case.terms);
            let passed = self.numbers(&all)[0] - self.numbers(&rest)[0];
            assert!(matches!(case.answer, Answer::Page(..)) && passed == asked.before, "{}", case.name);
        }
    }
}
