//! A query string as a typed request.

use super::{
    fields,
    filters::{self, Filters, Moving},
    limits::{Exports, Limits, Wanted},
    number::whole_number,
    operator::word,
    parameter::PARAMETERS,
    problem::{Wrong, quote},
    reader::Reader,
    sort,
};
use crate::{
    archive::Snapshot,
    error::{Error, Result},
    filter::Filter,
    flow::Field,
    order::Order,
    query::{Count, Query, Start},
};

/// The longest query string that is read, in bytes. A whole URL of 64 KiB is more than HTTP libraries let through.
pub const MAX_QUERY_BYTES: usize = 60 * 1024;

/// What a query string asks for.
///
/// The text is that of a URL's query, percent-encoded or not; a leading `?` is allowed. [`PARAMETERS`](super::PARAMETERS)
/// lists the names. An empty value is an absent parameter, and an operator without its operand is ignored, unless
/// it is wrong. Commas separate the items of a list, percent-encoded or not; spaces around an item are dropped except in
/// names. A comma that is part of a name has a backslash before it (`a\,b`), and so has a backslash of a name that stands
/// before a comma (`a\\,b` are `a\` and `b`); any other backslash is itself. An unescaped `+` is a space in names and
/// operators, and itself in numbers, times and sums of flags.
///
/// Operators are taken literally, `ne` included: it wants a value that is present and none of the listed. On
/// "either end" (`ip`, `port`, `anyNode`) a comparison holds if it does for at least one end; but `ne` is what an analyst
/// means by "not": neither end is one of the listed, and at least one has a value. Where `ALL` is one of the protocols there
/// is no filter by protocol, whatever the operator. Where `sTime` is later than `eTime` no flow matches; that is no
/// error. Binary digits in `tcpFlags`, as answers show them, are refused: as decimal numbers they would be
/// other flags.
///
/// ```
/// use flowseek::{order::Order, wire::Request};
///
/// let request = Request::parse("dstPort=443,8000-8999&tcpFlags=SYN+ACK&reverse=true&limit=5")?;
/// assert_eq!(request.order, Order::newest_first());
/// assert_eq!(request.limit, 5);
/// # Ok::<(), flowseek::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which flows match.
    pub filter: Filter,
    /// In which order they come.
    pub order: Order,
    /// How many of them at most make a page.
    pub limit: usize,
    /// Whether one page is the answer.
    pub wanted: Wanted,
    /// From which on.
    pub start: Start,
    /// Whether they are counted.
    pub count: Count,
    /// The fields that they are shown by, each under its name in an answer; `None` where the profile says it.
    pub fields: Option<Vec<(&'static str, Field)>>,
    /// Where the filter is another with each request: what cursors are bound to.
    pub moving: Option<Moving>,
}

impl Request {
    /// The question to a snapshot.
    pub fn query(&self, snapshot: &Snapshot) -> Query {
        let query = match &self.moving {
            Some(moving) => moving.bind(snapshot.query(moving.others.clone()), &self.filter),
            None => snapshot.query(self.filter.clone()),
        };
        let query = query.order(self.order.clone());
        query.limit(self.limit).start(self.start.clone()).count(self.count)
    }

    /// Reads a query string with the default [`Limits`].
    ///
    /// # Errors
    /// As [`parse_with`](Self::parse_with).
    pub fn parse(query: &str) -> Result<Self> {
        Self::parse_with(query, &Limits::default())
    }

    /// Reads a query string.
    ///
    /// # Errors
    /// [`InvalidQuery`](crate::ErrorKind::InvalidQuery) with everything that is wrong, the first hundred problems one by
    /// one, or where the string is longer than [`MAX_QUERY_BYTES`].
    /// [`InvalidCursor`](crate::ErrorKind::InvalidCursor) where nothing is wrong but the form of the cursor. Whether the
    /// archive and the query are those of the cursor is found where the query is answered.
    pub fn parse_with(query: &str, limits: &Limits) -> Result<Self> {
        if query.len() > MAX_QUERY_BYTES {
            let problem = format!("the query has {} bytes; allowed: at most {MAX_QUERY_BYTES}", query.len());
            return Err(Error::invalid_query(vec![problem]));
        }
        let mut reader = Reader::new(query, PARAMETERS.iter().collect());
        let Filters { all: filter, moving } = filters::read(&mut reader);
        let rows = reader.one("limit", |text| limit(text, limits));
        let (limit, wanted) = rows.unwrap_or((limits.default_rows, Wanted::Page));
        if reader.is_given("page") && reader.is_given("cursor") {
            reader.refuse("cursor", &Wrong::because("it is another name of `page`").allowed("one of the two"));
        }
        let starts = ["page", "cursor"].map(|name| reader.one(name, |text| page(name, text, wanted)));
        let start = starts.into_iter().flatten().next().unwrap_or(Ok(Start::First));
        let fields = fields::read(&mut reader);
        let order = sort::read(&mut reader);
        let count = reader.one("count", count).unwrap_or_default();
        let mut problems = reader.problems;
        match start {
            Ok(start) if problems.is_empty() => Ok(Self { filter, order, limit, wanted, start, count, fields, moving }),
            Err(cursor) if problems.is_empty() => Err(cursor),
            Ok(_) => Err(Error::invalid_query(problems.finish())),
            Err(cursor) => {
                problems.push(|| cursor.to_string());
                Err(Error::invalid_query(problems.finish()))
            }
        }
    }
}

fn limit(text: &str, limits: &Limits) -> Result<(usize, Wanted), Wrong> {
    let all = limits.exports == Exports::Allowed;
    if all && text == "all" {
        // Pages without rows would never come to an end.
        return Ok((limits.largest_rows.max(1), Wanted::All));
    }
    let limit = whole_number(text).and_then(|number| usize::try_from(number).ok());
    let limit = limit.filter(|limit| *limit <= limits.largest_rows).map(|limit| (limit, Wanted::Page));
    let or_all = if all { ", and all" } else { "" };
    limit.ok_or_else(|| Wrong::value(text, "is not a limit").allowed(format!("0 to {}{or_all}", limits.largest_rows)))
}

/// Reads a page number or a cursor; what is wrong with a cursor is an error of its own kind.
fn page(name: &str, text: &str, wanted: Wanted) -> Result<Result<Start>, Wrong> {
    // No archive has so many pages that a greater number would be another one.
    let digits = text.bytes().all(|digit| digit.is_ascii_digit());
    match whole_number(text).or(digits.then_some(u64::MAX)) {
        Some(0) => Err(Wrong::value(text, "is not a page")),
        Some(_) if wanted == Wanted::All => {
            let wrong = Wrong::because("the number of a page does not go with all rows in `limit`");
            Err(wrong.allowed("the cursor of the page before"))
        }
        Some(number) => Ok(Ok(Start::Number(number))),
        // A number all the same, such as -1 or 1.5; no cursor is one.
        None if text.parse::<f64>().is_ok() => Err(Wrong::value(text, "is not a page")),
        None => Ok(text.parse().map(Start::At).map_err(|error: Error| {
            let place = if name == "page" { String::new() } else { format!(" as `{name}`") };
            Error::new(error.kind(), format!("{error}; given{place}: {}", quote(text)))
        })),
    }
}

fn count(text: &str) -> Result<Count, Wrong> {
    let words = [("auto", Count::Auto), ("exact", Count::Exact), ("none", Count::None)];
    word(text, "is not a way to count", &words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{error::ErrorKind, filter, flow::Protocol, order::Cursor, wire::PARAMETERS};

    fn problems(query: &str) -> Vec<String> {
        Request::parse(query).unwrap_err().problems().to_vec()
    }

    #[test]
    fn an_empty_query_asks_for_the_oldest_flows() {
        let expected = Request {
            filter: Filter::all(),
            order: Order::oldest_first(),
            limit: 1000,
            wanted: Wanted::Page,
            start: Start::First,
            count: Count::Auto,
            fields: None,
            moving: None,
        };
        for query in ["", "?", "&", "tcpFlags=&dstPort&srcPortOp=ne", "protocol=all", "protocol=TCP,ALL&protocolOp=ne"]
        {
            assert_eq!(Request::parse(query).unwrap(), expected, "{query}");
        }
    }

    #[test]
    fn spellings_of_one_request_are_equal() {
        let spellings = [
            "tcpFlags=SYN+ACK,1&dstPort=443&sTime=2022-10-17T15:17:51+02:00",
            "?dstPort=443.0&sTime=1666012671&tcpFlags=SYN%2BACK&tcpFlags=fin",
            "sTime=2022-10-17T15%3A17%3A51%2B02%3A00&tcpFlags=SYN%20ACK%2C%200x01&dstPort=%34%343",
        ];
        let [first, others @ ..] = spellings.map(|query| Request::parse(query).unwrap().filter.normal());
        assert!(others.iter().all(|filter| *filter == first));
    }

    #[test]
    fn a_list_with_ne_wants_none_of_its_items() {
        let request = Request::parse("dstPort=80,1024-2048&dstPortOp=ne&protocol=tcp,17&protocolOp=ne").unwrap();
        let ports = filter::dst_port().within(..80).or(filter::dst_port().within(81..1024));
        let ports = ports.or(filter::dst_port().within(2049..));
        let protocols = filter::protocol().none_of([Protocol::TCP, Protocol::UDP]);
        assert_eq!(request.filter.normal(), ports.and(protocols).normal());
    }

    #[test]
    fn the_limits_are_the_callers() {
        let limits = Limits::default().default_rows(5).largest_rows(7);
        assert_eq!(Request::parse_with("", &limits).unwrap().limit, 5);
        assert_eq!(Request::parse_with("limit=7.0", &limits).unwrap().limit, 7);
        let error = Request::parse_with("limit=8", &limits).unwrap_err();
        assert_eq!(error.problems(), [r#"`limit`: "8" is not a limit; allowed: 0 to 7"#]);
    }

    #[test]
    fn all_rows_are_a_limit_where_exports_are_allowed() {
        assert_eq!(problems("limit=all"), [r#"`limit`: "all" is not a limit; allowed: 0 to 10000"#]);
        let limits = Limits::default().exports(Exports::Allowed);
        let request = Request::parse_with("limit=all", &limits).unwrap();
        assert_eq!((request.limit, request.wanted), (10_000, Wanted::All));
        assert_eq!(Request::parse_with("limit=5", &limits).unwrap().wanted, Wanted::Page);
        let error = Request::parse_with("limit=all&page=2", &limits).unwrap_err();
        assert!(error.problems()[0].starts_with("`page`: the number of a page"), "{error}");
        let error = Request::parse_with("limit=any", &limits).unwrap_err();
        assert!(error.problems()[0].ends_with("0 to 10000, and all"), "{error}");
    }

    #[test]
    fn a_page_is_a_number_from_one_on_or_a_cursor() {
        let start = |query: &str| Request::parse(query).unwrap().start;
        assert_eq!(start("page=1"), Start::Number(1));
        assert_eq!(start("page=%2007"), Start::Number(7));
        assert_eq!(start(&format!("page={}", "9".repeat(400))), Start::Number(u64::MAX));
        let cursor: Cursor = format!("Ag{}", "A".repeat(60)).parse().unwrap();
        assert_eq!(start(&format!("page={cursor}")), Start::At(cursor));
        for text in ["0", "-1", "1.5", "-1e3", "inf"] {
            let allowed = "allowed: the cursor of the page before, or a page number from 1 on";
            assert_eq!(problems(&format!("page={text}")), [format!("`page`: {text:?} is not a page; {allowed}")]);
        }
    }

    #[test]
    fn a_cursor_is_a_page_and_there_is_one_of_them() {
        let cursor: Cursor = format!("Ag{}", "A".repeat(60)).parse().unwrap();
        assert_eq!(
            Request::parse(&format!("cursor={cursor}")).unwrap(),
            Request::parse(&format!("page={cursor}")).unwrap()
        );
        assert_eq!(Request::parse("cursor=2&page=").unwrap().start, Start::Number(2));
        let both = problems("cursor=2&page=2");
        assert_eq!(both, ["`cursor`: it is another name of `page`; allowed: one of the two"]);
    }

    #[test]
    fn defunct_stands_for_flow_flags_and_does_not_go_with_others() {
        let flags = "flags=65536,131072&flags=262144,524288,67108864,134217728,268435456,536870912";
        let filter = |query: &str| Request::parse(query).unwrap().filter.normal();
        assert_eq!(filter("defunct=true"), filter(flags));
        assert_eq!(filter("defunct=false&flags=3"), filter("flags=3"));
        assert_ne!(filter("flags=3"), filter("flags=1,2"));
        let both = problems("defunct=true&flags=1");
        assert_eq!(both, ["`defunct`: it does not go with `flags`, which it stands for; allowed: one of the two"]);
        for text in ["0", "-1", "1.5", "0x10", "SYN", "18446744073709551616"] {
            let allowed = "allowed: decimal numbers from 1 to 18446744073709551615, and comma lists of these";
            let told = problems(&format!("flags={text}"));
            assert!(told[0].ends_with(allowed), "{told:?}");
        }
    }

    #[test]
    fn fields_are_those_of_an_answer() {
        let names = |query: &str| -> Vec<&str> {
            Request::parse(query).unwrap().fields.into_iter().flatten().map(|(name, _)| name).collect()
        };
        assert_eq!(names("fields=sourcePackets,startTime"), ["sourcePackets", "startTime"]);
        assert_eq!(names("fields=*").len(), 18);
        assert_eq!(names("fields=*"), names("fields=nodeId,*"));
        assert_eq!(Request::parse("fields=").unwrap().fields, None);
        assert_eq!(problems("fields=meta,meta"), ["`fields`: meta is given twice; allowed: each field once"]);
        let told = problems("fields=srcPort,meta,flow_id");
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains(r#"`fields`: "srcPort" is not a field of an answer"#), "{told:?}");
        assert!(told[0].ends_with("did you mean `sourcePort`?"), "{told:?}");
    }

    #[test]
    fn a_bad_cursor_is_an_error_of_its_own_unless_more_is_wrong() {
        let alone = Request::parse("page=AQaaaa&limit=5").unwrap_err();
        assert_eq!(alone.kind(), ErrorKind::InvalidCursor);
        assert!(alone.to_string().ends_with(r#"given: "AQaaaa""#), "{alone}");
        let both = Request::parse("page=AQaaaa&limit=x").unwrap_err();
        assert_eq!(both.kind(), ErrorKind::InvalidQuery);
        assert_eq!(both.problems().len(), 2);
        assert!(both.problems().contains(&alone.to_string()));
    }

    #[test]
    fn long_queries_are_refused_and_long_lists_are_not() {
        let list = |bytes: usize| format!("dstPort={}1", "9,".repeat((bytes - 9) / 2));
        assert!(Request::parse(&list(MAX_QUERY_BYTES - 1)).is_ok());
        assert_eq!(problems(&list(MAX_QUERY_BYTES + 1)).len(), 1);
        let wrong = problems(&format!("dstPort={}", "x,".repeat(20_000)));
        assert_eq!(wrong.len(), 101);
        assert_eq!(wrong.last().unwrap(), "19901 more problems are not listed");
    }

    fn piece() -> impl Strategy<Value = String> {
        let names: Vec<&'static str> = PARAMETERS.iter().map(|parameter| parameter.name).collect();
        let values = [
            "443",
            "1-2",
            "eq",
            "lte",
            "SYN+ACK",
            "0x12",
            "10.0.0.0/8",
            "::1",
            "TCP,ALL",
            "1666012671.5",
            "2022-10-17T15:17:51+02:00",
            "sTime:desc",
            "true",
            "exact",
            "%2C",
            "%",
            "",
            ",",
            "AQaaaa",
        ];
        let value = prop_oneof![prop::sample::select(values.to_vec()).prop_map(str::to_owned), any::<String>()];
        (prop::sample::select(names), value).prop_map(|(name, value)| format!("{name}={value}"))
    }

    proptest! {
        #[test]
        fn no_text_makes_a_panic(query in any::<String>()) {
            let _ = Request::parse(&query);
        }

        #[test]
        fn no_mutated_query_makes_a_panic(
            pieces in prop::collection::vec(piece(), 0..6),
            at in any::<prop::sample::Index>(),
            inserted in any::<char>(),
        ) {
            let mut query: Vec<char> = pieces.join("&").chars().collect();
            query.insert(at.index(query.len() + 1), inserted);
            if let Err(error) = Request::parse(&String::from_iter(query)) {
                prop_assert!(error.kind() == ErrorKind::InvalidCursor || !error.problems().is_empty());
            }
        }
    }
}
