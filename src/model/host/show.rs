//! What is shown: built when it is asked for, if it has changed since.

use super::Host;
use crate::model::link::{End, Errors};
use crate::model::owners::Changed;
use crate::model::series::{self, OF_A_CADVISOR_LINK, OF_A_LABEL_SET, OF_A_NETWORK, OF_A_PORT, OF_AN_INFO};
use crate::model::topology::Settled;
use crate::model::view::{OtherLink, Scene, SeriesStatus, View};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The scene and what it was built from.
#[derive(Debug, Default)]
pub(super) struct Presentation {
    scene: std::cell::OnceCell<Arc<Scene>>,
    built_from: SceneVersion,
    /// The links that are no veths, and which of them there is room for.
    others: BTreeMap<End, OtherLink>,
    listed_others: BTreeSet<End>,
    others_version: u64,
    /// What went wrong on links, of those where anything did; none of them is a veth.
    pub(super) errors: HashMap<End, Errors>,
    /// There are pods here, or somebody who would report them: from then on [`Scene::pods`] is true.
    pub(super) pods: bool,
}

/// How often what the scene is made from has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SceneVersion {
    rows: u64,
    totals: u64,
    others: u64,
    pods: bool,
    overflow: (bool, bool),
}

impl Host {
    /// What to show; `None` before the first round is complete.
    pub fn view(&self) -> Option<View> {
        if self.reading.rounds == 0 {
            return None;
        }
        let scene = Arc::clone(self.shown.scene.get_or_init(|| Arc::new(self.scene())));
        let (mut workloads, mut peaks, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        workloads.reserve_exact(scene.workloads.len());
        peaks.reserve_exact(scene.workloads.len());
        rates.reserve_exact(scene.workloads.len());
        for total in self.ledger.workloads() {
            workloads.push(*total.traffic);
            peaks.push(total.peak);
            rates.push(total.rates);
        }
        Some(View {
            samples: self.attribution.listed().map(|(_, account)| self.ledger.shown(account)).collect(),
            workloads,
            peaks,
            rates,
            networks: self.ledger.networks().map(|(_, traffic, _)| *traffic).collect(),
            others: scene.others.iter().map(|other| self.read_last(other.end)).collect(),
            overflow: self.ledger.overflow(),
            ticked: self.schedule.ticked,
            scene,
        })
    }

    fn scene(&self) -> Scene {
        let overflow = self.ledger.overflow();
        let tenants = self.attribution.sums().tenants.keys();
        let networks = || self.ledger.networks();
        Scene {
            pairs: self.attribution.listed().map(|(pair, _)| Arc::clone(pair)).collect(),
            single: self.attribution.single().map(|(side, why)| (Arc::clone(side), *why)).collect(),
            workloads: self.ledger.workloads().map(|total| Arc::clone(total.labels)).collect(),
            workloads_begun: self.ledger.workloads().map(|total| total.begun).collect(),
            networks: networks().map(|(labels, ..)| Arc::clone(labels)).collect(),
            networks_begun: networks().map(|(.., begun)| begun).collect(),
            tenants: tenants.cloned().collect(),
            pods: self.shows_pods(),
            others: self.listed_others().cloned().collect(),
            ends: self.attribution.ends(),
            overflow: (overflow.ports.is_some(), overflow.containers.is_some()),
            summed: self.attribution.sums().summed,
        }
    }

    fn shows_pods(&self) -> bool {
        self.shown.pods || self.config.pods
    }

    /// Notes that the scene is to be built anew, if something has changed that it shows; and counts series.
    pub(super) fn scene_changed(&mut self) {
        let overflow = self.ledger.overflow();
        let version = SceneVersion {
            rows: self.attribution.version(),
            totals: self.ledger.version(),
            others: self.shown.others_version,
            pods: self.shows_pods(),
            overflow: (overflow.ports.is_some(), overflow.containers.is_some()),
        };
        if self.shown.built_from != version {
            self.shown.built_from = version;
            self.shown.scene.take();
        }
        let sums = self.attribution.sums();
        let (workloads, networks) = self.ledger.shown_totals();
        let left_out = self.shown.others.len() - self.shown.listed_others.len();
        self.status.series = SeriesStatus {
            limit: self.config.series,
            shown: sums.ports * OF_A_PORT
                + workloads * OF_A_LABEL_SET
                + networks * OF_A_NETWORK
                + sums.infos * OF_AN_INFO,
            summed: self.ledger.refused(),
            left_out: left_out * OF_A_CADVISOR_LINK,
        };
    }

    fn listed_others(&self) -> impl Iterator<Item = &OtherLink> {
        self.shown.listed_others.iter().filter_map(|end| self.shown.others.get(end))
    }

    /// Takes the links that are no veths, as far as there is room for them besides the interfaces of the
    /// pairs: those that are shown already stay. What can make links in a container can make any number, so
    /// they take no more than their part.
    pub(super) fn show_others(&mut self, settled: &Settled, changed: &Changed) {
        let before = self.shown.listed_others.clone();
        let namespaces: BTreeSet<_> = settled.namespaces.union(&changed.namespaces).copied().collect();
        let mut news = false;
        for netns in namespaces {
            let [first, last] = [0, u32::MAX].map(|ifindex| End { netns, ifindex });
            let filter = &self.config.filter;
            let now = self.owners.others(netns, &self.topology).into_iter();
            let now: BTreeMap<End, OtherLink> = now
                .filter(|other| filter.shows_owner(&other.tenant.owner))
                .map(|other| (other.end, other))
                .collect();
            let known: Vec<End> = self.shown.others.range(first..=last).map(|(&end, _)| end).collect();
            news |= known.len() != now.len()
                || now.iter().any(|(end, other)| self.shown.others.get(end) != Some(other));
            for end in known {
                self.shown.others.remove(&end);
            }
            self.shown.others.extend(now);
        }
        let taken = OF_A_CADVISOR_LINK * self.attribution.sums().containers;
        let limit = self.config.series;
        let most = series::of_discovered(limit).min(limit.saturating_sub(taken)) / OF_A_CADVISOR_LINK;
        if !news && before.len() == self.shown.others.len().min(most) {
            return;
        }
        let shown = &mut self.shown;
        shown.listed_others.retain(|end| shown.others.contains_key(end));
        while shown.listed_others.len() > most {
            shown.listed_others.pop_last();
        }
        if shown.listed_others.len() < shown.others.len() {
            let room = most - shown.listed_others.len();
            let new = shown.others.keys().filter(|end| !shown.listed_others.contains(end)).take(room);
            let new: Vec<End> = new.copied().collect();
            shown.listed_others.extend(new);
        }
        if news || shown.listed_others != before {
            shown.others_version += 1;
        }
    }

    /// The namespaces with links that are no veths.
    pub(super) fn others_nsids(&self) -> BTreeSet<u32> {
        self.listed_others().filter_map(|other| other.end.netns.nsid()).collect()
    }
}
