//! The one table of metric families: name, type, help, and the source of the value.

use crate::model::ledger::Traffic;
use crate::model::link::{Counters, Link};
use crate::model::peak::Rates;
use crate::model::queues::QueueCounters;
use crate::model::tcp::{TcpCounter, TcpFigures};

/// The type of a metric family, as in `# TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A value that only rises while the process lives; the name ends in `_total`.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// A family that informs by its labels, with a value that is always 1; the name ends in `_info`.
    Info,
}

/// The subject of a family's series, and the source of each value.
#[derive(Clone, Copy, Debug)]
pub enum Series {
    /// One series for each port: the kernel's running counters.
    DeviceCounter(fn(&Counters) -> u64),
    /// One series for each port: the state of the interface in the kernel.
    DeviceState(fn(&Link) -> u64),
    /// One series for each port with a peer that can be read: the state of the peer's interface.
    PeerState(fn(&Link) -> u64),
    /// One series for each port, always 1.
    DeviceInfo,
    /// One series for each port on the host with a root queue discipline: the kernel's running numbers.
    DeviceQueue(fn(&QueueCounters) -> u32),
    /// One series for each label set of a workload.
    Workload(fn(&Traffic) -> u64),
    /// One series for each living workload and member, always 1.
    WorkloadInfo,
    /// One series for each workload: how often it was started.
    Starts,
    /// One series for each living workload with a start that its runtime reports: the time of that start.
    StartTime,
    /// One series for each member: 1 if it is stranded, else 0.
    StaleMember,
    /// One series for each label set of a workload that an interface carried within the window.
    Peak(fn(&Rates) -> u64),
    /// One series for each network.
    Network(fn(&Traffic) -> u64),
    /// One series for each workload of which the figure is known.
    Tcp(fn(&TcpFigures) -> Option<u64>),
    /// One series for each reason of drops, of workloads one for each too.
    StackDrops(DropsOf),
    /// One series for each network: the number of its workloads.
    NetworkMembers,
    /// One series for each network that an engine reports, always 1.
    NetworkInfo,
    /// One series for each IPv4 subnet of such a network, if the engine reports all used addresses.
    AddressesUsed,
    /// One series for each IPv4 subnet of such a network.
    AddressesSize,
}

/// The owner of a family's dropped packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropsOf {
    /// One series for each workload and reason.
    Workloads,
    /// One series for each reason in the host's namespace.
    Host,
    /// One series for each reason where no workload is shown.
    NoWorkload,
}

/// The end of a peak's help.
macro_rules! peak_help {
    ($what:literal) => {
        concat!(
            "The highest rate of one tick in the last --peak.window at which the workload ",
            $what,
            ". Peaks of different workloads are of different moments: do not sum them. With GSO one packet can be 64 KB."
        )
    };
}

/// The help of a queue discipline's family.
macro_rules! queue_help {
    ($what:literal) => {
        concat!($what, " Only of ports on the host with another queue discipline than noqueue.")
    };
}

/// The end of a TCP counter's help.
macro_rules! tcp_help {
    ($what:literal) => {
        concat!(
            $what,
            ", over all network namespaces that had these labels since the exporter started. Read every 15 s: what is counted between the last reading of a namespace and its end is missing."
        )
    };
}

#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub name: &'static str,
    pub kind: Type,
    /// The meaning, the direction, and the kernel's field.
    pub help: &'static str,
    /// The subject and source of the series.
    pub series: Series,
}

const fn family(name: &'static str, kind: Type, series: Series, help: &'static str) -> Family {
    Family { name, kind, help, series }
}

use Series::{
    AddressesSize, AddressesUsed, DeviceCounter, DeviceInfo, DeviceQueue, DeviceState, Network, NetworkInfo,
    NetworkMembers, PeerState, Tcp, Workload, WorkloadInfo,
};
use Type::{Counter, Gauge, Info};

/// All families of veths, in the order in which they are written: by name.
pub const FAMILIES: &[Family] = &[
    family(
        "veth_container_info",
        Info,
        WorkloadInfo,
        "Always 1: a workload with a veth, or a member that shares its network namespace (network_owner).",
    ),
    family(
        "veth_container_receive_bytes_total",
        Counter,
        Workload(|t| t.receive.bytes),
        "Bytes that the workload received (tx_bytes of its port), exact over all veths that carried these labels since the exporter started.",
    ),
    family(
        "veth_container_receive_packets_dropped_total",
        Counter,
        Workload(|t| t.receive.dropped),
        "Packets for the workload that its port could not hand over (tx_dropped of the port).",
    ),
    family(
        "veth_container_receive_packets_total",
        Counter,
        Workload(|t| t.receive.packets),
        "Packets that the workload received (tx_packets of its port); with GSO one can be 64 KB.",
    ),
    family(
        "veth_container_receive_peak_bytes_per_second",
        Gauge,
        Series::Peak(|p| p.receive_bytes),
        peak_help!("received bytes"),
    ),
    family(
        "veth_container_receive_peak_packets_per_second",
        Gauge,
        Series::Peak(|p| p.receive_packets),
        peak_help!("received packets"),
    ),
    family(
        "veth_container_stack_drops_total",
        Counter,
        Series::StackDrops(DropsOf::Workloads),
        "Packets that the kernel dropped in the workload's network namespace, or that came from its port, by the kernel's reason (tracepoint skb:kfree_skb). Not to be added to *_packets_dropped_total, which has the port's own.",
    ),
    family(
        "veth_container_stale_member",
        Gauge,
        Series::StaleMember,
        "1 for a container that is not in the network namespace that it was to share, as that one's owner was restarted, stopped or removed; 0 for a member that is.",
    ),
    family(
        "veth_container_start_time_seconds",
        Gauge,
        Series::StartTime,
        "When the runtime started the present container or pod, in seconds since 1970; absent where it does not say.",
    ),
    family(
        "veth_container_starts_total",
        Counter,
        Series::Starts,
        "How often the workload was started, restarted or recreated under these labels while the exporter ran; what ran when it started has 0. Kept for --container.retention and at least 10 minutes after the last is gone.",
    ),
    family(
        "veth_container_tcp_attempts_failed_total",
        Counter,
        Tcp(|tcp| tcp.counter(TcpCounter::AttemptsFailed)),
        tcp_help!(
            "Connections that failed to open: refused, timed out or reset in the handshake (AttemptFails of Tcp in /proc/PID/net/snmp)"
        ),
    ),
    family(
        "veth_container_tcp_connections_reset_total",
        Counter,
        Tcp(|tcp| tcp.counter(TcpCounter::ConnectionsReset)),
        tcp_help!(
            "Open connections that were reset by either side (EstabResets of Tcp in /proc/PID/net/snmp)"
        ),
    ),
    family(
        "veth_container_tcp_listen_drops_total",
        Counter,
        Tcp(|tcp| tcp.counter(TcpCounter::ListenDrops)),
        tcp_help!(
            "Connections to a listening socket that were dropped for any reason, a full queue included (ListenDrops of TcpExt in /proc/PID/net/netstat)"
        ),
    ),
    family(
        "veth_container_tcp_listen_overflows_total",
        Counter,
        Tcp(|tcp| tcp.counter(TcpCounter::ListenOverflows)),
        tcp_help!(
            "Connections to a listening socket that were dropped because its queue was full: the program accepts too slowly (ListenOverflows of TcpExt in /proc/PID/net/netstat)"
        ),
    ),
    family(
        "veth_container_tcp_resets_sent_total",
        Counter,
        Tcp(|tcp| tcp.counter(TcpCounter::ResetsSent)),
        tcp_help!("Segments with RST that the workload sent (OutRsts of Tcp in /proc/PID/net/snmp)"),
    ),
    family(
        "veth_container_tcp_segments_retransmitted_total",
        Counter,
        Tcp(|tcp| tcp.counter(TcpCounter::SegmentsRetransmitted)),
        tcp_help!("Segments that the workload sent again (RetransSegs of Tcp in /proc/PID/net/snmp)"),
    ),
    family(
        "veth_container_tcp_segments_sent_total",
        Counter,
        Tcp(|tcp| tcp.counter(TcpCounter::SegmentsSent)),
        tcp_help!(
            "Segments that the workload sent, without those sent again (OutSegs of Tcp in /proc/PID/net/snmp)"
        ),
    ),
    family(
        "veth_container_tcp_sockets",
        Gauge,
        Tcp(TcpFigures::sockets),
        "TCP sockets in use in the network namespaces with these labels, over IPv4 and IPv6 (inuse of TCP in /proc/PID/net/sockstat and of TCP6 in sockstat6), as last read; absent if no process in them is known.",
    ),
    family(
        "veth_container_tcp_timeouts_total",
        Counter,
        Tcp(|tcp| tcp.counter(TcpCounter::Timeouts)),
        tcp_help!(
            "Retransmission timeouts of open connections (TCPTimeouts of TcpExt in /proc/PID/net/netstat)"
        ),
    ),
    family(
        "veth_container_transmit_bytes_total",
        Counter,
        Workload(|t| t.transmit.bytes),
        "Bytes that the workload sent (rx_bytes of its port), exact over all veths that carried these labels since the exporter started.",
    ),
    family(
        "veth_container_transmit_packets_dropped_total",
        Counter,
        Workload(|t| t.transmit.dropped),
        "Packets of the workload that its port dropped (rx_dropped of the port).",
    ),
    family(
        "veth_container_transmit_packets_total",
        Counter,
        Workload(|t| t.transmit.packets),
        "Packets that the workload sent (rx_packets of its port); with GSO one can be 64 KB.",
    ),
    family(
        "veth_container_transmit_peak_bytes_per_second",
        Gauge,
        Series::Peak(|p| p.transmit_bytes),
        peak_help!("sent bytes"),
    ),
    family(
        "veth_container_transmit_peak_packets_per_second",
        Gauge,
        Series::Peak(|p| p.transmit_packets),
        peak_help!("sent packets"),
    ),
    family(
        "veth_device_carrier_changes_total",
        Counter,
        DeviceState(|link| u64::from(link.carrier_changes)),
        "How often the port's carrier went up or down (IFLA_CARRIER_CHANGES).",
    ),
    family(
        "veth_device_info",
        Info,
        DeviceInfo,
        "Always 1: a port, its peer, their addresses and the workload behind it.",
    ),
    family(
        "veth_device_mtu_bytes",
        Gauge,
        DeviceState(|link| u64::from(link.mtu)),
        "The port's MTU (IFLA_MTU).",
    ),
    family(
        "veth_device_peer_mtu_bytes",
        Gauge,
        PeerState(|link| u64::from(link.mtu)),
        "The MTU of the port's peer (IFLA_MTU); absent if the peer's namespace cannot be read.",
    ),
    family(
        "veth_device_qdisc_backlog_bytes",
        Gauge,
        DeviceQueue(|q| q.backlog_bytes),
        queue_help!("Bytes that wait in the port's root queue discipline (backlog)."),
    ),
    family(
        "veth_device_qdisc_backlog_packets",
        Gauge,
        DeviceQueue(|q| q.backlog_packets),
        queue_help!("Packets that wait in the port's root queue discipline (qlen)."),
    ),
    family(
        "veth_device_qdisc_drops_total",
        Counter,
        DeviceQueue(|q| q.drops),
        queue_help!(
            "Packets for the workload that the port's root queue discipline dropped (drops); they are in no other family. Begins at 0 when the queue discipline is replaced and after 2^32."
        ),
    ),
    family(
        "veth_device_qdisc_overlimits_total",
        Counter,
        DeviceQueue(|q| q.overlimits),
        queue_help!(
            "How often a limit of the port's root queue discipline held a packet back (overlimits). Begins at 0 when the queue discipline is replaced and after 2^32."
        ),
    ),
    family(
        "veth_device_receive_bytes_total",
        Counter,
        DeviceCounter(|c| c.receive_bytes),
        "Bytes that the port received (rx_bytes): what its workload sent.",
    ),
    family(
        "veth_device_receive_packets_dropped_total",
        Counter,
        DeviceCounter(|c| c.receive_dropped),
        "Packets that the port dropped on receive (rx_dropped).",
    ),
    family(
        "veth_device_receive_packets_total",
        Counter,
        DeviceCounter(|c| c.receive_packets),
        "Packets that the port received (rx_packets): what its workload sent.",
    ),
    family(
        "veth_device_transmit_bytes_total",
        Counter,
        DeviceCounter(|c| c.transmit_bytes),
        "Bytes that the port sent (tx_bytes): what its workload received.",
    ),
    family(
        "veth_device_transmit_packets_dropped_total",
        Counter,
        DeviceCounter(|c| c.transmit_dropped),
        "Packets that the port could not hand over to its peer (tx_dropped).",
    ),
    family(
        "veth_device_transmit_packets_total",
        Counter,
        DeviceCounter(|c| c.transmit_packets),
        "Packets that the port sent (tx_packets): what its workload received.",
    ),
    family(
        "veth_device_up",
        Gauge,
        DeviceState(|link| u64::from(link.up)),
        "1 if the port's operational state is up (IFLA_OPERSTATE), else 0.",
    ),
    family(
        "veth_host_stack_drops_total",
        Counter,
        Series::StackDrops(DropsOf::Host),
        "Packets that the kernel dropped in the host's network namespace and that came from no workload's port, by the kernel's reason (tracepoint skb:kfree_skb).",
    ),
    family(
        "veth_network_addresses_size",
        Gauge,
        AddressesSize,
        "IPv4 addresses of the subnet that the engine can give out, the gateway's included: with --ip-range, those of the range.",
    ),
    family(
        "veth_network_addresses_used",
        Gauge,
        AddressesUsed,
        "Of these addresses, those that running containers, the gateway and auxiliary addresses have. Absent for overlay networks, where no list has all.",
    ),
    family(
        "veth_network_info",
        Info,
        NetworkInfo,
        "Always 1: a network of an engine, its driver, bridge, subnets and gateways; several are separated by commas.",
    ),
    family(
        "veth_network_members",
        Gauge,
        NetworkMembers,
        "Running workloads with an interface on this network.",
    ),
    family(
        "veth_network_receive_bytes_total",
        Counter,
        Network(|t| t.receive.bytes),
        "Bytes that workloads received over this network, those of short-lived ones included.",
    ),
    family(
        "veth_network_receive_packets_dropped_total",
        Counter,
        Network(|t| t.receive.dropped),
        "Packets for workloads on this network that their ports could not hand over (tx_dropped of the ports).",
    ),
    family(
        "veth_network_receive_packets_total",
        Counter,
        Network(|t| t.receive.packets),
        "Packets that workloads received over this network, those of short-lived ones included.",
    ),
    family(
        "veth_network_transmit_bytes_total",
        Counter,
        Network(|t| t.transmit.bytes),
        "Bytes that workloads sent over this network, those of short-lived ones included.",
    ),
    family(
        "veth_network_transmit_packets_dropped_total",
        Counter,
        Network(|t| t.transmit.dropped),
        "Packets of workloads on this network that their ports dropped (rx_dropped of the ports).",
    ),
    family(
        "veth_network_transmit_packets_total",
        Counter,
        Network(|t| t.transmit.packets),
        "Packets that workloads sent over this network, those of short-lived ones included.",
    ),
    family(
        "veth_unattributed_stack_drops_total",
        Counter,
        Series::StackDrops(DropsOf::NoWorkload),
        "Packets that the kernel dropped in a network namespace without a shown workload, or in none, by the kernel's reason (tracepoint skb:kfree_skb).",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_no_family_twice() {
        let names: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
    }

    #[test]
    fn names_follow_prometheus_conventions() {
        for Family { name, kind, help, .. } in FAMILIES {
            assert!(name.starts_with("veth_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Type::Counter, "{name}");
            assert_eq!(name.ends_with("_info"), *kind == Type::Info, "{name}");
            assert!(help.ends_with('.') && !help.contains(['\n', '\\', '"']), "{name}: {help}");
        }
    }

    #[test]
    fn what_a_port_receives_its_workload_sends() {
        let counters = Counters {
            receive_bytes: 1,
            receive_packets: 2,
            receive_dropped: 3,
            transmit_bytes: 4,
            transmit_packets: 5,
            transmit_dropped: 6,
        };
        let value = |wanted: &str| {
            FAMILIES.iter().find_map(|family| match family.series {
                DeviceCounter(value) if family.name == wanted => Some(value(&counters)),
                _ => None,
            })
        };
        let names = ["receive_bytes", "receive_packets", "receive_packets_dropped"];
        let sent = ["transmit_bytes", "transmit_packets", "transmit_packets_dropped"];
        let values = names.iter().chain(&sent).map(|name| value(&format!("veth_device_{name}_total")));
        assert_eq!(values.collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6].map(Some));
    }
}
