//! The checks of single namespaces while the exporter serves: they read what no event reports, at most one
//! namespace a second.

use super::Handle;
use super::explaining::{EarlierReading, Explainer};
use crate::kernel::FactsReader;
use crate::model::checks::{CheckSchedule, PairCheck};
use crate::model::explain::ends::LinkPosition;
use crate::model::link::{End, Name};
use crate::model::problems::checked::CheckedPair;
use crate::model::view::{ShownSide, View};
use crate::runtimes::process::Processes;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

/// The checks of a running collector's namespaces.
pub(crate) struct Checker {
    facts: FactsReader,
    processes: Processes,
    /// The folder in which namespaces have names.
    folder: PathBuf,
    schedule: CheckSchedule,
    earlier: EarlierReading,
    start: Instant,
}

/// A pair that is to be checked from its interface on.
struct WantedPair {
    ends: [End; 2],
    interface: LinkPosition,
    /// The port, if it is a link of the host.
    port: Option<u32>,
}

impl Checker {
    pub(crate) fn new(facts: FactsReader, processes: Processes, folder: PathBuf) -> Checker {
        let start = Instant::now();
        let (schedule, earlier) = (CheckSchedule::default(), EarlierReading::default());
        Checker { facts, processes, folder, schedule, earlier, start }
    }

    /// Checks what is due after each tick, and reports it to the collector, until that has stopped.
    pub(crate) async fn follow(mut self, collector: Handle) {
        while let Some(snapshot) = collector.next_tick().await {
            if !self.schedule.is_due(self.start.elapsed()) {
                continue;
            }
            // What is read may wait for the kernel's RTNL lock.
            let check = tokio::task::spawn_blocking(move || {
                let checked = snapshot.view.as_ref().map(|view| self.check(view));
                (self, checked.unwrap_or_default())
            });
            let Ok((checker, checked)) = check.await else { return };
            self = checker;
            if !checked.is_empty() {
                collector.report_checked(checked);
            }
        }
    }

    /// Examines the namespaces that are due, and returns what two checks in turn have found.
    fn check(&mut self, view: &View) -> Vec<CheckedPair> {
        let pairs = wanted(view);
        let shown: BTreeSet<u32> = pairs.keys().copied().collect();
        self.earlier.retain(&shown);
        let due = self.schedule.due(&shown, self.start.elapsed());
        if due.is_empty() {
            return Vec::new();
        }
        let of_due = || due.iter().filter_map(|nsid| pairs.get(nsid)).flatten();
        let ports: BTreeSet<u32> = of_due().filter_map(|pair| pair.port).collect();
        let ports = joined(view, ports);
        let earlier = std::mem::take(&mut self.earlier);
        let reading = Explainer::new(&mut self.facts, view, &self.processes, &self.folder);
        let mut reading = reading.with(earlier, &ports);
        reading.find_processes(due.iter().copied().collect());
        let found: Vec<(u32, Option<Vec<PairCheck>>)> = due
            .iter()
            .map(|nsid| {
                let pairs = pairs.get(nsid).into_iter().flatten();
                // An interface that is not found is gone, or could not be read.
                (*nsid, pairs.map(|pair| examined(&mut reading, pair)).collect())
            })
            .collect();
        self.earlier = reading.into_earlier();
        let now = self.start.elapsed();
        let mut confirmed = Vec::new();
        for (nsid, found) in found {
            match found {
                Some(found) => confirmed.extend(self.schedule.confirm(nsid, found, now)),
                None => self.schedule.postpone(nsid, now),
            }
        }
        confirmed
    }
}

/// Returns what an interface shows by itself; `None` if it is not found.
fn examined(reading: &mut Explainer<'_>, pair: &WantedPair) -> Option<PairCheck> {
    let explanation = reading.alone(pair.interface)?.explanation;
    let findings = explanation.findings.iter().filter_map(|finding| finding.as_checked());
    let unread = explanation.unread.iter().map(|unread| unread.kind).collect();
    Some(PairCheck { pair: CheckedPair { ends: pair.ends, findings: findings.collect() }, unread })
}

/// Adds to these ports of the host the ends of all pairs that join their bridges with further bridges of the
/// host: the segment's addresses may be at any of them.
fn joined(view: &View, mut ports: BTreeSet<u32>) -> BTreeSet<u32> {
    let sides = view.scene.pairs.iter().flat_map(|pair| &pair.sides);
    let of_ports = sides.filter(|side| is_of_host(side) && ports.contains(&side.end.ifindex));
    let mut bridges: BTreeSet<Name> = of_ports.filter_map(ShownSide::bridge).collect();
    let joints = view.scene.pairs.iter().filter(|pair| pair.sides.iter().all(is_of_host));
    let joints = joints.filter_map(|pair| {
        let [one, other] = &pair.sides;
        Some((pair, [one.bridge()?, other.bridge()?]))
    });
    let mut left: Vec<_> = joints.collect();
    while let Some(at) = left.iter().position(|(_, ends)| ends.iter().any(|of| bridges.contains(of))) {
        let (pair, ends) = left.swap_remove(at);
        bridges.extend(ends);
        ports.extend(pair.sides.iter().map(|side| side.end.ifindex));
    }
    ports
}

fn is_of_host(side: &ShownSide) -> bool {
    side.end.netns.nsid().is_none()
}

/// Returns the pairs that are shown and lead into other namespaces, by the nsid of their interface.
fn wanted(view: &View) -> BTreeMap<u32, Vec<WantedPair>> {
    let mut wanted: BTreeMap<u32, Vec<WantedPair>> = BTreeMap::new();
    for pair in view.scene.pairs.iter() {
        for (_, port, interface) in pair.ports().filter(|(.., interface)| !interface.hidden) {
            let Some(nsid) = interface.end.netns.nsid() else { continue };
            wanted.entry(nsid).or_default().push(WantedPair {
                ends: pair.sides.each_ref().map(|side| side.end),
                interface: (Some(nsid), interface.end.ifindex),
                port: port.end.netns.nsid().is_none().then_some(port.end.ifindex),
            });
        }
    }
    wanted
}
