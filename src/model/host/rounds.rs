//! Readings of everything: what belongs to one, and what its answers mean.

use super::{Host, Learning, Links, LookFailure, Request};
use crate::model::link::{End, Kind, Link, NetnsId, PeerNetns};
use crate::model::topology::Change;
use crate::model::view::{Source, SourceStatus};
use crate::model::workload::Runtime;
use std::collections::BTreeSet;
use std::time::Duration;

/// A reading of everything.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// The open_requests that are open.
    pub(super) open: BTreeSet<Request>,
    /// The namespaces that were asked about.
    pub(super) asked: BTreeSet<u32>,
    /// The host's links were read: what is not asked about in this round is gone.
    pub(super) whole: bool,
    /// What differs from what was known is something that the events have missed.
    pub(super) checks_events: bool,
    pub(super) began: Duration,
}

impl Host {
    /// Reads everything, unless that is under way; `reason` says why events are not enough.
    pub(super) fn begin_round(&mut self, now: Duration, reason: Option<&'static str>) -> Vec<Request> {
        if !self.reading.open_requests.round.open.is_empty() {
            // What was read before this reason came may be out of date.
            self.reading.resync_owed = self.reading.resync_owed.or(reason);
            return Vec::new();
        }
        let reason = if self.reading.rounds == 0 { Some("start") } else { reason };
        if let Some(reason) = reason.filter(|_| self.config.learning == Learning::Events) {
            *self.status.resyncs.entry(reason).or_default() += 1;
        }
        let checks_events = self.reading.rounds > 0 && self.config.learning == Learning::Events;
        self.reading.open_requests.round = Round { began: now, checks_events, ..Round::default() };
        self.reading.resynced = now;
        self.reading.refused.clear();
        let runtimes: Vec<Runtime> = self.evidence.sources.keys().copied().collect();
        let mut asked: Vec<Request> =
            runtimes.into_iter().filter_map(|runtime| self.request_claims(runtime)).collect();
        asked.push(Request::Links { nsid: None });
        asked.extend(self.evidence.locators().map(Request::Locate));
        self.open(asked)
    }

    /// Asks what belongs to the round.
    pub(super) fn open(&mut self, asked: Vec<Request>) -> Vec<Request> {
        self.reading.open_requests.open_in_round(&asked);
        self.note_asked(&asked);
        asked
    }

    /// Asks what is not asked already.
    pub(super) fn ask(&mut self, mut wanted: Vec<Request>) -> Vec<Request> {
        self.reading.open_requests.open_apart(&mut wanted);
        self.note_asked(&wanted);
        wanted
    }

    fn note_asked(&mut self, requests: &[Request]) {
        for request in requests {
            if let Request::Links { nsid } = request {
                self.topology.ask(self.topology.netns(*nsid));
            }
        }
    }

    pub(super) fn take_links(
        &mut self,
        nsid: Option<u32>,
        answer: Result<Links, LookFailure>,
        now: Duration,
    ) -> Vec<Request> {
        nsid.inspect(|nsid| _ = self.reading.others_awaited.remove(nsid));
        if !self.reading.open_requests.links_answered(nsid) {
            return Vec::new();
        }
        let netns = self.topology.netns(nsid);
        let touched = self.topology.answered(netns);
        let in_round = self.reading.open_requests.is_of_round(&Request::Links { nsid });
        if !self.reading.open_requests.answered(&Request::Links { nsid }) {
            return Vec::new(); // the namespace that was asked about is gone
        }
        self.reading.open_requests.round.asked.extend(nsid);
        let (mut missed, mut change) = (Vec::new(), Change::Shape);
        let mut more = Vec::new();
        match answer {
            Ok(Links { links, errors, bad_messages }) => {
                self.shown.errors.retain(|end, _| end.netns != netns);
                let ends = errors.into_iter().map(|(ifindex, errors)| (End { netns, ifindex }, errors));
                self.shown.errors.extend(ends);
                self.status.bad_messages += bad_messages;
                self.reading.open_requests.round.whole |= nsid.is_none() && in_round;
                if in_round {
                    more = self.look_behind(&links);
                }
                self.note_counters(netns, &links);
                (missed, change) = self.topology.replace(netns, links, &touched);
            }
            Err(LookFailure::Denied) if nsid.is_some() => self.topology.hide(netns),
            // The kernel refuses a namespace from its last user's end on. Its event comes when it is
            // dismantled, which can be seconds later where many are: none is missed.
            Err(LookFailure::Gone) if nsid.is_some() => {
                self.reading.refused.extend(nsid);
                self.topology.forget(netns);
            }
            // What was known stays until a round says otherwise.
            Err(failure) => {
                self.note_unreadable(netns, &failure, in_round, now);
                return Vec::new();
            }
        }
        self.reading.unreadable.remove(&netns);
        if in_round && self.reading.open_requests.round.checks_events {
            // An event may be on its way that tells of it.
            self.reading.unconfirmed.raise(missed.into_iter().map(|ifindex| End { netns, ifindex }), now);
        }
        // A round is complete only when it is judged.
        if change == Change::Shape || in_round {
            self.touch(now);
        }
        self.open(more)
    }

    /// Notes that a namespace's links could not be read.
    fn note_unreadable(&mut self, netns: NetnsId, failure: &LookFailure, in_round: bool, now: Duration) {
        self.reading.refused.extend(netns.nsid());
        self.reading.resync_owed.get_or_insert("failed");
        self.reading.unreadable.insert(netns, failure.to_string());
        self.report_links(now.saturating_sub(self.reading.open_requests.round.began));
        if in_round {
            self.touch(now);
        }
    }

    /// The namespaces that these links lead to and that were not asked about in this round.
    fn look_behind(&mut self, links: &[Link]) -> Vec<Request> {
        let peers = links.iter().filter_map(|link| match link.peer_netns {
            PeerNetns::Nsid(nsid) => Some(nsid),
            _ => None,
        });
        let new: BTreeSet<u32> =
            peers.filter(|nsid| self.reading.open_requests.round.asked.insert(*nsid)).collect();
        new.into_iter().map(|nsid| Request::Links { nsid: Some(nsid) }).collect()
    }

    /// Takes the counters that links bring along: those of pairs without an end on the host come in no other
    /// answer. Where no events arrive of them, a pair can be another than a reading ago.
    fn note_counters(&mut self, netns: NetnsId, links: &[Link]) {
        let unheard = self.config.learning == Learning::Polling && netns != NetnsId::Host;
        for link in links.iter().filter(|link| link.kind == Kind::Veth && link.iflink.is_some()) {
            let end = End { netns, ifindex: link.ifindex };
            if unheard && self.ledger.is_another(end, &link.counters) {
                // What its predecessor carried since the last reading is in no counter any more.
                self.status.lost += 1;
                self.ledger.end(end);
                self.topology.renew(end);
            } else if !self.ledger.has_ended(end) {
                self.ledger.observe(end, &link.counters);
            }
        }
    }

    pub(super) fn complete_round(&mut self, now: Duration) {
        self.reading.open_requests.round.whole = false;
        self.report_links(now.saturating_sub(self.reading.open_requests.round.began));
        self.topology.keep_only(&self.reading.open_requests.round.asked);
        self.shown.errors.retain(|end, _| self.topology.knows(end.netns));
        if self.reading.rounds == 0 {
            self.reading.started = now;
        }
        self.reading.rounds += 1;
    }

    fn report_links(&mut self, took: Duration) {
        let topology = &self.topology;
        self.reading.unreadable.retain(|&netns, _| topology.netns(netns.nsid()) == netns);
        let result =
            match (self.reading.unreadable.get(&NetnsId::Host), self.reading.unreadable.values().next()) {
                (Some(why), _) => Err(why.clone()),
                (None, Some(why)) => Err(format!(
                    "{} network namespaces could not be read: {why}",
                    self.reading.unreadable.len()
                )),
                (None, None) => Ok(()),
            };
        self.status.sources.insert(Source::Links, SourceStatus { result, took });
    }
}
