//! The limit of requests per time: a token bucket with the rules of exporter-toolkit.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A rate of one request each `interval`, with at most `burst` requests at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub interval: Duration,
    pub burst: u32,
}

/// The token bucket. Its level survives a reload of the configuration that keeps the rate.
#[derive(Debug, Default)]
pub(crate) struct Bucket(Mutex<Option<Level>>);

#[derive(Clone, Copy, Debug)]
struct Level {
    rate: Rate,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// Takes a token for one request; returns false if the bucket has none, so that the request must wait.
    pub(crate) fn take_token(&self, rate: Rate, now: Instant) -> bool {
        let mut level = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = Level { rate, tokens: f64::from(rate.burst), at: now };
        let last = level.filter(|level| level.rate == rate).unwrap_or(full);
        let refilled = now.saturating_duration_since(last.at).as_secs_f64() / rate.interval.as_secs_f64();
        let tokens = (last.tokens + refilled).min(f64::from(rate.burst));
        let passes = tokens >= 1.0;
        *level = Some(Level { rate, tokens: if passes { tokens - 1.0 } else { tokens }, at: now });
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_then_one_each_interval() {
        let (bucket, start) = (Bucket::default(), Instant::now());
        let rate = Rate { interval: Duration::from_secs(2), burst: 3 };
        let take = |millis| bucket.take_token(rate, start + Duration::from_millis(millis));
        assert_eq!([0, 0, 0, 0].map(take), [true, true, true, false]);
        assert_eq!([1_999, 2_001, 2_002, 4_001].map(take), [false, true, false, true]);
        assert_eq!([60_000; 4].map(take), [true, true, true, false], "no more than the burst is saved up");
    }

    #[test]
    fn a_burst_of_none_lets_nothing_through_and_another_rate_begins_full() {
        let (bucket, now) = (Bucket::default(), Instant::now());
        let none = Rate { interval: Duration::from_secs(1), burst: 0 };
        assert!(!bucket.take_token(none, now) && !bucket.take_token(none, now + Duration::from_secs(10)));
        assert!(bucket.take_token(Rate { burst: 1, ..none }, now));
    }
}
