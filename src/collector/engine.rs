//! The runtimes that are asked over a socket, each by tasks of its own: one that hangs delays no other.

use super::{Handle, Message};
use crate::model::host::Input;
use crate::model::workload::{Claims, Runtime};
use crate::runtimes;
use crate::runtimes::docker::{Docker, DockerHost, Seen, Watch};
use std::path::Path;
use std::time::{Duration, Instant};

/// An engine is not asked more often than this, however often the state machine wishes.
const PAUSE: Duration = Duration::from_millis(100);

/// Nor, after a failure, more often than this.
const RETRY: Duration = Duration::from_secs(1);

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
}

impl Engine {
    /// The Docker engine at `host`; `configured` if the user named it.
    pub fn docker(host: DockerHost, configured: bool) -> Engine {
        let api = Ok(Api::Docker(Docker::new(host)));
        Engine { runtime: Runtime::Docker, api, strange_pids: None, expected: configured }
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
        self.expected |= self.is_there();
        if !self.expected {
            return None;
        }
        Some(match self.usable() {
            Err(reason) => Err(reason),
            Ok(Api::Docker(docker)) => docker.refresh().await.map_err(|error| error.to_string()),
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
    fn is_there(&self) -> bool {
        match &self.api {
            Err(_) => false,
            Ok(Api::Docker(docker)) => docker.host().is_there(),
        }
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
        match self.usable()? {
            Api::Docker(docker) => docker.look_up(query).await.map_err(|error| error.to_string()),
        }
    }

    /// Answers the collector whenever it asks, and tells it of the engine's events, until it has stopped.
    pub async fn follow(mut self, collector: Handle) {
        let Some(asks) = collector.engines.get(&self.runtime) else { return };
        if let Ok(Api::Docker(docker)) = self.usable() {
            let host = docker.host().clone();
            tokio::spawn(watch_docker(host, self.runtime, collector.clone()));
        }
        loop {
            asks.notified().await;
            let answer = self.ask().await;
            let failed = matches!(answer, Input::Claims { answer: Some(Err(_)), .. });
            if collector.inbox.send(Message::Input(answer)).is_err() {
                return;
            }
            tokio::time::sleep(if failed { RETRY } else { PAUSE }).await;
        }
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
                for container in news.dying {
                    // It fails as the next does.
                    let _ = collector.inbox.send(Message::Input(Input::Dying { container }));
                }
                let (expected, containers) = (watch.expected(), watch.containers());
                let told = Input::Expected { runtime, expected, containers };
                if news.expected && collector.inbox.send(Message::Input(told)).is_err() {
                    return;
                }
            }
        }
        // That the engine is away is what the list says.
        tokio::time::sleep(RETRY).await;
    }
}
