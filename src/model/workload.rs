//! Workloads, and the claims of runtimes that a workload owns a namespace.

use super::label;
use super::lack::Lack;
use super::link::{Mac, Name};
use super::pools::AddressPool;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The source of a workload: the label `runtime`. Where several claim a namespace, an earlier variant wins
/// over a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Runtime {
    /// A container of a Docker engine.
    Docker,
    /// A container or pod of Podman.
    Podman,
    /// A Kubernetes pod, reported by its container runtime over CRI.
    Cri,
    /// A namespace with a name in /run/netns.
    Named,
    /// An LXC container, known by its processes' cgroup.
    Lxc,
    /// A systemd-nspawn machine, known by its processes' cgroup.
    Nspawn,
    /// Any other process that has a namespace of its own.
    Process,
    /// No workload: the namespace is unclaimed.
    Unknown,
}

impl Runtime {
    /// Every runtime, as a workload and a saved state may have it.
    pub const ALL: [Runtime; 8] = [
        Runtime::Docker,
        Runtime::Podman,
        Runtime::Cri,
        Runtime::Named,
        Runtime::Lxc,
        Runtime::Nspawn,
        Runtime::Process,
        Runtime::Unknown,
    ];

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

/// The labels that name a workload in each of its families.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkloadName {
    /// The value of the label `runtime`.
    pub runtime: Runtime,
    /// The value of the label `container`; empty for a pod as a whole.
    pub container: String,
    /// The value of the label `namespace`, that of Kubernetes; empty outside of pods.
    pub namespace: String,
    /// The value of the label `pod`; empty outside of pods.
    pub pod: String,
}

impl WorkloadName {
    /// Returns the name of a workload.
    pub fn of(workload: &Workload) -> WorkloadName {
        let [container, namespace, pod] = workload.names().map(str::to_owned);
        WorkloadName { runtime: workload.runtime, container, namespace, pod }
    }
}

/// The owner of a network namespace, or a further container in it (a member).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Workload {
    /// The source that the workload is known from.
    pub runtime: Runtime,
    /// The container's or namespace's name: the label `container`. Empty for a pod as a whole.
    pub name: String,
    /// The Kubernetes namespace of the pod that the workload is or belongs to, or empty.
    pub namespace: String,
    /// The name of that pod, or empty.
    pub pod: String,
    /// The runtime's own id; empty if the workload has none.
    pub id: String,
    /// The image as the user wrote it; for a pod, the image of the container that only holds the pod's
    /// namespaces. Empty if there is none. See [`own_image`](Workload::own_image).
    pub image: String,
    /// The name of the Compose project, or empty.
    pub compose_project: String,
    /// The name of the Compose service, or empty.
    pub compose_service: String,
    /// The labels that the runtime has for the workload.
    pub labels: BTreeMap<String, String>,
    /// The labels of Swarm that cAdvisor's dashboards use, whatever labels are shown otherwise.
    pub swarm: BTreeMap<String, String>,
}

impl Workload {
    /// Returns a workload with only a name.
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
            swarm: BTreeMap::new(),
        }
    }

    /// Returns the image that the workload runs; empty for a pod as a whole, because each of its containers
    /// has an image.
    pub fn own_image(&self) -> &str {
        if !self.pod.is_empty() && self.name.is_empty() { "" } else { &self.image }
    }

    /// Returns the values of the labels `container`, `namespace` and `pod`.
    pub fn names(&self) -> [&str; 3] {
        [&self.name, &self.namespace, &self.pod]
    }

    /// Returns the workload's name in one word: `NAMESPACE/POD` for a pod, `NAMESPACE/POD/CONTAINER` for
    /// one of its containers, else the name.
    pub fn title(&self) -> String {
        let parts = [&self.namespace, &self.pod, &self.name];
        let parts = parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str);
        label::bounded(&parts.collect::<Vec<_>>().join("/"))
    }
}

/// The process, file or container by which a claim identifies a namespace.
#[derive(Clone, Debug)]
pub enum Locator {
    /// The namespace of the process with this pid, in the exporter's own pid namespace.
    Pid(u32),
    /// The namespace that is mounted on this file. The path is shared, because thousands of paths are
    /// stored in many places.
    Path(Arc<Path>),
    /// The namespace of a process that has this container's complete id in its cgroup.
    Container(Arc<str>),
}

impl Locator {
    /// Returns true if the kernel can be asked for the namespace.
    pub(crate) fn is_asked_for(&self) -> bool {
        !matches!(self, Locator::Container(_))
    }

    /// Returns the value that comparisons use: the bytes of a path. A comparison by the path's components
    /// takes ten times as long, and there are thousands of paths.
    fn key(&self) -> (Option<u32>, &OsStr) {
        match self {
            Locator::Pid(pid) => (Some(*pid), OsStr::new("")),
            Locator::Path(path) => (None, path.as_os_str()),
            // No process has the pid 0.
            Locator::Container(id) => (Some(0), OsStr::new(&**id)),
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

/// A workload's attachment to a network, as reported by the runtime.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    pub network: String,
    /// The MAC address that the runtime has assigned to the interface.
    pub address: Option<Mac>,
    /// The name of the interface, if the runtime reports that and no address; else empty.
    pub interface: String,
}

/// A runtime's claim that a workload owns a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    /// The workload that owns the namespace.
    pub owner: Workload,
    /// The process, file or container that leads to the namespace.
    pub locator: Locator,
    /// The networks that the owner is attached to. If any endpoint has an address, the namespace must have
    /// a link with one of the addresses, else the claim is rejected.
    pub endpoints: Vec<Endpoint>,
    /// Containers that share the namespace.
    pub members: Vec<Workload>,
    /// The time at which the runtime started the owner; empty if the runtime does not report one.
    pub started: Started,
}

/// A time as engines report it, in nanoseconds since 1970 began; 0 if the time is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Started(u64);

impl Started {
    /// Parses a time as Go writes it, `2026-11-26T15:07:32.1Z`: Go omits zeros at the end of the fraction.
    /// Returns an unknown time for any other text, and for times before 1970: the year 1 means "never".
    pub fn parse(text: &str) -> Started {
        Started(nanoseconds(text).unwrap_or_default())
    }

    /// Returns the time since 1970 began; `None` if it is not known.
    pub fn since_1970(self) -> Option<Duration> {
        (self.0 > 0).then(|| Duration::from_nanos(self.0))
    }

    /// Returns the key by which claims on one namespace are sorted: known times come before unknown ones.
    pub(crate) fn order(self) -> (bool, u64) {
        (self.0 == 0, self.0)
    }
}

/// Reads a time as Go writes it; `None` for any other text.
fn nanoseconds(text: &str) -> Option<u64> {
    let (seconds, fraction) =
        text.strip_suffix('Z').map(|text| text.split_once('.').unwrap_or((text, "")))?;
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let is_shaped = seconds.bytes().enumerate().all(|(at, b)| match at {
        4 | 7 => b == b'-',
        10 => b == b'T',
        13 | 16 => b == b':',
        _ => b.is_ascii_digit(),
    });
    if seconds.len() != "2026-11-26T15:07:32".len()
        || !is_shaped
        || fraction.len() > 9
        || !is_digits(fraction)
    {
        return None;
    }
    let part = |from: usize, to: usize| seconds[from..to].parse::<u64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // The year begins in March, so that a leap day is its last (days_from_civil of Howard Hinnant).
    let year_from_march = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year_from_march + year_from_march / 4 - year_from_march / 100
        + year_from_march / 400
        + day_of_year
        - 719_468;
    let seconds = days * 86_400 + part(11, 13)? * 3_600 + part(14, 16)? * 60 + part(17, 19)?;
    let nanoseconds = format!("{fraction:0<9}").parse::<u64>().ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

/// A container that was to share the network namespace of another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JoinedNetns {
    pub member: Workload,
    /// The member's own process.
    pub locator: Locator,
    /// The other container; one that does not run has an id alone.
    pub target: Workload,
    /// The other container's process; `None` if it does not run.
    pub target_locator: Option<Locator>,
}

/// A container or pod without a veth of its own, as its runtime reports it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VethlessContainer {
    pub workload: Workload,
    pub state: ContainerState,
    pub network: ContainerNetwork,
}

/// The state of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContainerState {
    Running,
    /// The container has ended, and its runtime is about to start it again.
    Restarting,
    Stopped {
        /// The exit code of its process; `None` if the runtime does not report it.
        exit_code: Option<i64>,
    },
}

/// The network of a container without a veth of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContainerNetwork {
    /// The host's own interfaces.
    Host,
    /// No network but the loopback.
    None,
    /// The namespace of another container.
    Of(Box<Workload>),
    /// Networks of this driver, which makes no veth: `macvlan`, `ipvlan`.
    Driver(String),
    /// A network that the container has while it runs.
    Own,
}

/// A report of an engine about the life of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifeChange {
    pub workload: Workload,
    pub action: LifeAction,
}

/// The thing that happened to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeAction {
    /// Its process was started.
    Started,
    /// A user has asked the engine to stop it. The report may come after the end.
    StopRequested,
    /// Its process has ended.
    Ended {
        /// `None` if the engine does not report it.
        exit_code: Option<i64>,
    },
    Removed,
}

/// An interface that a runtime is about to create, or has created, for a workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Expected {
    pub workload: Workload,
    pub network: String,
    /// The MAC address that the interface will have.
    pub address: Mac,
    /// The host's bridge that the interface's port will be enslaved to.
    pub bridge: Option<Name>,
}

/// A network that a runtime has created.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    /// The network's name: the label `network`. Docker allows several networks of one name.
    pub name: String,
    /// The runtime's own id; empty if it does not report one.
    pub id: String,
    /// The host's bridge that carries the network, if it has one.
    pub bridge: Option<Name>,
    /// The runtime's name of the driver: `bridge`, `macvlan` ...; empty if it does not report one.
    pub driver: String,
    /// True if the runtime connects the network to no other one.
    pub internal: bool,
    /// True if the runtime gives IPv6 addresses to interfaces.
    pub ipv6: bool,
    /// The IPv4 subnets, in the runtime's order.
    pub pools: Vec<AddressPool>,
    /// The IPv6 subnets as the runtime writes them.
    pub ipv6_subnets: Vec<String>,
    /// True if all addresses of `pools` that are given out are in [`Claims::given`].
    pub is_counted: bool,
}

/// An IPv4 address that a runtime has given to a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GivenAddress {
    /// The name of the network.
    pub network: String,
    pub address: Ipv4Addr,
    /// The id of the container.
    pub container: String,
}

/// A namespace that a runtime has created for its own use, for example that of an overlay network, and that
/// no workload owns.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuntimeNetns {
    /// The runtime's name for the namespace.
    pub name: String,
    pub locator: Locator,
}

/// One runtime's complete answer: its claims, networks and own namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Claims {
    /// The claims, in any order.
    pub claims: Vec<Claim>,
    /// The networks, in any order.
    pub networks: Vec<Network>,
    /// The IPv4 addresses that running containers have been given; sorted.
    pub given: Vec<GivenAddress>,
    /// The runtime's own namespaces, in any order.
    pub own: Vec<RuntimeNetns>,
    /// The containers that were to share another's namespace, in any order.
    pub joined: Vec<JoinedNetns>,
    /// The containers without a veth of their own, in any order.
    pub vethless: Vec<VethlessContainer>,
    /// The containers of pods, where the runtime numbers their starts.
    pub pod_containers: Option<Box<PodContainerList>>,
    /// The things that the answer does not have, each with the reason.
    pub limits: Vec<Lack>,
}

/// All pods with a sandbox that is ready, and their containers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct PodContainerList {
    /// The ids of the pods.
    pub pods: BTreeSet<String>,
    /// The containers that were started, in any order.
    pub containers: Vec<PodContainer>,
}

/// A container of a pod that was started, as a runtime of Kubernetes lists it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodContainer {
    /// The id of the pod: its sandbox may be made anew.
    pub pod_id: String,
    pub workload: Workload,
    /// The number of containers with this name that the pod had before.
    pub attempt: u32,
    /// The time of its creation, in nanoseconds since 1970.
    pub created: i64,
    /// False if it has ended.
    pub is_running: bool,
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
            "1969-12-31T23:59:59Z",
            "2026-13-26T15:07:32Z",
            "0001-01-01T00:00:00Z",
            "2026-11-26T15:07:32+01:00",
            "now",
            "2026-11-26T15:07:32.1234567890Z",
            "2026-11-26T15:07:éZ",
        ] {
            assert_eq!(Started::parse(text), Started::default(), "{text}");
        }
        assert!(times[3].order() < Started::default().order());
        for (text, seconds) in [
            ("1970-01-01T00:00:01Z", 1.0),
            ("2000-02-29T12:00:00.5Z", 951_825_600.5),
            ("2026-11-26T15:07:32Z", 1_795_705_652.0),
            ("2100-03-01T00:00:00Z", 4_107_542_400.0),
        ] {
            assert_eq!(Started::parse(text).since_1970().unwrap().as_secs_f64(), seconds, "{text}");
        }
    }
}
