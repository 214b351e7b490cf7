//! The facts about the host that do not change while it runs.

use crate::exposition::json::host::HostRow;
use std::fs;
use std::time::SystemTime;

/// Reads the host's name and kernel, and the time at which it was booted. What cannot be read is left out.
pub(super) fn read() -> HostRow<'static> {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let line = |name: &str| text(&format!("/proc/sys/kernel/{name}")).trim_end().to_owned();
    let started = SystemTime::UNIX_EPOCH.elapsed().ok();
    HostRow {
        name: line("hostname").into(),
        kernel: line("osrelease").into(),
        booted: text("/proc/stat").lines().find_map(|line| line.strip_prefix("btime ")?.parse().ok()),
        started: started.map(|since| since.as_millis() as f64 / 1e3),
        engines: Vec::new(),
    }
}
