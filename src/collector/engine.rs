//! The runtimes with a socket, each asked by a thread of its own: one that hangs delays no other.
//!
//! Two tasks serve an engine. One asks for the list: when the state machine wants it (at each tick, and
//! while a young pair has no name), and when an event reports a change. The other follows the events.

mod events;
mod following;
mod pace;

use super::absence::Absence;
use super::pid_guard::PidGuard;
use crate::model::host::Input;
use crate::model::inventory::EngineInventory;
use crate::model::lack::Lack;
use crate::model::workload::{Claims, Runtime};
use crate::runtimes::calls::Calls;
use crate::runtimes::cri::{self, Cri, CriEndpoint, SeenPod};
use crate::runtimes::docker::{self, Docker, DockerHost, EngineAddress, Seen};
use crate::runtimes::process::Processes;
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest wait for what an engine that is asked once has to be asked about after its list.
const LOOK_LIMIT: Duration = Duration::from_secs(20);

/// The times after which an engine is reported to be slow; its answer is waited for all the same.
const SLOW_DOCKER: Duration = Duration::from_secs(5);
const SLOW_CRI: Duration = Duration::from_secs(2);

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
    processes: Processes,
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
        Engine {
            runtime,
            api,
            pids: PidGuard::default(),
            absence: None,
            expected: configured,
            processes: Processes::new(Path::new("/proc")),
        }
    }

    /// Returns the server of the Container Runtime Interface at the endpoint that the user has configured,
    /// else at one of the usual endpoints.
    pub(crate) fn cri(endpoint: Option<CriEndpoint>) -> Engine {
        let expected = endpoint.is_some();
        let api = Ok(Api::Cri(endpoint.map_or_else(Cri::usual, Cri::new)));
        Engine {
            runtime: Runtime::Cri,
            api,
            pids: PidGuard::default(),
            absence: None,
            expected,
            processes: Processes::new(Path::new("/proc")),
        }
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
            processes: Processes::new(Path::new("/proc")),
        }
    }

    /// Marks the engine as not to be asked if the pids that it reports are not those of this procfs.
    #[must_use]
    pub(crate) fn in_pid_namespace_of(mut self, procfs: &Path) -> Engine {
        self.processes = Processes::new(procfs);
        self.pids = PidGuard::new(procfs);
        self
    }

    /// Returns true if the engine is configured, or has been there once.
    pub(crate) fn is_expected(&self) -> bool {
        self.expected
    }

    /// Returns the requests to the engine.
    pub(crate) fn calls(&self) -> Calls {
        match &self.api {
            Ok(Api::Docker(docker)) => docker.address().calls().clone(),
            Ok(Api::Cri(cri)) => cri.calls(),
            Err(_) => Calls::default(),
        }
    }

    /// Returns the runtime of the engine's claims.
    pub(crate) fn runtime(&self) -> Runtime {
        self.runtime
    }

    /// Asks the engine once for its claims; the answer is `None` if the engine is not expected and does not
    /// exist.
    pub(crate) async fn ask(&mut self) -> Input {
        let begin = Instant::now();
        let answer = self.claims(true).await.answer;
        // What is asked once waits for all of it.
        let answer = match answer {
            Some(Ok(_)) => self.gather(LOOK_LIMIT).await.map(Ok),
            answer => answer,
        };
        Input::Claims { runtime: self.runtime, answer, took: begin.elapsed() }
    }

    /// Asks the engine for its claims, and for its networks if they are wanted.
    async fn claims(&mut self, networks: bool) -> Asked {
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
            Ok(Api::Docker(docker)) => match docker.refresh_lists(networks).await {
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

    /// Requests everything that the engine has, running or not; `None` if the engine is not expected. The
    /// addresses of pods are there only if they are wanted.
    ///
    /// # Errors
    /// The reason why the engine could not be asked.
    pub(crate) async fn inventory(&mut self, addresses: bool) -> Result<Option<EngineInventory>, Lack> {
        if !self.expected {
            return Ok(None);
        }
        match self.usable()? {
            Api::Docker(docker) => match docker.inventory().await {
                Err(docker::Error::PassedOn(_)) => Ok(None),
                answer => answer.map(Some).map_err(Lack::from),
            },
            Api::Cri(cri) => cri.inventory(addresses).await.map(Some).map_err(Lack::from),
        }
    }

    /// Returns the claims of what is known by now, after inspections that come late were gathered; `None` for
    /// an engine that cannot be asked.
    async fn gather(&mut self, span: Duration) -> Option<Claims> {
        match self.api.as_mut().ok()? {
            Api::Docker(docker) => {
                docker.inspect_for(span).await;
                Some(docker.claims())
            }
            Api::Cri(cri) => {
                cri.locate_for(span).await;
                Some(cri.claims())
            }
        }
    }

    /// Returns true if everything that the engine lists has been asked about, or is being asked about.
    fn is_complete(&self) -> bool {
        match &self.api {
            Ok(Api::Docker(docker)) => docker.is_complete(),
            Ok(Api::Cri(cri)) => cri.is_complete(),
            Err(_) => true,
        }
    }

    /// Returns the time after which the engine is reported to be slow, and that report.
    fn too_slow(&self) -> (Duration, Lack) {
        match &self.api {
            Ok(Api::Docker(docker)) => (SLOW_DOCKER, docker.too_slow(SLOW_DOCKER).into()),
            Ok(Api::Cri(cri)) => (SLOW_CRI, cri.too_slow(SLOW_CRI).into()),
            Err(lack) => (SLOW_DOCKER, lack.clone()),
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

/// The result of [`Engine::look_up`].
pub(crate) enum LookedUp {
    Container(Seen),
    Pod(SeenPod),
}

#[cfg(test)]
mod tests;
