//! What the formats have in common.

use std::io::{self, Write};

use flowseek::StoredFlow;

/// What a format makes of pages of flows.
pub trait Pages {
    /// Writes the flows of one page.
    fn page(&mut self, out: &mut dyn Write, flows: &[StoredFlow]) -> io::Result<()>;

    /// Writes what stands behind the last page.
    fn finish(self: Box<Self>, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}
