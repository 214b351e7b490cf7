//! Who lives where: which claims are believed, and what a pair is called because of them.

use super::{Heard, Located};
use crate::model::ledger::{LabelSet, NetworkLabels};
use crate::model::link::{End, Kind, Link, Mac, Name, NetnsId};
use crate::model::pairing::{self, Inside, Namespaces, Pair, Place, Role, Side};
use crate::model::view::{ShownPair, ShownSide, Tenant};
use crate::model::workload::{Claim, Endpoint, Locator, Runtime};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// The claims that were checked: each is checked once for a namespace, as a container may change its MACs later.
#[derive(Debug, Default)]
pub(super) struct Naming {
    verified: HashSet<Checked>,
    rejected: HashSet<Checked>,
    rejected_ever: u64,
}

/// One claim on one namespace: the runtime's id of the owner, how it was located, and where.
type Checked = (Runtime, String, Locator, NetnsId);

/// Who lives in each namespace.
#[derive(Debug, Default)]
pub(super) struct Residents {
    homes: HashMap<NetnsId, Home>,
    /// Names in /run/netns, also of namespaces that another runtime claims.
    names: HashMap<NetnsId, Arc<str>>,
    bridges: HashMap<Name, String>,
    networks: BTreeSet<NetworkLabels>,
    /// Bridges and Open vSwitches of all namespaces, by their end.
    switches: HashMap<End, Name>,
}

#[derive(Debug)]
struct Home {
    tenant: Arc<Tenant>,
    endpoints: Vec<Endpoint>,
}

impl Naming {
    /// How many claims were rejected since the start; each once for a namespace.
    pub fn rejected_ever(&self) -> u64 {
        self.rejected_ever
    }

    /// Checks all claims, those of the earlier runtimes first.
    pub fn residents(
        &mut self,
        heard: &BTreeMap<Runtime, Heard>,
        located: &BTreeMap<Locator, Located>,
        namespaces: &Namespaces,
    ) -> Residents {
        let netns_of: HashMap<u32, NetnsId> =
            namespaces.keys().filter_map(|&netns| Some((netns.nsid()?, netns))).collect();
        let mut residents = Residents { switches: switches(namespaces), ..Residents::default() };
        let mut checked = HashSet::new();
        for (&runtime, Heard { claims, .. }) in heard {
            for network in &claims.networks {
                residents.networks.insert(NetworkLabels { runtime, network: network.name.clone() });
                if let Some(bridge) = network.bridge {
                    residents.bridges.entry(bridge).or_insert_with(|| network.name.clone());
                }
            }
            let mut sorted: Vec<&Claim> = claims.claims.iter().collect();
            sorted.sort();
            for claim in sorted {
                let Some(Located::Nsid(nsid)) = located.get(&claim.locator) else { continue };
                let Some(&netns) = netns_of.get(nsid) else { continue };
                let this = (runtime, claim.owner.id.clone(), claim.locator.clone(), netns);
                if self.believes(claim, &this, &namespaces[&netns]) {
                    residents.settle(claim, netns);
                }
                checked.insert(this);
            }
        }
        self.verified.retain(|claim| checked.contains(claim));
        self.rejected.retain(|claim| checked.contains(claim));
        residents
    }

    /// A claim that names MAC addresses is believed if one of them is there: a pid can be another machine's or
    /// another process's by now.
    fn believes(&mut self, claim: &Claim, this: &Checked, inside: &Inside) -> bool {
        let addresses: HashSet<Mac> =
            claim.endpoints.iter().filter_map(|endpoint| endpoint.address).collect();
        let fits = match inside {
            Inside::Denied => true,
            Inside::Seen(_) if addresses.is_empty() => true,
            Inside::Seen(links) => {
                links.iter().any(|link| link.address.is_some_and(|address| addresses.contains(&address)))
            }
        };
        if fits {
            self.verified.insert(this.clone());
            self.rejected.remove(this);
        } else if !self.verified.contains(this) && self.rejected.insert(this.clone()) {
            self.rejected_ever += 1;
        }
        self.verified.contains(this)
    }
}

impl Residents {
    fn settle(&mut self, claim: &Claim, netns: NetnsId) {
        if claim.owner.runtime == Runtime::Named && !looks_like_an_id(&claim.owner.name) {
            self.names.entry(netns).or_insert_with(|| claim.owner.name.as_str().into());
        }
        let tenant = match self.homes.get(&netns) {
            // Two containers of one runtime in one namespace, and neither says that it is the other's guest.
            Some(home) if home.tenant.owner.runtime == claim.owner.runtime => {
                let mut tenant = Tenant::clone(&home.tenant);
                tenant.members.push(claim.owner.clone());
                tenant.members.sort();
                tenant
            }
            Some(_) => return,
            None => Tenant { owner: claim.owner.clone(), members: claim.members.clone() },
        };
        let mut endpoints = self.homes.remove(&netns).map(|home| home.endpoints).unwrap_or_default();
        endpoints.extend(claim.endpoints.iter().cloned());
        self.homes.insert(netns, Home { tenant: Arc::new(tenant), endpoints });
    }

    /// Every network that a runtime knows.
    pub fn networks(&self) -> impl Iterator<Item = NetworkLabels> {
        self.networks.iter().cloned()
    }

    /// True if an interface of the pair is in a namespace that nobody claims.
    pub fn unclaimed(&self, pair: &ShownPair) -> bool {
        let mut interfaces = pair.sides.iter().filter(|side| side.role == Role::Interface);
        interfaces.any(|side| self.place(side.end.netns) == Place::Unclaimed)
    }

    /// Gives a pair its roles, its owners and its labels.
    pub fn show(&self, pair: &Pair) -> ShownPair {
        let places = pair.sides.map(|side| self.place(side.end.netns));
        let roles = pairing::roles(pair, places, pair.sides.map(|side| self.bridge(&side).is_some()));
        let [mut a, mut b] = [0, 1].map(|side| self.side(&pair.sides[side], roles[side]));
        a.labels = self.labels(&a, b.bridge);
        b.labels = self.labels(&b, a.bridge);
        ShownPair { sides: [a, b], state: pair.state() }
    }

    /// An end without a pair: it is nobody's interface.
    pub fn show_single(&self, side: &Side) -> ShownSide {
        self.side(side, Role::Port)
    }

    /// The bridge or Open vSwitch that an end is enslaved to.
    fn bridge(&self, side: &Side) -> Option<Name> {
        let ifindex = side.link?.master?;
        self.switches.get(&End { netns: side.end.netns, ifindex }).copied()
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
            netns: self.netns_label(netns),
            bridge: self.bridge(side),
            tenant: self.homes.get(&netns).map(|home| Arc::clone(&home.tenant)),
            labels: None,
        }
    }

    fn netns_label(&self, netns: NetnsId) -> Arc<str> {
        let Some(nsid) = netns.nsid() else { return "".into() };
        if let Some(name) = self.names.get(&netns) {
            return Arc::clone(name);
        }
        match self.homes.get(&netns) {
            Some(Home { tenant, .. }) => {
                format!("{}/{}", tenant.owner.runtime.as_str(), tenant.owner.name).into()
            }
            None => format!("nsid-{nsid}").into(),
        }
    }

    /// What an interface's traffic is booked under; `bridge` is the one its port is enslaved to.
    fn labels(&self, side: &ShownSide, bridge: Option<Name>) -> Option<LabelSet> {
        if side.role == Role::Port {
            return None;
        }
        let home = self.homes.get(&side.end.netns);
        let address = side.link.and_then(|link| link.address);
        let by_address = home.zip(address).and_then(|(home, address)| {
            home.endpoints.iter().find(|endpoint| endpoint.address == Some(address))
        });
        let network = match by_address {
            Some(endpoint) => endpoint.network.clone(),
            None => bridge.and_then(|bridge| self.bridges.get(&bridge)).cloned().unwrap_or_default(),
        };
        Some(LabelSet {
            runtime: home.map_or(Runtime::Unknown, |home| home.tenant.owner.runtime),
            container: home.map_or_else(String::new, |home| home.tenant.owner.name.clone()),
            interface: side.link.map_or_else(String::new, |link| link.name.to_string()),
            network,
        })
    }
}

/// True for what a namespace without a name is called: whoever has it as a name could be taken for that one.
fn looks_like_an_id(name: &str) -> bool {
    name.strip_prefix("nsid-").is_some_and(|id| id.parse::<u32>().is_ok())
}

fn switches(namespaces: &Namespaces) -> HashMap<End, Name> {
    let mut switches = HashMap::new();
    for (&netns, inside) in namespaces {
        let Inside::Seen(links) = inside else { continue };
        let of_kind = links.iter().filter(|link| matches!(link.kind, Kind::Bridge | Kind::OpenVswitch));
        switches.extend(of_kind.map(|link| (End { netns, ifindex: link.ifindex }, link.name)));
    }
    switches
}
