//! The rules that assign an owner to a namespace, in the order of trust.

use super::checks::Claimant;
use super::dependencies::DependsOn;
use super::evidence::Evidence;
use super::{Facts, Owners, is_generated_name};
use crate::model::cgroup;
use crate::model::host::ProcessInNetns;
use crate::model::link::{End, Link, Mac, Name, NetnsId, PeerNetns};
use crate::model::pairing::Inside;
use crate::model::topology::Topology;
use crate::model::view::Ownership;
use crate::model::workload::{Claim, Endpoint, Expected, Locator, Runtime};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// The owner of a namespace.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub ownership: Arc<Ownership>,
    pub endpoints: Vec<Endpoint>,
    /// The locator by which the owner was found; `None` if it was found by an expected interface.
    pub locator: Option<Locator>,
    found: FoundBy,
    /// The namespace of the workload that holds this one.
    pub outer: Option<NetnsId>,
    /// The time since which the namespace has no claim.
    pub left: Option<Duration>,
}

/// The evidence by which an owner was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoundBy {
    Claim,
    /// An interface that the owner's runtime expects.
    Interface,
    /// The first process of a namespace.
    NewProcess,
    Process,
}

impl FoundBy {
    /// Returns true for what names a container before its runtime claims the namespace.
    fn is_without_claim(self) -> bool {
        matches!(self, FoundBy::Interface | FoundBy::NewProcess)
    }
}

impl Owner {
    fn new(
        ownership: Ownership,
        endpoints: Vec<Endpoint>,
        locator: Option<Locator>,
        found: FoundBy,
    ) -> Owner {
        Owner { ownership: Arc::new(ownership), endpoints, locator, found, outer: None, left: None }
    }

    fn of_claim(claim: &Claim, cgroup: Option<&str>) -> Owner {
        let ownership = Ownership {
            members: claim.members.clone(),
            started: claim.started,
            ..Ownership::alone(claim.owner.clone(), cgroup)
        };
        Owner::new(ownership, claim.endpoints.clone(), Some(claim.locator.clone()), FoundBy::Claim)
    }

    fn of_process(process: &ProcessInNetns) -> Owner {
        let ownership = Ownership::alone(process.workload.clone(), process.cgroup.as_deref());
        Owner::new(ownership, Vec::new(), Some(Locator::Pid(process.pid)), FoundBy::Process)
    }

    /// Adds a second container of the same runtime, if the runtime reports neither as the other one's guest.
    fn add(&mut self, claim: &Claim) {
        if self.ownership.owner.runtime == claim.owner.runtime {
            let ownership = Arc::make_mut(&mut self.ownership);
            ownership.members.push(claim.owner.clone());
            ownership.members.sort();
            self.endpoints.extend(claim.endpoints.iter().cloned());
        }
    }

    /// Returns the runtime's id of the workload.
    pub(super) fn id(&self) -> &str {
        &self.ownership.owner.id
    }

    pub(super) fn kind(&self) -> FoundBy {
        self.found
    }

    /// Returns the namespace's name derived from its owner: `RUNTIME/NAME`.
    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.ownership.owner.runtime.as_str(), self.ownership.owner.title())
    }

    /// Returns the cgroup of the process by which the owner was found; `None` for an owner without a process.
    pub(super) fn cgroup(&self) -> Option<&str> {
        Some(self.ownership.cgroup.as_str()).filter(|cgroup| !cgroup.is_empty())
    }

    /// Returns true for a container or machine: it holds all other workloads in its cgroup.
    pub(super) fn is_holder(&self) -> bool {
        let owner = &self.ownership.owner;
        owner.runtime != Runtime::Process || !owner.id.is_empty()
    }

    /// Returns true if the cgroup of a process is the only evidence of this container.
    pub(super) fn is_by_cgroup(&self) -> bool {
        self.found == FoundBy::Process && !self.id().is_empty()
    }

    /// Returns true if a generated name is all that is known of the owner.
    pub(super) fn is_generated(&self) -> bool {
        let owner = &self.ownership.owner;
        is_generated_name(owner.runtime, &owner.name)
    }

    /// Returns true if a runtime or a name in /run/netns vouches for the owner.
    pub(super) fn is_vouched_for(&self) -> bool {
        self.found != FoundBy::Process
    }

    /// Returns true if two owners show the same, regardless of the evidence for each.
    pub(super) fn same(a: Option<&Owner>, b: Option<&Owner>) -> bool {
        match (a, b) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                let ownership =
                    |owner: &Owner| (owner.ownership.owner.clone(), owner.ownership.members.clone());
                (Arc::ptr_eq(&a.ownership, &b.ownership)
                    || ownership(a) == ownership(b)
                        && a.ownership.cgroup == b.ownership.cgroup
                        && a.ownership.started == b.ownership.started)
                    && a.endpoints == b.endpoints
            }
            _ => false,
        }
    }
}

/// The result of a decision about a namespace.
#[derive(Debug, Default)]
pub(super) struct Decided {
    pub owner: Option<Owner>,
    /// The namespace's name, if a user or an engine chose it.
    pub chosen: Option<String>,
    /// The things besides the namespace that are an input of this decision.
    pub depends_on: BTreeSet<DependsOn>,
    /// True if the owner has no claim on the namespace at this time.
    pub kept: bool,
}

impl Owners {
    /// Decides the owner of a namespace. It is, in this order: the first believed claim's; the owner that
    /// left the namespace a moment ago; the workload of an expected interface that has come; the container of
    /// the first process; the container of a process, by its id; a name that a runtime has generated; a
    /// process.
    pub(super) fn decision(
        &mut self,
        netns: NetnsId,
        evidence: &Evidence,
        known: &Facts<'_>,
        now: Duration,
    ) -> Decided {
        let mut decided = Decided::default();
        let Some(inside) = known.topology.namespaces().get(&netns) else { return decided };
        let generated = self.believe_claims(netns, inside, evidence, now, &mut decided);
        if decided.owner.is_none() && !self.find_again(netns, inside, evidence, known, &mut decided) {
            self.keep_leaving(netns, evidence, known, generated.is_some(), now, &mut decided);
        }
        self.expect(netns, inside, evidence, known, &mut decided);
        if decided.owner.is_none() {
            self.first_process(netns, evidence, &mut decided);
        }
        let process = evidence.process(netns).filter(|process| evidence.is_there(process));
        if decided.owner.is_none() {
            // The container in a namespace names it better than a name that its runtime made up.
            let container = process.filter(|process| !process.workload.id.is_empty());
            decided.owner = container.map(Owner::of_process);
        }
        if decided.owner.is_none()
            && let Some(claim) = generated
        {
            decided.chosen = Some(claim.owner.name.clone());
            decided.owner = Some(Owner::of_claim(claim, None));
        }
        if decided.owner.is_none() {
            decided.owner = process.map(Owner::of_process);
        }
        decided
    }

    /// Takes the first believed claim. Returns a believed claim with a generated name.
    fn believe_claims<'a>(
        &mut self,
        netns: NetnsId,
        inside: &Inside,
        evidence: &'a Evidence,
        now: Duration,
        decided: &mut Decided,
    ) -> Option<&'a Claim> {
        let nsid = netns.nsid()?;
        let mut generated = None;
        let mut claimants: HashSet<Claimant> = HashSet::new();
        for located in evidence.claims_at(nsid) {
            let claim = located.claim;
            claimants.insert(located.claimant());
            if !self.checks.believes(netns, &located, inside, located.asked, now) {
                continue;
            }
            if is_generated_name(claim.owner.runtime, &claim.owner.name) {
                generated = generated.or(Some(claim));
                continue;
            }
            if located.runtime == Runtime::Named {
                decided.chosen = Some(claim.owner.name.clone());
            }
            match &mut decided.owner {
                None => decided.owner = Some(Owner::of_claim(claim, located.cgroup)),
                Some(owner) => owner.add(claim),
            }
        }
        self.checks.keep_only(netns, &claimants);
        if decided.chosen.is_none() {
            decided.chosen = evidence.own_name_at(nsid).map(str::to_owned);
        }
        generated
    }

    /// Keeps the owner of a namespace while the namespace is dismantled: its first process ends before its
    /// links do, and an engine can report a container's end before the links are read again. An owner that
    /// still has a claim, but without a location, stays as long as the namespace. An owner also stays in a
    /// namespace that a runtime still holds by a generated name: a runtime ends a pod's process first, and
    /// removes its network last.
    fn keep_leaving(
        &self,
        netns: NetnsId,
        evidence: &Evidence,
        known: &Facts<'_>,
        held: bool,
        now: Duration,
        decided: &mut Decided,
    ) {
        let Some(before) = self.owners.get(&netns) else { return };
        let owner = &before.ownership.owner;
        // An owner that is known by a process alone has no claim, but a container's namespace may be held.
        let of_process = before.found == FoundBy::Process && !(held && before.is_by_cgroup());
        if of_process || before.is_generated() {
            return;
        }
        if before.locator.is_none() {
            // An interface was the evidence: it was wrong if the owner is found elsewhere with an interface
            // of that address.
            decided.depends_on.insert(DependsOn::Owner(owner.id.clone()));
            let mut addresses = before.endpoints.iter().filter_map(|endpoint| endpoint.address);
            if addresses.any(|address| self.is_elsewhere(netns, &owner.id, address, known.topology)) {
                return;
            }
        }
        let mut stays = before.clone();
        let lost = before.locator.as_ref().is_some_and(|locator| evidence.is_lost(&owner.id, locator));
        if lost || held {
            stays.left = None;
        } else if now.saturating_sub(*stays.left.get_or_insert(now)) > known.leaving {
            return;
        }
        if owner.runtime == Runtime::Named {
            decided.chosen = Some(owner.name.clone());
        }
        stays.outer = None;
        decided.owner = Some(stays);
        decided.kept = true;
    }

    /// Assigns unclaimed namespaces, and those known by a process alone, by expected interface: a workload is
    /// the owner if an interface in the namespace has the address that the runtime gave to the workload's
    /// interface, and its port is on that network's bridge.
    ///
    /// An interface that a killed engine left behind can have the same address on the same bridge. Three
    /// facts exclude it: it existed before the runtime reported the expected interface, or the container is
    /// found elsewhere with that address, or a first process identifies another container.
    fn expect(
        &self,
        netns: NetnsId,
        inside: &Inside,
        evidence: &Evidence,
        known: &Facts<'_>,
        decided: &mut Decided,
    ) {
        let Inside::Seen(links) = inside else { return };
        if decided.owner.as_ref().is_some_and(|owner| !owner.endpoints.is_empty()) {
            return;
        }
        let container = evidence.new_processes.container(netns);
        for link in links.values().filter(|link| link.kind.is_pair_end()) {
            let Some(address) = link.address else { continue };
            let candidates = evidence.sources.values().filter_map(|source| source.expected.get(&address));
            let arrived = (known.arrived)(End { netns, ifindex: link.ifindex });
            for (expected, told_at) in candidates.flatten() {
                decided.depends_on.extend(link.iflink.map(DependsOn::Port));
                decided.depends_on.insert(DependsOn::Owner(expected.workload.id.clone()));
                let in_time = arrived.is_none_or(|arrived| arrived + known.hold_back >= *told_at);
                let bridge = port_bridge(netns, link, known.topology);
                let here = bridge.is_some() && expected.bridge == bridge;
                if in_time
                    && here
                    && container.is_none_or(|id| *id == expected.workload.id)
                    && !self.is_elsewhere(netns, &expected.workload.id, address, known.topology)
                {
                    add_expected(decided, expected);
                }
            }
        }
    }

    /// Keeps the owner that was found by an expected interface or by a first process, and still is: it has
    /// not left the namespace. Returns false if there was no such owner.
    fn find_again(
        &self,
        netns: NetnsId,
        inside: &Inside,
        evidence: &Evidence,
        known: &Facts<'_>,
        decided: &mut Decided,
    ) -> bool {
        let before = self.owners.get(&netns);
        let Some(before) = before.filter(|owner| owner.found.is_without_claim()) else { return false };
        let mut again = Decided::default();
        self.expect(netns, inside, evidence, known, &mut again);
        if again.owner.is_none() {
            self.first_process(netns, evidence, &mut again);
        }
        decided.depends_on.extend(again.depends_on);
        decided.owner = again.owner.filter(|owner| owner.ownership.owner == before.ownership.owner);
        decided.owner.is_some()
    }

    /// Assigns an unclaimed namespace to the container of its first process, if the container owns no other
    /// namespace: a namespace that a container creates for itself is not the container's own, and a cgroup
    /// that it creates below its own identifies no owner.
    fn first_process(&self, netns: NetnsId, evidence: &Evidence, decided: &mut Decided) {
        let Some((id, process)) = evidence.new_processes.found(netns) else { return };
        decided.depends_on.insert(DependsOn::Owner(id.to_owned()));
        let above = || cgroup::ids(process.cgroup.as_deref().unwrap_or_default()).skip(1);
        decided.depends_on.extend(above().map(|id| DependsOn::Owner(id.to_owned())));
        let Some(workload) = evidence.container(id) else { return };
        // Of two namespaces with a first process of one container, the first is the container's.
        let owned = |id: &str, others: &dyn Fn(NetnsId) -> bool| {
            let mut namespaces = self.by_id.get(id).into_iter().flatten().filter(|other| **other != netns);
            namespaces.any(|other| others(*other))
        };
        let first = |other: NetnsId| {
            self.owners.get(&other).is_some_and(|owner| owner.found != FoundBy::NewProcess) || other < netns
        };
        if owned(id, &first) {
            return;
        }
        if above().any(|outer| owned(outer, &|_| true) || evidence.container(outer).is_some()) {
            return;
        }
        let ownership = Ownership::alone(workload.clone(), process.cgroup.as_deref());
        let locator = Some(Locator::Pid(process.pid));
        decided.owner = Some(Owner::new(ownership, Vec::new(), locator, FoundBy::NewProcess));
    }

    /// Returns true if the owner with this id is known to be in another namespace, with an interface of this
    /// address.
    fn is_elsewhere(&self, netns: NetnsId, id: &str, address: Mac, topology: &Topology) -> bool {
        let namespaces = self.by_id.get(id).into_iter().flatten().filter(|other| **other != netns);
        let claimed = namespaces
            .filter(|other| self.owners.get(other).is_some_and(|owner| owner.found != FoundBy::Interface));
        claimed.into_iter().any(|other| match topology.namespaces().get(other) {
            Some(Inside::Seen(links)) => links.values().any(|link| link.address == Some(address)),
            Some(Inside::Denied) | None => false,
        })
    }
}

fn add_expected(decided: &mut Decided, expected: &Expected) {
    let endpoint = Endpoint {
        network: expected.network.clone(),
        address: Some(expected.address),
        interface: String::new(),
    };
    match &mut decided.owner {
        None => {
            let ownership = Ownership::alone(expected.workload.clone(), None);
            decided.owner = Some(Owner::new(ownership, vec![endpoint], None, FoundBy::Interface));
        }
        Some(owner) if owner.ownership.owner == expected.workload => owner.endpoints.push(endpoint),
        Some(_) => {}
    }
}

/// Returns the host's bridge that the port of an interface is enslaved to. A namespace may choose any index
/// for its own interfaces: only the port's own report of its peer's namespace counts.
fn port_bridge(netns: NetnsId, link: &Link, topology: &Topology) -> Option<Name> {
    let port = topology.link(NetnsId::Host, link.iflink?).filter(|port| port.iflink == Some(link.ifindex))?;
    let is_its_port = match port.peer_netns {
        PeerNetns::Nsid(nsid) => netns.nsid() == Some(nsid),
        // The peer's move has not been reported yet.
        _ => matches!(link.peer_netns, PeerNetns::Host | PeerNetns::Elsewhere),
    };
    let ifindex = port.master.filter(|_| is_its_port)?;
    topology.switch(End { netns: NetnsId::Host, ifindex })
}
