//! In which order flows are answered, where in it a page ended, and the text that carries that place.

mod cursor;
mod place;
mod position;
mod reach;
mod seal;
mod sort;

pub use cursor::Cursor;
pub use place::MAX_CURSOR_BYTES;
pub(crate) use place::Place;
pub(crate) use position::{Position, Side};
pub(crate) use reach::first_key;
pub(crate) use reach::{best_key, last_key};
pub use seal::CursorKey;
pub(crate) use seal::Seal;
pub use sort::{Direction, Order, SortKey};
pub(crate) use sort::{Key, compare_values};

#[cfg(test)]
mod laws;
#[cfg(test)]
pub(crate) mod sample;
