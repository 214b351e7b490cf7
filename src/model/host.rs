//! The state machine: takes each input of the kernel and of the runtimes, says what to ask next, and what to
//! show.
//!
//! All that can interleave is decided here, by parts that each have a state of their own: [`Reading`] (open
//! requests, resyncs), [`Knowledge`] (links, owners, rows, accounts), [`Finals`], [`Presentation`] and
//! [`Schedule`]. The host matches an input and hands it to the part; it gathers the changes of some
//! milliseconds and has them evaluated together.

use super::event::Event;
use super::lack::Lack;
use super::ledger::{HistorySteps, LabelSet, RestoredPairs};
use super::link::{End, NetnsId};
use super::lives::Lives;
use super::owners::Evidence;
use super::problems::{Problems, Subject, Transition};
use super::queues::QueueSamples;
use super::recent_events::RecentEvents;
use super::state::journal::Journal;
use super::tcp::TcpReading;
use super::topology::TopologyChange;
use super::view::{Condition, Source, Status, Stranded, View};
use super::workload::{Claim, Claims, Expected, LifeAction, LifeChange, Locator, Runtime, Workload};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

mod absent_engines;
mod attribution;
mod containers;
mod drop_reading;
mod finals;
mod input;
mod knowledge;
mod names;
mod networks;
mod open_requests;
mod reading;
mod rotation;
mod schedule;
mod show;
mod tcp_reading;
mod unconfirmed;

use containers::ShownContainers;
use finals::Finals;
pub use input::{Config, Input, Learning, Links, Located, Location, Request, RestoredState, Samples};
pub(crate) use input::{LookFailure, ProcessInNetns};
use knowledge::Knowledge;
use reading::Reading;
use schedule::Schedule;
use show::Presentation;

/// The state of one host.
#[derive(Debug)]
pub struct Host {
    config: Config,
    known: Knowledge,
    reading: Reading,
    finals: Finals,
    schedule: Schedule,
    shown: Presentation,
    containers: ShownContainers,
    problems: Problems,
    lives: Lives,
    events: RecentEvents,
    status: Status,
    /// The second implementation, which evaluates everything each time; see `oracle`.
    #[cfg(test)]
    oracle: oracle::Oracle,
}

impl Host {
    /// Returns a host of which nothing is known, of which these runtimes will report.
    pub fn new(config: Config, runtimes: impl IntoIterator<Item = Runtime>) -> Host {
        Host {
            #[cfg(test)]
            oracle: oracle::Oracle::default(),
            config,
            known: Knowledge::new(runtimes),
            reading: Reading::default(),
            finals: Finals::default(),
            schedule: Schedule::default(),
            shown: Presentation::default(),
            containers: ShownContainers::default(),
            problems: Problems::default(),
            lives: Lives::default(),
            events: RecentEvents::default(),
            status: Status::default(),
        }
    }

    /// Takes one input; returns what to ask.
    pub fn apply(&mut self, input: Input, now: Duration) -> Vec<Request> {
        #[cfg(test)]
        self.make_twin();
        #[cfg(test)]
        let for_twin = input.clone();
        let requests = self.take_input(input, now);
        #[cfg(test)]
        self.compare_with_twin(for_twin, now);
        requests
    }

    fn take_input(&mut self, input: Input, now: Duration) -> Vec<Request> {
        let mut requests = self.dispatch(input, now);
        if self.deadline().is_some_and(|due| now >= due) {
            requests.extend(self.reevaluate(now));
        }
        requests
    }

    fn dispatch(&mut self, input: Input, now: Duration) -> Vec<Request> {
        let known = &mut self.known;
        match input {
            Input::Tick => self.tick(now),
            Input::Links { nsid, answer } => {
                let (config, status) = (&self.config, &mut self.status);
                let effects = self.reading.take_links(nsid, answer, known, config, status, now);
                self.schedule.gather(effects.changed, &self.config, now);
                effects.requests
            }
            Input::HostLink { ifindex, answer } => {
                let changed = self.reading.take_host_link(ifindex, answer, known);
                self.schedule.gather(changed, &self.config, now);
                Vec::new()
            }
            Input::Located { locator, answer } => {
                let effects = self.reading.take_location(locator, answer, known, now);
                self.schedule.gather(effects.changed, &self.config, now);
                effects.requests
            }
            Input::Claims { runtime, answer, took } => self.take_claims(runtime, answer, took, now),
            Input::SameClaims { runtime, took } => {
                let changed = known.evidence.answered(runtime, Some(true), now);
                if let Some(source) = Source::of(runtime) {
                    self.status.set_result(source, Ok(()), took);
                }
                self.believe(Some(runtime), changed, now)
            }
            Input::NewProcesses { nsids, answer } => {
                let effects = known.take_new_processes(&nsids, answer.unwrap_or_default(), now);
                self.schedule.gather(effects.changed, &self.config, now);
                effects.requests
            }
            Input::Dying { container } => {
                let nsids: Vec<u32> = known.owners.owned_by(&container).filter_map(NetnsId::nsid).collect();
                nsids.into_iter().filter_map(|nsid| self.finals.sample(nsid, known)).collect()
            }
            Input::Exited { pid } => {
                let nsid = known.evidence.exited(pid);
                nsid.and_then(|nsid| self.finals.sample(nsid, known)).into_iter().collect()
            }
            Input::Named => self.reading.names.request_after_open().into_iter().collect(),
            Input::NameAdded(claim) => self.add_name(*claim, now),
            Input::Unnamed { locator } => self.remove_name(&locator, now),
            Input::Events(events) => {
                let requests = events.into_iter().flat_map(|event| self.take_event(event, now)).collect();
                self.finals.clear_table();
                requests
            }
            Input::Tcp(readings) => self.take_tcp(readings, now),
            Input::ReadOthers => self.reading.request_others(&self.shown.others_nsids(), known),
            input => {
                self.record_input(input, now);
                Vec::new()
            }
        }
    }

    /// Takes an input that no request follows from at once.
    fn record_input(&mut self, input: Input, now: Duration) {
        match input {
            Input::Processes { nsids, answer, took } => {
                let result = answer.as_ref().map(|_| ()).map_err(Clone::clone);
                self.status.set_result(Source::Process, result, took);
                self.known.take_processes(&nsids, answer.unwrap_or_default(), now);
                self.schedule.gather(true, &self.config, now);
            }
            Input::Expected { runtime, expected, containers } => {
                self.take_expected(runtime, expected, containers, now);
            }
            Input::Lives(changes) => self.take_lives(changes, now),
            Input::Checked(checked) => {
                let Knowledge { attribution, .. } = &self.known;
                self.problems.take_checked(checked, |ends| attribution.shown_pair(ends));
            }
            Input::DropReasons(reasons) => self.known.drops.begin(reasons),
            Input::Drops { answer, took } => {
                let (changed, result) =
                    drop_reading::take_reading(&mut self.known, answer, &self.config, now);
                self.status.set_result(Source::Drops, result, took);
                self.schedule.gather(changed, &self.config, now);
            }
            Input::LivesFollowed { runtime, is_followed } => {
                self.known.starts.set_followed(runtime, is_followed, now);
            }
            Input::Samples { answer, took } => self.take_samples(answer, took, now),
            Input::FinalCounters(counters) => {
                for (ifindex, counters) in &counters {
                    let end = End { netns: NetnsId::Host, ifindex: *ifindex };
                    self.known.ledger.observe(end, counters);
                }
            }
            // What dies now is not exact, as with lost events.
            Input::FinalSamplesDropped(requests) => self.status.lost += requests as u64,
            Input::Barrier => self.status.corrections += self.reading.unconfirmed.take_barrier() as u64,
            Input::NamesWatched(works) => self.reading.names.watched = works,
            Input::TableAtDeath(table) => self.finals.set_table(table),
            Input::Listening { answer } => {
                self.status.set_result(Source::Events, answer, Duration::ZERO);
            }
            Input::Limits { source, limits } => self.status.set_limits(source, limits),
            Input::Restore(restored) => {
                self.schedule.ticked = now;
                self.known.restore(*restored, &self.config, now);
            }
            Input::Calendar { starts, now: clock } => {
                let is_new = self.known.ledger.begin_periods(starts, clock);
                self.schedule.gather(is_new, &self.config, now);
            }
            Input::StateFailed(failure) => self.problems.set_state_failure(failure.as_deref()),
            Input::LateTick => self.status.late_ticks += 1,
            Input::StaleScrape => self.status.stale_scrapes += 1,
            // `dispatch` takes the others; a wake does nothing by itself.
            _ => {}
        }
    }

    /// Evaluates what has changed. Returns what to ask.
    fn reevaluate(&mut self, now: Duration) -> Vec<Request> {
        self.schedule.due = None;
        #[cfg(test)]
        self.mark_everything();
        #[cfg(test)]
        let everything = self.everything();
        #[cfg(not(test))]
        let everything = BTreeSet::new();
        let Host { config, known, reading, .. } = self;
        reading.complete_resync(known, &mut self.status, now);
        let evaluated = known.evaluate(config, reading.started, everything, now);
        self.status.claims_rejected = known.claims_rejected();
        self.containers.update(known, &self.lives, &config.filter);
        known.starts.set_vethless(&self.containers.vethless, now);
        self.status.series = self.shown.update(&evaluated, known, config);
        for change in known.ledger.take_changes() {
            let shown = change.ends.and_then(|ends| known.attribution.shown(ends[0]));
            let device = shown.map_or_else(String::new, |pair| Subject::pair(pair).device);
            self.events.add_pair(change, device, now);
        }
        known.absent_engines.report(&known.evidence, &mut self.status, config, now);
        let mut requests = reading.request_links(&evaluated.settled, known, config.learning);
        requests.extend(known.request_engines(now));
        requests.extend(reading.request_names(known, now));
        requests.extend(known.due_requests(config, now));
        self.schedule.again = known.deadline(config.retention, now);
        requests
    }

    /// Evaluates at once what has changed: an end that is about to go may not have its account yet.
    fn evaluate_now(&mut self, now: Duration) -> Vec<Request> {
        if self.reading.resyncs > 0 { self.reevaluate(now) } else { Vec::new() }
    }

    fn take_event(&mut self, event: Event, now: Duration) -> Vec<Request> {
        self.status.events += 1;
        match event {
            Event::Link { source, link } => {
                let netns = self.known.topology.netns(source);
                let end = End { netns, ifindex: link.ifindex };
                self.reading.unconfirmed.clear(end);
                self.known.observe_link(end, &link);
                let changed = self.known.topology.upsert(netns, link) == TopologyChange::Shape;
                self.schedule.gather(changed, &self.config, now);
                Vec::new()
            }
            Event::Qdisc { ifindex, kind } => {
                self.reading.unconfirmed.clear(End { netns: NetnsId::Host, ifindex });
                let changed = self.known.topology.set_qdisc(ifindex, kind) == TopologyChange::Shape;
                self.schedule.gather(changed, &self.config, now);
                Vec::new()
            }
            Event::Unlink { source, link, moved } => {
                let end_now =
                    |host: &Host| End { netns: host.known.topology.netns(source), ifindex: link.ifindex };
                let unknown = link.kind.is_pair_end() && self.known.ledger.place(end_now(self)).is_none();
                let requests = if unknown { self.evaluate_now(now) } else { Vec::new() };
                // The evaluation may have found that the id is another namespace's.
                let end = end_now(self);
                self.known.observe_link(end, &link);
                if !moved {
                    self.known.ledger.end(end);
                }
                self.reading.unconfirmed.clear(end);
                self.known.topology.unlink(end.netns, end.ifindex);
                self.schedule.gather(true, &self.config, now);
                requests
            }
            Event::NewNsid(nsid) => {
                self.reading.begin_of(nsid);
                self.schedule.gather(true, &self.config, now);
                self.known.drops.touch(nsid);
                self.known.evidence.new_processes.awaited(nsid);
                self.known.request_new_processes(now).into_iter().collect()
            }
            Event::DeletedNsid(nsid) => self.end_of(nsid, now),
            Event::Lost => {
                self.status.lost += 1;
                self.begin_resync(Some("lost"), now)
            }
            Event::Bad => {
                self.status.bad_messages += 1;
                self.reading.owe_resync("unreadable");
                Vec::new()
            }
        }
    }

    /// Forgets the namespace that had this id.
    fn end_of(&mut self, nsid: u32, now: Duration) -> Vec<Request> {
        let requests = if self.known.has_unaccounted(nsid) { self.evaluate_now(now) } else { Vec::new() };
        let last = self.finals.sample_at_death(nsid, &mut self.known);
        self.reading.end_of(nsid, self.known.topology.netns(Some(nsid)));
        self.known.end_of(nsid, &self.config, now);
        self.schedule.gather(true, &self.config, now);
        last.into_iter().chain(requests).collect()
    }

    fn take_claims(
        &mut self,
        runtime: Runtime,
        answer: Option<Result<Claims, Lack>>,
        took: Duration,
        now: Duration,
    ) -> Vec<Request> {
        let well = answer.as_ref().map(Result::is_ok);
        let mut changed = self.known.evidence.answered(runtime, well, now);
        if runtime == Runtime::Cri {
            changed |= self.shown.note_pods(answer.is_some()) || self.config.pods && answer.is_none();
            self.config.pods &= answer.is_some();
        }
        let mut lives = Vec::new();
        let result = answer.map(|answer| {
            let mut claims = answer?;
            let limits = std::mem::take(&mut claims.limits);
            if runtime == Runtime::Named {
                self.reading.names.complete(&mut claims);
            }
            self.config.filter.strip(&mut claims);
            let pods = claims.claims.iter().any(|claim| !claim.owner.pod.is_empty());
            changed |= self.shown.note_pods(pods);
            lives = claims.pod_containers.take().map_or_else(Vec::new, |list| self.lives.take_pods(*list));
            changed |= self.known.evidence.set_claims(runtime, claims);
            Ok(limits)
        });
        if !lives.is_empty() {
            self.take_lives(lives, now);
        }
        if let Some(result) = result {
            self.status.report(runtime, result, took);
        }
        self.believe(Some(runtime), changed, now)
    }

    /// Takes the claim of a name that has come.
    fn add_name(&mut self, mut claim: Claim, now: Duration) -> Vec<Request> {
        self.reading.names.changed(&claim.locator, Some(&claim));
        self.config.filter.strip_workload(&mut claim.owner);
        self.known.evidence.add_claim(Runtime::Named, claim);
        self.believe(None, true, now)
    }

    /// Takes a name away: the next namespace of this name is another one, whatever keeps the old one.
    fn remove_name(&mut self, locator: &Locator, now: Duration) -> Vec<Request> {
        self.reading.names.changed(locator, None);
        let location = self.known.evidence.unlocate(locator);
        self.known.evidence.remove_claims(Runtime::Named, locator);
        self.schedule.gather(true, &self.config, now);
        match location.map(|at| at.netns) {
            Some(Located::Nsid(nsid)) => {
                self.finals.sample_at_death(nsid, &mut self.known).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Requests the locations of claims after the answer of a source or a new name.
    fn believe(&mut self, answered: Option<Runtime>, changed: bool, now: Duration) -> Vec<Request> {
        // While a pair waits for a name each answer is a chance, and the end of the wait is evaluated by it.
        self.schedule.gather(changed || self.schedule.again <= now, &self.config, now);
        let mut requests = self.reading.locate(false, &mut self.known, now);
        if answered == Some(Runtime::Named) {
            requests.extend(self.reading.names.answered());
        }
        requests
    }

    /// Takes what a runtime is about to make, and which containers there are.
    fn take_expected(
        &mut self,
        runtime: Runtime,
        mut expected: Vec<Expected>,
        mut containers: Vec<Workload>,
        now: Duration,
    ) {
        Evidence::strip(&self.config.filter, &mut expected, &mut containers);
        let evidence = &mut self.known.evidence;
        evidence.set_expected(runtime, expected, containers, &self.known.topology, now);
        // A namespace without a new process a moment ago may have one now.
        evidence.new_processes.look_again();
        self.schedule.gather(true, &self.config, now);
    }

    /// Takes TCP figures. A failure of all readings is a limit of the source of processes.
    fn take_tcp(&mut self, readings: Vec<TcpReading>, now: Duration) -> Vec<Request> {
        let is_empty = readings.is_empty();
        let (effects, result) = tcp_reading::take_readings(&mut self.known, readings, &self.config, now);
        self.schedule.gather(effects.changed, &self.config, now);
        if !is_empty {
            self.status.note_tcp(result);
        }
        effects.requests
    }

    fn take_samples(&mut self, answer: Result<Samples, String>, took: Duration, now: Duration) {
        let mut ended = None;
        let result = answer.map(|samples| {
            self.status.bad_messages += samples.bad_messages;
            self.known.ledger.sample_host(&samples.counters);
            self.take_queues(&samples.queues);
            ended = self.schedule.end_tick(now);
            if let Some(length) = ended {
                self.known.ledger.tick(now, length, self.config.peak_window);
            }
            self.schedule.spent = samples;
        });
        self.status.set_result(Source::Counters, result.map_err(Lack::failure), took);
        if let Some(length) = ended {
            self.find_problems(length, now);
        }
    }

    /// Takes the queue disciplines that were read for a scrape.
    fn take_queues(&mut self, queues: &QueueSamples) {
        if queues.wanted.is_empty() {
            return;
        }
        self.shown.queues.take_samples(queues);
        self.set_queue_failure(queues.failure.as_deref());
    }

    /// Sets or removes the reason why the queue disciplines could not be read, which is no failure of the
    /// counters.
    fn set_queue_failure(&mut self, why: Option<&str>) {
        let limit =
            |why: &str| Lack::failure(format!("the numbers of queue disciplines are those of before: {why}"));
        let limits: Vec<Lack> = why.map(limit).into_iter().collect();
        let status = self.status.sources.get(&Source::Counters);
        if status.map_or(&[][..], |status| &status.limits) != limits {
            self.status.set_limits(Source::Counters, limits);
        }
    }

    /// Takes the starts and ends of containers that an engine has reported.
    fn take_lives(&mut self, changes: Vec<LifeChange>, now: Duration) {
        for mut change in changes {
            self.known.evidence.take_life(&change, now);
            self.config.filter.strip_workload(&mut change.workload);
            if self.config.filter.shows_owner(&change.workload) {
                if change.action == LifeAction::Started {
                    self.known.starts.report(&change.workload);
                }
                self.lives.take_change(change.clone(), now);
                self.events.add_life(&change, &self.lives, now);
            }
        }
        self.schedule.gather(true, &self.config, now);
    }

    /// Lists the problems at the end of a tick of this length.
    fn find_problems(&mut self, length: Duration, now: Duration) {
        let Host { known, problems, lives, schedule, status, config, .. } = self;
        let Knowledge { ledger, attribution, owners, evidence, .. } = known;
        let version = lives.version();
        lives.expire(now);
        schedule.gather(lives.version() != version, config, now);
        let rates = |ends: [End; 2]| ledger.place(ends[0]).and_then(|(account, _)| ledger.latest(account).1);
        problems.drops.tick(ledger.dropping(), length, rates, now);
        let hold_back = config.hold_back;
        attribution.each_problem(|found| problems.find(found, hold_back, now));
        problems.find_drops(|ends| attribution.shown(ends[0]), now);
        problems.find_checked(|ends| attribution.shown_pair(ends), now);
        problems.find_stranded(owners.stranded(), now);
        lives.each_problem(evidence.restarting(), now, |found| problems.find(found, hold_back, now));
        problems.find_lacks(status, now);
        problems.find_state(now);
        let is_shown = |transition: &Transition| {
            let pair = transition.subject.pair.and_then(|ends| attribution.shown(ends[0]));
            transition.begun.is_some() || pair.is_some()
        };
        let transitions = problems.end_tick().into_iter().filter(is_shown);
        transitions.for_each(|transition| self.events.add_transition(transition, now));
    }

    fn begin_resync(&mut self, reason: Option<&'static str>, now: Duration) -> Vec<Request> {
        self.reading.begin_resync(reason, &mut self.known, &self.config, &mut self.status, now)
    }

    fn tick(&mut self, now: Duration) -> Vec<Request> {
        self.schedule.tick_due = true;
        let tcp = tcp_reading::request(&mut self.known, &self.config, now);
        let drops = drop_reading::request(&mut self.known, &self.config, now);
        let tcp = tcp.into_iter().chain(drops);
        if self.config.learning == Learning::Polling || self.reading.resyncs == 0 {
            let mut requests = self.begin_resync(None, now);
            requests.extend(tcp);
            return requests;
        }
        let Host { config, known, reading, status, .. } = self;
        let mut requests = match reading.begin_due_resync(known, config, status, now) {
            Some(requests) => requests,
            None => reading.request_at_tick(std::mem::take(&mut self.schedule.spare), known, now),
        };
        requests.extend(known.request_engines(now));
        requests.extend(tcp);
        if reading.unconfirmed.ask_barrier(now) {
            requests.push(Request::Barrier);
        }
        requests
    }

    /// Returns what to show; `None` before the first resync is complete.
    pub fn view(&self) -> Option<View> {
        self.is_ready().then(|| {
            let view = self.shown.view(&self.known, &self.reading, self.schedule.ticked);
            View {
                condition: Condition {
                    problems: Arc::clone(self.problems.listed()),
                    problem_counts: self.problems.counts(),
                    vethless: Arc::clone(&self.containers.vethless),
                    restarts: Arc::clone(&self.containers.restarts),
                    starts: Arc::clone(self.known.starts.counts()),
                    events: Arc::clone(self.events.last()),
                    tcp: self.shown.tcp(&self.known),
                    drops: self.known.drops.is_read().then(|| self.shown.drops(&self.known)),
                },
                ..view
            }
        })
    }

    /// Returns true if there may be a container or a pod of a runtime to show.
    pub fn has_containers(&self) -> bool {
        self.shown.has_containers(&self.known)
    }

    /// Takes the memory of performed requests back, so that a tick needs none.
    pub fn reuse(&mut self, mut requests: Vec<Request>) {
        requests.clear();
        if requests.capacity() > self.schedule.spare.capacity() {
            self.schedule.spare = requests;
        }
    }

    /// Returns the memory of the last [`Input::Samples`], for the next at a tick, which wants no queue
    /// discipline.
    pub fn spent_samples(&mut self) -> Samples {
        let mut samples = std::mem::take(&mut self.schedule.spent);
        samples.queues.wanted.clear();
        samples
    }

    /// Returns the same for a scrape, which wants the queue disciplines of the ports that have one.
    pub fn samples_for_scrape(&mut self) -> Samples {
        let mut samples = self.spent_samples();
        samples.queues.wanted.extend(self.known.attribution.sums().queues.keys());
        if samples.queues.wanted.is_empty() {
            self.shown.queues.clear();
            self.set_queue_failure(None);
        }
        samples
    }

    /// Returns when the state machine wants an [`Input::Wake`], should no other input come before.
    pub fn deadline(&self) -> Option<Duration> {
        self.reading.may_evaluate(self.config.learning).then(|| self.schedule.deadline()).flatten()
    }

    /// Returns when the last tick ended: when the first counters after it were there.
    pub fn ticked(&self) -> Duration {
        self.schedule.ticked
    }

    /// Returns true once there is a view.
    pub fn is_ready(&self) -> bool {
        self.reading.resyncs > 0
    }

    /// Returns true until everything has been answered that [`Input::ReadOthers`] asked for.
    pub fn awaits_others(&self) -> bool {
        self.reading.awaits_others()
    }

    /// Returns the labels of the interfaces with an owner that has become known since the last call.
    pub fn take_named(&mut self) -> Vec<LabelSet> {
        self.known.attribution.take_named()
    }

    /// Returns the members that are stranded since the last call, and those that no longer are.
    pub(crate) fn take_stranded(&mut self) -> (Vec<Stranded>, Vec<Stranded>) {
        self.known.owners.take_stranded()
    }

    /// Returns the labels of workloads, each with its rates in the last hour.
    pub(crate) fn histories(&self) -> Vec<(Arc<LabelSet>, HistorySteps)> {
        self.known.ledger.histories()
    }

    /// Writes the state that the next run continues; `epoch` is the zero of this run's times. Returns the
    /// highest ifindex of the host in this boot; `None` before everything was read once.
    pub(crate) fn save(&mut self, journal: &mut Journal, epoch: Duration) -> Option<u32> {
        self.is_ready().then(|| self.known.save(journal, epoch))
    }

    /// Returns the numbers of pairs that were there before the exporter.
    pub(crate) fn restored_pairs(&self) -> RestoredPairs {
        self.known.ledger.restored_pairs()
    }

    /// Returns how the sources do.
    pub fn status(&self) -> &Status {
        &self.status
    }
}

#[cfg(test)]
mod graph_tests;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
