//! The root queue disciplines of the host's ports: which are read at a scrape, and their last numbers.
//!
//! A port's link (IFLA_QDISC) and events (RTM_NEWQDISC, RTM_DELQDISC) say whether it has one. The numbers are
//! read at scrapes alone, of these ports alone. The kernel keeps them in 32 bits and begins at 0 with
//! each new queue discipline; they are shown as they are, so a wrap and a replacement are both a reset of a
//! counter.

use super::link::{Link, Name, NetnsId};
use super::policy::QUEUES_ONE_BY_ONE;
use super::view::ShownSide;

/// The numbers of a queue discipline, from `struct gnet_stats_queue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct QueueCounters {
    /// Packets that the queue discipline has dropped; wraps at 2^32.
    pub drops: u32,
    /// The number of times that a limit of the queue discipline held a packet back; wraps at 2^32.
    pub overlimits: u32,
    /// Bytes that wait in the queue.
    pub backlog_bytes: u32,
    /// Packets that wait in the queue, from the field `qlen`.
    pub backlog_packets: u32,
}

/// The root queue discipline of a link of the host, as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueReading {
    /// The ifindex of the link.
    pub ifindex: u32,
    /// The kind, from TCA_KIND.
    pub kind: Name,
    /// The numbers at the time of the reading.
    pub counters: QueueCounters,
}

/// The queue disciplines to read with a sample of counters, and what was read of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueSamples {
    /// The ifindices of the links to read, in ascending order; empty at a tick.
    pub wanted: Vec<u32>,
    /// The root queue disciplines that were found on these links.
    pub read: Vec<QueueReading>,
    /// The reason, if the reading failed.
    pub failure: Option<String>,
}

impl QueueSamples {
    /// Removes what was read, and keeps what is wanted and the memory.
    pub(crate) fn clear_answer(&mut self) {
        self.read.clear();
        self.failure = None;
    }

    /// Returns true if one dump of all links costs less than a request for each wanted link, on a host with
    /// this many links.
    pub(crate) fn wants_dump(&self, links: usize) -> bool {
        self.wanted.len().saturating_mul(QUEUES_ONE_BY_ONE) > links
    }

    /// Adds a queue discipline that a dump contains, if it is wanted.
    pub(crate) fn take_dumped(&mut self, reading: QueueReading) {
        if self.wanted.binary_search(&reading.ifindex).is_ok() {
            self.read.push(reading);
        }
    }
}

/// The last numbers of the queue disciplines that are shown.
#[derive(Debug, Default)]
pub(crate) struct LastQueues {
    /// In the order of the ifindices.
    readings: Vec<QueueReading>,
}

impl LastQueues {
    /// Takes what was read. If the reading failed, the last numbers of the links that are missing stay;
    /// otherwise a link that is missing has no queue discipline any more.
    pub(crate) fn take_samples(&mut self, samples: &QueueSamples) {
        let QueueSamples { wanted, read, failure } = samples;
        match failure {
            None => self.readings.clear(),
            Some(_) => self.readings.retain(|last| {
                wanted.binary_search(&last.ifindex).is_ok()
                    && read.iter().all(|new| new.ifindex != last.ifindex)
            }),
        }
        self.readings.extend(read);
        self.readings.sort_by_key(|reading| reading.ifindex);
        self.readings.dedup_by_key(|reading| reading.ifindex);
    }

    /// Returns the last numbers, in the order of the ifindices.
    pub(crate) fn readings(&self) -> &[QueueReading] {
        &self.readings
    }

    /// Forgets every number: no port has a queue discipline.
    pub(crate) fn clear(&mut self) {
        self.readings.clear();
    }
}

/// Returns the numbers of a link's queue discipline, if the last reading found one of this kind.
pub(crate) fn find(readings: &[QueueReading], ifindex: u32, kind: Name) -> Option<&QueueCounters> {
    let at = readings.binary_search_by_key(&ifindex, |reading| reading.ifindex).ok()?;
    Some(&readings[at]).filter(|reading| reading.kind == kind).map(|reading| &reading.counters)
}

impl Link {
    /// Returns the kind of the root queue discipline, if it is one that can hold or drop packets: neither
    /// noqueue nor noop (net/sched/sch_generic.c).
    pub(crate) fn queue(&self) -> Option<Name> {
        Some(self.qdisc).filter(|kind| !matches!(kind.as_bytes(), b"" | b"noqueue" | b"noop"))
    }
}

impl ShownSide {
    /// Returns the ifindex of a visible link of the host and the kind of its root queue discipline, if it has
    /// one. RTM_GETQDISC cannot name another namespace, so links elsewhere have none here.
    pub(crate) fn queue(&self) -> Option<(u32, Name)> {
        let link = self.link.as_ref().filter(|_| self.end.netns == NetnsId::Host && !self.hidden)?;
        Some((self.end.ifindex, link.queue()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(kind: &str) -> Name {
        Name::from_bytes(kind.as_bytes()).unwrap()
    }

    fn reading(ifindex: u32, kind: &str, drops: u32) -> QueueReading {
        let counters = QueueCounters { drops, ..QueueCounters::default() };
        QueueReading { ifindex, kind: name(kind), counters }
    }

    fn samples(wanted: &[u32], read: &[QueueReading], failure: Option<&str>) -> QueueSamples {
        QueueSamples { wanted: wanted.to_vec(), read: read.to_vec(), failure: failure.map(str::to_owned) }
    }

    #[test]
    fn noqueue_noop_and_an_unknown_kind_are_no_queue() {
        let queue = |kind: &[u8]| {
            let qdisc = Name::from_bytes(kind).unwrap();
            Link { qdisc, ..Link::default() }.queue().map(|kind| kind.as_bytes().to_vec())
        };
        for kind in [b"".as_slice(), b"noqueue", b"noop\0"] {
            assert_eq!(queue(kind), None);
        }
        for kind in [b"tbf".as_slice(), b"fq_codel", b"pfifo_fast", b"noqueue2", b"q\xff\n"] {
            assert_eq!(queue(kind).as_deref(), Some(kind));
        }
    }

    #[test]
    fn a_reading_that_succeeded_says_all_and_one_that_failed_leaves_the_last_numbers() {
        let mut last = LastQueues::default();
        last.take_samples(&samples(&[5, 9], &[reading(9, "tbf", 1), reading(5, "htb", 2)], None));
        assert_eq!(last.readings(), [reading(5, "htb", 2), reading(9, "tbf", 1)]);
        // Of two, one was read before the failure; a third is no longer wanted.
        last.take_samples(&samples(&[5, 9], &[reading(5, "htb", 3)], Some("why")));
        assert_eq!(last.readings(), [reading(5, "htb", 3), reading(9, "tbf", 1)]);
        last.take_samples(&samples(&[9], &[], Some("why")));
        assert_eq!(last.readings(), [reading(9, "tbf", 1)]);
        // The device has gone between the list and the request.
        last.take_samples(&samples(&[9], &[], None));
        assert_eq!(last.readings(), []);
    }

    #[test]
    fn numbers_of_another_kind_or_link_are_not_found() {
        let readings = [reading(5, "htb", 2), reading(9, "tbf", 1)];
        let drops = |ifindex, kind| find(&readings, ifindex, name(kind)).map(|counters| counters.drops);
        assert_eq!(drops(5, "htb"), Some(2));
        assert_eq!(drops(9, "tbf"), Some(1));
        assert_eq!((drops(9, "pfifo"), drops(7, "tbf")), (None, None));
    }

    #[test]
    fn a_counter_that_goes_back_is_shown_as_it_is() {
        let mut last = LastQueues::default();
        for drops in [u32::MAX, 3, 0] {
            last.take_samples(&samples(&[5], &[reading(5, "tbf", drops)], None));
            assert_eq!(find(last.readings(), 5, name("tbf")).unwrap().drops, drops);
        }
    }

    #[test]
    fn many_queues_are_read_by_one_dump_and_a_dump_adds_only_what_is_wanted() {
        let few = samples(&[5, 9], &[], None);
        let links = 2 * QUEUES_ONE_BY_ONE;
        assert!(!few.wants_dump(links) && few.wants_dump(links - 1));
        assert!(!samples(&[], &[], None).wants_dump(0));
        let mut few = few;
        few.take_dumped(reading(5, "tbf", 1));
        few.take_dumped(reading(6, "tbf", 1));
        assert_eq!(few.read, [reading(5, "tbf", 1)]);
        few.clear_answer();
        assert_eq!(few, samples(&[5, 9], &[], None));
    }
}
