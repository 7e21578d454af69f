//! What an exporter has said of itself, beside its flows.

use std::collections::BTreeMap;

use super::{element::Number, rate::Rate, values::Values};

/// The most samplers of an exporter.
const MAX_SAMPLERS: usize = 256;

/// What holds for the records of an exporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Context {
    /// Its address.
    pub(super) exporter: String,
    /// When it started, in milliseconds since 1970.
    pub(super) init: Option<i64>,
    general: Option<Rate>,
    samplers: BTreeMap<u64, Rate>,
}

impl Context {
    pub(super) fn new(exporter: String) -> Self {
        Self { exporter, init: None, general: None, samplers: BTreeMap::new() }
    }

    /// The sampling of a record: what it says itself, else that of the sampler that it names, else that of all.
    pub(super) fn rate(&self, values: &Values) -> Option<Rate> {
        let named = || self.samplers.get(&sampler(values)?).copied();
        Rate::told(values).or_else(named).or(self.general)
    }

    /// Whether a record of options says something new.
    pub(super) fn would_change(&self, values: &Values) -> bool {
        let is_new = |rate: Rate| match sampler(values) {
            None => self.general != Some(rate),
            Some(id) => self.samplers.get(&id).map_or(self.samplers.len() < MAX_SAMPLERS, |known| *known != rate),
        };
        (init(values).is_some() && init(values) != self.init) || Rate::told(values).is_some_and(is_new)
    }

    /// Takes a record of options.
    pub(super) fn take(&mut self, values: &Values) {
        self.init = init(values).or(self.init);
        let Some(rate) = Rate::told(values) else { return };
        match sampler(values) {
            None => self.general = Some(rate),
            Some(id) => drop(self.samplers.insert(id, rate)),
        }
    }
}

fn init(values: &Values) -> Option<i64> {
    values.get(Number::InitMillis).and_then(|millis| i64::try_from(millis).ok())
}

fn sampler(values: &Values) -> Option<u64> {
    values.first(&[Number::SamplerId, Number::SelectorId])
}
