//! Members in another network namespace than the container that they were to share one with: that one was
//! restarted, and has a new namespace.

use super::Owner;
use super::evidence::Evidence;
use crate::model::cgroup;
use crate::model::host::Location;
use crate::model::view::{Stranded, StrandedReason};
use crate::model::workload::{JoinedNetns, Workload};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The members that are known to be stranded, and the changes that no reader has taken yet.
#[derive(Debug, Default)]
pub(super) struct StrandedMembers {
    /// The stranded members by their ids.
    known: BTreeMap<String, Stranded>,
    begun: Vec<Stranded>,
    ended: Vec<Stranded>,
    /// The number of changes of `known`.
    version: u64,
}

impl StrandedMembers {
    /// Compares the namespace of each member with that of its target. Returns the ids of the targets with
    /// other members than before.
    pub(super) fn update(&mut self, evidence: &mut Evidence) -> BTreeSet<String> {
        if !evidence.take_joined_changed() {
            return BTreeSet::new();
        }
        let stranded = evidence.joined().filter_map(|joined| stranded(joined, evidence));
        let now: BTreeMap<String, Stranded> =
            stranded.map(|stranded| (stranded.member.id.clone(), stranded)).collect();
        let before = std::mem::replace(&mut self.known, now);
        let differ =
            |one: &BTreeMap<String, Stranded>, other: &BTreeMap<String, Stranded>| -> Vec<Stranded> {
                one.iter()
                    .filter(|(id, stranded)| other.get(*id) != Some(stranded))
                    .map(|(_, it)| it.clone())
                    .collect()
            };
        let (begun, gone) = (differ(&self.known, &before), differ(&before, &self.known));
        let targets = begun.iter().chain(&gone).map(|stranded| stranded.target.id.clone()).collect();
        self.version += u64::from(!begun.is_empty() || !gone.is_empty());
        self.begun.extend(begun);
        self.ended.extend(gone.into_iter().filter(|stranded| !self.known.contains_key(&stranded.member.id)));
        targets
    }

    /// Removes the stranded members from an owner.
    pub(super) fn leave_out(&self, owner: &mut Owner) {
        let is_stranded = |member: &Workload| self.known.contains_key(&member.id);
        if owner.ownership.members.iter().any(is_stranded) {
            Arc::make_mut(&mut owner.ownership).members.retain(|member| !is_stranded(member));
        }
    }

    /// Returns a number that changes whenever another member is stranded, or one no longer is.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Stranded> {
        self.known.values()
    }

    /// Returns the members that are stranded since the last call, and those that no longer are.
    pub(super) fn take_changes(&mut self) -> (Vec<Stranded>, Vec<Stranded>) {
        (std::mem::take(&mut self.begun), std::mem::take(&mut self.ended))
    }
}

/// Returns the member as stranded if its namespace is not its target's. A namespace that is not located yet
/// proves nothing.
fn stranded(joined: &JoinedNetns, evidence: &Evidence) -> Option<Stranded> {
    let JoinedNetns { member, locator, target, target_locator } = joined;
    let own = evidence.location(locator).filter(|location| is_of(location, member))?;
    let (target, reason) = match target_locator {
        Some(locator) => {
            let other = evidence.location(locator).filter(|location| is_of(location, target))?;
            if own.netns == other.netns {
                return None;
            }
            (target, StrandedReason::Restarted)
        }
        None => match evidence.container(&target.id) {
            Some(known) => (known, StrandedReason::Stopped),
            None => (target, StrandedReason::Removed),
        },
    };
    Some(Stranded { member: member.clone(), target: target.clone(), reason })
}

/// Returns false if the process of a location is another container's: its id was given away since.
fn is_of(location: &Location, workload: &Workload) -> bool {
    let mut ids = cgroup::ids(location.cgroup.as_deref().unwrap_or_default()).peekable();
    ids.peek().is_none() || ids.any(|id| id == workload.id)
}
