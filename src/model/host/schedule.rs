//! The times at which something is evaluated or read, and the memory that ticks use again.

use super::input::{Config, Request, Samples};
use crate::model::link::NetnsId;
use crate::model::owners::ProcessSearch;
use crate::model::workload::Runtime;
use std::collections::BTreeSet;
use std::time::Duration;

/// The times at which something is due.
#[derive(Debug)]
pub(super) struct Schedule {
    /// The time to evaluate what has changed since the last time.
    pub due: Option<Duration>,
    /// The time to evaluate even if nothing changes: a deadline passes.
    pub again: Duration,
    /// The time at which the last tick's counters came.
    pub ticked: Duration,
    /// The counters of another tick are awaited.
    pub tick_due: bool,
    /// Memory for the next tick: of its requests, and of the samples that were taken.
    pub spare: Vec<Request>,
    pub spent: Samples,
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule {
            due: None,
            again: Duration::MAX,
            ticked: Duration::ZERO,
            tick_due: false,
            spare: Vec::new(),
            spent: Samples::default(),
        }
    }
}

/// The effects of an answer.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// The requests that follow from the answer.
    pub requests: Vec<Request>,
    /// Something has changed that is to be evaluated.
    pub changed: bool,
}

impl Schedule {
    /// Gathers a change, if there is one, with the others of the next milliseconds: they are evaluated
    /// together.
    pub(super) fn gather(&mut self, changed: bool, config: &Config, now: Duration) {
        if changed {
            let due = now + config.gather;
            self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        }
    }

    /// Returns when to evaluate; `None` if nothing changes by itself either.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let due = self.due.unwrap_or(Duration::MAX).min(self.again);
        (due != Duration::MAX).then_some(due)
    }

    /// Ends the tick that waits for counters, and returns its length: the first sample after a tick ends it,
    /// and those of scrapes in between do not count for the peaks.
    pub(super) fn end_tick(&mut self, now: Duration) -> Option<Duration> {
        if !std::mem::take(&mut self.tick_due) {
            return None;
        }
        let length = now.saturating_sub(self.ticked);
        self.ticked = now;
        Some(length)
    }
}

/// The searches for processes, and the state of the evidence at the last evaluation.
#[derive(Debug, Default)]
pub(super) struct Searching {
    pub searches: ProcessSearch,
    /// The namespaces that were searched for processes since rows were last made.
    pub searched: BTreeSet<NetnsId>,
    /// The sources that may name owners, as of the last evaluation.
    pub may_name: BTreeSet<Runtime>,
    /// The version of the evidence that dead pairs were last held against.
    pub late_version: u64,
}
