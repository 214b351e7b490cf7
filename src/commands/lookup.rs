//! The sources that are asked for the meaning of a text: what `find` and `explain` take.

use super::print_message;
use crate::collector::{Engine, LookedUp, Sources};
use crate::find::{Catalog, FindAnswer, FindTarget, KnownPlace, NetnsText, Pasted, PastedPlace};
use crate::kernel::Resolver;
use crate::model::cgroup;
use crate::model::explain::ends::LinkPosition;
use crate::model::host::{Located, LookFailure};
use crate::model::lack::Lack;
use crate::model::link::{IpAddress, LinkKind};
use crate::model::text::printable;
use crate::model::view::{Source, StrandedReason, View};
use crate::model::workload::Locator;
use crate::runtimes::cri::SeenPod;
use crate::runtimes::docker::{Attachment, Seen};
use crate::runtimes::named::{Folder, FolderClaims};
use anyhow::bail;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tokio::runtime::Runtime;

/// The names that a message lists at most, and the things without a veth that it explains at most.
const LISTED: usize = 8;
const EXPLAINED: usize = 3;

/// Returns the pairs that the text means.
///
/// # Errors
/// Fails if there are none, with the reason.
pub(super) fn find_pairs(
    host: &mut FindSources,
    view: &View,
    pasted: &Pasted,
    lacks: &[(Source, Lack)],
) -> anyhow::Result<BTreeSet<FindTarget>> {
    let mut catalog = Catalog::new(&view.scene);
    let found = find_targets(host, &mut catalog, view, pasted, lacks)?;
    if found.iter().any(|target| target.row().is_some()) {
        return Ok(found);
    }
    bail!("{}", host.absences(&catalog, view, &found))
}

/// Returns everything that the text means: pairs, or things without a veth. Completes the catalog if the
/// pairs alone do not answer.
///
/// # Errors
/// Fails if nothing has that name, with the names that are near and with the engines that could not be asked.
pub(super) fn find_targets(
    host: &mut FindSources,
    catalog: &mut Catalog,
    view: &View,
    pasted: &Pasted,
    lacks: &[(Source, Lack)],
) -> anyhow::Result<BTreeSet<FindTarget>> {
    if pasted.is_address() {
        for nsid in catalog.nsids() {
            catalog.add_addresses(nsid, host.addresses(nsid));
        }
    }
    let identified = catalog.identify(pasted);
    if !identified.is_empty() {
        return Ok(identified);
    }
    let mut unasked = host.complete(catalog, view, pasted);
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
    Ok(found)
}

/// Returns the sentence about an engine that may know the name, with what would give an answer.
fn could_not_be_asked(engine: &str, lack: &Lack, source: Option<Source>) -> String {
    let reason = source.map_or_else(|| lack.what.clone(), |source| lack.message(source));
    format!("{engine} could not be asked: {reason}")
}

/// Returns the message for a text that means nothing here.
fn not_found(text: &str, near: &[String], unasked: &[String]) -> String {
    let near = listed(near);
    match unasked {
        [] => format!("nothing here is called {text}{near}"),
        unasked => format!("it is not known what {text} is{near}; {}", unasked.join("; ")),
    }
}

/// Returns the end of a message that lists the names that are near; empty if none is.
pub(super) fn listed(near: &[String]) -> String {
    let listed: Vec<String> = near.iter().take(LISTED).map(|name| printable(name)).collect();
    let more = match near.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match listed.as_slice() {
        [] => String::new(),
        listed => format!("; there is {}{more}", listed.join(", ")),
    }
}

/// The sources that are asked when the pairs alone do not answer.
pub(super) struct FindSources {
    pub sources: Sources,
    engines: Vec<Engine>,
    runtime: Runtime,
    /// The IP addresses of the namespaces that have been read, by nsid.
    addresses: BTreeMap<Option<u32>, Vec<IpAddress>>,
}

impl FindSources {
    /// Takes the sources of a single reading.
    pub(super) fn new(sources: Sources, engines: Vec<Engine>, runtime: Runtime) -> FindSources {
        FindSources { sources, engines, runtime, addresses: BTreeMap::new() }
    }

    /// Returns the IP addresses of a namespace; none if it may not be read.
    pub(super) fn addresses(&mut self, nsid: Option<u32>) -> &[IpAddress] {
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

    /// Returns the host's link with this name that is no end of a pair: a bridge, a card.
    pub(super) fn device(&mut self, name: &str) -> Option<LinkPosition> {
        device(&mut self.sources.resolver, name)
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

    /// Returns what things without a veth are, and why they have none.
    pub(super) fn absences(
        &mut self,
        catalog: &Catalog,
        view: &View,
        found: &BTreeSet<FindTarget>,
    ) -> String {
        let mut reasons: Vec<String> = Vec::new();
        for &target in found {
            reasons.extend(self.absence(catalog, view, target).filter(|reason| !reasons.contains(reason)));
        }
        let more = reasons.len().saturating_sub(EXPLAINED);
        reasons.truncate(EXPLAINED);
        reasons.extend((more > 0).then(|| format!("{more} more of that name have none either")));
        reasons.join("; ")
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

/// Returns the host's link with this name that is no end of a pair; `None` if there is none, or if the links
/// cannot be read.
pub(super) fn device(resolver: &mut Resolver, name: &str) -> Option<LinkPosition> {
    let links = resolver.described_links(None).ok()?;
    let is_pair_end = |driver: &str| LinkKind::of_driver(driver.as_bytes()).is_pair_end();
    let mut others = links.into_iter().filter(|link| link.single || !is_pair_end(&link.driver));
    Some((None, others.find(|link| link.name.to_string() == name)?.ifindex))
}

/// Returns the label of each namespace that has an end of a pair; that of the host is empty.
fn netns_texts(view: &View) -> BTreeMap<Option<u32>, String> {
    let paired = view.scene.pairs.iter().flat_map(|pair| &pair.sides);
    let sides = paired.chain(view.scene.single.iter().map(|(side, _)| &**side));
    let texts = sides.map(|side| (side.end.netns.nsid(), side.netns.to_string()));
    texts.chain([(None, String::new())]).collect()
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
