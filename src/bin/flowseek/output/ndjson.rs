//! One JSON object a line.

use std::io::{self, Write};

use flowseek::{StoredFlow, wire::write_line};

use super::{FLAGS, Pages};

#[derive(Debug)]
pub struct Ndjson;

impl Pages for Ndjson {
    fn page(&mut self, mut out: &mut dyn Write, flows: &[StoredFlow]) -> io::Result<()> {
        flows.iter().try_for_each(|stored| write_line(&mut out, &stored.flow, FLAGS))
    }
}
