//! The names of IP protocols that other programs write.

use crate::flow::Protocol;

/// Names from the IANA registry "Assigned Internet Protocol Numbers", and as `getent protocols` and Zeek write them.
const NAMES: [(&str, u8); 25] = [
    ("ah", 51),
    ("dccp", 33),
    ("egp", 8),
    ("eigrp", 88),
    ("esp", 50),
    ("etherip", 97),
    ("gre", 47),
    ("icmp6", 58),
    ("icmpv6", 58),
    ("igmp", 2),
    ("igp", 9),
    ("ipip", 4),
    ("ipv4", 4),
    ("ipv6", 41),
    ("ipv6-icmp", 58),
    ("l2tp", 115),
    ("mpls-in-ip", 137),
    ("ospf", 89),
    ("ospfigp", 89),
    ("pim", 103),
    ("rdp", 27),
    ("rsvp", 46),
    ("sctp", 132),
    ("udplite", 136),
    ("vrrp", 112),
];

/// The protocol with this name, in any case.
pub(super) fn from_name(name: &str) -> Option<Protocol> {
    Protocol::from_name(name).or_else(|| {
        let (_, number) = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(Protocol::new(*number))
    })
}
