//! NetFlow v5, v9 and IPFIX, from captures of the datagrams of exporters. The mapping is in the documentation of
//! [`import`](super).
//!
//! A [`Collector`] reads packets (`capture`, `link`, `ip`, `fragments`) and the messages in them (`message`), and keeps what
//! messages say that holds for later ones (`sessions`, `session`, `template`, `context`, `sequence`). That goes on one
//! thread. It gives batches of data sets (`batch`) with what explains them, so that their records become flows (`record`) on
//! any other thread.

mod batch;
mod bytes;
mod capture;
mod clock;
mod collector;
mod context;
mod element;
mod fragments;
mod ip;
mod link;
mod message;
mod pcapng;
mod rate;
mod record;
mod sequence;
mod session;
mod sessions;
mod source;
mod template;
mod values;

pub(crate) use capture::is_capture;
pub(crate) use collector::Collector;
