//! The catalog of a host: its pairs and everything else that has a name, each with its keys.

use super::absent::{KnownLink, KnownNetns, KnownPlace};
use super::pasted::{self, Pasted};
use crate::model::inventory::{EngineInventory, InventoryContainer, InventoryNetwork};
use crate::model::link::{DescribedLink, IpAddress, Mac};
use crate::model::view::{Scene, ShownSide};
use crate::model::workload::Runtime;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A thing that a text may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FindTarget {
    /// A pair, or an end without one, by its index in the scene: all pairs first.
    Row(usize),
    /// A link that is no end of a pair.
    Link(usize),
    /// A container or pod without a pair.
    Container(usize),
    /// A network without a pair.
    Network(usize),
    /// A named namespace without a pair.
    Netns(usize),
    /// The namespace of the process or file that the text names, without a pair.
    Place,
}

/// A thing, and everything that it is called.
#[derive(Clone, Debug)]
pub(super) struct CatalogEntry {
    pub(super) target: FindTarget,
    pub(super) names: Vec<String>,
    pub(super) ids: Vec<String>,
    /// Names that it shares with others: of its service, its project.
    pub(super) groups: Vec<String>,
    pub(super) images: Vec<String>,
    pub(super) macs: Vec<Mac>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) link: Option<LinkKey>,
    pub(super) cgroup: String,
}

/// The position of a link.
#[derive(Clone, Debug)]
pub(super) struct LinkKey {
    /// `None` for the host.
    pub(super) nsid: Option<u32>,
    pub(super) ifindex: u32,
    pub(super) iflink: Option<u32>,
    /// The name and the alternative names.
    pub(super) devices: Vec<String>,
    /// The name of the other end in the same namespace.
    pub(super) peer: Option<String>,
    /// The name of the link that the link is enslaved to.
    pub(super) master: Option<String>,
}

/// A network namespace as messages name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NetnsText {
    /// `None` for the host.
    pub(crate) nsid: Option<u32>,
    /// Empty for the host.
    pub(crate) label: String,
}

/// Everything on the host that a text may mean.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    entries: Vec<CatalogEntry>,
    /// The pairs that end in each namespace, by nsid.
    rows_in: BTreeMap<Option<u32>, BTreeSet<usize>>,
    /// The pairs of each workload, by id.
    rows_of: BTreeMap<String, BTreeSet<usize>>,
    /// The pairs of each network, by name.
    rows_on: BTreeMap<String, BTreeSet<usize>>,
    pub(super) links: Vec<KnownLink>,
    pub(super) containers: Vec<InventoryContainer>,
    pub(super) networks: Vec<(Runtime, InventoryNetwork)>,
    pub(super) namespaces: Vec<KnownNetns>,
    place: Option<KnownPlace>,
}

impl Catalog {
    /// Lists the pairs and ends of a scene.
    pub(crate) fn new(scene: &Scene) -> Catalog {
        Catalog::of_sides(scene, |_| true)
    }

    /// Lists the ends of a scene that the user's filter does not hide.
    pub(crate) fn of_shown(scene: &Scene) -> Catalog {
        Catalog::of_sides(scene, |side| !side.hidden)
    }

    fn of_sides(scene: &Scene, is_listed: impl Fn(&ShownSide) -> bool) -> Catalog {
        let mut catalog = Catalog::default();
        let pairs = scene.pairs.iter().enumerate();
        for (row, pair) in pairs {
            let [a, b] = &pair.sides;
            for (side, other) in [(a, b), (b, a)].into_iter().filter(|(side, _)| is_listed(side)) {
                let peer = other.link.filter(|_| other.end.netns == side.end.netns);
                catalog.add_side(row, side, peer.map(|peer| peer.name.to_string()));
            }
        }
        for (row, (side, _)) in
            (scene.pairs.len()..).zip(&scene.single).filter(|(_, (side, _))| is_listed(side))
        {
            catalog.add_side(row, side, None);
        }
        catalog
    }

    fn add_side(&mut self, row: usize, side: &ShownSide, peer: Option<String>) {
        let mut entry = CatalogEntry::new(FindTarget::Row(row));
        let nsid = side.end.netns.nsid();
        self.rows_in.entry(nsid).or_default().insert(row);
        let device = side.link.map(|link| link.name.to_string());
        let network = side.labels.as_ref().map(|labels| labels.network.as_str());
        if let Some(network) = network.filter(|network| !network.is_empty()) {
            self.rows_on.entry(network.to_owned()).or_default().insert(row);
        }
        entry.names.extend(device.clone());
        entry.names.extend([&*side.netns, network.unwrap_or_default()].map(str::to_owned));
        let master = side.master.map(|master| master.name.to_string());
        entry.names.extend(master.clone());
        entry.names.retain(|name| !name.is_empty());
        entry.macs.extend(side.link.and_then(|link| link.address));
        if let Some(ownership) = side.ownership.as_deref() {
            entry.cgroup.clone_from(&ownership.cgroup);
            for workload in std::iter::once(&ownership.owner).chain(&ownership.members) {
                entry.add_workload(workload);
                if !workload.id.is_empty() {
                    self.rows_of.entry(workload.id.clone()).or_default().insert(row);
                }
            }
        }
        entry.link = Some(LinkKey {
            nsid,
            ifindex: side.end.ifindex,
            iflink: side.link.and_then(|link| link.iflink),
            devices: device.into_iter().collect(),
            peer,
            master,
        });
        self.entries.push(entry);
    }

    /// Returns the links, by nsid and ifindex, that the text means among these things. A text that names a
    /// device, an address or a workload means the end that has it, and not the other end of the pair.
    pub(crate) fn places(
        &self,
        pasted: &Pasted,
        found: &BTreeSet<FindTarget>,
    ) -> BTreeSet<(Option<u32>, u32)> {
        let is_meant = |entry: &&CatalogEntry, form: &str| {
            let device = pasted::DeviceText::read(form);
            let mut loosened = device.iter().flat_map(|device| device.loosened());
            entry.is_identified_by(form, true)
                || entry.is_in_group(form, true)
                || loosened.any(|device| entry.is_device(&device))
        };
        let among = || self.entries.iter().filter(|entry| found.contains(&entry.target));
        let of_form = |form: &String| -> BTreeSet<(Option<u32>, u32)> {
            let meant = among().filter(|entry| is_meant(entry, form));
            meant.filter_map(|entry| entry.link.as_ref()).map(|link| (link.nsid, link.ifindex)).collect()
        };
        let mut forms = pasted.forms.iter().map(of_form);
        forms.find(|places| !places.is_empty()).unwrap_or_default()
    }

    /// Returns the links, but for the loopback, of the namespaces among these things that have no pair, and
    /// the name of such a namespace.
    pub(super) fn without_pairs(
        &self,
        found: &BTreeSet<FindTarget>,
    ) -> (BTreeSet<(Option<u32>, u32)>, Option<String>) {
        let mut name = None;
        let mut places = BTreeSet::new();
        for target in found {
            let place = match target {
                FindTarget::Netns(at) => self.namespaces.get(*at).map(|netns| {
                    name = Some(netns.name.clone());
                    &netns.place
                }),
                FindTarget::Place => self.place.as_ref(),
                _ => None,
            };
            let Some(nsid) = place.and_then(|place| place.nsid) else { continue };
            let inside =
                self.links.iter().filter(|link| link.netns.nsid == Some(nsid) && !link.link.loopback);
            places.extend(inside.map(|link| (Some(nsid), link.link.ifindex)));
        }
        (places, name)
    }

    pub(super) fn entries(&self) -> &[CatalogEntry] {
        &self.entries
    }

    /// Returns the nsids of all namespaces that have an end of a pair; `None` is the host.
    pub(crate) fn nsids(&self) -> BTreeSet<Option<u32>> {
        self.rows_in.keys().copied().chain([None]).collect()
    }

    /// Adds the IP addresses of a namespace to its links. Call this after [`add_links`](Catalog::add_links).
    pub(crate) fn add_addresses(&mut self, nsid: Option<u32>, addresses: &[IpAddress]) {
        for entry in &mut self.entries {
            let Some(link) = entry.link.as_ref().filter(|link| link.nsid == nsid) else { continue };
            let own = addresses.iter().filter(|address| address.ifindex == link.ifindex);
            entry.addresses.extend(own.map(|address| address.address.to_canonical()));
        }
    }

    /// Adds the links of a namespace: to an end of a pair its further names, and all that are no such end.
    pub(crate) fn add_links(&mut self, netns: &NetnsText, links: Vec<DescribedLink>) {
        let rows: BTreeMap<u32, (usize, LinkKey)> = self
            .entries
            .iter()
            .filter_map(|entry| match (entry.target, &entry.link) {
                (FindTarget::Row(row), Some(link)) if link.nsid == netns.nsid => {
                    Some((link.ifindex, (row, link.clone())))
                }
                _ => None,
            })
            .collect();
        for link in links {
            let further = link.alternatives.iter().chain([&link.alias]).filter(|name| !name.is_empty());
            let further: Vec<String> = further.cloned().collect();
            if let Some((row, key)) = rows.get(&link.ifindex) {
                let devices = link.alternatives.clone();
                let link = Some(LinkKey { devices, ..key.clone() });
                self.entries.push(CatalogEntry {
                    names: further,
                    link,
                    ..CatalogEntry::new(FindTarget::Row(*row))
                });
                continue;
            }
            self.add_other_link(netns, link, further);
        }
    }

    fn add_other_link(&mut self, netns: &NetnsText, link: DescribedLink, further: Vec<String>) {
        let name = link.name.to_string();
        let attached = self.entries.iter().filter(|entry| {
            let link = entry.link.as_ref().filter(|link| link.nsid == netns.nsid);
            link.is_some_and(|link| link.master.as_ref() == Some(&name))
        });
        // The name of a master means the pairs that are attached to it, and so do its further names.
        let attached: BTreeSet<FindTarget> = attached.map(|entry| entry.target).collect();
        let alone = FindTarget::Link(self.links.len());
        let mut entry = CatalogEntry::new(alone);
        entry.macs.extend(link.address);
        entry.link = Some(LinkKey {
            nsid: netns.nsid,
            ifindex: link.ifindex,
            iflink: link.iflink,
            devices: [&name].into_iter().chain(&link.alternatives).cloned().collect(),
            peer: None,
            master: None,
        });
        if attached.is_empty() {
            entry.names = [name].into_iter().chain(further).collect();
        } else {
            let named = |target| CatalogEntry { names: further.clone(), ..CatalogEntry::new(target) };
            self.entries.extend(attached.iter().map(|&target| named(target)));
        }
        self.entries.push(entry);
        self.links.push(KnownLink { netns: netns.clone(), attached: attached.len(), link });
    }

    /// Adds all that an engine has. What has a pair means the pair.
    pub(crate) fn add_inventory(&mut self, runtime: Runtime, inventory: EngineInventory) {
        for container in inventory.containers {
            let ids = [&container.workload.id].into_iter().chain(&container.ids);
            let rows: BTreeSet<usize> =
                ids.filter_map(|id| self.rows_of.get(id)).flatten().copied().collect();
            let alone = FindTarget::Container(self.containers.len());
            let mut entry = CatalogEntry::new(alone);
            entry.add_workload(&container.workload);
            entry.names.extend(container.names.iter().cloned());
            entry.ids.extend(container.ids.iter().cloned());
            entry.images.extend(container.images.iter().cloned());
            for (network, address) in &container.addresses {
                let assigned =
                    CatalogEntry { addresses: vec![address.to_canonical()], ..CatalogEntry::new(alone) };
                self.add_for(assigned, self.rows_with(&rows, network));
            }
            entry.macs.extend(container.macs.iter().copied());
            self.containers.push(container);
            self.add_for(entry, rows);
        }
        for network in inventory.networks {
            let rows = self.rows_on.get(&network.name).cloned().unwrap_or_default();
            let mut entry = CatalogEntry::new(FindTarget::Network(self.networks.len()));
            entry.names.push(network.name.clone());
            entry.ids.push(network.id.clone());
            self.networks.push((runtime, network));
            self.add_for(entry, rows);
        }
    }

    /// Adds a named namespace; `nsid` is `None` for the host's, and for one that has no id.
    pub(crate) fn add_name(&mut self, name: String, netns: KnownPlace) {
        let rows = self.rows_at(&netns);
        let mut entry = CatalogEntry::new(FindTarget::Netns(self.namespaces.len()));
        entry.names = vec![format!("{}/{name}", Runtime::Named.as_str()), name.clone()];
        self.namespaces.push(KnownNetns { name, place: netns });
        self.add_for(entry, rows);
    }

    /// Adds the namespace of the process or file that the text names.
    pub(crate) fn add_place(&mut self, place: KnownPlace) {
        self.place = Some(place);
    }

    pub(super) fn place(&self) -> Option<&KnownPlace> {
        self.place.as_ref()
    }

    /// Returns the pairs of the namespace that the text leads to, or the place itself.
    pub(super) fn at_place(&self, form: &str) -> BTreeSet<FindTarget> {
        let Some(place) = self.place().filter(|_| pasted::is_place(form)) else { return BTreeSet::new() };
        // A container's process in the host's namespace is the container.
        let id = place.container.as_deref().unwrap_or_default();
        let rows = self.rows_at(place);
        if rows.is_empty()
            && let Some(at) = self.containers.iter().position(|container| container.workload.id == id)
        {
            return [FindTarget::Container(at)].into();
        }
        let rows: BTreeSet<FindTarget> = rows.into_iter().map(FindTarget::Row).collect();
        if rows.is_empty() { [FindTarget::Place].into() } else { rows }
    }

    /// Returns the pairs that end in a namespace other than the host's.
    fn rows_at(&self, place: &KnownPlace) -> BTreeSet<usize> {
        place.nsid.and_then(|nsid| self.rows_in.get(&Some(nsid))).cloned().unwrap_or_default()
    }

    /// Returns the pairs of a container, of these, that an address on this network belongs to. Without a
    /// network it is the address of the pod: of the pairs that are on no network, or of all if each is on
    /// one.
    fn rows_with(&self, rows: &BTreeSet<usize>, network: &str) -> BTreeSet<usize> {
        let is_on = |network: &str, row: &usize| self.rows_on.get(network).is_some_and(|on| on.contains(row));
        if !network.is_empty() {
            return rows.iter().filter(|row| is_on(network, row)).copied().collect();
        }
        let of_none = |row: &&usize| !self.rows_on.values().any(|on| on.contains(*row));
        let of_none: BTreeSet<usize> = rows.iter().filter(of_none).copied().collect();
        if of_none.is_empty() { rows.clone() } else { of_none }
    }

    /// Adds an entry for each of these pairs; if there are none, the entry itself.
    fn add_for(&mut self, entry: CatalogEntry, rows: BTreeSet<usize>) {
        if rows.is_empty() {
            self.entries.push(entry);
            return;
        }
        let of_row = |row| CatalogEntry { target: FindTarget::Row(row), ..entry.clone() };
        self.entries.extend(rows.into_iter().map(of_row));
    }
}

impl CatalogEntry {
    fn new(target: FindTarget) -> CatalogEntry {
        CatalogEntry {
            target,
            names: Vec::new(),
            ids: Vec::new(),
            groups: Vec::new(),
            images: Vec::new(),
            macs: Vec::new(),
            addresses: Vec::new(),
            link: None,
            cgroup: String::new(),
        }
    }
}

impl FindTarget {
    /// Returns the index of a pair.
    pub(crate) fn row(self) -> Option<usize> {
        match self {
            FindTarget::Row(row) => Some(row),
            _ => None,
        }
    }
}
