//! One exporter as one stream of messages: its templates, what it has said of itself, and data that waits for a template.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{
    clock::Clock,
    context::Context,
    sequence::Sequence,
    template::{Purpose, Template, Told},
};

/// The most bytes of data of a session that wait for templates. The oldest give way.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// The most templates of a session, in what [`Template::cost`] counts: thousands of templates of usual length.
const MAX_TEMPLATES_COST: usize = 1 << 18;
/// About how many bytes a session takes without templates and data, and those that the cost of a template counts.
const BASE_BYTES: usize = 600;
const COST_BYTES: usize = 8;
/// About how many bytes a data set takes that waits, beside its own.
const WAITING_BYTES: usize = 64;

/// What is known of an exporter.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) context: Arc<Context>,
    pub(super) sequence: Sequence,
    templates: HashMap<u16, Arc<Template>>,
    templates_cost: usize,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// Data sets that gave way to others while they waited.
    dropped: u64,
    refused: u64,
    /// Whether it had data that its templates explain.
    pub(super) is_proven: bool,
    /// The number of its last message among those of all sessions.
    pub(super) used: u64,
}

/// A data set that waits for its template.
#[derive(Debug)]
pub(super) struct Waiting {
    template: u16,
    pub(super) clock: Clock,
    pub(super) bytes: Vec<u8>,
}

impl Session {
    pub(super) fn new(exporter: String) -> Self {
        Self {
            context: Arc::new(Context::new(exporter)),
            sequence: Sequence::default(),
            templates: HashMap::new(),
            templates_cost: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            dropped: 0,
            refused: 0,
            is_proven: false,
            used: 0,
        }
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        BASE_BYTES + self.templates_cost * COST_BYTES + self.waiting_bytes
    }

    pub(super) fn template(&self, id: u16) -> Option<&Arc<Template>> {
        self.templates.get(&id)
    }

    /// Takes what a set of templates says. The answer is the data that waited for a template, with it.
    pub(super) fn take(&mut self, told: Told) -> Option<(Arc<Template>, Vec<Waiting>)> {
        match told {
            Told::Template(id, template) => self.define(id, template),
            Told::Withdrawn(id) => {
                self.remove(id);
                None
            }
            Told::AllWithdrawn { options } => {
                let is_meant = |template: &Template| (template.purpose == Purpose::Options) == options;
                self.templates.retain(|_, template| !is_meant(template));
                self.templates_cost = self.templates.values().map(|template| template.cost()).sum();
                None
            }
            Told::Refused(id) => {
                // What came under this number before is not what comes now.
                self.remove(id);
                self.refused += 1;
                None
            }
        }
    }

    fn define(&mut self, id: u16, template: Template) -> Option<(Arc<Template>, Vec<Waiting>)> {
        // Exporters repeat their templates all the time.
        if self.templates.get(&id).is_some_and(|known| **known == template) {
            return None;
        }
        self.remove(id);
        if self.templates_cost + template.cost() > MAX_TEMPLATES_COST {
            self.refused += 1;
            return None;
        }
        self.templates_cost += template.cost();
        let template = Arc::new(template);
        self.templates.insert(id, Arc::clone(&template));
        let (meant, waiting): (VecDeque<_>, _) = self.waiting.drain(..).partition(|waiting| waiting.template == id);
        self.waiting = waiting;
        self.waiting_bytes -= meant.iter().map(Waiting::cost).sum::<usize>();
        (!meant.is_empty()).then(|| (template, meant.into()))
    }

    fn remove(&mut self, id: u16) {
        if let Some(known) = self.templates.remove(&id) {
            self.templates_cost -= known.cost();
        }
    }

    /// Keeps a data set until its template comes.
    pub(super) fn wait(&mut self, template: u16, clock: Clock, set: &[u8]) {
        let waiting = Waiting { template, clock, bytes: set.to_vec() };
        self.waiting_bytes += waiting.cost();
        self.waiting.push_back(waiting);
        while self.waiting_bytes > MAX_WAITING_BYTES {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.waiting_bytes -= oldest.cost();
            self.dropped += 1;
        }
    }

    /// How many data sets nothing has explained.
    pub(super) fn unexplained(&self) -> u64 {
        self.dropped + self.waiting.len() as u64
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}

impl Waiting {
    fn cost(&self) -> usize {
        self.bytes.len() + WAITING_BYTES
    }
}
