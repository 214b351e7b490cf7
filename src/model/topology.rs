//! Which links are where: fed by dumps and kept by events.

use super::link::{Counters, End, Kind, Link, NetnsId, PeerNetns};
use super::pairing::{self, EndState, Inside, Namespaces, Pair, Pairing};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The links of the host and of every namespace that was looked into.
#[derive(Debug, Default)]
pub(crate) struct Topology {
    namespaces: Namespaces,
    /// How many namespaces have had each nsid.
    generations: HashMap<u32, u32>,
    pairing: Pairing,
    /// The namespaces that the pairing is made from.
    paired: BTreeSet<NetnsId>,
    /// For each veth end whether it was born before our eyes: it was not in its namespace when we looked
    /// there before.
    births: HashMap<End, bool>,
    /// Which ends say of their peers that they are in the namespace with this id: those of the last
    /// [`pair_up`](Topology::pair_up), and those that were told of since.
    leading: BTreeSet<(u32, End)>,
    /// Namespaces of which only events have told: they may have more links.
    partial: BTreeSet<NetnsId>,
    /// The ends that contradict their peer or lack it, with both links as they were when both namespaces
    /// were last asked about because of that.
    doubted: HashMap<End, [Option<Link>; 2]>,
    /// Of each namespace whose links are being read: how often, and which of them events have told of since
    /// they were asked for.
    asked: HashMap<NetnsId, (u32, BTreeSet<u32>)>,
}

/// What an event or a dump did to what was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Counters,
    /// Something that pairs, roles or labels may depend on.
    Shape,
}

impl Topology {
    /// The namespace that has this nsid now; `None` is the host.
    pub(crate) fn netns(&self, nsid: Option<u32>) -> NetnsId {
        match nsid {
            None => NetnsId::Host,
            Some(nsid) => {
                NetnsId::Other { nsid, generation: self.generations.get(&nsid).copied().unwrap_or(0) }
            }
        }
    }

    /// What is known of every namespace.
    pub(crate) fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    /// The pairs as of the last [`pair_up`](Topology::pair_up).
    pub(crate) fn pairing(&self) -> &Pairing {
        &self.pairing
    }

    /// True if the links of this namespace are known, or known to be hidden.
    pub(crate) fn knows(&self, netns: NetnsId) -> bool {
        self.namespaces.contains_key(&netns)
    }

    /// The links of this namespace are asked for. What events tell of a link from now on stands against the
    /// answer: it may be older than they are, and whatever they have not told yet they will.
    pub(crate) fn ask(&mut self, netns: NetnsId) {
        self.asked.entry(netns).or_default().0 += 1;
    }

    /// An answer has come: the links that events have told of since it was asked for.
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

    /// Takes a whole dump; of the `touched` links events have told since it was asked for. Returns how many
    /// links were not as they were known, counters aside, of a namespace that was known; and whether
    /// anything is known now that was not.
    pub(crate) fn replace(
        &mut self,
        netns: NetnsId,
        links: Vec<Link>,
        touched: &BTreeSet<u32>,
    ) -> (Vec<u32>, Change) {
        let partial = self.partial.remove(&netns);
        let mut new: BTreeMap<u32, Box<Link>> =
            links.into_iter().map(|link| (link.ifindex, Box::new(link))).collect();
        for &ifindex in touched {
            match (self.link(netns, ifindex).copied(), new.get_mut(&ifindex)) {
                (Some(told), Some(read)) => **read = placed(told, read),
                (Some(told), None) => _ = new.insert(ifindex, Box::new(told)),
                (None, _) => _ = new.remove(&ifindex),
            }
        }
        let same = |old: &Link, new: &Link| Link { counters: new.counters, ..*old } == *new;
        let change = match self.namespaces.get(&netns) {
            Some(Inside::Seen(old))
                if !partial
                    && old.len() == new.len()
                    && old.values().zip(new.values()).all(|(old, new)| same(old, new)) =>
            {
                Change::Counters
            }
            _ => Change::Shape,
        };
        let differ = match self.namespaces.get(&netns) {
            Some(Inside::Seen(old)) if !partial => {
                let gone = old.keys().filter(|ifindex| !new.contains_key(ifindex)).copied();
                let changed =
                    new.values().filter(|link| old.get(&link.ifindex).is_none_or(|old| differs(old, link)));
                gone.chain(changed.map(|link| link.ifindex)).collect()
            }
            _ => Vec::new(),
        };
        let inside = Inside::Seen(new);
        if change == Change::Shape {
            self.leading.extend(leading((&netns, &inside)));
        }
        self.namespaces.insert(netns, inside);
        (differ, change)
    }

    /// Notes that we may not look into a namespace.
    pub(crate) fn hide(&mut self, netns: NetnsId) {
        self.namespaces.insert(netns, Inside::Denied);
    }

    pub(crate) fn forget(&mut self, netns: NetnsId) {
        self.partial.remove(&netns);
        self.namespaces.remove(&netns);
    }

    /// Forgets every namespace but the host, these, and those of which events have told since.
    pub(crate) fn keep_only(&mut self, nsids: &BTreeSet<u32>) {
        let partial = &self.partial;
        let stays = |netns: &NetnsId| {
            netns.nsid().is_none_or(|nsid| nsids.contains(&nsid)) || partial.contains(netns)
        };
        self.namespaces.retain(|netns, _| stays(netns));
    }

    /// The nsid was taken back: who gets it next is another, and no link that is there leads to it. Where
    /// many links are dismantled at once, those go only seconds later.
    pub(crate) fn end_of(&mut self, nsid: u32) {
        let first = End { netns: NetnsId::Host, ifindex: 0 };
        let led: Vec<_> =
            self.leading.range((nsid, first)..).take_while(|(to, _)| *to == nsid).copied().collect();
        for led in led {
            self.leading.remove(&led);
            self.lose_peer(nsid, led.1);
        }
        let netns = self.netns(Some(nsid));
        self.forget(netns);
        self.asked.remove(&netns);
        *self.generations.entry(nsid).or_default() += 1;
    }

    /// An end that led to the namespace which had this id leads nowhere now, whatever an older answer says.
    fn lose_peer(&mut self, nsid: u32, end: End) {
        let Some(Inside::Seen(links)) = self.namespaces.get_mut(&end.netns) else { return };
        let Some(link) = links.get_mut(&end.ifindex).filter(|link| link.peer_netns == PeerNetns::Nsid(nsid))
        else {
            return;
        };
        link.peer_netns = PeerNetns::Unassigned;
        if let Some((_, touched)) = self.asked.get_mut(&end.netns) {
            touched.insert(end.ifindex);
        }
    }

    /// Takes one link as an event tells it.
    pub(crate) fn upsert(&mut self, netns: NetnsId, mut link: Link) -> Change {
        if !self.knows(netns) {
            self.partial.insert(netns);
        }
        let inside = self.namespaces.entry(netns).or_insert_with(|| Inside::Seen(BTreeMap::new()));
        // What may not be seen may not be known by chance either: it would be half the truth.
        let Inside::Seen(links) = inside else { return Change::Counters };
        if let Some((_, touched)) = self.asked.get_mut(&netns) {
            touched.insert(link.ifindex);
        }
        let old = links.get(&link.ifindex).map(|old| **old);
        if let Some(old) = old {
            link = placed(link, &old);
        }
        if let PeerNetns::Nsid(nsid) = link.peer_netns {
            self.leading.insert((nsid, End { netns, ifindex: link.ifindex }));
        }
        **links.entry(link.ifindex).or_default() = link;
        if old.is_some_and(|old| !differs(&old, &link)) { Change::Counters } else { Change::Shape }
    }

    /// Takes a link away.
    pub(crate) fn unlink(&mut self, netns: NetnsId, ifindex: u32) {
        if let Some((_, touched)) = self.asked.get_mut(&netns) {
            touched.insert(ifindex);
        }
        if let Some(Inside::Seen(links)) = self.namespaces.get_mut(&netns) {
            links.remove(&ifindex);
        }
    }

    /// One link, if it can be seen.
    pub(crate) fn link(&self, netns: NetnsId, ifindex: u32) -> Option<&Link> {
        match self.namespaces.get(&netns)? {
            Inside::Seen(links) => links.get(&ifindex).map(Box::as_ref),
            Inside::Denied => None,
        }
    }

    /// The veth ends in a namespace that have a peer.
    pub(crate) fn veths(&self, netns: NetnsId) -> impl Iterator<Item = End> {
        let links = self.namespaces.get(&netns).and_then(|inside| match inside {
            Inside::Seen(links) => Some(links.values()),
            Inside::Denied => None,
        });
        let veths =
            links.into_iter().flatten().filter(|link| link.kind == Kind::Veth && link.iflink.is_some());
        veths.map(move |link| End { netns, ifindex: link.ifindex })
    }

    /// Namespaces whose links would tell of pairs that are not known yet: a link leads there, or an end
    /// there cannot say where its peer is.
    pub(crate) fn wanted(&self) -> BTreeSet<u32> {
        let links = self.namespaces.values().flat_map(|inside| match inside {
            Inside::Seen(links) => Some(links.values()),
            Inside::Denied => None,
        });
        let led_to = links.flatten().filter_map(|link| match link.peer_netns {
            PeerNetns::Nsid(nsid) => Some(nsid).filter(|&nsid| !self.knows(self.netns(Some(nsid)))),
            _ => None,
        });
        let lost = self.pairing.single.iter().filter(|(side, why)| {
            let elsewhere = side.link.is_some_and(|link| link.peer_netns == PeerNetns::Elsewhere);
            *why == EndState::PeerNetnsUnknown && elsewhere
        });
        let lost = lost.filter_map(|(side, _)| side.end.netns.nsid());
        led_to.chain(lost).chain(self.partial.iter().filter_map(|netns| netns.nsid())).collect()
    }

    /// Returns the namespaces to read again because two ends disagree: one of them has moved, and the
    /// kernel sends no event about the other. Each end is doubted once for each change of either; the
    /// host's own links need no doubt, as all their events arrive.
    pub(crate) fn doubts(&mut self) -> BTreeSet<u32> {
        let before = std::mem::take(&mut self.doubted);
        let mut asked = BTreeSet::new();
        for (side, why) in &self.pairing.single {
            let Some(link) =
                side.link.filter(|_| matches!(why, EndState::Contradicted | EndState::PeerMissing))
            else {
                continue;
            };
            let netns = match link.peer_netns {
                PeerNetns::Host => NetnsId::Host,
                PeerNetns::Nsid(nsid) => self.netns(Some(nsid)),
                _ => side.end.netns,
            };
            let peer = link.iflink.and_then(|ifindex| self.link(netns, ifindex).copied());
            let links = [Some(link), peer]
                .map(|link| link.map(|link| Link { counters: Counters::default(), ..link }));
            if before.get(&side.end) != Some(&links) {
                asked.extend([side.end.netns, netns].into_iter().filter_map(NetnsId::nsid));
            }
            self.doubted.insert(side.end, links);
        }
        asked
    }

    /// Joins the links that are known now.
    pub(crate) fn pair_up(&mut self) {
        self.raise_generations();
        self.pairing = pairing::pair(&self.namespaces);
        let pairs = self.pairing.pairs.iter().flat_map(|pair| pair.sides);
        let ends = pairs.chain(self.pairing.single.iter().map(|(side, _)| *side)).map(|side| side.end);
        let births = |end: End| *self.births.get(&end).unwrap_or(&self.paired.contains(&end.netns));
        self.births = ends.map(|end| (end, births(end))).collect();
        self.paired = self.namespaces.keys().copied().collect();
        self.leading = self.namespaces.iter().flat_map(leading).collect();
    }

    /// True if a pair was made before our eyes, so that all it counted is news.
    pub(crate) fn born(&self, pair: &Pair) -> bool {
        pair.sides.iter().any(|side| self.births.get(&side.end) == Some(&true))
    }

    /// An nsid whose pairs with the host are all others than before belongs to another namespace now: what
    /// polling has instead of [`end_of`](Topology::end_of).
    fn raise_generations(&mut self) {
        // An id that was taken back since then is another's already.
        let joined = self.pairing.pairs.iter().map(|pair| pair.sides.map(|side| side.end));
        let joined = joined.filter(|[_, b]| self.netns(b.netns.nsid()) == b.netns);
        let before =
            partners(joined.filter_map(|[a, b]| {
                Some((b.netns.nsid()?, a.ifindex)).filter(|_| a.netns == NetnsId::Host)
            }));
        let host = self.namespaces.get(&NetnsId::Host);
        let links = host.into_iter().flat_map(|inside| match inside {
            Inside::Seen(links) => Some(links.values()),
            Inside::Denied => None,
        });
        let now = partners(links.flatten().filter_map(|link| match link.peer_netns {
            PeerNetns::Nsid(nsid) => Some((nsid, link.ifindex)),
            _ => None,
        }));
        let another = |nsid: &u32| match (before.get(nsid), now.get(nsid)) {
            (Some(before), Some(now)) => before.is_disjoint(now),
            _ => false,
        };
        let known: BTreeSet<u32> = self.namespaces.keys().filter_map(|netns| netns.nsid()).collect();
        let gone = self.paired.iter().filter(|&&netns| self.netns(netns.nsid()) == netns);
        let gone = gone.filter_map(|netns| netns.nsid()).filter(|nsid| !known.contains(nsid));
        let raised: BTreeSet<u32> = gone.chain(known.iter().copied().filter(another)).collect();
        for nsid in raised {
            let inside = self.namespaces.remove(&self.netns(Some(nsid)));
            *self.generations.entry(nsid).or_default() += 1;
            if let Some(inside) = inside {
                self.namespaces.insert(self.netns(Some(nsid)), inside);
            }
        }
    }
}

/// For each nsid the host's ifindexes that are joined to it.
fn partners(joined: impl Iterator<Item = (u32, u32)>) -> HashMap<u32, BTreeSet<u32>> {
    let mut partners: HashMap<u32, BTreeSet<u32>> = HashMap::new();
    for (nsid, ifindex) in joined {
        partners.entry(nsid).or_default().insert(ifindex);
    }
    partners
}

/// The ends in a namespace that say of their peers in which other one these are.
fn leading((&netns, inside): (&NetnsId, &Inside)) -> Vec<(u32, End)> {
    let Inside::Seen(links) = inside else { return Vec::new() };
    let led = links.values().filter_map(|link| match link.peer_netns {
        PeerNetns::Nsid(nsid) => Some((nsid, End { netns, ifindex: link.ifindex })),
        _ => None,
    });
    led.collect()
}

/// A link as an event tells it, with its peer's place as a dump told that of the same peer.
fn placed(told: Link, read: &Link) -> Link {
    let same_peer = read.iflink == told.iflink && read.peer_netns != PeerNetns::Same;
    match told.peer_netns {
        PeerNetns::Elsewhere if same_peer => Link { peer_netns: read.peer_netns, ..told },
        _ => told,
    }
}

/// True if two descriptions of a link differ in more than counters and in how well the peer's place is known.
fn differs(old: &Link, new: &Link) -> bool {
    let elsewhere = [old, new].iter().any(|link| link.peer_netns == PeerNetns::Elsewhere);
    let peer_netns = if elsewhere { new.peer_netns } else { old.peer_netns };
    Link { counters: new.counters, peer_netns, ..*old } != *new
}
