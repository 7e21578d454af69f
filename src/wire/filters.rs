//! The filter that the arguments ask for.

use std::ops::Bound::{Excluded, Unbounded};

use super::{
    operator::{Operator, word},
    problem::Wrong,
    reader::Reader,
    sort::switch,
    values::{addresses, flags, flow_flags, instant, ports, protocol},
};
use crate::{
    filter::{self, Addresses, Filter, Names, Numbers, Ranges, Times},
    flow::{FlowFlags, Instant, Protocol, Timestamp},
    query::Query,
};

/// What the parameters that filter say.
pub(super) struct Filters {
    /// A flow matches if all of them hold.
    pub(super) all: Filter,
    /// Where the text looks at the time of the request.
    pub(super) moving: Option<Moving>,
}

/// A filter that is another with each request, as that of `last 24h` is: what cursors are bound to in its place.
///
/// ```
/// use flowseek::wire::Request;
///
/// let request = Request::parse("dstPort=443&filter=last 24h and proto tcp")?;
/// let moving = request.moving.ok_or("the filter has no `last`")?;
/// assert_eq!((moving.others.to_string().as_str(), moving.text.as_str()), ("dst port 443", "last 24h and proto tcp"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moving {
    /// The other parameters.
    pub others: Filter,
    /// The text of the filter.
    pub text: String,
}

impl Moving {
    /// Binds the cursors of a query under `filter` to the text.
    pub(super) fn bind(&self, query: Query, filter: &Filter) -> Query {
        query.within(&format!("filter {}", self.text), filter)
    }
}

/// Reads the parameters that filter.
pub(super) fn read(reader: &mut Reader) -> Filters {
    let others = parameters(reader);
    let Some((text, parsed)) = reader.filter("filter") else { return Filters { all: others, moving: None } };
    let moving = parsed.is_relative.then(|| Moving { others: others.clone(), text });
    Filters { all: others.and(parsed.filter), moving }
}

/// Those but the text; a flow matches if all of them hold.
fn parameters(reader: &mut Reader) -> Filter {
    let during =
        reader.one("during", |text| word(text, "is not what a window means", &During::WORDS)).unwrap_or_default();
    let from = bound(reader, ("sTime", "sTimeOp"), Operator::Gte, during);
    let to = bound(reader, ("eTime", "eTimeOp"), Operator::Lte, during);
    let tests = [
        from,
        to,
        protocols(reader, filter::protocol()),
        address(reader, ("srcIp", "srcIpOp"), filter::src_ip()),
        address(reader, ("dstIp", "dstIpOp"), filter::dst_ip()),
        address(reader, ("ip", "ipOp"), filter::ip()),
        port(reader, ("srcPort", "srcPortOp"), filter::src_port()),
        port(reader, ("dstPort", "dstPortOp"), filter::dst_port()),
        port(reader, ("port", "portOp"), filter::port()),
        name(reader, ("srcNode", "srcNodeOp"), filter::src_node()),
        name(reader, ("dstNode", "dstNodeOp"), filter::dst_node()),
        name(reader, ("anyNode", "anyNodeOp"), filter::any_node()),
        name(reader, ("node", "nodeOp"), filter::node_id()),
        reader.list("tcpFlags", flags).map(|masks| filter::tcp_flags().carries_any(masks)),
        reader.list("flags", flow_flags).map(|masks| filter::flow_flags().carries_any(masks)),
        defunct(reader),
    ];
    tests.into_iter().flatten().fold(Filter::all(), Filter::and)
}

/// What of a flow lies in the window of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum During {
    /// Its start.
    #[default]
    Starts,
    /// Any moment of it.
    Overlaps,
    /// All of it.
    Within,
}

impl During {
    const WORDS: [(&'static str, Self); 3] =
        [("starts", Self::Starts), ("overlaps", Self::Overlaps), ("within", Self::Within)];
}

/// One of the bounds of the window, whose default operator says which.
///
/// A flow overlaps 10:00 to 11:00 where it ends at 10:00 or later and starts at 11:00 or earlier; it lies within where it starts
/// at 10:00 or later and ends at 11:00 or earlier.
fn bound(reader: &mut Reader, (name, operator): (&str, &str), default: Operator, during: During) -> Option<Filter> {
    let given = reader.operator(operator, default);
    let time = reader.one(name, instant)?;
    let is_first = default == Operator::Gte;
    let is_bound = match given {
        Operator::Gt | Operator::Gte => is_first,
        Operator::Lt | Operator::Lte => !is_first,
        Operator::Eq | Operator::Ne => false,
    };
    if during != During::Starts && !is_bound {
        let allowed = if is_first { "gt, gte" } else { "lt, lte" };
        let wrong = Wrong::because("with `during` it is a bound of the window");
        reader.refuse(operator, &wrong.allowed(allowed));
        return None;
    }
    let of_end = match during {
        During::Starts => false,
        During::Overlaps => is_first,
        During::Within => !is_first,
    };
    let start = compared(filter::start_time(), given, time);
    if !of_end {
        return Some(start);
    }
    let is_open = !filter::end_time().gte(Timestamp::MIN);
    Some(compared(filter::end_time(), given, time).or(is_open.and(start)))
}

fn compared(field: Times, operator: Operator, time: Instant) -> Filter {
    match operator {
        Operator::Eq => field.eq(time),
        Operator::Ne => field.ne(time),
        Operator::Gt => field.gt(time),
        Operator::Gte => field.gte(time),
        Operator::Lt => field.lt(time),
        Operator::Lte => field.lte(time),
    }
}

fn defunct(reader: &mut Reader) -> Option<Filter> {
    let is_defunct = reader.one("defunct", switch)?;
    if is_defunct && reader.is_given("flags") {
        let wrong = Wrong::because("it does not go with `flags`, which it stands for");
        reader.refuse("defunct", &wrong.allowed("one of the two"));
    }
    is_defunct.then(|| filter::flow_flags().carries_any(FlowFlags::DEFUNCT.iter().copied()))
}

fn protocols(reader: &mut Reader, field: Numbers<Protocol>) -> Option<Filter> {
    let operator = reader.operator("protocolOp", Operator::Eq);
    // With `ALL` among the items there is no filter, whatever the operator.
    let items: Option<Vec<Ranges>> = reader.list("protocol", protocol)?.into_iter().collect();
    let listed: Ranges = items?.iter().flat_map(Ranges::as_slice).copied().collect();
    Some(if operator == Operator::Ne { field.outside(listed) } else { field.ranges(listed) })
}

fn address(reader: &mut Reader, (name, operator): (&str, &str), field: Addresses) -> Option<Filter> {
    let operator = reader.operator(operator, Operator::Eq);
    let ranges = reader.list(name, addresses)?;
    Some(if operator == Operator::Ne { field.none_of(ranges) } else { field.any_of(ranges) })
}

fn name(reader: &mut Reader, (name, operator): (&str, &str), field: Names) -> Option<Filter> {
    let operator = reader.operator(operator, Operator::Eq);
    let names = reader.list(name, |name| Ok(name.to_owned()))?;
    Some(if operator == Operator::Ne { field.none_of(names) } else { field.any_of(names) })
}

fn port(reader: &mut Reader, (name, operator): (&str, &str), field: Numbers<u16>) -> Option<Filter> {
    let comparison = reader.operator(operator, Operator::Eq);
    let listed = reader.list(name, ports)?;
    let single = match listed.as_slice() {
        [(first, last)] if first == last => Some(*first),
        _ => None,
    };
    let ranges = || -> Ranges { listed.iter().map(|&(first, last)| (first.into(), last.into())).collect() };
    match (comparison, single) {
        (Operator::Eq, _) => Some(field.ranges(ranges())),
        (Operator::Ne, _) => Some(field.outside(ranges())),
        (Operator::Gt, Some(port)) => Some(field.within((Excluded(port), Unbounded))),
        (Operator::Gte, Some(port)) => Some(field.within(port..)),
        (Operator::Lt, Some(port)) => Some(field.within(..port)),
        (Operator::Lte, Some(port)) => Some(field.within(..=port)),
        (_, None) => {
            let wrong = Wrong::because(format!("a list or a range does not go with `{operator}` here"));
            reader.refuse(name, &wrong.allowed(format!("one port, or eq and ne in `{operator}`")));
            None
        }
    }
}
