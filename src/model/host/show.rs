//! The scene that is shown: built when a reader asks for it, if it has changed since.

use super::input::Config;
use super::knowledge::{Evaluated, Knowledge};
use super::networks::ShownNetworks;
use super::reading::Reading;
use crate::model::drops::DropSeries;
use crate::model::ledger::{AccountId, Dropping, NetworkLabels, TotalId};
use crate::model::link::{Counters, End, Errors};
use crate::model::queues::LastQueues;
use crate::model::series::{
    self, OF_A_CADVISOR_LINK, OF_A_LABEL_SET, OF_A_NETWORK, OF_A_POOL, OF_A_QUEUE, OF_AN_INFO, of_a_port,
};
use crate::model::tcp::{TcpFigures, TcpTotalId};
use crate::model::view::{
    BesideTraffic, DropRates, NetworkNumbers, OtherLink, PairTotal, ReadForScrapes, Scene, SceneNetworks,
    SeriesStatus, ShownDrops, ShownOverflow, TotalsBegun, View,
};
use crate::model::workload::Workload;
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The scene and what it was built from.
#[derive(Debug, Default)]
pub(super) struct Presentation {
    scene: OnceCell<NumberedScene>,
    /// True if the scene may show a container or a pod of a runtime.
    has_containers: OnceCell<bool>,
    built_from: SceneVersion,
    /// The links that are no veths, and which of them there is room for.
    others: BTreeMap<End, OtherLink>,
    listed_others: BTreeSet<End>,
    others_version: u64,
    /// The queue disciplines of ports, as last read.
    pub queues: LastQueues,
    /// The members that are stranded, and that the user's filter shows.
    stranded: Vec<Workload>,
    networks: ShownNetworks,
    /// There are pods here, or a source that would report them: from then on [`Scene::pods`] is true.
    pods: bool,
}

/// A scene, and where its numbers are.
#[derive(Debug)]
struct NumberedScene {
    scene: Arc<Scene>,
    /// The account of each of the scene's pairs.
    accounts: Vec<AccountId>,
    /// The total of each of the scene's workloads.
    totals: Vec<TotalId>,
    /// The total of each of the scene's workloads with TCP figures.
    tcp: Vec<TcpTotalId>,
    /// The figures of these totals as shown last, and the number of changes by then.
    tcp_figures: RefCell<Option<(u64, Arc<Vec<TcpFigures>>)>>,
    /// The number of workloads on each of the scene's networks.
    members: Arc<Vec<u64>>,
}

/// The versions of the things that the scene is made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SceneVersion {
    rows: u64,
    totals: u64,
    tcp: u64,
    drops: u64,
    others: u64,
    starts: u64,
    stranded: u64,
    networks: u64,
    pods: bool,
    overflow: (bool, bool),
}

/// Returns the pairs that have dropped packets, by their index.
fn dropping(accounts: &[AccountId], dropping: &[Dropping]) -> Vec<(u32, DropRates)> {
    if dropping.is_empty() {
        return Vec::new();
    }
    let rates = |account: &AccountId| {
        let at = dropping.binary_search_by_key(account, |dropping| dropping.account).ok()?;
        Some(dropping[at].rates)
    };
    (0..).zip(accounts).filter_map(|(index, account)| Some((index, rates(account)?))).collect()
}

impl Presentation {
    /// Returns what is shown; `ticked` is when the last tick ended.
    pub(super) fn view(&self, known: &Knowledge, reading: &Reading, ticked: Duration) -> View {
        let NumberedScene { scene, accounts, totals, members, .. } =
            self.scene.get_or_init(|| self.build(known));
        let read_last = |end: End| -> (Counters, Errors) {
            let link = known.topology.link(end.netns, end.ifindex);
            (link.map_or_else(Counters::default, |link| link.counters), reading.errors(end))
        };
        let (samples, rates) = accounts.iter().map(|&account| known.ledger.latest(account)).unzip();
        let (workloads, peaks) = totals.iter().map(|&total| known.ledger.traffic(total)).unzip();
        View {
            rates,
            samples,
            workloads,
            peaks,
            networks: NetworkNumbers {
                traffic: known.ledger.networks().map(|(_, traffic, _)| *traffic).collect(),
                members: Arc::clone(members),
                used: Arc::clone(&self.networks.used),
            },
            for_scrapes: ReadForScrapes {
                others: scene.others.iter().map(|other| read_last(other.end)).collect(),
                queues: self.queues.readings().to_vec(),
            },
            overflow: known.ledger.overflow(),
            ticked,
            stranded: known.owners.stranded().cloned().collect(),
            dropping: dropping(accounts, known.ledger.dropping()),
            scene: Arc::clone(scene),
            ..View::default()
        }
    }

    fn build(&self, known: &Knowledge) -> NumberedScene {
        let totals: Vec<TotalId> = known.ledger.workloads().map(|total| total.id).collect();
        // By the number of the total.
        let mut indices: Vec<Option<u32>> = Vec::new();
        for (index, &id) in (0..).zip(&totals) {
            let id = id as usize;
            indices.resize(indices.len().max(id + 1), None);
            indices[id] = Some(index);
        }
        let pair_total =
            |(id, shared): (TotalId, bool)| Some(PairTotal { index: (*indices.get(id as usize)?)?, shared });
        let pair_totals = |account| known.ledger.totals(account).map(|total| pair_total(total?));
        let accounts: Vec<AccountId> = known.attribution.listed().map(|(_, account)| account).collect();
        let overflow = known.ledger.overflow();
        let networks = || known.ledger.networks();
        let scene = Scene {
            pairs: known.attribution.listed().map(|(pair, _)| Arc::clone(pair)).collect(),
            pair_totals: accounts.iter().map(|&account| pair_totals(account)).collect(),
            single: known.attribution.single().map(|(side, why)| (Arc::clone(side), *why)).collect(),
            workloads: known.ledger.workloads().map(|total| Arc::clone(total.labels)).collect(),
            begun: TotalsBegun {
                workloads: known.ledger.workloads().map(|total| total.begun).collect(),
                periods: known.ledger.periods(),
                bases: known.ledger.workloads().map(|total| total.bases).collect(),
                starts: known.starts.names().map(|(_, begun)| begun).collect(),
            },
            networks: SceneNetworks {
                labels: networks().map(|(labels, ..)| Arc::clone(labels)).collect(),
                begun: networks().map(|(.., begun)| begun).collect(),
                reported: Arc::clone(&self.networks.reported),
            },
            beside: BesideTraffic {
                starts: known.starts.names().map(|(name, _)| Arc::clone(name)).collect(),
                stranded: self.stranded.clone(),
                tcp: known.tcp.totals().map(|(_, workload)| workload).collect(),
                drops: known.drops.series().map(|(series, _)| series).collect(),
            },
            ownerships: known.attribution.sums().ownerships.keys().cloned().collect(),
            pods: self.built_from.pods,
            others: self.listed_others().cloned().collect(),
            ends: known.attribution.ends(),
            overflow: ShownOverflow {
                ports: overflow.ports.is_some(),
                containers: overflow.containers.is_some(),
                pairs: known.attribution.sums().summed,
            },
        };
        let vethless = |labels: &NetworkLabels| self.networks.vethless.get(labels).copied();
        let members = known.ledger.members().map(|(labels, members)| vethless(labels).unwrap_or(members));
        let members = Arc::new(members.collect());
        let tcp = known.tcp.totals().map(|(id, _)| id).collect();
        NumberedScene {
            scene: Arc::new(scene),
            accounts,
            totals,
            tcp,
            tcp_figures: RefCell::default(),
            members,
        }
    }

    /// Returns the TCP figures of each of the scene's workloads that have any: the same allocation until one
    /// of them changes.
    pub(super) fn tcp(&self, known: &Knowledge) -> Arc<Vec<TcpFigures>> {
        let NumberedScene { tcp, tcp_figures, .. } = self.scene.get_or_init(|| self.build(known));
        let mut last = tcp_figures.borrow_mut();
        match &*last {
            Some((changes, figures)) if *changes == known.tcp.changes() => Arc::clone(figures),
            _ => {
                let figures = Arc::new(tcp.iter().map(|id| known.tcp.figures(*id)).collect());
                *last = Some((known.tcp.changes(), Arc::clone(&figures)));
                figures
            }
        }
    }

    /// Returns the packets of each of the scene's series of drops.
    pub(super) fn drops(&self, known: &Knowledge) -> ShownDrops {
        let NumberedScene { scene, .. } = self.scene.get_or_init(|| self.build(known));
        // A series that has come since the scene was built is shown with the next.
        let now = |series: &DropSeries| known.drops.value(series);
        ShownDrops { packets: scene.beside.drops.iter().map(now).collect(), lost: known.drops.lost() }
    }

    /// Returns true if a container or a pod of a runtime may be shown, or a sum of some.
    pub(super) fn has_containers(&self, known: &Knowledge) -> bool {
        let is_there = || {
            let mut ownerships = known.attribution.sums().ownerships.keys();
            known.ledger.overflow().containers.is_some()
                || !self.listed_others.is_empty()
                || ownerships.any(|ownership| ownership.is_container())
        };
        *self.has_containers.get_or_init(is_there)
    }

    /// Notes that there are pods, or a source that would report them; returns true if that is news.
    pub(super) fn note_pods(&mut self, pods: bool) -> bool {
        pods && !std::mem::replace(&mut self.pods, true)
    }

    /// Takes an evaluation: the scene is built anew if something has changed that it shows. Returns the
    /// number of series.
    pub(super) fn update(
        &mut self,
        evaluated: &Evaluated,
        known: &Knowledge,
        config: &Config,
    ) -> SeriesStatus {
        self.take_others(evaluated, known, config);
        self.networks.update(known, series::networks(config.limits.series));
        let overflow = known.ledger.overflow();
        let version = SceneVersion {
            rows: known.attribution.version(),
            totals: known.ledger.version(),
            tcp: known.tcp.version(),
            drops: known.drops.version(),
            others: self.others_version,
            starts: known.starts.version(),
            stranded: known.owners.stranded_version(),
            networks: self.networks.version(),
            pods: self.pods || config.pods,
            overflow: (overflow.ports.is_some(), overflow.containers.is_some()),
        };
        if self.built_from.stranded != version.stranded {
            let members = known.owners.stranded().map(|stranded| &stranded.member);
            self.stranded = members.filter(|member| config.filter.shows_owner(member)).cloned().collect();
        }
        if self.built_from != version {
            self.built_from = version;
            self.scene.take();
            self.has_containers.take();
        }
        let sums = known.attribution.sums();
        let (workloads, networks) = known.ledger.shown_totals();
        let (tcp, tcp_refused) = known.tcp.series();
        let (drops, drops_refused) = known.drops.counted();
        let further_pools = self.networks.reported.pools.len().saturating_sub(networks);
        let left_out = self.others.len() - self.listed_others.len();
        SeriesStatus {
            limit: config.limits.series,
            shown: sums.ports * of_a_port(!config.filter.no_device_counters)
                + sums.queues.len() * OF_A_QUEUE
                + workloads * OF_A_LABEL_SET
                + networks * OF_A_NETWORK
                + further_pools * OF_A_POOL
                + sums.infos * OF_AN_INFO
                + tcp
                + drops,
            summed: known.ledger.refused() + tcp_refused + drops_refused,
            left_out: left_out * OF_A_CADVISOR_LINK,
            crowded: known.ledger.is_crowded(),
        }
    }

    fn listed_others(&self) -> impl Iterator<Item = &OtherLink> {
        self.listed_others.iter().filter_map(|end| self.others.get(end))
    }

    /// Takes the links that are no veths, as far as there is room for them besides the interfaces of the
    /// pairs: those that are shown already stay. A container can make any number of links, so they take no
    /// more than their part.
    fn take_others(&mut self, evaluated: &Evaluated, known: &Knowledge, config: &Config) {
        let before = self.listed_others.clone();
        let Evaluated { settled, changed } = evaluated;
        let namespaces: BTreeSet<_> = settled.namespaces.union(&changed.namespaces).copied().collect();
        let mut news = false;
        for netns in namespaces {
            let [first, last] = [0, u32::MAX].map(|ifindex| End { netns, ifindex });
            let now = known.owners.others(netns, &known.topology).into_iter();
            let now: BTreeMap<End, OtherLink> = now
                .filter(|other| config.filter.shows_owner(&other.ownership.owner))
                .map(|other| (other.end, other))
                .collect();
            let before: Vec<End> = self.others.range(first..=last).map(|(&end, _)| end).collect();
            news |= before.len() != now.len()
                || now.iter().any(|(end, other)| self.others.get(end) != Some(other));
            for end in before {
                self.others.remove(&end);
            }
            self.others.extend(now);
        }
        let taken = OF_A_CADVISOR_LINK * known.attribution.sums().containers;
        let limit = config.limits.series;
        let most = series::of_discovered(limit).min(limit.saturating_sub(taken)) / OF_A_CADVISOR_LINK;
        if !news && before.len() == self.others.len().min(most) {
            return;
        }
        self.listed_others.retain(|end| self.others.contains_key(end));
        while self.listed_others.len() > most {
            self.listed_others.pop_last();
        }
        if self.listed_others.len() < self.others.len() {
            let room = most - self.listed_others.len();
            let new = self.others.keys().filter(|end| !self.listed_others.contains(end)).take(room);
            let new: Vec<End> = new.copied().collect();
            self.listed_others.extend(new);
        }
        if news || self.listed_others != before {
            self.others_version += 1;
        }
    }

    /// Returns the nsids of the namespaces with links that are no veths.
    pub(super) fn others_nsids(&self) -> BTreeSet<u32> {
        self.listed_others().filter_map(|other| other.end.netns.nsid()).collect()
    }
}
