//! The items of a comma list.

use std::{borrow::Cow, iter::repeat_n, mem::take};

use super::parameter::ParameterKind;

/// The items of a list of values of this kind, spaces included.
pub(super) fn items(kind: ParameterKind, list: &str) -> Vec<Cow<'_, str>> {
    match kind {
        ParameterKind::Names => names(list).into_iter().map(Cow::Owned).collect(),
        _ => list.split(',').map(Cow::Borrowed).collect(),
    }
}

/// The names of a list. A comma that is part of a name has a backslash before it, and so has a backslash of the name
/// that stands before a comma. Any other backslash is itself, so that most names with backslashes are written as they
/// are.
///
/// `a\,b` is the name `a,b`; `DOMAIN\host,c` are `DOMAIN\host` and `c`; `a\\,b` are `a\` and `b`.
fn names(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut backslashes = 0;
    for letter in list.chars() {
        match letter {
            '\\' => {
                backslashes += 1;
                continue;
            }
            ',' => {
                name.extend(repeat_n('\\', backslashes / 2));
                if backslashes % 2 == 1 {
                    name.push(',');
                } else {
                    names.push(take(&mut name));
                }
            }
            other => {
                name.extend(repeat_n('\\', backslashes));
                name.push(other);
            }
        }
        backslashes = 0;
    }
    name.extend(repeat_n('\\', backslashes));
    names.push(name);
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The list that has these names.
    fn list(names: &[String]) -> String {
        let escaped = |name: &String| {
            let mut escaped = String::new();
            for letter in name.chars() {
                if letter == ',' {
                    let backslashes = escaped.len() - escaped.trim_end_matches('\\').len();
                    escaped.extend(repeat_n('\\', backslashes + 1));
                }
                escaped.push(letter);
            }
            escaped
        };
        let mut list = String::new();
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                let backslashes = list.len() - list.trim_end_matches('\\').len();
                list.extend(repeat_n('\\', backslashes));
                list.push(',');
            }
            list.push_str(&escaped(name));
        }
        list
    }

    #[test]
    fn a_backslash_matters_before_a_comma_only() {
        for (list, expected) in [
            (r"a,b", &["a", "b"][..]),
            (r"a\,b", &["a,b"]),
            (r"\,", &[","]),
            (r"a\\,b", &[r"a\", "b"]),
            (r"a\\\,b", &[r"a\,b"]),
            (r"DOMAIN\host,\\server\share", &[r"DOMAIN\host", r"\\server\share"]),
            (r"a\", &[r"a\"]),
            (r"a\\", &[r"a\\"]),
            ("", &[""]),
            (",a,", &["", "a", ""]),
        ] {
            assert_eq!(names(list), expected, "{list}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5000, ..ProptestConfig::default() })]

        #[test]
        fn every_list_of_names_can_be_written(names in prop::collection::vec("[\\\\,ab \u{fc}]{0,6}", 1..4)) {
            prop_assert_eq!(super::names(&list(&names)), names);
        }
    }
}
