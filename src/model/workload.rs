//! Who lives in a namespace, as a runtime tells it.

use super::label;
use super::link::{Mac, Name};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

/// What told us of a workload; the label `runtime`. Earlier ones are believed before later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Runtime {
    /// A container of a Docker engine.
    Docker,
    /// A container or pod of Podman.
    Podman,
    /// A Kubernetes pod, told by its container runtime over CRI.
    Cri,
    /// A namespace with a name in /run/netns.
    Named,
    /// An LXC container, known by its processes' cgroup.
    Lxc,
    /// A systemd-nspawn machine, known by its processes' cgroup.
    Nspawn,
    /// Any other process that has a namespace of its own.
    Process,
    /// Nobody claims the namespace.
    Unknown,
}

impl Runtime {
    /// Returns the value of the label `runtime`.
    pub fn as_str(self) -> &'static str {
        match self {
            Runtime::Docker => "docker",
            Runtime::Podman => "podman",
            Runtime::Cri => "cri",
            Runtime::Named => "named",
            Runtime::Lxc => "lxc",
            Runtime::Nspawn => "nspawn",
            Runtime::Process => "process",
            Runtime::Unknown => "unknown",
        }
    }
}

/// The owner of a network namespace, or a further container in it (a member).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Workload {
    /// The runtime that the workload is known from.
    pub runtime: Runtime,
    /// The container's or namespace's name: the label `container`. Empty for a pod as a whole.
    pub name: String,
    /// The Kubernetes namespace of the pod that it is or belongs to, or empty.
    pub namespace: String,
    /// The name of that pod, or empty.
    pub pod: String,
    /// The runtime's own id; empty if it has none.
    pub id: String,
    /// The image as the user wrote it, of a pod that of the container which does nothing but hold its
    /// namespaces; empty if there is none. See [`own_image`](Workload::own_image).
    pub image: String,
    /// Compose's project, or empty.
    pub compose_project: String,
    /// Compose's service, or empty.
    pub compose_service: String,
    /// The runtime's labels of it.
    pub labels: BTreeMap<String, String>,
}

impl Workload {
    /// A workload of which only the name is known.
    pub fn named(runtime: Runtime, name: impl Into<String>) -> Workload {
        Workload {
            runtime,
            name: name.into(),
            namespace: String::new(),
            pod: String::new(),
            id: String::new(),
            image: String::new(),
            compose_project: String::new(),
            compose_service: String::new(),
            labels: BTreeMap::new(),
        }
    }

    /// The image of what it runs: empty for a pod as a whole, whose containers have theirs.
    pub fn own_image(&self) -> &str {
        if !self.pod.is_empty() && self.name.is_empty() { "" } else { &self.image }
    }

    /// What it is called in one word: `NAMESPACE/POD` for a pod, `NAMESPACE/POD/CONTAINER` for one of its
    /// containers, else its name.
    pub fn title(&self) -> String {
        let parts = [&self.namespace, &self.pod, &self.name];
        let parts = parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str);
        label::bounded(&parts.collect::<Vec<_>>().join("/"))
    }
}

/// How a claim says which namespace it means.
#[derive(Clone, Debug)]
pub enum Locator {
    /// The namespace of this process, in the exporter's own pid namespace.
    Pid(u32),
    /// The namespace that is mounted on this file; shared, as there are thousands in many places.
    Path(Arc<Path>),
}

impl Locator {
    /// What is compared: the bytes of a path, because its parts take ten times as long, and there are
    /// thousands.
    fn key(&self) -> (Option<u32>, &OsStr) {
        match self {
            Locator::Pid(pid) => (Some(*pid), OsStr::new("")),
            Locator::Path(path) => (None, path.as_os_str()),
        }
    }
}

impl PartialEq for Locator {
    fn eq(&self, other: &Locator) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Locator {}

impl Hash for Locator {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialOrd for Locator {
    fn partial_cmp(&self, other: &Locator) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Locator {
    fn cmp(&self, other: &Locator) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// A network's address in a workload, as the runtime knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    pub network: String,
    /// The MAC address the runtime gave the interface.
    pub address: Option<Mac>,
}

/// A runtime's word that a workload owns a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    /// The workload that owns the namespace.
    pub owner: Workload,
    /// The process or file that leads to the namespace.
    pub locator: Locator,
    /// The networks it is on. If any has an address, one of the addresses must be found there.
    pub endpoints: Vec<Endpoint>,
    /// Containers that share the namespace.
    pub members: Vec<Workload>,
    /// The time at which the runtime started the owner; empty if it does not say.
    pub started: Started,
}

/// A time as engines give it, RFC 3339 in UTC, with a fraction of nine digits: its order is that of times.
/// Empty if it is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Started(String);

impl Started {
    /// Takes a time as Go writes it, `2026-11-26T15:07:32.1Z`: zeros at the end of the fraction are left
    /// out. Anything else, and the year 1, which stands for never, is not known.
    pub fn parse(text: &str) -> Started {
        let Some((seconds, fraction)) =
            text.strip_suffix('Z').map(|text| text.split_once('.').unwrap_or((text, "")))
        else {
            return Started::default();
        };
        let is_time = seconds.len() == "2026-11-26T15:07:32".len()
            && seconds.bytes().all(|b| b.is_ascii_digit() || b"-:T".contains(&b))
            && fraction.len() <= 9
            && fraction.bytes().all(|b| b.is_ascii_digit())
            && !seconds.starts_with("0001-");
        if is_time { Started(format!("{seconds}.{fraction:0<9}")) } else { Started::default() }
    }

    /// Returns what claims on one namespace are ordered by: a time that is known comes first.
    pub(crate) fn order(&self) -> (bool, &str) {
        (self.0.is_empty(), &self.0)
    }
}

/// An interface that a runtime is about to make, or has made, for a workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Expected {
    pub workload: Workload,
    pub network: String,
    /// The MAC address it will have.
    pub address: Mac,
    /// The host's bridge that its port will be enslaved to.
    pub bridge: Option<Name>,
}

/// A network that a runtime made.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    /// Its name: the label `network`.
    pub name: String,
    /// The host's bridge that carries it, if it has one.
    pub bridge: Option<Name>,
}

/// A namespace that a runtime made for itself and in which nobody lives: an overlay network's, say.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuntimeNetns {
    /// What the runtime calls it.
    pub name: String,
    pub locator: Locator,
}

/// All that one runtime says at one time.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Claims {
    /// The claims, in any order.
    pub claims: Vec<Claim>,
    /// The networks, in any order.
    pub networks: Vec<Network>,
    /// Its own namespaces, in any order.
    pub own: Vec<RuntimeNetns>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_order_whatever_zeros_go_leaves_out() {
        let times = [
            "2026-11-26T15:07:32Z",
            "2026-11-26T15:07:32.1Z",
            "2026-11-26T15:07:32.12Z",
            "2026-11-26T15:07:32.120000001Z",
        ];
        let times = times.map(Started::parse);
        assert!(times.is_sorted() && times[0] < times[1] && times[2] < times[3], "{times:?}");
        for text in [
            "",
            "0001-01-01T00:00:00Z",
            "2026-11-26T15:07:32+01:00",
            "now",
            "2026-11-26T15:07:32.1234567890Z",
            "2026-11-26T15:07:éZ",
        ] {
            assert_eq!(Started::parse(text), Started::default(), "{text}");
        }
        assert!(times[3].order() < Started::default().order());
    }
}
