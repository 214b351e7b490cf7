//! Docker and Podman, which speaks the same API: the network namespace of each container.

mod containers;
mod host;
mod podman;
#[cfg(test)]
mod tests;
mod transport;
mod watch;

use super::denied;
use crate::model::lack::{Lack, LackReason};
use crate::model::text::one_line;
use crate::model::workload::{Claims, Network, Runtime};
use bollard::query_parameters::{ListContainersOptions, ListNetworksOptions};
pub(crate) use containers::{Attachment, Seen};
use containers::{Attachments, Inspected, ListedContainer};
pub(crate) use host::AddressChanges;
use host::EngineKind;
pub use host::{DockerHost, EngineAddress};
use std::collections::{HashMap, HashSet};
use std::error::Error as StdError;
use std::time::Duration;
use std::{fmt, io};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use transport::{Limit, OverLimit, Transport};
pub use watch::DockerWatch;

/// The time limit of one refresh, from the first dial to the last byte.
const DEADLINE: Duration = Duration::from_secs(5);

/// The time limit of one inspection. A longer one would delay the results of all the others.
const INSPECTION: Duration = Duration::from_secs(1);

/// The limit of one answer in bytes, headers included. The list has 0.8 KB for a plain container and more
/// for one with many labels: 10,000 containers fit. While an answer is read and parsed it is in memory
/// several times.
const LIMIT: u64 = 16 << 20;

/// The number of inspections at a time. An inspection takes the container's lock, which a start or a stop
/// can hold for half a second.
const INSPECTIONS: usize = 8;

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
    /// The client for the negotiated API version. `None` before the first refresh and after a failed one:
    /// another engine may have replaced the old one by then.
    engine: Option<bollard::Docker>,
    /// Results of inspections, by the container's id, each with the attachments that the list had at the
    /// time.
    inspected: HashMap<String, (Attachments, Inspected)>,
}

impl Docker {
    /// Creates a source that asks the engine at this address. Nothing is dialled yet.
    pub fn new(address: EngineAddress) -> Docker {
        let (deadline, inspection, limit) = (DEADLINE, INSPECTION, LIMIT);
        let host = address.host();
        let inspected = HashMap::new();
        Docker { address, host, deadline, inspection, limit, engine: None, inspected }
    }

    /// Returns the runtime that the claims are attributed to.
    pub fn runtime(&self) -> Runtime {
        match self.address.kind {
            EngineKind::Docker => Runtime::Docker,
            EngineKind::Podman => Runtime::Podman,
        }
    }

    /// Returns the address where the engine is expected.
    pub fn address(&self) -> &EngineAddress {
        &self.address
    }

    /// Returns true if the address can be dialled.
    pub fn is_there(&self) -> bool {
        self.address.host().is_there()
    }

    /// Returns the running and paused containers and all networks in their current state, sorted. Takes 5
    /// seconds at most.
    ///
    /// While nothing changes a refresh costs two requests. A container that cannot be inspected is left
    /// out, or keeps its last inspection, and is inspected again at the next refresh.
    ///
    /// # Errors
    /// If the engine could not be asked for its containers and networks.
    pub async fn refresh(&mut self) -> Result<Claims, Error> {
        let until = Instant::now() + self.deadline;
        // Only a successful refresh puts the client back: see the field.
        let known = self.engine.take();
        if known.is_none() {
            self.host = self.address.host();
        }
        let (engine, listed, networks) = match timeout_at(until, self.list(known)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(Trouble::OtherKind)) => return Err(self.other_kind()),
            Ok(Err(Trouble::Of(error))) => return Err(self.classify(error)),
            Err(_) => return Err(self.too_slow(self.deadline)),
        };
        self.inspect(&engine, &listed, until).await;
        self.engine = Some(engine);
        let known = listed.iter().filter_map(|container| {
            let (_, inspected) = self.inspected.get(&container.workload.id)?;
            Some((&container.workload, inspected))
        });
        Ok(Claims {
            claims: containers::claims(known),
            networks,
            limits: Vec::new(),
            own: match self.address.kind {
                EngineKind::Docker => {
                    containers::own(self.inspected.values().map(|(_, inspected)| inspected))
                }
                // Podman keeps its namespaces in the folder of the named ones, and none for itself.
                EngineKind::Podman => Vec::new(),
            },
        })
    }

    /// Returns one container by name, id or the beginning of an id, running or not, and its attachment.
    ///
    /// # Errors
    /// If the engine could not be asked. A query without a match is no error.
    pub async fn look_up(&self, query: &str) -> Result<Option<Seen>, Error> {
        // The engine allows only these characters in a name; any other could change the path of the
        // request.
        if !query.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) || query.starts_with('.')
        {
            return Ok(None);
        }
        let until = Instant::now() + self.deadline;
        match timeout_at(until, self.see(query)).await {
            Ok(Ok(seen)) => Ok(seen),
            Ok(Err(Trouble::OtherKind)) => Err(self.other_kind()),
            Ok(Err(Trouble::Of(bollard::errors::Error::DockerResponseServerError {
                status_code: 404,
                ..
            }))) => Ok(None),
            Ok(Err(Trouble::Of(error))) => Err(self.classify(error)),
            Err(_) => Err(self.too_slow(self.deadline)),
        }
    }

    async fn see(&self, query: &str) -> Result<Option<Seen>, Trouble> {
        let engine = self.connect().await?;
        let (answer, networks) = tokio::try_join!(
            engine.inspect_container(query, None),
            engine.list_networks(None::<ListNetworksOptions>),
        )?;
        Ok(Seen::read(answer, &networks))
    }

    async fn list(
        &self,
        engine: Option<bollard::Docker>,
    ) -> Result<(bollard::Docker, Vec<ListedContainer>, Vec<Network>), Trouble> {
        let engine = match engine {
            Some(engine) => engine,
            None => self.connect().await?,
        };
        if self.address.kind == EngineKind::Podman {
            let transport = self.transport(String::new());
            let (listed, networks) =
                tokio::try_join!(podman::containers(&transport), podman::networks(&transport))?;
            return Ok((engine, listed, networks));
        }
        // A list of all states is no option: one container in a state that bollard does not know fails the
        // whole list.
        let states = vec!["running".to_owned(), "paused".to_owned()];
        let options = ListContainersOptions {
            filters: Some(HashMap::from([("status".to_owned(), states)])),
            ..Default::default()
        };
        let (containers, networks) = tokio::try_join!(
            engine.list_containers(Some(options)),
            engine.list_networks(None::<ListNetworksOptions>),
        )?;
        let listed = containers.into_iter().filter_map(ListedContainer::read).collect();
        Ok((engine, listed, containers::networks(networks)))
    }

    /// Connects: determines the engine's kind and negotiates the API version.
    async fn connect(&self) -> Result<bollard::Docker, Trouble> {
        if self.address.is_passed_on() {
            return Err(Trouble::OtherKind);
        }
        let version = self.client(String::new(), bollard::API_DEFAULT_VERSION)?.version().await?;
        let components = version.components.unwrap_or_default();
        let podman = components.iter().any(|component| component.name == "Podman Engine");
        let kind = if podman { EngineKind::Podman } else { EngineKind::Docker };
        if self.address.kind == EngineKind::Docker {
            self.address.record_kind(kind);
        }
        if self.address.kind != kind {
            return Err(Trouble::OtherKind);
        }
        let version = agreed(&version.api_version.unwrap_or_default())
            .ok_or(bollard::errors::Error::APIVersionParseError {})?;
        Ok(self.client(format!("/v{version}"), &version)?)
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
    fn too_slow(&self, within: Duration) -> Error {
        Error::TooSlow(format!("{} did not answer within {within:?}", self.host))
    }

    fn transport(&self, prefix: String) -> Transport {
        Transport { host: self.host.clone(), limit: Limit::InAll(self.limit), prefix }
    }

    fn client(
        &self,
        prefix: String,
        version: &bollard::ClientVersion,
    ) -> Result<bollard::Docker, bollard::errors::Error> {
        client(self.transport(prefix), version)
    }

    /// Creates a client for the engine's stream of events, with the negotiated version and a limit of its
    /// own.
    fn listener(&self, engine: &bollard::Docker, limit: Limit) -> Result<bollard::Docker, Error> {
        let version = engine.client_version();
        let transport = Transport { limit, ..self.transport(format!("/v{version}")) };
        client(transport, &version).map_err(|error| self.classify(error))
    }

    /// Updates `self.inspected` to the list, as far as the time allows.
    async fn inspect(&mut self, engine: &bollard::Docker, listed: &[ListedContainer], until: Instant) {
        let listed_ids: HashSet<&str> = listed.iter().map(|c| c.workload.id.as_str()).collect();
        self.inspected.retain(|id, _| listed_ids.contains(id.as_str()));
        let known = |container: &ListedContainer| {
            self.inspected.get(&container.workload.id).is_some_and(|(then, inspected)| {
                *then == container.attachments && inspected.holds_for(&container.attachments)
            })
        };
        // An older inspection stays until the engine has given the new one.
        let missing: Vec<ListedContainer> =
            listed.iter().filter(|container| !known(container)).cloned().collect();
        let mut missing = missing.into_iter();
        let mut asked = JoinSet::new();
        loop {
            for container in missing.by_ref().take(INSPECTIONS - asked.len()) {
                let engine = engine.clone();
                let until = until.min(Instant::now() + self.inspection);
                asked.spawn(async move {
                    let answer =
                        timeout_at(until, engine.inspect_container(&container.workload.id, None)).await;
                    (container, answer)
                });
            }
            match timeout_at(until, asked.join_next()).await {
                Ok(Some(Ok((container, Ok(answer))))) => self.learn(container, answer),
                Ok(Some(Ok((container, Err(_))))) => {
                    tracing::debug!(
                        container = container.workload.name,
                        "the inspection of a container hangs"
                    );
                }
                Ok(Some(Err(error))) => tracing::debug!(%error, "inspection of a container broke off"),
                Ok(None) => return,
                Err(_) => {
                    let left = asked.len() + missing.len();
                    tracing::debug!(host = %self.host, left, "no time left to inspect all containers");
                    return;
                }
            }
        }
    }

    fn learn(
        &mut self,
        container: ListedContainer,
        answer: Result<bollard::models::ContainerInspectResponse, bollard::errors::Error>,
    ) {
        let ListedContainer { workload, attachments } = container;
        match answer {
            Ok(answer) => match Inspected::read(answer) {
                Some(inspected) => _ = self.inspected.insert(workload.id, (attachments, inspected)),
                None => _ = self.inspected.remove(&workload.id),
            },
            // The container ended after it was listed, or is just ending.
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) => {
                self.inspected.remove(&workload.id);
            }
            Err(error) => {
                let error = self.classify(error);
                tracing::debug!(container = workload.name, %error, "a container could not be inspected");
            }
        }
    }

    fn classify(&self, error: bollard::errors::Error) -> Error {
        use bollard::errors::Error as E;
        let host = &self.host;
        let garbage = |reason: &dyn fmt::Display| {
            Error::Failed(one_line(&format!("{host} does not speak Docker's API: {reason}")))
        };
        let broken = |reason: &dyn fmt::Display| {
            Error::Failed(one_line(&format!("the connection to {host} broke: {reason}")))
        };
        match error {
            E::DockerResponseServerError { status_code, message } => {
                let what = one_line(&format!("{host} refused with status {status_code}: {message}"));
                if matches!(status_code, 401 | 403) { Error::Refused(what) } else { Error::Failed(what) }
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

fn client(
    transport: Transport,
    version: &bollard::ClientVersion,
) -> Result<bollard::Docker, bollard::errors::Error> {
    // No timeout of bollard is set: it would not cover the body, and the deadline of the refresh covers
    // everything.
    bollard::Docker::connect_with_custom_transport(
        move |request| transport.clone().send(request),
        Some("http://docker"),
        u64::MAX,
        version,
    )
}

/// Returns the engine's own API version if bollard knows it, else the newest version that bollard knows.
fn agreed(own: &str) -> Option<bollard::ClientVersion> {
    let (major, minor) = own.split_once('.')?;
    let own =
        bollard::ClientVersion { major_version: major.parse().ok()?, minor_version: minor.parse().ok()? };
    let newest = *bollard::API_DEFAULT_VERSION;
    Some(if own < newest { own } else { newest })
}

/// A failed attempt to ask an engine of the expected kind.
enum Trouble {
    /// The engine is of the other kind.
    OtherKind,
    Of(bollard::errors::Error),
}

impl From<bollard::errors::Error> for Trouble {
    fn from(error: bollard::errors::Error) -> Trouble {
        Trouble::Of(error)
    }
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
