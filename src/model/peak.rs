//! The highest rates of the last minute, which an average over a scrape interval hides.

use super::ledger::Traffic;
use std::collections::VecDeque;
use std::time::Duration;

/// The rates of a pair's or a workload's traffic. In a peak, each field has the rate of the tick in which
/// that field was highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Received, bytes per second.
    pub receive_bytes: u64,
    /// Received, packets per second.
    pub receive_packets: u64,
    /// Sent, bytes per second.
    pub transmit_bytes: u64,
    /// Sent, packets per second.
    pub transmit_packets: u64,
}

impl Rates {
    /// Returns the same rates as the other end of the pair sees them.
    pub(crate) fn of_peer(self) -> Rates {
        Rates {
            receive_bytes: self.transmit_bytes,
            receive_packets: self.transmit_packets,
            transmit_bytes: self.receive_bytes,
            transmit_packets: self.receive_packets,
        }
    }
}

/// The rates of a moving window; only those that may still become the window's highest are stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peaks {
    /// One maximum for each field of `Rates`, in the order of the fields.
    highest: [Highest; 4],
    /// The total at the last tick, or at the last [`skip_to`](Peaks::skip_to).
    counted: Traffic,
}

impl Peaks {
    /// Records the total at a tick; `length` is the tick's true length.
    pub(crate) fn tick(&mut self, total: &Traffic, now: Duration, length: Duration) {
        let new = total.since(self.counted);
        self.counted = *total;
        let amounts = [new.receive.bytes, new.receive.packets, new.transmit.bytes, new.transmit.packets];
        let rates = amounts.map(|amount| per_second(amount, length));
        for (highest, rate) in self.highest.iter_mut().zip(rates) {
            highest.push(now, rate);
        }
    }

    /// Returns the total at the last tick, or at the last [`skip_to`](Peaks::skip_to).
    pub(crate) fn counted(&self) -> Traffic {
        self.counted
    }

    /// Takes the total as the new starting point without a rate: the time in which it grew is not known.
    pub(crate) fn skip_to(&mut self, total: &Traffic) {
        self.counted = *total;
    }

    /// Drops the rates that are older than `window`.
    pub(crate) fn forget(&mut self, now: Duration, window: Duration) {
        for highest in &mut self.highest {
            highest.forget(now.saturating_sub(window));
        }
    }

    /// Returns the highest rates of the window; `None` if the window has no tick.
    pub(crate) fn peak(&self) -> Option<Rates> {
        let [receive_bytes, receive_packets, transmit_bytes, transmit_packets] =
            self.highest.each_ref().map(Highest::get);
        Some(Rates {
            receive_bytes: receive_bytes?,
            receive_packets: receive_packets?,
            transmit_bytes: transmit_bytes?,
            transmit_packets: transmit_packets?,
        })
    }
}

/// Returns `amount` divided by `length`, rounded to the nearest integer; 0 for a tick without a length.
pub(crate) fn per_second(amount: u64, length: Duration) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    let nanos = length.as_nanos();
    if nanos == 0 || amount == 0 {
        return 0;
    }
    // A division of 128 bits takes many times as long, and is rarely needed.
    if let (Ok(nanos), Some(scaled)) = (u64::try_from(nanos), amount.checked_mul(SECOND))
        && let Some(rounded) = scaled.checked_add(nanos / 2)
    {
        return rounded / nanos;
    }
    let rate = (u128::from(amount) * u128::from(SECOND) + nanos / 2) / nanos;
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// The maximum of a moving window: a queue of decreasing values, each with its time. A value leaves the
/// queue when it is older than the window.
#[derive(Clone, Debug, Default)]
struct Highest {
    /// The head of the queue, which is the maximum. Steady traffic has no other value, and needs no further
    /// memory.
    first: Option<(Duration, u64)>,
    later: VecDeque<(Duration, u64)>,
}

impl Highest {
    fn push(&mut self, now: Duration, value: u64) {
        while self.later.back().is_some_and(|&(_, earlier)| earlier <= value) {
            self.later.pop_back();
        }
        match self.first {
            Some((_, earlier)) if earlier > value => self.later.push_back((now, value)),
            _ => self.first = Some((now, value)),
        }
    }

    fn forget(&mut self, before: Duration) {
        while self.first.is_some_and(|(at, _)| at < before) {
            self.first = self.later.pop_front();
        }
    }

    fn get(&self) -> Option<u64> {
        self.first.map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ledger::Flow;
    use proptest::prelude::*;

    fn received(bytes: u64) -> Traffic {
        Traffic { receive: Flow { bytes, ..Flow::default() }, ..Traffic::default() }
    }

    #[test]
    fn a_rate_is_over_the_ticks_true_length() {
        let mut peaks = Peaks::default();
        peaks.tick(&received(1000), Duration::from_secs(1), Duration::from_millis(500));
        assert_eq!(peaks.peak().unwrap().receive_bytes, 2000);
        assert_eq!(per_second(1, Duration::ZERO), 0);
        assert_eq!(per_second(u64::MAX, Duration::from_nanos(1)), u64::MAX);
        // Numbers of 64 bits are enough for the first two, and not for the third.
        for (amount, rate) in [(18_446_744_072, 3_689_348_814), (3, 1), (u64::MAX, 3_689_348_814_741_910_323)]
        {
            assert_eq!(per_second(amount, Duration::from_secs(5)), rate, "{amount}");
        }
    }

    #[test]
    fn a_peak_ends_with_its_window() {
        let mut peaks = Peaks::default();
        let second = Duration::from_secs(1);
        peaks.tick(&received(1000), second, second);
        for n in 2..=61 {
            peaks.tick(&received(1000 + u64::from(n)), second * n, second);
            peaks.forget(second * n, second * 60);
        }
        assert_eq!(peaks.peak().unwrap().receive_bytes, 1000);
        peaks.tick(&received(1062), second * 62, second);
        peaks.forget(second * 62, second * 60);
        assert_eq!(peaks.peak().unwrap().receive_bytes, 2);
        peaks.forget(second * 200, second * 60);
        assert_eq!(peaks.peak(), None);
    }

    proptest! {
        #[test]
        fn it_is_the_maximum_of_the_window(values in proptest::collection::vec(0u64..50, 1..80), window in 1u64..20) {
            let mut highest = Highest::default();
            for (now, &value) in values.iter().enumerate() {
                highest.push(Duration::from_secs(now as u64), value);
                let first = (now as u64).saturating_sub(window) as usize;
                highest.forget(Duration::from_secs(first as u64));
                prop_assert_eq!(highest.get(), values[first..=now].iter().max().copied());
            }
        }
    }
}
