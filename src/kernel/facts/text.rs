//! The texts of /proc/PID/net with routes, neighbours, counters and listening sockets. Pure.
//!
//! Each line is one entry. A line that is too short or unreadable is skipped: a kernel may add others.

use crate::model::explain::facts::{IpRoute, Neighbour, StackFacts};
use crate::model::link::Mac;
use crate::model::text::Readable;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Flags of a route, from linux/route.h and linux/ipv6_route.h.
mod rtf {
    pub(super) const UP: u32 = 0x1;
    pub(super) const GATEWAY: u32 = 0x2;
    pub(super) const REJECT: u32 = 0x200;
    pub(super) const ANYCAST: u32 = 0x0010_0000;
    pub(super) const LOCAL: u32 = 0x8000_0000;
}

/// The flag of a neighbour that has answered, from linux/if_arp.h.
const ATF_COM: u32 = 2;

/// The state of a listening socket, TCP_LISTEN of net/tcp_states.h.
const LISTENING: &[u8] = b"0A";

/// The device of a route of IPv4 that has none.
const NO_DEVICE: &[u8] = b"*";

/// The loopback's name, which the kernel gives to it in every namespace.
const LOOPBACK: &[u8] = b"lo";

/// Reads /proc/PID/net/route: the routes of the table `main` (`fib_route_seq_show` in net/ipv4/fib_trie.c).
/// The text has the first of several next hops of a route.
///
/// A route of the type `unreachable`, `prohibit`, `blackhole` or `throw` has no device; of these the first
/// two alone have the flag RTF_REJECT. A next hop of IPv6 is not in the text, and is read as `::`.
pub fn routes(text: &[u8]) -> Vec<IpRoute> {
    lines(text).filter_map(route).collect()
}

fn route(line: &[u8]) -> Option<IpRoute> {
    let [device, destination, gateway, flags, _, _, metric, mask] = first_words(line)?;
    let flags = hex(flags)?;
    if flags & rtf::UP == 0 || device == LOOPBACK {
        return None;
    }
    let refuses = flags & rtf::REJECT != 0 || device == NO_DEVICE;
    let gateway = ipv4(gateway)?;
    let gateway: Option<IpAddr> = match gateway.is_unspecified() {
        false => Some(gateway.into()),
        true if flags & rtf::GATEWAY != 0 => Some(Ipv6Addr::UNSPECIFIED.into()),
        true => None,
    };
    Some(IpRoute {
        destination: ipv4(destination)?.into(),
        prefix: u8::try_from(hex(mask)?.count_ones()).ok()?,
        gateway,
        device: name(device, refuses),
        metric: std::str::from_utf8(metric).ok()?.parse().ok()?,
        refuses,
    })
}

/// Reads /proc/PID/net/ipv6_route (`rt6_info_route` and `ipv6_route_native_seq_show` in net/ipv6). The text
/// has the routes of all tables and does not say which; those of the table `local` are left out by their
/// flags, and the entry of a table without a default route by its metric.
pub fn ipv6_routes(text: &[u8]) -> Vec<IpRoute> {
    lines(text).filter_map(ipv6_route).collect()
}

fn ipv6_route(line: &[u8]) -> Option<IpRoute> {
    let [destination, prefix, _, _, gateway, metric, _, _, flags, device] = first_words(line)?;
    let (flags, metric) = (hex(flags)?, hex(metric)?);
    let destination = Ipv6Addr::from(octets(destination)?);
    let refuses = flags & rtf::REJECT != 0;
    let is_usable = flags & rtf::UP != 0 && device != LOOPBACK;
    let is_of_another_kind = flags & (rtf::LOCAL | rtf::ANYCAST) != 0 || destination.is_multicast();
    if is_of_another_kind || metric == u32::MAX || !(is_usable || refuses) {
        return None;
    }
    let gateway = Some(Ipv6Addr::from(octets(gateway)?)).filter(|gateway| !gateway.is_unspecified());
    Some(IpRoute {
        destination: destination.into(),
        prefix: u8::try_from(hex(prefix)?).ok().filter(|prefix| *prefix <= 128)?,
        gateway: gateway.map(IpAddr::from),
        device: name(device, refuses),
        metric,
        refuses,
    })
}

/// Reads /proc/PID/net/arp: the neighbours of IPv4 (`arp_format_neigh_entry` in net/ipv4/arp.c).
pub fn neighbours(text: &[u8]) -> Vec<Neighbour> {
    lines(text).filter_map(neighbour).collect()
}

fn neighbour(line: &[u8]) -> Option<Neighbour> {
    let [address, _, flags, mac, _, device] = first_words(line)?;
    let address: Ipv4Addr = std::str::from_utf8(address).ok()?.parse().ok()?;
    let flags = flags.strip_prefix(b"0x")?;
    let answered = hex(flags)? & ATF_COM != 0;
    let mac = std::str::from_utf8(mac).ok().and_then(Mac::parse).filter(|_| answered);
    Some(Neighbour { address: address.into(), mac, device: name(device, false) })
}

/// Reads /proc/PID/net/snmp and netstat; `None` if the switch of forwarding is missing. A counter that is
/// missing is 0.
pub fn stack(snmp: &[u8], netstat: &[u8]) -> Option<StackFacts> {
    let counter = |name| column(netstat, b"TcpExt:", name).unwrap_or_default();
    Some(StackFacts {
        forwards_ipv4: column(snmp, b"Ip:", b"Forwarding")? == 1,
        reverse_path_drops: counter(b"IPReversePathFilter"),
        listen_overflows: counter(b"ListenOverflows"),
    })
}

/// Returns the value of a column in the section of this name: a line of names and a line of values, which
/// both begin with the section's name (`snmp_seq_show` and `netstat_seq_show` in net/ipv4/proc.c).
fn column(text: &[u8], section: &[u8], name: &[u8]) -> Option<u64> {
    let mut lines = lines(text).skip_while(|line| !line.starts_with(section));
    let mut line = || lines.next()?.strip_prefix(section);
    let (names, values) = (line()?, line()?);
    let (_, value) = words(names).zip(words(values)).find(|(column, _)| *column == name)?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Reads /proc/PID/net/tcp or tcp6: the addresses and ports of listening sockets (`get_tcp4_sock` in
/// net/ipv4/tcp_ipv4.c, `get_tcp6_sock` in net/ipv6/tcp_ipv6.c).
pub fn listening(text: &[u8]) -> Vec<SocketAddr> {
    let sockets = lines(text).filter_map(|line| first_words(line));
    sockets.filter(|[_, _, _, state]| *state == LISTENING).filter_map(|[_, local, _, _]| end(local)).collect()
}

/// Reads `0100007F:1F90`: an address as words in the byte order of the machine, and a port.
fn end(text: &[u8]) -> Option<SocketAddr> {
    let colon = text.iter().position(|byte| *byte == b':')?;
    let (address, port) = (text.get(..colon)?, text.get(colon + 1..)?);
    let port = u16::try_from(hex(port)?).ok()?;
    let address: IpAddr = match address.len() {
        8 => ipv4(address)?.into(),
        32 => {
            let mut octets = [0; 16];
            for (octets, word) in octets.chunks_exact_mut(4).zip(address.chunks_exact(8)) {
                octets.copy_from_slice(&hex(word)?.to_ne_bytes());
            }
            Ipv6Addr::from(octets).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

/// Returns the name of a route's device; empty for a route that refuses.
fn name(device: &[u8], refuses: bool) -> String {
    if refuses { String::new() } else { Readable(device).to_string() }
}

/// Reads an address of IPv4: a word in the byte order of the machine.
fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    hex(text).filter(|_| text.len() == 8).map(|word| Ipv4Addr::from(word.to_ne_bytes()))
}

/// Reads an address of IPv6: its octets in their order.
fn octets(text: &[u8]) -> Option<[u8; 16]> {
    let digits = std::str::from_utf8(text).ok().filter(|_| text.iter().all(u8::is_ascii_hexdigit))?;
    (digits.len() == 32).then(|| u128::from_str_radix(digits, 16).ok())?.map(u128::to_be_bytes)
}

fn hex(text: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(text).ok().filter(|_| text.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(digits, 16).ok()
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// Returns the first words of a line; `None` if there are fewer.
fn first_words<const N: usize>(line: &[u8]) -> Option<[&[u8]; N]> {
    let mut found = [[].as_slice(); N];
    let mut words = words(line);
    for word in &mut found {
        *word = words.next()?;
    }
    Some(found)
}

#[cfg(test)]
mod tests;
