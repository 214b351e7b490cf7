//! The state machine: what is known of the host, what to ask next, what to show.
//!
//! Everything that can interleave is decided here. A round reads all: the host's links, then those of each
//! namespace they lead to and of each that a runtime claims. After the first round events keep the
//! topology, and feed the ledger with the counters they carry; changes are gathered for some milliseconds
//! and judged together. Where only the host's events arrive, each tick begins a round.

use super::ledger::{LabelSet, Ledger};
use super::link::{Counters, End, Errors, Name, NetnsId};
use super::topology::Topology;
use super::view::{Scene, Source, SourceStatus, Status, View};
use super::workload::{Locator, Runtime};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

mod claims;
mod events;
mod input;
mod judging;
mod locating;
mod naming;
mod newcomers;
mod questions;
mod residents;
mod rounds;
mod searches;
mod show;
mod suspicions;
mod turns;

use claims::Heard;
pub use input::{Config, Input, Learning, Links, Located, Location, Request, Samples};
pub(crate) use input::{Inhabitant, LookFailure};
use locating::Locating;
use naming::Naming;
use newcomers::Newcomers;
use questions::Questions;
use searches::Searches;
use suspicions::Suspicions;
use turns::Turns;

/// The state of one host.
#[derive(Debug)]
pub struct Host {
    config: Config,
    topology: Topology,
    heard: BTreeMap<Runtime, Heard>,
    located: BTreeMap<Locator, Location>,
    /// Every claim is located: there is none to ask for.
    all_located: bool,
    /// By the namespace they were found in.
    inhabitants: BTreeMap<NetnsId, Inhabitant>,
    searches: Searches,
    newcomers: Newcomers,
    naming: Naming,
    questions: Questions,
    rounds: u64,
    /// When the first round was complete.
    started: Duration,
    /// When the last round began.
    resynced: Duration,
    /// The nsids that had no namespace, or one that could not be read, when they were asked about: they are
    /// not asked about again before the next round, or before such an id is given again.
    refused: BTreeSet<u32>,
    /// Namespaces whose links could not be read, and why.
    unreadable: BTreeMap<NetnsId, String>,
    locating: Locating,
    /// The processes whose end we want to hear of.
    watched: BTreeSet<u32>,
    /// All must be read again, and why: at the next tick, if nothing hinders it.
    resync_owed: Option<&'static str>,
    suspicions: Suspicions,
    /// What the host's links counted when a namespace last ended.
    parting: HashMap<Name, Counters>,
    /// When to judge what has changed since the last time; and whether links have.
    due: Option<Duration>,
    links_changed: bool,
    /// A namespace has got an id since names were asked for.
    names_wanted: bool,
    /// Names are being read because somebody asked outside of a tick; and somebody has asked again since.
    names_asked: bool,
    names_asked_again: bool,
    /// When to judge even if nothing changes: somebody has waited long enough, or is to be forgotten.
    again: Duration,
    /// When the last tick's counters came, and whether those of another are awaited.
    ticked: Duration,
    tick_due: bool,
    ledger: Ledger,
    /// For each pair the counters of its two sides as last read.
    samples: Vec<[Counters; 2]>,
    /// The namespaces that tell the counters of pairs without an end on the host.
    off_host: BTreeSet<u32>,
    /// Those that are being read for a scrape, because of links that are no veths.
    others_awaited: BTreeSet<u32>,
    turns: Turns,
    /// What went wrong on links, of those where anything did; none of them is a veth.
    errors: HashMap<End, Errors>,
    scene: Arc<Scene>,
    /// For each pair of the scene its place in the pairing.
    shown: Vec<usize>,
    /// For each of the ledger's totals of workloads whether it is hidden.
    hidden: Vec<bool>,
    /// The labels that pairs were given since somebody asked.
    named: Vec<LabelSet>,
    status: Status,
    /// There are pods here, or somebody who would tell of them: from then on [`Scene::pods`] is true.
    pods: bool,
    /// Memory for the next tick: of its requests, and of the samples that were taken.
    spare: Vec<Request>,
    spent: Samples,
}

const SECOND: Duration = Duration::from_secs(1);

impl Host {
    /// A host of which nothing is known, that will be told of by these runtimes.
    pub fn new(config: Config, runtimes: impl IntoIterator<Item = Runtime>) -> Host {
        let silent = || Heard { may_name: true, ..Heard::default() };
        Host {
            config,
            topology: Topology::default(),
            heard: runtimes.into_iter().map(|runtime| (runtime, silent())).collect(),
            located: BTreeMap::new(),
            all_located: false,
            inhabitants: BTreeMap::new(),
            searches: Searches::default(),
            newcomers: Newcomers::default(),
            naming: Naming::default(),
            questions: Questions::default(),
            rounds: 0,
            started: Duration::ZERO,
            resynced: Duration::ZERO,
            refused: BTreeSet::new(),
            unreadable: BTreeMap::new(),
            locating: Locating::default(),
            watched: BTreeSet::new(),
            resync_owed: None,
            suspicions: Suspicions::default(),
            parting: HashMap::new(),
            due: None,
            links_changed: false,
            names_wanted: false,
            names_asked: false,
            names_asked_again: false,
            again: Duration::MAX,
            ticked: Duration::ZERO,
            tick_due: false,
            ledger: Ledger::default(),
            samples: Vec::new(),
            off_host: BTreeSet::new(),
            others_awaited: BTreeSet::new(),
            turns: Turns::default(),
            errors: HashMap::new(),
            scene: Arc::default(),
            shown: Vec::new(),
            hidden: Vec::new(),
            named: Vec::new(),
            status: Status::default(),
            pods: false,
            spare: Vec::new(),
            spent: Samples::default(),
        }
    }

    /// Takes one input; says what to ask.
    pub fn apply(&mut self, input: Input, now: Duration) -> Vec<Request> {
        let mut requests = match input {
            Input::Tick => self.tick(now),
            Input::Links { nsid, answer } => self.take_links(nsid, answer, now),
            Input::Located { locator, answer } => self.take_location(locator, answer, now),
            Input::Claims { runtime, answer, took } => self.take_claims(runtime, answer, took, now),
            Input::SameClaims { runtime, took } => self.take_same_claims(runtime, took, now),
            Input::Inhabitants { nsids, answer, took } => {
                self.take_inhabitants(&nsids, answer, took, now);
                Vec::new()
            }
            Input::Expected { runtime, expected, containers } => {
                self.take_expected(runtime, expected, containers, now);
                Vec::new()
            }
            Input::Newcomers { nsids, answer } => self.take_newcomers(&nsids, answer, now),
            Input::Dying { container } => {
                let homes: Vec<u32> = self.naming.homes_of(&container).filter_map(NetnsId::nsid).collect();
                homes.into_iter().flat_map(|nsid| self.last_words(nsid)).collect()
            }
            Input::Samples { answer, took } => {
                self.take_samples(answer, took, now);
                Vec::new()
            }
            Input::LastWords(counters) => {
                for (ifindex, counters) in &counters {
                    self.ledger.observe(End { netns: NetnsId::Host, ifindex: *ifindex }, counters);
                }
                self.ledger.settle();
                Vec::new()
            }
            Input::Unmourned(requests) => {
                // As with events that are lost: what dies now is not exact.
                self.status.lost += requests as u64;
                Vec::new()
            }
            Input::Exited { pid } => {
                self.watched.remove(&pid);
                match self.located.get(&Locator::Pid(pid)).map(|at| at.netns) {
                    Some(Located::Nsid(nsid)) => self.last_words(nsid),
                    _ => Vec::new(),
                }
            }
            Input::Echo => {
                self.status.corrections += self.suspicions.take_echo() as u64;
                Vec::new()
            }
            Input::Named => self.ask_names().into_iter().collect(),
            Input::Unnamed { locator } => {
                // The next namespace of this name is another one, whatever keeps the old one.
                self.all_located = false;
                match self.located.remove(&locator).map(|at| at.netns) {
                    Some(Located::Nsid(nsid)) => self.parting_words(nsid),
                    _ => Vec::new(),
                }
            }
            Input::Parting(counters) => {
                self.parting = counters;
                Vec::new()
            }
            Input::Events(events) => {
                let mut requests = Vec::new();
                for event in events {
                    requests.extend(self.take_event(event, now));
                }
                // A name may be another link's by the next sign.
                self.parting.clear();
                requests
            }
            Input::Listening { answer } => {
                let status = SourceStatus { result: answer, took: Duration::ZERO };
                self.status.sources.insert(Source::Events, status);
                Vec::new()
            }
            Input::Wake => Vec::new(),
            Input::ReadOthers => self.read_others(),
            Input::LateTick => {
                self.status.late_ticks += 1;
                Vec::new()
            }
            Input::StaleScrape => {
                self.status.stale_scrapes += 1;
                Vec::new()
            }
        };
        if self.deadline().is_some_and(|due| now >= due) {
            requests.extend(self.judge(now));
        }
        requests
    }

    /// Takes the memory of performed requests back, so that a tick needs none.
    pub fn reuse(&mut self, mut requests: Vec<Request>) {
        requests.clear();
        if requests.capacity() > self.spare.capacity() {
            self.spare = requests;
        }
    }

    /// The memory of the last [`Input::Samples`], for the next.
    pub fn spent_samples(&mut self) -> Samples {
        std::mem::take(&mut self.spent)
    }

    /// When the state machine wants an [`Input::Wake`], should nothing else come before.
    pub fn deadline(&self) -> Option<Duration> {
        if !self.may_judge() {
            return None;
        }
        let due = self.due.unwrap_or(Duration::MAX).min(self.again);
        (due != Duration::MAX).then_some(due)
    }

    /// What to show; `None` before the first round is complete.
    pub fn view(&self) -> Option<View> {
        (self.rounds > 0).then(|| View {
            scene: Arc::clone(&self.scene),
            samples: self.shown.iter().map(|&pair| self.samples[pair]).collect(),
            workloads: self.shown_of(self.ledger.workloads().map(|(_, traffic)| *traffic)),
            peaks: self.shown_of(self.ledger.peaks()),
            rates: self.shown_of(self.ledger.rates()),
            networks: self.ledger.networks().map(|(_, traffic)| *traffic).collect(),
            others: self.scene.others.iter().map(|other| self.read_last(other.end)).collect(),
            rest: self.ledger.rest(),
            ticked: self.ticked,
        })
    }

    /// What is shown of something that there is for each of the ledger's totals of workloads.
    fn shown_of<T>(&self, totals: impl ExactSizeIterator<Item = T>) -> Vec<T> {
        let mut shown = Vec::with_capacity(self.scene.workloads.len());
        shown.extend(totals.zip(&self.hidden).filter(|(_, hidden)| !**hidden).map(|(total, _)| total));
        shown
    }

    /// What a link counted when it was last read.
    fn read_last(&self, end: End) -> (Counters, Errors) {
        let link = self.topology.link(end.netns, end.ifindex);
        let counters = link.map_or_else(Counters::default, |link| link.counters);
        (counters, self.errors.get(&end).copied().unwrap_or_default())
    }

    /// When the last tick ended: when the first counters after it were there.
    pub fn ticked(&self) -> Duration {
        self.ticked
    }

    /// True once there is a view.
    pub fn is_ready(&self) -> bool {
        self.rounds > 0
    }

    /// The labels of the interfaces whose owner has become known since the last call.
    pub fn take_named(&mut self) -> Vec<LabelSet> {
        std::mem::take(&mut self.named)
    }

    /// How the sources do.
    pub fn status(&self) -> &Status {
        &self.status
    }

    fn tick(&mut self, now: Duration) -> Vec<Request> {
        self.tick_due = true;
        if self.config.learning == Learning::Polling || self.rounds == 0 {
            return self.begin_round(now, None);
        }
        let mut requests = self.tick_on(now);
        if self.suspicions.ask_echo(now) {
            requests.push(Request::Echo);
        }
        requests
    }

    fn tick_on(&mut self, now: Duration) -> Vec<Request> {
        if self.questions.round.open.is_empty()
            && let Some(reason) = self.resync_owed.take()
        {
            return self.begin_round(now, Some(reason));
        }
        if now.saturating_sub(self.resynced) >= self.config.resync {
            return self.begin_round(now, Some("periodic"));
        }
        let mut requests = std::mem::take(&mut self.spare);
        requests.extend(self.heard.keys().map(|&runtime| Request::Claims(runtime)));
        requests.extend(self.inhabitants.values().map(|found| Request::Locate(Locator::Pid(found.pid))));
        let mut read = self.turns.off_host(&self.off_host);
        let pairs = &self.topology.pairing().pairs;
        read.extend(self.turns.past_the_port(pairs, self.ledger.bypassed()));
        requests.extend(read.into_iter().map(|nsid| Request::Links { nsid: Some(nsid) }));
        self.ask(requests)
    }

    /// Reads the namespaces of links that are no veths, in turn.
    fn read_others(&mut self) -> Vec<Request> {
        let nsids = self.scene.others.iter().filter_map(|other| other.end.netns.nsid()).collect();
        let turn = self.turns.others(&nsids);
        self.others_awaited.extend(&turn);
        self.ask(turn.into_iter().map(|nsid| Request::Links { nsid: Some(nsid) }).collect())
    }

    /// True until everything has been answered that [`Input::ReadOthers`] asked for.
    pub fn awaits_others(&self) -> bool {
        !self.others_awaited.is_empty()
    }

    /// Something has changed: it is judged with what else changes in the next milliseconds.
    fn touch(&mut self, now: Duration) {
        let places = self.samples.len().max(self.topology.namespaces().len());
        let places = u32::try_from(places).unwrap_or(u32::MAX);
        let due = now + self.config.gather + self.config.gather_a_pair.saturating_mul(places);
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    fn take_inhabitants(
        &mut self,
        nsids: &BTreeSet<u32>,
        answer: Result<Vec<Inhabitant>, String>,
        took: Duration,
        now: Duration,
    ) {
        let searched = nsids.iter().map(|&nsid| self.topology.netns(Some(nsid)));
        let taken_back = self.searches.answered(searched, now);
        let result = answer.as_ref().map(|_| ()).map_err(Clone::clone);
        self.status.sources.insert(Source::Process, SourceStatus { result, took });
        let found = answer.unwrap_or_default().into_iter();
        for inhabitant in found.filter(|found| !taken_back.contains(&found.nsid)) {
            let at = Location { netns: Located::Nsid(inhabitant.nsid), cgroup: inhabitant.cgroup.clone() };
            self.located.insert(Locator::Pid(inhabitant.pid), at);
            self.inhabitants.insert(self.topology.netns(Some(inhabitant.nsid)), inhabitant);
        }
        self.touch(now);
    }

    /// Asks who is new in the namespaces that have just got an id, if a runtime can tell what a new one is
    /// called. One question at a time, however many namespaces come.
    fn look_for_newcomers(&mut self) -> Option<Request> {
        let told = self.heard.values().any(Heard::foresees);
        self.newcomers.question(told)
    }

    fn take_newcomers(
        &mut self,
        nsids: &BTreeSet<u32>,
        answer: Result<Vec<Inhabitant>, String>,
        now: Duration,
    ) -> Vec<Request> {
        // Where processes cannot be read, the search for inhabitants says so.
        let found = answer.unwrap_or_default();
        if self.newcomers.answer(nsids, found, |nsid| self.topology.netns(Some(nsid))) {
            self.touch(now);
        }
        self.look_for_newcomers().into_iter().collect()
    }

    fn take_samples(&mut self, answer: Result<Samples, String>, took: Duration, now: Duration) {
        let result = answer.map(|samples| {
            self.status.bad_messages += samples.bad_messages;
            for (ifindex, counters) in &samples.counters {
                let end = End { netns: NetnsId::Host, ifindex: *ifindex };
                if let Some((pair, side)) = self.ledger.observe(end, counters)
                    && let Some(samples) = self.samples.get_mut(pair)
                {
                    samples[side] = *counters;
                }
            }
            self.ledger.settle();
            // The first sample after a tick ends it; those of scrapes in between do not count for the peaks.
            if std::mem::take(&mut self.tick_due) {
                self.ledger.tick(now, now.saturating_sub(self.ticked), self.config.peak_window);
                self.ticked = now;
            }
            self.spent = samples;
        });
        self.status.sources.insert(Source::Counters, SourceStatus { result, took });
    }
}

#[cfg(test)]
mod graph_tests;
#[cfg(test)]
mod tests;
