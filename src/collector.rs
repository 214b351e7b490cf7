//! The loop between the state machine and the kernel, engines and clients: it receives, applies, performs
//! and publishes, and decides nothing.
//!
//! | thread | work | may wait for |
//! |---|---|---|
//! | `collector` | this loop, which owns the state machine | its inbox |
//! | `events` | passes on the kernel's events, and answers behind the events before them | its socket |
//! | `resolver` | dumps links of a namespace, searches all processes | the kernel's RTNL lock |
//! | `surveyor` | dumps the links of the host for a resync | the same; the resolver does not wait behind it |
//! | `locator` | locates claims, reads names and the newest processes | /proc and files, never that lock |
//! | `sampler` | reads the host's counters, for a scrape its queue disciplines too | its own requests |
//! | `final_sampler` | reads the last counters of links that are about to go | its own requests |
//! | `tcp` | reads the TCP figures of workloads, 32 at a time | /proc |
//! | `drops` | reads the counts of dropped packets, with `--bpf.drops` | bpf(2) |
//! | `names` | watches the folder of names | that folder |
//! | `state` | writes the state that outlives the exporter | the disk |
//!
//! Each engine has a thread of the caller ([`Engine::follow`]), as its answers can be long; the exits of
//! processes are a task ([`watch_exits`]).

mod absence;
mod asking;
mod backlog;
pub(crate) mod calendar;
pub(crate) mod checking;
mod engine;
pub(crate) mod explaining;
mod handle;
mod listening;
mod pid_guard;
mod reports;
mod scrapes;
mod single;
pub(crate) mod state;
mod surroundings;

use crate::bpf::DropReader;
use crate::kernel::{Events, FinalSampler, Reach, Resolver, Sampler, TableReader, TcpReader, Waker};
use crate::model::drops::DropReasons;
use crate::model::host::{Config, Host, Input, Request, Samples};
use crate::model::lack::{Lack, LackReason};
use crate::model::link::Name;
use crate::model::state::StateStatus;
use crate::model::view::{Source, Status, Stranded, View};
use crate::model::workload::Runtime;
use crate::runtimes::calls::Calls;
use crate::runtimes::named;
use crate::runtimes::process::Processes;
use asking::{answer_all, read_drops, read_tcp, resolve, sample_all, take_final_samples};
use calendar::Calendar;
pub(crate) use engine::{Engine, LookedUp};
use handle::{AskSignals, Message};
pub(crate) use handle::{Handle, Histories};
pub(crate) use listening::watch_exits;
use listening::{listen, watch_names};
use reports::{Line, Report};
use scrapes::Scrapes;
pub(crate) use single::{LOOK_STEP, look_once};
use state::{StateDirectory, StateKeeper};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// The collector's view and status at one time.
#[derive(Debug)]
pub struct Snapshot {
    /// The present view; `None` before the first reading is complete.
    pub view: Option<View>,
    /// The status of the sources and of the exporter.
    pub status: Status,
    /// The zero of the view's times, since the beginning of 1970. Steps of the clock while the exporter
    /// runs do not change it.
    pub epoch: Duration,
    /// The report on the saved state; `None` without one.
    pub state: Option<StateStatus>,
}

/// The folder in which namespaces have names.
pub struct NetnsFolder {
    pub names: named::Folder,
    /// True if the user has configured the folder: its absence is then a failure.
    pub expected: bool,
}

/// The sources of the collector, opened with all privileges that they need.
pub struct Sources {
    /// The socket with the kernel's events.
    pub events: Events,
    /// Wakes the reader of events.
    pub waker: Waker,
    /// Reads the links of one namespace, or one link, at a time.
    pub resolver: Resolver,
    /// Reads all links of the host and searches all processes: names do not wait for these, which can take
    /// seconds where very many links come and go.
    pub surveyor: Resolver,
    /// Reads namespaces only: its requests do not wait for the kernel's RTNL lock.
    pub locator: Resolver,
    /// Reads the counters of the host's links.
    pub sampler: Sampler,
    /// Reads the last counters of links that are about to be deleted; its requests wait behind no other.
    pub final_sampler: FinalSampler,
    /// Reads the counters of all links of the host without waiting.
    pub table: TableReader,
    /// Reads the TCP figures of other namespaces.
    pub tcp: TcpReader,
    /// Reads the counts of dropped packets; or why that is not possible; `None` if they are not wanted.
    pub drops: Option<Result<(DropReader, DropReasons), Lack>>,
    /// The folder of the named namespaces; `None` if names are not wanted.
    pub netns_folder: Option<NetnsFolder>,
    /// Finds processes in namespaces that no runtime claims.
    pub processes: Processes,
    /// True if the exporter is meant to show another network namespace than that of process 1.
    pub wants_own_netns: bool,
}

/// Starts the threads without a saved state.
///
/// # Errors
/// The system could not create a thread.
pub fn start(
    config: Config,
    interval: Duration,
    sources: Sources,
    engines: impl IntoIterator<Item = (Runtime, Calls)>,
) -> io::Result<(Handle, UnboundedReceiver<u32>)> {
    start_saving(config, interval, sources, engines, (None, Calendar::utc()))
}

/// Starts the threads, with a saved state if there is a directory for it, and totals by the periods of this
/// calendar. `Engine::follow` must be run for each of these runtimes.
///
/// Returns the handle, and the pids for `watch_exits`, which must run as a task.
///
/// # Errors
/// The system could not create a thread.
pub(crate) fn start_saving(
    config: Config,
    interval: Duration,
    sources: Sources,
    engines: impl IntoIterator<Item = (Runtime, Calls)>,
    (state, calendar): (Option<StateDirectory>, Calendar),
) -> io::Result<(Handle, UnboundedReceiver<u32>)> {
    let (watch_exit, exits) = unbounded_channel();
    // A sender of messages that were not requested takes a slot for each.
    let (inbox, messages) = channel();
    // The state machine repeats no request before its answer, so these queues are bounded by the number of
    // namespaces and claims.
    let (requests, to_resolve) = channel();
    let (survey, to_survey) = channel();
    let (locate, to_locate) = channel();
    let (read, to_read) = channel();
    let (read_counts, to_count) = channel();
    // Only one sample is requested at a time, so it takes no slot and allocates no memory.
    let (sample, to_sample) = sync_channel(1);
    let limits = surroundings::limits(&sources, config.processes || config.limits.tcp);
    let Sources {
        events,
        waker,
        mut resolver,
        mut surveyor,
        mut locator,
        sampler,
        final_sampler,
        table,
        mut tcp,
        drops,
        mut netns_folder,
        processes,
        wants_own_netns: _,
    } = sources;
    let named = netns_folder.as_ref().map(|folder| folder.names.path().to_owned());
    let runtimes: Vec<Runtime> = named.iter().map(|_| Runtime::Named).collect();
    let listening = match events.reach {
        Reach::All => Ok(()),
        Reach::Host => Err(Lack::new(LackReason::Capability, NO_EVENTS)),
    };
    // An answer is newer than the events before it. Answers therefore go through the reader of events,
    // which first passes on every event that arrived before them.
    let (answered, answers) = channel();
    let (to, wake, all) = (answered.clone(), waker.clone(), processes.clone());
    thread::Builder::new().name("resolver".into()).spawn(move || {
        answer_all(to_resolve, &to, &wake, |request| resolve(&mut resolver, None, &all, request));
    })?;
    let (to, wake, all) = (answered.clone(), waker.clone(), processes.clone());
    thread::Builder::new().name("surveyor".into()).spawn(move || {
        answer_all(to_survey, &to, &wake, |request| resolve(&mut surveyor, None, &all, request));
    })?;
    if config.limits.tcp {
        let (to, wake) = (answered.clone(), waker.clone());
        let read = move || answer_all(to_read, &to, &wake, |request| read_tcp(&mut tcp, request));
        thread::Builder::new().name("tcp".into()).spawn(read)?;
    }
    let about_drops = match drops {
        Some(Ok((mut drops, reasons))) => {
            let (to, wake) = (answered.clone(), waker.clone());
            let count = move || answer_all(to_count, &to, &wake, |request| read_drops(&mut drops, request));
            thread::Builder::new().name("drops".into()).spawn(count)?;
            Some(Input::DropReasons(reasons))
        }
        Some(Err(lack)) => Some(Input::Drops { answer: Err(lack), took: Duration::ZERO }),
        None => None,
    };
    thread::Builder::new().name("locator".into()).spawn(move || {
        answer_all(to_locate, &answered, &waker, |request| {
            resolve(&mut locator, netns_folder.as_mut(), &processes, request)
        });
    })?;
    let (final_samples, signs) = sync_channel(FINAL_SAMPLES_WAITING);
    let out = inbox.clone();
    thread::Builder::new()
        .name("final_sampler".into())
        .spawn(move || take_final_samples(final_sampler, &signs, &out))?;
    if let Some(folder) = named {
        let (out, mut table) = (inbox.clone(), table.clone());
        thread::Builder::new().name("names".into()).spawn(move || watch_names(&folder, &mut table, &out))?;
    }
    let out = inbox.clone();
    thread::Builder::new().name("events".into()).spawn(move || listen(events, table, &answers, &out))?;
    let out = inbox.clone();
    thread::Builder::new().name("sampler".into()).spawn(move || sample_all(sampler, to_sample, &out))?;
    let calls: BTreeMap<Runtime, Calls> = engines.into_iter().collect();
    let engines: BTreeMap<Runtime, Arc<AskSignals>> =
        calls.keys().map(|&runtime| (runtime, Arc::default())).collect();
    let runtimes = runtimes.into_iter().chain(engines.keys().copied());
    let host = Host::new(config, runtimes);
    let handle = Handle { inbox, ready: Arc::default(), engines: Arc::new(engines) };
    // Totals of an earlier run began before this one.
    let (now, today) = (Instant::now(), since_1970());
    let before = state.as_ref().map_or(Duration::ZERO, |state| today - state.epoch(today));
    let (start, before) = now.checked_sub(before).map_or((now, Duration::ZERO), |start| (start, before));
    let epoch = today - before;
    let state = state.map(|state| state.start(epoch)).transpose()?;
    let (state, restored) = state.map_or((None, None), |(keeper, restored)| (Some(keeper), restored));
    let mut collector = Collector {
        host,
        start,
        epoch,
        calendar,
        state,
        requests,
        survey,
        locate,
        read,
        read_counts,
        final_samples,
        watch_exit,
        sample,
        scrapes: Scrapes::default(),
        at_tick: Vec::new(),
        ready: Arc::clone(&handle.ready),
        engines: Arc::clone(&handle.engines),
        calls,
        reported: BTreeMap::new(),
        limits_reported: BTreeMap::new(),
        all_shown: Report::default(),
        crowded: false,
    };
    // The saved totals are of these periods, or of others.
    collector.follow_calendar();
    if let Some(restored) = restored {
        collector.apply(Input::Restore(Box::new(restored)));
    }
    collector.apply(Input::Listening { answer: listening });
    if let Some(input) = about_drops {
        collector.apply(input);
    }
    for limit in limits {
        collector.apply(limit);
    }
    thread::Builder::new().name("collector".into()).spawn(move || collector.run(messages, interval))?;
    Ok((handle, exits))
}

struct Collector {
    host: Host,
    start: Instant,
    /// The time `start` by the system's clock, since the beginning of 1970.
    epoch: Duration,
    calendar: Calendar,
    /// The state on disk; `None` if totals end with the exporter.
    state: Option<StateKeeper>,
    requests: Sender<Request>,
    survey: Sender<Request>,
    locate: Sender<Request>,
    read: Sender<Request>,
    read_counts: Sender<Request>,
    final_samples: SyncSender<Vec<(u32, Name)>>,
    watch_exit: UnboundedSender<u32>,
    sample: SyncSender<Samples>,
    scrapes: Scrapes<oneshot::Sender<Arc<Snapshot>>>,
    /// The requests that wait for the end of a tick.
    at_tick: Vec<oneshot::Sender<Arc<Snapshot>>>,
    ready: Arc<AtomicBool>,
    engines: Arc<BTreeMap<Runtime, Arc<AskSignals>>>,
    calls: BTreeMap<Runtime, Calls>,
    /// The log's lines about each source.
    reported: BTreeMap<Source, Report>,
    /// The log's lines about each limit of a source.
    limits_reported: BTreeMap<Limit, Report>,
    /// The log's lines about series beyond the limit.
    all_shown: Report,
    /// True once the log has the line about a workload with too many interfaces.
    crowded: bool,
}

impl Collector {
    fn run(mut self, messages: Receiver<Message>, interval: Duration) {
        let mut next_tick = Instant::now();
        loop {
            let now = Instant::now();
            if now >= next_tick {
                if now - next_tick > interval / 2 {
                    self.apply(Input::LateTick);
                }
                self.follow_calendar();
                self.apply(Input::Tick);
                if self.scrapes.begin_sample() {
                    self.sample(false);
                }
                self.save_state(now);
                // Missed ticks are not made up for.
                next_tick = now + interval;
            }
            let overdue = self.scrapes.overdue(now);
            self.answer_stale(overdue);
            for reply in self.scrapes.take_for_others(!self.host.awaits_others(), now) {
                self.begin_scrape(reply);
            }
            if self.host.deadline().is_some_and(|due| now >= self.start + due) {
                self.apply(Input::Wake);
            }
            // A deadline may be due again at once: the loop still takes one message, if there is one,
            // between two of them.
            let woken = self.host.deadline().map(|due| self.start + due);
            let until = woken.into_iter().chain(self.scrapes.deadline()).fold(next_tick, Instant::min);
            match messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Message::Input(input, slot)) => {
                    drop(slot);
                    self.take_input(input);
                }
                Ok(Message::Scrape(reply)) => self.begin_scrape(reply),
                Ok(Message::ScrapeWithOthers(reply)) => self.begin_others(reply),
                Ok(Message::NextTick(reply)) => self.at_tick.push(reply),
                // A receiver that no longer waits is no error.
                Ok(Message::Histories(reply)) => _ = reply.send(self.host.histories()),
                Ok(Message::Turn(reply)) => _ = reply.send(()),
                Ok(Message::Finish(reply)) => {
                    if let Some(state) = self.state.take() {
                        state.finish(&mut self.host, self.epoch);
                    }
                    let _ = reply.send(());
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Reports a day that has begun, and a clock that was set back before the day.
    fn follow_calendar(&mut self) {
        let now = since_1970();
        if let Some(starts) = self.calendar.begun(now) {
            self.apply(Input::Calendar { starts, now });
        }
    }

    /// Has the state written, if it is time, and reports how the last write went.
    fn save_state(&mut self, now: Instant) {
        let Some(state) = &mut self.state else { return };
        state.save_if_due(&mut self.host, self.epoch, now);
        if let Some(failure) = state.changed_failure() {
            self.apply(Input::StateFailed(failure.map(Box::new)));
        }
    }

    fn take_input(&mut self, input: Input) {
        let sample = match &input {
            Input::Samples { answer, .. } => Some(answer.is_ok()),
            _ => None,
        };
        let ticked = self.host.ticked();
        self.apply(input);
        match sample {
            Some(true) => {
                let due = self.scrapes.sampled(Instant::now());
                self.answer(due.answer);
                if self.host.ticked() > ticked {
                    let at_tick = std::mem::take(&mut self.at_tick);
                    self.answer(at_tick);
                }
                if due.sample {
                    self.sample(true);
                }
            }
            Some(false) => {
                let waiting = self.scrapes.failed();
                self.answer_stale(waiting);
            }
            None => {}
        }
    }

    fn apply(&mut self, input: Input) {
        let mut requests = self.host.apply(input, self.start.elapsed());
        let mut dropped = 0;
        for request in requests.drain(..) {
            // Every send but the first fails only when the program is about to end.
            match request {
                Request::FinalSample(links) => {
                    dropped += usize::from(self.final_samples.try_send(links).is_err())
                }
                Request::WatchExit(pid) => _ = self.watch_exit.send(pid),
                Request::Claims(runtime) if self.engines.contains_key(&runtime) => {
                    self.engines[&runtime].state.notify_one();
                }
                Request::ClaimsOfNameless(runtime) => {
                    if let Some(signals) = self.engines.get(&runtime) {
                        signals.nameless.notify_one();
                    }
                }
                request @ (Request::Links { nsid: None } | Request::Search(_)) => {
                    _ = self.survey.send(request);
                }
                request @ (Request::Locate(_)
                | Request::NewProcesses(_)
                | Request::Claims(_)
                | Request::Barrier) => _ = self.locate.send(request),
                request @ Request::Tcp(_) => _ = self.read.send(request),
                request @ Request::Drops(_) => _ = self.read_counts.send(request),
                request => _ = self.requests.send(request),
            }
        }
        if dropped > 0 {
            self.host.apply(Input::FinalSamplesDropped(dropped), self.start.elapsed());
        }
        for named in self.host.take_named() {
            tracing::debug!(
                runtime = named.runtime.as_str(),
                container = named.container,
                namespace = named.namespace,
                pod = named.pod,
                interface = named.interface,
                network = named.network,
                "named"
            );
        }
        self.report_stranded();
        self.host.reuse(requests);
        self.report_changes();
        self.ready.store(self.host.is_ready(), Ordering::Relaxed);
    }

    /// Requests a reading of the counters, and of the queue disciplines for a scrape.
    fn sample(&mut self, for_scrape: bool) {
        let samples = if for_scrape { self.host.samples_for_scrape() } else { self.host.spent_samples() };
        if self.sample.send(samples).is_err() {
            self.scrapes.no_sample();
        }
    }

    fn begin_scrape(&mut self, reply: oneshot::Sender<Arc<Snapshot>>) {
        if self.scrapes.arrive(reply, Instant::now()) {
            self.sample(true);
        }
    }

    fn begin_others(&mut self, reply: oneshot::Sender<Arc<Snapshot>>) {
        if !self.host.has_containers() {
            let status = self.host.status().clone();
            let _ = reply.send(Arc::new(Snapshot { view: None, status, epoch: self.epoch, state: None }));
            return;
        }
        self.apply(Input::ReadOthers);
        self.scrapes.arrive_for_others(reply, Instant::now());
    }

    fn answer_stale(&mut self, waiting: Vec<oneshot::Sender<Arc<Snapshot>>>) {
        for _ in &waiting {
            self.apply(Input::StaleScrape);
        }
        self.answer(waiting);
    }

    fn answer(&self, waiting: Vec<oneshot::Sender<Arc<Snapshot>>>) {
        if waiting.is_empty() {
            return;
        }
        let snapshot = self.snapshot();
        for reply in waiting {
            // A client that has disconnected meanwhile is no error.
            let _ = reply.send(Arc::clone(&snapshot));
        }
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        let mut status = self.host.status().clone();
        for (&runtime, calls) in &self.calls {
            let requests = calls.totals().into_iter();
            status.engine_requests.extend(requests.map(|(call, total)| ((runtime, call), total)));
            let answers = Source::of(runtime).and_then(|source| status.sources.get(&source));
            if answers.is_some_and(|status| status.result.is_ok()) {
                status.engines.insert(runtime, calls.engine_version());
            }
        }
        let state = self.state.as_ref().map(|state| state.status(&self.host));
        Arc::new(Snapshot { view: self.host.view(), status, epoch: self.epoch, state })
    }

    /// Writes a line to the log for each member that is in another namespace than it was to share, and for
    /// each that no longer is.
    fn report_stranded(&mut self) {
        let (begun, ended) = self.host.take_stranded();
        for stranded in begun {
            tracing::warn!("{}", stranded.sentence());
        }
        for Stranded { member, target, .. } in ended {
            tracing::info!(
                container = member.title(),
                target = target.title(),
                "no longer in a network namespace without a network"
            );
        }
    }

    /// Writes one line to the log for a change of state, and none for each attempt.
    fn report_changes(&mut self) {
        let (now, status) = (Instant::now(), self.host.status());
        for (&source, asked) in &status.sources {
            let name = source.as_str();
            let report = self.reported.entry(source).or_default();
            let Some(Line { first, changes }) = report.record(asked.result.is_ok(), now) else { continue };
            match &asked.result {
                Ok(()) if first => tracing::debug!(collector = name, "works"),
                Ok(()) => tracing::info!(collector = name, changes, "works again"),
                // The lack of events from the start has already been logged, with the privilege that would
                // provide them.
                Err(lack) if first && source == Source::Events => {
                    tracing::debug!(collector = name, reason = lack.message(source), "failed");
                }
                Err(lack) => {
                    tracing::warn!(collector = name, reason = lack.message(source), changes, "failed");
                }
            }
        }
        report_limits(status, &mut self.limits_reported, now);
        if status.series.crowded && !std::mem::replace(&mut self.crowded, true) {
            tracing::warn!(
                "a workload has more interfaces than --limits.interfaces: the rest of them is summed under other"
            );
        }
        let limit = status.series.limit;
        match self.all_shown.record(!status.series.is_limited(), now) {
            Some(Line { first: false, changes }) if !status.series.is_limited() => {
                tracing::info!(limit, changes, "every series is shown again");
            }
            Some(Line { changes, .. }) if status.series.is_limited() => {
                tracing::warn!(
                    limit,
                    changes,
                    "more series than --limits.series: what is new is summed under other"
                );
            }
            _ => {}
        }
    }
}

/// The most messages that wait for the final sampler.
const FINAL_SAMPLES_WAITING: usize = 1024;

/// The reason why only the host's events arrive, and the privilege that would change that.
const NO_EVENTS: &str = "no CAP_NET_BROADCAST at the start: only the events of the host arrive";

/// A limit that has lines of its own in the log. Each refused call has: its line is always the same.
type Limit = (Source, LackReason, Option<String>);

/// Writes one line to the log for each limit that begins or ends.
fn report_limits(status: &Status, reported: &mut BTreeMap<Limit, Report>, now: Instant) {
    let limits = status.sources.iter().flat_map(|(&source, asked)| {
        asked.limits.iter().map(move |lack| {
            let call = (lack.reason == LackReason::CallRefused).then(|| lack.what.clone());
            ((source, lack.reason, call), lack.message(source))
        })
    });
    let limits: BTreeMap<Limit, String> = limits.collect();
    let known: BTreeSet<Limit> = reported.keys().chain(limits.keys()).cloned().collect();
    for key in known {
        let (source, kind, _) = &key;
        let (name, kind, reason) = (source.as_str(), kind.as_str(), limits.get(&key));
        let report = reported.entry(key).or_default();
        let Some(Line { first, changes }) = report.record(reason.is_none(), now) else { continue };
        match reason {
            Some(reason) => tracing::warn!(collector = name, %reason, changes, "limited"),
            None if first => {}
            None => tracing::info!(collector = name, reason = kind, changes, "no longer limited"),
        }
    }
}

/// Returns the time of the system's clock since 1970; a clock before 1970 counts as 1970.
fn since_1970() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}
