//! Kubernetes' pods, asked over the Container Runtime Interface: which pod is in which network namespace.
//!
//! containerd, CRI-O and others serve `runtime.v1` by gRPC on a unix socket. A sandbox owns the namespace,
//! the pod's containers are its members.

mod connection;
pub(crate) mod messages;
mod pods;
#[cfg(test)]
mod tests;
mod watch;

use crate::model::workload::Claims;
pub use connection::{Connection, Question};
use messages::{
    CONTAINER_RUNNING, Container, ContainerFilter, ListContainersRequest, ListPodSandboxRequest, PodSandbox,
    PodSandboxFilter, PodSandboxStatusRequest, SANDBOX_READY, State, VersionRequest,
};
use pods::Place;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
pub(crate) use watch::Watch;

/// The time that one answer may take.
const QUESTION: Duration = Duration::from_secs(2);

/// For all that one refresh asks of single pods; those that are left are asked about at the next.
const REFRESH: Duration = Duration::from_secs(5);

/// A socket whose server has no CRI is asked again after this, or when it is another: CRI may be switched
/// on meanwhile.
const UNSERVED: Duration = Duration::from_secs(60);

/// OpenRequests about single pods that are under way at once.
const QUESTIONS: usize = 8;

/// Where servers listen that nobody has named, below /run, the surest first: containerd itself may be
/// Docker's.
const USUAL_SOCKETS: [&str; 4] =
    ["crio/crio.sock", "k3s/containerd/containerd.sock", "k0s/containerd.sock", "containerd/containerd.sock"];

/// A server, and what is known of its pods. It does nothing on its own: each [`refresh`](Cri::refresh) asks
/// how things are now.
#[derive(Debug)]
pub struct Cri {
    /// Where it is, once that is known.
    endpoint: Option<CriEndpoint>,
    /// Where to look for it.
    candidates: Vec<CriEndpoint>,
    /// Sockets whose server has no CRI: the inode, and when it was asked.
    unserved: HashMap<CriEndpoint, (u64, Instant)>,
    /// What was wrong where somebody listens who may be it.
    trouble: Option<Error>,
    question: Duration,
    refresh: Duration,
    /// `None` before the first refresh, and after one that failed: the server may be another one by then.
    connection: Option<Connection>,
    /// By the sandbox's id. A sandbox never moves: one that starts again has another id.
    places: HashMap<String, Place>,
}

impl Cri {
    /// A source that asks the server at `endpoint`. Nothing is dialled yet.
    pub fn new(endpoint: CriEndpoint) -> Cri {
        Cri { endpoint: Some(endpoint), ..Cri::looking_at(Vec::new()) }
    }

    /// A source that asks the server at the first of the usual sockets where one answers.
    pub fn usual() -> Cri {
        // On a host it is a link to /run; in a container of our own it may be the only one of both.
        let var_run = (!Path::new("/var/run").is_symlink()).then_some("/var/run");
        let folders = ["/run"].into_iter().chain(var_run);
        let sockets = folders.flat_map(|folder| USUAL_SOCKETS.map(|socket| Path::new(folder).join(socket)));
        Cri::looking_at(sockets.map(CriEndpoint).collect())
    }

    fn looking_at(candidates: Vec<CriEndpoint>) -> Cri {
        Cri {
            endpoint: None,
            candidates,
            unserved: HashMap::new(),
            trouble: None,
            question: QUESTION,
            refresh: REFRESH,
            connection: None,
            places: HashMap::new(),
        }
    }

    /// Where it asks, once that is known.
    pub fn endpoint(&self) -> Option<&CriEndpoint> {
        self.endpoint.as_ref()
    }

    /// True if somebody may answer, as far as can be said without asking.
    pub fn is_thinkable(&self) -> bool {
        self.endpoint.is_some() || self.candidates.iter().any(|candidate| candidate.path().exists())
    }

    /// Looks for a server, unless it is known where it is. False if there is none: no socket, nobody behind
    /// it, or somebody else. True also if there is one that is broken, which [`refresh`](Cri::refresh) then
    /// says.
    pub async fn find(&mut self) -> bool {
        if self.endpoint.is_some() {
            return true;
        }
        self.trouble = None;
        for candidate in self.candidates.clone() {
            let Ok(socket) = candidate.path().metadata() else { continue };
            let inode = socket.ino();
            let asked = self.unserved.get(&candidate).filter(|(was, _)| *was == inode);
            if asked.is_some_and(|(_, at)| at.elapsed() < UNSERVED) {
                continue;
            }
            match self.connect(&candidate).await {
                Ok(connection) => {
                    self.connection = Some(connection);
                    self.endpoint = Some(candidate);
                    return true;
                }
                Err(Error::NotThere { .. }) => {}
                // Most often it is Docker's containerd, and no pods are missed.
                Err(error @ (Error::Unserved { .. } | Error::Denied { .. })) => {
                    if self.unserved.insert(candidate, (inode, Instant::now())).is_none() {
                        tracing::info!(%error, "should there be pods, they are not named");
                    }
                }
                Err(error) => self.trouble = self.trouble.take().or(Some(error)),
            }
        }
        self.trouble.is_some()
    }

    /// The pods that are ready and their running containers, as they are now; sorted. While nothing changes
    /// this costs two requests. A pod that cannot be asked about is left out, and asked about again at the
    /// next refresh.
    ///
    /// # Errors
    /// If the server could not be asked, or said nothing about any of the pods that are new.
    pub async fn refresh(&mut self) -> Result<Claims, Error> {
        let until = Instant::now() + self.refresh;
        let connection = self.connection_to_use().await?;
        let ready = PodSandboxFilter { state: Some(State { state: SANDBOX_READY }) };
        let running = ContainerFilter { state: Some(State { state: CONTAINER_RUNNING }) };
        let (sandboxes, containers) = tokio::try_join!(
            connection.ask(ListPodSandboxRequest { filter: Some(ready) }, self.question),
            connection.ask(ListContainersRequest { filter: Some(running) }, self.question),
        )?;
        let (sandboxes, containers): (Vec<PodSandbox>, Vec<Container>) =
            (sandboxes.items, containers.containers);
        self.locate(&connection, &sandboxes, until).await?;
        self.connection = Some(connection);
        Ok(Claims { claims: pods::claims(sandboxes, containers, &self.places), ..Claims::default() })
    }

    /// The pod with this name, or `NAMESPACE/NAME`, or id or beginning of an id, ready or not.
    ///
    /// # Errors
    /// If the server could not be asked. That it has no such pod is none.
    pub async fn look_up(&mut self, query: &str) -> Result<Option<SeenPod>, Error> {
        let connection = self.connection_to_use().await?;
        let listed = connection.ask(ListPodSandboxRequest { filter: None }, self.question).await?;
        let mut meant: Vec<PodSandbox> =
            listed.items.into_iter().filter(|sandbox| pods::means(sandbox, query)).collect();
        // Of a pod whose sandbox was made anew the one that lives.
        meant.sort_by_key(|sandbox| sandbox.state);
        let Some(sandbox) = meant.into_iter().next() else { return Ok(None) };
        let question = PodSandboxStatusRequest { pod_sandbox_id: sandbox.id.clone(), verbose: true };
        let place = pods::place(&connection.ask(question, self.question).await?);
        Ok(Some(SeenPod::new(sandbox, &place)))
    }

    /// It comes back only from what has succeeded: see the field.
    async fn connection_to_use(&mut self) -> Result<Connection, Error> {
        match (self.connection.take(), &self.endpoint, &self.trouble) {
            (Some(connection), ..) => Ok(connection),
            (None, Some(endpoint), _) => self.connect(endpoint).await,
            (None, None, Some(trouble)) => Err(trouble.clone()),
            (None, None, None) => Err(Error::Lost),
        }
    }

    /// Connects, and makes sure that it is a server of CRI.
    async fn connect(&self, endpoint: &CriEndpoint) -> Result<Connection, Error> {
        let connection = Connection::open(endpoint, self.question).await?;
        let version = connection.ask(VersionRequest::default(), self.question).await?;
        tracing::debug!(
            %endpoint,
            name = version.runtime_name,
            version = version.runtime_version,
            "a CRI server answers"
        );
        Ok(connection)
    }

    /// Asks where those pods are of which it is not known, as far as the time allows.
    async fn locate(
        &mut self,
        connection: &Connection,
        sandboxes: &[PodSandbox],
        until: Instant,
    ) -> Result<(), Error> {
        let listed: HashSet<&str> = sandboxes.iter().map(|sandbox| sandbox.id.as_str()).collect();
        self.places.retain(|id, _| listed.contains(id.as_str()));
        let unknown: Vec<String> =
            listed.into_iter().filter(|&id| !self.places.contains_key(id)).map(str::to_owned).collect();
        let mut unknown = unknown.into_iter();
        let mut asked = JoinSet::new();
        let (mut answers, mut failure) = (0, None);
        loop {
            for id in unknown.by_ref().take(QUESTIONS - asked.len()) {
                let (connection, within) = (connection.clone(), self.question);
                asked.spawn(async move {
                    let question = PodSandboxStatusRequest { pod_sandbox_id: id.clone(), verbose: true };
                    let answer = connection.ask(question, within).await;
                    (id, answer)
                });
            }
            match timeout_at(until, asked.join_next()).await {
                Ok(Some(Ok((id, Ok(answer))))) => {
                    answers += 1;
                    self.places.insert(id, pods::place(&answer));
                }
                // It may have ended since it was listed.
                Ok(Some(Ok((id, Err(error))))) => {
                    tracing::debug!(sandbox = id, %error, "a pod could not be asked about");
                    failure = Some(error);
                }
                Ok(Some(Err(error))) => tracing::debug!(%error, "a question about a pod broke off"),
                Ok(None) => break,
                Err(_) => {
                    let left = asked.len() + unknown.len();
                    tracing::debug!(left, "no time left to ask about all pods");
                    break;
                }
            }
        }
        match failure {
            Some(error) if answers == 0 && self.places.is_empty() => Err(error),
            _ => Ok(()),
        }
    }
}

/// A pod as one sees it who looks for its veth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPod {
    /// The id of its sandbox.
    pub id: String,
    /// The Kubernetes namespace of the pod.
    pub namespace: String,
    pub name: String,
    /// It can run containers.
    pub ready: bool,
    /// It uses the host's own interfaces.
    pub on_host: bool,
}

impl SeenPod {
    fn new(sandbox: PodSandbox, place: &Place) -> SeenPod {
        let metadata = sandbox.metadata.unwrap_or_default();
        SeenPod {
            id: sandbox.id,
            namespace: metadata.namespace,
            name: metadata.name,
            ready: sandbox.state == SANDBOX_READY,
            on_host: *place == Place::Host,
        }
    }
}

/// Why a server could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing answers there: no socket, or nobody behind it.
    #[error("nobody answers at {endpoint}: {reason}")]
    NotThere {
        /// Where it was looked for.
        endpoint: CriEndpoint,
        /// The system's word for it.
        reason: String,
    },
    /// The server that was broken is gone, and no other has come.
    #[error("there was a CRI server, and it is gone")]
    Lost,
    /// The socket exists, but this user may not write to it (EACCES).
    #[error("permission denied at {endpoint}: it takes root or the group of the socket")]
    Denied {
        /// Where access is missing.
        endpoint: CriEndpoint,
    },
    /// Somebody answers by gRPC, and does not serve this: Docker's own containerd has CRI switched off.
    #[error("{endpoint} does not serve CRI's runtime.v1")]
    Unserved {
        /// The server that was asked.
        endpoint: CriEndpoint,
    },
    /// The server takes connections, and does not answer in time.
    #[error("{endpoint} did not answer within {deadline:?}")]
    TooSlow {
        /// The server that was asked.
        endpoint: CriEndpoint,
        /// How long it was waited for.
        deadline: Duration,
    },
    /// One message was longer than anything a server has to say.
    #[error("{endpoint} answered with more than {limit} bytes")]
    TooLarge {
        /// The server that was asked.
        endpoint: CriEndpoint,
        /// How much would have been taken.
        limit: usize,
    },
    /// The server said no, or what came is no answer.
    #[error("asking {endpoint} failed: {reason}")]
    Failed {
        /// The server that was asked.
        endpoint: CriEndpoint,
        /// The server's explanation, or what was wrong with it.
        reason: String,
    },
}

/// The unix socket that a server listens on. Parsed from `unix:///PATH`, `unix:PATH` or an absolute path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CriEndpoint(PathBuf);

impl CriEndpoint {
    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for CriEndpoint {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<CriEndpoint, BadEndpoint> {
        let path = match text.strip_prefix("unix:") {
            Some(path) => path.strip_prefix("//").unwrap_or(path),
            None => text,
        };
        if path.starts_with('/') { Ok(CriEndpoint(path.into())) } else { Err(BadEndpoint(text.to_owned())) }
    }
}

/// In the form that it is parsed from.
impl fmt::Display for CriEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix://{}", self.0.display())
    }
}

/// A text that names no [`CriEndpoint`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not unix:///path or /path")]
pub struct BadEndpoint(String);
