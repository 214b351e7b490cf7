//! Evidence -> the owner and the name of each network namespace.
//!
//! A namespace is reevaluated when an input of its decision changes: its links, the reports of sources about
//! it, the other namespaces of its possible owner, or the time.

use super::link::{End, Name, NetnsId};
use super::topology::{Settled, Topology};
use super::view::Stranded;
use super::workload::Runtime;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

mod by_container;
mod checks;
mod decide;
mod dependencies;
mod evidence;
mod locating;
mod locations;
mod names;
mod nesting;
mod new_processes;
mod process_search;
mod show;
mod stranded;

use checks::Checks;
use decide::Decided;
pub(crate) use decide::Owner;
use dependencies::{Dependencies, DependsOn};
pub(crate) use evidence::{Evidence, SourceState};
use names::NetnsNames;
use nesting::Nesting;
pub(crate) use process_search::ProcessSearch;
pub(crate) use show::{generator, is_generated_name};
use stranded::StrandedMembers;

/// The owner of each namespace.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    owners: HashMap<NetnsId, Owner>,
    names: NetnsNames,
    nesting: Nesting,
    checks: Checks,
    /// The namespaces that each owner has, by the owner's id.
    by_id: BTreeMap<String, BTreeSet<NetnsId>>,
    dependencies: Dependencies,
    /// The times at which owners that left their namespace cease to be its owner.
    leaving: BTreeSet<(Duration, NetnsId)>,
    /// The namespaces with an owner that has no claim on them at this time. Claims without a location, or
    /// with a location elsewhere, decide whether the owner leaves.
    kept: BTreeSet<NetnsId>,
    stranded: StrandedMembers,
    /// The version of the evidence at the last decision.
    decided_by: u64,
    /// The network that each of the host's bridges carries.
    bridges: HashMap<Name, String>,
    dirty: BTreeSet<NetnsId>,
}

/// The inputs of a decision besides the state of [`Owners`].
pub(crate) struct Facts<'a> {
    pub topology: &'a Topology,
    /// Returns the time since which an end's pair is in its present namespaces.
    pub arrived: &'a dyn Fn(End) -> Option<Duration>,
    /// The time for which an end without an owner is held back.
    pub hold_back: Duration,
    /// The time for which an owner stays after its last claim.
    pub leaving: Duration,
}

/// The results of a decision that differ from the previous ones.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// The namespaces with a new owner, a new name or a new outer workload.
    pub namespaces: BTreeSet<NetnsId>,
    /// The host's bridges that carry another network.
    pub bridges: BTreeSet<Name>,
    /// True if the networks that a runtime knows may have changed.
    pub networks: bool,
}

impl Owners {
    /// Reevaluates the namespaces with changed inputs.
    pub(crate) fn decide(
        &mut self,
        evidence: &mut Evidence,
        settled: &Settled,
        known: &Facts<'_>,
        now: Duration,
    ) -> Changed {
        let mut changed = Changed::default();
        if let Some(bridges) = evidence.take_bridges() {
            changed.bridges = self.set_bridges(bridges);
            changed.networks = true;
        }
        let targets = self.stranded.update(evidence);
        self.dirty.extend(targets.iter().filter_map(|id| self.by_id.get(id)).flatten());
        self.mark(evidence, settled, known.topology, now);
        // Each decision may make further namespaces dirty; a few passes reach a stable state.
        let mut budget = 16 * (self.dirty.len() + known.topology.namespaces().len());
        while let Some(netns) = self.dirty.pop_first() {
            if netns == NetnsId::Host {
                continue;
            }
            self.decide_one(netns, evidence, known, now, &mut changed);
            budget = budget.saturating_sub(1);
            if budget == 0 {
                // The next evaluation decides the rest.
                break;
            }
        }
        for netns in self.nesting.find_outer(&mut self.owners) {
            changed.namespaces.insert(netns);
        }
        changed.namespaces.extend(self.names.assign_names());
        changed
    }

    /// Marks the namespaces to reevaluate.
    fn mark(&mut self, evidence: &mut Evidence, settled: &Settled, topology: &Topology, now: Duration) {
        let nsids = evidence.take_changed();
        if !nsids.is_empty() || self.decided_by != evidence.version() {
            self.decided_by = evidence.version();
            self.dirty.extend(&self.kept);
        }
        self.dirty.extend(nsids.into_iter().map(|nsid| topology.netns(Some(nsid))));
        let ids = evidence.take_changed_ids();
        for id in ids {
            self.dirty.extend(self.dependencies.on(&DependsOn::Owner(id)));
        }
        self.dirty.extend(&settled.namespaces);
        // An owner with an address in one namespace is not elsewhere.
        let ids = settled.namespaces.iter().filter_map(|netns| Some(self.owners.get(netns)?.id().to_owned()));
        for id in ids.collect::<BTreeSet<String>>() {
            self.dirty.extend(self.dependencies.on(&DependsOn::Owner(id)));
        }
        let masters = settled.masters.iter().filter(|master| master.netns == NetnsId::Host);
        let ports = masters.flat_map(|master| topology.enslaved(*master)).collect::<Vec<End>>();
        for port in settled.ends.iter().chain(&ports).filter(|end| end.netns == NetnsId::Host) {
            self.dirty.extend(self.dependencies.on(&DependsOn::Port(port.ifindex)));
        }
        while let Some(&(due, netns)) = self.leaving.first()
            && due <= now
        {
            self.leaving.pop_first();
            self.dirty.insert(netns);
        }
        self.dirty.extend(self.checks.doubtful());
    }

    fn decide_one(
        &mut self,
        netns: NetnsId,
        evidence: &mut Evidence,
        known: &Facts<'_>,
        now: Duration,
        changed: &mut Changed,
    ) {
        let there = known.topology.knows(netns);
        let Decided { mut owner, chosen, depends_on, kept } = match there {
            true => self.decision(netns, evidence, known, now),
            false => {
                self.checks.forget(netns);
                Decided::default()
            }
        };
        if let Some(owner) = &mut owner {
            self.stranded.leave_out(owner);
        }
        self.dependencies.set(netns, depends_on);
        match kept {
            true => _ = self.kept.insert(netns),
            false => _ = self.kept.remove(&netns),
        }
        evidence.keep_process(netns, owner.as_ref());
        let base = there.then(|| {
            let by_owner = |owner: &Owner| owner.title();
            let is_chosen = chosen.is_some();
            let name = chosen.or_else(|| owner.as_ref().map(by_owner));
            (is_chosen, name.unwrap_or_else(|| format!("nsid-{}", netns.nsid().unwrap_or(0))))
        });
        self.names.set(netns, base);
        self.set_owner(netns, owner, known.leaving, changed);
    }

    fn set_owner(&mut self, netns: NetnsId, owner: Option<Owner>, leaving: Duration, changed: &mut Changed) {
        if let Some(left) = self.owners.get(&netns).and_then(|owner| owner.left) {
            self.leaving.remove(&(left + leaving + Duration::from_nanos(1), netns));
        }
        if let Some(left) = owner.as_ref().and_then(|owner| owner.left) {
            self.leaving.insert((left + leaving + Duration::from_nanos(1), netns));
        }
        let before = self.owners.remove(&netns);
        let id = |owner: &Option<Owner>| {
            // Names have no ids. The id in a cgroup is no evidence: a container makes any cgroup in its own.
            let owner = owner
                .as_ref()
                .filter(|owner| owner.is_vouched_for() && owner.ownership.owner.runtime != Runtime::Named)?;
            Some((owner.id().to_owned(), owner.kind()))
        };
        let (id_before, id_now) = (id(&before), id(&owner));
        if id_before != id_now {
            for (id, _) in id_before.iter() {
                if let Some(namespaces) = self.by_id.get_mut(id) {
                    namespaces.remove(&netns);
                    if namespaces.is_empty() {
                        self.by_id.remove(id);
                    }
                }
            }
            for (id, _) in id_now.iter() {
                self.by_id.entry(id.clone()).or_default().insert(netns);
            }
        }
        // The namespace of an owner is evidence about the other namespaces that it may own.
        for (id, _) in id_before.iter().chain(id_now.iter()).filter(|_| id_before != id_now) {
            let owner = DependsOn::Owner(id.clone());
            let others: Vec<NetnsId> = self.dependencies.on(&owner).filter(|other| *other != netns).collect();
            self.dirty.extend(others);
        }
        let differs = !Owner::same(before.as_ref(), owner.as_ref());
        self.nesting.set(netns, before.as_ref(), owner.as_ref());
        if differs {
            changed.namespaces.insert(netns);
        }
        if let Some(mut owner) = owner {
            // `Nesting` sets `outer` and the parent for all owners together.
            if let Some(before) = before {
                owner.outer = before.outer;
                if owner.ownership.parent != before.ownership.parent {
                    Arc::make_mut(&mut owner.ownership).parent.clone_from(&before.ownership.parent);
                }
                if owner.ownership == before.ownership {
                    owner.ownership = before.ownership;
                }
            }
            self.owners.insert(netns, owner);
        }
    }

    /// Sets the network that each bridge carries. Returns the bridges that carry another network than before.
    fn set_bridges(&mut self, bridges: HashMap<Name, String>) -> BTreeSet<Name> {
        let before = std::mem::replace(&mut self.bridges, bridges);
        let names = before.keys().chain(self.bridges.keys());
        names.filter(|name| before.get(name) != self.bridges.get(name)).copied().collect()
    }

    /// Returns the namespaces that the container with this id owns.
    pub(crate) fn owned_by(&self, id: &str) -> impl Iterator<Item = NetnsId> {
        self.by_id.get(id).into_iter().flatten().copied()
    }

    /// Returns the time at which the next owner that left its namespace ceases to be its owner.
    pub(crate) fn leaves_at(&self) -> Option<Duration> {
        self.leaving.first().map(|(due, _)| *due)
    }

    /// Returns the members that are in another namespace than they were to share.
    pub(crate) fn stranded(&self) -> impl Iterator<Item = &Stranded> {
        self.stranded.all()
    }

    /// Returns a number that changes whenever another member is stranded, or one no longer is.
    pub(crate) fn stranded_version(&self) -> u64 {
        self.stranded.version()
    }

    /// Returns the members that are stranded since the last call, and those that no longer are.
    pub(crate) fn take_stranded(&mut self) -> (Vec<Stranded>, Vec<Stranded>) {
        self.stranded.take_changes()
    }

    /// Returns true if a mismatching claim exists that is not counted yet.
    pub(crate) fn doubts(&self) -> bool {
        self.checks.doubtful().next().is_some()
    }

    /// Returns the number of claims rejected since the start; each counts once for a namespace.
    pub(crate) fn rejected_ever(&self) -> u64 {
        self.checks.rejected_ever()
    }
}
