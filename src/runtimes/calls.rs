//! The requests to an engine, by call: how many there were, and which are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A kind of request to an engine, by the value of the label `call`.
pub(crate) type Call = &'static str;

/// The calls of one engine; clones share the figures.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<Figures>>);

#[derive(Debug, Default)]
struct Figures {
    requests: BTreeMap<Call, u64>,
    /// The calls that the engine, or a proxy before it, did not allow when they were last made, each with the
    /// status of the answer.
    refused: BTreeMap<Call, u16>,
    /// The calls with an entry that could not be read in the last answer.
    damaged: BTreeSet<Call>,
    /// The version that the engine has reported.
    engine_version: String,
}

impl Calls {
    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one request to the figures of a call.
    pub(crate) fn count(&self, call: Call) {
        *self.figures().requests.entry(call).or_default() += 1;
    }

    /// Returns the number of requests since the start, by call.
    pub(crate) fn totals(&self) -> BTreeMap<Call, u64> {
        self.figures().requests.clone()
    }

    /// Notes that a call is refused with this status, or is answered.
    pub(crate) fn note_refused(&self, call: Call, status: Option<u16>) {
        let refused = &mut self.figures().refused;
        match status {
            Some(status) => _ = refused.insert(call, status),
            None => _ = refused.remove(call),
        }
    }

    /// Returns the calls that were not allowed when they were last made, each with the status of the answer.
    pub(crate) fn refused(&self) -> BTreeMap<Call, u16> {
        self.figures().refused.clone()
    }

    /// Notes whether the answer to a call has an entry that cannot be read. Returns true if the last one had
    /// none, or had one.
    pub(crate) fn note_damaged(&self, call: Call, damaged: bool) -> bool {
        let set = &mut self.figures().damaged;
        if damaged { set.insert(call) } else { set.remove(call) }
    }

    /// Notes the version that the engine reports.
    pub(crate) fn note_engine_version(&self, version: &str) {
        version.clone_into(&mut self.figures().engine_version);
    }

    /// Returns the version that the engine has reported last; empty if it has reported none.
    pub(crate) fn engine_version(&self) -> String {
        self.figures().engine_version.clone()
    }

    /// Returns true if the call was not allowed when it was last made.
    pub(crate) fn is_refused(&self, call: Call) -> bool {
        self.figures().refused.contains_key(call)
    }
}
