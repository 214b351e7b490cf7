//! Whose each pair is, for the ledger and for the eye.

use super::naming::Told;
use super::{Host, Located};
use crate::model::ledger::{Booking, LabelSet};
use crate::model::link::NetnsId;
use crate::model::pairing::{EndState, Pairing};
use crate::model::view::{Scene, ShownSide};
use crate::model::workload::{Locator, Runtime};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

impl Host {
    /// Says whose each pair is, for the ledger and for the eye; and for which names it waits.
    pub(super) fn attribute(&mut self, now: Duration) -> Waiting {
        self.inhabitants.retain(|netns, inhabitant| {
            let at = self.located.get(&Locator::Pid(inhabitant.pid));
            at.is_some_and(|at| at.netns == Located::Nsid(inhabitant.nsid)) && self.topology.knows(*netns)
        });
        let told = Told {
            heard: &self.heard,
            inhabitants: &self.inhabitants,
            located: &self.located,
            namespaces: self.topology.namespaces(),
        };
        let residents = self.naming.residents(&told, now, self.config.leaving);
        self.inhabitants.retain(|netns, inhabitant| residents.is_home_of(*netns, &inhabitant.workload));
        self.status.claims_rejected = self.naming.rejected_ever() + self.unlocated_ever;
        let mut waiting = Waiting::default();
        let may_name = self.heard.values().any(|heard| heard.may_name);
        let pairing = self.topology.pairing();
        let mut scene = Scene { ends: ends(pairing), ..Scene::default() };
        let mut bookings = Vec::with_capacity(pairing.pairs.len());
        let mut tenants = BTreeSet::new();
        scene.pairs.reserve_exact(pairing.pairs.len());
        self.shown.clear();
        for (index, pair) in pairing.pairs.iter().enumerate() {
            let mut shown = residents.show(pair);
            for (side, known) in shown.sides.iter_mut().zip(self.ledger.labels(index)) {
                keep_name(side, known);
            }
            let labels = shown.sides.each_ref().map(|side| side.labels.clone());
            let arrived = self.ledger.arrived(index).unwrap_or(now);
            let young = now.saturating_sub(arrived) < self.config.hold_back;
            // A pair in transit: runtimes make both ends on the host, and move one into the container.
            let in_transit =
                arrived > self.started && shown.sides.iter().all(|side| side.end.netns == NetnsId::Host);
            let unclaimed = residents.unclaimed(&shown);
            let unnamed = in_transit || !unclaimed.is_empty() || residents.unfinished(&shown);
            if may_name && young && unnamed {
                waiting.for_runtimes = true;
                let ends = arrived + self.config.hold_back;
                waiting.until = Some(waiting.until.map_or(ends, |until: Duration| until.min(ends)));
                bookings.push(Booking::Held(labels));
                continue;
            }
            let searched = |netns| self.searches.get(netns).is_some_and(|search| search.tries > 0);
            let all_searched = unclaimed.iter().all(searched);
            waiting.unclaimed.extend(unclaimed);
            if !all_searched {
                bookings.push(Booking::Held(labels));
                continue;
            }
            bookings.push(Booking::To(labels));
            tenants.extend(shown.sides.iter().filter_map(|side| side.tenant.clone()));
            self.shown.push(index);
            scene.pairs.push(shown);
        }
        self.ledger.assign(bookings, residents.networks(), now, self.config.retention);
        scene.single = pairing.single.iter().map(|(side, why)| (residents.show_single(side), *why)).collect();
        scene.workloads = self.ledger.workloads().map(|(labels, _)| labels.clone()).collect();
        scene.networks = self.ledger.networks().map(|(labels, _)| labels.clone()).collect();
        scene.tenants = tenants.into_iter().collect();
        if *self.scene != scene {
            self.scene = Arc::new(scene);
        }
        self.naming.remember(residents);
        waiting
    }
}

/// What some pairs are held back for.
#[derive(Default)]
pub(super) struct Waiting {
    /// A runtime's answer.
    pub for_runtimes: bool,
    /// When the first of them has waited long enough for that.
    pub until: Option<Duration>,
    /// Namespaces that no runtime has claimed in time.
    pub unclaimed: BTreeSet<NetnsId>,
}

/// An engine takes an interface down and renames it before it takes it away: while it is down it keeps the name that
/// it had.
fn keep_name(side: &mut ShownSide, known: Option<&LabelSet>) {
    let (Some(link), Some(labels), Some(known)) = (side.link, side.labels.as_mut(), known) else { return };
    let same = (labels.runtime, &labels.container) == (known.runtime, &known.container);
    if same && labels.runtime == Runtime::Docker && !link.up {
        labels.interface.clone_from(&known.interface);
        labels.network.clone_from(&known.network);
    }
}

fn ends(pairing: &Pairing) -> BTreeMap<EndState, usize> {
    let mut ends: BTreeMap<EndState, usize> = EndState::ALL.into_iter().map(|state| (state, 0)).collect();
    for pair in &pairing.pairs {
        let seen = pair.sides.iter().filter(|side| side.link.is_some()).count();
        *ends.entry(pair.state()).or_default() += seen;
    }
    for (_, state) in &pairing.single {
        *ends.entry(*state).or_default() += 1;
    }
    ends
}
