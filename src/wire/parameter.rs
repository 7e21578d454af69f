//! The table of the endpoint's parameters: what is read, what is refused, and what help and documents say.

/// How the values of a parameter are read.
///
/// ```
/// use flowseek::wire::{Parameter, ParameterKind};
///
/// assert_eq!(Parameter::named("srcIp").map(|parameter| parameter.kind), Some(ParameterKind::Addresses));
/// assert_eq!(ParameterKind::Comparison.allowed(), "eq, ne, gt, gte, lt, lte");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParameterKind {
    /// A point in time.
    Time,
    /// One of the six comparisons.
    Comparison,
    /// Equal or not.
    Equality,
    /// A list of protocols.
    Protocols,
    /// A list of addresses and CIDR blocks.
    Addresses,
    /// A list of ports and port ranges.
    Ports,
    /// A list of names.
    Names,
    /// A list of sets of TCP flags.
    Flags,
    /// A list of sets of flow flags.
    FlowFlags,
    /// What a window of time means.
    During,
    /// The text of a filter.
    Filter,
    /// A list of the fields of an answer.
    Fields,
    /// A number of rows.
    Limit,
    /// A cursor or the number of a page.
    Page,
    /// A list of fields with directions.
    Sort,
    /// True or false.
    Switch,
    /// Whether matches are counted.
    Count,
    /// The fields that flows are grouped by.
    By,
    /// What groups are compared by.
    Measure,
    /// A number of groups.
    Top,
    /// The length of a bucket of time.
    Every,
    /// The sums of a summary.
    Sums,
}

/// A parameter of the endpoint.
///
/// ```
/// use flowseek::wire::{Parameter, ParameterKind};
///
/// let parameter = Parameter::named("nodeOp").unwrap();
/// assert_eq!(parameter.kind, ParameterKind::Equality);
/// assert_eq!(parameter.kind.allowed(), "eq, ne");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name; case matters.
    pub name: &'static str,
    /// How its value is read.
    pub kind: ParameterKind,
    /// What it means, in a sentence.
    pub about: &'static str,
}

impl Parameter {
    /// The parameter of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PARAMETERS.iter().chain(OF_SUMMARIES).find(|parameter| parameter.name == name)
    }

    /// The parameters of a summary: those that filter flows, and its own.
    ///
    /// ```
    /// use flowseek::wire::Parameter;
    ///
    /// let names: Vec<&str> = Parameter::of_summaries().map(|parameter| parameter.name).collect();
    /// assert!(names.contains(&"dstPort") && names.contains(&"by") && !names.contains(&"limit"));
    /// ```
    pub fn of_summaries() -> impl Iterator<Item = &'static Self> {
        PARAMETERS.iter().filter(|parameter| parameter.filters()).chain(OF_SUMMARIES)
    }

    /// Whether it tells which flows match.
    fn filters(&self) -> bool {
        use ParameterKind as Kind;
        match self.kind {
            Kind::Time
            | Kind::Comparison
            | Kind::Equality
            | Kind::Protocols
            | Kind::Addresses
            | Kind::Ports
            | Kind::Names
            | Kind::Flags
            | Kind::FlowFlags
            | Kind::During
            | Kind::Filter => true,
            Kind::Switch => self.name != "reverse",
            Kind::Limit | Kind::Page | Kind::Sort | Kind::Count | Kind::Fields => false,
            Kind::By | Kind::Measure | Kind::Top | Kind::Every | Kind::Sums => false,
        }
    }

    /// Whether it may be given more than once; all its values then make one list.
    pub fn is_repeatable(&self) -> bool {
        matches!(self.kind, ParameterKind::Flags | ParameterKind::FlowFlags)
    }
}

impl ParameterKind {
    /// What its values can be, for people.
    pub const fn allowed(self) -> &'static str {
        match self {
            Self::Time => "Unix seconds such as 1666012671.5, or RFC 3339 such as 2022-10-17T13:17:51Z",
            Self::Comparison => "eq, ne, gt, gte, lt, lte",
            Self::Equality => "eq, ne",
            Self::Protocols => "TCP, UDP, ICMP, UNKNOWN, ALL, 0 to 255, and comma lists of these",
            Self::Addresses => "IPv4 and IPv6 addresses, CIDR blocks such as 10.0.0.0/8, and comma lists of these",
            Self::Ports => "0 to 65535, ranges such as 1024-2048, and comma lists of these",
            Self::Names => "exact names, with commas between several, and \\, for a comma that is part of one",
            Self::Flags => {
                "1 to 255, hexadecimal such as 0x12, FIN, SYN, RST, PSH, ACK, URG, ECE, CWR, sums such as SYN+ACK, and comma lists of these"
            }
            Self::FlowFlags => "decimal numbers from 1 to 18446744073709551615, and comma lists of these",
            Self::During => "starts, overlaps, within",
            Self::Filter => "a filter as text, such as proto tcp and (src net 10.0.0.0/8 or dst port in [80, 443])",
            Self::Fields => "names of fields of an answer, with commas between several, or * for all",
            Self::Limit => "a whole number of rows from 0 to the largest limit",
            Self::Page => "the cursor of the page before, or a page number from 1 on",
            Self::Sort => "field:asc or field:desc, with commas between several",
            Self::Switch => "true, false",
            Self::Count => "auto, exact, none",
            Self::By => "one field or two with a comma between, of those of sort",
            Self::Measure => "flows, bytes, sourceBytes, destBytes",
            Self::Top => "a whole number of groups from 1 to 1000",
            Self::Every => "auto, or a whole number with its unit, ms, s, m, h or d, such as 5m, up to 36500d",
            Self::Sums => "flows, sourceBytes, destBytes, with commas between several, or *",
        }
    }

    /// Whether a space before or after an item belongs to it.
    const fn keeps_spaces(self) -> bool {
        matches!(self, Self::Names)
    }

    /// Whether an unescaped `+` stands for itself and not for a space: it is part of sums, offsets and exponents.
    pub(super) const fn keeps_plus(self) -> bool {
        matches!(self, Self::Time | Self::Ports | Self::Flags | Self::FlowFlags | Self::Limit | Self::Top)
    }

    /// An item without the spaces around it that do not belong to it, whichever way they are written.
    pub(super) fn trim(self, item: &str) -> &str {
        let is_space = |c: char| c.is_whitespace() || c == '+' && self.keeps_plus();
        if self.keeps_spaces() { item } else { item.trim_matches(is_space) }
    }
}

const fn parameter(name: &'static str, kind: ParameterKind, about: &'static str) -> Parameter {
    Parameter { name, kind, about }
}

/// Every parameter of the endpoint. Names, values and meanings are its contract.
pub const PARAMETERS: &[Parameter] = {
    use ParameterKind::{
        Addresses, Comparison, Count, During, Equality, Fields, Filter, Flags, FlowFlags, Limit, Names, Page, Ports,
        Protocols, Sort, Switch, Time,
    };
    &[
        parameter("sTime", Time, "A bound on when the flow began, by default the earliest time."),
        parameter("sTimeOp", Comparison, "How the start time compares with sTime; gte if left out."),
        parameter("eTime", Time, "A second bound on when the flow began, by default the latest time."),
        parameter("eTimeOp", Comparison, "How the start time compares with eTime; lte if left out."),
        parameter(
            "during",
            During,
            "What of a flow lies between sTime and eTime: starts, if left out, its start; overlaps, any moment of it; within, all of it. A flow without an end ends when it begins.",
        ),
        parameter(
            "protocol",
            Protocols,
            "The protocol: a name in any case or an IANA number. UNKNOWN is all but TCP, UDP and ICMP; ALL is no filter.",
        ),
        parameter("protocolOp", Equality, "eq: one of the protocols; ne: none of them."),
        parameter("srcIp", Addresses, "The source's address."),
        parameter("srcIpOp", Equality, "eq: one of the addresses; ne: none of them, but an address."),
        parameter("dstIp", Addresses, "The destination's address."),
        parameter("dstIpOp", Equality, "eq: one of the addresses; ne: none of them, but an address."),
        parameter("ip", Addresses, "The address of at least one end."),
        parameter(
            "ipOp",
            Equality,
            "eq: at least one end has one of the addresses; ne: neither has, but one has an address.",
        ),
        parameter("srcPort", Ports, "The source's port."),
        parameter("srcPortOp", Comparison, "How the source's port compares; lists and ranges take eq and ne only."),
        parameter("dstPort", Ports, "The destination's port."),
        parameter(
            "dstPortOp",
            Comparison,
            "How the destination's port compares; lists and ranges take eq and ne only.",
        ),
        parameter("port", Ports, "The port of at least one end."),
        parameter(
            "portOp",
            Comparison,
            "How the port of at least one end compares; ne: neither end has one of the ports, but one has a port.",
        ),
        parameter("srcNode", Names, "The name of the source's node."),
        parameter("srcNodeOp", Equality, "eq: one of the names; ne: none of them, but a name."),
        parameter("dstNode", Names, "The name of the destination's node."),
        parameter("dstNodeOp", Equality, "eq: one of the names; ne: none of them, but a name."),
        parameter("anyNode", Names, "The name of the node of at least one end."),
        parameter(
            "anyNodeOp",
            Equality,
            "eq: at least one end has one of the names; ne: neither has, but one has a name.",
        ),
        parameter("node", Names, "The ID of the node that logged the flow."),
        parameter("nodeOp", Equality, "eq: one of the IDs; ne: none of them, but an ID."),
        parameter(
            "tcpFlags",
            Flags,
            "Sets of TCP flags: the flow carries all flags of at least one of them. It may be repeated.",
        ),
        parameter(
            "flags",
            FlowFlags,
            "Sums of flow flags: the flow carries all flags of at least one of them. It may be repeated.",
        ),
        parameter(
            "defunct",
            Switch,
            "true: flows that could not be carried, by their flow flags: without an ACL match, a rule match or a route, with \
             invalid TCP, or with a certificate that is expired, of another name or self-signed, or without one where mutual \
             TLS is needed. It does not go with flags.",
        ),
        parameter(
            "filter",
            Filter,
            "A filter as text, with the words of nfdump, which a flow must pass as well. `last 24h` is before the moment of each request.",
        ),
        parameter("limit", Limit, "The most rows in the answer."),
        parameter("page", Page, "Where the answer begins."),
        parameter("cursor", Page, "Another name of page."),
        parameter("fields", Fields, "The fields that a row of the answer has; those of the profile if left out."),
        parameter("sort", Sort, "The fields to sort by; then always by start time, which reverse turns round."),
        parameter("reverse", Switch, "true: newer flows first; false, as if left out: older flows first."),
        parameter("count", Count, "Whether matches are counted: auto, if left out, where that costs nothing."),
    ]
};

/// The parameters of a summary beside those that filter.
const OF_SUMMARIES: &[Parameter] = &[
    parameter("by", ParameterKind::By, "The fields whose values make the groups; without it there is one total."),
    parameter(
        "measure",
        ParameterKind::Measure,
        "With by: the groups that have most of this are told, and come first; flows if left out.",
    ),
    parameter("top", ParameterKind::Top, "With by: how many groups are told; 10 if left out."),
    parameter(
        "every",
        ParameterKind::Every,
        "How long the buckets of time are that all matches are told by, aligned to 1970; auto makes at most 120, any other at most 10000.",
    ),
    parameter(
        "fields",
        ParameterKind::Sums,
        "What is told of all, of a group and of a bucket; * if left out. With flows alone less is read.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Request, SummaryRequest};

    #[test]
    fn every_parameter_of_a_summary_is_read() {
        for parameter in Parameter::of_summaries() {
            let error = SummaryRequest::parse(&format!("{}=,", parameter.name)).unwrap_err().to_string();
            assert!(error.contains(&format!("`{}`", parameter.name)), "{error}");
        }
    }

    #[test]
    fn every_parameter_is_read() {
        for parameter in PARAMETERS {
            let error = Request::parse(&format!("{}=,", parameter.name)).unwrap_err().to_string();
            assert!(error.contains(&format!("`{}`", parameter.name)), "{error}");
        }
    }

    #[test]
    fn names_are_there_once() {
        for (index, parameter) in PARAMETERS.iter().enumerate() {
            assert_eq!(PARAMETERS.iter().position(|other| other.name == parameter.name), Some(index));
        }
    }
}
