//! The loop between the state machine and the world: it receives, applies, performs and publishes, and decides
//! nothing.
//!
//! Its threads: this loop, the reader of events (which must never wait), the resolver (which may wait for the
//! kernel's RTNL lock), the sampler (which must not wait behind it), the mourner (which asks for the last counters of what
//! is about to go, behind nobody) and the watcher of names. Runtimes are asked by tasks of the caller's tokio runtime.

use crate::kernel::{Events, Reach, Resolver, Sampler, Waker};
use crate::model::host::{Config, Host, Inhabitant, Input, Location, Request, Samples};
use crate::model::view::{Source, Status, View};
use crate::model::workload::{Claims, Locator, Runtime};
use crate::runtimes;
use crate::runtimes::docker::{Docker, DockerHost, Seen, Watch};
use crate::runtimes::named::{self, NameChange};
use crate::runtimes::process::{self, Processes};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, oneshot};

/// A scrape waits this long for counters of its own.
const SCRAPE_PATIENCE: Duration = Duration::from_millis(50);

/// Docker is not asked more often than this, however often the state machine wishes.
const DOCKER_PAUSE: Duration = Duration::from_millis(100);

/// Nor, after a failure, more often than this.
const DOCKER_RETRY: Duration = Duration::from_secs(1);

/// What the collector shows at one time.
#[derive(Debug)]
pub struct Snapshot {
    /// `None` before the first round is complete.
    pub view: Option<View>,
    /// How the sources do.
    pub status: Status,
}

/// Where namespaces have names.
pub struct NetnsFolder {
    /// The folder.
    pub path: PathBuf,
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
    /// For counters.
    pub sampler: Sampler,
    /// For the last counters of what is about to go: these questions wait behind nobody.
    pub mourner: Sampler,
    /// The folder of the named namespaces.
    pub netns_folder: NetnsFolder,
    /// For namespaces that no runtime claims.
    pub processes: Processes,
}

enum Message {
    Input(Input),
    Scrape(oneshot::Sender<Arc<Snapshot>>),
    /// To be answered at once: the loop turns.
    Turn(oneshot::Sender<()>),
    Stop,
}

/// How the rest of the program speaks with a running collector.
#[derive(Clone)]
pub struct Handle {
    inbox: Sender<Message>,
    ready: Arc<AtomicBool>,
    ask_docker: Arc<Notify>,
}

impl Handle {
    /// A snapshot with counters of now; those of the last tick if the kernel takes too long. Calls that arrive
    /// together share one. `None` if the collector has stopped.
    pub async fn scrape(&self) -> Option<Arc<Snapshot>> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Scrape(reply)).ok()?;
        answer.await.ok()
    }

    /// Waits until the collector's loop comes round; `false` if it has stopped.
    pub async fn turns(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Turn(reply)).is_ok() && answer.await.is_ok()
    }

    /// True once there is a view to show.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Ends the collector's threads.
    pub fn stop(&self) {
        // It fails only if they have ended.
        let _ = self.inbox.send(Message::Stop);
    }
}

/// Starts the threads.
///
/// Besides the handle there is what must run as a task: [`watch_exits`].
///
/// # Errors
/// If the system gives us no thread.
pub fn start(
    config: Config,
    interval: Duration,
    sources: Sources,
) -> io::Result<(Handle, UnboundedReceiver<u32>)> {
    let (watch_exit, exits) = unbounded_channel();
    let (inbox, messages) = channel();
    let (requests, to_resolve) = channel();
    let (sample, to_sample) = channel();
    let Sources { events, waker, mut resolver, mut sampler, mut mourner, netns_folder, processes } = sources;
    let netns_names = netns_folder.path.clone();
    let listening = match events.reach {
        Reach::All => Ok(()),
        Reach::Host => Err(NO_EVENTS.to_owned()),
    };
    // An answer tells of now and an event of then: answers go through the reader of events, which first passes on
    // every event that was there before.
    let (answered, answers) = channel();
    thread::Builder::new().name("resolver".into()).spawn(move || {
        for request in to_resolve {
            let Some(input) = resolve(&mut resolver, &netns_folder, &processes, request) else { continue };
            if answered.send(input).is_err() {
                return;
            }
            waker.wake();
        }
    })?;
    let answers_of_mourner = inbox.clone();
    let (mourn, to_mourn) = channel::<Vec<u32>>();
    thread::Builder::new().name("mourner".into()).spawn(move || {
        for ifindexes in to_mourn {
            let last = ifindexes.into_iter();
            // Who is gone already has said what there was to say in an event.
            let last = last.filter_map(|ifindex| Some((ifindex, mourner.sample_link(ifindex).ok()??)));
            if answers_of_mourner.send(Message::Input(Input::LastWords(last.collect()))).is_err() {
                return;
            }
        }
    })?;
    let (folder, out) = (netns_names, inbox.clone());
    thread::Builder::new().name("names".into()).spawn(move || watch_names(&folder, &out))?;
    let out = inbox.clone();
    thread::Builder::new().name("events".into()).spawn(move || listen(events, &answers, &out))?;
    let answers = inbox.clone();
    thread::Builder::new().name("sampler".into()).spawn(move || {
        for () in to_sample {
            if answers.send(Message::Input(take_sample(&mut sampler))).is_err() {
                return;
            }
        }
    })?;
    let handle = Handle { inbox, ready: Arc::default(), ask_docker: Arc::default() };
    let mut collector = Collector {
        host: Host::new(config, [Runtime::Docker, Runtime::Named]),
        start: Instant::now(),
        requests,
        mourn,
        watch_exit,
        sample,
        sampling: false,
        waiting: Vec::new(),
        late: Vec::new(),
        patience_ends: None,
        ready: Arc::clone(&handle.ready),
        ask_docker: Arc::clone(&handle.ask_docker),
        reported: BTreeMap::new(),
    };
    collector.apply(Input::Listening { answer: listening });
    thread::Builder::new().name("collector".into()).spawn(move || collector.run(messages, interval))?;
    Ok((handle, exits))
}

struct Collector {
    host: Host,
    start: Instant,
    requests: Sender<Request>,
    mourn: Sender<Vec<u32>>,
    watch_exit: UnboundedSender<u32>,
    sample: Sender<()>,
    sampling: bool,
    /// Scrapes that wait for the counters that are being read.
    waiting: Vec<oneshot::Sender<Arc<Snapshot>>>,
    /// Those that came after the reading had begun: they wait for the next.
    late: Vec<oneshot::Sender<Arc<Snapshot>>>,
    patience_ends: Option<Instant>,
    ready: Arc<AtomicBool>,
    ask_docker: Arc<Notify>,
    /// For each source, whether the log last said that it works.
    reported: BTreeMap<Source, bool>,
}

impl Collector {
    fn run(mut self, messages: Receiver<Message>, interval: Duration) {
        let mut next_tick = self.start;
        loop {
            let now = Instant::now();
            if now >= next_tick {
                self.apply(Input::Tick);
                self.begin_sample();
                // A tick that came late is not made up for.
                next_tick = now + interval;
            }
            if self.patience_ends.is_some_and(|end| now >= end) {
                self.answer_stale();
            }
            let woken = self.host.deadline().map(|due| self.start + due);
            if woken.is_some_and(|due| now >= due) {
                self.apply(Input::Wake);
                continue;
            }
            let until = [woken, self.patience_ends].into_iter().flatten().fold(next_tick, Instant::min);
            match messages.recv_timeout(until.saturating_duration_since(now)) {
                Ok(Message::Input(input)) => self.take(input),
                Ok(Message::Scrape(reply)) => self.begin_scrape(reply),
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
        self.apply(input);
        match sample {
            Some(true) => {
                self.sampling = false;
                self.answer();
                self.turn_to_late();
            }
            Some(false) => {
                self.sampling = false;
                self.answer_stale();
            }
            None => {}
        }
    }

    fn apply(&mut self, input: Input) {
        for request in self.host.apply(input, self.start.elapsed()) {
            // Each of these fails only when the program is about to end.
            match request {
                Request::LastWords(ifindexes) => _ = self.mourn.send(ifindexes),
                Request::WatchExit(pid) => _ = self.watch_exit.send(pid),
                Request::Claims(Runtime::Docker) => self.ask_docker.notify_one(),
                request => _ = self.requests.send(request),
            }
        }
        self.report_changes();
        self.ready.store(self.host.is_ready(), Ordering::Relaxed);
    }

    fn begin_sample(&mut self) {
        if !self.sampling {
            self.sampling = self.sample.send(()).is_ok();
        }
    }

    fn begin_scrape(&mut self, reply: oneshot::Sender<Arc<Snapshot>>) {
        if self.sampling {
            self.late.push(reply);
        } else {
            self.waiting.push(reply);
        }
        self.patience_ends.get_or_insert_with(|| Instant::now() + SCRAPE_PATIENCE);
        self.begin_sample();
    }

    fn answer_stale(&mut self) {
        self.waiting.append(&mut self.late);
        for _ in 0..self.waiting.len() {
            self.apply(Input::StaleScrape);
        }
        self.answer();
    }

    fn answer(&mut self) {
        self.patience_ends = None;
        if self.waiting.is_empty() {
            return;
        }
        let snapshot = Arc::new(Snapshot { view: self.host.view(), status: self.host.status().clone() });
        for reply in self.waiting.drain(..) {
            // A client that went away meanwhile is no error.
            let _ = reply.send(Arc::clone(&snapshot));
        }
    }

    /// Reads again for the scrapes that came while the last reading was under way.
    fn turn_to_late(&mut self) {
        if !self.late.is_empty() {
            self.waiting = std::mem::take(&mut self.late);
            self.patience_ends = Some(Instant::now() + SCRAPE_PATIENCE);
            self.begin_sample();
        }
    }

    /// One line in the log for a change of state, and not one a try.
    fn report_changes(&mut self) {
        for (&source, asked) in &self.host.status().sources {
            let name = source.as_str();
            match (self.reported.insert(source, asked.result.is_ok()), &asked.result) {
                (Some(true), Ok(())) | (Some(false), Err(_)) => {}
                (Some(false), Ok(())) => tracing::info!(collector = name, "works again"),
                (None, Ok(())) => tracing::debug!(collector = name, "works"),
                // What is missing from the start has been said with what would give it.
                (None, Err(reason)) if source == Source::Events => {
                    tracing::debug!(collector = name, %reason, "failed")
                }
                (_, Err(reason)) => tracing::warn!(collector = name, %reason, "failed"),
            }
        }
    }
}

/// Events that are passed on together, at most.
const EVENTS_AT_A_TIME: usize = 256;

/// What it means that only the host's events arrive, and what would change that.
const NO_EVENTS: &str = "no CAP_NET_BROADCAST at the start: only the events of the host arrive";

/// A folder of names that is not there is looked for again after this.
const FOLDER_RETRY: Duration = Duration::from_secs(1);

/// Tells the collector at once of names that come and go, until it has stopped.
fn watch_names(folder: &Path, out: &Sender<Message>) {
    loop {
        if let Ok(names) = named::Names::watch(folder) {
            // What came before we watched.
            let mut changes = vec![NameChange::Came];
            loop {
                for change in changes {
                    let input = match change {
                        NameChange::Came => Input::Named,
                        NameChange::Went(locator) => Input::Unnamed { locator },
                    };
                    if out.send(Message::Input(input)).is_err() {
                        return;
                    }
                }
                match names.changes() {
                    Some(new) => changes = new,
                    None => break,
                }
            }
        }
        thread::sleep(FOLDER_RETRY);
    }
}

/// Passes on events and answers, in their order, until nobody wants them any more.
fn listen(mut events: Events, answers: &Receiver<Input>, out: &Sender<Message>) {
    loop {
        events.wait();
        // Taken before the events are read: what they tell of was there before these answers.
        let answered: Vec<Input> = answers.try_iter().collect();
        loop {
            let mut read = Vec::new();
            let more = match events.read(EVENTS_AT_A_TIME, &mut read) {
                Ok(more) => more,
                Err(error) => {
                    let answer = Err(error.to_string());
                    let _ = out.send(Message::Input(Input::Listening { answer }));
                    return;
                }
            };
            if !read.is_empty() && out.send(Message::Input(Input::Events(read))).is_err() {
                return;
            }
            if !more {
                break;
            }
        }
        for input in answered {
            if out.send(Message::Input(input)).is_err() {
                return;
            }
        }
    }
}

/// Performs one request of the state machine; `None` if it is not for this thread.
fn resolve(
    resolver: &mut Resolver,
    netns_folder: &NetnsFolder,
    processes: &Processes,
    request: Request,
) -> Option<Input> {
    Some(match request {
        Request::Links { nsid } => Input::Links { nsid, answer: resolver.links(nsid) },
        Request::Locate(locator) => {
            let cgroup = match locator {
                Locator::Pid(pid) => processes.cgroup(pid),
                Locator::Path(_) => None,
            };
            let answer = resolver.locate(&locator).map(|netns| Location { netns, cgroup });
            Input::Located { locator, answer }
        }
        Request::Claims(Runtime::Named) => {
            let begin = Instant::now();
            let NetnsFolder { path, expected } = netns_folder;
            let answer = match named::claims(path) {
                None if *expected => Some(Err(format!("{} is gone", path.display()))),
                answer => answer
                    .map(|claims| claims.map_err(|error| format!("cannot read {}: {error}", path.display()))),
            };
            Input::Claims { runtime: Runtime::Named, answer, took: begin.elapsed() }
        }
        Request::Claims(_) | Request::LastWords(_) | Request::WatchExit(_) => return None,
        Request::Search(nsids) => {
            let begin = Instant::now();
            let answer = search(resolver, processes, &nsids)
                .map_err(|error| format!("cannot read the processes: {error}"));
            Input::Inhabitants { answer, nsids, took: begin.elapsed() }
        }
    })
}

/// Looks for a process in each of these namespaces: the oldest, which is what the others came from.
fn search(
    resolver: &mut Resolver,
    processes: &Processes,
    nsids: &BTreeSet<u32>,
) -> io::Result<Vec<Inhabitant>> {
    let mut found: BTreeMap<u32, Inhabitant> = BTreeMap::new();
    for pid in processes.pids()? {
        let Ok(Some(nsid)) = resolver.nsid_of(pid) else { continue };
        if !nsids.contains(&nsid) || found.contains_key(&nsid) {
            continue;
        }
        // Between the two questions the number may have passed to another process.
        if let Some(workload) = processes.workload(pid)
            && resolver.nsid_of(pid) == Ok(Some(nsid))
        {
            found.insert(nsid, Inhabitant { nsid, pid, workload, cgroup: processes.cgroup(pid) });
        }
        if found.len() == nsids.len() {
            break;
        }
    }
    Ok(found.into_values().collect())
}

fn take_sample(sampler: &mut Sampler) -> Input {
    let begin = Instant::now();
    let mut samples = Samples::default();
    let answer = sampler.sample(&mut samples).map(|()| samples).map_err(|error| error.to_string());
    Input::Samples { answer, took: begin.elapsed() }
}

/// A Docker engine that may not be there, or not yet.
pub struct DockerSource {
    host: DockerHost,
    docker: Docker,
    /// The user named it, or it was there once: from then on its absence is a failure.
    expected: bool,
    /// Why it is not asked at all: its address is not understood, or the pids it tells mean nothing here.
    unusable: Option<String>,
}

impl DockerSource {
    /// The engine at `host`; `configured` if the user named it.
    pub fn new(host: DockerHost, configured: bool, procfs: &Path) -> DockerSource {
        let unusable = match runtimes::in_host_pid_namespace(procfs) {
            Ok(true) => None,
            Ok(false) => Some(
                "the process ids of containers mean nothing in this pid namespace: run in that of the host (--pid host)"
                    .into(),
            ),
            Err(error) => Some(error.to_string()),
        };
        DockerSource { docker: Docker::new(host.clone()), host, expected: configured, unusable }
    }

    /// An engine whose address is not understood: a source that has failed.
    pub fn unusable(reason: String) -> DockerSource {
        let host = DockerHost::Unix(PathBuf::new());
        DockerSource { docker: Docker::new(host.clone()), host, expected: true, unusable: Some(reason) }
    }

    /// Where the engine is; `None` if its words mean nothing here.
    pub fn to_watch(&self) -> Option<DockerHost> {
        self.unusable.is_none().then(|| self.host.clone())
    }

    /// Asks once; says nothing of an engine that nobody expects.
    pub async fn ask(&mut self) -> Input {
        let begin = Instant::now();
        let answer = self.claims().await;
        Input::Claims { runtime: Runtime::Docker, answer, took: begin.elapsed() }
    }

    async fn claims(&mut self) -> Option<Result<Claims, String>> {
        let there = match &self.host {
            DockerHost::Unix(path) => path.exists(),
            DockerHost::Tcp(_) => true,
        };
        self.expected |= there;
        if !self.expected {
            return None;
        }
        if let Some(reason) = &self.unusable {
            return Some(Err(reason.clone()));
        }
        Some(self.docker.refresh().await.map_err(|error| error.to_string()))
    }

    /// Asks the engine for one container, running or not; `None` if it has none that is called so, or if nobody
    /// expects an engine.
    ///
    /// # Errors
    /// One line that says why the engine could not be asked.
    pub async fn look_up(&mut self, query: &str) -> Result<Option<Seen>, String> {
        if !self.expected {
            return Ok(None);
        }
        match &self.unusable {
            Some(reason) => Err(reason.clone()),
            None => self.docker.look_up(query).await.map_err(|error| error.to_string()),
        }
    }

    /// Answers the collector whenever it asks, until it has stopped.
    pub async fn follow(mut self, collector: Handle) {
        loop {
            collector.ask_docker.notified().await;
            let answer = self.ask().await;
            let failed = matches!(answer, Input::Claims { answer: Some(Err(_)), .. });
            if collector.inbox.send(Message::Input(answer)).is_err() {
                return;
            }
            tokio::time::sleep(if failed { DOCKER_RETRY } else { DOCKER_PAUSE }).await;
        }
    }
}

/// Tells the collector of the end of each process that it names, until it has stopped.
pub async fn watch_exits(mut pids: UnboundedReceiver<u32>, collector: Handle) {
    while let Some(pid) = pids.recv().await {
        let inbox = collector.inbox.clone();
        tokio::spawn(async move {
            process::exit_of(pid).await;
            // It fails only when the program is about to end.
            let _ = inbox.send(Message::Input(Input::Exited { pid }));
        });
    }
}

/// Tells the collector what Docker's events mean, until it has stopped: they tell names before the engine can be asked
/// for them.
pub async fn watch_docker(host: DockerHost, collector: Handle) {
    loop {
        if let Ok(mut watch) = Watch::begin(host.clone()).await {
            // What has happened before we listened is in the list.
            collector.ask_docker.notify_one();
            while let Some(news) = watch.news().await {
                if news.containers {
                    collector.ask_docker.notify_one();
                }
                let told = Input::Expected { runtime: Runtime::Docker, expected: watch.expected() };
                if news.expected && collector.inbox.send(Message::Input(told)).is_err() {
                    return;
                }
            }
        }
        // That the engine is away is what the list says.
        tokio::time::sleep(DOCKER_RETRY).await;
    }
}

/// Looks at the host once, in the calling thread.
pub async fn look_once(config: Config, sources: &mut Sources, docker: &mut DockerSource) -> Snapshot {
    let start = Instant::now();
    let mut host = Host::new(config, [Runtime::Docker, Runtime::Named]);
    let mut requests = VecDeque::from(host.apply(Input::Tick, start.elapsed()));
    let mut docker_asked = false;
    while let Some(request) = requests.pop_front() {
        let input = match resolve(&mut sources.resolver, &sources.netns_folder, &sources.processes, request) {
            Some(input) => input,
            None if docker_asked => continue,
            None => {
                docker_asked = true;
                docker.ask().await
            }
        };
        requests.extend(host.apply(input, start.elapsed()));
    }
    host.apply(take_sample(&mut sources.sampler), start.elapsed());
    Snapshot { view: host.view(), status: host.status().clone() }
}
