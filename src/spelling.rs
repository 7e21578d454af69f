//! Names that are misspelt.

use std::cmp::Reverse;

/// The longest name that is compared with the known ones, in bytes.
const MAX_COMPARED: usize = 32;

/// What the known name stands for that is the nearest to `given`, case aside, with at most so many edits: a letter that is
/// wrong, missing or too many, or two that are swapped. `None` where none is near.
///
/// Each known name comes with what it stands for, which may be itself.
pub(crate) fn nearest<N: AsRef<str>, T>(
    given: &str,
    most_edits: usize,
    known: impl IntoIterator<Item = (N, T)>,
) -> Option<T> {
    if given.len() > MAX_COMPARED {
        return None;
    }
    let given = given.to_ascii_lowercase();
    let first = given.chars().next().unwrap_or_default();
    let rated = known.into_iter().filter_map(|(name, meant)| {
        let name = name.as_ref().to_ascii_lowercase();
        let edits = strsim::osa_distance(&given, &name);
        // Among equally near names, one that begins alike, and of those the longest: `ge` is `gte` sooner than `ne`.
        (edits <= most_edits).then(|| ((edits, !name.starts_with(first), Reverse(name.len())), meant))
    });
    rated.min_by_key(|(rating, _)| *rating).map(|(_, meant)| meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_of_equally_near_ones_that_which_begins_alike_and_is_longer() {
        let known = ["eq", "ne", "gt", "gte", "lt", "lte", "dstPort"].map(|name| (name, name));
        for (given, edits, meant) in [
            ("dstPrt", 1, Some("dstPort")),
            ("dtsPort", 1, Some("dstPort")),
            ("dstPrt", 0, None),
            ("DSTPORT", 0, Some("dstPort")),
            ("ge", 1, Some("gte")),
            ("", 1, None),
        ] {
            assert_eq!(nearest(given, edits, known), meant, "{given}");
        }
        assert_eq!(nearest(&"s".repeat(33), 40, known), None);
    }
}
