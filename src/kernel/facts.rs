//! The facts by which it is judged whether two ends can talk: of other namespaces by rtnetlink and
//! /proc/PID/net, of the host by its switches, its packet filter and its own choice of a route as well.
//!
//! An open file of /proc/PID/net keeps the namespace alive, and with it the veths of a dead container: each
//! file is opened, read and closed at once.

use super::error::Error;
use super::links::{RTM_GETLINK, Resolver, dump_of, look_failure};
use super::socket::{NetlinkSocket, RawRequest};
use super::tcp::shares_pids;
use super::wire::{self, filter};
use crate::model::explain::facts::{
    FactKind, FilterPlace, HostFilter, IpRoute, Ipv4Settings, LinkFacts, Neighbour, NetnsFacts, StackFacts,
    Unread,
};
use crate::model::host::LookFailure;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

mod lookup;
pub(crate) mod text;

/// The limit of one file of /proc/PID/net, in bytes: some 130,000 routes of IPv4.
const READ_AT_MOST: u64 = 16 << 20;

/// The first room for a file, in bytes: procfs reports no length. A page of room is too little for netstat,
/// and from 64 KiB on the allocator tidies up at each return of it.
const FIRST_ROOM: usize = 16 << 10;

/// The directory of the calling thread in a procfs.
const OWN: &str = "thread-self";

/// The default of the folder that holds the kernel's switches.
pub const SYSCTL: &str = "/proc/sys";

/// Facts that are read only where they are needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// True to read the addresses and ports on which TCP sockets listen. /proc/PID/net/tcp has a line for
    /// every socket of the namespace.
    pub listening: bool,
}

/// A reader of facts.
pub struct FactsReader {
    resolver: Resolver,
    /// The socket for the packet filter, or the reason why there is none. The sandbox permits no new one.
    netfilter: Result<NetlinkSocket, Error>,
    procfs: PathBuf,
    sysctl: PathBuf,
    /// True if the procfs shows the pids that the kernel takes in requests.
    shares_pids: bool,
}

/// The facts that are read below /proc/PID/net.
#[derive(Default)]
struct NetFiles {
    routes: Option<Vec<IpRoute>>,
    neighbours: Option<Vec<Neighbour>>,
    stack: Option<StackFacts>,
    listening: Option<Vec<SocketAddr>>,
}

impl FactsReader {
    /// Creates a reader of the host that the resolver's socket is in, of this procfs and of the switches
    /// below `sysctl`, usually [`SYSCTL`]. Opens a socket for the packet filter in the namespace of the
    /// calling thread, which must be the host's in every call.
    pub fn new(resolver: Resolver, procfs: &Path, sysctl: &Path) -> FactsReader {
        FactsReader {
            resolver,
            netfilter: NetlinkSocket::open_netfilter(),
            procfs: procfs.to_owned(),
            sysctl: sysctl.to_owned(),
            shares_pids: shares_pids(procfs),
        }
    }

    /// Reads the facts of the host (`None`) or of the namespace with this nsid, in which the process `pid`
    /// is; without a process, the facts of /proc/PID/net are absent. The label and the words to enter stay
    /// empty.
    ///
    /// Each fact that cannot be read is named without its namespace: `the routes`.
    pub fn netns(&mut self, nsid: Option<u32>, pid: Option<u32>, wants: Wants) -> (NetnsFacts, Vec<Unread>) {
        let links = self.link_facts(nsid);
        self.with_links(nsid, pid, wants, links)
    }

    /// Reads the facts of the host as [`FactsReader::netns`] does, but of its links these and their masters
    /// alone. Those that are gone are left out.
    pub fn host_with(&mut self, ifindices: &BTreeSet<u32>) -> (NetnsFacts, Vec<Unread>) {
        let links = self.host_links(ifindices);
        self.with_links(None, None, Wants::default(), links)
    }

    fn host_links(&mut self, ifindices: &BTreeSet<u32>) -> Result<Vec<LinkFacts>, LookFailure> {
        let mut read: BTreeMap<u32, Option<LinkFacts>> = BTreeMap::new();
        let mut wanted: Vec<u32> = ifindices.iter().copied().collect();
        while let Some(ifindex) = wanted.pop() {
            if read.contains_key(&ifindex) {
                continue;
            }
            let link = match self.host_link_facts(ifindex) {
                Ok(link) => Some(link),
                Err(LookFailure::Gone) => None,
                Err(failure) => return Err(failure),
            };
            wanted.extend(link.as_ref().and_then(|link| link.link.master));
            read.insert(ifindex, link);
        }
        let mut links: Vec<LinkFacts> = read.into_values().flatten().collect();
        self.add_vlans(&mut links)?;
        Ok(links)
    }

    fn with_links(
        &mut self,
        nsid: Option<u32>,
        pid: Option<u32>,
        wants: Wants,
        links: Result<Vec<LinkFacts>, LookFailure>,
    ) -> (NetnsFacts, Vec<Unread>) {
        let mut unread = Vec::new();
        let mut keep = |kind, what: &str, failure: LookFailure| unread.push(unread_of(kind, what, failure));
        let links = links.map_err(|failure| keep(FactKind::Links, "the links", failure));
        let addresses = self.resolver.addresses(nsid);
        let addresses = addresses.map_err(|failure| keep(FactKind::Addresses, "the IP addresses", failure));
        let mut of_all = |failure| keep(FactKind::SettingsOfAll, "net.ipv4.conf.all", failure);
        let all = match nsid {
            None => self.settings_of_all().map_err(&mut of_all).ok(),
            Some(_) => None,
        };
        let files = match (nsid, pid) {
            (None, _) => read_files(&self.procfs.join(OWN).join("net"), wants, &mut unread),
            (Some(nsid), Some(pid)) => self.files_of(nsid, pid, wants, &mut unread),
            (Some(_), None) => NetFiles::default(),
        };
        let facts = NetnsFacts {
            nsid,
            links: links.unwrap_or_default().into(),
            addresses: addresses.unwrap_or_default(),
            routes: files.routes,
            neighbours: files.neighbours,
            stack: files.stack,
            all,
            forwards_ipv6: nsid.map_or_else(|| self.forwards_ipv6(), |_| None),
            listening: files.listening,
            ..NetnsFacts::default()
        };
        (facts, unread)
    }

    /// Finds the lowest pid in each of these namespaces, by nsid. `pids` are the ids of all processes in
    /// ascending order; those that end meanwhile are skipped.
    pub fn pids_by_nsid(&mut self, pids: &[u32], wanted: &BTreeSet<u32>) -> BTreeMap<u32, u32> {
        let mut found = BTreeMap::new();
        for &pid in pids {
            if found.len() == wanted.len() {
                break;
            }
            if let Ok(Some(nsid)) = self.resolver.nsid_of(pid)
                && wanted.contains(&nsid)
            {
                found.entry(nsid).or_insert(pid);
            }
        }
        found
    }

    /// Reads the packet filters of the host: the chains and rules of nf_tables (NFT_MSG_GETCHAIN and
    /// NFT_MSG_GETRULE, which need CAP_NET_ADMIN). A kernel without nf_tables has none; one with nf_tables as
    /// a module may load it. Tables of iptables-legacy cannot be read, and are named as such.
    pub fn filter(&mut self) -> (Option<HostFilter>, Vec<Unread>) {
        let mut unread = Vec::new();
        let legacy = [("ip_tables_names", "iptables-legacy"), ("ip6_tables_names", "ip6tables-legacy")];
        for (file, program) in legacy {
            // The file is absent where no such table has ever been used, and shown to root alone.
            let names = fs::read(self.procfs.join(OWN).join("net").join(file)).unwrap_or_default();
            if names.split(|byte| *byte == b'\n').any(|name| name == b"filter") {
                unread.push(Unread {
                    kind: FactKind::Filter,
                    what: format!("the table filter of {program}"),
                    reason: "the kernel shows its rules to that program alone".to_owned(),
                });
            }
        }
        match self.nf_tables() {
            Ok((forward_drops, drop_rules)) => {
                let bridge_nf_call_iptables = self.bridge_nf_call_iptables();
                (Some(HostFilter { forward_drops, drop_rules, bridge_nf_call_iptables }), unread)
            }
            Err(failure) => {
                unread.push(unread_of(FactKind::Filter, "the packet filters", failure));
                (None, unread)
            }
        }
    }

    /// Reads one link of the host.
    fn host_link_facts(&mut self, ifindex: u32) -> Result<LinkFacts, LookFailure> {
        let mut request = LinkMessage::default();
        request.header.index = ifindex;
        let request = RouteNetlinkMessage::GetLink(request);
        let read = self.resolver.socket.ask(RTM_GETLINK, request, |message| {
            let (link, target) = wire::facts::link_facts(message.payload)?;
            (message.kind == wire::RTM_NEWLINK && target.is_none()).then_some(link)
        });
        let mut link = read.map_err(|error| match error.errno() {
            Some(Errno::ENODEV) => LookFailure::Gone,
            _ => look_failure(error),
        })?;
        self.resolver.name_the_host(std::slice::from_mut(&mut link.link))?;
        Ok(link)
    }

    /// Dumps the links of the host (`None`) or of a namespace. A link with a message that is too long for a
    /// dump is left out.
    fn link_facts(&mut self, nsid: Option<u32>) -> Result<Vec<LinkFacts>, LookFailure> {
        let mut found = (Vec::new(), false);
        let begin = |(links, unreadable): &mut (Vec<LinkFacts>, bool)| {
            links.clear();
            *unreadable = false;
        };
        let request = dump_of(nsid)?;
        let dumped = self.resolver.socket.dump(RTM_GETLINK, request, &mut found, begin, |found, message| {
            match wire::facts::link_facts(message.payload) {
                Some((link, target)) if message.kind == wire::RTM_NEWLINK && target == nsid => {
                    found.0.push(link);
                }
                _ => found.1 = true,
            }
        });
        dumped.map_err(look_failure)?;
        let (mut links, unreadable) = found;
        if unreadable {
            return Err(look_failure(unreadable_message(RTM_GETLINK)));
        }
        for link in &mut links {
            self.resolver.name_the_host(std::slice::from_mut(&mut link.link))?;
        }
        // Older kernels dump them in another order.
        links.sort_by_key(|link| link.link.ifindex);
        if nsid.is_none() {
            self.add_vlans(&mut links)?;
        }
        Ok(links)
    }

    /// Adds the VLANs of untagged frames to the host's bridges and their ports, if a bridge filters by VLAN
    /// (RTM_GETLINK of the family AF_BRIDGE, which cannot name another namespace).
    fn add_vlans(&mut self, links: &mut [LinkFacts]) -> Result<(), LookFailure> {
        if !links.iter().any(|link| link.bridge.is_some_and(|bridge| bridge.vlan_filtering)) {
            return Ok(());
        }
        let mut request = LinkMessage::default();
        request.header.interface_family = AddressFamily::Bridge;
        request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::Brvlan]));
        let request = RouteNetlinkMessage::GetLink(request);
        let mut found = BTreeMap::new();
        let dumped =
            self.resolver.socket.dump(RTM_GETLINK, request, &mut found, BTreeMap::clear, |found, message| {
                found.extend(wire::facts::vlans(message.payload));
            });
        dumped.map_err(look_failure)?;
        for link in links {
            link.vlans = found.remove(&link.link.ifindex);
        }
        Ok(())
    }

    /// Reads the files of a process. Its pid may be another process's by now, so they count only if the
    /// process is in the namespace after the reading.
    fn files_of(&mut self, nsid: u32, pid: u32, wants: Wants, unread: &mut Vec<Unread>) -> NetFiles {
        const FILES: &str = "the routes, neighbours and counters";
        if !self.shares_pids {
            let reason = format!("{} is of another pid namespace", self.procfs.display());
            unread.push(Unread { kind: FactKind::Files, what: FILES.to_owned(), reason });
            return NetFiles::default();
        }
        let mut failures = Vec::new();
        let folder = self.procfs.join(pid.to_string()).join("net");
        let files = read_files(&folder, wants, &mut failures);
        let failure = match self.resolver.nsid_of(pid) {
            Ok(Some(found)) if found == nsid => {
                unread.append(&mut failures);
                return files;
            }
            Ok(_) | Err(LookFailure::Gone) => {
                LookFailure::Failed(format!("the process {pid} is not in the namespace any more"))
            }
            Err(failure) => failure,
        };
        unread.push(unread_of(FactKind::Files, FILES, failure));
        NetFiles::default()
    }

    /// Reads `net.ipv4.conf.all` of the calling thread's namespace.
    fn settings_of_all(&self) -> Result<Ipv4Settings, LookFailure> {
        let value = |name: &str| self.switch(&format!("net/ipv4/conf/all/{name}"));
        let read = || {
            Ok(Ipv4Settings {
                forwarding: value("forwarding")?,
                rp_filter: value("rp_filter")?,
                accept_local: value("accept_local")?,
                arp_ignore: value("arp_ignore")?,
                arp_filter: value("arp_filter")?,
                proxy_arp: value("proxy_arp")?,
            })
        };
        read().map_err(|error: io::Error| LookFailure::Failed(error.to_string()))
    }

    /// Returns `net.ipv6.conf.all.forwarding` of the calling thread's namespace; `None` without IPv6.
    fn forwards_ipv6(&self) -> Option<bool> {
        Some(self.switch("net/ipv6/conf/all/forwarding").ok()? != 0)
    }

    /// Returns `net.bridge.bridge-nf-call-iptables`. The file is absent without the module br_netfilter.
    fn bridge_nf_call_iptables(&self) -> bool {
        self.switch("net/bridge/bridge-nf-call-iptables").is_ok_and(|value| value != 0)
    }

    fn switch(&self, path: &str) -> io::Result<i32> {
        let text = fs::read_to_string(self.sysctl.join(path))?;
        text.trim_ascii().parse().map_err(|_| ErrorKind::InvalidData.into())
    }

    /// Dumps the chains and the rules of nf_tables, and returns those that refuse forwarded packets.
    fn nf_tables(&mut self) -> Result<Refusals, LookFailure> {
        let socket = match &mut self.netfilter {
            Ok(socket) => socket,
            // A kernel without nfnetlink.
            Err(Error::Socket { reason, .. }) if reason.raw_os_error() == Some(libc::EPROTONOSUPPORT) => {
                return Ok(Refusals::default());
            }
            Err(error) => return Err(LookFailure::Failed(error.to_string())),
        };
        let read = |socket: &mut NetlinkSocket| {
            let chains = dump(socket, "NFT_MSG_GETCHAIN", filter::GETCHAIN, filter::NEWCHAIN, filter::chain)?;
            let rules = dump(socket, "NFT_MSG_GETRULE", filter::GETRULE, filter::NEWRULE, filter::rule)?;
            Ok(filter::refusals(&chains, &rules))
        };
        read(socket).or_else(|error: Error| match error.errno() {
            // A kernel without nf_tables.
            Some(Errno::EINVAL | Errno::ENOENT | Errno::EPROTONOSUPPORT | Errno::EOPNOTSUPP) => {
                Ok(Refusals::default())
            }
            _ => Err(look_failure(error)),
        })
    }
}

/// Chains that drop by policy, and rules that refuse.
type Refusals = (Vec<FilterPlace>, Vec<FilterPlace>);

/// Dumps objects of nf_tables of all families.
fn dump<T>(
    socket: &mut NetlinkSocket,
    name: &'static str,
    request: u16,
    answer: u16,
    parse: fn(&[u8]) -> Option<T>,
) -> Result<Vec<T>, Error> {
    let request = RawRequest { kind: request, payload: vec![0; filter::NFGENMSG] };
    let mut found: Vec<Option<T>> = Vec::new();
    socket.dump(name, request, &mut found, Vec::clear, |found, message| {
        found.push(parse(message.payload).filter(|_| message.kind == answer));
    })?;
    found.into_iter().collect::<Option<Vec<T>>>().ok_or(unreadable_message(name))
}

/// Reads the files of one folder /proc/PID/net.
fn read_files(folder: &Path, wants: Wants, unread: &mut Vec<Unread>) -> NetFiles {
    let mut keep = |kind, what: &str, read: io::Result<()>| {
        if let Err(error) = read {
            unread.push(Unread { kind, what: what.to_owned(), reason: reason(&error) });
        }
    };
    let mut files = NetFiles::default();
    let read = || {
        let mut routes = text::routes(&whole(&folder.join("route"))?);
        routes.extend(text::ipv6_routes(&unless_absent(whole(&folder.join("ipv6_route")))?));
        Ok(routes)
    };
    keep(FactKind::Routes, "the routes", read().map(|routes| files.routes = Some(routes)));
    let read = || Ok(text::neighbours(&whole(&folder.join("arp"))?));
    keep(
        FactKind::Neighbours,
        "the neighbours",
        read().map(|neighbours| files.neighbours = Some(neighbours)),
    );
    let read = || {
        let stack = text::stack(&whole(&folder.join("snmp"))?, &whole(&folder.join("netstat"))?);
        stack.ok_or_else(|| ErrorKind::InvalidData.into())
    };
    keep(FactKind::Stack, "the counters of the IP stack", read().map(|stack| files.stack = Some(stack)));
    if wants.listening {
        let read = || {
            let mut listening = text::listening(&first_part(&folder.join("tcp"))?);
            listening.extend(text::listening(&unless_absent(first_part(&folder.join("tcp6")))?));
            Ok(listening)
        };
        keep(
            FactKind::Listening,
            "the listening sockets",
            read().map(|listening| files.listening = Some(listening)),
        );
    }
    files
}

/// Reads a whole file, up to [`READ_AT_MOST`].
fn whole(path: &Path) -> io::Result<Vec<u8>> {
    let text = first_part(path)?;
    match u64::try_from(text.len()) {
        Ok(length) if length < READ_AT_MOST => Ok(text),
        _ => Err(ErrorKind::FileTooLarge.into()),
    }
}

/// Reads the first [`READ_AT_MOST`] bytes of a file. In /proc/PID/net/tcp the listening sockets come before
/// all others (`tcp_get_idx` in net/ipv4/tcp_ipv4.c).
fn first_part(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(FIRST_ROOM);
    File::open(path)?.take(READ_AT_MOST).read_to_end(&mut text)?;
    Ok(text)
}

/// Takes the file of a protocol that the kernel does not have as empty.
fn unless_absent(read: io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    read.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(Vec::new()) } else { Err(error) })
}

/// Returns the reason of a failed reading. A process that has ended has no folder, or an empty one
/// (`get_proc_task_net` in fs/proc/proc_net.c).
fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::InvalidInput => LookFailure::Gone.to_string(),
        ErrorKind::PermissionDenied => LookFailure::Denied.to_string(),
        _ => error.to_string(),
    }
}

fn unread_of(kind: FactKind, what: &str, failure: LookFailure) -> Unread {
    Unread { kind, what: what.to_owned(), reason: failure.to_string() }
}

fn unreadable_message(request: &'static str) -> Error {
    Error::Malformed { request, what: "unreadable message" }
}
