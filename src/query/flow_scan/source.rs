//! What a scan answers.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::common::{DataFusionError, Result as DataFusionResult};

use crate::{
    error::{Error, ErrorKind, Result},
    flow::Field,
    order::Position,
    query::Query,
    schema::schema,
};

/// The longest text of a filter that a plan shows, in characters.
const SHOWN: usize = 400;

/// Which flows a scan answers, and which columns of them.
#[derive(Debug)]
pub(in crate::query) struct Source {
    /// Its snapshot and filter, and whether it passes over what cannot match.
    pub(in crate::query) query: Query,
    /// Flows that come before it in the order of the query are left out.
    pub(in crate::query) position: Option<Position>,
    pub(in crate::query) fields: Vec<Field>,
    pub(in crate::query) schema: SchemaRef,
}

impl Source {
    /// Columns of the flows that a query asks for.
    pub(in crate::query) fn new(query: Query, position: Option<Position>, fields: Vec<Field>) -> Result<Self> {
        let places: Vec<usize> = fields.iter().map(|field| *field as usize).collect();
        let schema = schema().project(&places).map_err(Error::with(ErrorKind::Internal, "a column is unknown"))?;
        Ok(Self { query, position, fields, schema: schema.into() })
    }

    /// The filter, shortened where it is long.
    pub(super) fn filter_text(&self) -> String {
        let text = self.query.filter.brief();
        match text.char_indices().nth(SHOWN).and_then(|(at, _)| text.get(..at)) {
            Some(start) => format!("{start}..."),
            None => text,
        }
    }
}

/// The error of a scan.
pub(in crate::query) fn failed(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// A batch in parts of at most `rows` rows.
pub(super) fn slices(batch: DataFusionResult<RecordBatch>, rows: usize) -> Vec<DataFusionResult<RecordBatch>> {
    let batch = match batch {
        Ok(batch) => batch,
        Err(error) => return vec![Err(error)],
    };
    if batch.num_columns() == 0 {
        return vec![Ok(batch)];
    }
    let rows = rows.max(1);
    let starts = (0..batch.num_rows()).step_by(rows);
    starts.map(|start| Ok(batch.slice(start, rows.min(batch.num_rows() - start)))).collect()
}
