//! Who lives in each namespace, and what pairs are called because of it.

use super::Heard;
use super::Inhabitant;
use super::naming::{Told, is_made_up};
use super::newcomers::{self, Newcomers};
use crate::model::label;
use crate::model::ledger::{LabelSet, NetworkLabels};
use crate::model::link::{End, Kind, Link, Mac, Name, NetnsId, PeerNetns};
use crate::model::pairing::{self, Inside, Namespaces, Pair, Place, Role, Side};
use crate::model::view::{OtherLink, ShownPair, ShownSide, Tenant};
use crate::model::workload::{Claim, Endpoint, Locator, Runtime, Workload};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// The loopback's, in every namespace (include/net/flow.h).
const LOOPBACK_IFINDEX: u32 = 1;

/// Who lives in each namespace.
#[derive(Debug, Default)]
pub(super) struct Residents {
    pub(super) homes: HashMap<NetnsId, Home>,
    /// What each namespace but the host's is called: no two alike.
    pub(super) names: HashMap<NetnsId, Arc<str>>,
    pub(super) bridges: HashMap<Name, String>,
    pub(super) networks: BTreeSet<NetworkLabels>,
    /// Bridges and Open vSwitches of all namespaces, by their end.
    pub(super) switches: HashMap<End, Name>,
}

#[derive(Debug)]
pub(super) struct Home {
    pub(super) tenant: Arc<Tenant>,
    pub(super) endpoints: Vec<Endpoint>,
    /// By which it was found; `None` if an interface told it.
    pub(super) locator: Option<Locator>,
    /// The namespace of the workload that holds this one.
    pub(super) outer: Option<NetnsId>,
    /// Since when nobody claims the namespace any more.
    pub(super) left: Option<Duration>,
}

impl Home {
    pub(super) fn of_process(inhabitant: &Inhabitant) -> Home {
        let tenant = Tenant::alone(inhabitant.workload.clone(), inhabitant.cgroup.as_deref());
        Home {
            tenant: Arc::new(tenant),
            endpoints: Vec::new(),
            locator: Some(Locator::Pid(inhabitant.pid)),
            outer: None,
            left: None,
        }
    }

    fn of_newcomer(owner: Workload, newcomer: &Inhabitant) -> Home {
        Home {
            tenant: Arc::new(Tenant::alone(owner, newcomer.cgroup.as_deref())),
            endpoints: Vec::new(),
            locator: Some(Locator::Pid(newcomer.pid)),
            outer: None,
            left: None,
        }
    }

    fn of_expected(owner: Workload, endpoint: Endpoint) -> Home {
        Home {
            tenant: Arc::new(Tenant::alone(owner, None)),
            endpoints: vec![endpoint],
            locator: None,
            outer: None,
            left: None,
        }
    }

    /// Of the process by which it was found; `None` for one that has no process.
    fn cgroup(&self) -> Option<&str> {
        Some(self.tenant.cgroup.as_str()).filter(|cgroup| !cgroup.is_empty())
    }

    /// True if a runtime told of it: it holds what else runs in its cgroup.
    fn is_told(&self) -> bool {
        !matches!(self.tenant.owner.runtime, Runtime::Process)
    }
}

impl Residents {
    pub(super) fn settle(&mut self, claim: &Claim, netns: NetnsId, cgroup: Option<&str>) {
        let Some(home) = self.homes.get_mut(&netns) else {
            let members = claim.members.clone();
            let tenant = Tenant { members, ..Tenant::alone(claim.owner.clone(), cgroup) };
            let home = Home {
                tenant: Arc::new(tenant),
                endpoints: claim.endpoints.clone(),
                locator: Some(claim.locator.clone()),
                outer: None,
                left: None,
            };
            self.homes.insert(netns, home);
            return;
        };
        // Two containers of one runtime in one namespace, and neither says that it is the other's guest.
        if home.tenant.owner.runtime == claim.owner.runtime {
            let tenant = Arc::make_mut(&mut home.tenant);
            tenant.members.push(claim.owner.clone());
            tenant.members.sort();
            home.endpoints.extend(claim.endpoints.iter().cloned());
        }
    }

    /// In a namespace that nobody claims yet lives he for whom an interface is expected that has come
    /// there: with the address that the runtime gave it, and its port on the network's bridge. Of whom only
    /// a process told, the interface tells the network.
    ///
    /// What an engine that was killed has left behind can have the same address on the same bridge: it was
    /// there before the runtime told of the interface, or the container is found elsewhere with it, or a
    /// first process says whose it is.
    pub(super) fn settle_expected(&mut self, told: &Told<'_>) {
        let Told { heard, newcomers, namespaces, .. } = *told;
        let Some(Inside::Seen(host)) = namespaces.get(&NetnsId::Host) else { return };
        if heard.values().all(|heard| heard.expected.is_empty()) {
            return;
        }
        // Indices are anybody's to choose in a namespace of his own: the port's own word for where its peer
        // is counts.
        let port_bridge = |netns: NetnsId, link: &Link| {
            let port = host.get(&link.iflink?).filter(|port| port.iflink == Some(link.ifindex))?;
            let is_its_port = match port.peer_netns {
                PeerNetns::Nsid(nsid) => netns.nsid() == Some(nsid),
                // It has not been told yet that its peer has moved.
                _ => matches!(link.peer_netns, PeerNetns::Host | PeerNetns::Elsewhere),
            };
            let ifindex = port.master.filter(|_| is_its_port)?;
            self.switches.get(&End { netns: NetnsId::Host, ifindex }).copied()
        };
        let mut found = Vec::new();
        for (&netns, inside) in namespaces {
            let Inside::Seen(links) = inside else { continue };
            let known = self.homes.get(&netns).is_some_and(|home| !home.endpoints.is_empty());
            if netns == NetnsId::Host || known {
                continue;
            }
            for link in links.values().filter(|link| link.kind == Kind::Veth) {
                let Some(address) = link.address else { continue };
                let arrived = (told.arrived)(End { netns, ifindex: link.ifindex });
                let candidates = heard.values().filter_map(|heard| heard.expected.get(&address)).flatten();
                let candidates = candidates
                    .filter(|(_, told_at)| arrived.is_none_or(|arrived| arrived + told.hold_back >= *told_at))
                    .map(|(expected, _)| expected);
                let bridge = port_bridge(netns, link);
                found.extend(
                    candidates
                        .filter(|expected| bridge.is_some() && expected.bridge == bridge)
                        .filter(|expected| {
                            newcomers.container(netns).is_none_or(|id| *id == expected.workload.id)
                        })
                        .map(|expected| (netns, expected.clone())),
                );
            }
        }
        if !found.is_empty() {
            let claimed = self.claimed();
            found.retain(|(netns, expected)| {
                !is_elsewhere(*netns, &expected.workload, expected.address, &claimed, namespaces)
            });
        }
        for (netns, expected) in found {
            let endpoint = Endpoint { network: expected.network, address: Some(expected.address) };
            match self.homes.get_mut(&netns) {
                None => {
                    let home = Home::of_expected(expected.workload, endpoint);
                    self.homes.insert(netns, home);
                }
                Some(home) if home.tenant.owner == expected.workload => home.endpoints.push(endpoint),
                Some(_) => {}
            }
        }
    }

    /// Where each workload lives that was not only expected, by its id.
    fn claimed(&self) -> HashMap<&str, NetnsId> {
        let claimed = self.homes.iter().filter(|(_, home)| home.locator.is_some());
        claimed.map(|(&netns, home)| (home.tenant.owner.id.as_str(), netns)).collect()
    }

    /// Those of these homes that an interface had told of while its owner is found elsewhere, with an
    /// interface of the same address.
    pub(super) fn mistaken(
        &self,
        homes: &HashMap<NetnsId, Home>,
        namespaces: &Namespaces,
    ) -> HashSet<NetnsId> {
        let mut told = homes.iter().filter(|(_, home)| home.locator.is_none()).peekable();
        if told.peek().is_none() {
            return HashSet::new();
        }
        let claimed = self.claimed();
        told.filter(|(netns, home)| {
            let mut addresses = home.endpoints.iter().filter_map(|endpoint| endpoint.address);
            addresses.any(|address| is_elsewhere(**netns, &home.tenant.owner, address, &claimed, namespaces))
        })
        .map(|(&netns, _)| netns)
        .collect()
    }

    /// In a namespace that nobody claims yet lives the container whose first process is there, if it lives
    /// nowhere else: what a container makes of its own is not its home, and a cgroup that it makes below
    /// its own names nobody.
    pub(super) fn settle_newcomers(
        &mut self,
        heard: &BTreeMap<Runtime, Heard>,
        newcomers: &Newcomers,
        namespaces: &Namespaces,
    ) {
        let mut housed: HashSet<String> =
            self.homes.values().map(|home| home.tenant.owner.id.clone()).collect();
        for (netns, id, newcomer) in newcomers.containers() {
            let told = |id: &str| heard.values().find_map(|heard| heard.containers.get(id));
            let mut above = newcomers::containers_above(newcomer.cgroup.as_deref().unwrap_or_default());
            if let Some(workload) = told(id)
                && !above.any(|outer| housed.contains(outer) || told(outer).is_some())
                && namespaces.contains_key(&netns)
                && !self.homes.contains_key(&netns)
                && housed.insert(id.to_owned())
            {
                self.homes.insert(netns, Home::of_newcomer(workload.clone(), newcomer));
            }
        }
    }

    /// Finds for each workload the one in which it runs: the nearest whose cgroup is above its own, or is its
    /// own while a runtime tells of that one and of this one only a process.
    pub(super) fn nest(&mut self) {
        let mut by_cgroup: HashMap<&str, NetnsId> = HashMap::new();
        for (&netns, home) in &self.homes {
            if let Some(cgroup) = home.cgroup().filter(|_| home.is_told()) {
                by_cgroup.insert(cgroup, netns);
            }
        }
        let outer_of = |home: &Home| {
            let own = home.cgroup()?;
            let above = own.match_indices('/').rev().map(|(end, _)| &own[..end]);
            let own = (!home.is_told()).then_some(own);
            own.into_iter().chain(above).find_map(|cgroup| by_cgroup.get(cgroup).copied())
        };
        let nested: Vec<(NetnsId, NetnsId)> =
            self.homes.iter().filter_map(|(&netns, home)| Some((netns, outer_of(home)?))).collect();
        for (netns, outer) in nested.into_iter().filter(|(netns, outer)| netns != outer) {
            let parent = self.homes[&outer].tenant.owner.title();
            if let Some(home) = self.homes.get_mut(&netns) {
                home.outer = Some(outer);
                Arc::make_mut(&mut home.tenant).parent = parent;
            }
        }
    }

    /// Gives each namespace a name that no other has.
    pub(super) fn call(&mut self, told: BTreeMap<NetnsId, String>, namespaces: &Namespaces) {
        let mut taken: HashSet<String> = HashSet::new();
        // Names that somebody chose come first: they stay as they are.
        let (chosen, rest): (Vec<NetnsId>, Vec<NetnsId>) =
            namespaces.keys().partition(|netns| told.contains_key(netns));
        for netns in chosen.into_iter().chain(rest) {
            let Some(nsid) = netns.nsid() else { continue };
            let by_owner =
                |home: &Home| format!("{}/{}", home.tenant.owner.runtime.as_str(), home.tenant.owner.title());
            let told = told.get(&netns).cloned();
            let mut name = told
                .or_else(|| self.homes.get(&netns).map(by_owner))
                .unwrap_or_else(|| format!("nsid-{nsid}"));
            label::bound(&mut name);
            while !taken.insert(name.clone()) {
                name.push_str(&format!("~{nsid}"));
            }
            self.names.insert(netns, name.into());
        }
    }

    /// True if this workload is what the namespace is named for.
    pub(super) fn is_home_of(&self, netns: NetnsId, workload: &Workload) -> bool {
        self.homes.get(&netns).is_some_and(|home| home.tenant.owner == *workload)
    }

    /// Every network that a runtime knows.
    pub(super) fn networks(&self) -> impl Iterator<Item = NetworkLabels> {
        self.networks.iter().cloned()
    }

    /// The namespaces that nobody claims and that have an end of this pair.
    pub(super) fn unclaimed(&self, pair: &ShownPair) -> Vec<NetnsId> {
        let places = pair.sides.iter().map(|side| side.end.netns);
        places.filter(|&netns| self.place(netns) == Place::Unclaimed).collect()
    }

    /// True if an interface of the pair has no name yet that will stay: an engine moves it in under
    /// another, renames it and takes it up last. Until then its carrier has changed once, when it was made.
    pub(super) fn unfinished(&self, pair: &ShownPair) -> bool {
        let mut interfaces = pair.sides.iter().filter(|side| side.role == Role::Interface);
        interfaces.any(|side| {
            let of_engine =
                side.tenant.as_ref().is_some_and(|tenant| tenant.owner.runtime == Runtime::Docker);
            of_engine && side.link.is_some_and(|link| !link.up && link.carrier_changes == 1)
        })
    }

    /// True if who lives at an end is only known by a name that a runtime has made up: it may still tell
    /// who that is.
    pub(super) fn is_made_up(&self, pair: &ShownPair) -> bool {
        pair.sides.iter().any(|side| side.tenant.as_ref().is_some_and(|tenant| is_made_up(&tenant.owner)))
    }

    /// Gives a pair its roles, its owners and its labels.
    pub(super) fn show(&self, pair: &Pair) -> ShownPair {
        let places = pair.sides.map(|side| self.place(side.end.netns));
        let outer = self.outer(pair.sides.map(|side| side.end.netns));
        let switched = pair.sides.map(|side| self.bridge(&side).is_some());
        let roles = pairing::roles(pair, places, outer, switched);
        let [mut a, mut b] = [0, 1].map(|side| self.side(&pair.sides[side], roles[side]));
        a.labels = self.labels(&a, &b);
        b.labels = self.labels(&b, &a);
        ShownPair { sides: [a, b], state: pair.state() }
    }

    /// An end without a pair: it is nobody's interface.
    pub(super) fn show_single(&self, side: &Side) -> ShownSide {
        self.side(side, Role::Port)
    }

    /// The bridge or Open vSwitch that an end is enslaved to.
    fn bridge(&self, side: &Side) -> Option<Name> {
        let ifindex = side.link?.master?;
        self.switches.get(&End { netns: side.end.netns, ifindex }).copied()
    }

    /// Which of two namespaces' workloads holds the other's, directly or not.
    fn outer(&self, netns: [NetnsId; 2]) -> Option<usize> {
        let holders = |inner: NetnsId| {
            std::iter::successors(Some(inner), |netns| self.homes.get(netns)?.outer)
                .skip(1)
                .take(self.homes.len())
        };
        let [a, b] = netns;
        if holders(b).any(|outer| outer == a) {
            Some(0)
        } else if holders(a).any(|outer| outer == b) {
            Some(1)
        } else {
            None
        }
    }

    fn place(&self, netns: NetnsId) -> Place {
        match netns {
            NetnsId::Host => Place::Host,
            _ if self.homes.contains_key(&netns) => Place::Workload,
            _ => Place::Unclaimed,
        }
    }

    fn side(&self, side: &Side, role: Role) -> ShownSide {
        let netns = side.end.netns;
        ShownSide {
            end: side.end,
            link: side.link.map(|link| Link { counters: Default::default(), ..link }),
            role,
            netns: self.names.get(&netns).cloned().unwrap_or_default(),
            bridge: self.bridge(side),
            tenant: self.homes.get(&netns).map(|home| Arc::clone(&home.tenant)),
            labels: None,
            hidden: false,
        }
    }

    /// The links of containers and pods that are no veths.
    pub(super) fn others<'a>(&'a self, namespaces: &'a Namespaces) -> impl Iterator<Item = OtherLink> + 'a {
        let homes = namespaces.iter().filter_map(|(&netns, inside)| match inside {
            Inside::Seen(links) => Some((netns, links, &self.homes.get(&netns)?.tenant)),
            Inside::Denied => None,
        });
        homes.filter(move |(_, _, tenant)| tenant.is_container()).flat_map(|(netns, links, tenant)| {
            let others =
                links.values().filter(|link| link.kind != Kind::Veth && link.ifindex != LOOPBACK_IFINDEX);
            others.map(move |link| OtherLink {
                end: End { netns, ifindex: link.ifindex },
                name: link.name,
                tenant: Arc::clone(tenant),
            })
        })
    }

    /// What an interface's traffic is booked under. The bridge of its port tells the network on the host
    /// only: in a container that runs containers another bridge may have the same name.
    fn labels(&self, side: &ShownSide, port: &ShownSide) -> Option<LabelSet> {
        if side.role == Role::Port {
            return None;
        }
        let home = self.homes.get(&side.end.netns);
        let address = side.link.and_then(|link| link.address);
        let by_address = home.zip(address).and_then(|(home, address)| {
            home.endpoints.iter().find(|endpoint| endpoint.address == Some(address))
        });
        let bridge = port.bridge.filter(|_| port.end.netns == NetnsId::Host);
        let network = match by_address {
            Some(endpoint) => endpoint.network.clone(),
            None => bridge.and_then(|bridge| self.bridges.get(&bridge)).cloned().unwrap_or_default(),
        };
        let interface = side.link.map_or_else(String::new, |link| link.name.to_string());
        Some(match home {
            Some(home) => LabelSet::of(&home.tenant.owner, interface, network),
            None => LabelSet::of(&Workload::named(Runtime::Unknown, ""), interface, network),
        })
    }
}

/// True if a workload is known to live in another namespace, with an interface of this address.
fn is_elsewhere(
    netns: NetnsId,
    workload: &Workload,
    address: Mac,
    claimed: &HashMap<&str, NetnsId>,
    namespaces: &Namespaces,
) -> bool {
    let elsewhere = claimed.get(workload.id.as_str()).filter(|home| **home != netns);
    match elsewhere.and_then(|home| namespaces.get(home)) {
        Some(Inside::Seen(links)) => links.values().any(|link| link.address == Some(address)),
        Some(Inside::Denied) | None => false,
    }
}

/// Bridges and Open vSwitches of all namespaces, by their end.
pub(super) fn switches(namespaces: &Namespaces) -> HashMap<End, Name> {
    let mut switches = HashMap::new();
    for (&netns, inside) in namespaces {
        let Inside::Seen(links) = inside else { continue };
        let of_kind = links.values().filter(|link| matches!(link.kind, Kind::Bridge | Kind::OpenVswitch));
        switches.extend(of_kind.map(|link| (End { netns, ifindex: link.ifindex }, link.name)));
    }
    switches
}
