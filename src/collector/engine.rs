//! The runtimes that are asked over a socket, each by tasks of its own: one that hangs delays no other.

use super::{Handle, Message};
use crate::model::host::Input;
use crate::model::workload::{Claims, Runtime};
use crate::runtimes;
use crate::runtimes::docker::{self, Docker, Place, Seen, Watch};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// An engine is not asked more often than this, however often the state machine wishes.
const PAUSE: Duration = Duration::from_millis(100);

/// Nor, after a failure, more often than this.
const RETRY: Duration = Duration::from_secs(1);

/// Where asking is dear and events tell of every change, it rests so many times as long as the answer took, up to the longest.
const REST: u32 = 10;
const LONGEST_REST: Duration = Duration::from_secs(10);

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
    /// Docker or Podman, at this place; `configured` if the user named it.
    pub fn docker(place: Place, configured: bool) -> Engine {
        let docker = Docker::new(place);
        let (runtime, api) = (docker.runtime(), Ok(Api::Docker(docker)));
        Engine { runtime, api, strange_pids: None, expected: configured }
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
    fn is_there(&self) -> bool {
        match &self.api {
            Err(_) => false,
            Ok(Api::Docker(docker)) => docker.is_there(),
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
            Api::Docker(docker) => match docker.look_up(query).await {
                Err(docker::Error::Podman { asked: true, .. }) => Ok(None),
                answer => answer.map_err(|error| error.to_string()),
            },
        }
    }

    /// Answers the collector whenever it asks, and tells it of the engine's events, until it has stopped.
    pub async fn follow(mut self, collector: Handle) {
        let Some(asks) = collector.engines.get(&self.runtime) else { return };
        let news = Arc::new(Notify::new());
        if let Ok(Api::Docker(docker)) = self.usable() {
            let place = docker.place().clone();
            tokio::spawn(watch_docker(place, self.runtime, Arc::clone(&news), collector.clone()));
        }
        loop {
            tokio::select! {
                () = asks.notified() => {}
                () = news.notified() => {}
                () = self.moved() => {}
            }
            let begin = Instant::now();
            let answer = self.ask().await;
            let failed = matches!(answer, Input::Claims { answer: Some(Err(_)), .. });
            if collector.inbox.send(Message::Input(answer)).is_err() {
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
            Ok(Api::Docker(docker)) => docker.place().changed().await,
            Err(_) => std::future::pending().await,
        }
    }
}

/// Tells the collector what Docker's events mean, until it has stopped: they tell names before the engine can be asked
/// for them.
async fn watch_docker(place: Place, runtime: Runtime, news: Arc<Notify>, collector: Handle) {
    loop {
        if let Ok(mut watch) = Watch::begin(place.clone()).await {
            // What has happened before we listened is in the list.
            news.notify_one();
            while let Some(told) = watch.news().await {
                if told.containers {
                    news.notify_one();
                }
                for container in told.dying {
                    // It fails as the next does.
                    let _ = collector.inbox.send(Message::Input(Input::Dying { container }));
                }
                let (expected, containers) = (watch.expected(), watch.containers());
                let expected = Input::Expected { runtime, expected, containers };
                if told.expected && collector.inbox.send(Message::Input(expected)).is_err() {
                    return;
                }
            }
        }
        // That the engine is away is what the list says.
        tokio::time::sleep(RETRY).await;
    }
}
