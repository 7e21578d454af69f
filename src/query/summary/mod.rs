//! Summaries out: how many flows match and how many bytes they have, by the values of fields and by time.
//!
//! # How it is done
//! A walk over the snapshot in rounds, newest first. A round takes, of all segments together, the blocks that hold the
//! newest flows: some 64 of them at first, and more while its time is far from over ([`pace`]); and it ends at a start time, the *cut*: no block that is left has a flow that began
//! later. Of the blocks of the round exactly the flows are counted that began after the cut. A segment lies newest
//! first, so these are the rows before an edge, and the next round goes on from there.
//!
//! For example, two blocks of overlapping segments, and a budget that suffices for the first:
//!
//! ```text
//! block A   12:00:09 ..= 12:00:02    read; its flows from 12:00:06 on are counted
//! block B   12:00:05 ..= 12:00:01    left: the cut is 12:00:05
//! ```
//!
//! So after each round the flows that have been counted are all that begin after the cut and match, and no others. This
//! is what a summary says of itself that its budget has ended.
//!
//! # What is read
//! Of a block in which no flow matches nothing, of others the columns of the groups and, unless flows alone are counted,
//! those of bytes; the columns of the filter where bounds and lists do not tell which rows match ([`matching`]); and the start time of pages that
//! belong to several buckets. Where bounds and lists tell the number of matches, and flows alone are counted, nothing is
//! read. Groups of flows alone are taken from the list of their values where that tells of a block; of lists of addresses only
//! the most frequent are kept (see [`frequent`]).
//!
//! # Groups
//! A thread adds up the rows of a row group by themselves. In their groups a value is a number of 32 bits, and an address or a
//! name that is a place in a dictionary is known by its place: a table of sums needs no hash. Its groups then become entries,
//! in shards by the hash of their key, of which each value is hashed once and not for each of its rows. All threads add to
//! the shards. Once a shard has twice as many entries as groups they are joined, and a shard is small enough for that to be
//! done in the cache of a processor. The entries of a round that fails are taken back: they are put to the others only once it
//! is through.

mod accumulator;
mod answer;
mod buckets;
mod builder;
mod codes;
mod counting;
mod covered;
mod entries;
mod frequent;
mod fronts;
mod listing;
mod matching;
mod pace;
mod part_groups;
mod plan;
mod resolve;
mod result;
mod round;
mod runs;
mod shared;
mod sums;
mod walk;
mod words;
mod work;

pub use builder::{Every, LARGEST_TOP, MOST_BUCKETS, Measure, SummaryQuery};
pub(super) use listing::{ListCost, Listing, LongLists};
pub(super) use part_groups::PartGroups;
pub use result::{Bucket, Group, Summary, Totals};
pub(super) use runs::{Runs, page_times};
pub(super) use shared::{Keyed, SharedGroups};
pub(super) use sums::{Known, Numbers, Sums, bytes};
pub(super) use words::Apart;
