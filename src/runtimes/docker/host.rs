//! The address of an engine, and the detection of its kind: Docker and Podman speak the same API.

use super::activation::{SocketListener, Stopped};
use crate::model::workload::Runtime;
use crate::runtimes::calls::Calls;
use crate::runtimes::process::Processes;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::str::FromStr;
use tokio::sync::watch;

/// The address of an engine, as in DOCKER_HOST. Parsed from `unix:///path`, `unix:PATH`, `tcp://host:port`
/// or `http://host:port`; TLS and ssh are not supported.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DockerHost {
    /// The path of a unix socket.
    Unix(PathBuf),
    /// The `host:port` of a plain TCP listener.
    Tcp(String),
}

/// The device and inode of a socket. A new listener at the same path has another inode.
type Inode = (u64, u64);

impl DockerHost {
    /// Returns true if the address can be dialled: a unix socket has to exist.
    pub fn is_there(&self) -> bool {
        match self {
            DockerHost::Unix(path) => path.exists(),
            DockerHost::Tcp(_) => true,
        }
    }

    /// Returns the path of the unix socket, if it is one.
    pub(crate) fn socket(&self) -> Option<PathBuf> {
        match self {
            DockerHost::Unix(path) => Some(path.clone()),
            DockerHost::Tcp(_) => None,
        }
    }

    /// Returns true if both addresses lead to one socket, by whatever links.
    fn is_same(&self, other: &DockerHost) -> bool {
        self == other || (self.inode().is_some() && self.inode() == other.inode())
    }

    fn inode(&self) -> Option<Inode> {
        match self {
            DockerHost::Unix(path) => path.metadata().ok().map(|found| (found.dev(), found.ino())),
            DockerHost::Tcp(_) => None,
        }
    }
}

/// The kind of an engine that speaks Docker's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EngineKind {
    Docker,
    Podman,
}

impl EngineKind {
    /// Returns the runtime that the engine's claims are attributed to.
    pub(super) fn runtime(self) -> Runtime {
        match self {
            EngineKind::Docker => Runtime::Docker,
            EngineKind::Podman => Runtime::Podman,
        }
    }
}

/// The address where an engine of one kind is expected. Podman often listens at Docker's address
/// (DOCKER_HOST, or a link at Docker's usual path). The Docker source then passes that address on to the
/// Podman source, so that each engine is asked once.
#[derive(Clone, Debug)]
pub struct EngineAddress {
    pub(super) kind: EngineKind,
    own: DockerHost,
    /// Podman's own address; `None` if there is no Podman source.
    podman: Option<DockerHost>,
    /// The address and socket at which Podman has answered the Docker source.
    passed_on: watch::Sender<PassedOn>,
    /// The requests to the engine.
    pub(super) calls: Calls,
    pub(super) listener: SocketListener,
}

type PassedOn = Option<(DockerHost, Option<Inode>)>;

/// The changes of an [`EngineAddress`].
#[derive(Debug)]
pub(crate) struct AddressChanges(watch::Receiver<PassedOn>);

impl AddressChanges {
    /// Waits until the address may have changed since the last call. May be dropped at any time.
    pub(crate) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // No source is left that could pass an address on.
            std::future::pending().await
        }
    }
}

impl EngineAddress {
    /// Returns the addresses of Docker and of Podman; `None` for a kind that is disabled.
    pub fn both(docker: Option<DockerHost>, podman: Option<DockerHost>) -> [Option<EngineAddress>; 2] {
        let (passed_on, _) = watch::channel(None);
        let address = |kind, own| EngineAddress {
            kind,
            own,
            podman: podman.clone(),
            passed_on: passed_on.clone(),
            calls: Calls::default(),
            listener: SocketListener::default(),
        };
        [
            docker.map(|own| address(EngineKind::Docker, own)),
            podman.clone().map(|own| address(EngineKind::Podman, own)),
        ]
    }

    /// Returns the address to dial now: the engine's own, or, as long as nothing is there, the one that was
    /// passed on.
    pub(super) fn host(&self) -> DockerHost {
        match (self.kind, &*self.passed_on.borrow()) {
            (EngineKind::Podman, Some((passed_on, _))) if !self.own.is_there() => passed_on.clone(),
            _ => self.own.clone(),
        }
    }

    /// Returns every address that the engine may be dialled at: its own, and one that was passed on.
    pub(crate) fn hosts(&self) -> Vec<DockerHost> {
        let passed_on = self.passed_on.borrow().as_ref().map(|(host, _)| host.clone());
        let passed_on = passed_on.filter(|_| self.kind == EngineKind::Podman);
        [self.own.clone()].into_iter().chain(passed_on).collect()
    }

    /// Returns true if this is Docker's address and Podman listens there. It holds until another socket
    /// replaces the one that Podman answered at.
    pub(super) fn is_passed_on(&self) -> bool {
        let passed_on = self.passed_on.borrow();
        let same = |inode: Option<Inode>| self.own.inode().is_none_or(|now| inode == Some(now));
        self.kind == EngineKind::Docker && passed_on.as_ref().is_some_and(|&(_, inode)| same(inode))
    }

    /// Records the kind of the engine that answers at Docker's address.
    pub(super) fn record_kind(&self, kind: EngineKind) {
        let found = (kind == EngineKind::Podman).then(|| (self.own.clone(), self.own.inode()));
        let news = |passed_on: &mut Option<_>| std::mem::replace(passed_on, found.clone()) != found;
        self.passed_on.send_if_modified(news);
    }

    /// Returns true if the Podman source asks at Docker's address, or is disabled: no engine is left out
    /// then.
    pub(super) fn is_asked(&self) -> bool {
        let docker = self.passed_on.borrow().as_ref().map(|(host, _)| host.clone());
        self.podman.as_ref().is_none_or(|own| !own.is_there() || docker.is_none_or(|host| own.is_same(&host)))
    }

    /// Returns the requests to the engine.
    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Returns the wait for an engine that has closed its connections; `None` if a connection starts no
    /// engine.
    pub(crate) fn stopped(&self, processes: &Processes) -> Option<Stopped> {
        self.listener
            .may_start(self.kind, processes)
            .then(|| Stopped::begin(self.kind, self.listener.clone(), processes.clone()))
    }

    /// Returns the changes of the address to dial from now on.
    pub(crate) fn changes(&self) -> AddressChanges {
        AddressChanges(self.passed_on.subscribe())
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

/// Returns `host:port` without the trailing slash that users add; `None` for any other text.
fn tcp_address(text: &str) -> Option<&str> {
    let address = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = address.rsplit_once(':')?;
    let plain = !host.is_empty() && !host.contains(|c: char| "/?#@".contains(c) || c.is_whitespace());
    (plain && port.parse::<u16>().is_ok_and(|port| port != 0)).then_some(address)
}

/// Formats the address in the form that [`DockerHost::from_str`] parses.
impl fmt::Display for DockerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DockerHost::Unix(path) => write!(f, "unix://{}", path.display()),
            DockerHost::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// The error for a text that names no [`DockerHost`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not unix:///path, unix:PATH, tcp://host:port or http://host:port")]
pub struct BadHost(String);
