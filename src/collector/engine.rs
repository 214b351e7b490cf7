//! The runtimes that are asked over a socket, each by tasks of its own: one that hangs delays no other.

use super::{Handle, Message};
use crate::model::host::Input;
use crate::model::workload::{Claims, Runtime};
use crate::runtimes;
use crate::runtimes::cri::{self, Cri, CriEndpoint, SeenPod};
use crate::runtimes::docker::{Docker, DockerHost, Seen, Watch};
use std::path::Path;
use std::time::{Duration, Instant};

/// An engine is not asked more often than this, however often the state machine wishes.
const PAUSE: Duration = Duration::from_millis(100);

/// Nor, after a failure, more often than this.
const RETRY: Duration = Duration::from_secs(1);

/// A CRI server that has no events is asked again for them after this: it may be a newer one by then. containerd
/// 1.6 writes a line to its log each time.
const NO_EVENTS: Duration = Duration::from_secs(600);

/// A runtime's engine, which may not be there, or not yet.
pub struct Engine {
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
    /// The Docker engine at `host`; `configured` if the user named it.
    pub fn docker(host: DockerHost, configured: bool) -> Engine {
        let api = Ok(Api::Docker(Docker::new(host)));
        Engine { runtime: Runtime::Docker, api, strange_pids: None, expected: configured }
    }

    /// The server of the Container Runtime Interface at the endpoint that the user named, else at one of the usual ones.
    pub fn cri(endpoint: Option<CriEndpoint>) -> Engine {
        let expected = endpoint.is_some();
        let api = Ok(Api::Cri(endpoint.map_or_else(Cri::usual, Cri::new)));
        Engine { runtime: Runtime::Cri, api, strange_pids: None, expected }
    }

    /// True if it will tell of pods, unless it turns out that it does not.
    pub fn may_tell_of_pods(&self) -> bool {
        matches!(&self.api, Ok(Api::Cri(cri)) if cri.is_thinkable())
    }

    /// An engine that cannot be asked, because of how it is configured: a source that has failed.
    pub fn unusable(runtime: Runtime, reason: String) -> Engine {
        Engine { runtime, api: Err(reason), strange_pids: None, expected: true }
    }

    /// The same engine, which is not asked if the processes of this procfs are not the host's: what engines tell are
    /// process ids.
    #[must_use]
    pub fn in_pid_namespace_of(mut self, procfs: &Path) -> Engine {
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
    pub fn runtime(&self) -> Runtime {
        self.runtime
    }

    /// Asks once; says nothing of an engine that nobody expects.
    pub async fn ask(&mut self) -> Input {
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
            Ok(Api::Docker(docker)) => docker.refresh().await.map_err(|error| error.to_string()),
            Ok(Api::Cri(cri)) => cri.refresh().await.map_err(|error| error.to_string()),
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
            Ok(Api::Docker(docker)) => docker.host().is_there(),
            Ok(Api::Cri(cri)) => cri.find().await,
        }
    }

    /// Asks the engine for one container or pod, running or not; `None` if it has none that is called so, or if nobody
    /// expects an engine.
    ///
    /// # Errors
    /// One line that says why the engine could not be asked.
    pub async fn look_up(&mut self, query: &str) -> Result<Option<Found>, String> {
        if !self.expected {
            return Ok(None);
        }
        match self.usable()? {
            Api::Docker(docker) => {
                let seen = docker.look_up(query).await.map_err(|error| error.to_string())?;
                Ok(seen.map(Found::Container))
            }
            Api::Cri(cri) => {
                let seen = cri.look_up(query).await.map_err(|error| error.to_string())?;
                Ok(seen.map(Found::Pod))
            }
        }
    }

    /// Answers the collector whenever it asks, and tells it of the engine's events, until it has stopped.
    pub async fn follow(mut self, collector: Handle) {
        let Some(asks) = collector.engines.get(&self.runtime) else { return };
        if let Ok(Api::Docker(docker)) = self.usable() {
            let host = docker.host().clone();
            tokio::spawn(watch_docker(host, self.runtime, collector.clone()));
        }
        let mut pods_watched = false;
        loop {
            asks.notified().await;
            let answer = self.ask().await;
            // Only now it is known where it is.
            if let Ok(Api::Cri(cri)) = self.usable()
                && let Some(endpoint) = cri.endpoint().filter(|_| !pods_watched)
            {
                tokio::spawn(watch_cri(endpoint.clone(), self.runtime, collector.clone()));
                pods_watched = true;
            }
            let failed = matches!(answer, Input::Claims { answer: Some(Err(_)), .. });
            if collector.inbox.send(Message::Input(answer)).is_err() {
                return;
            }
            tokio::time::sleep(if failed { RETRY } else { PAUSE }).await;
        }
    }
}

/// What [`Engine::look_up`] finds.
pub enum Found {
    /// By Docker's API.
    Container(Seen),
    /// By CRI.
    Pod(SeenPod),
}

/// Has a CRI server asked as soon as its events say that something is new, until the collector has stopped.
async fn watch_cri(endpoint: CriEndpoint, runtime: Runtime, collector: Handle) {
    let Some(asks) = collector.engines.get(&runtime) else { return };
    loop {
        let mut ended = None;
        match cri::Watch::begin(&endpoint).await {
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
        // That the server is away is what the list says; one without events is asked for its list at every tick.
        let unserved = matches!(ended, Some(cri::Error::Unserved { .. }));
        tokio::time::sleep(if unserved { NO_EVENTS } else { RETRY }).await;
    }
}

/// Tells the collector what Docker's events mean, until it has stopped: they tell names before the engine can be asked
/// for them.
async fn watch_docker(host: DockerHost, runtime: Runtime, collector: Handle) {
    let Some(asks) = collector.engines.get(&runtime) else { return };
    loop {
        if let Ok(mut watch) = Watch::begin(host.clone()).await {
            // What has happened before we listened is in the list.
            asks.notify_one();
            while let Some(news) = watch.news().await {
                if news.containers {
                    asks.notify_one();
                }
                let told = Input::Expected { runtime, expected: watch.expected() };
                if news.expected && collector.inbox.send(Message::Input(told)).is_err() {
                    return;
                }
            }
        }
        // That the engine is away is what the list says.
        tokio::time::sleep(RETRY).await;
    }
}
