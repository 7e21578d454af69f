//! The groups of all flows of a scan.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use datafusion::{
    common::Result as DataFusionResult,
    execution::{
        TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    physical_plan::metrics::ExecutionPlanMetricsSet,
};
use tokio::task::JoinSet;

use super::shape::{Added, Shape};
use crate::{
    error::{Error, ErrorKind, Result},
    query::{
        flow_scan::{FlowScanExec, PartScan, failed},
        summary::{PartGroups, SharedGroups, bytes},
    },
    segment::{Columns, RowRanges},
};

/// Groups, and the memory that they take.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) groups: SharedGroups,
    memory: MemoryReservation,
}

impl Run {
    /// The groups of the flows of a scan, on a task for each of its partitions; `None` where memory is short.
    pub(super) async fn of(
        shape: &Arc<Shape>,
        scan: &FlowScanExec,
        context: &TaskContext,
        metrics: &ExecutionPlanMetricsSet,
    ) -> DataFusionResult<Option<Arc<Self>>> {
        let memory = MemoryConsumer::new("FlowGroupsExec").register(context.memory_pool());
        let run = Arc::new(Self { groups: SharedGroups::exact(&shape.keys), memory });
        let mut tasks = JoinSet::new();
        for part in scan.parts(metrics) {
            let (run, shape) = (Arc::clone(&run), Arc::clone(shape));
            tasks.spawn(async move { run.add_part(&shape, part).await });
        }
        // Dropping the set, be it with this future, ends the tasks.
        while let Some(joined) = tasks.join_next().await {
            let joined = joined.map_err(Error::with(ErrorKind::Internal, "a scan was interrupted"));
            if !joined.and_then(|added| added).map_err(failed)? {
                return Ok(None);
            }
        }
        Ok(Some(run))
    }

    /// Adds the flows of a partition; whether there was memory for their groups.
    async fn add_part(&self, shape: &Shape, mut part: PartScan) -> Result<bool> {
        let fields = shape.fields();
        while let Some((rows, columns)) = part.next_columns(&fields).await? {
            self.add(shape, &rows, &columns)?;
            if !self.has_memory() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn add(&self, shape: &Shape, rows: &RowRanges, columns: &Columns) -> Result<()> {
        let mut groups = PartGroups::new(&self.groups, rows.len());
        let fields = shape.fields();
        for (page, _, rows) in columns.parts(rows) {
            let column = |place: usize| page.column(place).ok_or_else(|| Error::internal("a page was not read"));
            let keys = (0..shape.keys.len()).map(column).collect::<Result<Vec<&ArrayRef>>>()?;
            let added = |added: &Added| {
                let (Added::Bytes(field) | Added::Known(field)) = added;
                let place = fields.iter().position(|known| known == field).unwrap_or(usize::MAX);
                match added {
                    Added::Bytes(field) => bytes(column(place)?, *field, &rows),
                    Added::Known(_) => column(place).map(|bytes| known(bytes, &rows)),
                }
            };
            let mut numbers = shape.added.iter().map(added).collect::<Result<Vec<_>>>()?.into_iter();
            let first = numbers.next().unwrap_or_default();
            // Either both are added up, or none is.
            let second = numbers.next().unwrap_or_else(|| vec![0; first.len()]);
            groups.add(&keys, &rows, (&first, &second))?;
        }
        groups.finish()
    }

    /// Takes as much memory from the pool as the groups have; whether there was so much.
    fn has_memory(&self) -> bool {
        let has_memory = || {
            let bytes = usize::try_from(self.groups.memory()).unwrap_or(usize::MAX);
            self.memory.try_resize(bytes).is_ok()
        };
        has_memory() || {
            self.groups.shrink();
            has_memory()
        }
    }
}

/// For each row 1 where it has a value, and else 0.
fn known(column: &ArrayRef, rows: &RowRanges) -> Vec<u64> {
    rows.iter().map(|row| u64::from(column.is_valid(row))).collect()
}
