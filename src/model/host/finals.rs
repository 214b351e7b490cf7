//! Final samples: the counters to read at the first sign that a namespace ends.
//!
//! The host's ends of a namespace's pairs show what the namespace has sent, and only until the kernel
//! detaches them; no event reports it. The signs are: the first process exits, the runtime reports its end,
//! the name in /run/netns is removed, or the kernel takes the nsid back. A thread that notices one of the
//! last two reads the table of all links before it passes the sign on
//! ([`Input::TableAtDeath`](super::Input)); after each sign the final sampler reads the ports.

use super::input::Request;
use super::knowledge::Knowledge;
use crate::model::device_table::DeviceTable;
use crate::model::link::{End, NetnsId};

/// The counters that were read at a sign of death.
#[derive(Debug, Default)]
pub(super) struct Finals {
    /// The counters of the host's links at the last sign. Emptied by the events that follow: a name
    /// may be another link's by the next sign.
    table: DeviceTable,
}

impl Finals {
    /// Stores the counters of the host's links that were read at a sign.
    pub(super) fn set_table(&mut self, table: DeviceTable) {
        self.table = table;
    }

    /// Forgets the counters of the last sign: events have followed it.
    pub(super) fn clear_table(&mut self) {
        self.table = DeviceTable::default();
    }

    /// Requests the last counters of the host's ends of a namespace's pairs.
    pub(super) fn sample(&self, nsid: u32, known: &Knowledge) -> Option<Request> {
        let ports = known.ports_of(nsid);
        (!ports.is_empty()).then_some(Request::FinalSample(ports))
    }

    /// Books the counters that were read at the sign itself, and requests the last ones.
    pub(super) fn sample_at_death(&mut self, nsid: u32, known: &mut Knowledge) -> Option<Request> {
        for (ifindex, name) in known.ports_of(nsid) {
            if let Some(counters) = self.table.get(&name) {
                known.ledger.observe(End { netns: NetnsId::Host, ifindex }, &counters);
            }
        }
        self.sample(nsid, known)
    }
}
