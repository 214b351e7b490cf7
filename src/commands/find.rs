//! `veth-exporter find QUERY`: prints the owner of a device, an address or a container's interface.

use super::oneshot::{OneShot, print, print_json, warn_of};
use super::print_message;
use crate::cli::FindFormat;
use crate::collector::{Engine, LookedUp, Sources};
use crate::exposition::json;
use crate::exposition::json::row::{CounterRow, EndRow, PairRow, PlaceRow};
use crate::find::{Catalog, FindAnswer, FindTarget, KnownPlace, NetnsText, Pasted, PastedPlace};
use crate::model::cgroup;
use crate::model::host::{Located, LookFailure};
use crate::model::lack::Lack;
use crate::model::link::{IpAddress, Name};
use crate::model::text::printable;
use crate::model::view::{Source, StrandedReason, View};
use crate::model::workload::Locator;
use crate::runtimes::cri::SeenPod;
use crate::runtimes::docker::{Attachment, Seen};
use crate::runtimes::named::{Folder, FolderClaims};
use crate::settings::FindSettings;
use anyhow::bail;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use tokio::runtime::Runtime;

/// The names that a message lists at most, and the things without a veth that it explains at most.
const LISTED: usize = 8;
const EXPLAINED: usize = 3;

/// Prints every pair that the query means, with the commands that would show the same by hand; else says what
/// is there without a veth, and why it has none.
///
/// # Errors
/// Fails with one line, which has the nearest names, if nothing is found, and with the engines that could not
/// be asked.
pub(super) fn run(settings: &FindSettings) -> anyhow::Result<()> {
    let OneShot { view, sources, engines, runtime, lacks } = OneShot::read_host(&settings.host)?;
    let mut host = FindSources { sources, engines, runtime, addresses: BTreeMap::new() };
    let pasted = Pasted::read(settings.query.as_bytes());
    let meant = find_pairs(&mut host, &view, &pasted, &lacks);
    // A lack that the failure names is not reported twice.
    let failure = meant.as_ref().err().map(ToString::to_string).unwrap_or_default();
    warn_of(lacks.iter().filter(|(_, lack)| !failure.contains(&*printable(&lack.what))));
    let meant = meant?;
    let rows = json::rows_read_once(&view).into_iter().enumerate();
    let rows = rows.filter(|(at, _)| meant.contains(&FindTarget::Row(*at)));
    let mut found: Vec<FoundPair<'_>> = rows.map(|(_, row)| FoundPair::new(row)).collect();
    let devices = device_names(&view);
    for row in &mut found {
        for end in &mut row.row.ends {
            let addresses = host.addresses(end.row.place.nsid).iter();
            let own = addresses.filter(|address| address.ifindex == end.row.place.ifindex);
            end.ip_addresses = own.map(|address| format!("{}/{}", address.address, address.prefix)).collect();
        }
        row.by_hand = row.places().flat_map(|place| by_hand(place, &devices)).collect();
    }
    match settings.format {
        FindFormat::Json => print_json(&found),
        FindFormat::Table => print(&found.iter().map(FoundPair::text).collect::<Vec<_>>().join("\n")),
    }
}

/// Returns the pairs that the text means.
///
/// # Errors
/// Fails if there are none, with the reason.
fn find_pairs(
    host: &mut FindSources,
    view: &View,
    pasted: &Pasted,
    lacks: &[(Source, Lack)],
) -> anyhow::Result<BTreeSet<FindTarget>> {
    let mut catalog = Catalog::new(&view.scene);
    if pasted.is_address() {
        for nsid in catalog.nsids() {
            catalog.add_addresses(nsid, host.addresses(nsid));
        }
    }
    let identified = catalog.identify(pasted);
    if !identified.is_empty() {
        return Ok(identified);
    }
    let mut unasked = host.complete(&mut catalog, view, pasted);
    unasked.extend(host.unasked_by(lacks, &unasked));
    let text = printable(&pasted.text);
    let (near, found) = match catalog.find(pasted) {
        FindAnswer::Found(found) => (Vec::new(), found),
        // The engine that could not be asked may know the name itself.
        FindAnswer::Nearest(name, found) if unasked.is_empty() => {
            let name = printable(&name);
            print_message(&format!("nothing here is called {text}: the one name that is near is {name}"));
            (Vec::new(), found)
        }
        FindAnswer::Nearest(name, _) => (vec![name], BTreeSet::new()),
        FindAnswer::Near(names) => (names, BTreeSet::new()),
        FindAnswer::Nothing => (Vec::new(), BTreeSet::new()),
    };
    if found.is_empty() {
        bail!("{}{}", not_found(&text, &near, &unasked), host.absent_engines(&unasked));
    }
    if found.iter().any(|target| target.row().is_some()) {
        return Ok(found);
    }
    let mut reasons: Vec<String> = Vec::new();
    for &target in &found {
        reasons.extend(host.absence(&catalog, view, target).filter(|reason| !reasons.contains(reason)));
    }
    let more = reasons.len().saturating_sub(EXPLAINED);
    reasons.truncate(EXPLAINED);
    reasons.extend((more > 0).then(|| format!("{more} more of that name have none either")));
    bail!("{}", reasons.join("; "))
}

/// Returns the sentence about an engine that may know the name, with what would give an answer.
fn could_not_be_asked(engine: &str, lack: &Lack, source: Option<Source>) -> String {
    let reason = source.map_or_else(|| lack.what.clone(), |source| lack.message(source));
    format!("{engine} could not be asked: {reason}")
}

/// Returns the message for a text that means nothing here.
fn not_found(text: &str, near: &[String], unasked: &[String]) -> String {
    let listed: Vec<String> = near.iter().take(LISTED).map(|name| printable(name)).collect();
    let more = match near.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let near = match listed.as_slice() {
        [] => String::new(),
        listed => format!("; there is {}{more}", listed.join(", ")),
    };
    match unasked {
        [] => format!("nothing here is called {text}{near}"),
        unasked => format!("it is not known what {text} is{near}; {}", unasked.join("; ")),
    }
}

/// The sources that are asked when the pairs alone do not answer.
struct FindSources {
    sources: Sources,
    engines: Vec<Engine>,
    runtime: Runtime,
    /// The IP addresses of the namespaces that have been read, by nsid.
    addresses: BTreeMap<Option<u32>, Vec<IpAddress>>,
}

impl FindSources {
    /// Returns the IP addresses of a namespace; none if it may not be read.
    fn addresses(&mut self, nsid: Option<u32>) -> &[IpAddress] {
        let resolver = &mut self.sources.resolver;
        self.addresses.entry(nsid).or_insert_with(|| match resolver.addresses(nsid) {
            Ok(addresses) => addresses,
            Err(LookFailure::Denied | LookFailure::Gone) => Vec::new(),
            Err(LookFailure::Failed(reason)) => {
                tracing::warn!(nsid, %reason, "addresses cannot be read");
                Vec::new()
            }
        })
    }

    /// Adds everything to the catalog that is no pair. Returns a sentence for each engine that could not be
    /// asked.
    fn complete(&mut self, catalog: &mut Catalog, view: &View, pasted: &Pasted) -> Vec<String> {
        let mut namespaces = netns_texts(view);
        let names = self.named();
        let place = pasted.place().and_then(|place| self.locate(&place));
        let further = names.iter().map(|(name, place)| (name, place));
        for (label, place) in further.chain(place.iter().map(|place| (&place.thing, place))) {
            if let Some(nsid) = place.nsid {
                namespaces.entry(Some(nsid)).or_insert_with(|| label.clone());
            }
        }
        for (nsid, label) in namespaces {
            match self.sources.resolver.described_links(nsid) {
                Ok(links) => catalog.add_links(&NetnsText { nsid, label }, links),
                Err(LookFailure::Denied | LookFailure::Gone) => {}
                Err(LookFailure::Failed(reason)) => tracing::warn!(nsid, %reason, "links cannot be read"),
            }
            if pasted.is_address() {
                catalog.add_addresses(nsid, self.addresses(nsid));
            }
        }
        names.into_iter().for_each(|(name, place)| catalog.add_name(name, place));
        place.into_iter().for_each(|place| catalog.add_place(place));
        let mut unasked = Vec::new();
        for engine in &mut self.engines {
            match self.runtime.block_on(engine.inventory(pasted.is_address())) {
                Ok(inventory) => catalog.add_inventory(engine.runtime(), inventory.unwrap_or_default()),
                Err(lack) => unasked.push(could_not_be_asked(
                    engine.runtime().as_str(),
                    &lack,
                    Source::of(engine.runtime()),
                )),
            }
        }
        unasked
    }

    /// Returns a sentence for each engine that lacks something although it is not configured: its containers
    /// are here, for example, and its socket is not. Leaves out the sentences that are known already.
    fn unasked_by(&self, lacks: &[(Source, Lack)], known: &[String]) -> Vec<String> {
        let is_unasked = |source: Source| {
            let mut engines = self.engines.iter().filter(|engine| !engine.is_expected());
            engines.any(|engine| Source::of(engine.runtime()) == Some(source))
        };
        let is_new = |lack: &Lack| !known.iter().any(|sentence| sentence.contains(&lack.what));
        let sentences = lacks
            .iter()
            .filter(|(source, lack)| is_unasked(*source) && is_new(lack))
            .map(|(source, lack)| could_not_be_asked(source.as_str(), lack, Some(*source)));
        sentences.collect()
    }

    /// Returns the end of a message about a name that nothing has, for a host on which no engine was asked.
    fn absent_engines(&self, unasked: &[String]) -> String {
        let asked = self.engines.iter().any(Engine::is_expected);
        if asked || !unasked.is_empty() || self.engines.is_empty() {
            return String::new();
        }
        let places: Vec<String> =
            self.engines.iter().map(Engine::looked_at).filter(|place| !place.is_empty()).collect();
        format!(" (no container engine was asked: none has a socket at {})", places.join(", "))
    }

    /// Returns the named namespaces.
    fn named(&mut self) -> Vec<(String, KnownPlace)> {
        let Some(folder) = &self.sources.netns_folder else { return Vec::new() };
        let claims = match Folder::new(folder.names.path().to_owned()).claims() {
            Some(Ok(FolderClaims::Claims(claims))) => claims.claims,
            // A folder that cannot be read is reported by the reading of the host.
            _ => Vec::new(),
        };
        let located = claims.into_iter().map(|claim| {
            let name = claim.owner.name;
            let place = self.place_of(name.clone(), &claim.locator);
            Some((name, place?))
        });
        located.flatten().collect()
    }

    /// Returns the namespace of the process or file that the text names; `None` if there is none.
    fn locate(&mut self, place: &PastedPlace) -> Option<KnownPlace> {
        match place {
            PastedPlace::Pid(pid) => {
                let command = printable(&String::from_utf8_lossy(&self.sources.processes.command(*pid)?));
                let cgroup = self.sources.processes.cgroup(*pid);
                let place = self.place_of(format!("process {pid} ({command})"), &Locator::Pid(*pid))?;
                let container = cgroup.as_deref().and_then(|path| cgroup::ids(path).next());
                Some(KnownPlace { container: container.map(str::to_owned), ..place })
            }
            PastedPlace::File(path) => self.place_of(path.clone(), &Locator::Path(Path::new(path).into())),
        }
    }

    fn place_of(&mut self, thing: String, locator: &Locator) -> Option<KnownPlace> {
        let located = self.sources.resolver.locate(locator).ok()?;
        let nsid = match located {
            Located::Nsid(nsid) => Some(nsid),
            Located::Host | Located::WithoutId => None,
        };
        Some(KnownPlace { thing, nsid, is_host: located == Located::Host, container: None })
    }

    /// Returns what a thing without a veth is, and why it has none.
    fn absence(&mut self, catalog: &Catalog, view: &View, target: FindTarget) -> Option<String> {
        let Some((of, id)) = catalog.container(target) else { return catalog.absence(target) };
        let engine = self.engines.iter_mut().find(|engine| engine.runtime() == of)?;
        if let Some(stranded) = view.stranded.iter().find(|stranded| stranded.member.id == id) {
            let mut stranded = stranded.clone();
            // A reading of the running containers alone cannot know one that is stopped.
            if stranded.reason == StrandedReason::Removed
                && let Ok(Some(LookedUp::Container(seen))) =
                    self.runtime.block_on(engine.look_up(&stranded.target.id))
            {
                stranded.target.name = seen.name;
                stranded.reason = StrandedReason::Stopped;
            }
            return Some(stranded.sentence());
        }
        match self.runtime.block_on(engine.look_up(id)) {
            Ok(Some(LookedUp::Container(seen))) => Some(why_none(of.as_str(), &seen)),
            Ok(Some(LookedUp::Pod(pod))) => Some(why_pod_has_none(&pod)),
            Ok(None) => Some(format!("{}/{id} has just been removed", of.as_str())),
            Err(reason) => {
                Some(format!("{}/{id} has no veth, and the reason is not known: {reason}", of.as_str()))
            }
        }
    }
}

/// Returns the label of each namespace that has an end of a pair; that of the host is empty.
fn netns_texts(view: &View) -> BTreeMap<Option<u32>, String> {
    let paired = view.scene.pairs.iter().flat_map(|pair| &pair.sides);
    let sides = paired.chain(view.scene.single.iter().map(|(side, _)| &**side));
    let texts = sides.map(|side| (side.end.netns.nsid(), side.netns.to_string()));
    texts.chain([(None, String::new())]).collect()
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

/// The names of devices in the kernel's bytes, by namespace and ifindex.
type DeviceNames = BTreeMap<(Option<u32>, u32), Name>;

fn device_names(view: &View) -> DeviceNames {
    let paired = view.scene.pairs.iter().flat_map(|pair| &pair.sides);
    let sides = paired.chain(view.scene.single.iter().map(|(side, _)| &**side));
    sides.filter_map(|side| Some(((side.end.netns.nsid(), side.end.ifindex), side.link?.name))).collect()
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
            line("kind", place.kind.as_deref().filter(|kind| *kind != "veth").unwrap_or_default());
            line("bridge", place.bridge.as_deref().unwrap_or_default());
            line("master", &other_master(place).unwrap_or_default());
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

/// Returns the master of an end and its driver, unless the line `bridge` names the master.
fn other_master(place: &PlaceRow<'_>) -> Option<String> {
    let master = place.master.as_deref().filter(|_| place.bridge.is_none())?;
    let kind = place.master_kind.as_deref().map(|kind| format!(" ({kind})"));
    Some(format!("{master}{}", kind.unwrap_or_default()))
}

fn flow(bytes: u64, packets: u64, dropped: u64) -> String {
    format!("{bytes} bytes in {packets} packets, {dropped} dropped")
}

/// Returns the commands that show this end without this program.
fn by_hand(place: &PlaceRow<'_>, devices: &DeviceNames) -> Vec<String> {
    let device = devices.get(&(place.nsid, place.ifindex)).map(|name| quoted(name.as_bytes()));
    let workload = place.workload.as_ref();
    let word = |text: &str| Some(quoted(text.as_bytes())).filter(|_| !text.is_empty());
    let runtime = workload.map(|workload| &*workload.runtime);
    let container = workload.and_then(|workload| word(&workload.container));
    // The name that is shown need not be the engine's: it may come from a label, or from Swarm or Kubernetes.
    let id = workload.and_then(|workload| word(&workload.id));
    let short = workload.and_then(|workload| word(cgroup::short(&workload.id)));
    let within = match (place.nsid, runtime, container) {
        (None, ..) => Some(String::new()),
        (Some(_), Some("cri"), _) => id.map(|id| {
            format!(
                "nsenter -n -t \"$(crictl inspectp -o go-template --template '{{{{.info.pid}}}}' {id})\" "
            )
        }),
        (Some(_), Some(engine @ ("docker" | "podman")), _) => {
            short.map(|id| format!("nsenter -n -t \"$({engine} inspect -f '{{{{.State.Pid}}}}' {id})\" "))
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
    use crate::exposition::json::row::WorkloadRow;

    #[test]
    fn a_word_for_a_shell_is_plain_or_safely_quoted() {
        assert_eq!(quoted(b"veth0"), "veth0");
        assert_eq!(quoted(b"a b'c\\"), r"$'a b\'c\\'");
        assert_eq!(quoted(b"v\xff\n"), r"$'v\xff\x0a'");
        assert_eq!(quoted(b""), "$''");
    }

    #[test]
    fn commands_by_hand_have_the_engines_id_and_not_the_name_that_is_shown() {
        let id = "0123456789ab".to_owned() + &"c".repeat(52);
        let devices = DeviceNames::from([((Some(4), 2), Name::from_bytes(b"eth0").unwrap())]);
        for (runtime, container, pod, id, wanted) in [
            ("docker", "web", "", &*id, "docker inspect -f '{{.State.Pid}}' 0123456789ab)"),
            // Names from a label, of a Swarm task, of a Nomad pause container, and of a pod's container.
            (
                "docker",
                "a label's value; $(reboot)",
                "",
                &id,
                "docker inspect -f '{{.State.Pid}}' 0123456789ab)",
            ),
            ("docker", "shop_web.1", "", &id, "docker inspect -f '{{.State.Pid}}' 0123456789ab)"),
            ("docker", "nomad_init", "", &id, "docker inspect -f '{{.State.Pid}}' 0123456789ab)"),
            ("podman", "", "kp", &id, "podman inspect -f '{{.State.Pid}}' 0123456789ab)"),
            ("docker", "odd", "", "a b", "docker inspect -f '{{.State.Pid}}' $'a b')"),
            ("cri", "", "web", "aaaa", "{{.info.pid}}' aaaa)"),
            ("lxc", "c 1", "", "", "$(lxc-info -pH -n $'c 1')"),
            ("nspawn", "m", "", "", "$(machinectl show -P Leader m)"),
            ("named", "blue", "", "", "ip netns exec blue ip"),
        ] {
            let workload = WorkloadRow {
                runtime: runtime.into(),
                container: container.into(),
                pod: pod.into(),
                id: id.into(),
                ..WorkloadRow::default()
            };
            let place =
                PlaceRow { nsid: Some(4), ifindex: 2, workload: Some(workload), ..PlaceRow::default() };
            let commands = by_hand(&place, &devices);
            assert!(
                commands.len() == 2 && commands.iter().all(|command| command.contains(wanted)),
                "{commands:?}"
            );
        }
        let process = WorkloadRow { runtime: "process".into(), container: "sh".into(), ..Default::default() };
        let place = PlaceRow { nsid: Some(4), ifindex: 2, workload: Some(process), ..PlaceRow::default() };
        assert_eq!(by_hand(&place, &devices), [""; 0], "no command leads there");
    }
}
