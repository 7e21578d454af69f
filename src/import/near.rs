//! The name that a misspelt name stands for.

use crate::spelling::nearest;

/// From this length on, two letters may differ.
const LONG: usize = 12;

/// The known name that is meant by a name that is not known: the same but for case, punctuation, `src` for `source`,
/// `dst` for `dest` and `addr` for `ip`, or off by one letter, two in a long name. `None` where none is near.
pub(crate) fn meant(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let given = plain(name);
    let edits = match given.len() {
        // In a short name one letter is too much of it.
        0..4 => 0,
        4..LONG => 1,
        _ => 2,
    };
    nearest(&given, edits, known.iter().map(|known| (plain(known), *known)))
}

/// A name without what programs write differently: `src_addr`, `SrcIP` and `sourceIp` are all `sourceip`.
fn plain(name: &str) -> String {
    let mut plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    plain.make_ascii_lowercase();
    for (other, usual) in [("source", "source"), ("src", "source"), ("destination", "dest"), ("dst", "dest")] {
        if let Some(rest) = plain.strip_prefix(other) {
            plain = format!("{usual}{rest}");
            break;
        }
    }
    for other in ["address", "addr"] {
        if let Some(rest) = plain.strip_suffix(other) {
            plain = format!("{rest}ip");
        }
    }
    if plain == "proto" { "protocol".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 7] = ["startTime", "sourceIP", "sourcePort", "destIP", "destBytes", "protocol", "nodeId"];

    #[test]
    fn a_name_that_is_nearly_known_is_recognised() {
        for (name, known) in [
            ("sourceIp", "sourceIP"),
            ("source_ip", "sourceIP"),
            ("srcIp", "sourceIP"),
            ("src_addr", "sourceIP"),
            ("srcPort", "sourcePort"),
            ("soruceIP", "sourceIP"),
            ("dst_bytes", "destBytes"),
            ("destinationIP", "destIP"),
            ("start_time", "startTime"),
            ("starttimes", "startTime"),
            ("proto", "protocol"),
            ("NodeID", "nodeId"),
        ] {
            assert_eq!(meant(name, &KNOWN), Some(known), "{name}");
        }
    }

    #[test]
    fn a_name_of_something_else_is_not_taken_for_a_known_one() {
        for name in ["", "sourceHost", "ip", "flags", "meta", "sourcePackets", "time", "uid", "é", &"s".repeat(1000)] {
            assert_eq!(meant(name, &KNOWN), None, "{name}");
        }
    }
}
