//! The parts that are evaluated together, in this order: links, owners, rows, accounts.
//!
//! A change costs what it has changed:
//!
//! 1. [`Topology::pair_changed`] joins the ends that changed, and those that name them or are named by them.
//! 2. [`Ledger::reconcile`] continues the accounts of their pairs, lets them linger or closes them.
//! 3. [`Owners::decide`] reevaluates a namespace if its links, its evidence, a thing that its decision
//!    depends on, or the time has changed.
//! 4. [`Attribution::evaluate`] makes the rows of these pairs anew, of the namespaces with another owner or
//!    name, and of those that a bridge or a deadline has changed. A row books its pair.
//! 5. The scene is built from the rows when a reader asks for it.
//!
//! Only a resync, a tick's counters and a scrape walk all pairs.

use super::absent_engines::AbsentEngines;
use super::attribution::{Attribution, Context};
use super::drop_reading;
use super::input::{Config, ProcessInNetns, Request, RestoredState};
use super::schedule::{Effects, Searching};
use super::tcp_reading;
use crate::model::cgroup;
use crate::model::drops::DropState;
use crate::model::ledger::{LabelSet, Ledger, OwnerHint, SeriesLimits, Unattributed};
use crate::model::link::{End, Link, Name, NetnsId};
use crate::model::owners::{Changed, Evidence, Facts, Owners, SourceState, generator, is_generated_name};
use crate::model::policy::{
    EVALUATE_AT_LEAST, EVALUATE_AT_MOST, EVALUATE_IN_DOUBT, KEPT_UNATTRIBUTED, RESTORED_WITHIN,
};
use crate::model::series::OutputLimits;
use crate::model::starts::Starts;
use crate::model::state::journal::Journal;
use crate::model::tcp::TcpState;
use crate::model::topology::{Settled, Topology};
use crate::model::workload::{Expected, Runtime, Workload};
use std::collections::BTreeSet;
use std::time::Duration;

/// The state of links, owners, rows and accounts.
#[derive(Debug)]
pub(super) struct Knowledge {
    pub topology: Topology,
    pub evidence: Evidence,
    pub owners: Owners,
    pub attribution: Attribution,
    pub searching: Searching,
    pub ledger: Ledger,
    pub absent_engines: AbsentEngines,
    pub starts: Starts,
    pub tcp: TcpState,
    pub drops: DropState,
}

/// The result of an evaluation.
#[derive(Debug)]
pub(super) struct Evaluated {
    /// The links and pairs that were joined anew.
    pub settled: Settled,
    /// The namespaces, bridges and networks of which something else is known.
    pub changed: Changed,
}

impl Knowledge {
    /// Returns the state in which nothing is known and these runtimes will report.
    pub(super) fn new(runtimes: impl IntoIterator<Item = Runtime>) -> Knowledge {
        Knowledge {
            topology: Topology::default(),
            evidence: Evidence::new(runtimes),
            owners: Owners::default(),
            attribution: Attribution::default(),
            searching: Searching::default(),
            ledger: Ledger::default(),
            absent_engines: AbsentEngines::default(),
            starts: Starts::default(),
            tcp: TcpState::default(),
            drops: DropState::default(),
        }
    }

    /// Evaluates what has changed since the last time; `started` is when everything was known first.
    /// `everything` is empty but in the test oracle, which evaluates all ends each time.
    pub(super) fn evaluate(
        &mut self,
        config: &Config,
        started: Duration,
        everything: BTreeSet<End>,
        now: Duration,
    ) -> Evaluated {
        let settled = self.settle_links(now);
        let changed = self.decide_owners(&settled, config, now);
        for ends in settled.before.iter().filter(|ends| settled.pairs.binary_search(ends).is_err()) {
            self.attribution.remove(ends[0]);
        }
        let mut ends = everything;
        ends.extend(&settled.ends);
        ends.extend(self.ends_named_anew(&settled, &changed));
        ends.extend(self.attribution.due(now));
        if self.take_may_name_changed() {
            ends.extend(self.attribution.dated());
        }
        self.attribute(ends, config, started, now);
        let limits =
            SeriesLimits { output: self.limits(config), shows: &|labels| config.filter.shows(labels) };
        if changed.networks {
            self.ledger.know_networks(self.evidence.networks(), now, &limits);
        }
        if now.saturating_sub(started) >= RESTORED_WITHIN {
            self.ledger.end_restoring();
        }
        self.ledger.expire(now, config.retention);
        if self.ledger.take_freed() && !self.attribution.refused().is_empty() {
            self.attribute(self.attribution.refused().clone(), config, started, now);
            self.ledger.take_freed();
        }
        self.book_late(config, now);
        self.starts.evaluate(self.attribution.take_presences(), started, config.retention, now);
        tcp_reading::take_settled(self, &settled, config, now);
        Evaluated { settled, changed }
    }

    /// Returns the limits on the series of pairs and networks.
    fn limits(&self, config: &Config) -> OutputLimits {
        config.limits.without(self.tcp.series().0 + self.drops.counted().0)
    }

    /// Joins the links that have changed, and opens, moves and closes the accounts of their pairs.
    fn settle_links(&mut self, now: Duration) -> Settled {
        let settled = self.topology.pair_changed();
        let pairs: Vec<_> = settled.pairs.iter().map(|ends| self.topology.pair(*ends)).collect();
        let topology = &self.topology;
        let there = |end: End| topology.link(end.netns, end.ifindex).is_some();
        self.ledger.reconcile(&settled.before, &pairs, now, |pair| topology.born(pair), there);
        settled
    }

    fn decide_owners(&mut self, settled: &Settled, config: &Config, now: Duration) -> Changed {
        let ledger = &self.ledger;
        let known = Facts {
            topology: &self.topology,
            arrived: &|end| ledger.place(end).and_then(|(id, _)| ledger.arrived(id)),
            hold_back: config.hold_back,
            leaving: config.leaving,
        };
        self.owners.decide(&mut self.evidence, settled, &known, now)
    }

    /// Returns the ends with another name, owner, master or network than before.
    fn ends_named_anew(&mut self, settled: &Settled, changed: &Changed) -> Vec<End> {
        let searched = std::mem::take(&mut self.searching.searched);
        let pairing = self.topology.pairing();
        let mut ends: Vec<End> = Vec::new();
        for &netns in changed.namespaces.iter().chain(&searched) {
            ends.extend(pairing.paired_in(netns));
            let [first, last] = [0, u32::MAX].map(|ifindex| End { netns, ifindex });
            ends.extend(pairing.single().range(first..=last).map(|(&end, _)| end));
        }
        let bridges = changed.bridges.iter().flat_map(|name| self.topology.host_switches(*name));
        let masters: BTreeSet<End> = settled.masters.iter().copied().chain(bridges).collect();
        ends.extend(masters.into_iter().flat_map(|master| self.topology.enslaved(master)));
        ends
    }

    /// Makes the rows of these ends anew, and books their pairs by them.
    fn attribute(&mut self, ends: BTreeSet<End>, config: &Config, started: Duration, now: Duration) {
        let mut pairs: BTreeSet<[End; 2]> = BTreeSet::new();
        for end in ends {
            let single = self.topology.pairing().single().get(&end).copied();
            let shown = single.map(|why| {
                let mut side = self.owners.show_single(&self.topology.side(end), &self.topology);
                config.filter.hide_single(&mut side);
                (side, why)
            });
            self.attribution.set_single(end, shown);
            let peer = self.topology.pairing().peer(end);
            pairs.extend(peer.map(|peer| [end.min(peer), end.max(peer)]));
        }
        let sources = || self.evidence.sources.iter();
        let context = Context {
            topology: &self.topology,
            owners: &self.owners,
            evidence: &self.evidence,
            searches: &self.searching.searches,
            config,
            limits: self.limits(config),
            started,
            may_name: sources().any(|(_, source)| source.may_name),
            engine_may_name: sources()
                .any(|(runtime, source)| *runtime != Runtime::Named && (source.may_name || source.is_away)),
        };
        for ends in pairs {
            self.attribution.evaluate(ends, &context, &mut self.ledger, now);
        }
    }

    /// Returns true if a source may name owners now that could not, or the other way round, since the last
    /// call.
    fn take_may_name_changed(&mut self) -> bool {
        let may_name = self.evidence.sources.iter();
        let may_name: BTreeSet<Runtime> = may_name
            .filter(|(_, source)| source.may_name || source.is_away)
            .map(|(runtime, _)| *runtime)
            .collect();
        std::mem::replace(&mut self.searching.may_name, may_name.clone()) != may_name
    }

    /// Books the traffic of dead pairs as their owners become known, or will not.
    fn book_late(&mut self, config: &Config, now: Duration) {
        if !self.ledger.waits() {
            return;
        }
        let over = self.ledger.waits_since().is_some_and(|since| now >= since + KEPT_UNATTRIBUTED);
        let version = self.evidence.version();
        let news = std::mem::replace(&mut self.searching.late_version, version) != version;
        let limits =
            SeriesLimits { output: self.limits(config), shows: &|labels| config.filter.shows(labels) };
        let evidence = &self.evidence;
        self.ledger.attribute_late(|entry| late_owner(entry, evidence, now), news || over, now, &limits);
    }

    /// Returns the requests about processes that the last evaluation has made due.
    pub(super) fn due_requests(&mut self, config: &Config, now: Duration) -> Vec<Request> {
        let mut due = Vec::new();
        if config.processes {
            self.evidence.new_processes.set_unnamed(&self.attribution.nameless(), now);
        }
        due.extend(self.request_new_processes(now));
        let searches = &mut self.searching.searches;
        if self.attribution.take_unclaimed_changed() || searches.due().is_some_and(|due| due <= now) {
            due.extend(searches.question(self.attribution.sums().unclaimed.keys(), now));
        }
        due.extend(self.evidence.take_to_watch().into_iter().map(Request::WatchExit));
        due
    }

    /// Requests the claims of the engines while a pair is young and has no name: an engine reports a
    /// container when that has started. The folder of names would answer at once, again and again.
    pub(super) fn request_engines(&self, now: Duration) -> Vec<Request> {
        if !self.attribution.asks_runtimes(now) {
            return Vec::new();
        }
        let engines = self.evidence.sources.iter();
        let engines = engines.filter(|(runtime, source)| **runtime != Runtime::Named && source.may_name);
        engines.map(|(&runtime, _)| Request::ClaimsOfNameless(runtime)).collect()
    }

    /// Requests the newest processes of the namespaces that have just got an id. One request is open at a
    /// time, however many namespaces come.
    pub(super) fn request_new_processes(&mut self, now: Duration) -> Option<Request> {
        let foreseen = self.evidence.sources.values().any(SourceState::foresees);
        self.evidence.new_processes.question(foreseen, now)
    }

    /// Takes the newest processes of these namespaces.
    pub(super) fn take_new_processes(
        &mut self,
        nsids: &BTreeSet<u32>,
        found: Vec<ProcessInNetns>,
        now: Duration,
    ) -> Effects {
        // Where processes cannot be read, the search of all processes reports that.
        let found = self.evidence.add_new_processes(nsids, found, &self.topology);
        let changed = !found.is_empty();
        self.searching.searched.extend(found);
        let mut requests: Vec<Request> = self.request_new_processes(now).into_iter().collect();
        requests.extend(self.evidence.take_to_watch().into_iter().map(Request::WatchExit));
        Effects { requests, changed }
    }

    /// Takes the processes that were found in namespaces without an owner.
    pub(super) fn take_processes(
        &mut self,
        nsids: &BTreeSet<u32>,
        found: Vec<ProcessInNetns>,
        now: Duration,
    ) {
        let netns = |nsid| self.topology.netns(Some(nsid));
        let searched = self.searching.searches.answered(nsids, netns, now);
        for process in found {
            let netns = netns(process.nsid);
            if searched.contains(&netns) {
                self.evidence.add_process(netns, process);
            }
        }
        self.searching.searched.extend(searched);
    }

    /// Returns the time of the next evaluation, should nothing change before.
    pub(super) fn deadline(&self, retention: Duration, now: Duration) -> Duration {
        let doubt = self.owners.doubts() || self.evidence.doubts(now);
        let at_least = if doubt { EVALUATE_IN_DOUBT } else { EVALUATE_AT_LEAST };
        let ends = [
            self.searching.searches.due(),
            self.evidence.new_processes.due(),
            self.attribution.deadline(),
            self.ledger.waits_since().map(|since| since + KEPT_UNATTRIBUTED),
            self.owners.leaves_at(),
            self.ledger.expires_at(retention),
            self.tcp.expires_at(retention),
            self.absent_engines.due(now),
        ];
        // What was due by now has just been evaluated.
        ends.into_iter().flatten().fold(now + at_least, Duration::min).max(now + EVALUATE_AT_MOST)
    }

    /// Returns how many claims were rejected since the start.
    pub(super) fn claims_rejected(&self) -> u64 {
        self.owners.rejected_ever() + self.evidence.rejected_ever()
    }

    /// Takes the state of an earlier run. Times after now, as of a clock that was set back, count as now.
    pub(super) fn restore(&mut self, restored: RestoredState, config: &Config, now: Duration) {
        let RestoredState { mut saved, here, epoch } = restored;
        let model_time = |time: Duration| time.saturating_sub(epoch).min(now);
        let starts = std::mem::take(&mut saved.starts).into_iter().map(|mut starts| {
            let shown = LabelSet::of_name(&starts.name);
            (starts.begun, starts.is_shown) =
                (model_time(starts.begun), starts.is_shown && config.filter.shows(&shown));
            starts
        });
        self.starts.restore(starts, now);
        let limits =
            SeriesLimits { output: self.limits(config), shows: &|labels| config.filter.shows(labels) };
        self.ledger.restore(saved, &here, model_time, now, &limits);
    }

    /// Writes the state that the next run continues; `epoch` is the zero of this run's times. Returns the
    /// highest ifindex of the host in this boot.
    pub(super) fn save(&mut self, journal: &mut Journal, epoch: Duration) -> u32 {
        self.starts.save(journal, epoch);
        let topology = &self.topology;
        let address = |end: End| topology.link(end.netns, end.ifindex)?.address;
        self.ledger.save(journal, epoch, address);
        self.ledger.raise_highest(self.topology.highest_ifindex())
    }

    /// Takes the counters of a link message, which may be the last of the end.
    pub(super) fn observe_link(&mut self, end: End, link: &Link) {
        if !link.kind.is_pair_end() {
            return;
        }
        // An end that is being made has no peer either, and no account. Where both ends count each frame,
        // what one of them keeps is never added to what the other one keeps.
        if link.iflink.is_none() && !link.kind.counts_receive() {
            self.ledger.observe_detached(end, &link.counters);
        } else {
            self.ledger.observe(end, &link.counters);
        }
    }

    /// Returns the host's ends of a namespace's pairs, with their names.
    pub(super) fn ports_of(&self, nsid: u32) -> Vec<(u32, Name)> {
        let netns = self.topology.netns(Some(nsid));
        let on_host = self.topology.pairing().paired_in(netns).filter_map(|end| {
            let peer = self.topology.pairing().peer(end).filter(|peer| peer.netns == NetnsId::Host)?;
            Some((peer.ifindex, self.topology.link(NetnsId::Host, peer.ifindex)?.name))
        });
        on_host.collect()
    }

    /// Returns true if an end in a namespace has no account yet.
    pub(super) fn has_unaccounted(&self, nsid: u32) -> bool {
        let netns = self.topology.netns(Some(nsid));
        self.topology.pair_ends(netns).any(|end| self.ledger.place(end).is_none())
    }

    /// Forgets every namespace but the host, these, and those of which events have come since a resync began.
    pub(super) fn forget_all_but(&mut self, nsids: &BTreeSet<u32>) {
        self.topology.keep_only(nsids);
        let topology = &self.topology;
        self.evidence.forget_unknown(topology);
    }

    /// Forgets the namespace that had this id.
    pub(super) fn end_of(&mut self, nsid: u32, config: &Config, now: Duration) {
        let netns = self.topology.netns(Some(nsid));
        drop_reading::end(self, netns, config, now);
        self.drops.touch(nsid);
        self.tcp.end(netns, now);
        self.topology.end_of(nsid);
        self.evidence.end_of(nsid, netns);
    }
}

/// Returns the owner of a dead pair's traffic that no runtime has named: the process that was seen in the
/// namespace, or the runtime that made the namespace's name up; `None` if the labels name the owner.
fn late_process(hint: &OwnerHint, labels: &LabelSet) -> Option<Workload> {
    let process = hint.process.as_deref();
    let container = process.filter(|process| process.name.is_empty());
    if labels.runtime == Runtime::Unknown {
        process.cloned()
    } else if is_generated_name(labels.runtime, &labels.container) {
        container.cloned().or_else(|| Some(Workload::named(generator(&labels.container)?, "")))
    } else {
        // The id of a container stands for its name.
        let id = hint.container.as_deref().unwrap_or_default();
        container.filter(|_| labels.container == cgroup::short(id)).cloned()
    }
}

/// Returns the labels that a dead pair's traffic goes to; `None` while a runtime may still name the owner.
fn late_owner(entry: &Unattributed, evidence: &Evidence, now: Duration) -> Option<[Option<LabelSet>; 2]> {
    let hint = entry.hint.as_ref();
    let found = hint.and_then(|hint| {
        evidence.sources.values().find_map(|source| {
            let interfaces = hint.address.and_then(|address| source.expected.get(&address));
            let interfaces = interfaces.into_iter().flatten().map(|(expected, _)| expected);
            let here = |expected: &&Expected| expected.bridge.is_some() && expected.bridge == hint.bridge;
            // An engine gives an address to another container as soon as it is free: the first process is
            // the better evidence.
            let same =
                |expected: &&Expected| hint.container.as_ref().is_none_or(|id| *id == expected.workload.id);
            let expected = interfaces.filter(here).find(same);
            let owner = hint.container.as_ref().and_then(|id| source.containers.get(id));
            let owner = owner.or(expected.map(|expected| &expected.workload))?;
            let mut carried = source.networks.iter().filter(|network| network.bridge.is_some());
            let network = match expected {
                Some(expected) => Some(&expected.network),
                None => carried.find(|network| network.bridge == hint.bridge).map(|network| &network.name),
            };
            Some((owner, network.cloned().unwrap_or_default()))
        })
    });
    let foreseen = evidence.sources.values().any(SourceState::foresees);
    match found {
        Some((owner, network)) => Some(
            entry.labels.clone().map(|labels| Some(LabelSet::of(owner, labels?.interface, network.clone()))),
        ),
        None if hint.is_some() && foreseen && now.saturating_sub(entry.since) < KEPT_UNATTRIBUTED => None,
        None => Some(entry.labels.clone().map(|labels| {
            let labels = labels?;
            Some(match hint.and_then(|hint| late_process(hint, &labels)) {
                Some(owner) => LabelSet::of(&owner, labels.interface, labels.network),
                None => labels,
            })
        })),
    }
}
