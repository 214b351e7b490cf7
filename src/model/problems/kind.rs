//! The kinds of problems.

/// The number of kinds.
const KINDS: usize = 27;

/// The number of problems of each kind, in the order of [`ProblemKind::ALL`].
pub type ProblemCounts = [usize; KINDS];

/// The kind of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    /// A link that was up is down.
    LinkDown,
    /// A pair drops packets now.
    Drops,
    /// The two ends of a pair have different MTUs.
    MtuMismatch,
    /// A container is not in the namespace that it was to share: see `Stranded`.
    StaleMember,
    /// A container is started again and again.
    CrashLoop,
    /// Two interfaces on one bridge have the same MAC address.
    DuplicateAddress,
    /// An end of a workload has no carrier although it is switched on.
    NoCarrier,
    /// An end neither asks for MAC addresses nor answers.
    ArpOff,
    /// The port of a bridge forwards nothing.
    PortNotForwarding,
    /// Two links of one segment have the same IP address.
    SameAddress,
    /// An end answers no ARP request for its address.
    ArpIgnore,
    /// The gateway of a workload does not answer ARP requests.
    NeighbourFailed,
    /// A workload sends packets for its gateway to another link.
    NeighbourOther,
    /// A workload has no route to its gateway, which is in another subnet.
    WrongSubnet,
    /// A namespace has no route to the other side.
    NoRoute,
    /// The gateway has no route back to a workload.
    NoRouteBack,
    /// A route on the way to the gateway refuses packets.
    RouteRefuses,
    /// Packets leave by another link than the one that leads there.
    OtherDevice,
    /// A workload sends packets to a gateway that did not answer and that the other end of its pair does not
    /// have.
    WrongGateway,
    /// A bridge filters by VLAN, and lets no frame pass between a workload and its gateway.
    PortVlan,
    /// The port of a bond that leads to a workload is not in use.
    BondBackup,
    /// A namespace on the way does not forward packets.
    ForwardingOff,
    /// Packets are dropped by the check of their source address.
    RpFilter,
    /// Packets are dropped as they come from an address of the receiver itself.
    AcceptLocal,
    /// The queues of listening sockets were full since the last look.
    ListenOverflow,
    /// A source of the exporter's knowledge fails, or lacks something.
    Source,
    /// The state that outlives the exporter cannot be written.
    State,
}

impl ProblemKind {
    /// Every kind, in the order of the enumeration.
    pub const ALL: [ProblemKind; KINDS] = [
        ProblemKind::LinkDown,
        ProblemKind::Drops,
        ProblemKind::MtuMismatch,
        ProblemKind::StaleMember,
        ProblemKind::CrashLoop,
        ProblemKind::DuplicateAddress,
        ProblemKind::NoCarrier,
        ProblemKind::ArpOff,
        ProblemKind::PortNotForwarding,
        ProblemKind::SameAddress,
        ProblemKind::ArpIgnore,
        ProblemKind::NeighbourFailed,
        ProblemKind::NeighbourOther,
        ProblemKind::WrongSubnet,
        ProblemKind::NoRoute,
        ProblemKind::NoRouteBack,
        ProblemKind::RouteRefuses,
        ProblemKind::OtherDevice,
        ProblemKind::WrongGateway,
        ProblemKind::PortVlan,
        ProblemKind::BondBackup,
        ProblemKind::ForwardingOff,
        ProblemKind::RpFilter,
        ProblemKind::AcceptLocal,
        ProblemKind::ListenOverflow,
        ProblemKind::Source,
        ProblemKind::State,
    ];

    /// Returns true for a problem that the state of links shows at once.
    pub(super) fn is_of_links(self) -> bool {
        matches!(self, ProblemKind::LinkDown | ProblemKind::MtuMismatch | ProblemKind::DuplicateAddress)
    }

    /// Returns the kind of what a rule of `explain` finds without a second end; `None` for a rule that needs
    /// one, and for what the links of the host show at each tick.
    pub(crate) fn of_rule(rule: &str) -> Option<ProblemKind> {
        ProblemKind::ALL.into_iter().find(|kind| kind.is_of_checks() && kind.as_str() == rule)
    }

    /// Returns true for a kind that only a [check](crate::model::checks) of a namespace finds.
    pub(crate) fn is_of_checks(self) -> bool {
        use ProblemKind::{CrashLoop, Drops, Source, StaleMember, State};
        !self.is_of_links() && !matches!(self, Drops | StaleMember | CrashLoop | Source | State)
    }

    /// Returns the kind in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            ProblemKind::LinkDown => "link_down",
            ProblemKind::Drops => "drops",
            ProblemKind::MtuMismatch => "mtu_mismatch",
            ProblemKind::StaleMember => "stale_member",
            ProblemKind::CrashLoop => "crash_loop",
            ProblemKind::DuplicateAddress => "duplicate_address",
            ProblemKind::NoCarrier => "no_carrier",
            ProblemKind::ArpOff => "arp_off",
            ProblemKind::PortNotForwarding => "port_not_forwarding",
            ProblemKind::SameAddress => "same_address",
            ProblemKind::ArpIgnore => "arp_ignore",
            ProblemKind::NeighbourFailed => "neighbour_failed",
            ProblemKind::NeighbourOther => "neighbour_other",
            ProblemKind::WrongSubnet => "wrong_subnet",
            ProblemKind::NoRoute => "no_route",
            ProblemKind::NoRouteBack => "no_route_back",
            ProblemKind::RouteRefuses => "route_refuses",
            ProblemKind::OtherDevice => "other_device",
            ProblemKind::WrongGateway => "wrong_gateway",
            ProblemKind::PortVlan => "port_vlan",
            ProblemKind::BondBackup => "bond_backup",
            ProblemKind::ForwardingOff => "forwarding_off",
            ProblemKind::RpFilter => "rp_filter",
            ProblemKind::AcceptLocal => "accept_local",
            ProblemKind::ListenOverflow => "listen_overflow",
            ProblemKind::Source => "source",
            ProblemKind::State => "state",
        }
    }
}
