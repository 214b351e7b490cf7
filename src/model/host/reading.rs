//! The readings of the kernel: open requests, resyncs, refused namespaces, rotation.
//!
//! An event reports what has changed of one link. The narrowest dump is requested for what events do not
//! report: the links of a new namespace, and the namespaces of two ends that contradict each other.
//!
//! A resync reads everything: the host's links, then those of each namespace that they lead to or that a
//! claim is located in. It runs at the start, when the kernel has dropped events, at the next tick after a
//! message or a namespace was unreadable, and every 5 minutes. Without CAP_NET_BROADCAST only the host's
//! events arrive, and each tick begins a resync. A resync finds the changes that events have missed
//! ([`UnconfirmedChanges`]): there should be none.
//!
//! A tick requests the claims of the runtimes, the folder of names only if it is not watched or a name in it
//! leads nowhere, and the links of some namespaces ([`ReadRotation`]).

use super::input::{Config, Learning, Links, Located, Location, LookFailure, Request};
use super::knowledge::Knowledge;
use super::names::NamesReading;
use super::open_requests::OpenRequests;
use super::rotation::ReadRotation;
use super::schedule::Effects;
use super::unconfirmed::UnconfirmedChanges;
use crate::model::lack::Lack;
use crate::model::link::{End, Errors, Link, NetnsId, PeerNetns};
use crate::model::topology::{Settled, TopologyChange};
use crate::model::view::{Source, Status};
use crate::model::workload::{Locator, Runtime};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// The state of all reading.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub open_requests: OpenRequests,
    pub names: NamesReading,
    /// The number of resyncs that are complete, and when the first one was.
    pub resyncs: u64,
    pub started: Duration,
    /// The time at which the last resync began.
    resynced: Duration,
    /// The nsids that had no namespace, or an unreadable one, when their links were requested. They are
    /// requested again in the next resync, or after such an id is given again.
    refused: BTreeSet<u32>,
    /// The namespaces with links that could not be read, and why.
    unreadable: BTreeMap<NetnsId, String>,
    /// The reason why everything must be read again, at the next tick if nothing hinders it.
    resync_owed: Option<&'static str>,
    pub unconfirmed: UnconfirmedChanges,
    pub rotation: ReadRotation,
    /// The namespaces that are being read for a scrape, because of links that are no ends of pairs.
    others_awaited: BTreeSet<u32>,
    /// The errors that links have counted, as last read; none of them is an end of a pair.
    errors: HashMap<End, Errors>,
}

impl Reading {
    /// Returns true if answers may be evaluated: before the first resync is complete nothing is known, and
    /// without events the answers of a resync are evaluated together.
    pub(super) fn may_evaluate(&self, learning: Learning) -> bool {
        let resync = &self.open_requests.resync;
        match learning {
            Learning::Events if self.resyncs > 0 => true,
            _ => resync.open.is_empty() && (self.resyncs > 0 || resync.whole),
        }
    }

    /// Reads everything, unless that is under way; `reason` says why events are not enough.
    pub(super) fn begin_resync(
        &mut self,
        reason: Option<&'static str>,
        known: &mut Knowledge,
        config: &Config,
        status: &mut Status,
        now: Duration,
    ) -> Vec<Request> {
        if !self.open_requests.resync.open.is_empty() {
            // What was read before this reason came may be out of date.
            self.resync_owed = self.resync_owed.or(reason);
            return Vec::new();
        }
        let reason = if self.resyncs == 0 { Some("start") } else { reason };
        let events = config.learning == Learning::Events;
        if let Some(reason) = reason.filter(|_| events) {
            *status.resyncs.entry(reason).or_default() += 1;
        }
        self.open_requests.begin_resync(events && self.resyncs > 0, now);
        self.resynced = now;
        self.refused.clear();
        let sources = known.evidence.sources.keys();
        let mut asked: Vec<Request> = sources.filter_map(|runtime| self.request_claims(*runtime)).collect();
        asked.push(Request::Links { nsid: None });
        asked.extend(known.evidence.locators().map(Request::Locate));
        self.open(asked, known)
    }

    /// Begins a resync if one is due at a tick.
    pub(super) fn begin_due_resync(
        &mut self,
        known: &mut Knowledge,
        config: &Config,
        status: &mut Status,
        now: Duration,
    ) -> Option<Vec<Request>> {
        let over = self.open_requests.resync.open.is_empty();
        let mut reason = if over { self.resync_owed.take() } else { None };
        if now.saturating_sub(self.resynced) >= config.resync {
            reason = reason.or(Some("periodic"));
        }
        Some(self.begin_resync(Some(reason?), known, config, status, now))
    }

    /// Notes that events cannot be trusted any more: everything is read at the next tick.
    pub(super) fn owe_resync(&mut self, reason: &'static str) {
        self.resync_owed.get_or_insert(reason);
    }

    /// Requests the answer of a source, unless it is on its way.
    pub(super) fn request_claims(&mut self, runtime: Runtime) -> Option<Request> {
        if runtime == Runtime::Named { self.names.request() } else { Some(Request::Claims(runtime)) }
    }

    /// Makes requests that belong to the resync.
    pub(super) fn open(&mut self, asked: Vec<Request>, known: &mut Knowledge) -> Vec<Request> {
        let asked = self.open_requests.open_in_resync(asked);
        note_asked(&asked, known);
        asked
    }

    /// Makes the requests of these that are not open.
    pub(super) fn ask(&mut self, mut wanted: Vec<Request>, known: &mut Knowledge) -> Vec<Request> {
        self.open_requests.open_apart(&mut wanted);
        note_asked(&wanted, known);
        wanted
    }

    /// Adds the next requests of a resync to what follows from an answer.
    fn send_next(&mut self, mut effects: Effects, known: &mut Knowledge) -> Effects {
        let next = self.open_requests.send_next();
        note_asked(&next, known);
        effects.requests.extend(next);
        effects
    }

    /// Requests the locations of claims that lead nowhere, and, if `without_id`, of those that lead to a
    /// namespace without an id.
    pub(super) fn locate(&mut self, without_id: bool, known: &mut Knowledge, now: Duration) -> Vec<Request> {
        let wanted = known.evidence.choose_to_locate(without_id, now);
        self.ask(wanted.into_iter().map(Request::Locate).collect(), known)
    }

    /// Requests what may name a namespace that has just got an id: its file in /run/netns is there before its
    /// first pair, and a claim that was not located may be now.
    pub(super) fn request_names(&mut self, known: &mut Knowledge, now: Duration) -> Vec<Request> {
        let mut more = Vec::new();
        if std::mem::take(&mut self.names.wanted) {
            if known.evidence.sources.contains_key(&Runtime::Named) && !self.names.watched {
                more.extend(self.names.request_after_open());
            }
            more.extend(self.locate(true, known, now));
        }
        more
    }

    /// Requests the links that would tell of pairs that are not known, or settle a doubt.
    pub(super) fn request_links(
        &mut self,
        settled: &Settled,
        known: &mut Knowledge,
        learning: Learning,
    ) -> Vec<Request> {
        let mut wanted = known.topology.wanted();
        let mut requests = Vec::new();
        if learning == Learning::Events {
            let doubts = known.topology.doubts(&settled.ends);
            wanted.extend(doubts.nsids);
            requests.extend(doubts.host_links.into_iter().map(Request::HostLink));
        }
        wanted.retain(|nsid| !self.refused.contains(nsid));
        requests.extend(wanted.into_iter().map(|nsid| Request::Links { nsid: Some(nsid) }));
        self.ask(requests, known)
    }

    /// Returns the requests of a tick besides the counters.
    pub(super) fn request_at_tick(
        &mut self,
        mut requests: Vec<Request>,
        known: &mut Knowledge,
        now: Duration,
    ) -> Vec<Request> {
        // A name that leads nowhere may be one that cannot be read, which reading all names reports.
        let watched = self.names.watched && !known.evidence.misses_names();
        let asked = known.evidence.sources.keys().filter(|runtime| !watched || **runtime != Runtime::Named);
        requests.extend(asked.filter_map(|runtime| self.request_claims(*runtime)));
        requests.extend(known.evidence.choose_to_locate(false, now).into_iter().map(Request::Locate));
        requests.extend(known.evidence.process_locators().map(Request::Locate));
        let off_host = known.attribution.sums().off_host.keys().copied().collect();
        let mut read = self.rotation.off_host(off_host);
        read.extend(self.rotation.past_the_port(known.topology.pairing(), known.ledger.bypassed()));
        requests.extend(read.into_iter().map(|nsid| Request::Links { nsid: Some(nsid) }));
        self.ask(requests, known)
    }

    /// Requests the links of these namespaces in turn: they have links that are no ends of pairs.
    pub(super) fn request_others(&mut self, nsids: &BTreeSet<u32>, known: &mut Knowledge) -> Vec<Request> {
        let turn = self.rotation.others(nsids);
        self.others_awaited.extend(&turn);
        self.ask(turn.into_iter().map(|nsid| Request::Links { nsid: Some(nsid) }).collect(), known)
    }

    /// Returns true until everything is answered that [`request_others`](Reading::request_others) requested.
    pub(super) fn awaits_others(&self) -> bool {
        !self.others_awaited.is_empty()
    }

    /// Returns the errors that a link has counted.
    pub(super) fn errors(&self, end: End) -> Errors {
        self.errors.get(&end).copied().unwrap_or_default()
    }

    /// Takes the links of the host (`None`) or of a namespace.
    pub(super) fn take_links(
        &mut self,
        nsid: Option<u32>,
        answer: Result<Links, LookFailure>,
        known: &mut Knowledge,
        config: &Config,
        status: &mut Status,
        now: Duration,
    ) -> Effects {
        let effects = self.note_links(nsid, answer, known, config, status, now);
        self.send_next(effects, known)
    }

    fn note_links(
        &mut self,
        nsid: Option<u32>,
        answer: Result<Links, LookFailure>,
        known: &mut Knowledge,
        config: &Config,
        status: &mut Status,
        now: Duration,
    ) -> Effects {
        nsid.inspect(|nsid| _ = self.others_awaited.remove(nsid));
        if !self.open_requests.links_answered(nsid) {
            return Effects::default();
        }
        let netns = known.topology.netns(nsid);
        let touched = known.topology.answered(netns);
        let in_resync = self.open_requests.is_of_resync(&Request::Links { nsid });
        if !self.open_requests.answered(&Request::Links { nsid }) {
            return Effects::default(); // the namespace that was asked about is gone
        }
        self.open_requests.resync.asked.extend(nsid);
        let (mut missed, mut change) = (Vec::new(), TopologyChange::Shape);
        let mut more = Vec::new();
        match answer {
            Ok(Links { links, errors, bad_messages }) => {
                self.errors.retain(|end, _| end.netns != netns);
                let ends = errors.into_iter().map(|(ifindex, errors)| (End { netns, ifindex }, errors));
                self.errors.extend(ends);
                status.bad_messages += bad_messages;
                self.open_requests.resync.whole |= nsid.is_none() && in_resync;
                if in_resync {
                    more = self.look_behind(&links);
                }
                status.lost += note_counters(netns, &links, known, config.learning);
                (missed, change) = known.topology.replace(netns, links, &touched);
            }
            Err(LookFailure::Denied) if nsid.is_some() => known.topology.hide(netns),
            // The kernel refuses a namespace from its last user's end on. Its event comes when it is
            // dismantled, which can be seconds later where many are: none is missed.
            Err(LookFailure::Gone) if nsid.is_some() => {
                self.refused.extend(nsid);
                known.topology.forget(netns);
            }
            // What was known stays until a resync says otherwise.
            Err(failure) => {
                self.note_unreadable(netns, &failure, known, status, now);
                return Effects { requests: Vec::new(), changed: in_resync };
            }
        }
        self.unreadable.remove(&netns);
        if in_resync && self.open_requests.resync.checks_events {
            // An event may be on its way that tells of it.
            self.unconfirmed.raise(missed.into_iter().map(|ifindex| End { netns, ifindex }), now);
        }
        // A resync is complete only when it is evaluated.
        Effects { requests: self.open(more, known), changed: change == TopologyChange::Shape || in_resync }
    }

    /// Takes one link of the host. Returns true if something has changed that is to be evaluated. That a link
    /// is gone is what an event reports.
    pub(super) fn take_host_link(
        &mut self,
        ifindex: u32,
        answer: Result<Box<Link>, LookFailure>,
        known: &mut Knowledge,
    ) -> bool {
        self.open_requests.answered(&Request::HostLink(ifindex));
        if !matches!(answer, Ok(_) | Err(LookFailure::Gone)) {
            self.owe_resync("failed");
        }
        let link = answer.ok().map(|link| *link);
        if let Some(link) = link {
            note_counters(NetnsId::Host, &[link], known, Learning::Events);
        }
        known.topology.take_link(ifindex, link) == TopologyChange::Shape
    }

    /// Takes the namespace that a claim means.
    pub(super) fn take_location(
        &mut self,
        locator: Locator,
        answer: Result<Location, LookFailure>,
        known: &mut Knowledge,
        now: Duration,
    ) -> Effects {
        let request = Request::Locate(locator.clone());
        let in_resync = self.open_requests.is_of_resync(&request);
        self.open_requests.answered(&request);
        let effects = Effects { requests: Vec::new(), changed: in_resync };
        let mut effects = self.send_next(effects, known);
        let taken_back = self.open_requests.located(&locator);
        match answer {
            Ok(Location { netns: Located::Nsid(nsid), .. }) if taken_back.contains(&nsid) => {
                // It may be the namespace that had the id before: ask again.
                effects.changed = false;
                effects.requests.extend(self.ask(vec![request], known));
            }
            Ok(found) => {
                if let Located::Nsid(nsid) = found.netns {
                    let links = Request::Links { nsid: Some(nsid) };
                    let before = known.evidence.location(&locator);
                    // The links that were read before the claim came may be those of another namespace that
                    // had this id.
                    let news = before.is_none_or(|before| before.netns != found.netns);
                    if in_resync && self.open_requests.resync.asked.insert(nsid) {
                        effects.requests.extend(self.open(vec![links], known));
                    } else if news {
                        effects.requests.extend(self.ask(vec![links], known));
                    }
                }
                effects.changed |= known.evidence.set_location(locator, found);
            }
            Err(failure) => effects.changed |= known.evidence.locating_failed(&locator, &failure, now),
        }
        effects
    }

    /// Notes that a namespace's links could not be read.
    fn note_unreadable(
        &mut self,
        netns: NetnsId,
        failure: &LookFailure,
        known: &Knowledge,
        status: &mut Status,
        now: Duration,
    ) {
        self.refused.extend(netns.nsid());
        self.owe_resync("failed");
        self.unreadable.insert(netns, failure.to_string());
        self.report_links(known, status, now);
    }

    /// Requests the namespaces that these links lead to and that were not requested in this reading.
    fn look_behind(&mut self, links: &[Link]) -> Vec<Request> {
        let peers = links.iter().filter_map(|link| match link.peer_netns {
            PeerNetns::Nsid(nsid) => Some(nsid),
            _ => None,
        });
        let asked = &mut self.open_requests.resync.asked;
        let new: BTreeSet<u32> = peers.filter(|nsid| asked.insert(*nsid)).collect();
        new.into_iter().map(|nsid| Request::Links { nsid: Some(nsid) }).collect()
    }

    /// Completes the resync, if all of its requests are answered.
    pub(super) fn complete_resync(&mut self, known: &mut Knowledge, status: &mut Status, now: Duration) {
        if !self.open_requests.resync.whole || !self.open_requests.resync.open.is_empty() {
            return;
        }
        self.open_requests.resync.whole = false;
        self.report_links(known, status, now);
        known.forget_all_but(&self.open_requests.resync.asked);
        self.errors.retain(|end, _| known.topology.knows(end.netns));
        if self.resyncs == 0 {
            self.started = now;
        }
        self.resyncs += 1;
    }

    fn report_links(&mut self, known: &Knowledge, status: &mut Status, now: Duration) {
        let took = now.saturating_sub(self.open_requests.resync.began);
        self.unreadable.retain(|&netns, _| known.topology.netns(netns.nsid()) == netns);
        let result = match (self.unreadable.get(&NetnsId::Host), self.unreadable.values().next()) {
            (Some(why), _) => Err(Lack::failure(why)),
            (None, Some(why)) => {
                let namespaces = self.unreadable.len();
                Err(Lack::failure(format!("{namespaces} network namespaces could not be read: {why}")))
            }
            (None, None) => Ok(()),
        };
        status.set_result(Source::Links, result, took);
    }

    /// Notes that an nsid was given.
    pub(super) fn begin_of(&mut self, nsid: u32) {
        self.refused.remove(&nsid);
        self.names.wanted = true;
    }

    /// Forgets the namespace that had this id.
    pub(super) fn end_of(&mut self, nsid: u32, netns: NetnsId) {
        self.unconfirmed.clear_all_of(netns);
        self.others_awaited.remove(&nsid);
        self.errors.retain(|end, _| end.netns != netns);
        self.open_requests.take_back(nsid);
    }
}

fn note_asked(requests: &[Request], known: &mut Knowledge) {
    for request in requests {
        match request {
            Request::Links { nsid } => known.topology.ask(known.topology.netns(*nsid)),
            Request::HostLink(ifindex) => known.topology.ask_link(*ifindex),
            _ => {}
        }
    }
}

/// Takes the counters that links bring along: those of pairs without an end on the host come in no other
/// answer. Where no events arrive of them, a pair can be another than a reading ago; returns how many are,
/// each of which has lost what its predecessor carried since the last reading.
fn note_counters(netns: NetnsId, links: &[Link], known: &mut Knowledge, learning: Learning) -> u64 {
    let unheard = learning == Learning::Polling && netns != NetnsId::Host;
    let mut lost = 0;
    for link in links.iter().filter(|link| link.kind.is_pair_end() && link.iflink.is_some()) {
        let end = End { netns, ifindex: link.ifindex };
        if unheard && known.ledger.is_another(end, &link.counters) {
            lost += 1;
            known.ledger.end(end);
            known.topology.renew(end);
        } else if !unheard || !known.ledger.has_ended(end) {
            known.ledger.observe(end, &link.counters);
        }
    }
    lost
}
