//! A limit of the lines that one place in the program may write to the log.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// The number of lines that one place may write in a minute.
const LINES: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// The lines of each place in the minute that began with its first line. The number of places is bounded by
/// the program's source.
pub(super) struct Throttle<P> {
    minutes: HashMap<P, Minute>,
}

struct Minute {
    began: Instant,
    lines: u32,
    suppressed: u64,
}

impl<P> Default for Throttle<P> {
    fn default() -> Throttle<P> {
        Throttle { minutes: HashMap::new() }
    }
}

impl<P: Eq + Hash> Throttle<P> {
    /// Returns whether the place may write a line now: `Some` with the number of lines that it left out since
    /// its last one, else `None`.
    pub(super) fn admit(&mut self, place: P, now: Instant) -> Option<u64> {
        let fresh = Minute { began: now, lines: 0, suppressed: 0 };
        let minute = self.minutes.entry(place).or_insert(fresh);
        if now.saturating_duration_since(minute.began) >= MINUTE {
            (minute.began, minute.lines) = (now, 0);
        }
        if minute.lines == LINES {
            minute.suppressed += 1;
            return None;
        }
        minute.lines += 1;
        Some(std::mem::take(&mut minute.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_writes_too_much_is_heard_again_after_a_minute_and_says_what_is_missing() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let written = (0..1_000).filter(|_| throttle.admit("flood", start).is_some()).count();
        assert_eq!(written, 60);
        assert_eq!(throttle.admit("other", start), Some(0), "each has its own lines");
        assert_eq!(throttle.admit("flood", start + MINUTE), Some(940));
        assert_eq!(throttle.admit("flood", start + MINUTE), Some(0));
    }
}
