//! The lines in the log that a source works or has failed: one for each change, and fewer for a source that
//! changes all the time. The last line is true again within a minute at most.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The most lines a minute about one source.
const LINES: usize = 6;
const MINUTE: Duration = Duration::from_secs(60);

/// The state of the log's lines about one source.
#[derive(Debug, Default)]
pub(super) struct Report {
    seen: Option<bool>,
    said: Option<bool>,
    /// The times of the last lines.
    lines: VecDeque<Instant>,
    /// The number of changes since the last line.
    changes: u64,
}

/// A line to write to the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// True for the first line about the source.
    pub first: bool,
    /// The number of changes since the last line; `None` if there was only one.
    pub changes: Option<u64>,
}

impl Report {
    /// Records whether the source works. Returns the line to write, if any.
    pub(super) fn record(&mut self, works: bool, now: Instant) -> Option<Line> {
        if self.seen.replace(works) != Some(works) {
            self.changes += 1;
        }
        if self.said == Some(works) {
            return None;
        }
        if self.lines.len() == LINES {
            let young = |oldest: &Instant| now.saturating_duration_since(*oldest) < MINUTE;
            if self.lines.front().is_some_and(young) {
                return None;
            }
            self.lines.pop_front();
        }
        self.lines.push_back(now);
        let first = self.said.replace(works).is_none();
        let changes = Some(std::mem::take(&mut self.changes)).filter(|&changes| changes > 1);
        Some(Line { first, changes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_change_is_a_line_and_a_try_is_none() {
        let (mut report, now) = (Report::default(), Instant::now());
        assert_eq!(report.record(false, now), Some(Line { first: true, changes: None }));
        assert_eq!(report.record(false, now + SECOND), None);
        assert_eq!(report.record(true, now + 2 * SECOND), Some(Line { first: false, changes: None }));
        assert_eq!(report.record(true, now + 3 * SECOND), None);
    }

    #[test]
    fn what_changes_all_the_time_has_few_lines_and_the_last_of_them_comes_true() {
        let (mut report, start) = (Report::default(), Instant::now());
        let flaps = |second: u32| second % 2 == 1;
        let lines = (0..600).filter_map(|n| report.record(flaps(n), start + n * SECOND));
        let lines: Vec<Line> = lines.collect();
        assert!((30..=66).contains(&lines.len()), "{}", lines.len());
        let told: u64 = lines.iter().map(|line| line.changes.unwrap_or(1)).sum();
        assert!((540..=600).contains(&told), "{told} of 600");
        // A source that no longer changes gets a line with its state.
        let works = report.said;
        let rest = (600..662).find_map(|n| report.record(works != Some(true), start + n * SECOND));
        assert!(rest.is_some());
    }
}
