//! The rates of a label set in the last two minutes and in the last hour, one byte for each.

use crate::model::peak::per_second;
use std::sync::LazyLock;
use std::time::Duration;

/// The number of ticks, and of half minutes, that are kept.
pub(crate) const KEPT: usize = 120;

/// The length of a mean in the longer part.
const LONG: Duration = Duration::from_secs(30);

/// The smallest rate of each step, in bytes per second: each step is a tenth larger than the one before.
static STEPS: LazyLock<[u64; 256]> = LazyLock::new(|| {
    let mut steps = [0; 256];
    let mut lower = 0;
    for (step, bound) in steps.iter_mut().enumerate().skip(1) {
        // Small steps are at least one byte per second apart.
        *bound = (1.1_f64.powi(step as i32 - 1).round() as u64).max(lower + 1);
        lower = *bound;
    }
    steps
});

/// Returns the step of a rate: 0 for none, else the highest step that is not above it.
fn step(rate: u64) -> u8 {
    match rate {
        0 => 0,
        _ => (STEPS.partition_point(|bound| *bound <= rate) - 1) as u8,
    }
}

/// Returns the rate of a step, in bytes per second.
#[cfg(test)]
pub(crate) fn rate_of(step: u8) -> u64 {
    STEPS[usize::from(step)]
}

/// The last values of one direction, as steps.
#[derive(Clone, Debug)]
struct Ring {
    steps: [u8; KEPT],
}

/// The rates of a label set.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// Received and sent, at the tick and in half minutes.
    rings: [[Ring; 2]; 2],
    /// The numbers of values in the parts, up to [`KEPT`], and the places of their next values.
    lengths: [u8; 2],
    next: [u8; 2],
    /// The bytes of the half minute that is not complete, and its beginning.
    sum: [u64; 2],
    begun: Duration,
}

/// The rates of a label set in the order of time, as steps; the last value is the newest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HistorySteps {
    /// Received and sent in the last ticks.
    pub ticks: [Vec<u8>; 2],
    /// The same in the last complete half minutes.
    pub half_minutes: [Vec<u8>; 2],
}

impl HistorySteps {
    /// Returns true if there was no traffic.
    pub(crate) fn is_empty(&self) -> bool {
        self.ticks.iter().chain(&self.half_minutes).flatten().all(|step| *step == 0)
    }
}

impl History {
    /// Returns an empty history that begins now.
    pub(crate) fn new(now: Duration) -> History {
        let ring = || Ring { steps: [0; KEPT] };
        History {
            rings: [[ring(), ring()], [ring(), ring()]],
            lengths: [0, 0],
            next: [0, 0],
            sum: [0, 0],
            begun: now,
        }
    }

    /// Records a tick of this length: the bytes received and sent in it.
    pub(crate) fn tick(&mut self, bytes: [u64; 2], length: Duration, now: Duration) {
        self.push(0, bytes.map(|bytes| per_second(bytes, length)));
        self.sum = [0, 1].map(|direction| self.sum[direction].saturating_add(bytes[direction]));
        let span = now.saturating_sub(self.begun);
        if span >= LONG {
            let sum = std::mem::take(&mut self.sum);
            self.begun = now;
            self.push(1, sum.map(|bytes| per_second(bytes, span)));
        }
    }

    fn push(&mut self, part: usize, rates: [u64; 2]) {
        let place = usize::from(self.next[part]);
        for (ring, rate) in self.rings[part].iter_mut().zip(rates) {
            ring.steps[place] = step(rate);
        }
        self.next[part] = ((place + 1) % KEPT) as u8;
        self.lengths[part] = (self.lengths[part] + 1).min(KEPT as u8);
    }

    /// Returns the values in the order of time.
    pub(crate) fn steps(&self) -> HistorySteps {
        HistorySteps { ticks: self.part(0), half_minutes: self.part(1) }
    }

    fn part(&self, part: usize) -> [Vec<u8>; 2] {
        let (length, next) = (usize::from(self.lengths[part]), usize::from(self.next[part]));
        self.rings[part]
            .each_ref()
            .map(|ring| (0..length).map(|at| ring.steps[(next + KEPT - length + at) % KEPT]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_step_is_a_tenth_and_the_steps_reach_beyond_any_link() {
        assert_eq!((step(0), step(1), rate_of(1)), (0, 1, 1));
        assert!(rate_of(255) > 30_000_000_000, "{}", rate_of(255));
        assert_eq!(step(u64::MAX), 255);
        assert!(STEPS.is_sorted());
    }

    proptest! {
        #[test]
        fn a_rate_is_known_within_a_tenth(rate in 10_u64..30_000_000_000) {
            let known = rate_of(step(rate));
            prop_assert!(known <= rate && rate - known <= rate / 10 + 1, "{rate} as {known}");
        }

        #[test]
        fn the_last_values_come_back_in_their_order(values in prop::collection::vec(0_u64..1_000_000, 0..400)) {
            let mut history = History::new(Duration::ZERO);
            for (tick, value) in values.iter().enumerate() {
                history.tick([*value, value / 2], SECOND, SECOND * (tick as u32 + 1));
            }
            let HistorySteps { ticks, half_minutes } = history.steps();
            let last = &values[values.len().saturating_sub(KEPT)..];
            prop_assert_eq!(&ticks[0], &last.iter().map(|value| step(*value)).collect::<Vec<_>>());
            prop_assert_eq!(&ticks[1], &last.iter().map(|value| step(value / 2)).collect::<Vec<_>>());
            let means: Vec<u8> = values
                .chunks_exact(30)
                .map(|chunk| step((chunk.iter().sum::<u64>() as f64 / 30.0).round() as u64))
                .collect();
            prop_assert_eq!(&half_minutes[0], &means[means.len().saturating_sub(KEPT)..].to_vec());
        }
    }

    #[test]
    fn a_history_takes_half_a_kilobyte() {
        assert!(size_of::<History>() <= 520, "{}", size_of::<History>());
    }
}
