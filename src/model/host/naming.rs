//! Who lives where: which claims are believed, and what a pair is called because of them.

use super::newcomers::Newcomers;
use super::residents::{Home, Residents, switches};
use super::{Heard, Inhabitant, Located, Location};
use crate::model::ledger::NetworkLabels;
use crate::model::link::{End, Mac, NetnsId};
use crate::model::pairing::{Inside, Namespaces};
use crate::model::workload::{Claim, Locator, Runtime, Workload};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// The claims that were checked: each is checked once for a namespace, as a container may change its MACs
/// later.
#[derive(Debug, Default)]
pub(super) struct Naming {
    verified: HashSet<Checked>,
    /// With the time when the claim was first seen not to fit, and whether it is counted.
    rejected: HashMap<Checked, (Duration, bool)>,
    rejected_ever: u64,
    /// Who lived where when it was last judged.
    homes: HashMap<NetnsId, Home>,
}

/// All that was told of who lives where.
pub(super) struct Told<'a> {
    pub heard: &'a BTreeMap<Runtime, Heard>,
    pub inhabitants: &'a BTreeMap<NetnsId, Inhabitant>,
    pub newcomers: &'a Newcomers,
    pub located: &'a BTreeMap<Locator, Location>,
    pub namespaces: &'a Namespaces,
    /// Since when an end's pair is where it is.
    pub arrived: &'a dyn Fn(End) -> Option<Duration>,
    /// How long an end is held back for which there is no name yet.
    pub hold_back: Duration,
}

/// One claim on one namespace: the runtime's id of the owner, how it was located, and where.
type Checked = (Runtime, String, Locator, NetnsId);

impl Naming {
    /// How many claims were rejected since the start; each once for a namespace.
    pub(super) fn rejected_ever(&self) -> u64 {
        self.rejected_ever
    }

    /// Checks all claims, those of the earlier runtimes first; where nobody claims, a process gives the
    /// name. Who is not claimed any more stays for the time `leaving`.
    pub(super) fn residents(&mut self, told: &Told<'_>, now: Duration, leaving: Duration) -> Residents {
        let Told { heard, inhabitants, newcomers, located, namespaces, .. } = *told;
        let netns_of: HashMap<u32, NetnsId> =
            namespaces.keys().filter_map(|&netns| Some((netns.nsid()?, netns))).collect();
        let mut residents = Residents { switches: switches(namespaces), ..Residents::default() };
        let mut checked = HashSet::new();
        let mut made_up: Vec<(&Claim, NetnsId)> = Vec::new();
        let mut called: BTreeMap<NetnsId, String> = BTreeMap::new();
        let netns_at = |locator| match located.get(locator)?.netns {
            Located::Nsid(nsid) => netns_of.get(&nsid).copied(),
            Located::Host | Located::WithoutId => None,
        };
        for (&runtime, Heard { claims, asked, .. }) in heard {
            for network in &claims.networks {
                residents.networks.insert(NetworkLabels { runtime, network: network.name.clone() });
                if let Some(bridge) = network.bridge {
                    residents.bridges.entry(bridge).or_insert_with(|| network.name.clone());
                }
            }
            let mut sorted: Vec<&Claim> = claims.claims.iter().collect();
            sorted.sort();
            for claim in sorted {
                let Some(netns) = netns_at(&claim.locator) else { continue };
                let this = (runtime, claim.owner.id.clone(), claim.locator.clone(), netns);
                let cgroup = located.get(&claim.locator).and_then(|at| at.cgroup.as_deref());
                if !self.believes(claim, &this, &namespaces[&netns], cgroup) {
                    self.reject(&this, now, *asked);
                } else if is_made_up(&claim.owner) {
                    made_up.push((claim, netns));
                } else {
                    if runtime == Runtime::Named {
                        called.insert(netns, claim.owner.name.clone());
                    }
                    residents.settle(claim, netns, cgroup);
                }
                checked.insert(this);
            }
            for backroom in &claims.backrooms {
                if let Some(netns) = netns_at(&backroom.locator) {
                    called.entry(netns).or_insert_with(|| backroom.name.clone());
                }
            }
        }
        let held: HashSet<NetnsId> = made_up.iter().map(|(_, netns)| *netns).collect();
        self.keep_leaving(&mut residents, &mut called, told, &held, now, leaving);
        residents.settle_expected(told);
        residents.settle_newcomers(heard, newcomers, namespaces);
        for (claim, netns) in made_up {
            if !residents.homes.contains_key(&netns) {
                called.insert(netns, claim.owner.name.clone());
                residents.settle(claim, netns, None);
            }
        }
        for (&netns, inhabitant) in inhabitants {
            residents.homes.entry(netns).or_insert_with(|| Home::of_process(inhabitant));
        }
        residents.nest();
        residents.call(called, namespaces);
        self.verified.retain(|claim| checked.contains(claim));
        self.rejected.retain(|claim, _| checked.contains(claim));
        residents
    }

    /// Lets who has lived in a namespace stay while it is dismantled: its first process is gone before its
    /// veths are, and an engine can tell of a container's end sooner than the links are read again. Who is
    /// claimed still, and is only not found any more, stays as long as the namespace. It is the namespace
    /// with its generation that is remembered: an id that is used again is another. Nor does he leave one
    /// that a runtime still holds by a name that it has made up: it takes a pod's process first, and its
    /// network last.
    fn keep_leaving(
        &mut self,
        residents: &mut Residents,
        called: &mut BTreeMap<NetnsId, String>,
        told: &Told<'_>,
        held: &HashSet<NetnsId>,
        now: Duration,
        leaving: Duration,
    ) {
        let claims = told.heard.values().flat_map(|heard| &heard.claims.claims);
        let lost: HashSet<(&str, &Locator)> = claims
            .filter(|claim| !told.located.contains_key(&claim.locator))
            .map(|claim| (claim.owner.id.as_str(), &claim.locator))
            .collect();
        let mistaken = residents.mistaken(&self.homes, told.namespaces);
        for (netns, mut home) in std::mem::take(&mut self.homes) {
            let owner = &home.tenant.owner;
            let gone = residents.homes.contains_key(&netns)
                || !told.namespaces.contains_key(&netns)
                || mistaken.contains(&netns);
            // Whom only a process told of is not claimed by anybody.
            let of_process = matches!(owner.runtime, Runtime::Lxc | Runtime::Nspawn | Runtime::Process);
            if gone || of_process || is_made_up(owner) {
                continue;
            }
            let stays =
                home.locator.as_ref().is_some_and(|locator| lost.contains(&(owner.id.as_str(), locator)));
            if stays || held.contains(&netns) {
                home.left = None;
            } else if now.saturating_sub(*home.left.get_or_insert(now)) > leaving {
                continue;
            }
            if owner.runtime == Runtime::Named {
                called.insert(netns, owner.name.clone());
            }
            home.outer = None;
            residents.homes.insert(netns, home);
        }
    }

    /// The namespaces of which the container with this id was the owner when it was last judged.
    pub(super) fn homes_of(&self, id: &str) -> impl Iterator<Item = NetnsId> {
        let homes = self.homes.iter().filter(move |(_, home)| home.tenant.owner.id == id);
        homes.map(|(&netns, _)| netns)
    }

    /// Notes who lives where, until it is judged again.
    pub(super) fn remember(&mut self, residents: Residents) {
        self.homes = residents.homes;
    }

    /// A claim that names MAC addresses is believed if one of them is there: a pid can be another machine's
    /// or another process's by now.
    fn believes(&mut self, claim: &Claim, this: &Checked, inside: &Inside, cgroup: Option<&str>) -> bool {
        let addresses: HashSet<Mac> =
            claim.endpoints.iter().filter_map(|endpoint| endpoint.address).collect();
        let fits = match inside {
            Inside::Denied => is_cgroup_of(cgroup, &claim.owner),
            Inside::Seen(_) if addresses.is_empty() => is_cgroup_of(cgroup, &claim.owner),
            Inside::Seen(links) => {
                links.values().any(|link| link.address.is_some_and(|address| addresses.contains(&address)))
            }
        };
        if fits {
            self.verified.insert(this.clone());
            self.rejected.remove(this);
        }
        self.verified.contains(this)
    }

    /// Counts a claim that does not fit, once it is older than the runtime's last answer: a container that
    /// changes its network has other addresses a moment before its engine tells them.
    fn reject(&mut self, this: &Checked, now: Duration, asked: Duration) {
        let (since, counted) = self.rejected.entry(this.clone()).or_insert((now, false));
        if !*counted && asked > *since {
            *counted = true;
            self.rejected_ever += 1;
        }
    }

    /// True if a claim does not fit and that is not counted yet.
    pub(super) fn doubts(&self) -> bool {
        self.rejected.values().any(|(_, counted)| !counted)
    }

    /// When the first of those who have left their namespace stops to be its owner.
    pub(super) fn leaves_at(&self, leaving: Duration) -> Option<Duration> {
        self.homes
            .values()
            .filter_map(|home| home.left)
            .min()
            .map(|left| left + leaving + Duration::from_nanos(1))
    }
}

/// False if a process's cgroup says that it is of another container: then its number has passed on.
fn is_cgroup_of(cgroup: Option<&str>, owner: &Workload) -> bool {
    let is_id = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let ids =
        cgroup.unwrap_or_default().split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| is_id(part));
    let mut ids = ids.peekable();
    !is_id(&owner.id) || ids.peek().is_none() || ids.any(|id| id == owner.id)
}

/// True for a name in /run/netns that nobody has chosen: Podman calls its namespaces `netns-UUID` there,
/// containerd `cni-UUID`, and CRI-O `UUID`. It names a namespace only where nothing else does.
pub(super) fn is_made_up(owner: &Workload) -> bool {
    let uuid = |text: &str| {
        let groups =
            text.split('-').map(|group| group.bytes().all(|b| b.is_ascii_hexdigit()).then_some(group.len()));
        groups.eq([8, 4, 4, 4, 12].map(Some))
    };
    let rest = owner.name.strip_prefix("netns-").or_else(|| owner.name.strip_prefix("cni-"));
    owner.runtime == Runtime::Named && uuid(rest.unwrap_or(&owner.name))
}
