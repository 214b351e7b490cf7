//! The runtimes with a socket, each asked by a thread of its own: one that hangs delays no other.

use super::absence::Absence;
use super::backlog::TaskSlots;
use super::handle::{Handle, Message};
use super::pid_guard::PidGuard;
use crate::model::host::Input;
use crate::model::lack::Lack;
use crate::model::workload::{Claims, Runtime};
use crate::runtimes::cri::{self, Cri, CriEndpoint, SeenPod};
use crate::runtimes::docker::{self, AddressChanges, Docker, DockerHost, DockerWatch, EngineAddress, Seen};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The shortest pause between two requests for an engine's list, however often the state machine asks for
/// it.
const PAUSE: Duration = Duration::from_millis(100);

/// The shortest pause after a failed request.
const RETRY: Duration = Duration::from_secs(1);

/// The most messages from an engine's events that wait for the collector.
const TOLD_WAITING: usize = 4;

/// The pause of an engine with expensive lists and complete events, as a multiple of the time that the last
/// list took, up to [`LONGEST_REST`].
const REST: u32 = 10;
const LONGEST_REST: Duration = Duration::from_secs(10);

/// The pause before a CRI server without events is asked for them again, because it may have been replaced
/// by a newer one. containerd 1.6 writes a line to its log for each attempt.
const NO_EVENTS: Duration = Duration::from_secs(600);

/// A runtime's engine, which may not exist, or not yet.
pub(crate) struct Engine {
    runtime: Runtime,
    /// The engine's API, or the reason why its address is not valid.
    api: Result<Api, Lack>,
    /// The engine is not asked if the pids that it reports are not those of this pid namespace.
    pids: PidGuard,
    /// True if the user has configured the engine, or if it has existed once: its absence is then a
    /// failure.
    expected: bool,
    /// `None` while a process listens at the engine's address.
    absence: Option<Absence>,
}

/// The result of one request to an engine.
struct Asked {
    /// `None` if the engine is not expected and does not exist.
    answer: Option<Result<Claims, Lack>>,
    /// False if no process listens at the engine's address.
    listens: bool,
}

enum Api {
    Docker(Docker),
    Cri(Cri),
}

impl Engine {
    /// Returns a Docker or Podman engine at this address; `configured` is true if the user has configured
    /// it.
    pub(crate) fn docker(address: EngineAddress, configured: bool) -> Engine {
        let docker = Docker::new(address);
        let (runtime, api) = (docker.runtime(), Ok(Api::Docker(docker)));
        Engine { runtime, api, pids: PidGuard::default(), absence: None, expected: configured }
    }

    /// Returns the server of the Container Runtime Interface at the endpoint that the user has configured,
    /// else at one of the usual endpoints.
    pub(crate) fn cri(endpoint: Option<CriEndpoint>) -> Engine {
        let expected = endpoint.is_some();
        let api = Ok(Api::Cri(endpoint.map_or_else(Cri::usual, Cri::new)));
        Engine { runtime: Runtime::Cri, api, pids: PidGuard::default(), absence: None, expected }
    }

    /// Returns true if the engine may report pods.
    pub(crate) fn may_tell_of_pods(&self) -> bool {
        matches!(&self.api, Ok(Api::Cri(cri)) if cri.may_exist())
    }

    /// Returns an engine that cannot be asked because of its configuration: a source that has failed.
    pub(crate) fn unusable(runtime: Runtime, reason: String) -> Engine {
        Engine {
            runtime,
            api: Err(Lack::failure(reason)),
            pids: PidGuard::default(),
            absence: None,
            expected: true,
        }
    }

    /// Marks the engine as not to be asked if the pids that it reports are not those of this procfs.
    #[must_use]
    pub(crate) fn in_pid_namespace_of(mut self, procfs: &Path) -> Engine {
        self.pids = PidGuard::new(procfs);
        self
    }

    /// Returns the runtime of the engine's claims.
    pub(crate) fn runtime(&self) -> Runtime {
        self.runtime
    }

    /// Asks the engine once for its claims; the answer is `None` if the engine is not expected and does not
    /// exist.
    pub(crate) async fn ask(&mut self) -> Input {
        let begin = Instant::now();
        let answer = self.claims().await.answer;
        Input::Claims { runtime: self.runtime, answer, took: begin.elapsed() }
    }

    async fn claims(&mut self) -> Asked {
        self.expected |= self.is_there().await;
        if !self.expected {
            return Asked { answer: None, listens: false };
        }
        self.pids.examine(&self.addresses()).await;
        let answer = match self.usable() {
            Err(reason) => Err(reason),
            Ok(Api::Cri(cri)) => match cri.refresh().await {
                Err(error @ cri::Error::NotThere(_)) => {
                    return Asked { answer: Some(Err(error.into())), listens: false };
                }
                answer => answer.map_err(Lack::from),
            },
            Ok(Api::Docker(docker)) => match docker.refresh().await {
                // The address belongs to Podman, and the engine for Podman asks it.
                Err(docker::Error::PassedOn(_)) => return Asked { answer: None, listens: true },
                Err(error @ docker::Error::NotThere(_)) => {
                    return Asked { answer: Some(Err(error.into())), listens: false };
                }
                answer => answer.map_err(Lack::from),
            },
        };
        Asked { answer: Some(answer), listens: true }
    }

    /// Returns the API to ask, or the reason why the engine cannot be asked.
    fn usable(&mut self) -> Result<&mut Api, Lack> {
        match (&mut self.api, self.pids.lack()) {
            (Ok(api), None) => Ok(api),
            (Err(reason), _) => Err(reason.clone()),
            (_, Some(reason)) => Err(reason.clone()),
        }
    }

    /// Returns true if the engine has an address to connect to.
    async fn is_there(&mut self) -> bool {
        match &mut self.api {
            Err(_) => false,
            Ok(Api::Docker(docker)) => docker.is_there(),
            Ok(Api::Cri(cri)) => cri.find().await,
        }
    }

    /// Asks the engine for one container or pod, running or not; `None` if the engine has none of this name
    /// or id, or if the engine is not expected.
    ///
    /// # Errors
    /// The reason why the engine could not be asked.
    pub(crate) async fn look_up(&mut self, query: &str) -> Result<Option<LookedUp>, Lack> {
        if !self.expected {
            return Ok(None);
        }
        match self.usable()? {
            Api::Docker(docker) => match docker.look_up(query).await {
                Err(docker::Error::PassedOn(_)) => Ok(None),
                answer => answer.map(|seen| seen.map(LookedUp::Container)).map_err(Lack::from),
            },
            Api::Cri(cri) => {
                let seen = cri.look_up(query).await?;
                Ok(seen.map(LookedUp::Pod))
            }
        }
    }

    /// Answers the collector's requests and passes on the engine's events, until the collector has stopped.
    pub(crate) async fn follow(mut self, collector: Handle) {
        let Some(asks) = collector.engines.get(&self.runtime) else { return };
        let (news, listens) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let mut changes = None;
        let mut pods_watched = false;
        let slots = TaskSlots::new(1);
        loop {
            // Whether the engine's pids are believed may be known only after the first dial.
            if changes.is_none()
                && let Ok(Api::Docker(docker)) = self.usable()
            {
                let (address, runtime) = (docker.address().clone(), self.runtime);
                let (news, listens) = (Arc::clone(&news), Arc::clone(&listens));
                changes = Some(address.changes());
                tokio::spawn(watch_docker(address, runtime, news, listens, collector.clone()));
            }
            tokio::select! {
                () = asks.notified() => {}
                () = news.notified() => {}
                () = moved(&mut changes) => {}
                () = dial_due(&mut self.absence) => {}
            }
            let begin = Instant::now();
            let addresses = self.addresses();
            let waiting = self.absence.as_ref().filter(|absence| absence.holds(&addresses));
            let dialled = waiting.is_none();
            let answer = match waiting {
                Some(absence) => absence.answer(self.runtime),
                None => self.dial(addresses, &listens).await,
            };
            // The endpoint is known only after the first successful request.
            if let Some(endpoint) = self.cri_endpoint().filter(|_| !pods_watched) {
                tokio::spawn(watch_cri(endpoint, self.runtime, Arc::clone(&listens), collector.clone()));
                pods_watched = true;
            }
            let failed = matches!(answer, Input::Claims { answer: Some(Err(_)), .. });
            if collector.inbox.send(Message::Input(answer, slots.acquire().await)).is_err() {
                return;
            }
            if !dialled {
                continue;
            }
            let rest = match self.runtime {
                // Podman takes a millisecond per container for its list, and its events report when to ask.
                Runtime::Podman => (REST * begin.elapsed()).min(LONGEST_REST),
                _ => Duration::ZERO,
            };
            // An engine that is absent has pauses of its own.
            let retry = if failed && self.absence.is_none() { RETRY } else { PAUSE };
            tokio::time::sleep(retry).await;
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = news.notified() => asks.notify_one(),
                () = moved(&mut changes) => asks.notify_one(),
            }
        }
    }

    /// Asks the engine for its claims, and begins, continues or ends its absence. Notifies `listens` whenever
    /// the engine's events may be subscribed to.
    async fn dial(&mut self, addresses: Vec<DockerHost>, listens: &Notify) -> Input {
        // The events of an engine that has just come report what its list does not have yet.
        if self.absence.is_some() {
            listens.notify_waiters();
        }
        let begin = Instant::now();
        let asked = self.claims().await;
        let took = begin.elapsed();
        if asked.listens {
            self.absence = None;
            listens.notify_waiters();
        } else {
            self.pids.forget_engine();
            if self.absence.as_ref().is_none_or(|absence| !absence.is_at(&addresses)) {
                self.absence = Some(Absence::begin(addresses));
            }
            if let Some(absence) = &mut self.absence {
                absence.record(asked.answer.as_ref().and_then(|answer| answer.as_ref().err().cloned()), took);
            }
        }
        Input::Claims { runtime: self.runtime, answer: asked.answer, took }
    }

    /// Returns the endpoint of a CRI server that may be asked, once it is known.
    fn cri_endpoint(&mut self) -> Option<CriEndpoint> {
        match self.usable() {
            Ok(Api::Cri(cri)) => cri.endpoint().cloned(),
            _ => None,
        }
    }

    /// Returns the addresses at which the engine is looked for, in words.
    pub(crate) fn looked_at(&self) -> String {
        let addresses: Vec<String> = self.addresses().iter().map(ToString::to_string).collect();
        addresses.join(", ")
    }

    /// Returns the addresses that the engine may be dialled at.
    fn addresses(&self) -> Vec<DockerHost> {
        match &self.api {
            Ok(Api::Docker(docker)) => docker.address().hosts(),
            Ok(Api::Cri(cri)) => cri.sockets().into_iter().map(DockerHost::Unix).collect(),
            Err(_) => Vec::new(),
        }
    }
}

/// Waits until the engine may have a different address.
async fn moved(changes: &mut Option<AddressChanges>) {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// Waits until an absent engine shall be dialled.
async fn dial_due(absence: &mut Option<Absence>) {
    match absence {
        Some(absence) => absence.dial_due().await,
        None => std::future::pending().await,
    }
}

/// The result of [`Engine::look_up`].
pub(crate) enum LookedUp {
    Container(Seen),
    Pod(SeenPod),
}

impl LookedUp {
    /// Returns the complete id of the container or of the pod's sandbox.
    pub(crate) fn id(&self) -> &str {
        match self {
            LookedUp::Container(seen) => &seen.id,
            LookedUp::Pod(pod) => &pod.id,
        }
    }
}

/// Requests a CRI server's list as soon as the server's events report a change. Where no server listens,
/// waits for `listens`. Returns only if the collector does not ask this runtime.
async fn watch_cri(endpoint: CriEndpoint, runtime: Runtime, listens: Arc<Notify>, collector: Handle) {
    let Some(asks) = collector.engines.get(&runtime) else { return };
    loop {
        let mut ended = None;
        match cri::CriWatch::begin(&endpoint).await {
            Ok(mut watch) => {
                while ended.is_none() {
                    match watch.news().await {
                        Ok(()) => asks.notify_one(),
                        Err(error) => ended = Some(error),
                    }
                }
            }
            Err(error) => ended = Some(error),
        }
        // A server that is unreachable is reported by the failure of its list. A server without events is
        // asked for its list at every tick.
        match ended {
            Some(cri::Error::NotThere(_)) => listens.notified().await,
            Some(cri::Error::Unserved(_)) => tokio::time::sleep(NO_EVENTS).await,
            _ => tokio::time::sleep(RETRY).await,
        }
    }
}

/// Passes on the meaning of Docker's events until the collector has stopped: events report names before the
/// engine answers requests for them. Where no engine listens, waits for `listens`.
async fn watch_docker(
    address: EngineAddress,
    runtime: Runtime,
    news: Arc<Notify>,
    listens: Arc<Notify>,
    collector: Handle,
) {
    // Each message contains the list of all containers. While the slots are taken, the engine keeps its
    // further events.
    let slots = TaskSlots::new(TOLD_WAITING);
    loop {
        match DockerWatch::begin(address.clone()).await {
            Ok(watch) => {
                // The list contains the changes before the events began.
                news.notify_one();
                if !pass_on(watch, runtime, &news, &slots, &collector).await {
                    return;
                }
            }
            Err(docker::Error::NotThere(_)) => {
                listens.notified().await;
                continue;
            }
            // An engine that is unreachable is reported by the failure of its list.
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Passes on the meaning of Docker's events until they end; returns false if the collector has stopped.
async fn pass_on(
    mut watch: DockerWatch,
    runtime: Runtime,
    news: &Notify,
    slots: &TaskSlots,
    collector: &Handle,
) -> bool {
    while let Some(mut told) = watch.news().await {
        if told.containers {
            news.notify_one();
        }
        for container in std::mem::take(&mut told.dying) {
            // This send fails only together with the next one.
            let _ = collector.inbox.send(Message::Input(Input::Dying { container }, slots.acquire().await));
        }
        watch.learn(&mut told).await;
        let (expected, containers) = (watch.expected(), watch.containers());
        let expected = Input::Expected { runtime, expected, containers };
        if told.expected && collector.inbox.send(Message::Input(expected, slots.acquire().await)).is_err() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests;
