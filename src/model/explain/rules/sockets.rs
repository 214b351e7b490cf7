//! TCP sockets at the destination.

use super::{found, reason};
use crate::model::explain::way::Way;
use crate::model::explain::{Finding, Grade};
use std::net::{IpAddr, SocketAddr};

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
