//! Docker, and who speaks its API: which container is in which network namespace.

mod containers;
#[cfg(test)]
mod tests;
mod transport;
mod watch;

use crate::model::workload::Claims;
use bollard::models::{ContainerSummary, Network};
use bollard::query_parameters::{ListContainersOptions, ListNetworksOptions};
pub use containers::{Attachment, Seen};
use containers::{Attachments, Inspected, Listed};
use std::collections::{HashMap, HashSet};
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use transport::{OverLimit, Transport};
pub use watch::{News, Watch};

/// For one refresh, from the first dial to the last byte.
const DEADLINE: Duration = Duration::from_secs(5);

/// For one inspection. One that hangs would hold up what all the others have told.
const INSPECTION: Duration = Duration::from_secs(1);

/// For one answer, headers included. The list has 0.8 KB for a plain container, with many labels some more.
const LIMIT: u64 = 64 << 20;

/// Inspections under way at once. An inspection takes the container's lock, which a start or a stop can hold
/// for half a second.
const INSPECTIONS: usize = 8;

/// An engine, and what is known of its containers. It does nothing on its own: each
/// [`refresh`](Docker::refresh) asks the engine how things are now.
#[derive(Debug)]
pub struct Docker {
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
    /// A source that asks the engine at `host`. Nothing is dialled yet.
    pub fn new(host: DockerHost) -> Docker {
        let (deadline, inspection, limit) = (DEADLINE, INSPECTION, LIMIT);
        Docker { host, deadline, inspection, limit, engine: None, inspected: HashMap::new() }
    }

    /// Where it asks.
    pub fn host(&self) -> &DockerHost {
        &self.host
    }

    /// The running and paused containers and all networks, as they are now; sorted. Takes 5 seconds at most.
    ///
    /// While nothing changes this costs two requests. A container that cannot be inspected is left out, or shown
    /// as it was before, and asked about again at the next refresh.
    ///
    /// # Errors
    /// If the engine could not be asked for its containers and networks.
    pub async fn refresh(&mut self) -> Result<Claims, Error> {
        let until = Instant::now() + self.deadline;
        // It comes back only from a refresh that succeeded: see the field.
        let known = self.engine.take();
        let (engine, listed, networks) = match timeout_at(until, self.list(known)).await {
            Ok(answer) => answer.map_err(|error| self.classify(error))?,
            Err(_) => return Err(Error::TooSlow { host: self.host.clone(), deadline: self.deadline }),
        };
        let listed: Vec<Listed> = listed.into_iter().filter_map(Listed::read).collect();
        self.inspect(&engine, &listed, until).await;
        self.engine = Some(engine);
        let known = listed.iter().filter_map(|container| {
            let (_, inspected) = self.inspected.get(&container.workload.id)?;
            Some((&container.workload, inspected))
        });
        Ok(Claims {
            backrooms: containers::backrooms(self.inspected.values().map(|(_, inspected)| inspected)),
            claims: containers::claims(known),
            networks: containers::networks(networks),
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
            Ok(Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. })) => Ok(None),
            Ok(Err(error)) => Err(self.classify(error)),
            Err(_) => Err(Error::TooSlow { host: self.host.clone(), deadline: self.deadline }),
        }
    }

    async fn see(&self, query: &str) -> Result<Option<Seen>, bollard::errors::Error> {
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
    ) -> Result<(bollard::Docker, Vec<ContainerSummary>, Vec<Network>), bollard::errors::Error> {
        let engine = match engine {
            Some(engine) => engine,
            None => self.connect().await?,
        };
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
        Ok((engine, containers, networks))
    }

    /// Agrees on a version: the engine's own, if bollard knows it, else the newest that bollard knows.
    async fn connect(&self) -> Result<bollard::Docker, bollard::errors::Error> {
        let newest = bollard::API_DEFAULT_VERSION;
        let version = self.client(String::new(), newest)?.negotiate_version().await?.client_version();
        self.client(format!("/v{version}"), &version)
    }

    fn client(
        &self,
        prefix: String,
        version: &bollard::ClientVersion,
    ) -> Result<bollard::Docker, bollard::errors::Error> {
        let transport = Transport { host: self.host.clone(), limit: self.limit, prefix };
        // No timeout of bollard's: it does not cover the body, and the deadline of the refresh covers all.
        bollard::Docker::connect_with_custom_transport(
            move |request| transport.clone().send(request),
            Some("http://docker"),
            u64::MAX,
            version,
        )
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

fn io_cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

/// What somebody else wrote, fit for a line of a log: control characters are blanks, and it ends somewhere.
fn one_line(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
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
        /// Who is slow.
        host: DockerHost,
        /// How long it was waited for.
        deadline: Duration,
    },
    /// One answer was longer than anything an engine has to say.
    #[error("{host} answered with more than {limit} bytes")]
    TooLarge {
        /// Who sent it.
        host: DockerHost,
        /// How much would have been taken.
        limit: u64,
    },
    /// What answers there does not speak HTTP, or not Docker's API.
    #[error("{host} does not speak Docker's API: {reason}")]
    Garbage {
        /// Who sent it.
        host: DockerHost,
        /// What was not understood.
        reason: String,
    },
    /// The connection ended before the answer did: the engine was stopped, say.
    #[error("the connection to {host} broke: {reason}")]
    Broken {
        /// Who was asked.
        host: DockerHost,
        /// How it broke.
        reason: String,
    },
    /// The engine understood and said no.
    #[error("{host} refused with status {status}: {message}")]
    Refused {
        /// Who was asked.
        host: DockerHost,
        /// The status of HTTP.
        status: u16,
        /// The engine's explanation.
        message: String,
    },
}

/// Where an engine listens, as in DOCKER_HOST. Parsed from `unix:///path`, `unix:PATH`, `tcp://host:port` or
/// `http://host:port`; TLS and ssh are not spoken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DockerHost {
    /// A unix socket at this path.
    Unix(PathBuf),
    /// Plain TCP to this `host:port`.
    Tcp(String),
}

impl DockerHost {
    /// True if there is something to dial: a socket that does not exist is no engine.
    pub fn is_there(&self) -> bool {
        match self {
            DockerHost::Unix(path) => path.exists(),
            DockerHost::Tcp(_) => true,
        }
    }
}

impl FromStr for DockerHost {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<DockerHost, BadHost> {
        let host = if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            (!path.is_empty()).then(|| DockerHost::Unix(path.into()))
        } else {
            let address = text.strip_prefix("tcp://").or_else(|| text.strip_prefix("http://"));
            address.and_then(tcp_address).map(|address| DockerHost::Tcp(address.to_owned()))
        };
        host.ok_or_else(|| BadHost(text.to_owned()))
    }
}

/// `host:port`, with the slash that people put behind it; `None` for anything else.
fn tcp_address(text: &str) -> Option<&str> {
    let address = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = address.rsplit_once(':')?;
    let plain = !host.is_empty() && !host.contains(|c: char| "/?#@".contains(c) || c.is_whitespace());
    (plain && port.parse::<u16>().is_ok_and(|port| port != 0)).then_some(address)
}

/// In the form that it is parsed from.
impl fmt::Display for DockerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DockerHost::Unix(path) => write!(f, "unix://{}", path.display()),
            DockerHost::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// A text that names no [`DockerHost`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not unix:///path, unix:PATH, tcp://host:port or http://host:port")]
pub struct BadHost(String);
