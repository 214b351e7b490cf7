//! `veth-exporter find QUERY`: prints the owner of a device, an address or a container's interface.

use super::oneshot::{OneShot, print, print_json};
use super::rows::{ListedEnd, ListedPair, rows};
use crate::cli::ListFormat;
use crate::collector::LookedUp as FoundByEngine;
use crate::kernel::Resolver;
use crate::model::host::LookFailure;
use crate::model::link::{IpAddress, Mac};
use crate::model::text::{Readable, printable};
use crate::runtimes::cri::SeenPod;
use crate::runtimes::docker::{Attachment, Seen};
use crate::settings::FindSettings;
use anyhow::bail;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;

/// The least similarity of a suggested name (1 is equality), and the number of suggestions.
const ALIKE: f64 = 0.6;
const SUGGESTIONS: usize = 3;

/// The shortest prefix that counts as a container's id: a shorter one is more likely an ifindex.
const SHORTEST_ID: usize = 4;

/// Prints every pair that matches the query, with the commands that would show the same by hand; else the
/// reason for which there is none.
///
/// # Errors
/// Fails with one line, which has the nearest names, if nothing is found.
pub(super) fn run(settings: &FindSettings) -> anyhow::Result<()> {
    let mut look = OneShot::read_host(&settings.host)?;
    let mut rows = rows(&look.view);
    let query = FindQuery::read(&settings.query);
    if query.ip.is_some() {
        let all: BTreeSet<Option<u32>> = rows.iter().flat_map(|row| &row.ends).map(|end| end.nsid).collect();
        add_addresses(&mut rows, &all, &mut look.sources.resolver);
    }
    let names = names(&rows);
    let (mut found, others): (Vec<ListedPair>, Vec<ListedPair>) =
        rows.into_iter().partition(|row| query.means(row));
    if found.is_empty() {
        let Some((runtime, seen)) = ask_engines(&mut look, &query.text) else {
            return not_found(&query.text, &names);
        };
        // A Swarm task's container has a name of its own besides the one that is shown.
        let of_container =
            |end: &ListedEnd| end.container_id.iter().chain(&end.member_ids).any(|id| id == seen.id());
        found = others.into_iter().filter(|row| row.ends.iter().any(of_container)).collect();
        if found.is_empty() {
            match &seen {
                FoundByEngine::Container(seen) => bail!("{}", why_none(runtime, seen)),
                FoundByEngine::Pod(pod) => bail!("{}", why_pod_has_none(pod)),
            }
        }
    }
    let mut rows = found;
    if query.ip.is_none() {
        let needed = rows.iter().flat_map(|row| &row.ends).map(|end| end.nsid).collect();
        add_addresses(&mut rows, &needed, &mut look.sources.resolver);
    }
    let found: Vec<FoundPair> = rows.into_iter().map(FoundPair::new).collect();
    match settings.format {
        ListFormat::Json => print_json(&found),
        ListFormat::Table => print(&found.iter().map(FoundPair::text).collect::<Vec<_>>().join("\n")),
    }
}

/// Every interpretation of the user's text; one query can mean several things.
struct FindQuery {
    bytes: Vec<u8>,
    /// The text as it would be shown, if it is not UTF-8.
    text: String,
    ifindex: Option<u32>,
    address: Option<Mac>,
    ip: Option<IpAddr>,
}

impl FindQuery {
    fn read(query: &OsStr) -> FindQuery {
        let bytes = query.as_bytes().to_vec();
        let text = query.to_str().map_or_else(|| Readable(&bytes).to_string(), str::to_owned);
        let bare = text.split_once('/').map_or(text.as_str(), |(address, _)| address);
        FindQuery {
            ifindex: text.parse().ok(),
            address: Mac::parse(&text),
            // An address is also recognised with the length of its prefix, as `ip addr` prints it.
            ip: bare.parse().ok(),
            text,
            bytes,
        }
    }

    fn means(&self, row: &ListedPair) -> bool {
        row.ends.iter().any(|end| self.means_end(end))
    }

    fn means_end(&self, end: &ListedEnd) -> bool {
        let text = Some(self.text.as_str());
        let mut ids =
            end.container_id.iter().chain(&end.member_ids).filter(|_| self.text.len() >= SHORTEST_ID);
        let address = self.address.map(|address| address.to_string());
        let ip = |shown: &String| {
            let address = shown.split_once('/').and_then(|(address, _)| address.parse::<IpAddr>().ok());
            self.ip.is_some() && address == self.ip
        };
        self.ifindex == Some(end.ifindex)
            || [&end.device, &end.container, &end.pod, &end.title, &end.network]
                .iter()
                .any(|name| name.as_deref() == text)
            || end.owner().as_deref() == text
            || end.raw_device.is_some_and(|name| name.as_bytes() == self.bytes)
            || (!self.text.is_empty() && end.netns == self.text)
            || end.members.contains(&self.text)
            || ids.any(|id| id.starts_with(&self.text))
            || (address.is_some() && end.address == address)
            || end.ip_addresses.iter().any(ip)
    }
}

/// Adds to each end in these namespaces its IP addresses. A namespace that may not be read adds none.
fn add_addresses(rows: &mut [ListedPair], netns: &BTreeSet<Option<u32>>, resolver: &mut Resolver) {
    let mut known: BTreeMap<Option<u32>, Vec<IpAddress>> = BTreeMap::new();
    for &nsid in netns {
        match resolver.addresses(nsid) {
            Ok(addresses) => _ = known.insert(nsid, addresses),
            Err(LookFailure::Denied | LookFailure::Gone) => {}
            Err(LookFailure::Failed(reason)) => tracing::warn!(nsid, %reason, "addresses cannot be read"),
        }
    }
    for end in rows.iter_mut().flat_map(|row| &mut row.ends) {
        let addresses = known.get(&end.nsid).into_iter().flatten();
        let own = addresses.filter(|address| address.ifindex == end.ifindex);
        end.ip_addresses = own.map(|address| format!("{}/{}", address.address, address.prefix)).collect();
    }
}

/// Returns every name that a query could mean.
fn names(rows: &[ListedPair]) -> BTreeSet<String> {
    let ends = rows.iter().flat_map(|row| &row.ends);
    let names = ends.flat_map(|end| {
        let one = [&end.device, &end.container, &end.pod, &end.title, &end.network].into_iter().flatten();
        one.chain(&end.members).cloned().collect::<Vec<_>>()
    });
    names.filter(|name| !name.is_empty()).collect()
}

#[derive(Debug, Serialize)]
struct FoundPair {
    #[serde(flatten)]
    row: ListedPair,
    /// The commands that show the same.
    by_hand: Vec<String>,
}

impl FoundPair {
    fn new(row: ListedPair) -> FoundPair {
        let by_hand = row.ends.iter().flat_map(by_hand).collect();
        FoundPair { row, by_hand }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for end in &self.row.ends {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:<10} {}", end.role, describe(end));
            let mut line = |name: &str, value: String| {
                if !value.is_empty() {
                    let _ = writeln!(text, "  {name:<9}{}", printable(&value));
                }
            };
            line("mac", end.address.clone().unwrap_or_default());
            line("ip", end.ip_addresses.join(" "));
            line("bridge", end.bridge.clone().unwrap_or_default());
            line("network", end.network.clone().unwrap_or_default());
            line("workload", end.owner().unwrap_or_default());
            line("id", end.container_id.clone().unwrap_or_default());
            line("image", end.image.clone().unwrap_or_default());
            line("members", end.members.join(" "));
            line("parent", end.parent.clone().unwrap_or_default());
            if let Some(counters) = &end.counters {
                line("received", flow(counters.rx_bytes, counters.rx_packets, counters.rx_dropped));
                line("sent", flow(counters.tx_bytes, counters.tx_packets, counters.tx_dropped));
            }
        }
        if !matches!(self.row.state, "paired") {
            let _ = writeln!(text, "state      {}", self.row.state);
        }
        let _ = writeln!(text, "by hand");
        for command in &self.by_hand {
            let _ = writeln!(text, "  {}", printable(command));
        }
        text
    }
}

fn describe(end: &ListedEnd) -> String {
    let device = end.device.as_deref().map_or_else(|| "(hidden)".to_owned(), printable);
    let place = match end.nsid {
        None => "on the host".to_owned(),
        Some(nsid) => format!("in {} (nsid {nsid})", printable(&end.netns)),
    };
    let state = match end.up {
        None => "",
        Some(true) => ", up",
        Some(false) => ", not up",
    };
    let mtu = end.mtu.map_or_else(String::new, |mtu| format!(", mtu {mtu}"));
    format!("{}: {device} {place}{state}{mtu}", end.ifindex)
}

fn flow(bytes: u64, packets: u64, dropped: u64) -> String {
    format!("{bytes} bytes in {packets} packets, {dropped} dropped")
}

/// Returns the commands that show this end without this program.
fn by_hand(end: &ListedEnd) -> Vec<String> {
    let device = end.raw_device.map(|name| quoted(name.as_bytes()));
    // A pod's own container has a name that users do not know.
    let container = end.container.as_ref().or(end.container_id.as_ref()).map(|name| quoted(name.as_bytes()));
    let within = match (end.nsid, end.runtime, container) {
        (None, ..) => Some(String::new()),
        (Some(_), Some("cri"), _) => end.container_id.as_ref().map(|id| {
            format!(
                "nsenter -n -t \"$(crictl inspectp -o go-template --template '{{{{.info.pid}}}}' {id})\" "
            )
        }),
        (Some(_), Some(engine @ ("docker" | "podman")), Some(name)) => {
            // A Swarm task is shown as `service.slot`, but its container has another name.
            let id = end.container_id.as_deref().filter(|_| name.contains('.'));
            let name = id.and_then(|id| id.get(..12)).map_or(name, str::to_owned);
            Some(format!("nsenter -n -t \"$({engine} inspect -f '{{{{.State.Pid}}}}' {name})\" "))
        }
        (Some(_), Some("lxc"), Some(name)) => Some(format!("nsenter -n -t \"$(lxc-info -pH -n {name})\" ")),
        (Some(_), Some("nspawn"), Some(name)) => {
            Some(format!("nsenter -n -t \"$(machinectl show -P Leader {name})\" "))
        }
        (Some(_), Some("named"), Some(name)) => Some(format!("ip netns exec {name} ")),
        _ => None,
    };
    match (within, device) {
        (Some(within), Some(device)) => {
            vec![
                format!("{within}ip -s -d link show dev {device}"),
                format!("{within}ip addr show dev {device}"),
            ]
        }
        // Only the other end can be read; it has the index of this one.
        _ => Vec::new(),
    }
}

/// Quotes a word for a shell, by `$'...'` of bash if the word needs it.
fn quoted(word: &[u8]) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_.:@%+-/".contains(b);
    if !word.is_empty() && word.iter().all(plain) {
        return String::from_utf8_lossy(word).into_owned();
    }
    let mut text = String::from("$'");
    for &b in word {
        match b {
            b'\'' | b'\\' => text.extend(['\\', char::from(b)]),
            b' '..=b'~' => text.push(char::from(b)),
            _ => text.push_str(&format!("\\x{b:02x}")),
        }
    }
    text.push('\'');
    text
}

/// Returns the container or pod of this name, running or not, and its runtime.
fn ask_engines(look: &mut OneShot, query: &str) -> Option<(&'static str, FoundByEngine)> {
    for engine in &mut look.engines {
        let runtime = engine.runtime().as_str();
        match look.runtime.block_on(engine.look_up(query)) {
            Ok(Some(found)) => return Some((runtime, found)),
            Ok(None) => {}
            Err(reason) => tracing::warn!(collector = runtime, %reason, "failed"),
        }
    }
    None
}

/// Returns the error that suggests the nearest names.
fn not_found(query: &str, names: &BTreeSet<String>) -> anyhow::Result<()> {
    let mut near: Vec<(f64, &String)> =
        names.iter().map(|name| (strsim::normalized_damerau_levenshtein(query, name), name)).collect();
    near.retain(|(alike, _)| *alike >= ALIKE);
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let near: Vec<String> = near.iter().take(SUGGESTIONS).map(|(_, name)| printable(name)).collect();
    match near.as_slice() {
        [] => bail!("nothing here is called {}", printable(query)),
        near => bail!("nothing here is called {}; there is {}", printable(query), near.join(", ")),
    }
}

fn why_none(runtime: &str, seen: &Seen) -> String {
    let Seen { name, state, attachment, .. } = seen;
    let name = printable(name);
    if !matches!(state.as_str(), "running" | "paused") {
        return format!("{runtime}/{name} has no veth: it is not running ({state})");
    }
    match attachment {
        Attachment::Host => {
            format!("{runtime}/{name} has no veth: it uses the host's network (--network host)")
        }
        Attachment::None => format!("{runtime}/{name} has no veth: it has no network (--network none)"),
        Attachment::MemberOf(owner) => {
            format!("{runtime}/{name} has no veth of its own: it shares the network of {}", printable(owner))
        }
        Attachment::Networks(networks) if networks.is_empty() => {
            format!("{runtime}/{name} has no veth: it is attached to no network")
        }
        Attachment::Networks(networks) => {
            let networks: Vec<String> =
                networks.iter().map(|(name, driver)| format!("{} ({driver})", printable(name))).collect();
            let networks = networks.join(", ");
            let plain = |driver: &str| matches!(driver, "bridge" | "overlay");
            if seen.drivers().any(plain) {
                format!("{runtime}/{name} is on {networks}, but its veth is not to be seen from here")
            } else {
                format!("{runtime}/{name} has no veth: {networks} reaches the network without one")
            }
        }
    }
}

fn why_pod_has_none(pod: &SeenPod) -> String {
    let SeenPod { namespace, name, ready, on_host, .. } = pod;
    let title = format!("cri/{}/{}", printable(namespace), printable(name));
    match (ready, on_host) {
        (false, _) => format!("{title} has no veth: it is not ready"),
        (true, true) => format!("{title} has no veth: it uses the host's network (hostNetwork)"),
        (true, false) => {
            format!("{title} has no veth that is to be seen from here: its network plugin may need none")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_a_shell_is_plain_or_safely_quoted() {
        assert_eq!(quoted(b"veth0"), "veth0");
        assert_eq!(quoted(b"a b'c\\"), r"$'a b\'c\\'");
        assert_eq!(quoted(b"v\xff\n"), r"$'v\xff\x0a'");
        assert_eq!(quoted(b""), "$''");
    }

    #[test]
    fn a_query_is_read_in_every_way_it_can_mean() {
        let query = FindQuery::read("12".as_ref());
        assert_eq!((query.ifindex, query.ip, query.address), (Some(12), None, None));
        let query = FindQuery::read("172.20.0.2/16".as_ref());
        assert_eq!(query.ip, Some("172.20.0.2".parse().unwrap()));
        assert!(FindQuery::read("02:42:ac:12:00:02".as_ref()).address.is_some());
        assert!(FindQuery::read("fe80::1".as_ref()).ip.is_some());
    }
}
