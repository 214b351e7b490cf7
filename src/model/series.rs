//! How many series there may be: who is shown stays shown, and newcomers that there is no room for are
//! summed in the rest.

/// The series of one port, in [`/metrics`](crate::exposition::families::FAMILIES).
pub(crate) const OF_A_PORT: usize = 10;

/// Those of one label set of a workload.
pub(crate) const OF_A_LABEL_SET: usize = 10;

/// Those of one network.
pub(crate) const OF_A_NETWORK: usize = 4;

/// That of the information on one workload or member.
pub(crate) const OF_AN_INFO: usize = 1;

/// Those of one link in /metrics/cadvisor.
pub(crate) const OF_A_CADVISOR_LINK: usize = 8;

/// The label's value of what is summed.
pub(crate) const OTHER: &str = "other";

/// So many there may be if nobody says otherwise: some 9,500 pairs, each with a container of its own.
pub const USUAL: usize = 200_000;

/// Networks take no more than this part of them.
const OF_NETWORKS: usize = 10;

/// What nothing vouches for takes no more than this part of them.
const OF_DISCOVERED: usize = 2;

/// Whether something vouches for a name or a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It is on the host, or a runtime reports it.
    Vouched,
    /// It was only found: processes in a container can make any number of these.
    Discovered,
}

/// Returns how many networks there may be of that many series.
pub(crate) fn networks(limit: usize) -> usize {
    limit / OF_NETWORKS / OF_A_NETWORK
}

/// Returns how many of these series there may be for what nothing vouches for.
pub(crate) fn of_discovered(limit: usize) -> usize {
    limit / OF_DISCOVERED
}

/// The series that are taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    taken: usize,
    /// Of these, what was only found.
    discovered: usize,
}

impl Room {
    /// Returns true if there is room for that many more within `limit`, `others` besides.
    pub(crate) fn has_room(&self, series: usize, trust: Trust, others: usize, limit: usize) -> bool {
        let fits = self.taken + others + series <= limit;
        match trust {
            Trust::Vouched => fits,
            Trust::Discovered => fits && self.discovered + series <= of_discovered(limit),
        }
    }

    /// Takes series, whether there is room or not.
    pub(crate) fn keep(&mut self, series: usize, trust: Trust) {
        self.taken += series;
        if trust == Trust::Discovered {
            self.discovered += series;
        }
    }

    /// Gives series back that were taken.
    pub(crate) fn give_back(&mut self, series: usize, trust: Trust) {
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
        let mut room = Room::default();
        let mut admit = |trust| {
            let admitted = (0..20).filter(|_| {
                let fits = room.has_room(10, trust, 0, 100);
                if fits {
                    room.keep(10, trust);
                }
                fits
            });
            admitted.count()
        };
        assert_eq!((admit(Trust::Discovered), admit(Trust::Vouched)), (5, 5));
        assert_eq!(room.taken, 100);
        room.give_back(10, Trust::Discovered);
        assert!(room.has_room(10, Trust::Discovered, 0, 100));
        assert!(!room.has_room(10, Trust::Vouched, 1, 100));
    }

    #[test]
    fn what_is_shown_stays_even_if_there_is_too_much_already() {
        let mut room = Room::default();
        room.keep(20, Trust::Discovered);
        assert!(!room.has_room(1, Trust::Vouched, 0, 10));
        assert_eq!(room.taken, 20);
    }
}
