//! Docker and Podman, which speaks the same API: the network namespace of each container.

mod activation;
mod answers;
mod calls;
mod containers;
mod host;
mod inventory;
mod networks;
mod podman;
#[cfg(test)]
mod tests;
mod transport;
mod watch;

use crate::model::inventory::EngineInventory;
use crate::model::lack::{Lack, LackReason};
use crate::model::text::one_line;
use crate::model::workload::{Claims, GivenAddress, Network, Runtime, RuntimeNetns, Workload};
use crate::runtimes::denied;
pub(crate) use activation::Stopped;
use answers::{Damage, EntryList, Object};
use calls::{ApiPrefixes, CONTAINERS, Caller, INSPECT, NETWORKS, Trouble, VERSION};
pub(crate) use containers::{Attachment, Seen};
use containers::{Attachments, Inspected, ListedContainer};
pub(crate) use host::AddressChanges;
use host::EngineKind;
pub use host::{DockerHost, EngineAddress};
use hyper::body::Bytes;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::error::Error as StdError;
use std::time::Duration;
use std::{fmt, io};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};
use transport::{OverLimit, Transport};
pub use watch::DockerWatch;

/// The time limit of one refresh, from the first dial to the last byte of the lists, and that of one
/// inspection. Engines on slow disks were seen to take 6 s for an answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// The time limit of the list of networks, which containers wait for.
const NETWORKS_DEADLINE: Duration = Duration::from_secs(10);

/// The time for which a refresh waits for inspections. A longer one delays the results of no other:
/// [`Docker::inspected_later`] has it.
const INSPECTION: Duration = Duration::from_secs(1);

/// The limit of one answer in bytes, headers included. The list has 0.8 KB for a plain container and more
/// for one with many labels: 10,000 containers fit. While an answer is read and parsed it is in memory
/// several times.
const LIMIT: u64 = 16 << 20;

/// The number of inspections at a time. An inspection takes the container's lock, which a start or a stop
/// can hold for half a second.
const INSPECTIONS: usize = 8;

/// The path that lists every container with a process, and those that the engine is about to start again:
/// one that is stopped is not sent.
const RUNNING: &str = "/containers/json?filters=\
    %7B%22status%22%3A%5B%22running%22%2C%22paused%22%2C%22restarting%22%5D%7D";

/// The version of Docker's API that Podman answers in, where it may not be asked for it.
const PODMAN_VERSION: &str = "/v1.41";

/// An engine as a source of claims, with the results of its inspections. The source does nothing on its
/// own: each [`refresh`](Docker::refresh) asks the engine for its current state.
#[derive(Debug)]
pub struct Docker {
    address: EngineAddress,
    /// The address that is asked. It is determined anew after a failure.
    host: DockerHost,
    deadline: Duration,
    inspection: Duration,
    limit: u64,
    /// The prefixes of paths for the negotiated API version. `None` before the first refresh and
    /// after a failed one: another engine may have replaced the old one by then.
    version: Option<ApiPrefixes>,
    /// The containers of the last list that have a process, by id, and those that are about to be started
    /// again.
    listed: BTreeMap<String, ListedContainer>,
    restarting: BTreeMap<String, ListedContainer>,
    networks: Vec<Network>,
    /// The engine's own namespaces when they were last compared.
    own_before: Vec<RuntimeNetns>,
    /// Results of inspections, by the container's id, each with the attachments that the list had at the
    /// time.
    inspected: HashMap<String, (Attachments, Inspected)>,
    /// The containers to inspect, and those that are being inspected, with the attachments that are listed.
    wanted: VecDeque<ListedContainer>,
    being_inspected: HashMap<String, Attachments>,
    inspections: JoinSet<(ListedContainer, Result<Value, Trouble>)>,
}

impl Docker {
    /// Creates a source that asks the engine at this address. Nothing is dialled yet.
    pub fn new(address: EngineAddress) -> Docker {
        Docker {
            host: address.host(),
            address,
            deadline: DEADLINE,
            inspection: INSPECTION,
            limit: LIMIT,
            version: None,
            listed: BTreeMap::new(),
            restarting: BTreeMap::new(),
            networks: Vec::new(),
            own_before: Vec::new(),
            inspected: HashMap::new(),
            wanted: VecDeque::new(),
            being_inspected: HashMap::new(),
            inspections: JoinSet::new(),
        }
    }

    /// Returns the runtime that the claims are attributed to.
    pub fn runtime(&self) -> Runtime {
        self.address.kind.runtime()
    }

    /// Returns the address where the engine is expected.
    pub fn address(&self) -> &EngineAddress {
        &self.address
    }

    /// Returns the address that is asked.
    pub(crate) fn host(&self) -> &DockerHost {
        &self.host
    }

    /// Returns true if the address can be dialled.
    pub fn is_there(&self) -> bool {
        self.address.host().is_there()
    }

    /// Returns the running and paused containers and all networks in their current state, sorted.
    ///
    /// While nothing changes a refresh costs two requests. A container that cannot be inspected is left
    /// out, or keeps its last inspection, and is inspected again at the next refresh.
    ///
    /// # Errors
    /// If the engine could not be asked for its containers.
    pub async fn refresh(&mut self) -> Result<Claims, Error> {
        self.refresh_lists(true).await
    }

    /// Does as [`refresh`](Docker::refresh); asks for the networks only if `networks` is true or the engine
    /// has to be connected to.
    ///
    /// # Errors
    /// If the engine could not be asked for its containers.
    pub(crate) async fn refresh_lists(&mut self, networks: bool) -> Result<Claims, Error> {
        // Only a successful refresh puts the version back: see the field.
        let known = self.version.take();
        if known.is_none() {
            self.host = self.address.host();
        }
        let asked = match timeout(self.deadline, self.lists(known, networks)).await {
            Ok(asked) => asked.map_err(|trouble| self.error(trouble)),
            Err(_) => Err(self.too_slow(self.deadline)),
        };
        let (version, listed, networks) = asked.inspect_err(|_| {
            self.inspections.abort_all();
            self.wanted.clear();
        })?;
        self.version = Some(version);
        if let Some(networks) = networks {
            self.networks = networks;
        }
        self.take_list(listed);
        self.inspect_for(self.inspection).await;
        Ok(self.claims())
    }

    /// Waits until an inspection is complete that a refresh has not waited for. May be dropped at any time.
    pub(crate) async fn inspected_later(&mut self) {
        match self.inspections.join_next().await {
            Some(inspection) => self.learn(inspection),
            None => std::future::pending().await,
        }
    }

    /// Returns true if every container that is listed is inspected as it is listed, or is being inspected.
    pub(crate) fn is_complete(&self) -> bool {
        self.address.calls.is_refused(INSPECT)
            || self.listed.values().all(|container| {
                self.is_inspected(container) || self.being_inspected.contains_key(&container.workload.id)
            })
    }

    /// Returns the claims of all containers that are listed and inspected, and of all that are listed if an
    /// inspection is refused.
    pub(crate) fn claims(&self) -> Claims {
        let refused = self.address.calls.is_refused(INSPECT);
        let missing = self
            .listed
            .values()
            .filter(|container| refused && !self.inspected.contains_key(&container.workload.id));
        let of_list: HashMap<&str, Inspected> = missing
            .filter_map(|container| Some((container.workload.id.as_str(), Inspected::of_list(container)?)))
            .collect();
        let known = || {
            self.listed.values().filter_map(|container| {
                let id = container.workload.id.as_str();
                let inspected = self.inspected.get(id).map(|(_, inspected)| inspected);
                Some((&container.workload, inspected.or_else(|| of_list.get(id))?))
            })
        };
        let ids: HashSet<&str> = self.listed.keys().map(String::as_str).collect();
        Claims {
            claims: containers::claims(known()),
            joined: containers::joined(known(), &ids),
            networks: self.networks.clone(),
            given: self.given(),
            vethless: containers::vethless(known(), &self.networks)
                .into_iter()
                .chain(containers::restarting(self.restarting.values()))
                .collect(),
            pod_containers: None,
            limits: self.caller().limits(),
            own: self.own(),
        }
    }

    /// Returns the IPv4 addresses that containers have been given, as far as a list or an inspection has
    /// them.
    fn given(&self) -> Vec<GivenAddress> {
        let listed = self.listed.iter().chain(&self.restarting);
        let listed = listed.map(|(id, container)| (id, &container.given));
        let inspected = self.inspected.iter().filter(|_| self.address.kind == EngineKind::Podman);
        let inspected = inspected.map(|(id, (_, inspected))| (id, &inspected.given));
        let given = listed.chain(inspected).flat_map(|(id, given)| {
            given.iter().map(|(network, address)| GivenAddress {
                network: network.clone(),
                address: *address,
                container: id.clone(),
            })
        });
        let mut given: Vec<GivenAddress> = given.collect();
        given.sort();
        given
    }

    /// Returns the engine's own namespaces.
    fn own(&self) -> Vec<RuntimeNetns> {
        match self.address.kind {
            EngineKind::Docker => containers::own(self.inspected.values().map(|(_, inspected)| inspected)),
            // Podman keeps its namespaces in the folder of the named ones, and none for itself.
            EngineKind::Podman => Vec::new(),
        }
    }

    /// Returns true if the engine's own namespaces differ from those at the last call: no event reports them.
    pub(crate) fn has_other_netns(&mut self) -> bool {
        let own = self.own();
        std::mem::replace(&mut self.own_before, own.clone()) != own
    }

    /// Returns one container by name, id or beginning of an id, running or not, and its attachment.
    ///
    /// # Errors
    /// If the engine could not be asked. A query without a match is no error.
    pub async fn look_up(&self, query: &str) -> Result<Option<Seen>, Error> {
        // The engine allows only these characters in a name; any other could change the path of the
        // request.
        let is_name = query.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if query.is_empty() || !is_name || query.starts_with('.') {
            return Ok(None);
        }
        match timeout(self.deadline, self.see(query)).await {
            Ok(Err(Trouble::Of(bollard::errors::Error::DockerResponseServerError {
                status_code: 404,
                ..
            }))) => Ok(None),
            Ok(seen) => seen.map_err(|trouble| self.error(trouble)),
            Err(_) => Err(self.too_slow(self.deadline)),
        }
    }

    /// Returns all containers and networks, running or not.
    ///
    /// # Errors
    /// If the engine could not be asked.
    pub async fn inventory(&self) -> Result<EngineInventory, Error> {
        let asked = async {
            let version = self.connect().await?;
            inventory::inventory(&self.caller(), &version.docker).await
        };
        match timeout(self.deadline, asked).await {
            Ok(inventory) => inventory.map_err(|trouble| self.error(trouble)),
            Err(_) => Err(self.too_slow(self.deadline)),
        }
    }

    async fn see(&self, query: &str) -> Result<Option<Seen>, Trouble> {
        let version = self.connect().await?.docker;
        let caller = self.caller();
        let path = format!("{version}/containers/{query}/json");
        let (answer, networks) = tokio::try_join!(
            caller.get_json(INSPECT, &path),
            caller.get_unless_refused(NETWORKS, format!("{version}/networks")),
        )?;
        let (damage, networks) = (Damage::default(), networks.unwrap_or_default());
        let driver = |network: Object<'_>| Some((network.text("Name"), network.text("Driver")));
        let drivers = answers::list(&networks, &damage, driver).map(|listed| listed.entries);
        let drivers = drivers.unwrap_or_default().into_iter().collect();
        Ok(Seen::read(Object::new(&answer, &damage), &drivers))
    }

    /// Asks for the containers and, if they are wanted, for the networks; `None` if those are not, or may
    /// not be asked for.
    async fn lists(
        &self,
        known: Option<ApiPrefixes>,
        networks: bool,
    ) -> Result<(ApiPrefixes, EntryList<ListedContainer>, Option<Vec<Network>>), Trouble> {
        let networks = networks || known.is_none();
        let version = match known {
            Some(version) => version,
            None => self.connect().await?,
        };
        let caller = self.caller();
        let [containers_path, networks_path] = match self.address.kind {
            EngineKind::Docker => [RUNNING, "/networks"].map(|path| format!("{}{path}", version.docker)),
            EngineKind::Podman => {
                [podman::CONTAINERS, podman::NETWORKS].map(|path| format!("{}{path}", version.libpod))
            }
        };
        let of_networks = async {
            match networks {
                true => {
                    let answer = caller.get_unless_refused(NETWORKS, networks_path);
                    timeout(NETWORKS_DEADLINE, answer).await.unwrap_or(Err(Trouble::TooSlow))
                }
                false => Ok(None),
            }
        };
        // Networks that cannot be listed take no container along.
        let (containers, networks) = tokio::join!(caller.get(CONTAINERS, &containers_path), of_networks);
        let (read_container, read_network): (ReadContainer, ReadNetwork) = match self.address.kind {
            EngineKind::Docker => (ListedContainer::read, networks::network),
            EngineKind::Podman => (podman::container, podman::network),
        };
        let listed = caller.list(CONTAINERS, &containers?, read_container)?;
        let networks = networks.and_then(|body| {
            let read = |body: Bytes| caller.list(NETWORKS, &body, |entry| Some(read_network(entry)));
            body.map(read).transpose()
        });
        let networks = match networks {
            Ok(networks) => networks.map(|networks| {
                let mut networks: Vec<Network> = networks.entries.into_iter().flatten().collect();
                networks.sort();
                networks
            }),
            Err(trouble) => {
                let damage = Damage::default();
                damage.add(|| self.error(trouble).to_string());
                caller.note_damage(NETWORKS, &damage);
                None
            }
        };
        Ok((version, listed, networks))
    }

    /// Connects: determines the engine's kind and negotiates the API version. Returns the prefixes of paths.
    async fn connect(&self) -> Result<ApiPrefixes, Trouble> {
        if self.address.is_passed_on() {
            return Err(Trouble::OtherKind);
        }
        let caller = self.caller();
        let answer = match caller.get(VERSION, "/version").await {
            // A proxy may allow only paths with a version.
            Err(Trouble::Refused { .. }) => match caller.get_in_newest_version(VERSION, "/version").await {
                Err(Trouble::Refused { status, .. }) => {
                    caller.note_refused(VERSION, Some(status));
                    return self.version_of_list(&caller).await;
                }
                answer => answer?.1,
            },
            answer => answer?,
        };
        caller.note_refused(VERSION, None);
        let answer: Value = serde_json::from_slice(&answer).map_err(bollard::errors::Error::from)?;
        let damage = Damage::default();
        let answer = Object::new(&answer, &damage);
        let parts = answer.list("Components");
        let podman = parts.iter().find(|part| part.text("Name") == "Podman Engine");
        let kind = if podman.is_some() { EngineKind::Podman } else { EngineKind::Docker };
        if self.address.kind == EngineKind::Docker {
            self.address.record_kind(kind);
        }
        if self.address.kind != kind {
            return Err(Trouble::OtherKind);
        }
        caller.calls.note_engine_version(&one_line(&answer.text("Version")));
        let version = agreed(&answer.text("ApiVersion"), &answer.text("MinAPIVersion"))
            .ok_or(bollard::errors::Error::APIVersionParseError {})?;
        let oldest = podman.map(|part| part.object("Details").text("MinAPIVersion"));
        let libpod = podman::prefix(oldest.as_deref().unwrap_or_default());
        Ok(ApiPrefixes { docker: format!("/v{version}"), libpod })
    }

    /// Returns the version in which an engine answers that may not be asked for it.
    async fn version_of_list(&self, caller: &Caller) -> Result<ApiPrefixes, Trouble> {
        let docker = match self.address.kind {
            EngineKind::Docker => {
                let (version, _) =
                    caller.get_in_newest_version(CONTAINERS, "/containers/json?limit=1").await?;
                format!("/v{version}")
            }
            EngineKind::Podman => PODMAN_VERSION.to_owned(),
        };
        Ok(ApiPrefixes { docker, libpod: podman::prefix("") })
    }

    /// Returns the error for an engine of the other kind.
    fn other_kind(&self) -> Error {
        let host = &self.host;
        match self.address.kind {
            EngineKind::Docker if self.address.is_asked() => {
                Error::PassedOn(format!("{host} is Podman, which the source podman asks"))
            }
            EngineKind::Docker => Error::Failed(format!(
                "{host} is another Podman than the one that is asked: name it with --podman.host"
            )),
            EngineKind::Podman => {
                Error::Failed(format!("{host} is not Podman but Docker: name it with --docker.host"))
            }
        }
    }

    /// Returns the error for an engine that did not answer within this time.
    pub(crate) fn too_slow(&self, within: Duration) -> Error {
        Error::TooSlow(format!("{} did not answer within {within:?}", self.host))
    }

    fn caller(&self) -> Caller {
        self.caller_within(self.limit)
    }

    /// Returns a caller of the engine that takes answers of at most this many bytes.
    fn caller_within(&self, limit: u64) -> Caller {
        let listener = self.address.listener.clone();
        let transport = Transport { host: self.host.clone(), limit, listener };
        Caller { transport, calls: self.address.calls.clone(), runtime: self.runtime() }
    }

    /// Takes a list of containers. What is missing in a list that ended early stays as it was.
    fn take_list(&mut self, listed: EntryList<ListedContainer>) {
        if listed.whole {
            self.listed.clear();
            self.restarting.clear();
        }
        for container in listed.entries {
            let id = container.workload.id.clone();
            let (into, other) = match container.restarting {
                true => (&mut self.restarting, &mut self.listed),
                false => (&mut self.listed, &mut self.restarting),
            };
            other.remove(&id);
            into.insert(id, container);
        }
        self.inspected.retain(|id, _| self.listed.contains_key(id));
        // An older inspection stays until the engine has given the new one.
        let missing = self.listed.values().filter(|container| {
            let asked = self.being_inspected.get(&container.workload.id);
            !self.is_inspected(container) && asked != Some(&container.attachments)
        });
        self.wanted = missing.cloned().collect();
    }

    fn is_inspected(&self, container: &ListedContainer) -> bool {
        self.inspected.get(&container.workload.id).is_some_and(|(then, inspected)| {
            *then == container.attachments && inspected.holds_for(&container.attachments)
        })
    }

    /// Inspects the containers that are wanted, as far as the time allows; the rest goes on.
    pub(crate) async fn inspect_for(&mut self, span: Duration) {
        let until = Instant::now() + span;
        loop {
            self.begin_inspections();
            match timeout_at(until, self.inspections.join_next()).await {
                Ok(Some(inspection)) => self.learn(inspection),
                Ok(None) => return,
                Err(_) => {
                    let left = self.inspections.len() + self.wanted.len();
                    tracing::debug!(host = %self.host, left, "inspections take long");
                    return;
                }
            }
        }
    }

    fn begin_inspections(&mut self) {
        let Some(version) = self.version.clone() else { return };
        while self.inspections.len() < INSPECTIONS
            && let Some(container) = self.wanted.pop_front()
        {
            let id = container.workload.id.clone();
            let path = format!("{}/containers/{id}/json", version.docker);
            self.being_inspected.insert(id, container.attachments.clone());
            let (caller, deadline) = (self.caller(), self.deadline);
            self.inspections.spawn(async move {
                let answer = timeout(deadline, caller.get_json(INSPECT, &path)).await;
                (container, answer.unwrap_or(Err(Trouble::TooSlow)))
            });
        }
    }

    fn learn(&mut self, inspection: Result<(ListedContainer, Result<Value, Trouble>), JoinError>) {
        let Ok((ListedContainer { workload, attachments, .. }, answer)) = inspection else {
            // It was aborted with all others.
            self.being_inspected.clear();
            return;
        };
        self.being_inspected.remove(&workload.id);
        let caller = self.caller();
        match answer {
            Ok(answer) => {
                caller.note_refused(INSPECT, None);
                let damage = Damage::default();
                let inspected = Inspected::read(Object::new(&answer, &damage));
                caller.note_damage(INSPECT, &damage);
                match inspected.filter(|_| self.listed.contains_key(&workload.id)) {
                    Some(inspected) => {
                        let before = self.inspected.get(&workload.id);
                        if before.is_some_and(|(_, before)| !before.is_same_process(&inspected)) {
                            self.inspect_joined_again(&workload);
                        }
                        self.inspected.insert(workload.id, (attachments, inspected));
                    }
                    None => _ = self.inspected.remove(&workload.id),
                }
            }
            Err(Trouble::Refused { status, .. }) => {
                caller.note_refused(INSPECT, Some(status));
                self.wanted.clear();
            }
            // The container ended after it was listed, or is just ending.
            Err(Trouble::Of(bollard::errors::Error::DockerResponseServerError {
                status_code: 404 | 409,
                ..
            })) => _ = self.inspected.remove(&workload.id),
            Err(trouble) => {
                let error = self.error(trouble);
                tracing::debug!(container = workload.name, %error, "a container could not be inspected");
            }
        }
    }

    /// Lets the next refresh inspect the containers that were to share the namespace of this one: their own
    /// processes decide whether they do, and the list does not show that those were restarted.
    fn inspect_joined_again(&mut self, target: &Workload) {
        let joined = self.inspected.values_mut().filter(|(_, inspected)| inspected.is_joined_to(target));
        // No list has such attachments.
        joined.for_each(|(then, _)| _ = then.insert(String::new(), Default::default()));
    }

    fn error(&self, trouble: Trouble) -> Error {
        let host = &self.host;
        match trouble {
            Trouble::OtherKind => self.other_kind(),
            Trouble::TooSlow => self.too_slow(self.deadline),
            Trouble::Garbage(reason) => {
                Error::Failed(one_line(&format!("{host} does not speak Docker's API: {reason}")))
            }
            Trouble::Refused { call, status, message } => {
                let (path, setting) = (calls::path(call), calls::setting(call));
                Error::Refused(one_line(&format!(
                    "{host} refused GET {path} ({setting}) with status {status}: {message}"
                )))
            }
            Trouble::Of(error) => self.classify(error),
        }
    }

    fn classify(&self, error: bollard::errors::Error) -> Error {
        use bollard::errors::Error as E;
        let host = &self.host;
        let garbage = |reason: &dyn fmt::Display| self.error(Trouble::Garbage(reason.to_string()));
        let broken = |reason: &dyn fmt::Display| {
            Error::Failed(one_line(&format!("the connection to {host} broke: {reason}")))
        };
        match error {
            E::DockerResponseServerError { status_code, message } => {
                Error::Failed(one_line(&format!("{host} refused with status {status_code}: {message}")))
            }
            // The transport guarantees that this error comes from dialling.
            E::IOError { err } => match err.kind() {
                io::ErrorKind::PermissionDenied => {
                    Error::Denied(denied(host.socket().as_deref(), format!("permission denied at {host}")))
                }
                // A unix socket with a full queue gives this error: a process listens, but does not accept.
                io::ErrorKind::WouldBlock => self.too_slow(self.deadline),
                _ => Error::NotThere(one_line(&format!("no engine at {host}: {err}"))),
            },
            E::HyperResponseError { err } => match io_cause(&err) {
                Some(cause) if cause.get_ref().is_some_and(|inner| inner.is::<OverLimit>()) => {
                    Error::Failed(format!("{host} answered with more than {} bytes", self.limit))
                }
                // An example is a chunk with a length that is no number.
                Some(cause)
                    if matches!(cause.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) =>
                {
                    garbage(cause)
                }
                Some(cause) => broken(cause),
                None if err.is_parse() => garbage(&err),
                None => broken(&err),
            },
            other => garbage(&other),
        }
    }
}

/// Reads an entry of a list of containers, or of networks.
type ReadContainer = fn(Object<'_>) -> Option<ListedContainer>;
type ReadNetwork = fn(Object<'_>) -> Option<Network>;

/// Returns the engine's own API version if it is older than the newest that is known here, else that; an
/// engine that has given that up is asked in the oldest that it still takes.
fn agreed(own: &str, oldest: &str) -> Option<bollard::ClientVersion> {
    let own = calls::version(own)?;
    let newest = *bollard::API_DEFAULT_VERSION;
    let known = if own < newest { own } else { newest };
    // Podman and old engines may name none.
    Some(calls::version(oldest).filter(|oldest| *oldest > known).unwrap_or(known))
}

fn io_cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

/// A failed request to an engine, with the message for the user. The next refresh connects anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No process listens at the address: Docker may not be installed or not be running.
    #[error("{0}")]
    NotThere(String),
    /// Podman listens at Docker's address, and its containers are asked for by the Podman source or not
    /// wanted: no failure.
    #[error("{0}")]
    PassedOn(String),
    /// This user may not write to the socket.
    #[error("{0}")]
    Denied(Lack),
    /// The answer did not come in time.
    #[error("{0}")]
    TooSlow(String),
    /// The engine, or a proxy before it, does not allow the call.
    #[error("{0}")]
    Refused(String),
    /// Every other failure: the engine is asked again at the next tick.
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
            Error::PassedOn(what) | Error::Failed(what) => Lack::failure(what),
        }
    }
}
