//! The readings of TCP figures: their namespaces, processes and owners.

use super::input::{Config, Request};
use super::knowledge::Knowledge;
use super::schedule::Effects;
use super::{LookFailure, NetnsId};
use crate::model::filter::Filter;
use crate::model::ledger::Ledger;
use crate::model::tcp::{TcpFacts, TcpOwner, TcpPairs, TcpReading, TcpState};
use crate::model::topology::{Settled, Topology};
use crate::model::workload::Runtime;
use std::collections::BTreeSet;
use std::time::Duration;

/// Takes the links and pairs that were joined anew.
pub(super) fn take_settled(known: &mut Knowledge, settled: &Settled, config: &Config, now: Duration) {
    if !config.limits.tcp {
        return;
    }
    let Knowledge { tcp, topology, .. } = known;
    let mut changed: BTreeSet<NetnsId> = settled.namespaces.clone();
    changed.extend(settled.ends.iter().map(|end| end.netns));
    if !tcp.has_started() {
        changed.extend(topology.namespaces().keys());
    }
    tcp.update(changed, |netns| is_there(topology, netns).then(|| pairs(topology, netns)), now);
    tcp.expire(now, config.retention);
}

/// Returns the request for the next readings, if any are due.
pub(super) fn request(known: &mut Knowledge, config: &Config, now: Duration) -> Option<Request> {
    if !config.limits.tcp {
        return None;
    }
    with_facts(known, config, |tcp, facts| tcp.question(facts, now)).map(Request::Tcp)
}

/// Takes readings. Returns the next request; and the failure if none of the namespaces could be read.
pub(super) fn take_readings(
    known: &mut Knowledge,
    readings: Vec<TcpReading>,
    config: &Config,
    now: Duration,
) -> (Effects, Result<(), LookFailure>) {
    let version = known.tcp.version();
    let result = with_facts(known, config, |tcp, facts| tcp.answer(readings, facts, now));
    let requests = request(known, config, now).into_iter().collect();
    (Effects { requests, changed: known.tcp.version() != version }, result)
}

fn with_facts<T>(
    known: &mut Knowledge,
    config: &Config,
    then: impl FnOnce(&mut TcpState, &TcpFacts<'_>) -> T,
) -> T {
    let Knowledge { tcp, topology, ledger, evidence, .. } = known;
    let facts = TcpFacts {
        is_there: &|netns| is_there(topology, netns),
        owner: &|netns| owner(topology, ledger, &config.filter, netns),
        process: &|netns, failed| {
            let mut processes = evidence.processes_in(netns);
            let first = processes.next()?;
            Some(if Some(first) == failed { processes.next().unwrap_or(first) } else { first })
        },
        room: config.limits.series.saturating_sub(ledger.series()),
    };
    then(tcp, &facts)
}

/// Returns true if the namespace has its nsid now, and is known or has a pair.
fn is_there(topology: &Topology, netns: NetnsId) -> bool {
    let is_present = topology.netns(netns.nsid()) == netns;
    is_present && (topology.knows(netns) || topology.pairing().paired_in(netns).next().is_some())
}

fn pairs(topology: &Topology, netns: NetnsId) -> TcpPairs {
    let mut pairs = TcpPairs::Absent;
    for end in topology.pairing().paired_in(netns) {
        let Some(peer) = topology.pairing().peer(end) else { continue };
        if topology.born(&topology.pair([end, peer])) {
            return TcpPairs::Born;
        }
        pairs = TcpPairs::Found;
    }
    pairs
}

/// Returns the workload to which the ledger books the namespace's pairs.
pub(super) fn owner(topology: &Topology, ledger: &Ledger, filter: &Filter, netns: NetnsId) -> TcpOwner {
    let mut owner = TcpOwner::Absent;
    for end in topology.pairing().paired_in(netns) {
        let Some((account, side)) = ledger.place(end) else { continue };
        if ledger.is_held(account) {
            owner = TcpOwner::Held;
            continue;
        }
        let [first, second] = ledger.labels(account);
        let Some(labels) = (if side == 0 { first } else { second }) else { continue };
        if labels.runtime != Runtime::Unknown && !labels.is_overflow() && filter.shows(&labels) {
            return TcpOwner::Known(labels.workload_name());
        }
    }
    owner
}
