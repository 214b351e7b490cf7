//! Kubernetes' pods over the Container Runtime Interface: the network namespace of each pod.
//!
//! containerd, CRI-O and others serve `runtime.v1` by gRPC on a unix socket. A sandbox owns the namespace,
//! the pod's containers are its members.
//!
//! A refresh asks for the lists of sandboxes and containers: at each tick, when a pair has no name yet, and
//! when the server's events report a change. Each sandbox is asked about once, for the process or the file
//! of its namespace.

mod connection;
pub(crate) mod messages;
mod networks;
mod pods;
#[cfg(test)]
mod tests;
mod watch;

use crate::model::inventory::EngineInventory;
use crate::model::lack::{Lack, LackReason};
use crate::model::text::one_line;
use crate::model::workload::Claims;
use crate::runtimes::calls::Calls;
pub use connection::{CriConnection, Question};
use messages::{
    CriContainer, ListContainersRequest, ListPodSandboxRequest, PodSandbox, PodSandboxFilter,
    PodSandboxStatusRequest, PodSandboxStatusResponse, SANDBOX_READY, StateValue, VersionRequest,
};
use pods::{PodAddresses, PodNetns};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
pub(crate) use watch::CriWatch;

/// The time limit of one answer. Servers on slow disks were seen to take 6 s.
const QUESTION: Duration = Duration::from_secs(30);

/// The time for which a refresh waits for requests about single pods. A longer one delays no other pod:
/// [`Cri::located_later`] has it.
const REFRESH: Duration = Duration::from_secs(1);

/// The time after which a server without CRI is asked again, unless its socket changes earlier: CRI may be
/// enabled meanwhile.
const UNSERVED: Duration = Duration::from_secs(60);

/// The number of requests about single pods that are open at a time.
const QUESTIONS: usize = 8;

/// The usual sockets of servers, below /run, in order of confidence. containerd's own socket is last,
/// because it may belong to Docker.
const USUAL_SOCKETS: [&str; 4] =
    ["crio/crio.sock", "k3s/containerd/containerd.sock", "k0s/containerd.sock", "containerd/containerd.sock"];

/// The socket of MicroK8s, which is a snap.
const MICROK8S_SOCKET: &str = "/var/snap/microk8s/common/run/containerd.sock";

/// A server as a source of claims, with the known namespaces of its pods. The source does nothing on its
/// own: each [`refresh`](Cri::refresh) asks for the current state.
#[derive(Debug)]
pub struct Cri {
    /// `None` until a server is found.
    endpoint: Option<CriEndpoint>,
    /// Endpoints that may be the server's.
    candidates: Vec<CriEndpoint>,
    /// Sockets of servers without CRI: the inode, and the time of the last request.
    unserved: HashMap<CriEndpoint, (u64, Instant)>,
    /// The error of a server that may serve CRI but is broken.
    trouble: Option<Error>,
    question: Duration,
    refresh: Duration,
    /// `None` before the first refresh and after a failed one: another server may have replaced the old one
    /// by then.
    connection: Option<CriConnection>,
    /// The pods and containers of the last lists.
    sandboxes: BTreeMap<String, PodSandbox>,
    containers: Vec<CriContainer>,
    /// Namespaces by the sandbox's id. A sandbox never changes its namespace: one that starts again has
    /// another id.
    pod_netns: HashMap<String, PodNetns>,
    /// The sandboxes to ask about, and those that are being asked about.
    unlocated: VecDeque<String>,
    being_located: HashSet<String>,
    locating: JoinSet<(String, Result<PodSandboxStatusResponse, Error>)>,
    /// The last failure of a request about a pod, if none has succeeded since.
    failure: Option<Error>,
    calls: Calls,
}

impl Cri {
    /// Creates a source that asks the server at `endpoint`. Nothing is dialled yet.
    pub fn new(endpoint: CriEndpoint) -> Cri {
        Cri { endpoint: Some(endpoint), ..Cri::looking_at(Vec::new()) }
    }

    /// Creates a source that asks the server at the first of the usual sockets where one answers.
    pub fn usual() -> Cri {
        // On a host /var/run is a link to /run. In the exporter's own container only /var/run may exist.
        let var_run = (!Path::new("/var/run").is_symlink()).then_some("/var/run");
        let folders = ["/run"].into_iter().chain(var_run);
        let sockets = folders.flat_map(|folder| USUAL_SOCKETS.map(|socket| Path::new(folder).join(socket)));
        let microk8s = PathBuf::from(MICROK8S_SOCKET);
        Cri::looking_at([microk8s].into_iter().chain(sockets).map(CriEndpoint).collect())
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
            sandboxes: BTreeMap::new(),
            containers: Vec::new(),
            pod_netns: HashMap::new(),
            unlocated: VecDeque::new(),
            being_located: HashSet::new(),
            locating: JoinSet::new(),
            failure: None,
            calls: Calls::default(),
        }
    }

    /// Returns the server's endpoint; `None` until it is found.
    pub fn endpoint(&self) -> Option<&CriEndpoint> {
        self.endpoint.as_ref()
    }

    /// Returns the sockets where the server may listen: one if its endpoint is known.
    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        self.endpoint
            .as_ref()
            .map_or(&self.candidates[..], std::slice::from_ref)
            .iter()
            .map(|endpoint| endpoint.0.clone())
            .collect()
    }

    /// Returns true if a server may exist, as far as can be determined without a request.
    pub fn may_exist(&self) -> bool {
        self.endpoint.is_some() || self.candidates.iter().any(|candidate| candidate.path().exists())
    }

    /// Searches for a server, unless its endpoint is known. Returns false if there is none: no socket, no
    /// process that listens on it, or a server of another kind. Returns true also for a broken server, of
    /// which [`refresh`](Cri::refresh) then returns the error.
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
                Err(Error::NotThere(_)) => {}
                // Most often this is Docker's containerd, and no pods are missing.
                Err(error @ (Error::Unserved(_) | Error::Denied(_))) => {
                    if self.unserved.insert(candidate, (inode, Instant::now())).is_none() {
                        tracing::info!(%error, "pods, if this server has any, are not named");
                    }
                }
                Err(error) => self.trouble = self.trouble.take().or(Some(error)),
            }
        }
        self.trouble.is_some()
    }

    /// Returns the requests to the server.
    pub(crate) fn calls(&self) -> Calls {
        self.calls.clone()
    }

    /// Returns the pods that are ready and their containers in their current state, sorted. While
    /// nothing changes a refresh costs two requests. A pod without an answer is left out, and requested
    /// again at the next refresh.
    ///
    /// # Errors
    /// If the server could not be asked, or answered about none of the pods that are new.
    pub async fn refresh(&mut self) -> Result<Claims, Error> {
        let lists = self.lists().await.inspect_err(|_| {
            self.locating.abort_all();
            self.unlocated.clear();
        });
        let (connection, sandboxes, containers) = lists?;
        self.connection = Some(connection);
        self.sandboxes = sandboxes.into_iter().map(|sandbox| (sandbox.id.clone(), sandbox)).collect();
        self.containers = containers;
        self.pod_netns.retain(|id, _| self.sandboxes.contains_key(id));
        let known = |id: &String| self.pod_netns.contains_key(id) || self.being_located.contains(id);
        self.unlocated = self.sandboxes.keys().filter(|id| !known(id)).cloned().collect();
        self.failure = None;
        self.locate_for(self.refresh).await;
        match self.failure.take() {
            Some(error) if self.pod_netns.is_empty() => {
                self.connection = None;
                Err(error)
            }
            _ => Ok(self.claims()),
        }
    }

    async fn lists(&mut self) -> Result<(CriConnection, Vec<PodSandbox>, Vec<CriContainer>), Error> {
        let connection = self.connection_to_use().await?;
        let ready = PodSandboxFilter { state: Some(StateValue { state: SANDBOX_READY }) };
        let (sandboxes, containers) = tokio::try_join!(
            connection.list(
                ListPodSandboxRequest { filter: Some(ready) },
                self.question,
                |sandbox: &PodSandbox| &sandbox.id
            ),
            connection
                .list(ListContainersRequest {}, self.question, |container: &CriContainer| { &container.id }),
        )?;
        Ok((connection, sandboxes, containers))
    }

    /// Returns the claims of all pods that are listed and located.
    pub(crate) fn claims(&self) -> Claims {
        let claims = pods::claims(self.sandboxes.values(), &self.containers, &self.pod_netns);
        let vethless = pods::on_host(self.sandboxes.values(), &self.pod_netns);
        let pod_containers = Some(Box::new(pods::started(&self.sandboxes, &self.containers)));
        Claims { claims, vethless, pod_containers, ..Claims::default() }
    }

    /// Waits until a request about a pod is answered that a refresh has not waited for. May be dropped at any
    /// time.
    pub(crate) async fn located_later(&mut self) {
        match self.locating.join_next().await {
            Some(located) => self.learn(located),
            None => std::future::pending().await,
        }
    }

    /// Returns true if every pod that is listed has been asked about, or is being asked about.
    pub(crate) fn is_complete(&self) -> bool {
        let known = |id: &String| self.pod_netns.contains_key(id) || self.being_located.contains(id);
        self.sandboxes.keys().all(known)
    }

    /// Returns the error for a server that did not answer within this time.
    pub(crate) fn too_slow(&self, within: Duration) -> Error {
        match self.endpoint.as_ref().or(self.candidates.first()) {
            Some(endpoint) => connection::too_slow(endpoint, within),
            None => Error::TooSlow(format!("the CRI server did not answer within {within:?}")),
        }
    }

    /// Returns the pod with this name, or `NAMESPACE/NAME`, id or beginning of an id, ready or not.
    ///
    /// # Errors
    /// If the server could not be asked. A query without a match is no error.
    pub async fn look_up(&mut self, query: &str) -> Result<Option<SeenPod>, Error> {
        let connection = self.connection_to_use().await?;
        let listed = connection.ask(ListPodSandboxRequest { filter: None }, self.question).await?;
        let meant = listed.items.into_iter().filter(|sandbox| pods::means(sandbox, query));
        // If a pod's sandbox was made anew, the one that is ready comes first.
        let Some(sandbox) = meant.min_by_key(|sandbox| sandbox.state) else { return Ok(None) };
        let (_, answer) = status_of(connection, sandbox.id.clone(), self.question).await;
        Ok(Some(SeenPod::new(sandbox, &pods::pod_netns(&answer?))))
    }

    /// Returns all pods, ready or not, with their containers, and, if they are wanted, with the addresses
    /// that the server has given to those that are ready: they cost a request for each pod.
    ///
    /// # Errors
    /// If the server could not be asked for its pods.
    pub async fn inventory(&mut self, addresses: bool) -> Result<EngineInventory, Error> {
        let connection = self.connection_to_use().await?;
        let (sandboxes, containers) = tokio::try_join!(
            connection.ask(ListPodSandboxRequest { filter: None }, self.question),
            connection.ask(ListContainersRequest {}, self.question),
        )?;
        let ready = sandboxes.items.iter().filter(|sandbox| addresses && sandbox.state == SANDBOX_READY);
        let ready = ready.map(|sandbox| sandbox.id.clone()).collect();
        let addresses = self.addresses_of(&connection, ready).await;
        self.connection = Some(connection);
        Ok(pods::inventory(sandboxes.items, containers.containers, &addresses))
    }

    /// Returns the addresses that the server has given to these pods, as far as it answers in time.
    async fn addresses_of(&self, connection: &CriConnection, pods: Vec<String>) -> PodAddresses {
        let until = Instant::now() + self.question;
        let (mut pods, mut asked) = (pods.into_iter(), JoinSet::new());
        let mut addresses = PodAddresses::new();
        loop {
            while asked.len() < QUESTIONS
                && let Some(id) = pods.next()
            {
                asked.spawn(status_of(connection.clone(), id, self.question));
            }
            match timeout_at(until, asked.join_next()).await {
                Ok(Some(Ok((id, Ok(answer))))) => _ = addresses.insert(id, pods::addresses(&answer)),
                // The pod may have ended since it was listed.
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return addresses,
            }
        }
    }

    /// Takes the connection out of its field, or opens one. Only a successful use puts the connection back.
    async fn connection_to_use(&mut self) -> Result<CriConnection, Error> {
        match (self.connection.take(), &self.endpoint, &self.trouble) {
            (Some(connection), ..) => Ok(connection),
            (None, Some(endpoint), _) => self.connect(endpoint).await,
            (None, None, Some(trouble)) => Err(trouble.clone()),
            (None, None, None) => Err(Error::NotThere(
                "the CRI server is gone, and no other listens at the usual sockets: name one with --cri.endpoint"
                    .into(),
            )),
        }
    }

    /// Connects, and verifies that the listener is a server of CRI.
    async fn connect(&self, endpoint: &CriEndpoint) -> Result<CriConnection, Error> {
        let connection = CriConnection::open(endpoint, self.question).await?.counted_by(&self.calls);
        let version = connection.ask(VersionRequest::default(), self.question).await?;
        let engine = format!("{} {}", version.runtime_name, version.runtime_version);
        self.calls.note_engine_version(one_line(&engine).trim());
        tracing::debug!(
            %endpoint,
            name = version.runtime_name,
            version = version.runtime_version,
            "a CRI server answers"
        );
        Ok(connection)
    }

    /// Asks about the pods that are not located, as far as the time allows; the rest goes on.
    pub(crate) async fn locate_for(&mut self, span: Duration) {
        let until = Instant::now() + span;
        loop {
            self.begin_locating();
            match timeout_at(until, self.locating.join_next()).await {
                Ok(Some(located)) => self.learn(located),
                Ok(None) => return,
                Err(_) => {
                    let left = self.locating.len() + self.unlocated.len();
                    tracing::debug!(left, "questions about pods take long");
                    return;
                }
            }
        }
    }

    fn begin_locating(&mut self) {
        let Some(connection) = &self.connection else { return };
        while self.locating.len() < QUESTIONS
            && let Some(id) = self.unlocated.pop_front()
        {
            self.being_located.insert(id.clone());
            self.locating.spawn(status_of(connection.clone(), id, self.question));
        }
    }

    fn learn(&mut self, located: Result<(String, Result<PodSandboxStatusResponse, Error>), JoinError>) {
        match located {
            Ok((id, Ok(answer))) => {
                self.being_located.remove(&id);
                if self.sandboxes.contains_key(&id) {
                    self.pod_netns.insert(id, pods::pod_netns(&answer));
                }
            }
            // The pod may have ended since it was listed.
            Ok((id, Err(error))) => {
                self.being_located.remove(&id);
                tracing::debug!(sandbox = id, %error, "a pod could not be asked about");
                self.failure = Some(error);
            }
            // It was aborted with all others.
            Err(_) => self.being_located.clear(),
        }
    }
}

/// Asks about one pod.
async fn status_of(
    connection: CriConnection,
    id: String,
    within: Duration,
) -> (String, Result<PodSandboxStatusResponse, Error>) {
    let question = PodSandboxStatusRequest { pod_sandbox_id: id.clone(), verbose: true };
    let answer = connection.ask(question, within).await;
    (id, answer)
}

/// A pod as the answer to a user's query for its veth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPod {
    /// The id of the pod's sandbox.
    pub id: String,
    /// The Kubernetes namespace of the pod.
    pub namespace: String,
    pub name: String,
    /// True if the pod can run containers.
    pub ready: bool,
    /// True if the pod uses the host's own interfaces.
    pub on_host: bool,
}

impl SeenPod {
    fn new(sandbox: PodSandbox, netns: &PodNetns) -> SeenPod {
        let metadata = sandbox.metadata.unwrap_or_default();
        SeenPod {
            id: sandbox.id,
            namespace: metadata.namespace,
            name: metadata.name,
            ready: sandbox.state == SANDBOX_READY,
            on_host: *netns == PodNetns::Host,
        }
    }
}

/// A failed request to a server, with the message for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No server listens at the endpoint, or at any of the usual ones.
    #[error("{0}")]
    NotThere(String),
    /// This user may not write to the socket (EACCES).
    #[error("{0}")]
    Denied(Lack),
    /// The listener speaks gRPC but does not serve the request: Docker's own containerd has CRI disabled.
    #[error("{0}")]
    Unserved(String),
    /// The answer did not come in time.
    #[error("{0}")]
    TooSlow(String),
    /// The server does not allow the call.
    #[error("{0}")]
    Refused(String),
    /// Every other failure: the server is asked again at the next tick.
    #[error("{0}")]
    Failed(String),
}

impl From<Error> for Lack {
    fn from(error: Error) -> Lack {
        match error {
            Error::NotThere(what) => Lack::new(LackReason::EngineDown, what),
            Error::Denied(lack) => lack,
            Error::TooSlow(what) => Lack::new(LackReason::Timeout, what),
            Error::Refused(what) => Lack::new(LackReason::CallRefused, what),
            Error::Unserved(what) | Error::Failed(what) => Lack::failure(what),
        }
    }
}

/// The unix socket of a server. Parsed from `unix:///PATH`, `unix:PATH` or an absolute path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CriEndpoint(PathBuf);

impl CriEndpoint {
    /// Returns the path of the socket.
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

/// Formats the endpoint in the form that [`CriEndpoint::from_str`] parses.
impl fmt::Display for CriEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix://{}", self.0.display())
    }
}

/// The error for a text that names no [`CriEndpoint`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not unix:///path or /path")]
pub struct BadEndpoint(String);
