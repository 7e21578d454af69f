//! What a token says of its bearer.

use std::collections::BTreeSet;

use serde_json::Value;

/// The texts of a claim: a list of them, or one with spaces between its words.
///
/// The claim is named, or where the name begins with a slash pointed at (RFC 6901): `/realm_access/roles`.
pub(super) fn texts(claims: &Value, name: &str) -> BTreeSet<String> {
    let claim = if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) };
    match claim {
        Some(Value::String(words)) => words.split_ascii_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => BTreeSet::new(),
    }
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
}
