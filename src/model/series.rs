//! The limit on the number of series. Series that are shown stay shown; new ones beyond the limit are
//! summed in the overflow.

/// The number of series of one port in [`/metrics`](crate::exposition::families::FAMILIES).
pub(crate) const OF_A_PORT: usize = 11;

/// The number of these that are counters, which `--device.metrics=state` leaves out.
pub(crate) const COUNTERS_OF_A_PORT: usize = 6;

/// The number of series of the queue discipline of one port.
pub(crate) const OF_A_QUEUE: usize = 4;

/// The number of series of one label set of a workload.
pub(crate) const OF_A_LABEL_SET: usize = 10;

/// The number of series of one network with one IPv4 subnet.
pub(crate) const OF_A_NETWORK: usize = 8 + OF_A_POOL;

/// The number of series of one IPv4 subnet of a network.
pub(crate) const OF_A_POOL: usize = 2;

/// The number of series of the TCP figures of one workload.
pub(crate) const OF_TCP: usize = 9;

/// The number of series of information on one workload or member: that it is there, how often it was started,
/// and when a workload was started, or whether a member is stranded.
pub(crate) const OF_AN_INFO: usize = 3;

/// The number of series of one link in /metrics/cadvisor.
pub(crate) const OF_A_CADVISOR_LINK: usize = 8;

/// The label value under which the overflow is shown.
pub(crate) const OTHER: &str = "other";

/// The default limit on series: enough for some 6,000 pairs, each with a container of its own.
pub const USUAL: usize = 200_000;

/// The default limit on the interfaces of one workload that are shown one by one.
pub const USUAL_INTERFACES: usize = 64;

/// The limits of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// The greatest number of series that are shown; the others are summed.
    pub series: usize,
    /// The greatest number of label sets of one workload; its further interfaces are summed.
    pub interfaces: usize,
    /// True if the rates of each label set in the last hour are kept: 500 bytes each.
    pub history: bool,
    /// True if the TCP figures of workloads are read.
    pub tcp: bool,
}

impl Default for OutputLimits {
    fn default() -> OutputLimits {
        OutputLimits { series: USUAL, interfaces: USUAL_INTERFACES, history: true, tcp: false }
    }
}

impl OutputLimits {
    /// Returns the limits for what is shown besides this many series.
    pub(crate) fn without(self, series: usize) -> OutputLimits {
        OutputLimits { series: self.series.saturating_sub(series), ..self }
    }
}

/// Returns the number of series of one port, with its counters or without.
pub(crate) fn of_a_port(has_counters: bool) -> usize {
    if has_counters { OF_A_PORT } else { OF_A_PORT - COUNTERS_OF_A_PORT }
}

/// Networks take at most one series in this many.
const OF_NETWORKS: usize = 10;

/// Discovered names and links ([`Trust::Discovered`]) take at most one series in this many.
const OF_DISCOVERED: usize = 2;

/// The trust in a name or a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The host or a runtime vouches for the name or link.
    Vouched,
    /// The exporter has only discovered the name or link; processes in a container can make any number of
    /// these.
    Discovered,
}

/// Returns how many networks fit a limit of this many series.
pub(crate) fn networks(limit: usize) -> usize {
    limit / OF_NETWORKS / OF_A_NETWORK
}

/// Returns how many series of a limit discovered names and links may take.
pub(crate) fn of_discovered(limit: usize) -> usize {
    limit / OF_DISCOVERED
}

/// The number of series that are taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SeriesBudget {
    taken: usize,
    /// The part of `taken` with [`Trust::Discovered`].
    discovered: usize,
}

impl SeriesBudget {
    /// Returns the number of series that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Returns true if this many more series fit `limit`, with `others` taken elsewhere.
    pub(crate) fn has_room(&self, series: usize, trust: Trust, others: usize, limit: usize) -> bool {
        let fits = self.taken + others + series <= limit;
        match trust {
            Trust::Vouched => fits,
            Trust::Discovered => fits && self.discovered + series <= of_discovered(limit),
        }
    }

    /// Takes series, even beyond the limit.
    pub(crate) fn reserve(&mut self, series: usize, trust: Trust) {
        self.taken += series;
        if trust == Trust::Discovered {
            self.discovered += series;
        }
    }

    /// Returns series that were taken with [`reserve`](SeriesBudget::reserve).
    pub(crate) fn release(&mut self, series: usize, trust: Trust) {
        self.taken -= series;
        if trust == Trust::Discovered {
            self.discovered -= series;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_vouches_for_leaves_half_of_the_room_to_others() {
        let mut room = SeriesBudget::default();
        let mut admit = |trust| {
            let admitted = (0..20).filter(|_| {
                let fits = room.has_room(10, trust, 0, 100);
                if fits {
                    room.reserve(10, trust);
                }
                fits
            });
            admitted.count()
        };
        assert_eq!((admit(Trust::Discovered), admit(Trust::Vouched)), (5, 5));
        assert_eq!(room.taken, 100);
        room.release(10, Trust::Discovered);
        assert!(room.has_room(10, Trust::Discovered, 0, 100));
        assert!(!room.has_room(10, Trust::Vouched, 1, 100));
    }

    #[test]
    fn what_is_shown_stays_even_if_there_is_too_much_already() {
        let mut room = SeriesBudget::default();
        room.reserve(20, Trust::Discovered);
        assert!(!room.has_room(1, Trust::Vouched, 0, 10));
        assert_eq!(room.taken, 20);
    }
}
