//! Workloads that run in other workloads: a container that runs containers.

use super::Owner;
use crate::model::cgroup;
use crate::model::link::NetnsId;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The cgroups of the owners.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    /// The cgroup of each owner that has one.
    all: BTreeSet<(String, NetnsId)>,
    /// The cgroups of containers and machines: each holds all other workloads in its cgroup.
    holding: BTreeSet<(String, NetnsId)>,
    /// The cgroups at or below which an owner has changed.
    changed: BTreeSet<String>,
}

impl Nesting {
    /// Updates the cgroups after a namespace has a new owner.
    pub(super) fn set(&mut self, netns: NetnsId, before: Option<&Owner>, now: Option<&Owner>) {
        let key = |owner: Option<&Owner>| {
            let owner = owner?;
            Some((owner.cgroup()?.to_owned(), owner.is_holder(), owner.ownership.owner.clone()))
        };
        let (before, now) = (key(before), key(now));
        if before == now {
            return;
        }
        if let Some((cgroup, ..)) = before {
            self.all.remove(&(cgroup.clone(), netns));
            self.holding.remove(&(cgroup.clone(), netns));
            self.changed.insert(cgroup);
        }
        if let Some((cgroup, holder, _)) = now {
            self.all.insert((cgroup.clone(), netns));
            if holder {
                self.holding.insert((cgroup.clone(), netns));
            }
            self.changed.insert(cgroup);
        }
    }

    /// Finds the outer workload of each workload in or below a changed cgroup. It is the nearest one with a
    /// cgroup above the workload's own; or one with the same cgroup, if that one is a container or machine
    /// and of the inner one only a process is known. Where no such workload is known, the cgroup's path names
    /// the outer one. Returns the namespaces of owners with a new outer workload.
    pub(super) fn find_outer(&mut self, owners: &mut HashMap<NetnsId, Owner>) -> BTreeSet<NetnsId> {
        let changed = std::mem::take(&mut self.changed);
        let mut moved = BTreeSet::new();
        for cgroup in changed {
            let below = self.all.range((cgroup.clone(), NetnsId::Host)..);
            let below: Vec<NetnsId> = below
                .take_while(|(path, _)| path.starts_with(&cgroup))
                .filter(|(path, _)| path.len() == cgroup.len() || path.as_bytes()[cgroup.len()] == b'/')
                .map(|(_, netns)| *netns)
                .collect();
            for netns in below {
                let outer = owners.get(&netns).and_then(|owner| self.outer_of(owner));
                let outer = outer.filter(|outer| *outer != netns);
                let parent = outer.and_then(|outer| owners.get(&outer));
                let parent = parent.map(|owner| owner.ownership.owner.title());
                let Some(owner) = owners.get_mut(&netns) else { continue };
                let by_path = || cgroup::parent(&owner.ownership.cgroup, &owner.ownership.owner);
                let parent = parent.unwrap_or_else(by_path);
                if owner.outer != outer || owner.ownership.parent != parent {
                    owner.outer = outer;
                    Arc::make_mut(&mut owner.ownership).parent = parent;
                }
                // The workloads inside this one move with it.
                moved.insert(netns);
            }
        }
        moved
    }

    fn outer_of(&self, owner: &Owner) -> Option<NetnsId> {
        let own = owner.cgroup()?;
        let above = own.match_indices('/').rev().map(|(end, _)| &own[..end]);
        let own = (!owner.is_holder()).then_some(own);
        own.into_iter().chain(above).find_map(|cgroup| self.holder(cgroup))
    }

    fn holder(&self, cgroup: &str) -> Option<NetnsId> {
        let first = self.holding.range((cgroup.to_owned(), NetnsId::Host)..).next();
        first.filter(|(path, _)| path == cgroup).map(|(_, netns)| *netns)
    }
}
