//! The times at which an engine is asked for its lists: on its events, on a slow check, and again and again
//! where it has no events.

use std::time::Duration;
use tokio::time::Instant;

/// The shortest pause between two requests for an engine's list, and the longest because the last list took
/// as long.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The pause after a failed request.
const RETRY: Duration = Duration::from_secs(1);

/// The pause after which an engine with events is asked all the same: events should report every change.
const CHECK: Duration = Duration::from_secs(60);

/// The time after a subscription at which the lists are asked for once more: an engine can accept it a moment
/// before it takes effect.
const SETTLED: Duration = Duration::from_secs(2);

/// The pauses of an engine without events: the first one, which doubles as long as nothing changes, and the
/// longest.
const POLL: Duration = Duration::from_secs(1);
const LONGEST_POLL: Duration = Duration::from_secs(15);

/// The pause of an engine without events, as a multiple of the time that its last list took, up to
/// [`LONGEST_POLL`].
const REST: u32 = 10;

/// The times at which one engine is asked.
#[derive(Debug)]
pub(super) struct Pace {
    /// True while the engine's events arrive.
    live: bool,
    /// True if the lists may have changed since they were last asked for.
    wanted: bool,
    /// The earliest time for a request.
    earliest: Instant,
    /// The time of the next request if nothing is heard; `None` before the first one.
    next: Option<Instant>,
    /// The time of the request after a subscription.
    settled: Option<Instant>,
    /// The numbers of answers in a row that were as the one before, and that were not complete.
    same: u32,
    incomplete: u32,
}

/// A request's answer, as far as the pace depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    /// False if the engine could not be asked.
    pub well: bool,
    /// True if the answer differs from the last one.
    pub changed: bool,
    /// False if something that is listed has yet to be asked about.
    pub complete: bool,
    pub took: Duration,
}

impl Pace {
    /// Returns the pace of an engine that nothing has asked for yet.
    pub(super) fn new(now: Instant) -> Pace {
        Pace { live: false, wanted: false, earliest: now, next: None, settled: None, same: 0, incomplete: 0 }
    }

    /// Begins to ask, if nothing has asked for the engine before.
    pub(super) fn begin(&mut self) {
        self.wanted |= self.next.is_none();
    }

    /// Notes that the lists may have changed.
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    /// Notes that something has no name that the engine may have. Events would have reported it.
    pub(super) fn want_without_events(&mut self) {
        self.wanted |= !self.live && self.next.is_some();
    }

    /// Notes that the engine's events begin or cease to arrive.
    pub(super) fn set_live(&mut self, live: bool, now: Instant) {
        (self.live, self.wanted, self.same) = (live, true, 0);
        self.settled = live.then(|| now + SETTLED);
    }

    /// Returns the time of the next request; `None` before the first one is wanted.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.wanted {
            return Some(self.earliest);
        }
        let next = self.next?;
        Some(self.settled.map_or(next, |settled| settled.min(next)).max(self.earliest))
    }

    /// Begins a request. Returns true if it is a check, and not because of an event.
    pub(super) fn ask(&mut self, now: Instant) -> bool {
        let check = !std::mem::take(&mut self.wanted);
        self.settled = self.settled.filter(|settled| now < *settled);
        check
    }

    /// Sets the times of the next requests after an answer.
    pub(super) fn answered(&mut self, answered: Answered, now: Instant) {
        let Answered { well, changed, complete, took } = answered;
        self.same = if changed { 0 } else { self.same.saturating_add(1) };
        self.incomplete = if well && !complete { self.incomplete.saturating_add(1) } else { 0 };
        let growing = |times: u32, longest| POLL.saturating_mul(2_u32.saturating_pow(times)).min(longest);
        let pause = match (well, self.live) {
            (false, _) => RETRY,
            (true, true) if complete => CHECK,
            (true, true) => growing(self.incomplete - 1, CHECK),
            (true, false) => {
                growing(self.same.saturating_sub(1), LONGEST_POLL).max((REST * took).min(LONGEST_POLL))
            }
        };
        let shortest = if well { took.clamp(PAUSE, LONGEST_PAUSE) } else { RETRY };
        (self.earliest, self.next) = (now + shortest, Some(now + pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME: Answered =
        Answered { well: true, changed: false, complete: true, took: Duration::from_millis(10) };

    /// Asks an engine until this time has passed, whenever it is due. Returns the seconds of the requests.
    fn asked(pace: &mut Pace, start: Instant, seconds: u64, answer: Answered) -> Vec<u64> {
        let mut times = Vec::new();
        while let Some(due) = pace.due().filter(|due| *due < start + Duration::from_secs(seconds)) {
            pace.ask(due);
            pace.answered(answer, due + answer.took);
            times.push((due - start).as_secs());
        }
        times
    }

    #[test]
    fn nothing_is_asked_before_something_asks_for_the_engine() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.want_without_events();
        assert_eq!(pace.due(), None);
        pace.begin();
        assert_eq!(pace.due(), Some(start));
    }

    #[test]
    fn an_engine_with_events_is_asked_once_more_and_then_each_minute() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.begin();
        pace.set_live(true, start);
        assert_eq!(asked(&mut pace, start, 200, SAME), [0, 2, 62, 122, 182]);
        // A name that is missing changes nothing, and an event does.
        pace.want_without_events();
        assert!(pace.due() > Some(start + Duration::from_secs(200)));
        pace.want();
        assert!(pace.due() < Some(start + Duration::from_secs(200)));
    }

    #[test]
    fn an_engine_without_events_is_asked_ever_less_often_while_nothing_changes() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.begin();
        assert_eq!(asked(&mut pace, start, 70, SAME), [0, 1, 3, 7, 15, 30, 45, 60]);
        pace.want_without_events();
        assert!(pace.due() < Some(start + Duration::from_secs(62)));
        let changes = Answered { changed: true, ..SAME };
        let mut pace = Pace::new(start);
        pace.begin();
        assert_eq!(asked(&mut pace, start, 4, changes), [0, 1, 2, 3]);
    }

    #[test]
    fn a_failure_is_tried_again_each_second_and_an_incomplete_answer_ever_less_often() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.set_live(true, start);
        let fails = Answered { well: false, complete: false, ..SAME };
        assert_eq!(asked(&mut pace, start, 5, fails).len(), 5);
        let mut pace = Pace::new(start);
        pace.set_live(true, start);
        pace.settled = None;
        let incomplete = Answered { complete: false, ..SAME };
        assert_eq!(asked(&mut pace, start, 130, incomplete), [0, 1, 3, 7, 15, 31, 63, 123]);
    }

    #[test]
    fn a_slow_engine_rests_as_long_as_it_has_worked() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.set_live(true, start);
        let took = Duration::from_millis(400);
        pace.ask(start);
        pace.answered(Answered { took, ..SAME }, start + took);
        pace.want();
        assert_eq!(pace.due(), Some(start + 2 * took));
    }
}
