//! The links of all namespaces and their pairs: filled by dumps and kept current by events.

use super::link::{Counters, End, Link, Mac, Master, Name, NetnsId, PeerNetns};
use super::pairing::{self, EndState, Inside, LinkLookup, Namespaces, Pair, Pairing, Side};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The links of the host and of every namespace that the exporter has read, with their pairs.
#[derive(Debug, Default)]
pub(crate) struct Topology {
    inventory: Inventory,
    pairing: Pairing,
    /// The namespaces that were known at the last [`pair_changed`](Topology::pair_changed).
    settled: HashSet<NetnsId>,
    /// True for each end that was created while the exporter runs.
    births: HashMap<End, bool>,
    /// The ends that contradict their peer or lack it, with both links at the time when the exporter last
    /// asked about both namespaces for this reason.
    doubted: BTreeMap<End, [Option<Link>; 2]>,
    /// The ends with a peer in an unknown namespace, because only their own namespace has an id for it.
    lost: BTreeSet<End>,
    /// The namespaces that are known only from events: they may have further links.
    partial: BTreeSet<NetnsId>,
    /// Each namespace with an open request for its links: the number of open requests, and the links that
    /// events have reported since the first of them.
    asked: HashMap<NetnsId, (u32, BTreeSet<u32>)>,
    /// The host's links with an open request for that link alone; true if an event has reported the link
    /// since.
    asked_links: BTreeMap<u32, bool>,
    /// The events of queue disciplines of unknown links of the host since the host's links were requested.
    early_qdiscs: BTreeMap<u32, Option<Name>>,
    /// The host's links with a root queue discipline that was deleted: the kernel has put its default there,
    /// which no event reports.
    bare: BTreeSet<u32>,
}

/// The links and namespaces to read again because ends disagree.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Doubts {
    /// The nsids of namespaces.
    pub nsids: BTreeSet<u32>,
    /// The ifindices of links of the host.
    pub host_links: BTreeSet<u32>,
}

/// The effect of an event or a dump on the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopologyChange {
    Counters,
    /// A change that pairs, roles or labels may depend on.
    Shape,
}

/// The changes between two calls of [`pair_changed`](Topology::pair_changed).
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The former pairs of these ends and their present pairs, each in the order of the first ends.
    pub before: Vec<[End; 2]>,
    pub pairs: Vec<[End; 2]>,
    /// Every end that was paired anew.
    pub ends: BTreeSet<End>,
    /// The namespaces that became known or unknown, or had a link that changed.
    pub namespaces: BTreeSet<NetnsId>,
    /// The links that may be masters and were created, renamed or deleted.
    pub masters: BTreeSet<End>,
}

/// The links by namespace, with indices by what they refer to.
#[derive(Debug, Default)]
struct Inventory {
    namespaces: Namespaces,
    /// The number of earlier namespaces that had each nsid.
    generations: HashMap<u32, u32>,
    /// The ends that name a peer, by the nsid (`None` for the host) and the ifindex of that peer.
    naming: BTreeSet<(Option<u32>, u32, End)>,
    /// The number of links with a peer in the namespace of each nsid.
    leading: BTreeMap<u32, usize>,
    /// The nsids in `leading` with a namespace that the exporter has not read.
    unread: BTreeSet<u32>,
    /// The ends that are enslaved, each after its master.
    enslaved: BTreeSet<(End, End)>,
    /// The links by their hardware address.
    addresses: BTreeSet<(Mac, End)>,
    /// The names of ends without a carrier from the time when each had one.
    up_names: BTreeMap<End, Name>,
    /// The ends that changed since the last [`pair_changed`](Topology::pair_changed).
    changed: BTreeSet<End>,
    changed_namespaces: BTreeSet<NetnsId>,
    changed_masters: BTreeSet<End>,
}

impl LinkLookup for Inventory {
    fn pair_end(&self, end: End) -> Option<&Link> {
        self.link(end.netns, end.ifindex).filter(|link| link.kind.is_pair_end())
    }

    fn netns_of(&self, nsid: u32) -> Option<NetnsId> {
        Some(self.netns(Some(nsid))).filter(|netns| self.namespaces.contains_key(netns))
    }

    fn is_denied(&self, netns: NetnsId) -> bool {
        self.namespaces.get(&netns) == Some(&Inside::Denied)
    }
}

impl Inventory {
    fn netns(&self, nsid: Option<u32>) -> NetnsId {
        match nsid {
            None => NetnsId::Host,
            Some(nsid) => {
                NetnsId::Other { nsid, generation: self.generations.get(&nsid).copied().unwrap_or(0) }
            }
        }
    }

    fn link(&self, netns: NetnsId, ifindex: u32) -> Option<&Link> {
        match self.namespaces.get(&netns)? {
            Inside::Seen(links) => links.get(&ifindex).map(Box::as_ref),
            Inside::Denied => None,
        }
    }

    /// Stores or removes a link of a namespace that the exporter may read.
    fn set(&mut self, netns: NetnsId, ifindex: u32, link: Option<Link>) {
        let end = End { netns, ifindex };
        let Some(Inside::Seen(links)) = self.namespaces.get_mut(&netns) else { return };
        let old = match link {
            Some(new) => links.insert(ifindex, Box::new(new)),
            None => links.remove(&ifindex),
        };
        let old = old.map(|old| *old);
        if let Some(old) = old {
            self.unindex(end, &old);
        }
        if let Some(new) = &link {
            self.index(end, new);
        }
        self.keep_up_name(end, old.as_ref(), link.as_ref());
        self.changed.insert(end);
        self.changed_namespaces.insert(netns);
        let master = |link: &Link| (!link.kind.is_pair_end()).then_some(Master::of(link));
        if old.as_ref().and_then(master) != link.as_ref().and_then(master) {
            self.changed_masters.insert(end);
        }
    }

    /// Keeps the name of an end that has lost its carrier: engines rename an interface after they took it
    /// down.
    fn keep_up_name(&mut self, end: End, old: Option<&Link>, new: Option<&Link>) {
        match (old, new) {
            (_, None) => _ = self.up_names.remove(&end),
            (_, Some(new)) if new.has_carrier() => _ = self.up_names.remove(&end),
            (Some(old), Some(_)) if old.has_carrier() => _ = self.up_names.insert(end, old.name),
            _ => {}
        }
    }

    fn index(&mut self, end: End, link: &Link) {
        self.naming.extend(named(end, link));
        if let PeerNetns::Nsid(nsid) = link.peer_netns {
            *self.leading.entry(nsid).or_default() += 1;
            if self.netns_of(nsid).is_none() {
                self.unread.insert(nsid);
            }
        }
        if let Some(ifindex) = link.master {
            self.enslaved.insert((End { netns: end.netns, ifindex }, end));
        }
        self.addresses.extend(link.address.map(|address| (address, end)));
    }

    fn unindex(&mut self, end: End, link: &Link) {
        if let Some(named) = named(end, link) {
            self.naming.remove(&named);
        }
        if let PeerNetns::Nsid(nsid) = link.peer_netns
            && let Some(count) = self.leading.get_mut(&nsid)
        {
            *count -= 1;
            if *count == 0 {
                self.leading.remove(&nsid);
                self.unread.remove(&nsid);
            }
        }
        if let Some(ifindex) = link.master {
            self.enslaved.remove(&(End { netns: end.netns, ifindex }, end));
        }
        if let Some(address) = link.address {
            self.addresses.remove(&(address, end));
        }
    }

    /// Returns the ends that name a peer in the namespace with this nsid.
    fn naming(&self, nsid: Option<u32>) -> impl Iterator<Item = End> {
        let first = End { netns: NetnsId::Host, ifindex: 0 };
        let range = self.naming.range((nsid, 0, first)..);
        range.take_while(move |(to, ..)| *to == nsid).map(|&(_, _, end)| end)
    }

    /// Replaces the knowledge about a namespace: its links, that they are hidden, or that nothing is known.
    fn know(&mut self, netns: NetnsId, inside: Option<Inside>) {
        let mut up_names: Vec<(End, Name, Option<u32>)> = Vec::new();
        if let Some(Inside::Seen(links)) = self.namespaces.get(&netns) {
            let before: Vec<Link> = links.values().map(|link| **link).collect();
            for link in before {
                let end = End { netns, ifindex: link.ifindex };
                let up = self.up_names.get(&end).copied().or(link.has_carrier().then_some(link.name));
                up_names.extend(up.map(|name| (end, name, link.iflink)));
                self.set(netns, link.ifindex, None);
            }
        }
        let mut links = BTreeMap::new();
        match inside {
            Some(Inside::Seen(seen)) => {
                self.namespaces.insert(netns, Inside::Seen(BTreeMap::new()));
                links = seen;
            }
            Some(Inside::Denied) => _ = self.namespaces.insert(netns, Inside::Denied),
            None => _ = self.namespaces.remove(&netns),
        }
        if let Some(nsid) = netns.nsid().filter(|nsid| self.leading.contains_key(nsid)) {
            match self.netns_of(nsid) {
                Some(_) => _ = self.unread.remove(&nsid),
                None => _ = self.unread.insert(nsid),
            }
        }
        for (ifindex, link) in links {
            self.set(netns, ifindex, Some(*link));
        }
        for (end, name, iflink) in up_names {
            let now = self.link(netns, end.ifindex);
            if now.is_some_and(|link| !link.has_carrier() && link.iflink == iflink) {
                self.up_names.insert(end, name);
            }
        }
        self.changed_namespaces.insert(netns);
        let naming: Vec<End> = self.naming(netns.nsid()).collect();
        self.changed.extend(naming);
    }

    /// Returns these ends and all ends that name, or are named by, any of them, directly or not.
    fn connected(&self, changed: BTreeSet<End>, pairing: &Pairing) -> BTreeSet<End> {
        let mut open: Vec<End> = changed.iter().copied().collect();
        let mut found = changed;
        while let Some(end) = open.pop() {
            let key = (end.netns.nsid(), end.ifindex);
            let first = End { netns: NetnsId::Host, ifindex: 0 };
            let range = self.naming.range((key.0, key.1, first)..);
            let by = range.take_while(|&&(nsid, ifindex, _)| (nsid, ifindex) == key).map(|&(_, _, by)| by);
            let named = self.pair_end(end).and_then(|link| pairing::named_peer(end, link, self).ok());
            for other in by.chain(named).chain(pairing.peer(end)).collect::<Vec<_>>() {
                if found.insert(other) {
                    open.push(other);
                }
            }
        }
        found
    }
}

/// Returns the entry of a link in [`Inventory::naming`].
fn named(end: End, link: &Link) -> Option<(Option<u32>, u32, End)> {
    match link.peer_netns {
        PeerNetns::Nsid(nsid) => Some((Some(nsid), link.iflink.unwrap_or(0), end)),
        _ if !link.kind.is_pair_end() => None,
        PeerNetns::Host => Some((None, link.iflink?, end)),
        PeerNetns::Same => Some((end.netns.nsid(), link.iflink?, end)),
        PeerNetns::Unassigned | PeerNetns::Elsewhere => None,
    }
}

impl Topology {
    /// Returns the namespace that has this nsid now; `None` stands for the host.
    pub(crate) fn netns(&self, nsid: Option<u32>) -> NetnsId {
        self.inventory.netns(nsid)
    }

    /// Returns every known namespace with its links.
    pub(crate) fn namespaces(&self) -> &Namespaces {
        &self.inventory.namespaces
    }

    /// Returns the pairs as of the last [`pair_changed`](Topology::pair_changed).
    pub(crate) fn pairing(&self) -> &Pairing {
        &self.pairing
    }

    /// Returns a pair with the present state of its links.
    pub(crate) fn pair(&self, ends: [End; 2]) -> Pair {
        Pair { sides: ends.map(|end| self.side(end)) }
    }

    /// Returns an end with its link.
    pub(crate) fn side(&self, end: End) -> Side {
        Side { end, link: self.link(end.netns, end.ifindex).copied() }
    }

    /// Returns the name that an end without a carrier had when it last had one.
    pub(crate) fn up_name(&self, end: End) -> Option<Name> {
        self.inventory.up_names.get(&end).copied()
    }

    /// Returns the ends that are enslaved to this master.
    pub(crate) fn enslaved(&self, master: End) -> impl Iterator<Item = End> {
        let first = End { netns: NetnsId::Host, ifindex: 0 };
        let range = self.inventory.enslaved.range((master, first)..);
        range.take_while(move |(to, _)| *to == master).map(|&(_, end)| end)
    }

    /// Returns the ends with this hardware address.
    pub(crate) fn with_address(&self, address: Mac) -> impl Iterator<Item = End> {
        let first = End { netns: NetnsId::Host, ifindex: 0 };
        let range = self.inventory.addresses.range((address, first)..);
        range.take_while(move |(of, _)| *of == address).map(|&(_, end)| end)
    }

    /// Returns the bridges and Open vSwitches on the host that have this name.
    pub(crate) fn host_switches(&self, name: Name) -> Vec<End> {
        let Some(Inside::Seen(links)) = self.namespaces().get(&NetnsId::Host) else { return Vec::new() };
        let named = links.values().filter(|link| link.name == name);
        let ends = named.map(|link| End { netns: NetnsId::Host, ifindex: link.ifindex });
        ends.filter(|end| self.switch(*end).is_some()).collect()
    }

    /// Returns the name of a bridge or Open vSwitch; `None` for any other link.
    pub(crate) fn switch(&self, end: End) -> Option<Name> {
        let link = self.link(end.netns, end.ifindex)?;
        link.kind.is_switch().then_some(link.name)
    }

    /// Returns the link that an end is enslaved to.
    pub(crate) fn master_of(&self, side: &Side) -> Option<Master> {
        self.link(side.end.netns, side.link?.master?).map(Master::of)
    }

    /// Returns true if the links of this namespace are known, or are known to be hidden.
    pub(crate) fn knows(&self, netns: NetnsId) -> bool {
        self.inventory.namespaces.contains_key(&netns)
    }

    /// Records a request for the links of this namespace. From now on, events take precedence over the
    /// answer: the answer may be older than an event that has arrived, and later changes will arrive as
    /// events.
    pub(crate) fn ask(&mut self, netns: NetnsId) {
        self.asked.entry(netns).or_default().0 += 1;
    }

    /// Records a request for one link of the host, with the same precedence of events.
    pub(crate) fn ask_link(&mut self, ifindex: u32) {
        self.asked_links.insert(ifindex, false);
    }

    /// Takes one link of the host as the kernel has it now; `None` if it is gone, which an event reports. An
    /// event that has arrived since the request takes precedence.
    pub(crate) fn take_link(&mut self, ifindex: u32, read: Option<Link>) -> TopologyChange {
        let touched = self.asked_links.remove(&ifindex).unwrap_or_default();
        let bare = self.bare.contains(&ifindex);
        if !touched {
            self.bare.remove(&ifindex);
        }
        let told = self.link(NetnsId::Host, ifindex).copied();
        let (Some(read), Some(told)) = (read, told) else { return TopologyChange::Counters };
        if touched {
            let change = self.store(NetnsId::Host, &told, placed(told, &read));
            let doubted = self.doubt_again() == TopologyChange::Shape;
            // A bare link is requested again.
            return if doubted || bare { TopologyChange::Shape } else { change };
        }
        // A dump that was requested before may be older.
        self.touch(NetnsId::Host, ifindex);
        self.store(NetnsId::Host, &told, read)
    }

    /// Notes that events have reported a link since the open requests.
    fn touch(&mut self, netns: NetnsId, ifindex: u32) {
        if let Some((_, touched)) = self.asked.get_mut(&netns) {
            touched.insert(ifindex);
        }
        if netns == NetnsId::Host
            && let Some(touched) = self.asked_links.get_mut(&ifindex)
        {
            *touched = true;
        }
    }

    /// Evaluates all doubted ends again: an answer that is ignored settles no doubt.
    fn doubt_again(&mut self) -> TopologyChange {
        let doubted = std::mem::take(&mut self.doubted);
        let change = if doubted.is_empty() { TopologyChange::Counters } else { TopologyChange::Shape };
        self.inventory.changed.extend(doubted.into_keys());
        change
    }

    /// Takes one answer as arrived. Returns the links that events have reported since the request.
    pub(crate) fn answered(&mut self, netns: NetnsId) -> BTreeSet<u32> {
        match self.asked.remove(&netns) {
            Some((open @ 2.., touched)) => {
                self.asked.insert(netns, (open - 1, touched.clone()));
                touched
            }
            Some((_, touched)) => touched,
            None => BTreeSet::new(),
        }
    }

    /// Replaces the links of a namespace with a complete dump; for the `touched` links, events have arrived
    /// since the request and take precedence. Returns the links that differed, counters aside, from what
    /// was known of a namespace that was completely known; and whether the dump changed anything that pairs
    /// may depend on.
    pub(crate) fn replace(
        &mut self,
        netns: NetnsId,
        links: Vec<Link>,
        touched: &BTreeSet<u32>,
    ) -> (Vec<u32>, TopologyChange) {
        let partial = self.partial.remove(&netns);
        let links = if netns == NetnsId::Host { self.with_early_qdiscs(links, touched) } else { links };
        let doubted = !touched.is_empty() && self.doubt_again() == TopologyChange::Shape;
        let mut new: BTreeMap<u32, Box<Link>> =
            links.into_iter().map(|link| (link.ifindex, Box::new(link))).collect();
        for &ifindex in touched {
            match (self.link(netns, ifindex).copied(), new.get_mut(&ifindex)) {
                (Some(told), Some(read)) => **read = placed(told, read),
                (Some(told), None) => _ = new.insert(ifindex, Box::new(told)),
                (None, _) => _ = new.remove(&ifindex),
            }
        }
        let Some(Inside::Seen(old)) = self.inventory.namespaces.get(&netns) else {
            self.inventory.know(netns, Some(Inside::Seen(new)));
            return (Vec::new(), TopologyChange::Shape);
        };
        let gone: Vec<u32> = old.keys().filter(|ifindex| !new.contains_key(ifindex)).copied().collect();
        let same = |old: &Link, new: &Link| Link { counters: new.counters, ..*old } == *new;
        let changed = |link: &Link| old.get(&link.ifindex).is_none_or(|old| !same(old, link));
        let changed: Vec<Link> = new.values().map(|link| **link).filter(changed).collect();
        // Only the host's events of queue disciplines are taken, and no event of links reports another one.
        let reported = |old: &Link, new: &Link| match netns {
            NetnsId::Host => differs(old, new),
            NetnsId::Other { .. } => differs(old, &Link { qdisc: old.qdisc, ..*new }),
        };
        let differ = |link: &&Link| old.get(&link.ifindex).is_none_or(|old| reported(old, link));
        let differing = changed.iter().filter(differ).map(|link| link.ifindex);
        let differ: Vec<u32> = gone.iter().copied().chain(differing).collect();
        let change = match gone.is_empty() && changed.is_empty() && !partial && !doubted {
            true => TopologyChange::Counters,
            false => TopologyChange::Shape,
        };
        for link in new.values() {
            self.update_counters(netns, link);
        }
        for ifindex in gone {
            self.set_link(netns, ifindex, None);
        }
        for link in changed {
            self.set_link(netns, link.ifindex, Some(link));
        }
        (if partial { Vec::new() } else { differ }, change)
    }

    fn update_counters(&mut self, netns: NetnsId, link: &Link) {
        if let Some(Inside::Seen(links)) = self.inventory.namespaces.get_mut(&netns)
            && let Some(known) = links.get_mut(&link.ifindex)
        {
            known.counters = link.counters;
        }
    }

    fn set_link(&mut self, netns: NetnsId, ifindex: u32, link: Option<Link>) {
        self.inventory.set(netns, ifindex, link);
    }

    /// Records that the exporter may not read a namespace.
    pub(crate) fn hide(&mut self, netns: NetnsId) {
        self.partial.remove(&netns);
        if self.inventory.namespaces.get(&netns) != Some(&Inside::Denied) {
            self.inventory.know(netns, Some(Inside::Denied));
        }
    }

    /// Records that nothing is known of a namespace.
    pub(crate) fn forget(&mut self, netns: NetnsId) {
        self.partial.remove(&netns);
        if self.knows(netns) {
            self.inventory.know(netns, None);
        }
    }

    /// Forgets every namespace except the host, those with these nsids, and those known only from events.
    pub(crate) fn keep_only(&mut self, nsids: &BTreeSet<u32>) {
        let partial = &self.partial;
        let stays = |netns: &NetnsId| {
            netns.nsid().is_none_or(|nsid| nsids.contains(&nsid)) || partial.contains(netns)
        };
        let gone: Vec<NetnsId> = self.namespaces().keys().filter(|netns| !stays(netns)).copied().collect();
        gone.into_iter().for_each(|netns| self.inventory.know(netns, None));
    }

    /// Records that the kernel has released an nsid: the next namespace with this nsid is a different one,
    /// and no present link leads to it. When many links are dismantled at once, the links with a peer in
    /// the old namespace are deleted only seconds later.
    pub(crate) fn end_of(&mut self, nsid: u32) {
        let leading: Vec<End> = self.inventory.naming(Some(nsid)).collect();
        for end in leading {
            self.lose_peer(nsid, end);
        }
        let netns = self.netns(Some(nsid));
        self.forget(netns);
        self.asked.remove(&netns);
        *self.inventory.generations.entry(nsid).or_default() += 1;
    }

    /// Records that an end has lost its peer with the namespace that had this nsid. An older answer does
    /// not bring the peer back.
    fn lose_peer(&mut self, nsid: u32, end: End) {
        let Some(link) = self.link(end.netns, end.ifindex).copied() else { return };
        if link.peer_netns != PeerNetns::Nsid(nsid) {
            return;
        }
        self.set_link(end.netns, end.ifindex, Some(Link { peer_netns: PeerNetns::Unassigned, ..link }));
        self.touch(end.netns, end.ifindex);
    }

    /// Stores one link as an event reports it.
    pub(crate) fn upsert(&mut self, netns: NetnsId, link: Link) -> TopologyChange {
        if !self.knows(netns) {
            self.partial.insert(netns);
            self.inventory.know(netns, Some(Inside::Seen(BTreeMap::new())));
        }
        // A namespace that the exporter may not read stays hidden: a few links from events would be a wrong
        // picture of it.
        if self.inventory.is_denied(netns) {
            return TopologyChange::Counters;
        }
        self.touch(netns, link.ifindex);
        self.clear_bare(netns, link.ifindex);
        if let Some(old) = self.link(netns, link.ifindex).copied() {
            return self.store(netns, &old, placed(link, &old));
        }
        // The first event of a new device is sent before the device can have counted anything
        // (register_netdevice in net/core/dev.c); a device that is moved keeps its counters.
        let born = link.counters == Counters::default();
        self.births.insert(End { netns, ifindex: link.ifindex }, born);
        self.set_link(netns, link.ifindex, Some(link));
        TopologyChange::Shape
    }

    /// Takes the root queue discipline of a link of the host as an event reports it; `None` if one was
    /// deleted. The same kind again changes nothing.
    pub(crate) fn set_qdisc(&mut self, ifindex: u32, kind: Option<Name>) -> TopologyChange {
        let Some(known) = self.link(NetnsId::Host, ifindex).copied() else {
            if self.asked.contains_key(&NetnsId::Host) {
                self.early_qdiscs.insert(ifindex, kind);
            }
            return TopologyChange::Counters;
        };
        let Some(kind) = kind else {
            self.touch(NetnsId::Host, ifindex);
            return if self.bare.insert(ifindex) { TopologyChange::Shape } else { TopologyChange::Counters };
        };
        self.bare.remove(&ifindex);
        if known.qdisc == kind {
            return TopologyChange::Counters;
        }
        self.touch(NetnsId::Host, ifindex);
        self.set_link(NetnsId::Host, ifindex, Some(Link { qdisc: kind, ..known }));
        // No pair depends on a link that is no end of one.
        if known.kind.is_pair_end() { TopologyChange::Shape } else { TopologyChange::Counters }
    }

    /// Notes that an event has reported a link, and with it the queue discipline.
    fn clear_bare(&mut self, netns: NetnsId, ifindex: u32) {
        if netns == NetnsId::Host {
            self.bare.remove(&ifindex);
            self.early_qdiscs.remove(&ifindex);
        }
    }

    /// Returns the host's links as a dump has them, with the queue disciplines that events have reported of
    /// unknown links since the request. A link that is read without an event since is not bare any more.
    fn with_early_qdiscs(&mut self, mut links: Vec<Link>, touched: &BTreeSet<u32>) -> Vec<Link> {
        self.bare.retain(|ifindex| touched.contains(ifindex));
        for link in &mut links {
            match self.early_qdiscs.remove(&link.ifindex) {
                Some(Some(kind)) => link.qdisc = kind,
                Some(None) => _ = self.bare.insert(link.ifindex),
                None => {}
            }
        }
        if !self.asked.contains_key(&NetnsId::Host) {
            self.early_qdiscs.clear();
        }
        links
    }

    /// Replaces one link by its present state.
    fn store(&mut self, netns: NetnsId, old: &Link, new: Link) -> TopologyChange {
        if differs(old, &new) {
            self.set_link(netns, new.ifindex, Some(new));
            return TopologyChange::Shape;
        }
        // A more or less exact place of the peer is no change of shape, but a later comparison may need it.
        if old.peer_netns == new.peer_netns {
            self.update_counters(netns, &new);
        } else {
            self.set_link(netns, new.ifindex, Some(new));
        }
        TopologyChange::Counters
    }

    /// Removes a link from a namespace.
    pub(crate) fn unlink(&mut self, netns: NetnsId, ifindex: u32) {
        self.touch(netns, ifindex);
        self.clear_bare(netns, ifindex);
        if self.link(netns, ifindex).is_some() {
            self.set_link(netns, ifindex, None);
        }
    }

    /// Forgets a link of which an answer shows that it is another now, made since the last reading.
    pub(crate) fn renew(&mut self, end: End) {
        self.set_link(end.netns, end.ifindex, None);
        self.births.insert(end, true);
    }

    /// Returns one link, if the exporter may read its namespace.
    pub(crate) fn link(&self, netns: NetnsId, ifindex: u32) -> Option<&Link> {
        self.inventory.link(netns, ifindex)
    }

    /// Returns the highest ifindex of a link of the host; 0 before any is known.
    pub(crate) fn highest_ifindex(&self) -> u32 {
        match self.namespaces().get(&NetnsId::Host) {
            Some(Inside::Seen(links)) => links.last_key_value().map_or(0, |(ifindex, _)| *ifindex),
            Some(Inside::Denied) | None => 0,
        }
    }

    /// Returns the ends in a namespace that name a peer.
    pub(crate) fn pair_ends(&self, netns: NetnsId) -> impl Iterator<Item = End> {
        let links = self.namespaces().get(&netns).and_then(|inside| match inside {
            Inside::Seen(links) => Some(links.values()),
            Inside::Denied => None,
        });
        let ends =
            links.into_iter().flatten().filter(|link| link.kind.is_pair_end() && link.iflink.is_some());
        ends.map(move |link| End { netns, ifindex: link.ifindex })
    }

    /// Returns the namespaces to read because their links may complete pairs: those that a link leads to,
    /// those with an end in `lost`, and those known only from events.
    pub(crate) fn wanted(&self) -> BTreeSet<u32> {
        let lost = self.lost.iter().filter_map(|end| end.netns.nsid());
        let partial = self.partial.iter().filter_map(|netns| netns.nsid());
        self.inventory.unread.iter().copied().chain(lost).chain(partial).collect()
    }

    /// Pairs anew the links that have changed since the last call, and all links that name them or are
    /// named by them.
    pub(crate) fn pair_changed(&mut self) -> Settled {
        self.raise_generations();
        let inventory = &mut self.inventory;
        let namespaces = std::mem::take(&mut inventory.changed_namespaces);
        let masters = std::mem::take(&mut inventory.changed_masters);
        let changed = std::mem::take(&mut inventory.changed);
        let ends = inventory.connected(changed, &self.pairing);
        let [before, pairs] = self.pairing.pair_ends(&ends, &self.inventory);
        for &end in &ends {
            let there = self.inventory.pair_end(end).is_some() || self.pairing.peer(end).is_some();
            match there {
                true => _ = self.births.entry(end).or_insert(self.settled.contains(&end.netns)),
                false => _ = self.births.remove(&end),
            }
            let why = self.pairing.single().get(&end);
            let elsewhere =
                self.inventory.pair_end(end).is_some_and(|link| link.peer_netns == PeerNetns::Elsewhere);
            match why == Some(&EndState::PeerNetnsUnknown) && elsewhere {
                true => _ = self.lost.insert(end),
                false => _ = self.lost.remove(&end),
            }
            if !matches!(why, Some(EndState::Contradicted | EndState::PeerMissing)) {
                self.doubted.remove(&end);
            }
        }
        for netns in &namespaces {
            match self.inventory.namespaces.contains_key(netns) {
                true => _ = self.settled.insert(*netns),
                false => _ = self.settled.remove(netns),
            }
        }
        Settled { before, pairs, ends, namespaces, masters }
    }

    /// Returns what to read again because two of these ends disagree: one of them has moved, and the kernel
    /// sends no event about the other; and the host's links with a queue discipline that is not known since
    /// one was deleted. Each end is doubted once for each change of either link. Of the host,
    /// which may have very many links, the ends alone are read, and only if they are contradicted, because
    /// all of its own events arrive; a missing peer is no reason, because an end lacks its peer for a moment
    /// whenever a pair is created.
    pub(crate) fn doubts(&mut self, ends: &BTreeSet<End>) -> Doubts {
        let mut doubts = Doubts { host_links: self.bare.clone(), ..Doubts::default() };
        for &end in ends {
            let state = self.pairing.single().get(&end);
            if !matches!(state, Some(EndState::Contradicted | EndState::PeerMissing)) {
                continue;
            }
            let Some(link) = self.link(end.netns, end.ifindex).copied() else { continue };
            let netns = match link.peer_netns {
                PeerNetns::Host => NetnsId::Host,
                PeerNetns::Nsid(nsid) => self.netns(Some(nsid)),
                _ => end.netns,
            };
            let peer = link.iflink.map(|ifindex| End { netns, ifindex });
            let known = peer.and_then(|peer| self.link(peer.netns, peer.ifindex).copied());
            let links = [Some(link), known]
                .map(|link| link.map(|link| Link { counters: Counters::default(), ..link }));
            if self.doubted.get(&end) != Some(&links) {
                doubts.nsids.extend([end.netns, netns].into_iter().filter_map(NetnsId::nsid));
                if state == Some(&EndState::Contradicted) {
                    let on_host = [Some(end), peer].into_iter().flatten();
                    let on_host = on_host.filter(|end| end.netns == NetnsId::Host);
                    doubts.host_links.extend(on_host.map(|end| end.ifindex));
                }
                self.doubted.insert(end, links);
            }
        }
        doubts
    }

    /// Marks every end and namespace as changed.
    #[cfg(test)]
    pub(crate) fn mark_everything(&mut self) {
        let inventory = &mut self.inventory;
        for (&netns, inside) in &inventory.namespaces {
            inventory.changed_namespaces.insert(netns);
            if let Inside::Seen(links) = inside {
                inventory.changed.extend(links.keys().map(|&ifindex| End { netns, ifindex }));
            }
        }
    }

    /// Returns true if a pair was created while the exporter runs, so that all of its counters are new
    /// traffic.
    pub(crate) fn born(&self, pair: &Pair) -> bool {
        pair.sides.iter().any(|side| self.births.get(&side.end) == Some(&true))
    }

    /// Increments the generation of each nsid that belongs to a different namespace now. That is so if all
    /// pairs between the nsid and the host are different from before, or if a reading did not find the
    /// namespace. Without events, this replaces [`end_of`](Topology::end_of).
    fn raise_generations(&mut self) {
        let inventory = &self.inventory;
        let gone = inventory.changed_namespaces.iter().filter(|netns| {
            self.settled.contains(netns)
                && !inventory.namespaces.contains_key(netns)
                && inventory.netns(netns.nsid()) == **netns
        });
        let on_host = inventory.changed.iter().filter(|end| end.netns == NetnsId::Host);
        let led_to = on_host.flat_map(|end| {
            let before = self.pairing.peer(*end).and_then(|peer| peer.netns.nsid());
            let now = inventory.link(end.netns, end.ifindex).and_then(|link| match link.peer_netns {
                PeerNetns::Nsid(nsid) => Some(nsid),
                _ => None,
            });
            [before, now]
        });
        let led_to: BTreeSet<u32> = led_to.flatten().collect();
        let another = led_to.into_iter().filter(|nsid| self.is_another(*nsid));
        let raised: BTreeSet<u32> = gone.filter_map(|netns| netns.nsid()).chain(another).collect();
        for nsid in raised {
            let before = self.netns(Some(nsid));
            let inside = self.inventory.namespaces.get(&before).cloned();
            if inside.is_some() {
                self.inventory.know(before, None);
            }
            *self.inventory.generations.entry(nsid).or_default() += 1;
            let now = self.inventory.netns(Some(nsid));
            if let Some(inside) = inside {
                self.inventory.know(now, Some(inside));
            }
            // An answer that is still to come is one about the nsid.
            if let Some(open) = self.asked.remove(&before) {
                self.asked.insert(now, open);
            }
        }
    }

    /// Returns true if none of the host's ends that lead to this nsid was paired with an end there before.
    fn is_another(&self, nsid: u32) -> bool {
        let netns = self.netns(Some(nsid));
        if !self.knows(netns) {
            return false;
        }
        let on_host = |end: &End| end.netns == NetnsId::Host;
        let peers = self.pairing.paired_in(netns).filter_map(|end| self.pairing.peer(end));
        let before: BTreeSet<End> = peers.filter(on_host).collect();
        let now: BTreeSet<End> = self.inventory.naming(Some(nsid)).filter(on_host).collect();
        !before.is_empty() && !now.is_empty() && before.is_disjoint(&now)
    }
}

/// Returns a link as an event reports it, with the peer's namespace as it is known if the event does not say
/// where the same peer is: an event of another namespace has an id of that namespace, and the kernel gives no
/// id where either namespace is about to be dismantled (`peernet2id_alloc` in net/core/net_namespace.c), some
/// milliseconds before it reports that.
fn placed(told: Link, known: &Link) -> Link {
    let same_peer = known.iflink == told.iflink && known.peer_netns != PeerNetns::Same;
    match told.peer_netns {
        PeerNetns::Elsewhere | PeerNetns::Unassigned if same_peer => {
            Link { peer_netns: known.peer_netns, ..told }
        }
        _ => told,
    }
}

/// Returns true if two descriptions of a link differ in more than the counters and the exactness of the
/// peer's namespace.
fn differs(old: &Link, new: &Link) -> bool {
    let elsewhere = [old, new].iter().any(|link| link.peer_netns == PeerNetns::Elsewhere);
    let peer_netns = if elsewhere { new.peer_netns } else { old.peer_netns };
    Link { counters: new.counters, peer_netns, ..*old } != *new
}
