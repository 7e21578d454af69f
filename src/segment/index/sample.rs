//! An index for tests.

use super::{
    super::bounds::{BoundsTable, Extents, Lane},
    Directory, Index, PageTable,
};
use crate::flow::{Field, Kind};

/// The index of 7 rows in 2 pages and as many blocks, without lists.
pub(super) fn index() -> Index {
    let pages = PageTable {
        rows: 4,
        times: vec![(1, 2), (0, 1)],
        checksums: vec![vec![7, 8]; Field::ALL.len()],
        dictionaries: vec![vec![0]; Field::ALL.len()],
    };
    let lanes = Field::all().map(|field| Lane {
        presence: vec![(false, true); 2],
        extents: match field.kind() {
            Kind::Time | Kind::Number => Extents::Numbers(vec![(0, 0); 2]),
            Kind::Address => Extents::Addresses(vec![(0, 0); 2]),
            Kind::Text => Extents::Texts { names: Vec::new(), places: vec![(0, 0); 2] },
        },
    });
    let bounds = BoundsTable { lanes: lanes.collect(), flags: vec![(0, 255); 2], ..BoundsTable::unknown(7, 4) };
    Index { bounds, directory: Directory::default(), pages, bloom: None }
}
