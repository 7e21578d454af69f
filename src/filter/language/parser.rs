//! From words to a filter: recursive descent, which goes on behind whatever is wrong.

use std::{collections::BTreeSet, ops::Range as Span};

use super::{
    error::FilterProblem,
    lexer::{Compare, Kind, Token, tokens},
    values::{self, Range},
};
use crate::{
    filter::{
        self, Filter, Operand, Pattern, Ranges, Set, Test, Times,
        builder::{either, neither, patterns_of},
    },
    flow::{Field, FlowFlags, Instant, TcpFlags, Timestamp},
    spelling,
};

/// Parentheses and negations are nested so deep at most: the parser calls itself for each.
const DEEPEST: usize = 100;
/// Tests of a filter, at most. A list is one.
const MOST_TESTS: usize = 1000;
/// Patterns of names of a filter, at most: each is held against each name.
const MOST_PATTERNS: usize = 64;

/// The words that begin a test, without a direction before them.
const SUBJECTS: [&str; 28] = [
    "src",
    "dst",
    "proto",
    "tcp",
    "udp",
    "icmp",
    "ip",
    "host",
    "net",
    "port",
    "portrange",
    "ipv4",
    "ipv6",
    "flags",
    "bytes",
    "packets",
    "duration",
    "node",
    "nodeid",
    "activity",
    "start",
    "end",
    "last",
    "defunct",
    "flowflags",
    "id",
    "meta",
    "any",
];
/// Other spellings of these, which are not offered.
const SYNONYMS: [&str; 6] = ["protocol", "inet", "inet6", "source", "dest", "destination"];
/// How values are compared.
const COMPARISONS: [&str; 8] = ["=", "!=", "in", "not in", ">", "<", ">=", "<="];
/// Protocols that are often asked for.
const PROTOCOLS: [&str; 8] = ["tcp", "udp", "icmp", "icmp6", "gre", "esp", "sctp", "unknown"];
/// Those that may have a direction before them.
const DIRECTED: [&str; 8] = ["ip", "host", "net", "port", "portrange", "bytes", "packets", "node"];

/// Which ends of a flow a test is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// None is named: either, and of counters both together.
    Unsaid,
    Source,
    Destination,
    /// `src or dst`.
    Either,
    /// `src and dst`.
    Both,
}

/// How values are compared: as one of a list, as none of it, or by their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    In,
    NotIn,
    By(Compare),
}

/// What is wrong has been noted; the rest of the test is passed over.
struct Failed;

type Parsed<T> = Result<T, Failed>;

pub(super) struct Parser<'t> {
    tokens: Vec<Token<'t>>,
    at: usize,
    depth: usize,
    now: Timestamp,
    /// How many tests there were, and how many patterns of names.
    tests: usize,
    patterns: usize,
    pub(super) problems: Vec<FilterProblem>,
    pub(super) is_relative: bool,
    /// The values of the test that is read, where they are words.
    values: &'static [&'static str],
    /// The fields that the test that is read compares its values with, where values of an archive may help.
    fields: Vec<Field>,
    /// Whether more was expected where the text ends.
    fails_at_end: bool,
    /// The words that may stand where the text ends.
    pub(super) offers: Vec<&'static str>,
    /// The fields of whose values one may stand there.
    pub(super) wanted: Vec<Field>,
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t str, now: Timestamp) -> Self {
        Self {
            tokens: tokens(text),
            at: 0,
            depth: 0,
            now,
            tests: 0,
            patterns: 0,
            problems: Vec::new(),
            is_relative: false,
            values: &[],
            fields: Vec::new(),
            fails_at_end: false,
            offers: Vec::new(),
            wanted: Vec::new(),
        }
    }

    /// All of the text. A text without words is every flow.
    pub(super) fn filter(&mut self) -> Filter {
        if self.kind() == Kind::End {
            self.offer_test();
            return Filter::all();
        }
        let filter = self.or();
        while self.kind() != Kind::End {
            // What follows is looked through as well, so that all that is wrong is told at once.
            self.expected("`and`, `or` or the end");
            self.skip();
            while matches!(self.kind(), Kind::And | Kind::Or | Kind::Close) {
                self.at += 1;
            }
            if self.kind() != Kind::End {
                let _ = self.or();
            }
        }
        filter
    }

    fn or(&mut self) -> Filter {
        let mut filter = self.and();
        while self.accept(Kind::Or) {
            filter = filter.or(self.and());
        }
        if !self.fails_at_end {
            self.offer(&["and", "or"]);
        }
        filter
    }

    fn and(&mut self) -> Filter {
        let mut filter = self.unary();
        while self.accept(Kind::And) {
            filter = filter.and(self.unary());
        }
        filter
    }

    fn unary(&mut self) -> Filter {
        let (kind, span) = (self.kind(), self.span());
        if !matches!(kind, Kind::Not | Kind::Open) {
            self.offer_test();
            return self.test().unwrap_or_else(|Failed| {
                self.skip();
                Filter::all()
            });
        }
        if self.depth == DEEPEST {
            self.problem(span, format!("expected at most {DEEPEST} parentheses and `not` within one another"));
            self.at = self.tokens.len() - 1;
            return Filter::all();
        }
        self.at += 1;
        self.depth += 1;
        let filter = if kind == Kind::Not { !self.unary() } else { self.parenthesis() };
        self.depth -= 1;
        filter
    }

    /// What stands between parentheses, behind the first.
    fn parenthesis(&mut self) -> Filter {
        let filter = self.or();
        self.offer(&[")"]);
        if !self.accept(Kind::Close) {
            self.expected("`and`, `or` or `)`");
            self.skip();
            let _ = self.accept(Kind::Close);
        }
        filter
    }

    fn test(&mut self) -> Parsed<Filter> {
        let test = self.any_test();
        self.fields.clear();
        test
    }

    fn any_test(&mut self) -> Parsed<Filter> {
        self.tests += 1;
        if self.tests == MOST_TESTS + 1 {
            self.problem(self.span(), format!("expected at most {MOST_TESTS} tests; a list such as [80, 443] is one"));
        }
        let ends = self.ends();
        if ends != Ends::Unsaid {
            self.offer(&DIRECTED);
        }
        let span = self.span();
        let Some(word) = self.word() else {
            let what = if ends == Ends::Unsaid {
                "a test, such as `dst port 443`"
            } else {
                "`ip`, `net`, `port`, `node`, `bytes` or `packets`"
            };
            return Err(self.expected(what));
        };
        let lower = word.to_ascii_lowercase();
        if ends != Ends::Unsaid && !DIRECTED.contains(&lower.as_str()) {
            self.at -= 1;
            return Err(self.expected("`ip`, `net`, `port`, `node`, `bytes` or `packets`"));
        }
        match lower.as_str() {
            "any" => Ok(Filter::all()),
            "proto" | "protocol" => self.protocol(),
            "tcp" | "udp" | "icmp" => Ok(one_of(Field::Protocol, &values::protocols(&lower).unwrap_or_default())),
            "ip" | "host" => self.addresses(ends),
            "net" => self.net(ends),
            "port" => {
                self.fields = fields_of(ends, Field::SrcPort, Field::DstPort);
                let (comparison, ranges) = self.compared(values::PORT, values::ports)?;
                Ok(of_ends(ends, Field::SrcPort, Field::DstPort, comparison, &ranges))
            }
            "portrange" => {
                let range = self.value("a range of ports, such as 8000-8999", values::ports)?;
                Ok(of_ends(ends, Field::SrcPort, Field::DstPort, Comparison::In, &[range]))
            }
            "ipv4" | "inet" => Ok(of_ends(ends, Field::SrcIp, Field::DstIp, Comparison::In, &[IPV4])),
            "ipv6" | "inet6" => {
                let others = [(0, IPV4.0 - 1), (IPV4.1 + 1, u128::MAX)];
                Ok(of_ends(ends, Field::SrcIp, Field::DstIp, Comparison::In, &others))
            }
            "flags" => self.flags(),
            "bytes" => self.counter(ends, Operand::Bytes, [Field::SrcBytes, Field::DstBytes]),
            "packets" => self.counter(ends, Operand::Packets, [Field::SrcPackets, Field::DstPackets]),
            "duration" => {
                let (comparison, ranges) = self.compared(values::LENGTH, values::lengths)?;
                Ok(numbers(Operand::Duration, comparison, &ranges))
            }
            "node" => self.names(ends, &[Field::SrcNode, Field::DstNode]),
            "nodeid" => self.names(Ends::Unsaid, &[Field::NodeId]),
            "activity" => self.names(Ends::Unsaid, &[Field::ActivityId]),
            "meta" => self.names(Ends::Unsaid, &[Field::Meta]),
            "id" => {
                let (comparison, ranges) = self.compared(values::NUMBER, values::numbers)?;
                Ok(numbers(Operand::Field(Field::FlowId), comparison, &ranges))
            }
            "start" => self.time(filter::start_time()),
            "end" => self.time(filter::end_time()),
            "last" => self.last(),
            "flowflags" => self.flow_flags(),
            "defunct" => Ok(filter::flow_flags().carries_any(FlowFlags::DEFUNCT.iter().copied())),
            _ => {
                let meant =
                    spelling::nearest(&lower, 2, SUBJECTS.iter().chain(&SYNONYMS).map(|known| (*known, *known)));
                let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
                let message = format!("expected a test, such as `dst port 443`; found {}{meant}", found(word));
                self.problem(span, message);
                Err(Failed)
            }
        }
    }

    /// Which ends are named.
    fn ends(&mut self) -> Ends {
        let end = |parser: &Self, ahead: usize| match parser.word_at(parser.at + ahead)?.to_ascii_lowercase().as_str() {
            "src" | "source" => Some(Ends::Source),
            "dst" | "dest" | "destination" => Some(Ends::Destination),
            _ => None,
        };
        let Some(first) = end(self, 0) else { return Ends::Unsaid };
        let joint = self.tokens.get(self.at + 1).map(|token| token.kind);
        // `src or dst port` is of either end; `src port 1 or dst port 2` are two tests.
        if let (Some(joint @ (Kind::And | Kind::Or)), Some(second)) = (joint, end(self, 2))
            && second != first
        {
            self.at += 3;
            return if joint == Kind::And { Ends::Both } else { Ends::Either };
        }
        self.at += 1;
        first
    }

    fn protocol(&mut self) -> Parsed<Filter> {
        self.values = &PROTOCOLS;
        let filter = self.protocols();
        self.values = &[];
        filter
    }

    fn protocols(&mut self) -> Parsed<Filter> {
        let (comparison, ranges) =
            self.listed(values::PROTOCOL, |text| values::protocols(text).ok_or_else(String::new))?;
        Ok(numbers(Operand::Field(Field::Protocol), comparison, &ranges.concat()))
    }

    fn addresses(&mut self, ends: Ends) -> Parsed<Filter> {
        self.fields = fields_of(ends, Field::SrcIp, Field::DstIp);
        let (comparison, ranges) = self.listed(values::ADDRESS, values::addresses)?;
        Ok(of_ends(ends, Field::SrcIp, Field::DstIp, comparison, &ranges))
    }

    fn net(&mut self, ends: Ends) -> Parsed<Filter> {
        // `net 10.0.0.0 255.0.0.0`.
        let masked = self.word_at(self.at).zip(self.word_at(self.at + 1));
        if let Some(range) = masked.and_then(|(address, mask)| values::masked(address, mask)) {
            self.at += 2;
            return Ok(of_ends(ends, Field::SrcIp, Field::DstIp, Comparison::In, &[range]));
        }
        self.addresses(ends)
    }

    fn counter(&mut self, ends: Ends, both: Operand, [source, destination]: [Field; 2]) -> Parsed<Filter> {
        let (comparison, ranges) = self.compared(values::SIZE, values::sizes)?;
        Ok(match ends {
            Ends::Unsaid => numbers(both, comparison, &ranges),
            ends => of_ends(ends, source, destination, comparison, &ranges),
        })
    }

    fn names(&mut self, ends: Ends, fields: &[Field]) -> Parsed<Filter> {
        self.fields = match fields {
            [source, destination] => fields_of(ends, *source, *destination),
            fields => fields.to_vec(),
        };
        let (comparison, names) = self.listed(values::NAME, |text| values::name(text).ok_or_else(String::new))?;
        self.patterns += names.iter().filter(|name| name.literal().is_none()).count();
        if self.patterns > MOST_PATTERNS {
            let message = format!("expected at most {MOST_PATTERNS} names with * or ? in a filter");
            self.problem(self.tokens.get(self.at - 1).map_or(0..0, |token| token.span.clone()), message);
            return Err(Failed);
        }
        let names: BTreeSet<Pattern> = names.into_iter().collect();
        let test = |field: Field, inside: bool| patterns_of(field, &names, inside);
        Ok(match fields {
            [source, destination] => joined(ends, *source, *destination, comparison, test),
            fields => {
                fields.iter().map(|field| test(*field, comparison == Comparison::In)).fold(Filter::all(), Filter::and)
            }
        })
    }

    fn time(&mut self, times: Times) -> Parsed<Filter> {
        let compare = match self.comparison() {
            Comparison::By(compare) => compare,
            Comparison::In | Comparison::NotIn => {
                self.at -= 1;
                return Err(self.expected("a comparison of times, such as `>=`"));
            }
        };
        let time: Instant = self.told(values::time)?;
        Ok(match compare {
            Compare::Eq => times.eq(time),
            Compare::Ne => times.ne(time),
            Compare::Lt => times.lt(time),
            Compare::Le => times.lte(time),
            Compare::Gt => times.gt(time),
            Compare::Ge => times.gte(time),
        })
    }

    fn last(&mut self) -> Parsed<Filter> {
        let length = self.value(values::LENGTH, values::length)?;
        self.is_relative = true;
        let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        let from = Timestamp::from_millis(self.now.as_millis().saturating_sub(millis)).unwrap_or(Timestamp::MIN);
        Ok(filter::start_time().gte(from))
    }

    /// `flags SA`: all of them; `flags any SA`; `flags none SA`; `flags = SA`: these and no others.
    fn flags(&mut self) -> Parsed<Filter> {
        let bits = |mask: u8| (0..u8::BITS).map(|bit| 1u8 << bit).filter(move |bit| mask & bit != 0).map(TcpFlags::new);
        self.offer(&["any", "none", "all"]);
        let word = self.word_at(self.at).map(str::to_ascii_lowercase);
        match word.as_deref() {
            Some("any") => {
                self.at += 1;
                let mask = self.value(values::FLAGS, values::flags)?;
                return Ok(filter::tcp_flags().carries_any(bits(mask)));
            }
            Some("none") => {
                self.at += 1;
                let mask = self.value(values::FLAGS, values::flags)?;
                return Ok(filter::tcp_flags().carries_none(bits(mask)));
            }
            Some("all") => self.at += 1,
            Some("in" | "not") | None => {
                let (comparison, ranges) = self.compared(values::FLAGS, flag_range)?;
                return Ok(numbers(Operand::Field(Field::TcpFlags), comparison, &ranges));
            }
            Some(_) => {}
        }
        let mask = self.value(values::FLAGS, values::flags)?;
        Ok(filter::tcp_flags().carries_any([TcpFlags::new(mask)]))
    }

    /// `flowflags 65536`: all of these; `flowflags = 65536`: these and no others.
    fn flow_flags(&mut self) -> Parsed<Filter> {
        let is_compared = matches!(self.kind(), Kind::Compare(_))
            || self.word_at(self.at).is_some_and(|word| word.eq_ignore_ascii_case("in"))
            || self.kind() == Kind::Not;
        if is_compared {
            let (comparison, ranges) = self.compared(values::NUMBER, values::numbers)?;
            return Ok(numbers(Operand::Field(Field::FlowFlags), comparison, &ranges));
        }
        let mask = self.value(values::NUMBER, |text| text.parse::<u64>().ok())?;
        Ok(filter::flow_flags().carries_any([FlowFlags::new(mask)]))
    }

    /// A comparison, or none, which is `=`; then a value, or behind `in` a list of values, as ranges.
    fn compared(&mut self, what: &'static str, read: fn(&str) -> Option<Range>) -> Parsed<(Comparison, Vec<Range>)> {
        let comparison = self.comparison();
        let ranges = match comparison {
            Comparison::In | Comparison::NotIn => self.list(|parser| parser.value(what, read))?,
            Comparison::By(_) => vec![self.value(what, read)?],
        };
        let is_order = matches!(comparison, Comparison::By(Compare::Lt | Compare::Le | Compare::Gt | Compare::Ge));
        if is_order && ranges.iter().any(|(first, last)| first != last) {
            let span = self.tokens.get(self.at - 1).map_or(0..0, |token| token.span.clone());
            self.problem(span, "expected one value behind a comparison by order, not a range".to_owned());
            return Err(Failed);
        }
        Ok((plain(comparison), ranges))
    }

    /// The same, of values that have no order; each is told why it is none.
    fn listed<T>(
        &mut self,
        what: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Parsed<(Comparison, Vec<T>)> {
        let read = |text: &str| read(text).map_err(|why| if why.is_empty() { what.to_owned() } else { why });
        let comparison = match self.comparison() {
            Comparison::By(Compare::Lt | Compare::Le | Compare::Gt | Compare::Ge) => {
                self.at -= 1;
                return Err(self.expected("`=`, `!=`, `in` or `not in`: these have no order"));
            }
            comparison => comparison,
        };
        let values = match comparison {
            Comparison::In | Comparison::NotIn => self.list(|parser| parser.told(read))?,
            Comparison::By(_) => vec![self.told(read)?],
        };
        Ok((plain(comparison), values))
    }

    fn comparison(&mut self) -> Comparison {
        self.offer(&COMPARISONS);
        let is_in = |parser: &Self, at: usize| parser.word_at(at).is_some_and(|word| word.eq_ignore_ascii_case("in"));
        match self.kind() {
            Kind::Compare(compare) => {
                self.at += 1;
                Comparison::By(compare)
            }
            Kind::Word if is_in(self, self.at) => {
                self.at += 1;
                Comparison::In
            }
            Kind::Not if is_in(self, self.at + 1) => {
                self.at += 2;
                Comparison::NotIn
            }
            _ => Comparison::By(Compare::Eq),
        }
    }

    /// Values in brackets, with commas or blanks between.
    fn list<T>(&mut self, mut value: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        if !self.accept(Kind::ListOpen) {
            return Err(self.expected("a list, such as [80, 443]"));
        }
        let (mut values, mut is_whole) = (Vec::new(), true);
        loop {
            while self.accept(Kind::Comma) {}
            match self.kind() {
                Kind::ListClose => break,
                Kind::Word | Kind::Quoted => match value(self) {
                    Ok(value) => values.push(value),
                    // Each that is wrong is told.
                    Err(Failed) => {
                        is_whole = false;
                        self.at += 1;
                    }
                },
                _ => {
                    self.offer_value();
                    return Err(self.expected("another value, or `]`"));
                }
            }
        }
        self.at += 1;
        if is_whole { Ok(values) } else { Err(Failed) }
    }

    /// The value that the next word is.
    fn value<T>(&mut self, what: &'static str, read: impl Fn(&str) -> Option<T>) -> Parsed<T> {
        self.told(|text| read(text).ok_or_else(|| what.to_owned()))
    }

    /// The same, where it is said why it is none.
    fn told<T>(&mut self, read: impl Fn(&str) -> Result<T, String>) -> Parsed<T> {
        self.offer_value();
        let is_value = matches!(self.kind(), Kind::Word | Kind::Quoted);
        let text = self.tokens.get(self.at).filter(|_| is_value).map_or("", |token| token.text);
        match read(text) {
            Ok(value) if is_value => {
                self.at += 1;
                Ok(value)
            }
            Ok(_) => Err(self.expected("a value")),
            Err(what) => Err(self.expected(&what)),
        }
    }

    /// Notes words that may stand here, where the text ends.
    fn offer(&mut self, words: &[&'static str]) {
        if self.kind() == Kind::End {
            self.offers.extend(words);
        }
    }

    /// Notes the values of the test that may stand here.
    fn offer_value(&mut self) {
        self.offer(self.values);
        if self.kind() == Kind::End {
            self.wanted.clone_from(&self.fields);
        }
    }

    fn offer_test(&mut self) {
        self.offer(&SUBJECTS);
        self.offer(&["not", "("]);
    }

    /// Notes what was expected in place of the next word.
    fn expected(&mut self, what: &str) -> Failed {
        let Some(token) = self.tokens.get(self.at).cloned() else { return Failed };
        self.fails_at_end |= token.kind == Kind::End;
        let found = match token.kind {
            Kind::End => "the end".to_owned(),
            Kind::Unclosed => "a quote that nothing closes".to_owned(),
            _ => found(token.text),
        };
        self.problem(token.span, format!("expected {what}; found {found}"));
        Failed
    }

    fn problem(&mut self, span: Span<usize>, message: String) {
        self.problems.push(FilterProblem { span, message });
    }

    /// Passes over the rest of a test: up to what joins it with the next, or the end of what it is in.
    fn skip(&mut self) {
        let mut open = 0usize;
        loop {
            match self.kind() {
                Kind::End => return,
                Kind::And | Kind::Or if open == 0 => return,
                Kind::Close if open == 0 => return,
                Kind::Open | Kind::ListOpen => open += 1,
                Kind::Close | Kind::ListClose => open = open.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
        }
    }

    fn kind(&self) -> Kind {
        self.tokens.get(self.at).map_or(Kind::End, |token| token.kind)
    }

    fn span(&self) -> Span<usize> {
        self.tokens.get(self.at).map_or(0..0, |token| token.span.clone())
    }

    fn accept(&mut self, kind: Kind) -> bool {
        let is_there = self.kind() == kind;
        self.at += usize::from(is_there);
        is_there
    }

    /// The next word, where it is one.
    fn word(&mut self) -> Option<&'t str> {
        let word = self.word_at(self.at)?;
        self.at += 1;
        Some(word)
    }

    fn word_at(&self, at: usize) -> Option<&'t str> {
        self.tokens.get(at).filter(|token| token.kind == Kind::Word).map(|token| token.text)
    }
}

/// The addresses of IPv4, mapped.
const IPV4: Range = (0xffff_0000_0000, 0xffff_ffff_ffff);

fn found(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("`{}...`", text.get(..end).unwrap_or_default()),
        None => format!("`{text}`"),
    }
}

fn flag_range(text: &str) -> Option<Range> {
    let ends = text.split_once('-').and_then(|(first, last)| values::flags(first).zip(values::flags(last)));
    let (first, last) = ends.or_else(|| values::flags(text).map(|flags| (flags, flags)))?;
    (first <= last).then_some((first.into(), last.into()))
}

/// `=` is one of a list of one, and `!=` none of it.
fn plain(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::By(Compare::Eq) => Comparison::In,
        Comparison::By(Compare::Ne) => Comparison::NotIn,
        other => other,
    }
}

fn one_of(field: Field, ranges: &[Range]) -> Filter {
    numbers(Operand::Field(field), Comparison::In, ranges)
}

/// A test on numbers.
fn numbers(operand: Operand, comparison: Comparison, ranges: &[Range]) -> Filter {
    let listed: Ranges = ranges.iter().copied().collect();
    let one = ranges.first().map_or(0, |(first, _)| *first);
    let ranges = match comparison {
        Comparison::In => listed,
        Comparison::NotIn => listed.complement(),
        Comparison::By(Compare::Lt) => one.checked_sub(1).map(|last| (0, last)).into_iter().collect(),
        Comparison::By(Compare::Le) => [(0, one)].into_iter().collect(),
        Comparison::By(Compare::Gt) => one.checked_add(1).map(|first| (first, u128::MAX)).into_iter().collect(),
        Comparison::By(Compare::Ge) => [(one, u128::MAX)].into_iter().collect(),
        Comparison::By(Compare::Eq | Compare::Ne) => Ranges::default(),
    };
    Filter::Test(Test::new(operand, Set::Numbers(ranges)))
}

/// The fields of the ends that are named.
fn fields_of(ends: Ends, source: Field, destination: Field) -> Vec<Field> {
    match ends {
        Ends::Source => vec![source],
        Ends::Destination => vec![destination],
        Ends::Unsaid | Ends::Either | Ends::Both => vec![source, destination],
    }
}

/// A test on numbers of one end, of either or of both.
fn of_ends(ends: Ends, source: Field, destination: Field, comparison: Comparison, ranges: &[Range]) -> Filter {
    let test = |field: Field, inside: bool| {
        let comparison = match comparison {
            Comparison::In | Comparison::NotIn if inside => Comparison::In,
            Comparison::In | Comparison::NotIn => Comparison::NotIn,
            by => by,
        };
        numbers(Operand::Field(field), comparison, ranges)
    };
    joined(ends, source, destination, comparison, test)
}

/// A test on one end, on either or on both. `test` makes the one of a field: inside of a list (`true`) or outside of it.
fn joined(
    ends: Ends,
    source: Field,
    destination: Field,
    comparison: Comparison,
    test: impl Fn(Field, bool) -> Filter,
) -> Filter {
    let inside = comparison != Comparison::NotIn;
    match ends {
        Ends::Source => test(source, inside),
        Ends::Destination => test(destination, inside),
        Ends::Both => test(source, inside).and(test(destination, inside)),
        Ends::Unsaid | Ends::Either if inside => either(&[source, destination], |field| test(field, true)),
        Ends::Unsaid | Ends::Either => neither(&[source, destination], test),
    }
}
