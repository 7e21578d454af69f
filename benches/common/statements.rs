//! The questions in SQL.

use flowseek::{
    flow::Field,
    query::Measure::{Flows, SourceBytes},
};

use super::{
    dialect::{Sorting, Term},
    sample::Sample,
    statement::{Asks, Statement},
    suites::{port, seconds, source},
};

/// The name of the suite.
pub const SUITE: &str = "sql";

/// All statements. The targets of pages are those of the pages themselves and 1.5 milliseconds more.
pub fn all(sample: &Sample) -> Vec<Statement> {
    let everything = || (String::new(), Vec::new());
    let web = || ("dstPort=443".to_owned(), vec![port(443)]);
    let Sample { rare, busy_source, start, .. } = sample;
    let needle = || (format!("srcIp={rare}"), vec![source(*rare)]);
    let peers = || (format!("srcIp={busy_source}"), vec![source(*busy_source)]);
    let (begin, end) = (*start, *start + 3600);
    let hour = (
        format!("sTime={begin}&eTime={end}&dstPort=443"),
        vec![Term::Start(">=", seconds(begin)), Term::Start("<=", seconds(end)), port(443)],
    );
    let newest = || Asks::Page(Sorting::Newest);
    let sums = "count(*) AS flows, sum(src_bytes) AS sent, sum(dst_bytes) AS received";
    let sources = || Asks::Top(vec![Field::SrcIp], SourceBytes);
    let by = |fields: &[Field], measure| Asks::Top(fields.to_vec(), measure);
    vec![
        statement("newest 100", everything(), newest(), Some(1.6)),
        statement("newest 100 of port 443", web(), newest(), Some(1.65)),
        statement("newest 100 of a rare address", needle(), newest(), Some(1.65)),
        statement("100 by destBytes desc", everything(), Asks::Page(Sorting::By("dst_bytes", "DESC")), Some(3.5)),
        statement("count port 443", web(), Asks::Total("count(*) AS flows"), Some(1.0)),
        statement("count an hour of port 443", hour, Asks::Total("count(*) AS flows"), Some(2.0)),
        statement("sum over a rare address", needle(), Asks::Total(sums), Some(2.0)),
        statement("top 10 sources by bytes", everything(), sources(), None),
        statement("the same of port 443", web(), sources(), None),
        statement("peers of the busiest source", peers(), by(&[Field::DstIp], Flows), None),
        statement("5-minute histogram", everything(), Asks::FiveMinutes, None),
        statement("5-minute histogram of port 443", web(), Asks::FiveMinutes, None),
        statement("distinct destinations", everything(), Asks::Total("count(DISTINCT dst_ip) AS destinations"), None),
        statement("top 10 ports", everything(), by(&[Field::DstPort], Flows), None),
        statement("top 10 sources by flows", everything(), by(&[Field::SrcIp], Flows), None),
        statement("node x protocol", everything(), by(&[Field::SrcNode, Field::Protocol], Flows), None),
        statement("top 10 pairs by bytes", everything(), by(&[Field::SrcIp, Field::DstIp], SourceBytes), None),
    ]
}

fn statement(name: &str, (query, terms): (String, Vec<Term>), asks: Asks, target: Option<f64>) -> Statement {
    Statement { name: name.into(), terms, asks, query, target }
}
