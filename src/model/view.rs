//! What is shown: the one input of every output.

use super::ledger::{LabelSet, NetworkLabels, Overflow, Traffic};
use super::link::{Counters, End, Errors, Link, Name};
use super::pairing::{EndState, Role};
use super::peak::Rates;
use super::workload::{Runtime, Workload};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The state of the host at one time: a scene, and the numbers that belong to it.
#[derive(Clone, Debug)]
pub struct View {
    /// What there is, with its names. The same allocation as long as nothing but numbers changed.
    pub scene: Arc<Scene>,
    /// The running counters of the two sides of each of `scene.pairs`.
    pub samples: Vec<[Counters; 2]>,
    /// For each of `scene.workloads`.
    pub workloads: Vec<Traffic>,
    /// For each of `scene.workloads` its highest rates; `None` where they are older than the window.
    pub peaks: Vec<Option<Rates>>,
    /// For each of `scene.workloads` its rates of the last tick; `None` where no pair carried it then.
    pub rates: Vec<Option<Rates>>,
    /// For each of `scene.networks`.
    pub networks: Vec<Traffic>,
    /// For each of `scene.others`, as last read: see [`Input::ReadOthers`](super::host::Input::ReadOthers).
    pub others: Vec<(Counters, Errors)>,
    /// What those pairs counted that there is no room to show one by one.
    pub overflow: Overflow,
    /// When the last tick ended, whose rates these are, in the time of the state machine.
    pub ticked: Duration,
}

impl View {
    /// What one side of a pair counts, as it sees it itself. A veth shows its peer's transmit as its own
    /// receive, but for what is redirected past the peer; drops are counted at the port, which could not
    /// hand over.
    pub fn own_counters(&self, pair: usize, side: usize) -> Counters {
        let (own, peer) = (&self.samples[pair][side], &self.samples[pair][1 - side]);
        Counters {
            receive_bytes: own.receive_bytes.max(peer.transmit_bytes),
            receive_packets: own.receive_packets.max(peer.transmit_packets),
            receive_dropped: peer.transmit_dropped,
            transmit_bytes: own.transmit_bytes.max(peer.receive_bytes),
            transmit_packets: own.transmit_packets.max(peer.receive_packets),
            transmit_dropped: peer.receive_dropped,
        }
    }
}

/// What there is on the host, without a number that moves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    /// Every pair, in the order of the first ends.
    pub pairs: Vec<Arc<ShownPair>>,
    /// Veth ends that have no pair, and why.
    pub single: Vec<(Arc<ShownSide>, EndState)>,
    /// Label sets of the workloads' totals, sorted.
    pub workloads: Vec<Arc<LabelSet>>,
    /// For each of them when its total began, in the time of the state machine.
    pub workloads_begun: Vec<Duration>,
    /// Labels of the networks' totals, sorted.
    pub networks: Vec<Arc<NetworkLabels>>,
    /// For each of them when its total began.
    pub networks_begun: Vec<Duration>,
    /// The workloads that have a pair, with their members; sorted.
    pub tenants: Vec<Arc<Tenant>>,
    /// There are pods here, or there may be: the labels that name a container are written even where they
    /// are empty, so that Kubernetes' relabelling cannot fill them with the exporter's own.
    pub pods: bool,
    /// The links of containers and pods that are no veths: macvlan, ipvlan, a card of the host; without the
    /// loopback.
    pub others: Vec<OtherLink>,
    /// How many veth ends are in each state.
    pub ends: BTreeMap<EndState, usize>,
    /// Whether there was ever a port, and an interface of a container, that there is no room to show by
    /// itself.
    pub overflow: (bool, bool),
    /// How many pairs the user would see were there room for them.
    pub summed: usize,
}

/// A workload and the members that share its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tenant {
    /// Who owns the namespace.
    pub owner: Workload,
    /// Who else lives in it; sorted.
    pub members: Vec<Workload>,
    /// The [title](Workload::title) of the workload in which this one runs; empty if there is none.
    pub parent: String,
    /// The path of the cgroup of the process by which it was found; empty for one that has no process.
    pub cgroup: String,
}

impl Tenant {
    /// A workload without members that runs in no other.
    pub fn alone(owner: Workload, cgroup: Option<&str>) -> Tenant {
        let cgroup = cgroup.unwrap_or_default().to_owned();
        Tenant { owner, members: Vec::new(), parent: String::new(), cgroup }
    }

    /// True for what cAdvisor calls a container.
    pub fn is_container(&self) -> bool {
        matches!(self.owner.runtime, Runtime::Docker | Runtime::Podman | Runtime::Cri)
    }
}

/// A link in a container's or pod's namespace that is no veth.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherLink {
    pub end: End,
    pub name: Name,
    pub tenant: Arc<Tenant>,
}

/// A pair as it is shown; the side of the lesser end first.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownPair {
    /// The two sides of the pair.
    pub sides: [ShownSide; 2],
    /// The state: `Paired` or `PeerHidden`.
    pub state: EndState,
}

impl ShownPair {
    /// The sides that are ports, each with the other side.
    pub fn ports(&self) -> impl Iterator<Item = (usize, &ShownSide, &ShownSide)> {
        let [a, b] = &self.sides;
        [(0, a, b), (1, b, a)].into_iter().filter(|(_, side, _)| side.role == Role::Port)
    }
}

/// One end as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownSide {
    /// The namespace and the ifindex of the end.
    pub end: End,
    /// What the kernel says of it, without the counters; `None` if we may not look there.
    pub link: Option<Link>,
    /// The role of the end: port or interface.
    pub role: Role,
    /// The label `netns`: empty on the host, else unique for the namespace.
    pub netns: Arc<str>,
    /// The bridge or Open vSwitch that the end is enslaved to.
    pub bridge: Option<Name>,
    /// Who lives in its namespace; `None` on the host and where nobody claims it.
    pub tenant: Option<Arc<Tenant>>,
    /// For an interface: the labels its traffic is booked under.
    pub labels: Option<LabelSet>,
    /// The user does not want to see it.
    pub hidden: bool,
}

/// What is asked, each by itself: one that fails takes no other with it. The label `collector`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Which links there are.
    Links,
    /// The counters of the host's links.
    Counters,
    /// What the kernel tells unasked.
    Events,
    /// The API of a Docker engine.
    Docker,
    /// The API of Podman's service.
    Podman,
    /// The server of the Container Runtime Interface.
    Cri,
    /// The names in /run/netns.
    Named,
    /// The processes in namespaces that no runtime claims.
    Process,
}

impl Source {
    /// Returns the value of the label `collector`.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Links => "links",
            Source::Counters => "counters",
            Source::Events => "events",
            Source::Docker => "docker",
            Source::Podman => "podman",
            Source::Cri => "cri",
            Source::Named => "named",
            Source::Process => "process",
        }
    }
}

/// How a source did when it was last asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// The reason, where it failed.
    pub result: Result<(), String>,
    /// How long the answer took.
    pub took: Duration,
}

/// How the exporter itself does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Of every source that is configured or was found.
    pub sources: BTreeMap<Source, SourceStatus>,
    /// Messages of the kernel that could not be read.
    pub bad_messages: u64,
    /// Claims that did not fit what is in the namespace.
    pub claims_rejected: u64,
    /// Events of the kernel that arrived.
    pub events: u64,
    /// How often the kernel had no room for events.
    pub lost: u64,
    /// How often all was read again, by the reason.
    pub resyncs: BTreeMap<&'static str, u64>,
    /// What reading again found that events had missed.
    pub corrections: u64,
    /// Scrapes that got the values of the last tick.
    pub stale_scrapes: u64,
    /// Ticks that began over half an interval late.
    pub late_ticks: u64,
    /// How many series there are.
    pub series: SeriesStatus,
}

/// How many series of veths there are, in `/metrics`; those of the rest are in none of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeriesStatus {
    /// How many there may be.
    pub limit: usize,
    /// How many there are, at most: peaks end with their window.
    pub shown: usize,
    /// How many more there would be of pairs and label sets that are summed in the rest.
    pub summed: usize,
    /// How many more there would be in `/metrics/cadvisor` of links that are no veths.
    pub left_out: usize,
}

impl SeriesStatus {
    /// True while there is more than there is room for.
    pub fn is_limited(&self) -> bool {
        self.summed > 0 || self.left_out > 0
    }
}
