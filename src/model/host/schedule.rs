//! When something is evaluated or read, and the memory that ticks use again.

use super::input::{Request, Samples};
use crate::model::link::NetnsId;
use crate::model::owners::ProcessSearch;
use crate::model::workload::Runtime;
use std::collections::BTreeSet;
use std::time::Duration;

/// When what is due.
#[derive(Debug)]
pub(super) struct Schedule {
    /// When to evaluate what has changed since the last time.
    pub due: Option<Duration>,
    /// When to evaluate even if nothing changes: a deadline passes.
    pub again: Duration,
    /// When the last tick's counters came.
    pub ticked: Duration,
    /// Those of another tick are awaited.
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

/// What is looked for, and what may be known of owners because of it.
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
