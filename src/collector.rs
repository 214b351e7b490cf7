//! The loop between the state machine and the world: it receives, applies, performs and publishes, and
//! decides nothing.
//!
//! Its threads: this loop, the reader of events (which must never wait), the resolver (which may wait for
//! the kernel's RTNL lock), the locator (which asks what does not), the sampler (which must not wait behind
//! it), the final sampler (which asks for the last counters of what is about to go, behind nobody) and the
//! watcher of names. Runtimes are asked by threads of the caller ([`Engine::follow`]).

mod asking;
mod backlog;
mod engine;
mod handle;
mod listening;
mod look;
mod reports;
mod scrapes;

use crate::kernel::{DeviceTable, Events, FinalSampler, Reach, Resolver, Sampler, Waker};
use crate::model::host::{Config, Host, Input, Request, Samples};
use crate::model::link::Name;
use crate::model::view::{Source, Status, View};
use crate::model::workload::Runtime;
use crate::runtimes::named;
use crate::runtimes::process::Processes;
use asking::{answer_all, resolve, sample_all, take_final_samples};
pub(crate) use engine::{Engine, Found};
pub(crate) use handle::Handle;
use handle::Message;
pub(crate) use listening::watch_exits;
use listening::{listen, watch_names};
pub(crate) use look::{LOOK_STEP, look_once};
use reports::{Line, Report};
use scrapes::Scrapes;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, oneshot};

/// What the collector shows at one time.
#[derive(Debug)]
pub struct Snapshot {
    /// `None` before the first round is complete.
    pub view: Option<View>,
    /// How the sources do.
    pub status: Status,
    /// When the view's times begin, since 1970 began. Steps of the clock while the exporter runs do not
    /// change it.
    pub epoch: Duration,
}

/// Where namespaces have names.
pub struct NetnsFolder {
    pub names: named::Folder,
    /// The user named it: if it is not there, that is a failure.
    pub expected: bool,
}

/// What is read, with every privilege it needs already used.
pub struct Sources {
    /// For what the kernel tells unasked.
    pub events: Events,
    /// Of the reader of events.
    pub waker: Waker,
    /// For links and namespaces.
    pub resolver: Resolver,
    /// For namespaces alone: these questions do not wait for the kernel's RTNL lock.
    pub locator: Resolver,
    /// Reads the counters of the host's links.
    pub sampler: Sampler,
    /// For the last counters of what is about to go: these questions wait behind nobody.
    pub final_sampler: FinalSampler,
    /// The counters of all links, without waiting.
    pub table: DeviceTable,
    /// The folder of the named namespaces; `None` if names are not wanted.
    pub netns_folder: Option<NetnsFolder>,
    /// For namespaces that no runtime claims.
    pub processes: Processes,
}

/// Starts the threads. These runtimes will be asked by `Engine::follow`.
///
/// Besides the handle there is what must run as a task: `watch_exits`.
///
/// # Errors
/// If the system gives us no thread.
pub fn start(
    config: Config,
    interval: Duration,
    sources: Sources,
    engines: impl IntoIterator<Item = Runtime>,
) -> io::Result<(Handle, UnboundedReceiver<u32>)> {
    let (watch_exit, exits) = unbounded_channel();
    // Whoever tells of what nobody has asked for takes a place.
    let (inbox, messages) = channel();
    // A question is not asked again before it is answered, so these are as short as there are namespaces
    // and claims.
    let (requests, to_resolve) = channel();
    let (locate, to_locate) = channel();
    // One question at a time: it waits for no place and needs no memory.
    let (sample, to_sample) = sync_channel(1);
    let Sources {
        events,
        waker,
        mut resolver,
        mut locator,
        sampler,
        final_sampler,
        table,
        mut netns_folder,
        processes,
    } = sources;
    let named = netns_folder.as_ref().map(|folder| folder.names.path().to_owned());
    let runtimes: Vec<Runtime> = named.iter().map(|_| Runtime::Named).collect();
    let listening = match events.reach {
        Reach::All => Ok(()),
        Reach::Host => Err(NO_EVENTS.to_owned()),
    };
    // An answer tells of now and an event of then: answers go through the reader of events, which first
    // passes on every event that was there before.
    let (answered, answers) = channel();
    let (to, wake, all) = (answered.clone(), waker.clone(), processes.clone());
    thread::Builder::new().name("resolver".into()).spawn(move || {
        answer_all(to_resolve, &to, &wake, |request| resolve(&mut resolver, None, &all, request));
    })?;
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
    let engines: BTreeMap<Runtime, Notify> =
        engines.into_iter().map(|runtime| (runtime, Notify::new())).collect();
    let runtimes = runtimes.into_iter().chain(engines.keys().copied());
    let host = Host::new(config, runtimes);
    let handle = Handle { inbox, ready: Arc::default(), engines: Arc::new(engines) };
    let mut collector = Collector {
        host,
        start: Instant::now(),
        epoch: since_1970(),
        requests,
        locate,
        final_samples,
        watch_exit,
        sample,
        scrapes: Scrapes::default(),
        at_tick: Vec::new(),
        ready: Arc::clone(&handle.ready),
        engines: Arc::clone(&handle.engines),
        reported: BTreeMap::new(),
        all_shown: Report::default(),
    };
    collector.apply(Input::Listening { answer: listening });
    thread::Builder::new().name("collector".into()).spawn(move || collector.run(messages, interval))?;
    Ok((handle, exits))
}

struct Collector {
    host: Host,
    start: Instant,
    /// The same on the clock on the wall, since 1970 began.
    epoch: Duration,
    requests: Sender<Request>,
    locate: Sender<Request>,
    final_samples: SyncSender<Vec<(u32, Name)>>,
    watch_exit: UnboundedSender<u32>,
    sample: SyncSender<Samples>,
    scrapes: Scrapes<oneshot::Sender<Arc<Snapshot>>>,
    /// Those who wait for the end of a tick.
    at_tick: Vec<oneshot::Sender<Arc<Snapshot>>>,
    ready: Arc<AtomicBool>,
    engines: Arc<BTreeMap<Runtime, Notify>>,
    /// What the log has said about each source.
    reported: BTreeMap<Source, Report>,
    /// And about series that there is no room for.
    all_shown: Report,
}

impl Collector {
    fn run(mut self, messages: Receiver<Message>, interval: Duration) {
        let mut next_tick = self.start;
        loop {
            let now = Instant::now();
            if now >= next_tick {
                if now - next_tick > interval / 2 {
                    self.apply(Input::LateTick);
                }
                self.apply(Input::Tick);
                if self.scrapes.begin_sample() {
                    self.sample();
                }
                // A tick that came late is not made up for.
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
            // However soon it is due again: between two a message is taken, if there is one.
            let woken = self.host.deadline().map(|due| self.start + due);
            let until = woken.into_iter().chain(self.scrapes.deadline()).fold(next_tick, Instant::min);
            match messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Message::Input(input, place)) => {
                    drop(place);
                    self.take(input);
                }
                Ok(Message::Scrape(reply)) => self.begin_scrape(reply),
                Ok(Message::ScrapeWithOthers(reply)) => self.begin_others(reply),
                Ok(Message::NextTick(reply)) => self.at_tick.push(reply),
                // Who no longer waits for it is no error.
                Ok(Message::Turn(reply)) => _ = reply.send(()),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn take(&mut self, input: Input) {
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
                    self.sample();
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
            // Each of these fails only when the program is about to end, but the first.
            match request {
                Request::FinalSample(links) => {
                    dropped += usize::from(self.final_samples.try_send(links).is_err())
                }
                Request::WatchExit(pid) => _ = self.watch_exit.send(pid),
                Request::Claims(runtime) if self.engines.contains_key(&runtime) => {
                    self.engines[&runtime].notify_one();
                }
                request @ (Request::Locate(_)
                | Request::NewProcesses(_)
                | Request::Claims(_)
                | Request::Barrier) => _ = self.locate.send(request),
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
                interface = named.interface,
                network = named.network,
                "named"
            );
        }
        self.host.reuse(requests);
        self.report_changes();
        self.ready.store(self.host.is_ready(), Ordering::Relaxed);
    }

    /// Asks for the counters.
    fn sample(&mut self) {
        if self.sample.send(self.host.spent_samples()).is_err() {
            self.scrapes.no_sample();
        }
    }

    fn begin_scrape(&mut self, reply: oneshot::Sender<Arc<Snapshot>>) {
        if self.scrapes.arrive(reply, Instant::now()) {
            self.sample();
        }
    }

    fn begin_others(&mut self, reply: oneshot::Sender<Arc<Snapshot>>) {
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
            // A client that went away meanwhile is no error.
            let _ = reply.send(Arc::clone(&snapshot));
        }
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(Snapshot { view: self.host.view(), status: self.host.status().clone(), epoch: self.epoch })
    }

    /// One line in the log for a change of state, and not one a try.
    fn report_changes(&mut self) {
        let (now, status) = (Instant::now(), self.host.status());
        for (&source, asked) in &status.sources {
            let name = source.as_str();
            let report = self.reported.entry(source).or_default();
            let Some(Line { first, changes }) = report.note(asked.result.is_ok(), now) else { continue };
            match &asked.result {
                Ok(()) if first => tracing::debug!(collector = name, "works"),
                Ok(()) => tracing::info!(collector = name, changes, "works again"),
                // What is missing from the start has been said with what would give it.
                Err(reason) if first && source == Source::Events => {
                    tracing::debug!(collector = name, %reason, "failed");
                }
                Err(reason) => tracing::warn!(collector = name, %reason, changes, "failed"),
            }
        }
        let limit = status.series.limit;
        match self.all_shown.note(!status.series.is_limited(), now) {
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

/// So many signs of an end wait for the final sampler.
const FINAL_SAMPLES_WAITING: usize = 1024;

/// What it means that only the host's events arrive, and what would change that.
const NO_EVENTS: &str = "no CAP_NET_BROADCAST at the start: only the events of the host arrive";

/// The time of the clock on the wall; a clock that stands before 1970 counts as 1970.
fn since_1970() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}
