//! Where an engine listens, and which of two that speak the same API answers there.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::str::FromStr;
use tokio::sync::watch;

/// Where an engine listens, as in DOCKER_HOST. Parsed from `unix:///path`, `unix:PATH`, `tcp://host:port` or
/// `http://host:port`; TLS and ssh are not spoken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DockerHost {
    /// A unix socket at this path.
    Unix(PathBuf),
    /// Plain TCP to this `host:port`.
    Tcp(String),
}

/// Device and inode of a socket: another one is another listener.
type Inode = (u64, u64);

impl DockerHost {
    /// True if there is something to dial: a socket that does not exist is no engine.
    pub fn is_there(&self) -> bool {
        match self {
            DockerHost::Unix(path) => path.exists(),
            DockerHost::Tcp(_) => true,
        }
    }

    /// True if both lead to one socket, by whatever links.
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

/// Who speaks Docker's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Docker,
    Podman,
}

/// Where an engine of one kind is looked for. Podman often listens where Docker would (DOCKER_HOST, or a
/// link at Docker's usual path): who looks for Docker there passes the place on to who looks for Podman, so
/// that each engine is asked once.
#[derive(Clone, Debug)]
pub struct Place {
    pub(super) kind: Kind,
    own: DockerHost,
    /// Where Podman's own place is; `None` if nobody looks for Podman.
    podman: Option<DockerHost>,
    /// Where Podman has answered to who looked for Docker, and by which socket.
    passed_on: watch::Sender<Option<(DockerHost, Option<Inode>)>>,
}

impl Place {
    /// The places of Docker and of Podman; `None` for one that is not looked for.
    pub fn both(docker: Option<DockerHost>, podman: Option<DockerHost>) -> [Option<Place>; 2] {
        let (passed_on, _) = watch::channel(None);
        let place = |kind, own| Place { kind, own, podman: podman.clone(), passed_on: passed_on.clone() };
        [docker.map(|own| place(Kind::Docker, own)), podman.clone().map(|own| place(Kind::Podman, own))]
    }

    /// What to dial now: its own place, or, as long as nothing is there, the one that was passed on.
    pub(super) fn host(&self) -> DockerHost {
        match (self.kind, &*self.passed_on.borrow()) {
            (Kind::Podman, Some((passed_on, _))) if !self.own.is_there() => passed_on.clone(),
            _ => self.own.clone(),
        }
    }

    /// True if this is Docker's place, and Podman listens there: until another socket takes the place of
    /// that one.
    pub(super) fn is_passed_on(&self) -> bool {
        let passed_on = self.passed_on.borrow();
        let same = |inode: Option<Inode>| self.own.inode().is_none_or(|now| inode == Some(now));
        self.kind == Kind::Docker && passed_on.as_ref().is_some_and(|&(_, inode)| same(inode))
    }

    /// Notes who answers at Docker's place.
    pub(super) fn note(&self, kind: Kind) {
        let found = (kind == Kind::Podman).then(|| (self.own.clone(), self.own.inode()));
        let news = |passed_on: &mut Option<_>| std::mem::replace(passed_on, found.clone()) != found;
        self.passed_on.send_if_modified(news);
    }

    /// True if who looks for Podman asks at Docker's place, or nobody looks for Podman: nothing is left out.
    pub(super) fn is_asked(&self) -> bool {
        let docker = self.passed_on.borrow().as_ref().map(|(host, _)| host.clone());
        self.podman.as_ref().is_none_or(|own| !own.is_there() || docker.is_none_or(|host| own.is_same(&host)))
    }

    /// Waits until another engine may have to be asked than before.
    pub async fn changed(&self) {
        // Whoever waits holds a sender, so it cannot be closed.
        let _ = self.passed_on.subscribe().changed().await;
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
