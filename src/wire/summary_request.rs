//! The query string of a summary as a typed request.

use std::time::Duration;

use super::{
    filters, number::whole_number, operator::word, parameter::Parameter, problem::Wrong, reader::Reader,
    request::MAX_QUERY_BYTES, sort::field, summary_view::Shown,
};
use crate::{
    archive::Snapshot,
    error::{Error, Result},
    filter::Filter,
    flow::Field,
    query::{Every, LARGEST_TOP, Measure, SummaryQuery},
};

/// The longest bucket, in milliseconds: 36,500 days.
const LONGEST_MILLIS: u64 = 36_500 * 86_400_000;
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// What the query string of a summary asks for.
///
/// [`Parameter::of_summaries`] lists the names. Those that filter are read as in a [`Request`](super::Request). `measure` and
/// `top` choose among groups, so they are errors without `by`.
///
/// ```
/// use flowseek::{flow::Field, query::Measure, wire::SummaryRequest};
///
/// let request = SummaryRequest::parse("protocol=UDP&by=dstPort,srcIp&measure=bytes&every=1h")?;
/// assert_eq!(request.by, [Field::DstPort, Field::SrcIp]);
/// assert_eq!((request.measure, request.top), (Measure::Bytes, 10));
/// let error = SummaryRequest::parse("groupBy=dstPort").unwrap_err();
/// assert_eq!(error.problems(), ["`groupBy` is not a parameter; did you mean `by`?"]);
/// # Ok::<(), flowseek::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryRequest {
    /// Which flows match.
    pub filter: Filter,
    /// The fields that they are grouped by.
    pub by: Vec<Field>,
    /// What groups are compared by.
    pub measure: Measure,
    /// How many groups are told.
    pub top: usize,
    /// How long buckets are; `None` where there are none.
    pub every: Option<Every>,
    /// The sums that are told.
    pub shown: Shown,
}

impl SummaryRequest {
    /// The question to a snapshot.
    pub fn query(&self, snapshot: &Snapshot) -> SummaryQuery {
        let query = snapshot.summarize(self.filter.clone()).by(self.by.clone()).measure(self.measure).top(self.top);
        let query = query.sums(self.shown.fields());
        match self.every {
            Some(every) => query.every(every),
            None => query,
        }
    }

    /// Reads a query string.
    ///
    /// # Errors
    /// [`InvalidQuery`](crate::ErrorKind::InvalidQuery) with everything that is wrong, the first hundred problems one by
    /// one, or where the string is longer than [`MAX_QUERY_BYTES`].
    pub fn parse(query: &str) -> Result<Self> {
        if query.len() > MAX_QUERY_BYTES {
            let problem = format!("the query has {} bytes; allowed: at most {MAX_QUERY_BYTES}", query.len());
            return Err(Error::invalid_query(vec![problem]));
        }
        let mut reader = Reader::new(query, Parameter::of_summaries().collect());
        let filter = filters::read(&mut reader).all;
        let by = by(&mut reader);
        let measure = reader.one("measure", measure);
        let top = reader.one("top", top);
        for (name, is_given) in [("measure", measure.is_some()), ("top", top.is_some())] {
            if is_given && by.is_none() {
                reader
                    .refuse(name, &Wrong::because("there are no groups to choose from").allowed("together with `by`"));
            }
        }
        let every = reader.one("every", every);
        let shown =
            reader.list("fields", sum).map_or(Shown::ALL, |shown| shown.into_iter().fold(Shown::NONE, Shown::or));
        let request = Self {
            filter,
            by: by.unwrap_or_default(),
            measure: measure.unwrap_or_default(),
            top: top.unwrap_or(10),
            every,
            shown,
        };
        if reader.problems.is_empty() { Ok(request) } else { Err(Error::invalid_query(reader.problems.finish())) }
    }
}

/// Reads `by`; `None` where it is absent, and nothing where it is wrong.
fn by(reader: &mut Reader) -> Option<Vec<Field>> {
    if !reader.is_given("by") {
        return None;
    }
    let fields = reader.list("by", field).unwrap_or_default();
    if let [(first, one), (second, other)] = fields.as_slice()
        && one == other
    {
        let what = format!("{second} is the same field as {first} before it");
        reader.refuse("by", &Wrong::because(what).allowed("each field once"));
    }
    if fields.len() > 2 {
        let what = format!("{} fields are given", fields.len());
        reader.refuse("by", &Wrong::because(what).allowed("one field or two"));
    }
    Some(fields.into_iter().map(|(_, field)| field).collect())
}

fn measure(text: &str) -> Result<Measure, Wrong> {
    let words = [
        ("flows", Measure::Flows),
        ("bytes", Measure::Bytes),
        ("sourceBytes", Measure::SourceBytes),
        ("destBytes", Measure::DestBytes),
    ];
    word(text, "is not a measure", &words)
}

fn top(text: &str) -> Result<usize, Wrong> {
    let top = whole_number(text).and_then(|number| usize::try_from(number).ok());
    let top = top.filter(|top| (1..=LARGEST_TOP).contains(top));
    top.ok_or_else(|| Wrong::value(text, "is not a number of groups").allowed(format!("1 to {LARGEST_TOP}")))
}

fn every(text: &str) -> Result<Every, Wrong> {
    if text == "auto" {
        return Ok(Every::Auto);
    }
    let wrong = || Wrong::value(text, "is not the length of a bucket");
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let number = whole_number(number.trim()).ok_or_else(wrong)?;
    if unit.is_empty() {
        return Err(Wrong::value(text, "has no unit"));
    }
    let unit = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, millis)| *millis).ok_or_else(wrong)?;
    let millis = number.checked_mul(unit).filter(|millis| (1..=LONGEST_MILLIS).contains(millis)).ok_or_else(wrong)?;
    Ok(Every::Length(Duration::from_millis(millis)))
}

fn sum(text: &str) -> Result<Shown, Wrong> {
    let words = [
        ("flows", Shown { flows: true, ..Shown::NONE }),
        ("sourceBytes", Shown { source_bytes: true, ..Shown::NONE }),
        ("destBytes", Shown { dest_bytes: true, ..Shown::NONE }),
        ("*", Shown::ALL),
    ];
    word(text, "is not a sum", &words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problems(query: &str) -> Vec<String> {
        SummaryRequest::parse(query).unwrap_err().problems().to_vec()
    }

    #[test]
    fn lengths_of_buckets_have_units() {
        let every = |text: &str| SummaryRequest::parse(&format!("every={text}")).map(|request| request.every);
        for (text, millis) in
            [("1ms", 1), ("90s", 90_000), ("5m", 300_000), ("1h", 3_600_000), ("36500d", LONGEST_MILLIS)]
        {
            assert_eq!(every(text).unwrap(), Some(Every::Length(Duration::from_millis(millis))), "{text}");
        }
        assert_eq!(every("auto").unwrap(), Some(Every::Auto));
        assert_eq!(every("").unwrap(), None);
        for text in
            ["0s", "5", "5min", "1.5h", "-1h", "1h30m", "36501d", "18446744073709551615d", "m", "Auto", "\u{fc}m"]
        {
            assert!(every(text).is_err(), "{text}");
        }
        let allowed = "auto, or a whole number with its unit, ms, s, m, h or d, such as 5m, up to 36500d";
        assert_eq!(problems("every=300"), [format!("`every`: \"300\" has no unit; allowed: {allowed}")]);
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let told = problems("by=dstPrt&measure=byte&top=0&every=x&limit=5&fields=flow&dstPort=70000");
        assert_eq!(told.len(), 7, "{told:#?}");
        for meant in ["dstPort", "bytes", "top", "flows"] {
            assert!(
                told.iter().any(|problem| problem.ends_with(&format!("did you mean `{meant}`?"))),
                "{meant}: {told:#?}"
            );
        }
    }

    #[test]
    fn groups_are_by_one_or_two_different_fields() {
        assert_eq!(
            problems("by=srcIp,sourceIP"),
            ["`by`: sourceIP is the same field as srcIp before it; allowed: each field once"]
        );
        assert_eq!(problems("by=srcIp,dstIp,port"), ["`by`: 3 fields are given; allowed: one field or two"]);
        assert_eq!(problems("top=1001&by=port"), ["`top`: \"1001\" is not a number of groups; allowed: 1 to 1000"]);
        for name in ["measure=flows", "top=3"] {
            let told = problems(name);
            assert!(told[0].ends_with("there are no groups to choose from; allowed: together with `by`"), "{told:?}");
        }
        assert!(SummaryRequest::parse("measure=&top=&by=&every=").is_ok());
    }

    proptest! {
        #[test]
        fn no_text_makes_a_panic(name in prop::sample::select(vec!["by", "top", "every", "measure", "fields", "x"]), value in any::<String>()) {
            let _ = SummaryRequest::parse(&format!("{name}={value}"));
        }
    }
}
