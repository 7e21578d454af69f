//! All exporters of a capture, in bounded memory.

use std::collections::{HashMap, hash_map::Entry};

use super::{
    ip::Ends,
    message::{Message, Version},
    session::Session,
};
use crate::import::{notes::Note, remarks::Remarks};

/// The most sessions that are remembered.
const MAX_SESSIONS: usize = 4096;
/// The most bytes that all of them may take.
const MAX_BYTES: usize = 64 << 20;

/// Which session a message is of: the transport session, and the domain or source within it (RFC 7011, section 3.1; RFC 3954,
/// section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    ends: Ends,
    version: Version,
    domain: u32,
}

/// The sessions of a capture. Where there are too many, or they take too much, a quarter of them gives way: first those none of
/// whose data was ever explained, as forged ones, and then those that were silent for longest.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    sessions: HashMap<Key, Session>,
    bytes: usize,
    messages: u64,
}

impl Sessions {
    /// Hands the session of a message to `work`. What is to be said of sessions that give way goes to `remarks`.
    pub(super) fn with<T>(
        &mut self,
        ends: Ends,
        message: &Message<'_>,
        remarks: &mut Remarks,
        work: impl FnOnce(&mut Session, &mut Remarks) -> T,
    ) -> T {
        while self.bytes > MAX_BYTES || self.sessions.len() >= MAX_SESSIONS {
            self.forget(remarks);
        }
        self.messages += 1;
        let key = Key { ends, version: message.version, domain: message.domain };
        let session = match self.sessions.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let session = Session::new(ends.hosts.source.to_ip().to_string());
                self.bytes += session.bytes();
                place.insert(session)
            }
        };
        session.used = self.messages;
        let before = session.bytes();
        let answer = work(session, remarks);
        self.bytes = (self.bytes + session.bytes()).saturating_sub(before);
        answer
    }

    fn forget(&mut self, remarks: &mut Remarks) {
        let mut ranks: Vec<(bool, u64)> = self.sessions.values().map(rank).collect();
        let quarter = ranks.len() / 4;
        let last = if ranks.is_empty() { None } else { Some(*ranks.select_nth_unstable(quarter).1) };
        let mut forgotten = 0;
        self.sessions.retain(|key, session| {
            let stays = last.is_some_and(|last| rank(session) > last);
            if !stays {
                forgotten += 1;
                conclude(key.version, session, remarks);
            }
            stays
        });
        self.bytes = self.sessions.values().map(Session::bytes).sum();
        remarks.note(Note::Forgotten, "", forgotten);
    }

    /// Says what is to be said at the end of the capture.
    pub(super) fn finish(&mut self, remarks: &mut Remarks) {
        for (key, session) in self.sessions.drain() {
            conclude(key.version, &session, remarks);
        }
        self.bytes = 0;
    }
}

/// Those with the least rank give way first.
fn rank(session: &Session) -> (bool, u64) {
    (session.is_proven, session.used)
}

fn conclude(version: Version, session: &Session, remarks: &mut Remarks) {
    let (lost, restarts) = session.sequence.lost_and_restarts();
    let exporter = &session.context.exporter;
    let lost_note = if version == Version::V9 { Note::LostMessages } else { Note::LostFlows };
    remarks.note(lost_note, exporter, lost);
    remarks.note(Note::Restarts, exporter, restarts);
    remarks.note(Note::Unexplained, exporter, session.unexplained());
    remarks.note(Note::RefusedTemplates, exporter, session.refused());
}
