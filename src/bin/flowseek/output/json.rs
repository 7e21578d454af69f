//! One JSON array over all pages, as the endpoint writes one over a page.

use std::io::{self, Write};

use flowseek::{StoredFlow, wire::FlowView};

use super::{FLAGS, Pages};

/// An array that is left open until the last page: what an error cuts short does not look whole.
#[derive(Debug, Default)]
pub struct Json {
    begun: bool,
}

impl Pages for Json {
    fn page(&mut self, out: &mut dyn Write, flows: &[StoredFlow]) -> io::Result<()> {
        for stored in flows {
            out.write_all(if self.begun { b"," } else { b"[" })?;
            self.begun = true;
            serde_json::to_writer(&mut *out, &FlowView::new(&stored.flow, FLAGS))?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(if self.begun { b"]\n" } else { b"[]\n" })
    }
}

#[cfg(test)]
mod tests {
    use flowseek::{Flow, FlowId, wire::write_array};

    use super::*;

    #[test]
    fn pages_make_one_array() {
        let stored = |id: u64| {
            let start_time = format!("2022-11-01T22:46:0{id}Z").parse().unwrap();
            StoredFlow { id: FlowId::new(id), flow: Flow::starting(start_time) }
        };
        let flows: Vec<StoredFlow> = (0..3).map(stored).collect();
        for cuts in [[0, 0], [0, 3], [1, 1], [1, 2], [3, 3]] {
            let (mut json, mut out) = (Json::default(), Vec::new());
            for page in [&flows[..cuts[0]], &flows[cuts[0]..cuts[1]], &flows[cuts[1]..]] {
                json.page(&mut out, page).unwrap();
            }
            json.finish(&mut out).unwrap();
            let mut expected = Vec::new();
            write_array(&mut expected, &flows, FLAGS).unwrap();
            assert_eq!(out, [expected, b"\n".to_vec()].concat());
        }
        let mut out = Vec::new();
        Json::default().finish(&mut out).unwrap();
        assert_eq!(out, b"[]\n");
    }
}
