//! The names of IP protocols that other programs write.

use super::Protocol;

/// The keywords of the IANA registry "Assigned Internet Protocol Numbers", by number.
const REGISTRY: &[(&str, u8)] = &[
    ("HOPOPT", 0),
    ("ICMP", 1),
    ("IGMP", 2),
    ("GGP", 3),
    ("IPv4", 4),
    ("ST", 5),
    ("TCP", 6),
    ("CBT", 7),
    ("EGP", 8),
    ("IGP", 9),
    ("BBN-RCC-MON", 10),
    ("NVP-II", 11),
    ("PUP", 12),
    ("ARGUS", 13),
    ("EMCON", 14),
    ("XNET", 15),
    ("CHAOS", 16),
    ("UDP", 17),
    ("MUX", 18),
    ("DCN-MEAS", 19),
    ("HMP", 20),
    ("PRM", 21),
    ("XNS-IDP", 22),
    ("TRUNK-1", 23),
    ("TRUNK-2", 24),
    ("LEAF-1", 25),
    ("LEAF-2", 26),
    ("RDP", 27),
    ("IRTP", 28),
    ("ISO-TP4", 29),
    ("NETBLT", 30),
    ("MFE-NSP", 31),
    ("MERIT-INP", 32),
    ("DCCP", 33),
    ("3PC", 34),
    ("IDPR", 35),
    ("XTP", 36),
    ("DDP", 37),
    ("IDPR-CMTP", 38),
    ("TP++", 39),
    ("IL", 40),
    ("IPv6", 41),
    ("SDRP", 42),
    ("IPv6-Route", 43),
    ("IPv6-Frag", 44),
    ("IDRP", 45),
    ("RSVP", 46),
    ("GRE", 47),
    ("DSR", 48),
    ("BNA", 49),
    ("ESP", 50),
    ("AH", 51),
    ("I-NLSP", 52),
    ("SWIPE", 53),
    ("NARP", 54),
    ("Min-IPv4", 55),
    ("TLSP", 56),
    ("SKIP", 57),
    ("IPv6-ICMP", 58),
    ("IPv6-NoNxt", 59),
    ("IPv6-Opts", 60),
    ("CFTP", 62),
    ("SAT-EXPAK", 64),
    ("KRYPTOLAN", 65),
    ("RVD", 66),
    ("IPPC", 67),
    ("SAT-MON", 69),
    ("VISA", 70),
    ("IPCV", 71),
    ("CPNX", 72),
    ("CPHB", 73),
    ("WSN", 74),
    ("PVP", 75),
    ("BR-SAT-MON", 76),
    ("SUN-ND", 77),
    ("WB-MON", 78),
    ("WB-EXPAK", 79),
    ("ISO-IP", 80),
    ("VMTP", 81),
    ("SECURE-VMTP", 82),
    ("VINES", 83),
    ("IPTM", 84),
    ("NSFNET-IGP", 85),
    ("DGP", 86),
    ("TCF", 87),
    ("EIGRP", 88),
    ("OSPFIGP", 89),
    ("Sprite-RPC", 90),
    ("LARP", 91),
    ("MTP", 92),
    ("AX.25", 93),
    ("IPIP", 94),
    ("MICP", 95),
    ("SCC-SP", 96),
    ("ETHERIP", 97),
    ("ENCAP", 98),
    ("GMTP", 100),
    ("IFMP", 101),
    ("PNNI", 102),
    ("PIM", 103),
    ("ARIS", 104),
    ("SCPS", 105),
    ("QNX", 106),
    ("A/N", 107),
    ("IPComp", 108),
    ("SNP", 109),
    ("Compaq-Peer", 110),
    ("IPX-in-IP", 111),
    ("VRRP", 112),
    ("PGM", 113),
    ("L2TP", 115),
    ("DDX", 116),
    ("IATP", 117),
    ("STP", 118),
    ("SRP", 119),
    ("UTI", 120),
    ("SMP", 121),
    ("SM", 122),
    ("PTP", 123),
    ("ISIS over IPv4", 124),
    ("FIRE", 125),
    ("CRTP", 126),
    ("CRUDP", 127),
    ("SSCOPMCE", 128),
    ("IPLT", 129),
    ("SPS", 130),
    ("PIPE", 131),
    ("SCTP", 132),
    ("FC", 133),
    ("RSVP-E2E-IGNORE", 134),
    ("Mobility Header", 135),
    ("UDPLite", 136),
    ("MPLS-in-IP", 137),
    ("manet", 138),
    ("HIP", 139),
    ("Shim6", 140),
    ("WESP", 141),
    ("ROHC", 142),
    ("Ethernet", 143),
    ("AGGFRAG", 144),
    ("NSH", 145),
    ("Homa", 146),
    ("BIT-EMU", 147),
];

/// Names that the registry had before, and those of `/etc/protocols`, nfdump and Zeek.
const OTHERS: &[(&str, u8)] = &[
    ("IP-ENCAP", 4),
    ("ipencap", 4),
    ("IPSEC-ESP", 50),
    ("IPSEC-AH", 51),
    ("MOBILE", 55),
    ("icmp6", 58),
    ("icmpv6", 58),
    ("rspf", 73),
    ("BRSAT-MON", 76),
    ("TTP", 84),
    ("OSPF", 89),
    ("ISIS", 124),
    ("Mobility-Header", 135),
    ("UDP-Lite", 136),
];

/// The protocol with this name, in any case.
pub(crate) fn protocol_named(name: &str) -> Option<Protocol> {
    Protocol::from_name(name).or_else(|| {
        let (_, number) = REGISTRY.iter().chain(OTHERS).find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(Protocol::new(*number))
    })
}

/// Whether a protocol has ports. For the others a program that has a place for ports writes 0 there, or something else
/// than ports.
pub(crate) const fn has_ports(protocol: Protocol) -> bool {
    // TCP, UDP, DCCP, SCTP and UDP-Lite.
    matches!(protocol.number(), 6 | 17 | 33 | 132 | 136)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_of_the_registry_is_a_protocol_in_any_case() {
        assert!(REGISTRY.is_sorted_by(|a, b| a.1 < b.1), "one keyword a number");
        // 61, 63, 68, 99 and 114 are assigned without a keyword; 148 to 255 have none.
        let without: Vec<u8> = (0..148).filter(|number| REGISTRY.iter().all(|(_, known)| known != number)).collect();
        assert_eq!(without, [61, 63, 68, 99, 114]);
        for (name, number) in REGISTRY.iter().chain(OTHERS) {
            for name in [name.to_string(), name.to_lowercase(), name.to_uppercase()] {
                assert_eq!(protocol_named(&name), Some(Protocol::new(*number)), "{name}");
            }
        }
        assert_eq!(protocol_named("unknown_transport"), None);
    }
}
