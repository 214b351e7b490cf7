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

/// What nobody vouches for takes no more than this part of them.
const OF_FOUND: usize = 2;

/// Whose word there is for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// It is on the host, or a runtime has told of it.
    Told,
    /// It was only found: whoever may make links and processes in a container can make any number of these.
    Found,
}

/// How many networks there may be of so many series.
pub(crate) fn networks(limit: usize) -> usize {
    limit / OF_NETWORKS / OF_A_NETWORK
}

/// How many of them there may be for what nobody vouches for.
pub(crate) fn of_found(limit: usize) -> usize {
    limit / OF_FOUND
}

/// True if there is room for all of these, of which some were only found.
pub(crate) fn fits(all: usize, found: usize, limit: usize) -> bool {
    all <= limit && found <= of_found(limit)
}

/// The series that there may be, and how many of them are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    limit: usize,
    taken: usize,
    /// Of these, what was only found.
    found: usize,
    refused: usize,
}

impl Room {
    pub(crate) fn new(limit: usize) -> Room {
        Room { limit, taken: 0, found: 0, refused: 0 }
    }

    /// Takes it for what is shown already, whether there is room or not.
    pub(crate) fn keep(&mut self, series: usize, word: Word) {
        self.taken += series;
        if word == Word::Found {
            self.found += series;
        }
    }

    /// Takes it for what is new, if there is room; else counts it as refused.
    pub(crate) fn admit(&mut self, series: usize, word: Word) -> bool {
        let mut after = *self;
        after.keep(series, word);
        let fits = match word {
            Word::Told => fits(after.taken, 0, self.limit),
            Word::Found => fits(after.taken, after.found, self.limit),
        };
        if fits {
            *self = after;
        } else {
            self.refuse(series);
        }
        fits
    }

    /// Counts what stays in the rest.
    pub(crate) fn refuse(&mut self, series: usize) {
        self.refused += series;
    }

    /// How many more there would be.
    pub(crate) fn refused(&self) -> usize {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_vouches_for_leaves_half_of_the_room_to_others() {
        let mut room = Room::new(100);
        let found = (0..20).filter(|_| room.admit(10, Word::Found)).count();
        let told = (0..20).filter(|_| room.admit(10, Word::Told)).count();
        assert_eq!((found, told), (5, 5));
        assert_eq!((room.taken, room.refused()), (100, 300));
    }

    #[test]
    fn who_is_shown_stays_even_if_there_is_too_much_already() {
        let mut room = Room::new(10);
        room.keep(20, Word::Found);
        assert!(!room.admit(1, Word::Told));
        assert_eq!((room.taken, room.refused()), (20, 1));
    }
}
