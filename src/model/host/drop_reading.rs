//! The readings of packets that the kernel dropped: their namespaces and owners.

use super::NetnsId;
use super::input::{Config, Learning, Request};
use super::knowledge::Knowledge;
use super::tcp_reading;
use crate::model::drops::{self, DropBooking, DropFacts, DropOwner, DropReading, DropsRequest};
use crate::model::filter::Filter;
use crate::model::lack::Lack;
use crate::model::ledger::Ledger;
use crate::model::link::End;
use crate::model::tcp::TcpOwner;
use crate::model::topology::Topology;
use std::time::Duration;

/// Returns the request for the next reading, if it is due.
pub(super) fn request(known: &mut Knowledge, config: &Config, now: Duration) -> Option<Request> {
    let request = known.drops.question(now)?;
    // Where only the host's events arrive, an id may have come or gone without one.
    let with_namespaces = request.with_namespaces || config.learning == Learning::Polling;
    Some(Request::Drops(DropsRequest { with_namespaces, ..request }))
}

/// Takes a reading. Returns true if there are other series than before.
pub(super) fn take_reading(
    known: &mut Knowledge,
    answer: Result<DropReading, Lack>,
    config: &Config,
    now: Duration,
) -> (bool, Result<(), Lack>) {
    let Knowledge { drops, topology, ledger, tcp, .. } = known;
    let reading = match answer {
        Ok(reading) => reading,
        Err(lack) => {
            drops.fail();
            return (false, Err(lack));
        }
    };
    let version = drops.version();
    let facts = DropFacts {
        netns: &|nsid| topology.netns(nsid),
        owner: &|netns, ifindex| owner(topology, ledger, &config.filter, netns, ifindex),
        room: config.limits.series.saturating_sub(ledger.series() + tcp.series().0),
    };
    drops.answer(reading, &facts, now);
    drops.expire(now, config.retention);
    (drops.version() != version, Ok(()))
}

/// Takes the news that the namespace with this id is about to be forgotten.
pub(super) fn end(known: &mut Knowledge, netns: NetnsId, config: &Config, now: Duration) {
    if known.drops.is_read() {
        let Knowledge { drops, topology, ledger, .. } = known;
        drops.end(netns, owner(topology, ledger, &config.filter, netns, 0), now);
    }
}

/// Returns the owner of what was dropped on a device in a namespace: of a port, the workload behind it.
fn owner(topology: &Topology, ledger: &Ledger, filter: &Filter, netns: NetnsId, ifindex: u32) -> DropBooking {
    let place = ledger.place(End { netns, ifindex }).filter(|_| ifindex != 0);
    if let Some((account, side)) = place {
        if ledger.is_held(account) {
            return DropBooking::Held;
        }
        let [first, second] = ledger.labels(account);
        let (own, behind) = if side == 0 { (first, second) } else { (second, first) };
        if let (None, Some(behind)) = (own, behind) {
            let is_shown = !behind.is_overflow() && filter.shows(&behind);
            let name = Some(behind.workload_name()).filter(|_| is_shown);
            return name.map_or(DropBooking::To(DropOwner::NoWorkload), drops::of_workload);
        }
    }
    if netns == NetnsId::Host {
        return DropBooking::To(DropOwner::Host);
    }
    match tcp_reading::owner(topology, ledger, filter, netns) {
        TcpOwner::Known(name) => drops::of_workload(name),
        TcpOwner::Held => DropBooking::Held,
        TcpOwner::Absent => DropBooking::To(DropOwner::NoWorkload),
    }
}
