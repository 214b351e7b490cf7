//! The facts about the exporter and its host that do not change while the exporter runs.

use crate::exposition::json::host::HostRow;
use std::time::{Duration, SystemTime};

/// The facts that the stream and the API have besides the pairs.
#[derive(Clone, Debug)]
pub struct About {
    /// The length of a tick.
    pub(super) interval: Duration,
    /// The missing capabilities with which the exporter would see more.
    pub(super) lacks: Vec<&'static str>,
    /// The identifier of this start of this exporter; pairs have other identifiers in another one.
    pub(super) instance: String,
    /// The host, without its engines.
    pub(super) host: HostRow<'static>,
}

impl About {
    /// Returns the facts about an exporter that starts now, with the length of its ticks, the capabilities
    /// that it lacks, and its host.
    pub fn new(interval: Duration, lacks: Vec<&'static str>, host: HostRow<'static>) -> About {
        // A clock before 1970 counts as 1970; the process id still distinguishes the instance.
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let instance = format!("{:x}.{:x}", now.as_micros(), std::process::id());
        About { interval, lacks, instance, host }
    }
}
