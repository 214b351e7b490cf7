//! The state machine: what is known of the host, what to ask next, what to show.
//!
//! Everything that can interleave is decided here. A round reads all: the host's links, then those of each
//! namespace they lead to and of each that a runtime claims. After the first round events keep the
//! topology, and feed the ledger with the counters they carry; changes are gathered for some milliseconds
//! and judged together. Where only the host's events arrive, each tick begins a round.

use super::ledger::{LabelSet, Ledger};
use super::link::{Counters, End, Errors, NetnsId};
use super::owners::{Evidence, Owners, SourceState};
use super::topology::Topology;
use super::view::{Source, SourceStatus, Status};
use super::workload::Runtime;
use std::collections::BTreeSet;

use std::time::Duration;

mod attribution;
mod claims;
mod events;
mod input;
mod judging;
mod names;
mod open_requests;
mod reading;
mod rotation;
mod rounds;
mod schedule;
mod show;
mod unconfirmed;

use attribution::Attribution;
pub use input::{Config, Input, Learning, Links, Located, Location, Request, Samples};
pub(crate) use input::{LookFailure, ProcessInNetns};
use names::NamesReading;
use reading::Reading;
use schedule::{Schedule, Searching};
use show::Presentation;

/// The state of one host.
#[derive(Debug)]
pub struct Host {
    config: Config,
    topology: Topology,
    evidence: Evidence,
    owners: Owners,
    attribution: Attribution,
    searching: Searching,
    reading: Reading,
    names: NamesReading,
    schedule: Schedule,
    ledger: Ledger,
    shown: Presentation,
    status: Status,
    /// The second implementation, which evaluates everything each time; see `oracle`.
    #[cfg(test)]
    oracle: oracle::Oracle,
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
            searching: Searching::default(),
            reading: Reading::default(),
            names: NamesReading::default(),
            schedule: Schedule::default(),
            ledger: Ledger::default(),
            shown: Presentation::default(),
            status: Status::default(),
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
        let mut requests = self.dispatch(input, now);
        if self.deadline().is_some_and(|due| now >= due) {
            requests.extend(self.reevaluate(now));
        }
        requests
    }

    fn dispatch(&mut self, input: Input, now: Duration) -> Vec<Request> {
        match input {
            Input::Tick => self.tick(now),
            Input::Links { nsid, answer } => self.take_links(nsid, answer, now),
            Input::Located { locator, answer } => self.take_location(locator, answer, now),
            Input::Claims { runtime, answer, took } => self.take_claims(runtime, answer, took, now),
            Input::SameClaims { runtime, took } => self.take_same_claims(runtime, took, now),
            Input::NewProcesses { nsids, answer } => self.take_new_processes(&nsids, answer, now),
            Input::Dying { container } => {
                let places: Vec<u32> = self.owners.owned_by(&container).filter_map(NetnsId::nsid).collect();
                places.into_iter().flat_map(|nsid| self.final_sample(nsid)).collect()
            }
            Input::Exited { pid } => {
                let nsid = self.evidence.exited(pid);
                nsid.map_or_else(Vec::new, |nsid| self.final_sample(nsid))
            }
            Input::Named => self.names.request_after_open().into_iter().collect(),
            Input::NameAdded(claim) => self.add_name(*claim, now),
            Input::Unnamed { locator } => self.remove_name(&locator, now),
            Input::Events(events) => {
                let mut requests = Vec::new();
                for event in events {
                    requests.extend(self.take_event(event, now));
                }
                // A name may be another link's by the next sign.
                self.reading.table_at_death.clear();
                requests
            }
            Input::ReadOthers => self.read_others(),
            input => {
                self.note(input, now);
                Vec::new()
            }
        }
    }

    /// Takes an input that asks for nothing.
    fn note(&mut self, input: Input, now: Duration) {
        match input {
            Input::Processes { nsids, answer, took } => self.take_processes(&nsids, answer, took, now),
            Input::Expected { runtime, expected, containers } => {
                self.take_expected(runtime, expected, containers, now);
            }
            Input::Samples { answer, took } => self.take_samples(answer, took, now),
            Input::FinalCounters(counters) => {
                for (ifindex, counters) in &counters {
                    self.ledger.observe(End { netns: NetnsId::Host, ifindex: *ifindex }, counters);
                }
            }
            // As with events that are lost: what dies now is not exact.
            Input::FinalSamplesDropped(requests) => self.status.lost += requests as u64,
            Input::Barrier => self.status.corrections += self.reading.unconfirmed.take_barrier() as u64,
            Input::NamesWatched(works) => self.names.watched = works,
            Input::TableAtDeath(counters) => self.reading.table_at_death = counters,
            Input::Listening { answer } => {
                let status = SourceStatus { result: answer, took: Duration::ZERO };
                self.status.sources.insert(Source::Events, status);
            }
            Input::LateTick => self.status.late_ticks += 1,
            Input::StaleScrape => self.status.stale_scrapes += 1,
            // The others are taken by `dispatch`; a wake does nothing by itself.
            _ => {}
        }
    }

    /// Takes the memory of performed requests back, so that a tick needs none.
    pub fn reuse(&mut self, mut requests: Vec<Request>) {
        requests.clear();
        if requests.capacity() > self.schedule.spare.capacity() {
            self.schedule.spare = requests;
        }
    }

    /// The memory of the last [`Input::Samples`], for the next.
    pub fn spent_samples(&mut self) -> Samples {
        std::mem::take(&mut self.schedule.spent)
    }

    /// When the state machine wants an [`Input::Wake`], should nothing else come before.
    pub fn deadline(&self) -> Option<Duration> {
        if !self.may_evaluate() {
            return None;
        }
        let due = self.schedule.due.unwrap_or(Duration::MAX).min(self.schedule.again);
        (due != Duration::MAX).then_some(due)
    }

    /// What a link counted when it was last read.
    fn read_last(&self, end: End) -> (Counters, Errors) {
        let link = self.topology.link(end.netns, end.ifindex);
        let counters = link.map_or_else(Counters::default, |link| link.counters);
        (counters, self.shown.errors.get(&end).copied().unwrap_or_default())
    }

    /// When the last tick ended: when the first counters after it were there.
    pub fn ticked(&self) -> Duration {
        self.schedule.ticked
    }

    /// True once there is a view.
    pub fn is_ready(&self) -> bool {
        self.reading.rounds > 0
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
        self.schedule.tick_due = true;
        if self.config.learning == Learning::Polling || self.reading.rounds == 0 {
            return self.begin_round(now, None);
        }
        let mut requests = self.tick_on(now);
        if self.reading.unconfirmed.ask_barrier(now) {
            requests.push(Request::Barrier);
        }
        requests
    }

    fn tick_on(&mut self, now: Duration) -> Vec<Request> {
        if self.reading.open_requests.round.open.is_empty()
            && let Some(reason) = self.reading.resync_owed.take()
        {
            return self.begin_round(now, Some(reason));
        }
        if now.saturating_sub(self.reading.resynced) >= self.config.resync {
            return self.begin_round(now, Some("periodic"));
        }
        let mut requests = std::mem::take(&mut self.schedule.spare);
        // A name that leads nowhere may be one that cannot be read, which reading all of them says.
        let watched = self.names.watched && !self.evidence.misses_names();
        let mut asked: Vec<Runtime> = self.evidence.sources.keys().copied().collect();
        asked.retain(|runtime| !watched || *runtime != Runtime::Named);
        requests.extend(asked.into_iter().filter_map(|runtime| self.request_claims(runtime)));
        requests.extend(self.evidence.choose_to_locate(false, now).into_iter().map(Request::Locate));
        requests.extend(self.evidence.process_locators().map(Request::Locate));
        let mut read =
            self.reading.rotation.off_host(self.attribution.sums().off_host.keys().copied().collect());
        read.extend(self.reading.rotation.past_the_port(self.topology.pairing(), self.ledger.bypassed()));
        requests.extend(read.into_iter().map(|nsid| Request::Links { nsid: Some(nsid) }));
        self.ask(requests)
    }

    /// Reads the namespaces of links that are no veths, in turn.
    fn read_others(&mut self) -> Vec<Request> {
        let nsids = self.others_nsids();
        let turn = self.reading.rotation.others(&nsids);
        self.reading.others_awaited.extend(&turn);
        self.ask(turn.into_iter().map(|nsid| Request::Links { nsid: Some(nsid) }).collect())
    }

    /// True until everything has been answered that [`Input::ReadOthers`] asked for.
    pub fn awaits_others(&self) -> bool {
        !self.reading.others_awaited.is_empty()
    }

    /// Something has changed: it is judged with what else changes in the next milliseconds.
    fn touch(&mut self, now: Duration) {
        let due = now + self.config.gather;
        self.schedule.due = Some(self.schedule.due.map_or(due, |earlier| earlier.min(due)));
    }

    fn take_processes(
        &mut self,
        nsids: &BTreeSet<u32>,
        answer: Result<Vec<ProcessInNetns>, String>,
        took: Duration,
        now: Duration,
    ) {
        let searched: Vec<NetnsId> = nsids.iter().map(|&nsid| self.topology.netns(Some(nsid))).collect();
        let taken_back = self.searching.searches.answered(searched.iter().copied(), now);
        self.searching.searched.extend(searched);
        let result = answer.as_ref().map(|_| ()).map_err(Clone::clone);
        self.status.sources.insert(Source::Process, SourceStatus { result, took });
        let found = answer.unwrap_or_default().into_iter();
        for process in found.filter(|found| !taken_back.contains(&found.nsid)) {
            self.evidence.add_process(self.topology.netns(Some(process.nsid)), process);
        }
        self.touch(now);
    }

    /// Asks for the newest processes of the namespaces that have just got an id. One question at a time,
    /// however many namespaces come.
    fn look_for_new_processes(&mut self, now: Duration) -> Option<Request> {
        let foreseen = self.evidence.sources.values().any(SourceState::foresees);
        self.evidence.new_processes.question(foreseen, now)
    }

    fn take_new_processes(
        &mut self,
        nsids: &BTreeSet<u32>,
        answer: Result<Vec<ProcessInNetns>, String>,
        now: Duration,
    ) -> Vec<Request> {
        // Where processes cannot be read, the search of all processes reports that.
        let found = self.evidence.add_new_processes(nsids, answer.unwrap_or_default(), &self.topology);
        if !found.is_empty() {
            self.searching.searched.extend(found);
            self.touch(now);
        }
        let mut more: Vec<Request> = self.look_for_new_processes(now).into_iter().collect();
        more.extend(self.evidence.take_to_watch().into_iter().map(Request::WatchExit));
        more
    }

    fn take_samples(&mut self, answer: Result<Samples, String>, took: Duration, now: Duration) {
        let result = answer.map(|samples| {
            self.status.bad_messages += samples.bad_messages;
            for (ifindex, counters) in &samples.counters {
                let end = End { netns: NetnsId::Host, ifindex: *ifindex };
                self.ledger.sample(end, counters);
            }
            // The first sample after a tick ends it; those of scrapes in between do not count for the peaks.
            if std::mem::take(&mut self.schedule.tick_due) {
                self.ledger.tick(now, now.saturating_sub(self.schedule.ticked), self.config.peak_window);
                self.schedule.ticked = now;
            }
            self.schedule.spent = samples;
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
