//! Whose each pair is, for the ledger and for the eye.

use super::naming::Told;
use super::newcomers::Newcomers;
use super::{Heard, Host, Located};
use crate::model::ledger::{Booking, Clue, Estate, LabelSet, Limits, Row, Showing};
use crate::model::link::{End, NetnsId};
use crate::model::pairing::{EndState, Pairing, Role};
use crate::model::series::{
    self, OF_A_CADVISOR_LINK, OF_A_LABEL_SET, OF_A_NETWORK, OF_A_PORT, OF_AN_INFO, Word,
};
use crate::model::view::{OtherLink, Scene, SeriesStatus, ShownPair, ShownSide};
use crate::model::workload::{Expected, Locator, Runtime};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How many times as long a pair is held back whose namespace has a name that a runtime has made up: it
/// tells of a pod when that has started, which may be seconds after its network was made.
const FOR_MADE_UP_NAMES: u32 = 10;

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
            newcomers: &self.newcomers,
            located: &self.located,
            namespaces: self.topology.namespaces(),
            arrived: &|end| self.ledger.place(end).and_then(|(pair, _)| self.ledger.arrived(pair)),
            hold_back: self.config.hold_back,
        };
        let residents = self.naming.residents(&told, now, self.config.leaving);
        self.inhabitants.retain(|netns, inhabitant| residents.is_home_of(*netns, &inhabitant.workload));
        self.status.claims_rejected = self.naming.rejected_ever() + self.locating.rejected_ever();
        let mut waiting = Waiting::default();
        let may_name = self.heard.values().any(|heard| heard.may_name);
        let engine_may_name =
            self.heard.iter().any(|(&runtime, heard)| runtime != Runtime::Named && heard.may_name);
        let pairing = self.topology.pairing();
        let filter = &self.config.filter;
        let pods = self.pods || self.config.pods;
        let mut scene = Scene { pods, ends: ends(pairing), ..Scene::default() };
        let mut bookings = Vec::with_capacity(pairing.pairs.len());
        let mut showing = Vec::with_capacity(pairing.pairs.len());
        scene.pairs.reserve_exact(pairing.pairs.len().min(self.config.series / OF_A_PORT));
        self.shown.clear();
        self.off_host.clear();
        for (index, pair) in pairing.pairs.iter().enumerate() {
            let mut shown = residents.show(pair);
            for (side, known) in shown.sides.iter_mut().zip(self.ledger.labels(index)) {
                keep_name(side, known);
            }
            filter.hide(&mut shown);
            let labels = shown.sides.each_ref().map(|side| side.labels.clone());
            let arrived = self.ledger.arrived(index).unwrap_or(now);
            let made_up = engine_may_name && residents.is_made_up(&shown);
            let hold_back = match made_up && arrived > self.started {
                true => self.config.hold_back.saturating_mul(FOR_MADE_UP_NAMES),
                false => self.config.hold_back,
            };
            let young = now.saturating_sub(arrived) < hold_back;
            // A pair in transit: runtimes make both ends on the host, and move one into the container.
            let in_transit =
                arrived > self.started && shown.sides.iter().all(|side| side.end.netns == NetnsId::Host);
            let unclaimed = residents.unclaimed(&shown);
            let unfinished = residents.unfinished(&shown);
            let patience = if unfinished { UNFINISHED } else { hold_back };
            let unnamed = in_transit || made_up || !unclaimed.is_empty() || unfinished;
            let clue = clue(&shown, made_up, &self.newcomers);
            if may_name && unnamed && now.saturating_sub(arrived) < patience {
                waiting.for_runtimes |= young;
                let ends = arrived + patience;
                waiting.until = Some(waiting.until.map_or(ends, |until: Duration| until.min(ends)));
                let nameless = |side: &&ShownSide| made_up || unclaimed.contains(&side.end.netns);
                waiting.nameless.extend(shown.sides.iter().filter(nameless).map(|side| side.end.netns));
                bookings.push(Booking::Held { labels, clue });
                showing.push(None);
                continue;
            }
            let all_searched = unclaimed.iter().all(|netns| self.searches.has_searched(*netns));
            if self.config.processes {
                waiting.unclaimed.extend(unclaimed);
            }
            if self.config.processes && !all_searched {
                bookings.push(Booking::Held { labels, clue });
                showing.push(None);
                continue;
            }
            self.named.extend(self.ledger.not_yet_booked_to(index, &labels).cloned());
            bookings.push(Booking::To(labels));
            showing.push(Some(show(&shown)));
            let wanted = shown.sides.iter().any(|side| !side.hidden);
            if wanted || carried_by_network(&shown) {
                self.off_host.extend(read_for(&shown));
            }
            if wanted {
                self.shown.push(index);
                scene.pairs.push(shown);
            }
        }
        self.ledger.inherit(|estate| heir(estate, &self.heard, now));
        let limits = Limits {
            series: self.config.series,
            hidden: &self.hidden,
            shows: &|labels| filter.shows(labels),
        };
        let summed = self.ledger.limit(&mut bookings, &showing, &limits);
        let wanted = self.shown.len();
        let mut pairs = self.shown.iter();
        scene.pairs.retain(|_| pairs.next().is_some_and(|&pair| self.ledger.is_listed(pair)));
        self.shown.retain(|&pair| self.ledger.is_listed(pair));
        scene.summed = wanted - self.shown.len();
        let sides = scene.pairs.iter().flat_map(|pair| &pair.sides);
        let tenants: BTreeSet<_> = sides.filter_map(|side| side.tenant.clone()).collect();
        self.ledger.assign(bookings, residents.networks(), now, self.config.retention);
        scene.single = pairing.single.iter().map(|(side, why)| (residents.show_single(side), *why)).collect();
        self.hidden = self.ledger.workloads().map(|(labels, _)| !filter.shows(labels)).collect();
        let totals = self.ledger.workloads().zip(self.ledger.workloads_begun()).zip(&self.hidden);
        let shown = totals.filter(|(_, hidden)| !**hidden);
        (scene.workloads, scene.workloads_begun) =
            shown.map(|(((labels, _), begun), _)| (labels.clone(), begun)).unzip();
        scene.networks_begun = self.ledger.networks_begun().collect();
        scene.networks = self.ledger.networks().map(|(labels, _)| labels.clone()).collect();
        scene.tenants = tenants.into_iter().filter(|tenant| filter.shows_owner(&tenant.owner)).collect();
        let others = residents.others(self.topology.namespaces());
        let others = others.filter(|other| filter.shows_owner(&other.tenant.owner)).collect();
        let left_out;
        (scene.others, left_out) = self.limit_others(others, &scene.pairs);
        let rest = self.ledger.rest();
        scene.rest = (rest.ports.is_some(), rest.containers.is_some());
        let limit = self.config.series;
        self.status.series = SeriesStatus { limit, shown: count(&scene), summed, left_out };
        if *self.scene != scene {
            self.scene = Arc::new(scene);
        }
        self.naming.remember(residents);
        waiting
    }
}

impl Host {
    /// The links that are no veths, as far as there is room for them besides the interfaces of the pairs:
    /// those that are shown already come first. Who can make links in a container can make any number, so
    /// they take no more than their part. Says also of how many series there is none.
    fn limit_others(&self, mut others: Vec<OtherLink>, pairs: &[ShownPair]) -> (Vec<OtherLink>, usize) {
        let taken =
            OF_A_CADVISOR_LINK * pairs.iter().flat_map(|pair| &pair.sides).filter(is_container).count();
        let room = series::of_found(self.config.series).min(self.config.series.saturating_sub(taken));
        let most = room / OF_A_CADVISOR_LINK;
        let all = others.len();
        if all > most {
            let before: HashSet<End> = self.scene.others.iter().map(|other| other.end).collect();
            let (mut kept, new): (Vec<_>, Vec<_>) =
                others.into_iter().partition(|other| before.contains(&other.end));
            kept.extend(new);
            kept.truncate(most);
            kept.sort_by_key(|other| other.end);
            others = kept;
        }
        let left_out = (all - others.len()) * OF_A_CADVISOR_LINK;
        (others, left_out)
    }
}

/// What is shown of a pair, if there is room.
fn show(pair: &ShownPair) -> Showing {
    let rows = pair.sides.each_ref().map(|side| match side.role {
        Role::Port if side.link.is_some() && !side.hidden => Row::Port,
        Role::Interface if is_container(&side) => Row::Container,
        _ => Row::Nothing,
    });
    let count = |row| rows.iter().filter(|&&other| other == row).count();
    let shown = || pair.sides.iter().filter(|side| !side.hidden);
    let infos = shown().filter_map(|side| side.tenant.as_ref()).map(|tenant| 1 + tenant.members.len());
    let told = |side: &ShownSide| {
        let owner = side.labels.as_ref().map(|labels| labels.runtime);
        side.end.netns == NetnsId::Host
            || matches!(owner, Some(Runtime::Docker | Runtime::Podman | Runtime::Cri | Runtime::Named))
    };
    Showing {
        rows,
        series: (OF_A_PORT * count(Row::Port)).max(OF_A_CADVISOR_LINK * count(Row::Container))
            + OF_AN_INFO * infos.sum::<usize>(),
        word: if pair.sides.iter().any(told) { Word::Told } else { Word::Found },
        hidden: pair.sides.each_ref().map(|side| side.hidden),
    }
}

/// True for an interface that is in `/metrics/cadvisor`.
fn is_container(side: &&ShownSide) -> bool {
    side.role == Role::Interface
        && side.link.is_some()
        && !side.hidden
        && side.tenant.as_ref().is_some_and(|tenant| tenant.is_container())
}

/// The series of a scene in `/metrics`, at most: peaks end with their window.
fn count(scene: &Scene) -> usize {
    let ports = scene.pairs.iter().flat_map(ShownPair::ports);
    let ports = ports.filter(|(_, port, _)| port.link.is_some() && !port.hidden).count();
    let infos = scene.tenants.iter().map(|tenant| 1 + tenant.members.len());
    ports * OF_A_PORT
        + scene.workloads.len() * OF_A_LABEL_SET
        + scene.networks.len() * OF_A_NETWORK
        + infos.sum::<usize>() * OF_AN_INFO
}

/// What some pairs are held back for.
#[derive(Default)]
pub(super) struct Waiting {
    pub for_runtimes: bool,
    /// When the first of them has waited long enough for that.
    pub until: Option<Duration>,
    /// Namespaces that no runtime has claimed in time.
    pub unclaimed: BTreeSet<NetnsId>,
    /// Namespaces that a runtime may still claim in time.
    pub nameless: BTreeSet<NetnsId>,
}

/// An engine takes an interface up within so long after it has moved it in.
const UNFINISHED: Duration = Duration::from_secs(4);

/// What a pair carried that died without a name is kept for so long.
pub(super) const KEPT: Duration = Duration::from_secs(10);

/// What may tell later whose a pair's interface is, if it has one and nobody claims it, or only by a
/// made-up name.
fn clue(pair: &ShownPair, made_up: bool, newcomers: &Newcomers) -> Option<Clue> {
    let [a, b] = &pair.sides;
    let (interface, port) = match (&a.labels, &b.labels) {
        (Some(_), None) => (a, b),
        (None, Some(_)) => (b, a),
        _ => return None,
    };
    let owner = interface.labels.as_ref().map(|labels| labels.runtime);
    if !made_up && owner != Some(Runtime::Unknown) {
        return None;
    }
    Some(Clue {
        address: interface.link.and_then(|link| link.address),
        bridge: port.bridge.filter(|_| port.end.netns == NetnsId::Host),
        container: newcomers.container(interface.end.netns).map(str::to_owned),
    })
}

/// To whom a dead pair's traffic goes; `None` while somebody may still tell.
fn heir(estate: &Estate, heard: &BTreeMap<Runtime, Heard>, now: Duration) -> Option<[Option<LabelSet>; 2]> {
    let clue = estate.clue.as_ref();
    let told = clue.and_then(|clue| {
        heard.values().find_map(|heard| {
            let interfaces = clue.address.and_then(|address| heard.expected.get(&address));
            let interfaces = interfaces.into_iter().flatten().map(|(expected, _)| expected);
            let here = |expected: &&Expected| expected.bridge.is_some() && expected.bridge == clue.bridge;
            // An address is given to another container as soon as it is free: the first process knows better.
            let same =
                |expected: &&Expected| clue.container.as_ref().is_none_or(|id| *id == expected.workload.id);
            let expected = interfaces.filter(here).find(same);
            let owner = clue.container.as_ref().and_then(|id| heard.containers.get(id));
            let owner = owner.or(expected.map(|expected| &expected.workload))?;
            let mut carried = heard.claims.networks.iter().filter(|network| network.bridge.is_some());
            let network = match expected {
                Some(expected) => Some(&expected.network),
                None => carried.find(|network| network.bridge == clue.bridge).map(|network| &network.name),
            };
            Some((owner, network.cloned().unwrap_or_default()))
        })
    });
    match told {
        Some((owner, network)) => Some(
            estate.labels.clone().map(|labels| Some(LabelSet::of(owner, labels?.interface, network.clone()))),
        ),
        None if clue.is_some()
            && heard.values().any(Heard::foresees)
            && now.saturating_sub(estate.since) < KEPT =>
        {
            None
        }
        None => Some(estate.labels.clone()),
    }
}

/// An engine takes an interface down and renames it before it takes it away: while it is down it keeps the
/// name that it had.
fn keep_name(side: &mut ShownSide, known: Option<&LabelSet>) {
    let (Some(link), Some(labels), Some(known)) = (side.link, side.labels.as_mut(), known) else { return };
    if labels.runtime != Runtime::Docker || link.up {
        return;
    }
    if known.is_rest() && known.runtime == labels.runtime {
        labels.network.clone_from(&known.network);
    }
    if labels.workload() == known.workload() {
        labels.interface.clone_from(&known.interface);
        labels.network.clone_from(&known.network);
    }
}

/// The namespace to read at a tick for a pair without an end on the host: its counters are in no other
/// answer.
fn read_for(pair: &ShownPair) -> Option<u32> {
    let [a, b] = &pair.sides;
    if a.end.netns == NetnsId::Host || b.end.netns == NetnsId::Host {
        return None;
    }
    // One end tells both directions; where there is a port, its own counters are shown.
    let read = if b.role == Role::Port { b } else { a };
    read.end.netns.nsid()
}

/// True if a network's totals need what the pair counts.
fn carried_by_network(pair: &ShownPair) -> bool {
    pair.sides.iter().filter_map(|side| side.labels.as_ref()).any(|labels| !labels.network.is_empty())
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
