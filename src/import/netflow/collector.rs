//! From a capture to batches of data sets.

use std::{
    io::{self, BufRead},
    sync::Arc,
};

use super::{
    batch::{Batch, Explained},
    bytes::Bytes,
    capture::{Capture, Packet},
    fragments::Fragments,
    ip::{Datagram, Ends, Held, datagram, held},
    link::{Carried, carried},
    message::{Message, Version},
    rate::Rate,
    session::Session,
    sessions::Sessions,
    template::{Purpose, Template, read_templates},
    values::Values,
};
use crate::import::notes::Note;

/// How much a batch holds before it is given, in bytes: some thousand records.
const BATCH_BYTES: usize = 1 << 18;
/// How many bytes of packets are read before a batch is given in any case.
const BATCH_READ_BYTES: usize = 1 << 23;

/// Reads the messages of a capture, and gives the data sets in them.
pub(crate) struct Collector {
    capture: Capture,
    fragments: Fragments,
    messages: Messages,
    state: State,
}

enum State {
    Reading,
    /// What was good has been given; this comes next.
    Failed(io::Error),
    Ended,
}

impl Collector {
    /// A reader of a capture, decompressed.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where the input does not begin as a capture does.
    pub(crate) fn open(input: Box<dyn BufRead + Send>) -> io::Result<Self> {
        Ok(Self {
            capture: Capture::open(input)?,
            fragments: Fragments::default(),
            messages: Messages::new(),
            state: State::Reading,
        })
    }

    /// Reads packets until a batch is full.
    fn read(&mut self) -> Batch {
        let mut batch = Batch::default();
        let mut read = 0;
        while batch.size() < BATCH_BYTES && read < BATCH_READ_BYTES {
            match self.capture.next() {
                Ok(Some(packet)) => {
                    read += packet.bytes.len() + 1;
                    take(packet, &mut self.fragments, &mut self.messages, &mut batch);
                }
                Ok(None) => {
                    self.state = State::Ended;
                    break;
                }
                Err(error) => {
                    self.state = State::Failed(error);
                    break;
                }
            }
        }
        let is_end = !matches!(self.state, State::Reading);
        batch.remarks.note(Note::Fragmented, "", self.fragments.take_lost(is_end));
        if is_end {
            self.messages.sessions.finish(&mut batch.remarks);
        }
        batch
    }
}

impl Iterator for Collector {
    type Item = io::Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Reading => {
                self.state = State::Reading;
                Some(Ok(self.read()))
            }
            State::Failed(error) => Some(Err(error)),
            State::Ended => None,
        }
    }
}

/// Takes the message of a packet.
fn take(packet: Packet<'_>, fragments: &mut Fragments, messages: &mut Messages, batch: &mut Batch) {
    let ip = match carried(packet) {
        Carried::Ip(ip) => ip,
        Carried::Other => return batch.remarks.note(Note::Foreign, "", 1),
        Carried::Unknown => {
            return batch.remarks.note(Note::UnknownLink, &format!("link type {}", packet.link), 1);
        }
    };
    let is_taken = match held(ip) {
        Held::Udp(hosts, udp) => datagram(hosts, udp).is_some_and(|datagram| messages.take(datagram, batch)),
        Held::Fragment(fragment) => match fragments.add(fragment) {
            Some(udp) => datagram(fragment.hosts, &udp).is_some_and(|datagram| messages.take(datagram, batch)),
            None => true,
        },
        Held::Other => false,
    };
    if !is_taken {
        batch.remarks.note(Note::Foreign, "", 1);
    }
}

/// Reads messages.
struct Messages {
    sessions: Sessions,
    /// The template of NetFlow v5.
    netflow5: Option<Arc<Template>>,
    values: Values,
}

impl Messages {
    fn new() -> Self {
        let netflow5 = Template::netflow5().map(Arc::new);
        Self { sessions: Sessions::default(), netflow5, values: Values::default() }
    }

    /// Takes the message of a datagram; whether there is one.
    fn take(&mut self, datagram: Datagram<'_>, batch: &mut Batch) -> bool {
        let Some(message) = Message::read(datagram.payload, datagram.is_whole) else { return false };
        // Taken out for as long as the session has them both.
        let mut remarks = std::mem::take(&mut batch.remarks);
        let (netflow5, values) = (self.netflow5.as_ref(), &mut self.values);
        self.sessions.with(datagram.ends, &message, &mut remarks, |session, remarks| {
            let mut reading = Reading { ends: datagram.ends, message: &message, session, batch, values };
            let count = match message.version {
                Version::V5 => reading.netflow5(netflow5),
                Version::V9 => {
                    reading.sets();
                    Some(1)
                }
                Version::Ipfix => reading.sets(),
            };
            session.sequence.take(message.sequence, count, message.clock);
            if !message.is_whole() {
                remarks.note(Note::CutOff, &session.context.exporter, 1);
            }
        });
        batch.remarks = remarks;
        true
    }
}

/// A message that is being read.
struct Reading<'a, 'm> {
    ends: Ends,
    message: &'a Message<'m>,
    session: &'a mut Session,
    batch: &'a mut Batch,
    values: &'a mut Values,
}

impl Reading<'_, '_> {
    /// Reads the records of NetFlow v5; the answer is their number.
    fn netflow5(&mut self, template: Option<&Arc<Template>>) -> Option<u32> {
        let template = template?;
        self.push(template, self.message.records());
        Some(self.message.count.into())
    }

    /// Reads the sets of v9 and IPFIX. The answer is the number of records, where it can be told.
    fn sets(&mut self) -> Option<u32> {
        let dialect = self.message.dialect()?;
        let mut count = self.message.is_whole().then_some(0u32);
        for set in self.message.sets() {
            let read = set.and_then(|(id, bytes)| match (dialect.purpose(id), id) {
                (Some(purpose), _) => self.templates(purpose, bytes),
                (None, 256..) => {
                    let records = self.data(id, bytes);
                    count = count.zip(records).map(|(count, records)| count.saturating_add(records));
                    Ok(())
                }
                (None, _) => Err(format!("set {id} is none of templates, of options or of data")),
            });
            if let Err(reason) = read {
                count = None;
                if self.message.is_whole() {
                    let Ends { hosts, source_port, .. } = self.ends;
                    let exporter = hosts.source;
                    self.batch.damaged(format!("a message of {exporter}, port {source_port}: {reason}"));
                }
            }
        }
        count
    }

    fn templates(&mut self, purpose: Purpose, set: &[u8]) -> Result<(), String> {
        let Some(dialect) = self.message.dialect() else { return Ok(()) };
        let (session, batch, values) = (&mut *self.session, &mut *self.batch, &mut *self.values);
        read_templates(dialect, purpose, set, |told| {
            let Some((template, waiting)) = session.take(told) else { return };
            session.is_proven = true;
            for set in waiting {
                learn(session, &template, &set.bytes, values);
                let explained = Explained {
                    template: Arc::clone(&template),
                    context: Arc::clone(&session.context),
                    clock: set.clock,
                    rate: Rate::ALL,
                };
                batch.push(explained, &set.bytes);
            }
        })
    }

    /// Takes a data set; the answer is the number of its records, where its template is known.
    fn data(&mut self, id: u16, set: &[u8]) -> Option<u32> {
        let Some(template) = self.session.template(id).map(Arc::clone) else {
            self.session.wait(id, self.message.clock, set);
            return None;
        };
        self.push(&template, set);
        // v9 counts messages.
        (self.message.version == Version::Ipfix).then(|| u32::try_from(template.count(set)).ok())?
    }

    fn push(&mut self, template: &Arc<Template>, set: &[u8]) {
        self.session.is_proven = true;
        learn(self.session, template, set, self.values);
        let explained = Explained {
            template: Arc::clone(template),
            context: Arc::clone(&self.session.context),
            clock: self.message.clock,
            rate: self.message.rate,
        };
        self.batch.push(explained, set);
    }
}

/// Takes from the options of an exporter what holds for its flows.
fn learn(session: &mut Session, template: &Template, set: &[u8], values: &mut Values) {
    if template.purpose != Purpose::Options {
        return;
    }
    let mut records = Bytes::new(set);
    let mut changed = None;
    while template.read(&mut records, values).is_some() {
        let context = changed.as_ref().unwrap_or(&*session.context);
        // Options are repeated all the time, and batches hold the context that was.
        if context.would_change(values) {
            changed.get_or_insert_with(|| (*session.context).clone()).take(values);
        }
    }
    if let Some(changed) = changed {
        session.context = Arc::new(changed);
    }
}
