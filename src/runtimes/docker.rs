//! Docker, and who speaks its API: which container is in which network namespace.

mod containers;
mod host;
mod podman;
#[cfg(test)]
mod tests;
mod transport;
mod watch;

use crate::model::text::one_line;
use crate::model::workload::{Claims, Network, Runtime};
use bollard::query_parameters::{ListContainersOptions, ListNetworksOptions};
pub(crate) use containers::{Attachment, Seen};
use containers::{Attachments, Inspected, Listed};
use host::Kind;
pub use host::{DockerHost, Place};
use std::collections::{HashMap, HashSet};
use std::error::Error as StdError;
use std::io;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use transport::{Limit, OverLimit, Transport};
pub use watch::Watch;

/// For one refresh, from the first dial to the last byte.
const DEADLINE: Duration = Duration::from_secs(5);

/// For one inspection. One that hangs would hold up what all the others have told.
const INSPECTION: Duration = Duration::from_secs(1);

/// For one answer, headers included. The list has 0.8 KB for a plain container, with many labels some more:
/// 10,000 fit. While it is read and understood it is in memory several times.
const LIMIT: u64 = 16 << 20;

/// Inspections under way at once. An inspection takes the container's lock, which a start or a stop can hold
/// for half a second.
const INSPECTIONS: usize = 8;

/// An engine, and what is known of its containers. It does nothing on its own: each
/// [`refresh`](Docker::refresh) asks the engine how things are now.
#[derive(Debug)]
pub struct Docker {
    place: Place,
    /// Where it asks: it is looked up anew after a failure.
    host: DockerHost,
    deadline: Duration,
    inspection: Duration,
    limit: u64,
    /// The engine in the version agreed on; `None` before the first refresh, and after one that failed: the
    /// engine may be another one by then.
    engine: Option<bollard::Docker>,
    /// By the container's id: what its inspection told, and how the list showed it then.
    inspected: HashMap<String, (Attachments, Inspected)>,
}

impl Docker {
    /// A source that asks the engine at this place. Nothing is dialled yet.
    pub fn new(place: Place) -> Docker {
        let (deadline, inspection, limit) = (DEADLINE, INSPECTION, LIMIT);
        let host = place.host();
        let inspected = HashMap::new();
        Docker { place, host, deadline, inspection, limit, engine: None, inspected }
    }

    /// Whose claims it makes.
    pub fn runtime(&self) -> Runtime {
        match self.place.kind {
            Kind::Docker => Runtime::Docker,
            Kind::Podman => Runtime::Podman,
        }
    }

    /// Returns where the engine is looked for.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// True if there is something to dial.
    pub fn is_there(&self) -> bool {
        self.place.host().is_there()
    }

    /// The running and paused containers and all networks, as they are now; sorted. Takes 5 seconds at
    /// most.
    ///
    /// While nothing changes this costs two requests. A container that cannot be inspected is left out, or
    /// shown as it was before, and asked about again at the next refresh.
    ///
    /// # Errors
    /// If the engine could not be asked for its containers and networks.
    pub async fn refresh(&mut self) -> Result<Claims, Error> {
        let until = Instant::now() + self.deadline;
        // It comes back only from a refresh that succeeded: see the field.
        let known = self.engine.take();
        if known.is_none() {
            self.host = self.place.host();
        }
        let (engine, listed, networks) = match timeout_at(until, self.list(known)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(Trouble::OtherKind)) => return Err(self.other_kind()),
            Ok(Err(Trouble::Of(error))) => return Err(self.classify(error)),
            Err(_) => return Err(Error::TooSlow { host: self.host.clone(), deadline: self.deadline }),
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
            own: match self.place.kind {
                Kind::Docker => containers::own(self.inspected.values().map(|(_, inspected)| inspected)),
                // It keeps namespaces in the folder of the named ones, and none for itself.
                Kind::Podman => Vec::new(),
            },
        })
    }

    /// One container by name, id or the beginning of an id, running or not, and what it is attached to.
    ///
    /// # Errors
    /// If the engine could not be asked. That it has no such container is none.
    pub async fn look_up(&self, query: &str) -> Result<Option<Seen>, Error> {
        // What the engine allows in a name; anything else would be a path of its own in the request's.
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
            Err(_) => Err(Error::TooSlow { host: self.host.clone(), deadline: self.deadline }),
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
    ) -> Result<(bollard::Docker, Vec<Listed>, Vec<Network>), Trouble> {
        let engine = match engine {
            Some(engine) => engine,
            None => self.connect().await?,
        };
        if self.place.kind == Kind::Podman {
            let transport = self.transport(String::new());
            let (listed, networks) =
                tokio::try_join!(podman::containers(&transport), podman::networks(&transport))?;
            return Ok((engine, listed, networks));
        }
        // Not simply all: one container in a state that bollard does not know fails the whole list.
        let states = vec!["running".to_owned(), "paused".to_owned()];
        let options = ListContainersOptions {
            filters: Some(HashMap::from([("status".to_owned(), states)])),
            ..Default::default()
        };
        let (containers, networks) = tokio::try_join!(
            engine.list_containers(Some(options)),
            engine.list_networks(None::<ListNetworksOptions>),
        )?;
        let listed = containers.into_iter().filter_map(Listed::read).collect();
        Ok((engine, listed, containers::networks(networks)))
    }

    /// Asks who it is, and agrees on a version.
    async fn connect(&self) -> Result<bollard::Docker, Trouble> {
        if self.place.is_passed_on() {
            return Err(Trouble::OtherKind);
        }
        let told = self.client(String::new(), bollard::API_DEFAULT_VERSION)?.version().await?;
        let components = told.components.unwrap_or_default();
        let podman = components.iter().any(|component| component.name == "Podman Engine");
        let kind = if podman { Kind::Podman } else { Kind::Docker };
        if self.place.kind == Kind::Docker {
            self.place.note(kind);
        }
        if self.place.kind != kind {
            return Err(Trouble::OtherKind);
        }
        let version = agreed(&told.api_version.unwrap_or_default())
            .ok_or(bollard::errors::Error::APIVersionParseError {})?;
        Ok(self.client(format!("/v{version}"), &version)?)
    }

    /// Here listens one of the other kind.
    fn other_kind(&self) -> Error {
        let host = self.host.clone();
        match self.place.kind {
            Kind::Docker => Error::Podman { asked: self.place.is_asked(), host },
            Kind::Podman => Error::NotPodman { host },
        }
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

    /// A client for the engine's stream of events, as the one that was agreed on, with a limit of its own.
    fn listener(&self, engine: &bollard::Docker, limit: Limit) -> Result<bollard::Docker, Error> {
        let version = engine.client_version();
        let transport = Transport { limit, ..self.transport(format!("/v{version}")) };
        client(transport, &version).map_err(|error| self.classify(error))
    }

    /// Brings `self.inspected` up to date with the list, as far as the time allows.
    async fn inspect(&mut self, engine: &bollard::Docker, listed: &[Listed], until: Instant) {
        let listed_ids: HashSet<&str> = listed.iter().map(|c| c.workload.id.as_str()).collect();
        self.inspected.retain(|id, _| listed_ids.contains(id.as_str()));
        let known = |container: &Listed| {
            self.inspected.get(&container.workload.id).is_some_and(|(then, inspected)| {
                *then == container.attachments && inspected.holds_for(&container.attachments)
            })
        };
        // What was known before stays until the engine has told what is now.
        let missing: Vec<Listed> = listed.iter().filter(|container| !known(container)).cloned().collect();
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
        container: Listed,
        answer: Result<bollard::models::ContainerInspectResponse, bollard::errors::Error>,
    ) {
        let Listed { workload, attachments } = container;
        match answer {
            Ok(answer) => match Inspected::read(answer) {
                Some(inspected) => _ = self.inspected.insert(workload.id, (attachments, inspected)),
                None => _ = self.inspected.remove(&workload.id),
            },
            // It ended since it was listed, or it is going just now.
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
        let host = self.host.clone();
        match error {
            E::DockerResponseServerError { status_code, message } => {
                Error::Refused { host, status: status_code, message: one_line(&message) }
            }
            // The transport's promise: this one comes from dialling.
            E::IOError { err } => match err.kind() {
                io::ErrorKind::PermissionDenied => Error::Denied { host },
                // What a unix socket says whose queue is full: somebody listens, but does not accept.
                io::ErrorKind::WouldBlock => Error::TooSlow { host, deadline: self.deadline },
                _ => Error::NotThere { host, reason: one_line(&err.to_string()) },
            },
            E::HyperResponseError { err } => match io_cause(&err) {
                Some(cause) if cause.get_ref().is_some_and(|inner| inner.is::<OverLimit>()) => {
                    Error::TooLarge { host, limit: self.limit }
                }
                // A chunk with a length that is no number, say.
                Some(cause)
                    if matches!(cause.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) =>
                {
                    Error::Garbage { host, reason: one_line(&cause.to_string()) }
                }
                Some(cause) => Error::Broken { host, reason: one_line(&cause.to_string()) },
                None if err.is_parse() => Error::Garbage { host, reason: one_line(&err.to_string()) },
                None => Error::Broken { host, reason: one_line(&err.to_string()) },
            },
            other => Error::Garbage { host, reason: one_line(&other.to_string()) },
        }
    }
}

fn client(
    transport: Transport,
    version: &bollard::ClientVersion,
) -> Result<bollard::Docker, bollard::errors::Error> {
    // No timeout of bollard's: it does not cover the body, and the deadline of the refresh covers all.
    bollard::Docker::connect_with_custom_transport(
        move |request| transport.clone().send(request),
        Some("http://docker"),
        u64::MAX,
        version,
    )
}

/// The engine's own version of the API, if bollard knows it, else the newest that bollard knows.
fn agreed(own: &str) -> Option<bollard::ClientVersion> {
    let (major, minor) = own.split_once('.')?;
    let own =
        bollard::ClientVersion { major_version: major.parse().ok()?, minor_version: minor.parse().ok()? };
    let newest = *bollard::API_DEFAULT_VERSION;
    Some(if own < newest { own } else { newest })
}

/// Why an engine did not answer as one of its kind does.
enum Trouble {
    /// It is of the other kind.
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

/// Why an engine could not be asked; the variants are what can be done about it. All but
/// [`Denied`](Error::Denied) may pass, and the next refresh connects anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing answers there: no socket, or nobody behind it. Docker may not be installed or not be up.
    #[error("no engine at {host}: {reason}")]
    NotThere {
        /// Where it was looked for.
        host: DockerHost,
        /// The system's word for it.
        reason: String,
    },
    /// The socket exists, but this user may not write to it (EACCES).
    #[error("permission denied at {host}: it takes root or the group of the socket")]
    Denied {
        /// Where access is missing.
        host: DockerHost,
    },
    /// The engine takes connections, if that, and does not answer in time.
    #[error("{host} did not answer within {deadline:?}")]
    TooSlow {
        host: DockerHost,
        /// How long it was waited for.
        deadline: Duration,
    },
    /// One answer was longer than anything an engine has to say.
    #[error("{host} answered with more than {limit} bytes")]
    TooLarge {
        host: DockerHost,
        /// How much would have been taken.
        limit: u64,
    },
    /// What answers there does not speak HTTP, or not Docker's API.
    #[error("{host} does not speak Docker's API: {reason}")]
    Garbage {
        host: DockerHost,
        /// What was not understood.
        reason: String,
    },
    /// Podman listens where Docker was looked for.
    #[error("{host} is Podman, and not the one that is asked: name it with --podman.host")]
    Podman {
        host: DockerHost,
        /// It is asked by who looks for Podman, if anybody does; no failure then.
        asked: bool,
    },
    /// Docker listens where Podman was looked for.
    #[error("{host} is not Podman: a Docker engine is named with --docker.host")]
    NotPodman { host: DockerHost },
    /// The connection ended before the answer did: the engine was stopped, say.
    #[error("the connection to {host} broke: {reason}")]
    Broken { host: DockerHost, reason: String },
    /// The engine understood and said no.
    #[error("{host} refused with status {status}: {message}")]
    Refused {
        host: DockerHost,
        /// The status of HTTP.
        status: u16,
        message: String,
    },
}
