//! Evaluates what has changed: links, then owners, then labels; and asks for what is missing.

use super::attribution::Context;
use super::{Host, Learning, Request};
use crate::model::ledger::{LabelSet, Limits, Unattributed};
use crate::model::link::End;
use crate::model::owners::{Changed, Evidence, Facts, SourceState};
use crate::model::topology::Settled;
use crate::model::workload::{Expected, Runtime};
use std::collections::BTreeSet;
use std::time::Duration;

/// The longest pause between two evaluations, where something may yet turn out otherwise without a change,
/// and where nothing can.
const IN_DOUBT: Duration = Duration::from_secs(10);
const AT_LEAST: Duration = Duration::from_secs(60);

/// Nothing that ends with time is looked at again sooner.
const AT_MOST: Duration = Duration::from_millis(1);

/// The time for which the traffic of a pair that died without a name is kept.
const KEPT: Duration = Duration::from_secs(10);

impl Host {
    /// Before the first round is complete nothing is known; where all is polled, answers are evaluated
    /// together.
    pub(super) fn may_evaluate(&self) -> bool {
        match self.config.learning {
            Learning::Events if self.reading.rounds > 0 => true,
            _ => {
                self.reading.open_requests.round.open.is_empty()
                    && (self.reading.rounds > 0 || self.reading.open_requests.round.whole)
            }
        }
    }

    /// Evaluates what has changed. Returns what to ask.
    pub(super) fn reevaluate(&mut self, now: Duration) -> Vec<Request> {
        self.schedule.due = None;
        #[cfg(test)]
        self.mark_everything();
        if self.reading.open_requests.round.whole && self.reading.open_requests.round.open.is_empty() {
            self.complete_round(now);
        }
        let settled = self.settle_links(now);
        let changed = self.decide_owners(&settled, now);
        self.attribute(&settled, &changed, now);
        self.book_late(now);
        self.scene_changed();
        let mut more = self.ask_for_links(&settled);
        if self.attribution.asks_runtimes(now) {
            // An engine says whose it is when the container has started. The folder of names would answer
            // at once, again and again.
            let engines = self.evidence.sources.iter();
            let engines = engines.filter(|(runtime, source)| **runtime != Runtime::Named && source.may_name);
            more.extend(engines.map(|(&runtime, _)| Request::Claims(runtime)));
        }
        if std::mem::take(&mut self.names.wanted) {
            // A name in /run/netns is there before the namespace has its first veth.
            if self.evidence.sources.contains_key(&Runtime::Named) && !self.names.watched {
                more.extend(self.names.request_after_open());
            }
            // A claim that was not located may be now.
            let wanted = self.evidence.choose_to_locate(true, now);
            more.extend(self.ask(wanted.into_iter().map(Request::Locate).collect()));
        }
        if self.config.processes {
            self.evidence.new_processes.set_unnamed(&self.attribution.nameless(), now);
        }
        more.extend(self.look_for_new_processes(now));
        if self.attribution.take_unclaimed_changed()
            || self.searching.searches.due().is_some_and(|due| due <= now)
        {
            more.extend(self.searching.searches.question(self.attribution.sums().unclaimed.keys(), now));
        }
        more.extend(self.evidence.take_to_watch().into_iter().map(Request::WatchExit));
        self.schedule.again = self.next_deadline(now);
        more
    }

    /// Returns when something changes by itself.
    fn next_deadline(&self, now: Duration) -> Duration {
        let doubt = self.owners.doubts() || self.evidence.doubts(now);
        let at_least = if doubt { IN_DOUBT } else { AT_LEAST };
        let ends = [
            self.searching.searches.due(),
            self.evidence.new_processes.due(),
            self.attribution.deadline(),
            self.ledger.waits_since().map(|since| since + KEPT),
            self.owners.leaves_at(),
            self.ledger.expires_at(self.config.retention),
        ];
        // What is over now has just been evaluated.
        ends.into_iter().flatten().fold(now + at_least, Duration::min).max(now + AT_MOST)
    }

    /// Asks for the links that would tell of pairs that are not known.
    fn ask_for_links(&mut self, settled: &Settled) -> Vec<Request> {
        let mut wanted: BTreeSet<Option<u32>> = self.topology.wanted().into_iter().map(Some).collect();
        if self.config.learning == Learning::Events {
            wanted.extend(self.topology.doubts(&settled.ends));
        }
        let refused = |nsid: &Option<u32>| nsid.is_some_and(|nsid| self.reading.refused.contains(&nsid));
        let wanted: Vec<Request> =
            wanted.into_iter().filter(|nsid| !refused(nsid)).map(|nsid| Request::Links { nsid }).collect();
        self.ask(wanted)
    }

    /// Joins the links that have changed, and opens, moves and closes the accounts of their pairs.
    fn settle_links(&mut self, now: Duration) -> Settled {
        let settled = self.topology.settle();
        let pairs: Vec<_> = settled.pairs.iter().map(|ends| self.topology.pair(*ends)).collect();
        let topology = &self.topology;
        let there = |end: End| topology.link(end.netns, end.ifindex).is_some();
        self.ledger.reconcile(&settled.before, &pairs, now, |pair| topology.born(pair), there);
        settled
    }

    fn decide_owners(&mut self, settled: &Settled, now: Duration) -> Changed {
        let ledger = &self.ledger;
        let known = Facts {
            topology: &self.topology,
            arrived: &|end| ledger.place(end).and_then(|(id, _)| ledger.arrived(id)),
            hold_back: self.config.hold_back,
            leaving: self.config.leaving,
        };
        let changed = self.owners.decide(&mut self.evidence, settled, &known, now);
        self.status.claims_rejected = self.owners.rejected_ever() + self.evidence.rejected_ever();
        changed
    }

    /// Makes the rows of pairs anew that something has changed for.
    fn attribute(&mut self, settled: &Settled, changed: &Changed, now: Duration) {
        for ends in settled.before.iter().filter(|ends| settled.pairs.binary_search(ends).is_err()) {
            self.attribution.remove(ends[0]);
        }
        let mut ends: BTreeSet<End> = settled.ends.clone();
        #[cfg(test)]
        ends.extend(self.everything());
        ends.extend(self.ends_named_anew(settled, changed));
        ends.extend(self.attribution.due(now));
        if self.may_name_changed() {
            ends.extend(self.attribution.dated());
        }
        self.evaluate(ends, now);
        let filter = &self.config.filter;
        let limits = Limits { series: self.config.series, shows: &|labels| filter.shows(labels) };
        if changed.networks {
            self.ledger.know_networks(self.evidence.networks(), now, &limits);
        }
        self.ledger.expire(now, self.config.retention);
        if self.ledger.take_freed() && !self.attribution.refused().is_empty() {
            self.evaluate(self.attribution.refused().clone(), now);
            self.ledger.take_freed();
        }
        self.show_others(settled, changed);
    }

    /// The ends whose name, owner, bridge or network has changed.
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
        let switches: BTreeSet<End> = settled.switches.iter().copied().chain(bridges).collect();
        ends.extend(switches.into_iter().flat_map(|switch| self.topology.enslaved(switch)));
        ends
    }

    /// Makes the rows of these ends anew.
    fn evaluate(&mut self, ends: BTreeSet<End>, now: Duration) {
        let mut pairs: BTreeSet<[End; 2]> = BTreeSet::new();
        for end in ends {
            let single = self.topology.pairing().single().get(&end).copied();
            let shown =
                single.map(|why| (self.owners.show_single(&self.topology.side(end), &self.topology), why));
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
            config: &self.config,
            started: self.reading.started,
            may_name: sources().any(|(_, source)| source.may_name),
            engine_may_name: sources().any(|(runtime, source)| *runtime != Runtime::Named && source.may_name),
        };
        for ends in pairs {
            self.attribution.evaluate(ends, &context, &mut self.ledger, now);
        }
    }

    /// True if a source may name owners now that could not, or the other way round.
    fn may_name_changed(&mut self) -> bool {
        let may_name = self.evidence.sources.iter();
        let may_name: BTreeSet<Runtime> =
            may_name.filter(|(_, source)| source.may_name).map(|(runtime, _)| *runtime).collect();
        std::mem::replace(&mut self.searching.may_name, may_name.clone()) != may_name
    }

    /// Books what dead pairs had carried whose owner has become known, or will not.
    fn book_late(&mut self, now: Duration) {
        if !self.ledger.waits() {
            return;
        }
        let over = self.ledger.waits_since().is_some_and(|since| now >= since + KEPT);
        let version = self.evidence.version();
        let news = std::mem::replace(&mut self.searching.late_version, version) != version;
        let filter = &self.config.filter;
        let limits = Limits { series: self.config.series, shows: &|labels| filter.shows(labels) };
        let evidence = &self.evidence;
        self.ledger.attribute_late(|entry| late_owner(entry, evidence, now), news || over, now, &limits);
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
            // An address is given to another container as soon as it is free: the first process knows better.
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
    match found {
        Some((owner, network)) => Some(
            entry.labels.clone().map(|labels| Some(LabelSet::of(owner, labels?.interface, network.clone()))),
        ),
        None if hint.is_some()
            && evidence.sources.values().any(SourceState::foresees)
            && now.saturating_sub(entry.since) < KEPT =>
        {
            None
        }
        None => {
            let process = hint.and_then(|hint| hint.process.as_deref());
            Some(entry.labels.clone().map(|labels| {
                let labels = labels?;
                Some(match process.filter(|_| labels.runtime == Runtime::Unknown) {
                    Some(process) => LabelSet::of(process, labels.interface, labels.network),
                    None => labels,
                })
            }))
        }
    }
}
