//! The periods in which totals are counted: today and this month.
//!
//! A total keeps the number of bytes that it had when each period began, so what passed in the period is a
//! difference: a tick does nothing for it, and only the beginning of a period touches all totals. What passes
//! between two readings of the counters belongs to the period of the later one, and so does what passed while
//! the exporter was down.

use super::ledger::Traffic;
use std::ops::AddAssign;
use std::time::Duration;

/// One value for each period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByPeriod<T> {
    pub today: T,
    pub month: T,
}

impl<T> ByPeriod<T> {
    /// Returns the results of a function of both values of each period.
    pub(crate) fn with<U, V>(self, other: ByPeriod<U>, f: impl Fn(T, U) -> V) -> ByPeriod<V> {
        ByPeriod { today: f(self.today, other.today), month: f(self.month, other.month) }
    }
}

/// A period of the present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// The beginning by the calendar, since 1970.
    pub start: Duration,
    /// The time from which traffic is counted in it, since 1970: later than `start` if it is not known what
    /// totals were at the start.
    pub since: Duration,
}

/// The bytes of a total, each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteSums {
    pub receive: u64,
    pub transmit: u64,
}

impl ByteSums {
    /// Returns the bytes of a total.
    pub(crate) fn of(traffic: &Traffic) -> ByteSums {
        ByteSums { receive: traffic.receive.bytes, transmit: traffic.transmit.bytes }
    }

    /// Returns the bytes that were added to a total since it had this many.
    pub(crate) fn until(self, traffic: &Traffic) -> ByteSums {
        let ByteSums { receive, transmit } = ByteSums::of(traffic);
        ByteSums {
            receive: receive.saturating_sub(self.receive),
            transmit: transmit.saturating_sub(self.transmit),
        }
    }
}

impl AddAssign for ByteSums {
    fn add_assign(&mut self, more: ByteSums) {
        self.receive = self.receive.saturating_add(more.receive);
        self.transmit = self.transmit.saturating_add(more.transmit);
    }
}

/// The bytes that a total had at the beginning of each period; 0 for a total that began later.
pub(crate) type PeriodBases = ByPeriod<ByteSums>;

impl PeriodBases {
    /// Takes the present bytes of a total as those at the beginning of the periods that are `new`.
    pub(crate) fn begin(&mut self, traffic: &Traffic, new: ByPeriod<bool>) {
        let now = ByteSums::of(traffic);
        *self = self.with(new, |base, is_new| if is_new { now } else { base });
    }

    /// Adds the bases of a total that is summed with this one.
    pub(crate) fn add(&mut self, more: PeriodBases) {
        self.today += more.today;
        self.month += more.month;
    }
}

/// The periods that the calendar has reported last, and the time until which was counted.
#[derive(Debug, Default)]
pub(crate) struct Periods {
    /// `None` before the first calendar.
    present: Option<ByPeriod<Period>>,
    /// The latest time, since 1970, that is known to have been counted.
    latest: Duration,
}

impl Periods {
    /// Returns the present periods; `None` before the first calendar.
    pub(crate) fn present(&self) -> Option<ByPeriod<Period>> {
        self.present
    }

    /// Takes the calendar: when the periods of `now` have begun, all since 1970. Returns the periods that are
    /// new: the present bytes of each total are those at their beginning. A period that was there before, as
    /// the clock was set back and on again, is counted from `now`.
    pub(crate) fn begin(&mut self, starts: ByPeriod<Duration>, now: Duration) -> ByPeriod<bool> {
        let latest = self.latest;
        self.latest = latest.max(now);
        self.replace(self.present, starts, |start| if start > latest { start } else { now.max(start) })
    }

    /// Takes the periods of an earlier run, of which the last totals are of the time `taken`, since 1970.
    /// Returns the periods that are new: for the others, the saved bases hold.
    ///
    /// A period that has begun after `taken` contains all that was counted since. Of one that has begun
    /// before without being among the saved ones (the time zone is another one, or the file has none) only
    /// what was counted since `taken` is known. Before the first calendar nothing is new: it will be then.
    pub(crate) fn restore(&mut self, saved: Option<ByPeriod<Period>>, taken: Duration) -> ByPeriod<bool> {
        let latest = self.latest;
        self.latest = latest.max(taken);
        let Some(present) = self.present else { return ByPeriod::default() };
        let starts = ByPeriod { today: present.today.start, month: present.month.start };
        self.replace(saved, starts, |start| taken.min(latest).max(start))
    }

    /// Sets the periods that have these starts: those of `before` go on, and others are counted from `since`.
    /// Returns the periods that are new.
    fn replace(
        &mut self,
        before: Option<ByPeriod<Period>>,
        starts: ByPeriod<Duration>,
        since: impl Fn(Duration) -> Duration,
    ) -> ByPeriod<bool> {
        let next = |before: Option<Period>, start| match before {
            Some(before) if before.start == start => (before, false),
            _ => (Period { start, since: since(start) }, true),
        };
        let today = next(before.map(|before| before.today), starts.today);
        let month = next(before.map(|before| before.month), starts.month);
        self.present = Some(ByPeriod { today: today.0, month: month.0 });
        ByPeriod { today: today.1, month: month.1 }
    }
}

#[cfg(test)]
mod tests;
