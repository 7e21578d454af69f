//! A hundred filters and more, which nfdump's language and that of flowseek can both say, over the same flows: each passes as many
//! in both.

use flowseek::{Filter, query::Count};

use crate::{
    ingest::{Scratch, sample},
    nfcapd::nfdump,
    support::block_on,
};

/// The flows that both are asked of.
const FLOWS: &str = "nfcapd-2-bzip2";

/// How many flows pass a filter of nfdump's, and the filter in flowseek's words where it is another text.
const FILTERS: &[(usize, &str, &str)] = &[
    (542, "any", ""),
    (381, "proto tcp", ""),
    (98, "proto udp", ""),
    (4, "proto icmp", ""),
    (3, "proto icmp6", ""),
    (381, "proto 6", ""),
    (10, "proto 50", ""),
    (10, "proto esp", ""),
    (12, "proto gre or proto ospf", ""),
    (161, "not proto tcp", ""),
    (63, "not (proto tcp or proto udp)", ""),
    (387, "proto tcp or proto udp and dst port 53", ""),
    (9, "(proto tcp or proto udp) and dst port 53", ""),
    (63, "not proto tcp and not proto udp", ""),
    (161, "! proto tcp", ""),
    (496, "ipv4", ""),
    (46, "ipv6", ""),
    (496, "inet", ""),
    (46, "inet6", ""),
    (496, "not ipv6", ""),
    (18, "ipv6 and proto tcp", ""),
    (28, "ipv6 and not proto tcp", ""),
    (193, "ip 198.18.134.99", ""),
    (4, "src ip 198.18.134.99", ""),
    (189, "dst ip 198.18.134.99", ""),
    (31, "host 127.0.0.1", ""),
    (30, "src host 127.0.0.1", ""),
    (29, "dst host 127.0.0.1", ""),
    (28, "src and dst ip 127.0.0.1", ""),
    (23, "src or dst ip 10.0.0.1", ""),
    (349, "not host 198.18.134.99", ""),
    (12, "ip ::1", ""),
    (6, "host 2001:4f8:4:7:2e0:81ff:fe52:9a6b", ""),
    (6, "dst ip 2001:4f8:4:7:2e0:81ff:fe52:9a6b", ""),
    (243, "net 198.18.134.0/24", ""),
    (243, "src net 198.18.134.0/24", ""),
    (58, "dst net 224.0.0.0/4", ""),
    (46, "net 10.0.0.0/8", ""),
    (46, "ipv4 and net 10.0.0.0 255.0.0.0", ""),
    (111, "src net 192.168.0.0/16", ""),
    (80, "dst net 192.168.0.0 255.255.0.0", ""),
    (6, "net 2001:4f8::/32", ""),
    (7, "src net fe80::/10", ""),
    (43, "net 127.0.0.0/8 or net ::1/128", ""),
    (299, "not net 198.18.0.0/15", ""),
    (197, "src net 198.18.134.0/25 and dst net 198.18.134.0/25", ""),
    (46, "src net 198.18.134.0/24 and not dst net 198.18.134.0/24", ""),
    (81, "ip in [198.18.134.49, 198.18.134.47, 10.0.0.1]", ""),
    (80, "src ip in [198.18.134.49 198.18.134.47 10.0.0.1]", ""),
    (54, "dst ip in [224.0.0.22, 224.0.0.1, 255.255.255.255]", ""),
    (482, "not src ip in [198.18.134.49, 127.0.0.1]", ""),
    (43, "ip in [::1, 127.0.0.1]", ""),
    (48, "port 443", ""),
    (48, "dst port 443", ""),
    (0, "src port 443", ""),
    (99, "port 80 or port 443", ""),
    (34, "dst port = 22", ""),
    (34, "dst port == 22", ""),
    (34, "dst port eq 22", ""),
    (236, "(proto tcp or proto udp) and dst port > 1023", "dst port > 1023"),
    (225, "(proto tcp or proto udp) and dst port >= 1911", "dst port >= 1911"),
    (93, "dst port gt 20000", ""),
    (148, "src port > 50000", ""),
    (243, "(proto tcp or proto udp) and dst port < 1024", ""),
    (42, "(proto tcp or proto udp) and dst port <= 22", ""),
    (122, "(proto tcp or proto udp) and dst port lt 100", ""),
    (35, "(proto tcp or proto udp) and src port < 1024", ""),
    (139, "(proto tcp or proto udp) and port < 100", ""),
    (215, "(proto tcp or proto udp) and src and dst port > 1023", ""),
    (132, "dst port in [22, 80, 443]", ""),
    (133, "port in [22 80 443]", ""),
    (20, "src port in [53, 67, 68, 123]", ""),
    (256, "proto tcp and not dst port in [80, 443, 22]", ""),
    (6, "dst port 53 and proto udp", ""),
    (3, "dst port 53 and proto tcp", ""),
    (339, "not dst port 443 and proto tcp", ""),
    (326, "flags S", ""),
    (269, "flags SA", ""),
    (166, "flags SF", ""),
    (121, "flags R", ""),
    (263, "flags P", ""),
    (0, "flags U", ""),
    (166, "flags SAF", ""),
    (161, "flags SAFP", ""),
    (57, "flags S and not flags A", ""),
    (65, "flags R and not flags F", ""),
    (216, "not flags S", ""),
    (55, "not flags S and proto tcp", ""),
    (56, "flags RF", ""),
    (298, "not flags RF", "not flags any RF"),
    (137, "proto tcp and not flags RF", "flags none RF"),
    (244, "flags R or flags F", "flags any RF"),
    (137, "proto tcp and not (flags R or flags F)", "flags none RF"),
    (298, "not flags R and not flags F", ""),
    (167, "bytes > 1000", "src bytes > 1000"),
    (167, "bytes > 1k", "src bytes > 1k"),
    (25, "bytes > 10k", "src bytes > 10k"),
    (5, "bytes > 1m", "src bytes > 1M"),
    (5, "bytes >= 1M", "src bytes >= 1M"),
    (182, "bytes < 100", "src bytes < 100"),
    (154, "bytes <= 84", "src bytes <= 84"),
    (4, "bytes = 84", "src bytes = 84"),
    (4, "bytes 84", "src bytes 84"),
    (498, "bytes > 0", "src bytes > 0"),
    (47, "in bytes > 5k", "src bytes > 5k"),
    (260, "out bytes > 0", "dst bytes > 0"),
    (15, "out bytes > 10k", "dst bytes > 10k"),
    (1, "out bytes > 1M", "dst bytes > 1M"),
    (282, "out bytes = 0", "not dst bytes > 0"),
    (135, "packets > 1", "src packets > 1"),
    (407, "packets = 1", "src packets = 1"),
    (8, "packets > 100", "src packets > 100"),
    (407, "packets < 2", "src packets < 2"),
    (31, "in packets >= 10", "src packets >= 10"),
    (260, "out packets > 0", "dst packets > 0"),
    (34, "out packets >= 10", "dst packets >= 10"),
    (136, "bytes > 1k and packets < 10", "src bytes > 1k and src packets < 10"),
    (142, "bytes > 1k and bytes < 10k", "src bytes > 1k and src bytes < 10k"),
    (392, "duration > 0", "duration > 0ms"),
    (150, "duration = 0", "duration = 0s"),
    (79, "duration > 1000", "duration > 1s"),
    (10, "duration >= 60000", "duration >= 1m"),
    (249, "duration < 100", "duration < 100ms"),
    (49, "duration > 500 and duration < 5000", "duration > 500ms and duration < 5s"),
    (0, "duration > 3600000", "duration > 1h"),
    (542, "router ip 127.0.0.1", "nodeid 127.0.0.1"),
    (19, "proto tcp and src net 198.18.134.0/24 and dst port 443 and flags S", ""),
    (19, "proto tcp and (src ip 198.18.134.49 or dst ip 198.18.134.49) and not dst port 80", ""),
    (68, "(proto udp and dst port 53) or (proto tcp and dst port in [80, 443] and flags SA)", ""),
    (308, "not (ip 198.18.134.99 and proto tcp) and not ipv6", ""),
    (
        20,
        "proto tcp and bytes > 1k and out bytes > 1k and duration > 1000",
        "proto tcp and src bytes > 1k and dst bytes > 1k and duration > 1s",
    ),
    (326, "((proto tcp)) and ((not (not flags S)))", ""),
    (42, "PROTO TCP AND DST PORT 443", ""),
    (381, "proto tcp # what follows is a comment", ""),
];

#[test]
fn a_filter_passes_as_many_flows_as_nfdump_said() {
    let scratch = Scratch::new(100);
    scratch.import_file(sample(FLOWS)).report();
    let snapshot = scratch.archive.snapshot().unwrap();
    assert!(FILTERS.len() > 100);
    let wrong = FILTERS.iter().filter_map(|(count, theirs, ours)| {
        let text = if ours.is_empty() { theirs } else { ours };
        let filter: Filter = text.parse().unwrap_or_else(|error| panic!("{text}\n{error}"));
        let page = block_on(snapshot.query(filter).limit(0).count(Count::Exact).page()).unwrap();
        (page.total != Some(*count as u64)).then(|| format!("{theirs} | {text}: {:?}, not {count}", page.total))
    });
    assert_eq!(wrong.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn nfdump_passes_as_many_flows_as_are_written_here() {
    for (count, theirs, _) in FILTERS {
        let Some(text) = nfdump(&sample(FLOWS), &["-o", "fmt:%ts", theirs]) else { return };
        let flows = text.lines().filter(|line| line.contains(':')).count();
        assert_eq!(flows, *count, "{theirs}");
    }
}
