//! A case's filter and order as SQL.

use flowseek::{
    StoredFlow,
    flow::{Address, Timestamp},
};

/// Whose SQL.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    DataFusion,
    DuckDb,
    ClickHouse,
    Sqlite,
}

/// One of the terms that a flow must satisfy.
#[derive(Clone)]
pub enum Term {
    /// A column compared by an operator with a number.
    Number(&'static str, &'static str, u64),
    /// A column that has this text.
    Text(&'static str, String),
    /// A column with an address from the first to the last.
    Address(&'static str, Address, Address),
    /// Either end has this address.
    EitherEnd(Address),
    /// The start compared by an operator.
    Start(&'static str, Timestamp),
    /// All of these TCP flags.
    Flags(u8),
    /// Behind a flow, newest first or oldest first.
    Behind(Box<StoredFlow>, Sorting),
}

/// The orders of the cases.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sorting {
    Newest,
    Oldest,
    /// By a column, the greatest or the least first, then newest first.
    By(&'static str, &'static str),
}

impl Dialect {
    /// The statement for a page.
    pub fn page(self, terms: &[Term], sorting: Sorting, limit: usize) -> String {
        format!("SELECT * FROM flows{} ORDER BY {} LIMIT {limit}", self.condition(terms), self.order(sorting))
    }

    fn order(self, sorting: Sorting) -> String {
        match sorting {
            Sorting::Newest => "start_time DESC, flow_id DESC".into(),
            Sorting::Oldest => "start_time, flow_id".into(),
            // Absent values are the least in SQLite, and its indexes serve no other place of theirs. In the table of
            // ClickHouse there are none.
            Sorting::By(column, direction) => {
                let nulls = if self == Self::Sqlite || self == Self::ClickHouse { "" } else { " NULLS LAST" };
                format!("{column} {direction}{nulls}, start_time DESC, flow_id DESC")
            }
        }
    }

    /// The beginning of the five minutes in which a flow begins.
    pub fn five_minutes(self) -> &'static str {
        match self {
            Self::DataFusion => "date_bin(INTERVAL '5 minutes', start_time)",
            Self::DuckDb => "time_bucket(INTERVAL '5 minutes', start_time)",
            Self::ClickHouse => "toStartOfInterval(start_time, INTERVAL 5 MINUTE)",
            Self::Sqlite => "start_time / 300000 * 300000",
        }
    }

    /// The statement for the number of flows.
    pub fn count(self, terms: &[Term]) -> String {
        format!("SELECT count(*) AS total FROM flows{}", self.condition(terms))
    }

    /// The terms behind `WHERE`; nothing where there are none.
    pub fn condition(self, terms: &[Term]) -> String {
        let terms: Vec<String> = terms.iter().map(|term| self.term(term)).collect();
        if terms.is_empty() { String::new() } else { format!(" WHERE {}", terms.join(" AND ")) }
    }

    fn term(self, term: &Term) -> String {
        match term {
            Term::Number(column, operator, number) => format!("{column} {operator} {number}"),
            Term::Text(column, text) => format!("{column} = '{text}'"),
            Term::Address(column, first, last) if first == last => format!("{column} = {}", self.address(*first)),
            Term::Address(column, first, last) => {
                format!("{column} BETWEEN {} AND {}", self.address(*first), self.address(*last))
            }
            Term::EitherEnd(address) => format!("(src_ip = {0} OR dst_ip = {0})", self.address(*address)),
            Term::Start(operator, time) => format!("start_time {operator} {}", self.time(*time)),
            Term::Flags(flags) if self == Self::ClickHouse => format!("bitAnd(tcp_flags, {flags}) = {flags}"),
            Term::Flags(flags) => format!("(tcp_flags & {flags}) = {flags}"),
            Term::Behind(flow, sorting) => {
                let operator = if *sorting == Sorting::Oldest { ">" } else { "<" };
                let (time, id) = (self.time(flow.flow.start_time), flow.id.get());
                // The first part is what a reader can find the place by.
                format!("start_time {operator}= {time} AND (start_time {operator} {time} OR flow_id {operator} {id})")
            }
        }
    }

    fn address(self, address: Address) -> String {
        let hex = format!("{:032x}", address.to_bits());
        match self {
            Self::DataFusion => format!("arrow_cast(X'{hex}', 'FixedSizeBinary(16)')"),
            Self::DuckDb => format!("unhex('{hex}')"),
            Self::ClickHouse => format!("CAST(unhex('{hex}') AS FixedString(16))"),
            Self::Sqlite => format!("X'{hex}'"),
        }
    }

    fn time(self, time: Timestamp) -> String {
        match self {
            Self::DataFusion => format!("to_timestamp_millis({})", time.as_millis()),
            Self::DuckDb => format!("TIMESTAMPTZ '{}'", time.to_string().replace('Z', "+00")),
            Self::ClickHouse => format!("fromUnixTimestamp64Milli({}, 'UTC')", time.as_millis()),
            Self::Sqlite => time.as_millis().to_string(),
        }
    }
}
