//! The groups of all flows of a scan.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::{
    common::Result as DataFusionResult,
    execution::{
        TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    physical_plan::metrics::ExecutionPlanMetricsSet,
};
use tokio::task::JoinSet;

use super::shape::Shape;
use crate::{
    error::{Error, ErrorKind, Result},
    flow::Field,
    query::{
        flow_scan::{FlowScanExec, ListPiece, PartScan, Piece, failed},
        summary::{Listing, PartGroups, SharedGroups},
    },
    segment::{Columns, ListValue, PagedRows},
};

/// After so many values of a list it is seen whether there is memory for more.
const VALUES: u64 = 1 << 14;

/// Groups, and the memory that they take.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) groups: SharedGroups,
    memory: MemoryReservation,
}

impl Run {
    /// The groups of the flows of a scan, on a task for each of its partitions; `None` where memory is short, or a key
    /// ends in an error.
    pub(super) async fn of(
        shape: &Arc<Shape>,
        (scan, listing): (&FlowScanExec, Option<&Arc<Listing>>),
        context: &TaskContext,
        metrics: &ExecutionPlanMetricsSet,
    ) -> DataFusionResult<Option<Arc<Self>>> {
        let memory = MemoryConsumer::new("FlowGroupsExec").register(context.memory_pool());
        let run =
            Arc::new(Self { groups: SharedGroups::by(shape.keys.iter().map(|key| (key.field, key.apart))), memory });
        let mut tasks = JoinSet::new();
        for part in scan.parts(metrics, listing) {
            // What bounds or lists may tell is read as far as they do not.
            let reads_all = listing.is_none() && (shape.bucket().is_none() || !shape.added.is_empty());
            let part = if reads_all { part.reading_all() } else { part };
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

    /// Adds the flows of a partition; whether there was memory for their groups, and no function has failed.
    async fn add_part(&self, shape: &Shape, mut part: PartScan) -> Result<bool> {
        let fields: Vec<Field> = shape.key_fields().into_iter().chain(shape.added_fields()).collect();
        // A row group may be in several pieces: what these add up to is handed over together.
        let mut groups = PartGroups::new(&self.groups);
        while let Some(piece) = part.next_piece().await? {
            let has_memory = match (piece, shape.bucket()) {
                (Piece::Blocks(mut piece), Some(key)) if shape.added.is_empty() => {
                    self.count_blocks(key, &mut piece)?;
                    part.read(piece).await?;
                    self.has_memory()
                }
                (Piece::Blocks(piece), _) => part.read(piece).await.map(|()| true)?,
                (Piece::Rows(mut piece), None) => {
                    let rows = piece.rows.clone();
                    let columns = part.columns(&mut piece, &fields, &rows).await?;
                    add(shape, &rows, &columns, &mut groups).map(|()| self.has_memory())?
                }
                (Piece::Rows(mut piece), Some(key)) => {
                    self.add_buckets(shape, key, &mut piece, &mut part).await? && self.has_memory()
                }
                (Piece::List(piece), _) => self.add_listed(&piece, &mut part).await?,
            };
            if !has_memory {
                return Ok(false);
            }
        }
        groups.finish()?;
        Ok(self.has_memory())
    }

    /// Adds the flows of blocks that a list tells of; whether there was memory for their groups.
    async fn add_listed(&self, piece: &ListPiece, part: &mut PartScan) -> Result<bool> {
        let mut groups = PartGroups::new(&self.groups);
        let (mut values, mut has_memory) = (0, true);
        let add = |value: Option<&ListValue<'_>>, flows| {
            values += 1;
            has_memory = has_memory && (values % VALUES != 0 || self.has_memory());
            if has_memory {
                groups.count(|field| value.and_then(|value| value.get(field)), flows);
            }
        };
        part.count(piece, add).await?;
        groups.finish()?;
        Ok(has_memory && self.has_memory())
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

/// Adds rows to groups.
fn add(shape: &Shape, rows: &PagedRows, columns: &Columns, groups: &mut PartGroups<'_>) -> Result<()> {
    groups.expect(rows.len());
    for page in columns.parts(rows) {
        let rows = page.rows();
        let keys = (0..shape.keys.len()).map(|place| page.column(place)).collect::<Option<Vec<&ArrayRef>>>();
        let keys = keys.ok_or_else(|| Error::internal("a page was not read"))?;
        groups.add(&keys, &rows, &shape.numbers(&page, shape.keys.len(), &rows)?)?;
    }
    Ok(())
}
