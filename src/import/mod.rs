//! Other formats, read as flows: newline-delimited JSON, Zeek's `conn.log`, Suricata's EVE, flow logs of AWS VPC and Azure, formats
//! that a [`Mapping`] describes, of which the crate has some, and those that a file of yours describes. All of them may be compressed.
//! Captures of NetFlow and nfdump's files, which have no lines and which an [`Appender`](crate::ingest::Appender::import) imports, are
//! described here, too.
//!
//! [`decompress`] opens what was handed in, [`detect`] names its [`Format`], and a [`Reader`] gives the flows and,
//! with its number and a reason, every line that is none. A bad line costs nothing but itself. [`LineParser`] is the
//! part of a reader that knows the format, for those who split the lines themselves, over several threads.
//!
//! ```
//! use flowseek::import::{Format, Item, Reader};
//!
//! let input = concat!(
//!     r#"{"startTime":"2022-11-01T22:46:01.765Z","protocol":"TCP","destPort":443}"#, "\n",
//!     r#"{"startTime":"2022-11-01T22:46:02.000Z","protocol":"TCP","destPort":70000}"#, "\n",
//! );
//! let items = Reader::new(Format::Json, input.as_bytes()).collect::<flowseek::Result<Vec<_>>>()?;
//! let [Item::Flow(flow), Item::Rejected(rejected)] = items.as_slice() else { unreachable!() };
//! assert_eq!(flow.dst_port, Some(443));
//! assert_eq!(rejected.to_string(), "line 2: destPort: 70000 is not a port from 0 to 65535");
//! # Ok::<(), flowseek::Error>(())
//! ```
//!
//! # JSON
//! One object a line, or the objects of one array, with the keys of the endpoint's response (`activityID`, `destBytes`, `destIP`, `destNode`,
//! `destPort`, `endTime`, `protocol`, `sourceBytes`, `sourceIP`, `sourceNode`, `sourcePort`, `startTime`, `tcpFlags`)
//! `nodeId` or `node`, the node that logged the flow, and what else it may say: `sourcePackets`, `destPackets`, `flags`
//! (flow flags) and `meta`, an object. Only `startTime` is required.
//!
//! - `null` and empty text are absent values; a key given twice is an error.
//! - Other keys are ignored, whatever they hold. The [remarks](Remarks) say it once, with their count, and the key that
//!   is probably meant.
//! - A line with NUL bytes, or with bytes that are not UTF-8, is rejected.
//! - A time is RFC 3339 or a number of Unix seconds, which is read digit by digit, never rounded; what is finer than a
//!   millisecond is cut. An end before the start is kept as it is.
//! - A number may be text (`"443"`) or written with a fraction of zero (`443.0`).
//! - `protocol` is a name of the IANA registry in any case or a number; absent and `UNKNOWN` are 255.
//! - `meta` is an object, or the text of one; it is kept as it is written, but for white space.
//! - `tcpFlags` is 8 binary digits, `0x` and hexadecimal digits, or a decimal number.
//!
//! # nfdump
//! The files `nfcapd.*` of the collectors of nfdump 1.6 and 1.7 (file layouts 1 and 2) and of `nfdump -w`, whose blocks are plain
//! or compressed with LZO, bzip2, LZ4 or zstd. Files may be concatenated. Those of nfdump 1.8 (layout 3), encrypted ones and those of
//! big-endian machines are refused, and the error says what to do with them.
//!
//! | flow | nfdump | |
//! |---|---|---|
//! | `start_time`, `end_time` | first and last packet | where a record lacks the first, the time of its event, or that of its receipt |
//! | `protocol` | protocol | |
//! | `src_ip`, `dst_ip` | addresses | absent where there are none |
//! | `src_port`, `dst_port` | ports | absent for protocols without ports; of ICMP, type and code are there |
//! | `src_bytes`, `src_packets` | input bytes and packets | scaled by nfdump where packets were sampled |
//! | `dst_bytes`, `dst_packets` | output bytes and packets | absent where a record does not have them |
//! | `tcp_flags` | TCP flags | for TCP only |
//! | `node_id` | router IP (`%ra`), else the address of the exporter with the number of the record | see below |
//!
//! The router IP is the address that the packets of the exporter came from. Most records have it; for others there is the list
//! of exporters (`nfdump -E`), whose numbers `nfdump -w` may mix up where it joins files. An address 0.0.0.0 is none.
//!
//! Of a record, all else is left out: interfaces, autonomous systems, next hops, VLANs, MAC addresses, MPLS labels,
//! types of service, translated and tunnelled addresses, latencies, payloads, names. An aggregated record (`nfdump -a`) is one flow,
//! and of how many is left out. Events of firewalls (NSEL) and of address translation (NEL) are flows, as nfdump prints them.
//!
//! A record that is damaged costs itself, a block its records. Where the length of a block is damaged or a file is cut off, the
//! import ends with an error after the records before. A record of layout 1 whose extension map is lost is a flow without what
//! the map lists (output counts, router IP), and the remarks count such records.
//!
//! # Suricata
//! EVE, as JSON lines: the events `flow`, which have both directions, and `netflow`, which have one and leave the bytes and packets of
//! the other absent. A log that has both has each flow twice. Other events are skipped, and the remarks count them by type.
//!
//! | flow | EVE | |
//! |---|---|---|
//! | `start_time`, `end_time` | `start`, `end` of `flow` or `netflow` | cut to milliseconds |
//! | `protocol` | `proto` | |
//! | `src_ip`, `dst_ip` | `src_ip`, `dest_ip` | of `flow`, the source is the client |
//! | `src_port`, `dst_port` | `src_port`, `dest_port` | absent for protocols without ports |
//! | `src_bytes`, `src_packets` | `bytes_toserver`, `pkts_toserver`, or `bytes`, `pkts` | of packets, with their headers |
//! | `dst_bytes`, `dst_packets` | `bytes_toclient`, `pkts_toclient` | |
//! | `tcp_flags` | `tcp_flags` of `tcp` | two hexadecimal digits, of both directions |
//! | `node_id` | `host` | |
//!
//! # Formats that are mappings
//! Each of these is a file in `src/import/mappings`, as [`Mapping`] describes them. JSON may be lines, an array, or an object with an
//! array of records.
//!
//! | flow | `tailscale` | `hubble` | `gcp` |
//! |---|---|---|---|
//! | one record | each connection of `virtualTraffic`, `subnetTraffic`, `exitTraffic`, `physicalTraffic` | an event of one packet, of `flow.Type` `L3_L4` or `SOCK` | one direction of a connection, as one end reports it |
//! | `start_time`, `end_time` | `start`, `end` of the message | `flow.time`; no end | `start_time`, `end_time` |
//! | `protocol` | `proto`; unknown for physical traffic | the key in `flow.l4` | `connection.protocol` |
//! | source | `src`, address and port | `flow.IP.source`, who sent the packet | `connection.src_ip`, `src_port` |
//! | `src_bytes`, `src_packets` | `txBytes`, `txPkts`, of IP packets | | `bytes_sent`, `packets_sent`, estimated by Google from samples |
//! | `dst_bytes`, `dst_packets` | `rxBytes`, `rxPkts`; absent where they are | | |
//! | `tcp_flags` | | `flow.l4.TCP.flags` | |
//! | `src_node`, `dst_node` | | namespace and name of the pods, with a slash | `vm_name`, else the pod of `gke_details` |
//! | `node_id` | `nodeId` | `node_name` | the instance that reports, else `reporter` |
//! | `meta` | | `verdict`, `drop_reason_desc` | |
//! | lost | which list it was | events of layer 7, labels, policies | countries, latency, GKE services; both ends may report a flow |
//!
//! | flow | `ocsf` (4001, JSON and Parquet) | `goflow2` | `pmacct` |
//! |---|---|---|---|
//! | `start_time` | `start_time`, else `time`, in ms | `time_flow_start_ns`, `_ms` or seconds, else `time_received` | `timestamp_start`, `timestamp_min`, else `stamp_inserted`: Unix, RFC 3339, or UTC |
//! | `end_time` | `end_time`, or `duration` in ms | `time_flow_end` likewise | `timestamp_end`, `timestamp_max`, else `stamp_updated` |
//! | `protocol` | `connection_info.protocol_num`, else `protocol_name` | `proto`, name or number | `ip_proto` |
//! | source | `src_endpoint` | `src_addr`, `src_port` | `ip_src`, `port_src` |
//! | `src_bytes`, `src_packets` | `traffic.bytes_out`, `packets_out` | `bytes`, `packets`, times `sampling_rate` | `bytes`, `packets` |
//! | `dst_bytes`, `dst_packets` | `traffic.bytes_in`, `packets_in` | | |
//! | `tcp_flags` | `connection_info.tcp_flags` | `tcp_flags` | `tcp_flags` |
//! | `src_node`, `dst_node` | `instance_uid`, `hostname` or `name` of the endpoint | | |
//! | `node_id` | `device`, else the source's interface, else the product | `sampler_address` | `peer_ip_src`, `label` or `tag` |
//! | `activity_id` | `connection_info.uid` | | |
//! | skipped | other classes | | records that are not `purge` |
//!
//! | flow | `nfdump-csv` (1.6, 1.7, `csv-fast`) | `rwcut` (SiLK) | `binetflow` (Argus, CTU) |
//! |---|---|---|---|
//! | `start_time`, `end_time` | `ts`, `te`, or `firstSeen`, and `lastSeen` or `duration`; UTC | `sTime`, `eTime` or `duration`; UTC | `StartTime`, and `Dur` in seconds; UTC |
//! | `protocol` | `pr` or `proto` | `pro` | `Proto`; names that have no IANA number are unknown |
//! | source | `sa`, `sp` or `srcAddr`, `srcPort` | `sIP`, `sPort` | `SrcAddr`, `Sport`; `DstAddr` where `Dir` is `<-` or `<?` |
//! | `src_bytes`, `src_packets` | `ibyt`, `ipkt` or `bytes`, `packets` | `bytes`, `packets` | `SrcBytes`, `SrcPkts`, else the totals of a flow whose state is `INT` or `REQ` |
//! | `dst_bytes`, `dst_packets` | `obyt`, `opkt`; 0 is absent | | `DstBytes`, or `TotBytes` less `SrcBytes` |
//! | `tcp_flags` | `flg` or `flags` | `flags` | letters in `State`, of both directions |
//! | `node_id` | `ra`, or the exporter | `sen` | |
//! | `meta` | | | totals that cannot be divided |
//! | skipped | sums at the end | | ARP, LLDP and other frames without IP |
//!
//! # Azure
//! Flow logs of virtual networks, version 4, and of network security groups, versions 1 and 2: records with lists of tuples. Tuples of
//! one flow within a record are one flow, from the first to the last of them, whose counts are added up. A flow that only begins in a
//! record is skipped and counted, as its counts come with a later record. What is denied has no counts.
//!
//! | flow | tuple | |
//! |---|---|---|
//! | `start_time`, `end_time` | time of the first and of the last tuple | milliseconds; seconds of security groups |
//! | `protocol` | protocol | a number, or `T` and `U` |
//! | `src_ip`, `dst_ip`, `src_port`, `dst_port` | as they are | the source has opened the flow |
//! | `src_bytes`, `src_packets` | sent from source to destination | |
//! | `dst_bytes`, `dst_packets` | sent back | |
//! | `node_id` | the MAC address of the interface | |
//! | `meta` | `rule`, `direction` (`I`, `O`), `decision` (`A`, `D`) | |
//!
//! # AWS VPC
//! Flow logs as text: fields with blanks between, in the order that a line of their names says, or without such a line in that of
//! version 2. A hyphen is an absent value. Records that say `NODATA` or `SKIPDATA` are skipped and counted apart. A record is of one
//! direction, so there are no bytes of the other. Other fields, of all versions, are passed over.
//!
//! | flow | VPC | |
//! |---|---|---|
//! | `start_time`, `end_time` | `start`, `end` | Unix seconds |
//! | `protocol` | `protocol` | |
//! | `src_ip`, `dst_ip` | `srcaddr`, `dstaddr` | |
//! | `src_port`, `dst_port` | `srcport`, `dstport` | absent for protocols without ports |
//! | `src_bytes`, `src_packets` | `bytes`, `packets` | |
//! | `tcp_flags` | `tcp-flags` | for TCP only |
//! | `node_id` | `interface-id` | |
//!
//! # NetFlow
//! NetFlow v5, v9 and IPFIX as their exporters send them to a collector, in a capture of these datagrams: pcap of both byte
//! orders, with microseconds or nanoseconds, and pcapng. Links may be Ethernet with VLAN tags, Linux cooked captures of both
//! versions, loopback, or IP without a link; exporters have IPv4 or IPv6 addresses. Messages are told by what they hold, at
//! any UDP port. What is none is skipped, and the remarks say how many packets that were.
//!
//! | flow | information elements (IANA's names; v9 has the same numbers) | |
//! |---|---|---|
//! | `start_time` | the first that is there and not 0 of `flowStartMilliseconds`, `flowStartMicroseconds`, `flowStartNanoseconds`, `flowStartSeconds`; then `flowStartDeltaMicroseconds`, `flowStartSysUpTime` | cut to milliseconds; else the end less the duration |
//! | `end_time` | likewise `flowEnd...` | else the start and `flowDurationMilliseconds`, `flowDurationMicroseconds` |
//! | `protocol` | `protocolIdentifier` | |
//! | `src_ip`, `dst_ip` | `sourceIPv4Address`, `destinationIPv4Address`, and those of IPv6 | of both, the one that is not 0 |
//! | `src_port`, `dst_port` | `sourceTransportPort`, `destinationTransportPort`, and those of UDP and TCP | absent for protocols without ports |
//! | `src_bytes` | the first that is there of `octetDeltaCount`, `octetTotalCount`, `initiatorOctets`, `postOctetDeltaCount`, `layer2OctetDeltaCount` | times the sampling |
//! | `src_packets` | `packetDeltaCount`, `packetTotalCount`, `initiatorPackets`, `postPacketDeltaCount` | times the sampling |
//! | `dst_bytes`, `dst_packets` | the reverse elements (RFC 5103) of the first two, or `responderOctets`, `responderPackets` | absent in records of one direction |
//! | `tcp_flags` | `tcpControlBits`, with its reverse element | for TCP; the lowest 8 bits |
//! | `node_id` | `exporterIPv4Address`, `exporterIPv6Address` | else the address that the message came from |
//!
//! The source of a record is the source of the flow: where an exporter tells of each direction by a record of its own, there are
//! two flows. Records of v5 have the same fields. Bytes are those of IP packets.
//!
//! Uptimes are told by the clock in the header of the message (v5, v9) or by `systemInitTimeMilliseconds` of the record or of
//! options (IPFIX); a counter of uptime that has gone through 0 is noticed. A record without a start is rejected. A template
//! without any time describes no flows, and its records are skipped, as are options, NAT events, and the events of firewalls
//! that tell of a flow's begin, of its denial, or of an alert.
//!
//! Bytes and packets are multiplied by the sampling that holds for the record: what it says itself, that of the sampler that it
//! names (`samplerId`, `selectorId`), that of all flows of its exporter, or that of the header of v5. Options may say
//! it as `samplingInterval`, `samplerRandomInterval`, `samplingPacketInterval` and `samplingPacketSpace`, `samplingSize` and
//! `samplingPopulation`, or `samplingProbability`. The remarks say how many flows were multiplied, and by what.
//!
//! Templates and options hold for one exporter: its address and port, those of the collector, the version, and the
//! observation domain, source ID or engine. Data that comes before its template waits for it, up to 1 MiB of each exporter. At
//! most 4,096 exporters are remembered, which together hold at most 64 MiB; where there are more, those give way first
//! whose data no template has ever explained, and then those that were silent for longest. The remarks tell what was
//! never explained, what the sequence numbers of the messages say is lost, and which exporters have started anew.
//! Datagrams in fragments are put together, up to 256 at a time.
//! Parquet has the same fields with underscores in their names.
//!
//! # Zeek
//! `conn.log` as tab-separated text with its header lines, or as JSON lines, also flattened (`id_orig_h`) or nested
//! (`"id":{"orig_h":...}`). `conn_long` and other logs whose name begins with `conn_` or `conn-` are logs of connections
//! too. Lines of other logs in the same stream (`#path`, `_path`, `@path`, `@stream`) are skipped, and the remarks count
//! them by log. A record without a start, without both addresses, without a protocol, or without the ports of a protocol
//! that has them, is no connection and is rejected.
//!
//! Zeek ends every line. A last line of tab-separated text without an end is rejected if its last field is one of those
//! below, as the rest of it may be missing.
//!
//! | flow | Zeek | |
//! |---|---|---|
//! | `start_time` | `ts` | cut to milliseconds |
//! | `end_time` | `ts` + `duration` | each cut to milliseconds; absent without a duration |
//! | `protocol` | `ip_proto`, else `proto` | a name without a known IANA number is unknown; `icmp` between IPv6 addresses is 58 |
//! | `src_ip`, `dst_ip` | `id.orig_h`, `id.resp_h` | |
//! | `src_port`, `dst_port` | `id.orig_p`, `id.resp_p` | absent for protocols without ports; of ICMP, Zeek writes type and code there |
//! | `src_bytes`, `dst_bytes` | `orig_ip_bytes`, `resp_ip_bytes`, else `orig_bytes`, `resp_bytes` | see below |
//! | `tcp_flags` | `history`, for TCP only | see below |
//! | `node_id` | `_system_name` or `@system` | Zeek has no names for the two ends |
//!
//! Bytes are those of the IP packets where Zeek has them, because that is what flow exporters count and because the
//! other number, the payload, is taken from TCP sequence numbers, which a lost or forged packet puts far off.
//!
//! The flags are what the letters of the history prove, of either side: `s` SYN, `h` SYN and ACK, `a` and `d` ACK,
//! `f` FIN, `r` RST. Data does not prove PSH. A history with none of these letters leaves the flags absent.

mod azure;
mod body;
mod decompress;
mod flow_json;
mod format;
mod head;
mod mapping;
mod near;
pub(crate) mod netflow;
pub(crate) mod nfcapd;
mod notes;
mod object;
mod parsed;
mod parser;
mod reader;
mod records;
mod remarks;
mod scalar;
mod sink;
mod suricata;
mod unit;
mod vpc;
mod zeek;

pub use body::read_json;
pub use decompress::decompress;
pub(crate) use decompress::is_compressed;
pub(crate) use flow_json::{Draft, key_names};
pub use format::{Format, detect};
pub use mapping::Mapping;
pub(crate) use mapping::{Slots, built_in::parquet as parquet_mappings};
pub(crate) use near::meant;
pub use parsed::Parsed;
pub use parser::LineParser;
pub use reader::{Item, MAX_LINE_BYTES, Reader, Rejected};
pub(crate) use records::Records;
pub use remarks::{Remarks, SkippedLog, UnknownKey};
pub(crate) use scalar::Scalar;
pub(crate) use sink::Sink;
pub use unit::Unit;
