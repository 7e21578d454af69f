//! What the fields of records mean: the information elements that a flow has a place for, and those that say how to read it.

/// The enterprise whose elements are those of the other direction (RFC 5103, section 6.1).
const REVERSE: u32 = 29_305;

/// What a field means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Number(Number),
    Address(Host),
}

/// A number in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Number {
    Bytes,
    TotalBytes,
    PostBytes,
    InitiatorBytes,
    Layer2Bytes,
    Packets,
    TotalPackets,
    PostPackets,
    InitiatorPackets,
    ResponderBytes,
    ReverseBytes,
    ReverseTotalBytes,
    ResponderPackets,
    ReversePackets,
    ReverseTotalPackets,
    Protocol,
    TcpFlags,
    ReverseTcpFlags,
    SourcePort,
    DestinationPort,
    StartUptime,
    EndUptime,
    StartSeconds,
    EndSeconds,
    StartMillis,
    EndMillis,
    StartMicros,
    EndMicros,
    StartNanos,
    EndNanos,
    StartDeltaMicros,
    EndDeltaMicros,
    DurationMillis,
    DurationMicros,
    InitMillis,
    SamplerId,
    SelectorId,
    SamplingInterval,
    SamplerInterval,
    SampledPackets,
    SkippedPackets,
    SampleSize,
    Population,
    Probability,
    NatEvent,
    FirewallEvent,
}

/// How many kinds of numbers there are: fewer than 64, so that a set of them is one number.
pub(super) const NUMBERS: usize = Number::FirewallEvent as usize + 1;

/// An address in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Host {
    SourceV4,
    SourceV6,
    DestinationV4,
    DestinationV6,
    ExporterV4,
    ExporterV6,
}

/// How many kinds of addresses there are.
pub(super) const HOSTS: usize = Host::ExporterV6 as usize + 1;

/// The elements of NetFlow v9 (RFC 3954, section 8), which IPFIX has taken over, and of IPFIX
/// (<https://www.iana.org/assignments/ipfix>).
pub(super) fn element(enterprise: Option<u32>, id: u16) -> Option<Element> {
    match enterprise {
        None => host(id).map(Element::Address).or_else(|| number(id).map(Element::Number)),
        Some(REVERSE) => reverse(id).map(Element::Number),
        Some(_) => None,
    }
}

fn host(id: u16) -> Option<Host> {
    Some(match id {
        8 => Host::SourceV4,
        12 => Host::DestinationV4,
        27 => Host::SourceV6,
        28 => Host::DestinationV6,
        130 => Host::ExporterV4,
        131 => Host::ExporterV6,
        _ => return None,
    })
}

fn number(id: u16) -> Option<Number> {
    Some(match id {
        1 => Number::Bytes,
        2 => Number::Packets,
        4 => Number::Protocol,
        6 => Number::TcpFlags,
        // Of UDP and of TCP: 180 to 183.
        7 | 180 | 182 => Number::SourcePort,
        11 | 181 | 183 => Number::DestinationPort,
        21 => Number::EndUptime,
        22 => Number::StartUptime,
        23 => Number::PostBytes,
        24 => Number::PostPackets,
        34 => Number::SamplingInterval,
        48 => Number::SamplerId,
        50 => Number::SamplerInterval,
        85 => Number::TotalBytes,
        86 => Number::TotalPackets,
        150 => Number::StartSeconds,
        151 => Number::EndSeconds,
        152 => Number::StartMillis,
        153 => Number::EndMillis,
        154 => Number::StartMicros,
        155 => Number::EndMicros,
        156 => Number::StartNanos,
        157 => Number::EndNanos,
        158 => Number::StartDeltaMicros,
        159 => Number::EndDeltaMicros,
        160 => Number::InitMillis,
        161 => Number::DurationMillis,
        162 => Number::DurationMicros,
        230 => Number::NatEvent,
        231 => Number::InitiatorBytes,
        232 => Number::ResponderBytes,
        233 => Number::FirewallEvent,
        298 => Number::InitiatorPackets,
        299 => Number::ResponderPackets,
        302 => Number::SelectorId,
        305 => Number::SampledPackets,
        306 => Number::SkippedPackets,
        309 => Number::SampleSize,
        310 => Number::Population,
        311 => Number::Probability,
        352 => Number::Layer2Bytes,
        _ => return None,
    })
}

fn reverse(id: u16) -> Option<Number> {
    Some(match id {
        1 => Number::ReverseBytes,
        2 => Number::ReversePackets,
        6 => Number::ReverseTcpFlags,
        85 => Number::ReverseTotalBytes,
        86 => Number::ReverseTotalPackets,
        _ => return None,
    })
}

impl Number {
    /// Whether it alone, or with the clock of the exporter, tells when a flow began.
    pub(super) const fn tells_a_time(self) -> bool {
        matches!(
            self,
            Self::StartUptime
                | Self::EndUptime
                | Self::StartSeconds
                | Self::EndSeconds
                | Self::StartMillis
                | Self::EndMillis
                | Self::StartMicros
                | Self::EndMicros
                | Self::StartNanos
                | Self::EndNanos
                | Self::StartDeltaMicros
                | Self::EndDeltaMicros
        )
    }
}
