//! The scrapes that wait, and the counters that each waits for. This part only decides and performs no
//! reading.
//!
//! Scrapes that arrive before a reading of the counters begins share it, and those that arrive during it
//! share the next. After 50 ms a scrape gets the last known values, which is counted.

use std::time::{Duration, Instant};

/// The longest time that a scrape waits for counters of its own.
const PATIENCE: Duration = Duration::from_millis(50);

/// The scrapes that wait; `R` is the channel for the answer to one.
#[derive(Debug)]
pub(super) struct Scrapes<R> {
    /// True while the counters are being read.
    sampling: bool,
    /// The scrapes that wait for the counters that are being read.
    waiting: Vec<R>,
    /// The scrapes that arrived after the reading had begun: they wait for the next one.
    late: Vec<R>,
    /// The time at which all of these are answered with the last known values.
    deadline: Option<Instant>,
    /// The scrapes that wait for links that are not veths; `others_deadline` is the end of their wait.
    for_others: Vec<R>,
    others_deadline: Option<Instant>,
}

impl<R> Default for Scrapes<R> {
    fn default() -> Scrapes<R> {
        Scrapes {
            sampling: false,
            waiting: Vec::new(),
            late: Vec::new(),
            deadline: None,
            for_others: Vec::new(),
            others_deadline: None,
        }
    }
}

/// The scrapes to answer now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due<R> {
    pub answer: Vec<R>,
    /// True if the counters must be read again, for scrapes that arrived during the reading.
    pub sample: bool,
}

impl<R> Scrapes<R> {
    /// Returns true if the counters must be read now, because no reading is under way.
    pub(super) fn begin_sample(&mut self) -> bool {
        !std::mem::replace(&mut self.sampling, true)
    }

    /// Records that the counters cannot be read.
    pub(super) fn no_sample(&mut self) {
        self.sampling = false;
    }

    /// Takes a new scrape. Returns true if the counters must be read for it now.
    pub(super) fn arrive(&mut self, scrape: R, now: Instant) -> bool {
        if self.sampling {
            self.late.push(scrape);
        } else {
            self.waiting.push(scrape);
        }
        self.deadline.get_or_insert(now + PATIENCE);
        self.begin_sample()
    }

    /// Takes a new scrape that also needs the counters of links that are not veths.
    pub(super) fn arrive_for_others(&mut self, scrape: R, now: Instant) {
        self.for_others.push(scrape);
        self.others_deadline.get_or_insert(now + PATIENCE);
    }

    /// Removes and returns the scrapes that wait for other links, if these have all been read or the time
    /// is over. The caller then treats them like any other scrape.
    pub(super) fn take_for_others(&mut self, all_read: bool, now: Instant) -> Vec<R> {
        if self.others_deadline.is_none_or(|end| now < end && !all_read) {
            return Vec::new();
        }
        self.others_deadline = None;
        std::mem::take(&mut self.for_others)
    }

    /// Records that the counters were read. Returns the scrapes that waited for this reading; later ones
    /// wait for the next.
    pub(super) fn sampled(&mut self, now: Instant) -> Due<R> {
        self.sampling = false;
        self.deadline = None;
        let answer = std::mem::replace(&mut self.waiting, std::mem::take(&mut self.late));
        let sample = !self.waiting.is_empty();
        if sample {
            self.deadline = Some(now + PATIENCE);
            self.sampling = true;
        }
        Due { answer, sample }
    }

    /// Records that the counters could not be read. Returns all waiting scrapes, to be answered with the
    /// last known values.
    pub(super) fn failed(&mut self) -> Vec<R> {
        self.sampling = false;
        self.give_up()
    }

    /// Returns the scrapes with a wait that is over, to be answered with the last known values.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<R> {
        if self.deadline.is_some_and(|end| now >= end) { self.give_up() } else { Vec::new() }
    }

    fn give_up(&mut self) -> Vec<R> {
        self.deadline = None;
        let mut answer = std::mem::take(&mut self.waiting);
        answer.append(&mut self.late);
        answer
    }

    /// Returns the time at which the next wait is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline.into_iter().chain(self.others_deadline).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn scrapes_before_a_reading_share_it_and_those_amid_it_share_the_next() {
        let (mut scrapes, now) = (Scrapes::default(), Instant::now());
        assert_eq!(["a", "b"].map(|scrape| scrapes.arrive(scrape, now)), [true, false]);
        // Both scrapes wait, though the second arrived after the reading had begun.
        assert_eq!(scrapes.sampled(now + MS), Due { answer: vec!["a"], sample: true });
        assert!(!scrapes.arrive("c", now + 2 * MS));
        assert_eq!(scrapes.sampled(now + 3 * MS), Due { answer: vec!["b"], sample: true });
        assert_eq!(scrapes.sampled(now + 4 * MS), Due { answer: vec!["c"], sample: false });
        assert_eq!(scrapes.deadline(), None);
        assert!(scrapes.arrive("d", now + 5 * MS));
    }

    #[test]
    fn a_ticks_reading_is_not_that_of_a_scrape_that_came_amid_it() {
        let (mut scrapes, now) = (Scrapes::default(), Instant::now());
        assert!(scrapes.begin_sample() && !scrapes.begin_sample());
        assert!(!scrapes.arrive("a", now));
        assert_eq!(scrapes.sampled(now + MS), Due { answer: vec![], sample: true });
        assert_eq!(scrapes.deadline(), Some(now + MS + PATIENCE));
        assert_eq!(scrapes.sampled(now + 2 * MS), Due { answer: vec!["a"], sample: false });
    }

    #[test]
    fn whoever_has_waited_too_long_and_whoever_s_reading_fails_gets_what_is_known() {
        let (mut scrapes, now) = (Scrapes::default(), Instant::now());
        scrapes.arrive("a", now);
        scrapes.arrive("b", now + 40 * MS);
        assert_eq!(scrapes.overdue(now + 49 * MS), [] as [&str; 0]);
        assert_eq!(scrapes.deadline(), Some(now + PATIENCE));
        assert_eq!(scrapes.overdue(now + PATIENCE), ["a", "b"]);
        assert_eq!(scrapes.deadline(), None);
        // The reading is still under way.
        assert!(!scrapes.arrive("c", now + 60 * MS));
        assert_eq!(scrapes.failed(), ["c"]);
        assert!(scrapes.arrive("d", now + 70 * MS));
        scrapes.no_sample();
        assert!(scrapes.begin_sample());
    }

    #[test]
    fn who_wants_other_links_too_waits_for_them_first_and_not_for_long() {
        let (mut scrapes, now) = (Scrapes::default(), Instant::now());
        scrapes.arrive_for_others("a", now);
        assert_eq!(scrapes.take_for_others(false, now + MS), [] as [&str; 0]);
        assert_eq!(scrapes.take_for_others(true, now + MS), ["a"]);
        scrapes.arrive_for_others("b", now);
        assert_eq!(scrapes.deadline(), Some(now + PATIENCE));
        assert_eq!(scrapes.take_for_others(false, now + PATIENCE), ["b"]);
        assert_eq!((scrapes.deadline(), scrapes.take_for_others(true, now)), (None, vec![]));
    }
}
