//! What a token says of its bearer.

use std::collections::BTreeSet;

use serde_json::Value;

/// The texts of a claim: a list of them, or one with spaces between its words.
///
/// The claim is named, or where the name begins with a slash pointed at (RFC 6901): `/realm_access/roles`.
pub(super) fn texts(claims: &Value, name: &str) -> BTreeSet<String> {
    match claim(claims, name) {
        Some(Value::String(words)) => words.split_ascii_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => BTreeSet::new(),
    }
}

fn claim<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}

/// What is to be said of a claim that is not there, where its name looks like a path with dots.
///
/// Such a name may well be that of a claim (`https://example.com/roles`), so it is no path to the claim `roles` of another.
pub(super) fn dotted(claims: &Value, name: &str) -> Option<String> {
    let looks_like_path = name.contains('.') && !name.contains('/');
    (looks_like_path && claim(claims, name).is_none()).then(|| {
        let path = name.replace('.', "/");
        format!("the token has no claim named `{name}`; a path into its claims is written with slashes: `/{path}`")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_a_list_or_words() {
        let claims = json!({
            "words": " a b  c",
            "list": ["a", "b c", 7, null],
            "https://example.com/list": ["a"],
            "realm_access": {"roles": ["a"]},
            "number": 7,
        });
        let texts = |name| Vec::from_iter(texts(&claims, name));
        assert_eq!(texts("words"), ["a", "b", "c"]);
        assert_eq!(texts("list"), ["a", "b c"]);
        assert_eq!(texts("https://example.com/list"), ["a"]);
        assert_eq!(texts("/realm_access/roles"), ["a"]);
        for missing in ["number", "missing", "/realm_access/missing", "realm_access", ""] {
            assert!(texts(missing).is_empty(), "{missing}");
        }
    }

    #[test]
    fn a_path_with_dots_is_explained_where_it_finds_nothing() {
        let claims = json!({"realm_access": {"roles": ["a"]}, "there.is": []});
        assert!(dotted(&claims, "realm_access.roles").unwrap().ends_with("with slashes: `/realm_access/roles`"));
        assert!(dotted(&claims, "no.such.claim").is_some());
        for name in ["there.is", "roles", "/realm_access/roles", "/a.b", "https://example.com/list"] {
            assert_eq!(dotted(&claims, name), None, "{name}");
        }
    }
}
