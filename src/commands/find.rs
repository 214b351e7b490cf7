//! `veth-exporter find QUERY`: prints the owner of a device, an address or a container's interface.

use super::oneshot::{OneShot, print, print_json};
use crate::cli::ListFormat;
use crate::collector::{Engine, LookedUp as FoundByEngine};
use crate::exposition::json;
use crate::exposition::json::row::{CounterRow, EndRow, PairRow, PlaceRow};
use crate::kernel::Resolver;
use crate::model::host::LookFailure;
use crate::model::link::{IpAddress, Mac, Name};
use crate::model::text::{Readable, printable};
use crate::model::view::{Source, View};
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
use tokio::runtime::Runtime;

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
    let OneShot { view, mut sources, mut engines, runtime } = OneShot::read_host(&settings.host)?;
    let mut rows: Vec<FoundPair<'_>> = json::rows_read_once(&view).into_iter().map(FoundPair::new).collect();
    let query = FindQuery::read(&settings.query);
    if query.ip.is_some() {
        let all: BTreeSet<Option<u32>> =
            rows.iter().flat_map(|row| row.places()).map(|place| place.nsid).collect();
        add_addresses(&mut rows, &all, &mut sources.resolver);
    }
    let names = names(&rows);
    let (mut found, others): (Vec<FoundPair<'_>>, Vec<FoundPair<'_>>) =
        rows.into_iter().partition(|row| query.means(row));
    if found.is_empty() {
        let Some((runtime, seen)) = ask_engines(&mut engines, &runtime, &query.text) else {
            return not_found(&query.text, &names);
        };
        // A Swarm task's container has a name of its own besides the one that is shown.
        let of_container = |place: &PlaceRow<'_>| ids(place).any(|id| id == seen.id());
        found = others.into_iter().filter(|row| row.places().any(of_container)).collect();
        if found.is_empty() {
            match &seen {
                FoundByEngine::Container(seen) => bail!("{}", why_none(runtime, seen)),
                FoundByEngine::Pod(pod) => bail!("{}", why_pod_has_none(pod)),
            }
        }
    }
    if query.ip.is_none() {
        let needed = found.iter().flat_map(|row| row.places()).map(|place| place.nsid).collect();
        add_addresses(&mut found, &needed, &mut sources.resolver);
    }
    let devices = device_names(&view);
    for row in &mut found {
        row.by_hand = row.places().flat_map(|place| by_hand(place, &devices)).collect();
    }
    match settings.format {
        ListFormat::Json => print_json(&found),
        ListFormat::Table => print(&found.iter().map(FoundPair::text).collect::<Vec<_>>().join("\n")),
    }
}

/// A pair, or an end without a pair, as the document of all pairs has it; with what only `find` knows.
#[derive(Debug, Serialize)]
struct FoundPair<'a> {
    #[serde(flatten)]
    row: PairRow<'a, Vec<FoundEnd<'a>>>,
    /// The commands that show the same.
    by_hand: Vec<String>,
}

#[derive(Debug, Serialize)]
struct FoundEnd<'a> {
    #[serde(flatten)]
    row: EndRow<'a>,
    /// Each with the prefix's length.
    ip_addresses: Vec<String>,
}

/// Returns the ids of a namespace's workloads.
fn ids<'a>(place: &'a PlaceRow<'_>) -> impl Iterator<Item = &'a str> {
    let ids = place.workload.iter().chain(&place.members).map(|workload| &*workload.id);
    ids.filter(|id| !id.is_empty())
}

/// Returns the names by which a user may know an end, as they are shown.
fn names_of(place: &PlaceRow<'_>) -> Vec<String> {
    let workload = place.workload.iter().flat_map(|workload| {
        [workload.container.clone().into_owned(), workload.pod.clone().into_owned(), workload.name()]
    });
    let members = place.members.iter().map(|member| member.container.clone().into_owned());
    let own = place.name.iter().chain([&place.network]).map(|name| name.clone().into_owned());
    own.chain(workload).chain(members).filter(|name| !name.is_empty()).collect()
}

/// The names of devices in the kernel's bytes, by namespace and ifindex.
type DeviceNames = BTreeMap<(Option<u32>, u32), Name>;

fn device_names(view: &View) -> DeviceNames {
    let paired = view.scene.pairs.iter().flat_map(|pair| &pair.sides);
    let sides = paired.chain(view.scene.single.iter().map(|(side, _)| &**side));
    sides.filter_map(|side| Some(((side.end.netns.nsid(), side.end.ifindex), side.link?.name))).collect()
}

/// Every interpretation of the user's text; one query can mean several things.
struct FindQuery {
    /// The text as it was typed; as it would be shown, if it is not UTF-8.
    text: String,
    /// The text as a device of that name is shown.
    device: String,
    ifindex: Option<u32>,
    address: Option<Mac>,
    ip: Option<IpAddr>,
}

impl FindQuery {
    fn read(query: &OsStr) -> FindQuery {
        let device = Readable(query.as_bytes()).to_string();
        let text = query.to_str().map_or_else(|| device.clone(), str::to_owned);
        let bare = text.split_once('/').map_or(text.as_str(), |(address, _)| address);
        FindQuery {
            ifindex: text.parse().ok(),
            address: Mac::parse(&text),
            // An address is also recognised with the length of its prefix, as `ip addr` prints it.
            ip: bare.parse().ok(),
            text,
            device,
        }
    }

    fn means(&self, row: &FoundPair<'_>) -> bool {
        row.row.ends.iter().any(|end| self.means_end(end))
    }

    fn means_end(&self, end: &FoundEnd<'_>) -> bool {
        let place = &end.row.place;
        let ip = |shown: &String| {
            let address = shown.split_once('/').and_then(|(address, _)| address.parse::<IpAddr>().ok());
            self.ip.is_some() && address == self.ip
        };
        self.ifindex == Some(place.ifindex)
            || names_of(place).contains(&self.text)
            || place.name.as_deref() == Some(&*self.device)
            || place.workload.as_ref().is_some_and(|workload| workload.title() == self.text)
            || (!self.text.is_empty() && place.netns == self.text)
            || (self.text.len() >= SHORTEST_ID && ids(place).any(|id| id.starts_with(&self.text)))
            || self.address.is_some_and(|address| place.address == Some(address.to_string().into()))
            || end.ip_addresses.iter().any(ip)
    }
}

/// Adds to each end in these namespaces its IP addresses. A namespace that may not be read adds none.
fn add_addresses(rows: &mut [FoundPair<'_>], netns: &BTreeSet<Option<u32>>, resolver: &mut Resolver) {
    let mut known: BTreeMap<Option<u32>, Vec<IpAddress>> = BTreeMap::new();
    for &nsid in netns {
        match resolver.addresses(nsid) {
            Ok(addresses) => _ = known.insert(nsid, addresses),
            Err(LookFailure::Denied | LookFailure::Gone) => {}
            Err(LookFailure::Failed(reason)) => tracing::warn!(nsid, %reason, "addresses cannot be read"),
        }
    }
    for end in rows.iter_mut().flat_map(|row| &mut row.row.ends) {
        let addresses = known.get(&end.row.place.nsid).into_iter().flatten();
        let own = addresses.filter(|address| address.ifindex == end.row.place.ifindex);
        end.ip_addresses = own.map(|address| format!("{}/{}", address.address, address.prefix)).collect();
    }
}

/// Returns every name that a query could mean.
fn names(rows: &[FoundPair<'_>]) -> BTreeSet<String> {
    rows.iter().flat_map(|row| row.places()).flat_map(names_of).collect()
}

impl<'a> FoundPair<'a> {
    fn new(row: PairRow<'a, Vec<EndRow<'a>>>) -> FoundPair<'a> {
        let PairRow { state, ends } = row;
        let ends = ends.into_iter().map(|row| FoundEnd { row, ip_addresses: Vec::new() }).collect();
        FoundPair { row: PairRow { state, ends }, by_hand: Vec::new() }
    }

    fn places(&self) -> impl Iterator<Item = &PlaceRow<'a>> {
        self.row.ends.iter().map(|end| &end.row.place)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for FoundEnd { row, ip_addresses } in &self.row.ends {
            let place = &row.place;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:<10} {}", place.role, describe(place));
            let mut line = |name: &str, value: &str| {
                if !value.is_empty() {
                    let _ = writeln!(text, "  {name:<9}{}", printable(value));
                }
            };
            line("mac", place.address.as_deref().unwrap_or_default());
            line("ip", &ip_addresses.join(" "));
            line("bridge", place.bridge.as_deref().unwrap_or_default());
            line("network", &place.network);
            if let Some(workload) = &place.workload {
                line("workload", &workload.title());
                line("id", &workload.id);
                line("image", workload.own_image().unwrap_or_default());
            }
            let members: Vec<&str> = place.members.iter().map(|member| &*member.container).collect();
            line("members", &members.join(" "));
            line("parent", &place.parent);
            if let Some(counters) = &row.counters {
                let CounterRow { receive_bytes, receive_packets, receive_packets_dropped, .. } = *counters;
                let CounterRow { transmit_bytes, transmit_packets, transmit_packets_dropped, .. } = *counters;
                line("received", &flow(receive_bytes, receive_packets, receive_packets_dropped));
                line("sent", &flow(transmit_bytes, transmit_packets, transmit_packets_dropped));
            }
        }
        if self.row.state != "paired" {
            let _ = writeln!(text, "state      {}", self.row.state);
        }
        let _ = writeln!(text, "by hand");
        for command in &self.by_hand {
            let _ = writeln!(text, "  {}", printable(command));
        }
        text
    }
}

fn describe(place: &PlaceRow<'_>) -> String {
    let device = place.name.as_deref().map_or_else(|| "(hidden)".to_owned(), printable);
    let netns = match place.nsid {
        None => "on the host".to_owned(),
        Some(nsid) => format!("in {} (nsid {nsid})", printable(&place.netns)),
    };
    let state = match place.up {
        None => "",
        Some(true) => ", up",
        Some(false) => ", not up",
    };
    let mtu = place.mtu.map_or_else(String::new, |mtu| format!(", mtu {mtu}"));
    format!("{}: {device} {netns}{state}{mtu}", place.ifindex)
}

fn flow(bytes: u64, packets: u64, dropped: u64) -> String {
    format!("{bytes} bytes in {packets} packets, {dropped} dropped")
}

/// Returns the commands that show this end without this program.
fn by_hand(place: &PlaceRow<'_>, devices: &DeviceNames) -> Vec<String> {
    let device = devices.get(&(place.nsid, place.ifindex)).map(|name| quoted(name.as_bytes()));
    let given = |text: &&str| !text.is_empty();
    let id = place.workload.as_ref().map(|workload| &*workload.id).filter(given);
    // A pod's own container has a name that users do not know.
    let container = place.workload.as_ref().map(|workload| &*workload.container).filter(given).or(id);
    let container = container.map(|name| quoted(name.as_bytes()));
    let runtime = place.workload.as_ref().map(|workload| &*workload.runtime);
    let within = match (place.nsid, runtime, container) {
        (None, ..) => Some(String::new()),
        (Some(_), Some("cri"), _) => id.map(|id| {
            format!(
                "nsenter -n -t \"$(crictl inspectp -o go-template --template '{{{{.info.pid}}}}' {id})\" "
            )
        }),
        (Some(_), Some(engine @ ("docker" | "podman")), Some(name)) => {
            // A Swarm task is shown as `service.slot`, but its container has another name.
            let id = id.filter(|_| name.contains('.'));
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
fn ask_engines(
    engines: &mut [Engine],
    asking: &Runtime,
    query: &str,
) -> Option<(&'static str, FoundByEngine)> {
    for engine in engines {
        let runtime = engine.runtime().as_str();
        match asking.block_on(engine.look_up(query)) {
            Ok(Some(found)) => return Some((runtime, found)),
            Ok(None) => {}
            Err(lack) => {
                let source = Source::of(engine.runtime());
                let reason = source.map_or_else(|| lack.to_string(), |source| lack.message(source));
                tracing::warn!(collector = runtime, %reason, "failed");
            }
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
