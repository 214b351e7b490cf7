//! The view of the host: the one input of every output.

use super::cgroup;
use super::drops::DropSeries;
use super::host::LookFailure;
use super::lack::{Lack, LackReason};
use super::ledger::{LabelSet, Overflow, Traffic};
use super::link::{Counters, End, Errors, Link, Master, Name};
use super::lives::Restarts;
use super::pairing::{EndState, Role};
use super::peak::Rates;
use super::periods::{ByPeriod, Period, PeriodBases};
use super::problems::{Problem, ProblemCounts};
use super::queues::QueueReading;
use super::recent_events::RecentEvent;
use super::tcp::{TcpFigures, TcpWorkload};
use super::workload::{ContainerNetwork, ContainerState, Runtime, Started, Workload, WorkloadName};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

mod networks;

pub use networks::{NetworkNumbers, SceneNetworks};
pub(crate) use networks::{PoolLabels, ReportedNetworks};

/// The state of the host at one time: a scene, and the numbers that belong to it.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The pairs, workloads and networks with their names. The allocation stays the same as long as only
    /// numbers change.
    pub scene: Arc<Scene>,
    /// The running counters of the two sides of each of `scene.pairs`.
    pub samples: Vec<[Counters; 2]>,
    /// The rates of each of `scene.pairs` in the last tick, as its first side sees them; `None` before the
    /// pair's first tick.
    pub rates: Vec<Option<Rates>>,
    /// The total of each of `scene.workloads`.
    pub workloads: Vec<Traffic>,
    /// The highest rates of each of `scene.workloads` in the window; `None` if there are none.
    pub peaks: Vec<Option<Rates>>,
    /// The numbers of `scene.networks`.
    pub networks: NetworkNumbers,
    /// The numbers that are read for scrapes alone.
    pub for_scrapes: ReadForScrapes,
    /// The sums of the pairs in the overflow, which are not shown one by one.
    pub overflow: Overflow,
    /// The end of the last tick, to which `rates` belongs, as the state machine's time.
    pub ticked: Duration,
    /// The members that are in another namespace than they were to share, by id.
    pub stranded: Vec<Stranded>,
    /// The pairs that have dropped packets in the last tick, each as its index in `scene.pairs` with the
    /// rates of both directions; in ascending order.
    pub dropping: Vec<(u32, DropRates)>,
    /// The things that are shown beside the pairs.
    pub condition: Condition,
}

/// The numbers that are read for scrapes alone, as last read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadForScrapes {
    /// The counters of each of [`Scene::others`]: see
    /// [`Input::ReadOthers`](super::host::Input::ReadOthers).
    pub others: Vec<(Counters, Errors)>,
    /// The root queue disciplines of ports on the host, in the order of the ifindices. A port that has one in
    /// the scene is missing until its first reading.
    pub queues: Vec<QueueReading>,
}

/// The things that are shown beside the pairs. The allocation of each list stays the same as long as nothing
/// in it changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Condition {
    /// The problems of the host, the most severe first.
    pub problems: Arc<Vec<Problem>>,
    /// The number of problems of each kind, those included that the list has no room for.
    pub problem_counts: ProblemCounts,
    /// The containers without a veth of their own.
    pub vethless: Arc<Vec<ShownVethless>>,
    /// The containers that were restarted.
    pub restarts: Arc<Vec<Restarts>>,
    /// The number of starts of each of `BesideTraffic::starts`.
    pub starts: Arc<Vec<u64>>,
    /// The last events, the oldest first.
    pub events: Arc<VecDeque<Arc<RecentEvent>>>,
    /// The TCP figures of each of `BesideTraffic::tcp`.
    pub tcp: Arc<Vec<TcpFigures>>,
    /// The packets that the kernel dropped; `None` if its counts are not read.
    pub drops: Option<ShownDrops>,
}

/// The packets that the kernel dropped, as shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownDrops {
    /// The packets of each of `BesideTraffic::drops`.
    pub packets: Vec<u64>,
    /// The packets that were not counted by reason, as the kernel's map had no room for them.
    pub lost: u64,
}

impl Condition {
    /// Returns true if all lists but those of the events and of TCP figures are the same allocations.
    fn is_same(&self, other: &Condition) -> bool {
        Arc::ptr_eq(&self.problems, &other.problems)
            && Arc::ptr_eq(&self.vethless, &other.vethless)
            && Arc::ptr_eq(&self.restarts, &other.restarts)
    }
}

/// A container without a veth of its own, as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownVethless {
    pub workload: Workload,
    pub state: ContainerState,
    pub network: ContainerNetwork,
    /// The time since when the container is stopped, as the state machine's time.
    pub since: Option<Duration>,
}

/// The rates at which a pair drops packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropRates {
    /// Packets per second that were to be received.
    pub receive: u64,
    /// Packets per second that were to be sent.
    pub transmit: u64,
}

/// The total that one side of a pair is booked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairTotal {
    /// The index of the total in [`View::workloads`].
    pub index: u32,
    /// True if other pairs are booked to the same total: its numbers are not those of one pair.
    pub shared: bool,
}

impl View {
    /// Returns true if all that is known of pairs and their totals is the same in another view.
    pub fn has_same_pairs(&self, other: &View) -> bool {
        Arc::ptr_eq(&self.scene, &other.scene)
            && self.samples == other.samples
            && self.rates == other.rates
            && self.workloads == other.workloads
            && self.peaks == other.peaks
            && self.dropping == other.dropping
            && self.condition.is_same(&other.condition)
    }

    /// Returns the rates of a pair in the last tick, as seen by one side.
    pub fn own_rates(&self, pair: usize, side: usize) -> Option<Rates> {
        let rates = self.rates.get(pair).copied().flatten()?;
        Some(if side == 0 { rates } else { rates.of_peer() })
    }

    /// Returns the rates at which a pair has dropped packets in the last tick, as seen by one side.
    pub fn own_drops(&self, pair: usize, side: usize) -> DropRates {
        let found = self.dropping.binary_search_by_key(&pair, |(index, _)| *index as usize);
        let rates = found.map_or_else(|_| DropRates::default(), |at| self.dropping[at].1);
        if side == 0 { rates } else { DropRates { receive: rates.transmit, transmit: rates.receive } }
    }

    /// Returns the index in `workloads` of the total that one side of a pair is booked to, if no other pair
    /// is booked to it.
    pub fn own_total(&self, pair: usize, side: usize) -> Option<usize> {
        let total = self.scene.pair_totals.get(pair)?[side].filter(|total| !total.shared)?;
        Some(total.index as usize)
    }

    /// Returns the peaks of the total that only one side of a pair is booked to.
    pub fn own_peaks(&self, pair: usize, side: usize) -> Option<Rates> {
        *self.peaks.get(self.own_total(pair, side)?)?
    }

    /// Returns the counters of one side of a pair as seen by that side. A veth shows its peer's transmit as
    /// its own receive, except packets that are redirected past the peer. Drops are counted at the port,
    /// which could not deliver the packets.
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

/// The pairs, workloads and networks of the host, without changing numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    /// Every pair, in the order of its first end.
    pub pairs: Vec<Arc<ShownPair>>,
    /// The total that the two sides of each of `pairs` are booked to; `None` for a port, for a hidden side,
    /// and for a side that is booked to the interface `other`.
    pub pair_totals: Vec<[Option<PairTotal>; 2]>,
    /// The ends without a pair, each with the reason.
    pub single: Vec<(Arc<ShownSide>, EndState)>,
    /// Label sets of the workloads' totals, sorted.
    pub workloads: Vec<Arc<LabelSet>>,
    /// The times at which the totals of workloads began.
    pub begun: TotalsBegun,
    /// The networks with totals, and what their engines report of them.
    pub networks: SceneNetworks,
    /// The things that are shown of workloads besides their traffic.
    pub beside: BesideTraffic,
    /// The workloads that have a pair, with their members; sorted.
    pub ownerships: Vec<Arc<Ownership>>,
    /// True if the host has pods, or may have some. The labels that name a container are then written even
    /// when empty, so that Kubernetes' relabelling cannot fill them with the exporter's own values.
    pub pods: bool,
    /// The links of containers and pods that are no ends of pairs: macvlan, ipvlan, a card of the host;
    /// without the loopback.
    pub others: Vec<OtherLink>,
    /// The number of ends in each state.
    pub ends: BTreeMap<EndState, usize>,
    /// The state of the overflow.
    pub overflow: ShownOverflow,
}

/// The times at which totals began, as the state machine's times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TotalsBegun {
    /// The time of each of [`Scene::workloads`].
    pub workloads: Vec<Duration>,
    /// The present periods; `None` if they are not known.
    pub periods: Option<ByPeriod<Period>>,
    /// The bytes that each of [`Scene::workloads`] had when the periods began.
    pub bases: Vec<PeriodBases>,
    /// The time of each of `BesideTraffic::starts`.
    pub starts: Vec<Duration>,
}

/// The things that are shown of workloads besides their traffic: starts, stranded members, TCP figures,
/// dropped packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BesideTraffic {
    /// The names of workloads, sorted; those that are gone stay for the retention.
    pub starts: Vec<Arc<WorkloadName>>,
    /// The members that are not in the namespace that they were to share.
    pub stranded: Vec<Workload>,
    /// The workloads with TCP figures, sorted by labels.
    pub tcp: Vec<TcpWorkload>,
    /// The series of dropped packets, sorted.
    pub drops: Vec<DropSeries>,
}

/// The contents of the overflow, now or earlier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShownOverflow {
    /// True if the overflow has ever contained a port.
    pub ports: bool,
    /// True if the overflow has ever contained an interface of a container.
    pub containers: bool,
    /// The number of pairs in the overflow that the user's filter would show.
    pub pairs: usize,
}

/// A workload and the members that share its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ownership {
    /// The workload that owns the namespace.
    pub owner: Workload,
    /// The other workloads in the namespace; sorted.
    pub members: Vec<Workload>,
    /// The [title](Workload::title) of the workload in which the owner runs; empty if there is none.
    pub parent: String,
    /// The cgroup path of the container or machine, else of the process that led to the namespace; empty if
    /// no process did.
    pub cgroup: String,
    /// The time at which the runtime started the owner.
    pub started: Started,
}

impl Ownership {
    /// Returns a workload without members that does not run in another workload.
    pub fn alone(owner: Workload, cgroup: Option<&str>) -> Ownership {
        let cgroup = cgroup::own_path(cgroup.unwrap_or_default(), &owner).to_owned();
        Ownership { owner, members: Vec::new(), parent: String::new(), cgroup, started: Started::default() }
    }

    /// Returns true for a workload that cAdvisor treats as a container.
    pub fn is_container(&self) -> bool {
        matches!(self.owner.runtime, Runtime::Docker | Runtime::Podman | Runtime::Cri)
    }
}

/// A container that was to share the network namespace of another one, and is in a namespace without a
/// network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranded {
    pub member: Workload,
    /// The other container; one that was removed has an id alone.
    pub target: Workload,
    pub reason: StrandedReason,
}

/// The reason why a member is not in the namespace that it was to share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrandedReason {
    /// The other container was restarted, and has a new namespace.
    Restarted,
    /// The other container does not run.
    Stopped,
    /// There is no container with that id any more.
    Removed,
}

impl Stranded {
    /// Returns what is wrong and what to do, in one sentence.
    pub fn sentence(&self) -> String {
        let (text, remedy) = self.parts();
        format!("{text}; {remedy}")
    }

    /// Returns what is wrong, and what to do.
    pub(crate) fn parts(&self) -> (String, String) {
        let Stranded { member, target, reason } = self;
        let full = |workload: &Workload| format!("{}/{}", workload.runtime.as_str(), workload.title());
        let (name, other) = (member.title(), target.title());
        let (target, event, remedy) = match reason {
            StrandedReason::Restarted => (full(target), "was restarted", format!("restart {name}")),
            StrandedReason::Stopped => {
                (full(target), "is not running", format!("start {other}, then restart {name}"))
            }
            StrandedReason::Removed => {
                let short: String = target.id.chars().take(12).collect();
                (format!("the container {short}"), "was removed or replaced", format!("make {name} anew"))
            }
        };
        let text = format!(
            "{} is in a network namespace that no other workload is in: {target}, whose network it was to share, {event}",
            full(member)
        );
        (text, remedy)
    }
}

/// A link in a container's or pod's namespace that is no end of a pair.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherLink {
    pub end: End,
    pub name: Name,
    pub ownership: Arc<Ownership>,
}

/// A pair as shown; the side of the lesser end comes first.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownPair {
    /// The two sides of the pair.
    pub sides: [ShownSide; 2],
    /// The state: `Paired` or `PeerHidden`.
    pub state: EndState,
}

impl ShownPair {
    /// Returns the sides that are ports, each with its index and the opposite side.
    pub fn ports(&self) -> impl Iterator<Item = (usize, &ShownSide, &ShownSide)> {
        let [a, b] = &self.sides;
        [(0, a, b), (1, b, a)].into_iter().filter(|(_, side, _)| side.role == Role::Port)
    }
}

/// One end of a pair as shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownSide {
    /// The namespace and the ifindex of the end.
    pub end: End,
    /// The link's attributes without its counters; `None` if the kernel does not let the exporter read the
    /// namespace.
    pub link: Option<Link>,
    /// The role of the end: port or interface.
    pub role: Role,
    /// The label `netns`: empty on the host, else unique for the namespace.
    pub netns: Arc<str>,
    /// The link that the end is enslaved to.
    pub master: Option<Master>,
    /// The owner of the end's namespace; `None` on the host and in an unclaimed namespace.
    pub ownership: Option<Arc<Ownership>>,
    /// The labels that the traffic is booked under; `None` for a port.
    pub labels: Option<LabelSet>,
    /// True if the user's filter hides this side.
    pub hidden: bool,
}

impl ShownSide {
    /// Returns the bridge or Open vSwitch that the end is enslaved to.
    pub fn bridge(&self) -> Option<Name> {
        self.master.filter(|master| master.kind.is_switch()).map(|master| master.name)
    }
}

/// A source of the exporter's knowledge: the label `collector`. The failure of one source does not affect
/// the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The list of links of each namespace.
    Links,
    /// The counters of the host's links.
    Counters,
    /// The events that the kernel sends unasked.
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
    /// The kernel's counts of dropped packets by reason.
    Drops,
}

impl Source {
    /// All sources, in the order of the enumeration.
    pub const ALL: [Source; 9] = [
        Source::Links,
        Source::Counters,
        Source::Events,
        Source::Docker,
        Source::Podman,
        Source::Cri,
        Source::Named,
        Source::Process,
        Source::Drops,
    ];

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
            Source::Drops => "drops",
        }
    }

    /// Returns the source that reports the workloads of a runtime; `None` for a runtime without a source.
    pub(crate) fn of(runtime: Runtime) -> Option<Source> {
        match runtime {
            Runtime::Docker => Some(Source::Docker),
            Runtime::Podman => Some(Source::Podman),
            Runtime::Cri => Some(Source::Cri),
            Runtime::Named => Some(Source::Named),
            Runtime::Lxc | Runtime::Nspawn | Runtime::Process | Runtime::Unknown => None,
        }
    }
}

/// The result of a source's last answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// The reason, if the source failed.
    pub result: Result<(), Lack>,
    /// The things that the source does not provide although it works, each with the reason.
    pub limits: Vec<Lack>,
    /// The time that the answer took.
    pub took: Duration,
}

impl SourceStatus {
    /// Returns the status of a source without limits.
    pub fn new(result: Result<(), Lack>, took: Duration) -> SourceStatus {
        SourceStatus { result, limits: Vec::new(), took }
    }

    /// Returns everything that the source lacks: the reason of its failure, then its limits.
    pub fn lacks(&self) -> impl Iterator<Item = &Lack> {
        self.result.as_ref().err().into_iter().chain(&self.limits)
    }

    /// Returns the state in one word: `works`, `limited` or `failed`.
    pub fn state(&self) -> &'static str {
        match (&self.result, self.limits.is_empty()) {
            (Err(_), _) => "failed",
            (Ok(()), false) => "limited",
            (Ok(()), true) => "works",
        }
    }
}

/// The beginning of the line about TCP figures that cannot be read.
const TCP_LACK: &str = "cannot read the TCP figures of workloads in /proc/PID/net";

/// The state of the exporter itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The status of every source that is configured or was found.
    pub sources: BTreeMap<Source, SourceStatus>,
    /// The number of kernel messages that could not be parsed.
    pub bad_messages: u64,
    /// The number of claims that contradict the links of the namespace.
    pub claims_rejected: u64,
    /// The number of kernel events that arrived.
    pub events: u64,
    /// The number of times that the kernel dropped events because the socket's buffer was full.
    pub lost: u64,
    /// The number of resyncs, by reason.
    pub resyncs: BTreeMap<&'static str, u64>,
    /// The number of links that a resync found in another state than events had reported.
    pub corrections: u64,
    /// The number of scrapes that were answered with the values of the last tick.
    pub stale_scrapes: u64,
    /// The number of ticks that began more than half an interval late.
    pub late_ticks: u64,
    /// The number of series, and of those beyond the limit.
    pub series: SeriesStatus,
    /// The number of requests to each engine, by call.
    pub engine_requests: BTreeMap<(Runtime, &'static str), u64>,
    /// The version of each engine that has answered; empty if it does not report one.
    pub engines: BTreeMap<Runtime, String>,
}

impl Status {
    /// Sets the result of a source's last answer. The limits of the source stay.
    pub(crate) fn set_result(&mut self, source: Source, result: Result<(), Lack>, took: Duration) {
        let status = self.sources.entry(source).or_insert_with(|| SourceStatus::new(Ok(()), took));
        (status.result, status.took) = (result, took);
    }

    /// Sets the limits of a source.
    pub(crate) fn set_limits(&mut self, source: Source, limits: Vec<Lack>) {
        let status = self.sources.entry(source);
        status.or_insert_with(|| SourceStatus::new(Ok(()), Duration::ZERO)).limits = limits;
    }

    /// Sets whether TCP figures can be read: if not, that is a limit of the source of processes.
    pub(crate) fn note_tcp(&mut self, result: Result<(), LookFailure>) {
        let is_of_tcp = |lack: &Lack| lack.what.starts_with(TCP_LACK);
        let limits = self.sources.get(&Source::Process).map(|status| status.limits.as_slice());
        let limits = limits.unwrap_or_default();
        if result.is_ok() && !limits.iter().any(is_of_tcp) {
            return;
        }
        let mut limits: Vec<Lack> = limits.iter().filter(|lack| !is_of_tcp(lack)).cloned().collect();
        if let Err(failure) = result {
            let reason = match failure {
                LookFailure::Denied => LackReason::Permission,
                LookFailure::Gone | LookFailure::Failed(_) => LackReason::Unreadable,
            };
            limits.push(Lack::new(reason, format!("{TCP_LACK}: {failure}")));
        }
        self.set_limits(Source::Process, limits);
    }

    /// Sets the result of a runtime's last answer. A runtime without a source of its own reports nothing.
    pub(crate) fn report(&mut self, runtime: Runtime, result: Result<Vec<Lack>, Lack>, took: Duration) {
        let Some(source) = Source::of(runtime) else { return };
        let (result, limits) = match result {
            Ok(limits) => (Ok(()), limits),
            Err(lack) => (Err(lack), Vec::new()),
        };
        self.sources.insert(source, SourceStatus { result, limits, took });
    }
}

/// The number of series of veths in `/metrics`. The overflow's own series are in none of these figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeriesStatus {
    /// The limit on series (`--limits.series`).
    pub limit: usize,
    /// The number of series shown, as an upper bound: peaks disappear at the end of their window.
    pub shown: usize,
    /// The number of further series that the pairs and label sets in the overflow would take.
    pub summed: usize,
    /// The number of further series that links other than ends of pairs would take in `/metrics/cadvisor`.
    pub left_out: usize,
    /// True once a workload has had more interfaces than are shown one by one (`--limits.interfaces`).
    pub crowded: bool,
}

impl SeriesStatus {
    /// Returns true while the limit keeps any series from being shown.
    pub fn is_limited(&self) -> bool {
        self.summed > 0 || self.left_out > 0
    }
}
