//! The runtimes that are asked over a socket, each on a thread of its own: one that hangs delays no other.

use super::backlog::TaskPlaces;
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

/// An engine is not asked more often than this, however often the state machine wishes.
const PAUSE: Duration = Duration::from_millis(100);

/// Nor, after a failure, more often than this.
const RETRY: Duration = Duration::from_secs(1);

/// So much of what its events tell waits for the collector.
const TOLD_WAITING: usize = 4;

/// Where asking is dear and events tell of every change, it rests so many times as long as the answer took,
/// up to the longest.
const REST: u32 = 10;
const LONGEST_REST: Duration = Duration::from_secs(10);

/// A CRI server that has no events is asked again for them after this: it may be a newer one by then.
/// containerd
/// 1.6 writes a line to its log each time.
const NO_EVENTS: Duration = Duration::from_secs(600);

/// A runtime's engine, which may not be there, or not yet.
pub(crate) struct Engine {
    runtime: Runtime,
    /// What it speaks; or why its address is not understood.
    api: Result<Api, String>,
    /// Why it is not asked: the pids it tells mean nothing here.
    strange_pids: Option<String>,
    /// The user named it, or it was there once: from then on its absence is a failure.
    expected: bool,
}

enum Api {
    Docker(Docker),
    Cri(Cri),
}

impl Engine {
    /// Docker or Podman, at this place; `configured` if the user named it.
    pub(crate) fn docker(address: EngineAddress, configured: bool) -> Engine {
        let docker = Docker::new(address);
        let (runtime, api) = (docker.runtime(), Ok(Api::Docker(docker)));
        Engine { runtime, api, strange_pids: None, expected: configured }
    }

    /// The server of the Container Runtime Interface at the endpoint that the user named, else at one of
    /// the usual ones.
    pub(crate) fn cri(endpoint: Option<CriEndpoint>) -> Engine {
        let expected = endpoint.is_some();
        let api = Ok(Api::Cri(endpoint.map_or_else(Cri::usual, Cri::new)));
        Engine { runtime: Runtime::Cri, api, strange_pids: None, expected }
    }

    /// True if it will tell of pods, unless it turns out that it does not.
    pub(crate) fn may_tell_of_pods(&self) -> bool {
        matches!(&self.api, Ok(Api::Cri(cri)) if cri.may_exist())
    }

    /// An engine that cannot be asked, because of how it is configured: a source that has failed.
    pub(crate) fn unusable(runtime: Runtime, reason: String) -> Engine {
        Engine { runtime, api: Err(reason), strange_pids: None, expected: true }
    }

    /// The same engine, which is not asked if the processes of this procfs are not the host's: what engines
    /// tell are process ids.
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

    /// Whose claims it makes.
    pub(crate) fn runtime(&self) -> Runtime {
        self.runtime
    }

    /// Asks once; says nothing of an engine that nobody expects.
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
                // Not Docker, and asked by another Engine.
                Err(docker::Error::Podman { asked: true, .. }) => return None,
                answer => answer.map_err(|error| error.to_string()),
            },
        })
    }

    /// What to ask; or why it makes no sense.
    fn usable(&mut self) -> Result<&mut Api, String> {
        match (&mut self.api, &self.strange_pids) {
            (Ok(api), None) => Ok(api),
            (Err(reason), _) => Err(reason.clone()),
            (_, Some(reason)) => Err(reason.clone()),
        }
    }

    /// True if there is something to dial.
    async fn is_there(&mut self) -> bool {
        match &mut self.api {
            Err(_) => false,
            Ok(Api::Docker(docker)) => docker.is_there(),
            Ok(Api::Cri(cri)) => cri.find().await,
        }
    }

    /// Asks the engine for one container or pod, running or not; `None` if it has none that is called so,
    /// or if nobody expects an engine.
    ///
    /// # Errors
    /// One line that says why the engine could not be asked.
    pub(crate) async fn look_up(&mut self, query: &str) -> Result<Option<Found>, String> {
        if !self.expected {
            return Ok(None);
        }
        match self.usable()? {
            Api::Docker(docker) => match docker.look_up(query).await {
                Err(docker::Error::Podman { asked: true, .. }) => Ok(None),
                answer => answer.map(|seen| seen.map(Found::Container)).map_err(|error| error.to_string()),
            },
            Api::Cri(cri) => {
                let seen = cri.look_up(query).await.map_err(|error| error.to_string())?;
                Ok(seen.map(Found::Pod))
            }
        }
    }

    /// Answers the collector whenever it asks, and tells it of the engine's events, until it has stopped.
    pub(crate) async fn follow(mut self, collector: Handle) {
        let Some(asks) = collector.engines.get(&self.runtime) else { return };
        let news = Arc::new(Notify::new());
        if let Ok(Api::Docker(docker)) = self.usable() {
            let address = docker.address().clone();
            tokio::spawn(watch_docker(address, self.runtime, Arc::clone(&news), collector.clone()));
        }
        let mut pods_watched = false;
        let places = TaskPlaces::new(1);
        loop {
            tokio::select! {
                () = asks.notified() => {}
                () = news.notified() => {}
                () = self.moved() => {}
            }
            let begin = Instant::now();
            let answer = self.ask().await;
            // Only now it is known where it is.
            if let Ok(Api::Cri(cri)) = self.usable()
                && let Some(endpoint) = cri.endpoint().filter(|_| !pods_watched)
            {
                tokio::spawn(watch_cri(endpoint.clone(), self.runtime, collector.clone()));
                pods_watched = true;
            }
            let failed = matches!(answer, Input::Claims { answer: Some(Err(_)), .. });
            if collector.inbox.send(Message::Input(answer, places.take().await)).is_err() {
                return;
            }
            let rest = match self.runtime {
                // Its list costs it a millisecond a container, and its events tell when to ask.
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

    /// Waits until the engine may be found elsewhere.
    async fn moved(&self) {
        match &self.api {
            Ok(Api::Docker(docker)) => docker.address().changed().await,
            Ok(Api::Cri(_)) | Err(_) => std::future::pending().await,
        }
    }
}

/// What [`Engine::look_up`] finds.
pub(crate) enum Found {
    Container(Seen),
    Pod(SeenPod),
}

impl Found {
    /// The whole id of the container or of the pod's sandbox.
    pub(crate) fn id(&self) -> &str {
        match self {
            Found::Container(seen) => &seen.id,
            Found::Pod(pod) => &pod.id,
        }
    }
}

/// Has a CRI server asked as soon as its events say that something is new, until the collector has stopped.
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
        // That the server is away is what the list says; one without events is asked for its list at every
        // tick.
        let unserved = matches!(ended, Some(cri::Error::Unserved { .. }));
        tokio::time::sleep(if unserved { NO_EVENTS } else { RETRY }).await;
    }
}

/// Tells the collector what Docker's events mean, until it has stopped: they tell names before the engine
/// can be asked for them.
async fn watch_docker(address: EngineAddress, runtime: Runtime, news: Arc<Notify>, collector: Handle) {
    // The list of all containers is with each: the engine keeps what else it has to tell.
    let places = TaskPlaces::new(TOLD_WAITING);
    loop {
        if let Ok(mut watch) = DockerWatch::begin(address.clone()).await {
            // What has happened before we listened is in the list.
            news.notify_one();
            while let Some(mut told) = watch.news().await {
                if told.containers {
                    news.notify_one();
                }
                for container in std::mem::take(&mut told.dying) {
                    // It fails as the next does.
                    let _ =
                        collector.inbox.send(Message::Input(Input::Dying { container }, places.take().await));
                }
                watch.learn(&mut told).await;
                let (expected, containers) = (watch.expected(), watch.containers());
                let expected = Input::Expected { runtime, expected, containers };
                if told.expected
                    && collector.inbox.send(Message::Input(expected, places.take().await)).is_err()
                {
                    return;
                }
            }
        }
        // That the engine is away is what the list says.
        tokio::time::sleep(RETRY).await;
    }
}
