//! The runtimes with a socket, each asked by a thread of its own: one that hangs delays no other.

use super::backlog::TaskSlots;
use super::handle::{Handle, Message};
use crate::model::host::Input;
use crate::model::workload::{Claims, Runtime};
use crate::runtimes;
use crate::runtimes::cri::{self, Cri, CriEndpoint, SeenPod};
use crate::runtimes::docker::{self, Docker, DockerWatch, EngineAddress, Seen};
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
    api: Result<Api, String>,
    /// The reason why the engine is not asked: the pids that it reports are not those of this pid
    /// namespace.
    strange_pids: Option<String>,
    /// True if the user has configured the engine, or if it has existed once: its absence is then a
    /// failure.
    expected: bool,
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
        Engine { runtime, api, strange_pids: None, expected: configured }
    }

    /// Returns the server of the Container Runtime Interface at the endpoint that the user has configured,
    /// else at one of the usual endpoints.
    pub(crate) fn cri(endpoint: Option<CriEndpoint>) -> Engine {
        let expected = endpoint.is_some();
        let api = Ok(Api::Cri(endpoint.map_or_else(Cri::usual, Cri::new)));
        Engine { runtime: Runtime::Cri, api, strange_pids: None, expected }
    }

    /// Returns true if the engine may report pods.
    pub(crate) fn may_tell_of_pods(&self) -> bool {
        matches!(&self.api, Ok(Api::Cri(cri)) if cri.may_exist())
    }

    /// Returns an engine that cannot be asked because of its configuration: a source that has failed.
    pub(crate) fn unusable(runtime: Runtime, reason: String) -> Engine {
        Engine { runtime, api: Err(reason), strange_pids: None, expected: true }
    }

    /// Marks the engine as not to be asked if the processes of this procfs are not the host's, because
    /// engines report process ids of the host.
    #[must_use]
    pub(crate) fn in_pid_namespace_of(mut self, procfs: &Path) -> Engine {
        self.strange_pids = match runtimes::in_host_pid_namespace(procfs) {
            Ok(true) => None,
            Ok(false) => Some(
                "the process ids of containers mean nothing in this pid namespace: run in that of the host (--pid host)"
                    .into(),
            ),
            Err(error) => Some(error.to_string()),
        };
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
        let answer = self.claims().await;
        Input::Claims { runtime: self.runtime, answer, took: begin.elapsed() }
    }

    async fn claims(&mut self) -> Option<Result<Claims, String>> {
        self.expected |= self.is_there().await;
        if !self.expected {
            return None;
        }
        Some(match self.usable() {
            Err(reason) => Err(reason),
            Ok(Api::Cri(cri)) => cri.refresh().await.map_err(|error| error.to_string()),
            Ok(Api::Docker(docker)) => match docker.refresh().await {
                // The address belongs to Podman, and the engine for Podman asks it.
                Err(docker::Error::PassedOn(_)) => return None,
                answer => answer.map_err(|error| error.to_string()),
            },
        })
    }

    /// Returns the API to ask, or the reason why the engine cannot be asked.
    fn usable(&mut self) -> Result<&mut Api, String> {
        match (&mut self.api, &self.strange_pids) {
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
    /// One line with the reason why the engine could not be asked.
    pub(crate) async fn look_up(&mut self, query: &str) -> Result<Option<LookedUp>, String> {
        if !self.expected {
            return Ok(None);
        }
        match self.usable()? {
            Api::Docker(docker) => match docker.look_up(query).await {
                Err(docker::Error::PassedOn(_)) => Ok(None),
                answer => answer.map(|seen| seen.map(LookedUp::Container)).map_err(|error| error.to_string()),
            },
            Api::Cri(cri) => {
                let seen = cri.look_up(query).await.map_err(|error| error.to_string())?;
                Ok(seen.map(LookedUp::Pod))
            }
        }
    }

    /// Answers the collector's requests and passes on the engine's events, until the collector has stopped.
    pub(crate) async fn follow(mut self, collector: Handle) {
        let Some(asks) = collector.engines.get(&self.runtime) else { return };
        let news = Arc::new(Notify::new());
        if let Ok(Api::Docker(docker)) = self.usable() {
            let address = docker.address().clone();
            tokio::spawn(watch_docker(address, self.runtime, Arc::clone(&news), collector.clone()));
        }
        let mut pods_watched = false;
        let slots = TaskSlots::new(1);
        loop {
            tokio::select! {
                () = asks.notified() => {}
                () = news.notified() => {}
                () = self.moved() => {}
            }
            let begin = Instant::now();
            let answer = self.ask().await;
            // The endpoint is known only after the first successful request.
            if let Ok(Api::Cri(cri)) = self.usable()
                && let Some(endpoint) = cri.endpoint().filter(|_| !pods_watched)
            {
                tokio::spawn(watch_cri(endpoint.clone(), self.runtime, collector.clone()));
                pods_watched = true;
            }
            let failed = matches!(answer, Input::Claims { answer: Some(Err(_)), .. });
            if collector.inbox.send(Message::Input(answer, slots.acquire().await)).is_err() {
                return;
            }
            let rest = match self.runtime {
                // Podman takes a millisecond per container for its list, and its events report when to ask.
                Runtime::Podman => (REST * begin.elapsed()).min(LONGEST_REST),
                _ => Duration::ZERO,
            };
            tokio::time::sleep(if failed { RETRY } else { PAUSE }).await;
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = news.notified() => asks.notify_one(),
                () = self.moved() => asks.notify_one(),
            }
        }
    }

    /// Waits until the engine may have a different address.
    async fn moved(&self) {
        match &self.api {
            Ok(Api::Docker(docker)) => docker.address().changed().await,
            Ok(Api::Cri(_)) | Err(_) => std::future::pending().await,
        }
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

/// Requests a CRI server's list as soon as the server's events report a change. Returns only if the
/// collector does not ask this runtime.
async fn watch_cri(endpoint: CriEndpoint, runtime: Runtime, collector: Handle) {
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
        let unserved = matches!(ended, Some(cri::Error::Unserved(_)));
        tokio::time::sleep(if unserved { NO_EVENTS } else { RETRY }).await;
    }
}

/// Passes on the meaning of Docker's events until the collector has stopped: events report names before the
/// engine answers requests for them.
async fn watch_docker(address: EngineAddress, runtime: Runtime, news: Arc<Notify>, collector: Handle) {
    // Each message contains the list of all containers. While the slots are taken, the engine keeps its
    // further events.
    let slots = TaskSlots::new(TOLD_WAITING);
    loop {
        if let Ok(mut watch) = DockerWatch::begin(address.clone()).await {
            // The list contains the changes before the events began.
            news.notify_one();
            while let Some(mut told) = watch.news().await {
                if told.containers {
                    news.notify_one();
                }
                for container in std::mem::take(&mut told.dying) {
                    // This send fails only together with the next one.
                    let _ = collector
                        .inbox
                        .send(Message::Input(Input::Dying { container }, slots.acquire().await));
                }
                watch.learn(&mut told).await;
                let (expected, containers) = (watch.expected(), watch.containers());
                let expected = Input::Expected { runtime, expected, containers };
                if told.expected
                    && collector.inbox.send(Message::Input(expected, slots.acquire().await)).is_err()
                {
                    return;
                }
            }
        }
        // An engine that is unreachable is reported by the failure of its list.
        tokio::time::sleep(RETRY).await;
    }
}
