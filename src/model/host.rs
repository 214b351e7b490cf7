//! The state machine: what is known of the host, what to ask next, what to show.
//!
//! Everything that can interleave is decided here. A round reads all: the host's links, then those of each
//! namespace they lead to and of each that a runtime claims. After the first round events keep the
//! topology, and feed the ledger with the counters they carry; changes are gathered for some milliseconds
//! and judged together. Where only the host's events arrive, each tick begins a round.

use super::ledger::{LabelSet, Ledger};
use super::link::{Counters, End, Errors, Name, NetnsId};
use super::owners::{Evidence, Owners, ProcessSearch, SourceState};
use super::topology::Topology;
use super::view::{Source, SourceStatus, Status};
use super::workload::{Locator, Runtime};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use std::time::Duration;

mod attribution;
mod claims;
mod events;
mod input;
mod judging;
mod questions;
mod rounds;
mod show;
mod suspicions;
mod turns;

use attribution::Attribution;
pub use input::{Config, Input, Learning, Links, Located, Location, Request, Samples};
pub(crate) use input::{LookFailure, ProcessInNetns};
use questions::Questions;
use show::Shown;
use suspicions::Suspicions;
use turns::Turns;

/// The state of one host.
#[derive(Debug)]
pub struct Host {
    config: Config,
    topology: Topology,
    evidence: Evidence,
    owners: Owners,
    attribution: Attribution,
    searches: ProcessSearch,
    /// The namespaces that were searched for processes since rows were last made.
    searched: BTreeSet<NetnsId>,
    /// The version of the evidence that dead pairs were last held against.
    late_version: u64,
    /// The sources that may name owners, as of the last evaluation.
    may_name: BTreeSet<Runtime>,
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
    /// All must be read again, and why: at the next tick, if nothing hinders it.
    resync_owed: Option<&'static str>,
    suspicions: Suspicions,
    /// What the host's links counted when a namespace last ended.
    parting: HashMap<Name, Counters>,
    /// When to evaluate what has changed since the last time.
    due: Option<Duration>,
    /// A namespace has got an id since names were asked for.
    names_wanted: bool,
    /// Names are being read because somebody asked outside of a tick; and somebody has asked again since.
    names_asked: bool,
    names_asked_again: bool,
    /// Each name that comes or goes is reported.
    names_watched: bool,
    /// When to judge even if nothing changes: somebody has waited long enough, or is to be forgotten.
    again: Duration,
    /// When the last tick's counters came, and whether those of another are awaited.
    ticked: Duration,
    tick_due: bool,
    ledger: Ledger,
    /// Those that are being read for a scrape, because of links that are no veths.
    others_awaited: BTreeSet<u32>,
    turns: Turns,
    /// What went wrong on links, of those where anything did; none of them is a veth.
    errors: HashMap<End, Errors>,
    shown: Shown,
    status: Status,
    /// There are pods here, or somebody who would tell of them: from then on [`Scene::pods`] is true.
    pods: bool,
    /// The second implementation, which evaluates everything each time; see `oracle`.
    #[cfg(test)]
    oracle: oracle::Oracle,
    /// Memory for the next tick: of its requests, and of the samples that were taken.
    spare: Vec<Request>,
    spent: Samples,
}

impl Host {
    /// A host of which nothing is known, that will be told of by these runtimes.
    pub fn new(config: Config, runtimes: impl IntoIterator<Item = Runtime>) -> Host {
        Host {
            #[cfg(test)]
            oracle: oracle::Oracle::default(),
            config,
            topology: Topology::default(),
            evidence: Evidence::new(runtimes),
            owners: Owners::default(),
            attribution: Attribution::default(),
            searches: ProcessSearch::default(),
            searched: BTreeSet::new(),
            late_version: 0,
            may_name: BTreeSet::new(),
            questions: Questions::default(),
            rounds: 0,
            started: Duration::ZERO,
            resynced: Duration::ZERO,
            refused: BTreeSet::new(),
            unreadable: BTreeMap::new(),
            resync_owed: None,
            suspicions: Suspicions::default(),
            parting: HashMap::new(),
            due: None,
            names_wanted: false,
            names_asked: false,
            names_asked_again: false,
            names_watched: false,
            again: Duration::MAX,
            ticked: Duration::ZERO,
            tick_due: false,
            ledger: Ledger::default(),
            others_awaited: BTreeSet::new(),
            turns: Turns::default(),
            errors: HashMap::new(),
            shown: Shown::default(),
            status: Status::default(),
            pods: false,
            spare: Vec::new(),
            spent: Samples::default(),
        }
    }

    /// Takes one input; says what to ask.
    pub fn apply(&mut self, input: Input, now: Duration) -> Vec<Request> {
        #[cfg(test)]
        self.make_twin();
        #[cfg(test)]
        let for_twin = input.clone();
        let requests = self.take(input, now);
        #[cfg(test)]
        self.compare_with_twin(for_twin, now);
        requests
    }

    fn take(&mut self, input: Input, now: Duration) -> Vec<Request> {
        let mut requests = match input {
            Input::Tick => self.tick(now),
            Input::Links { nsid, answer } => self.take_links(nsid, answer, now),
            Input::Located { locator, answer } => self.take_location(locator, answer, now),
            Input::Claims { runtime, answer, took } => self.take_claims(runtime, answer, took, now),
            Input::SameClaims { runtime, took } => self.take_same_claims(runtime, took, now),
            Input::Processes { nsids, answer, took } => {
                self.take_inhabitants(&nsids, answer, took, now);
                Vec::new()
            }
            Input::Expected { runtime, expected, containers } => {
                self.take_expected(runtime, expected, containers, now);
                Vec::new()
            }
            Input::NewProcesses { nsids, answer } => self.take_new_processes(&nsids, answer, now),
            Input::Dying { container } => {
                let homes: Vec<u32> = self.owners.owned_by(&container).filter_map(NetnsId::nsid).collect();
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
                Vec::new()
            }
            Input::Unmourned(requests) => {
                // As with events that are lost: what dies now is not exact.
                self.status.lost += requests as u64;
                Vec::new()
            }
            Input::Exited { pid } => {
                self.evidence.exited(pid);
                match self.evidence.location(&Locator::Pid(pid)).map(|at| at.netns) {
                    Some(Located::Nsid(nsid)) => self.last_words(nsid),
                    _ => Vec::new(),
                }
            }
            Input::Echo => {
                self.status.corrections += self.suspicions.take_echo() as u64;
                Vec::new()
            }
            Input::Named => self.ask_names().into_iter().collect(),
            Input::NameAdded(claim) => self.add_name(*claim, now),
            Input::NamesWatched(works) => {
                self.names_watched = works;
                Vec::new()
            }
            Input::Unnamed { locator } => {
                self.names_asked_again |= self.names_asked;
                self.evidence.remove_claims(Runtime::Named, &locator);
                self.touch(now);
                // The next namespace of this name is another one, whatever keeps the old one.
                match self.evidence.unlocate(&locator).map(|at| at.netns) {
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
            requests.extend(self.reevaluate(now));
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
        if !self.may_evaluate() {
            return None;
        }
        let due = self.due.unwrap_or(Duration::MAX).min(self.again);
        (due != Duration::MAX).then_some(due)
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
        self.attribution.take_named()
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
        let watched = self.names_watched;
        let asked = self.evidence.sources.keys().filter(|runtime| !watched || **runtime != Runtime::Named);
        requests.extend(asked.map(|&runtime| Request::Claims(runtime)));
        requests.extend(self.evidence.to_locate(false, now).into_iter().map(Request::Locate));
        requests.extend(self.evidence.process_locators().map(Request::Locate));
        let mut read = self.turns.off_host(self.attribution.sums().off_host.keys().copied().collect());
        read.extend(self.turns.past_the_port(self.topology.pairing(), self.ledger.bypassed()));
        requests.extend(read.into_iter().map(|nsid| Request::Links { nsid: Some(nsid) }));
        self.ask(requests)
    }

    /// Reads the namespaces of links that are no veths, in turn.
    fn read_others(&mut self) -> Vec<Request> {
        let nsids = self.others_nsids();
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
        let due = now + self.config.gather;
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    fn take_inhabitants(
        &mut self,
        nsids: &BTreeSet<u32>,
        answer: Result<Vec<ProcessInNetns>, String>,
        took: Duration,
        now: Duration,
    ) {
        let searched: Vec<NetnsId> = nsids.iter().map(|&nsid| self.topology.netns(Some(nsid))).collect();
        let taken_back = self.searches.answered(searched.iter().copied(), now);
        self.searched.extend(searched);
        let result = answer.as_ref().map(|_| ()).map_err(Clone::clone);
        self.status.sources.insert(Source::Process, SourceStatus { result, took });
        let found = answer.unwrap_or_default().into_iter();
        for process in found.filter(|found| !taken_back.contains(&found.nsid)) {
            self.evidence.add_process(self.topology.netns(Some(process.nsid)), process);
        }
        self.touch(now);
    }

    /// Asks for the newest processes of the namespaces that have just got an id, if a runtime can name them.
    /// One question at a time, however many namespaces come.
    fn look_for_new_processes(&mut self) -> Option<Request> {
        let foreseen = self.evidence.sources.values().any(SourceState::foresees);
        self.evidence.new_processes.question(foreseen)
    }

    fn take_new_processes(
        &mut self,
        nsids: &BTreeSet<u32>,
        answer: Result<Vec<ProcessInNetns>, String>,
        now: Duration,
    ) -> Vec<Request> {
        // Where processes cannot be read, the search for inhabitants says so.
        let found = answer.unwrap_or_default();
        if self.evidence.add_new_processes(nsids, found, &self.topology) {
            self.touch(now);
        }
        self.look_for_new_processes().into_iter().collect()
    }

    fn take_samples(&mut self, answer: Result<Samples, String>, took: Duration, now: Duration) {
        let result = answer.map(|samples| {
            self.status.bad_messages += samples.bad_messages;
            for (ifindex, counters) in &samples.counters {
                let end = End { netns: NetnsId::Host, ifindex: *ifindex };
                self.ledger.sample(end, counters);
            }
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
mod oracle;
#[cfg(test)]
mod tests;
