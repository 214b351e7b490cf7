//! TCP sockets at the destination.

use super::{found, reason};
use crate::model::explain::way::Way;
use crate::model::explain::{Finding, Grade};
use std::net::{IpAddr, SocketAddr};

/// Finds connections that the namespace of the first end has dropped since the earlier reading: the queue of
/// a listening socket was full (`tcp_v4_syn_recv_sock` in net/ipv4/tcp_ipv4.c).
pub(super) fn overflows(way: &Way<'_>) -> Vec<Finding> {
    let netns = way.from.end.netns;
    let (Some(now), Some(earlier)) = (&netns.stack, &netns.earlier) else { return Vec::new() };
    let dropped = now.listen_overflows.saturating_sub(earlier.listen_overflows);
    if dropped == 0 {
        return Vec::new();
    }
    let text =
        format!("{} has dropped {dropped} connections, as the queue of their socket was full", netns.name());
    let finding = found("listen_overflow", Grade::Symptom, &way.from.end, text);
    vec![finding.seen_by(&way.from.end, "ss -ltn")]
}

/// Finds that nothing listens on the port in question, and queues of connections that were full.
pub(super) fn listening(way: &Way<'_>) -> Vec<Finding> {
    let (Some(to), Some(port), Some(address)) = (&way.to, way.port, way.to_address) else {
        return Vec::new();
    };
    let Some(listening) = &to.end.netns.listening else { return Vec::new() };
    let on_port: Vec<&SocketAddr> = listening.iter().filter(|socket| socket.port() == port).collect();
    // A socket of IPv6 without an address takes connections of both families.
    let takes = |own: IpAddr| {
        own.to_canonical() == address || own.is_unspecified() && (own.is_ipv6() || address.is_ipv4())
    };
    let see = format!("ss -ltn 'sport = :{port}'");
    let name = to.end.netns.name();
    if !on_port.iter().any(|socket| takes(socket.ip())) {
        let others: Vec<String> = on_port.iter().map(|socket| socket.to_string()).collect();
        let text = match others.as_slice() {
            [] => format!("nothing in {name} listens on the TCP port {port}"),
            others => format!(
                "nothing in {name} listens on {}, only on {}",
                SocketAddr::new(address, port),
                others.join(", ")
            ),
        };
        return vec![reason("not_listening", &to.end, text).seen_by(&to.end, &see)];
    }
    let overflows = to.end.netns.stack.map_or(0, |stack| stack.listen_overflows);
    if overflows == 0 {
        return Vec::new();
    }
    let text = format!(
        "{name} drops a connection if the queue of the socket is full ({overflows} connections were dropped so far)"
    );
    let finding = found("listen_overflow", Grade::Possibility, &to.end, text);
    vec![finding.seen_by(&to.end, "nstat -az TcpExtListenOverflows")]
}
