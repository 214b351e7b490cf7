//! Verified and rejected claims. Once verified, a claim stays verified for its namespace, as a container may
//! change its MAC addresses later.

use super::evidence::Locatable;
use crate::model::link::{Mac, NetnsId};
use crate::model::pairing::Inside;
use crate::model::workload::{Claim, Locator, Runtime, Workload};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

/// The identity of one claim on a namespace: the runtime, its id of the owner, and the locator.
pub(super) type Claimant = (Runtime, String, Locator);

/// The result of the check of each claim on each namespace.
#[derive(Debug, Default)]
pub(super) struct Checks {
    by_netns: HashMap<NetnsId, Vec<(Claimant, Check)>>,
    /// The namespaces with a mismatching claim that is not counted yet.
    doubtful: BTreeSet<NetnsId>,
    rejected_ever: u64,
}

#[derive(Clone, Copy, Debug)]
enum Check {
    Verified,
    /// A mismatch since this time; true if it is counted.
    Rejected(Duration, bool),
}

impl Checks {
    /// Returns true if a claim is believed. A claim that names MAC addresses is believed if one of them is in
    /// the namespace: its pid can belong to another machine or, by now, to another process. `asked` is the
    /// time of the runtime's last answer: a mismatching claim counts as rejected once that answer is newer
    /// than the mismatch, as a container that changes its network has other addresses a moment before its
    /// engine reports them.
    pub(super) fn believes(
        &mut self,
        netns: NetnsId,
        claim: &Locatable<'_>,
        inside: &Inside,
        asked: Duration,
        now: Duration,
    ) -> bool {
        let this = claim.claimant();
        let checks = self.by_netns.entry(netns).or_default();
        let index = checks.iter().position(|(claimant, _)| *claimant == this).unwrap_or_else(|| {
            checks.push((this, Check::Rejected(now, false)));
            checks.len() - 1
        });
        let check = &mut checks[index].1;
        if fits(claim.claim, inside, claim.cgroup) {
            *check = Check::Verified;
        }
        match check {
            Check::Verified => true,
            Check::Rejected(since, counted) => {
                if !*counted && asked > *since {
                    *counted = true;
                    self.rejected_ever += 1;
                }
                false
            }
        }
    }

    /// Forgets the checks of a namespace for all claimants but these.
    pub(super) fn keep_only(&mut self, netns: NetnsId, claimants: &HashSet<Claimant>) {
        let Some(checks) = self.by_netns.get_mut(&netns) else { return };
        checks.retain(|(claimant, _)| claimants.contains(claimant));
        checks.shrink_to_fit();
        let doubtful = checks.iter().any(|(_, check)| matches!(check, Check::Rejected(_, false)));
        if checks.is_empty() {
            self.by_netns.remove(&netns);
        }
        match doubtful {
            true => _ = self.doubtful.insert(netns),
            false => _ = self.doubtful.remove(&netns),
        }
    }

    /// Forgets all checks of a namespace.
    pub(super) fn forget(&mut self, netns: NetnsId) {
        self.by_netns.remove(&netns);
        self.doubtful.remove(&netns);
    }

    /// Returns the namespaces with a mismatching claim that is not counted yet.
    pub(super) fn doubtful(&self) -> impl Iterator<Item = NetnsId> {
        self.doubtful.iter().copied()
    }

    /// Returns the number of claims rejected since the start; each counts once for a namespace.
    pub(super) fn rejected_ever(&self) -> u64 {
        self.rejected_ever
    }
}

fn fits(claim: &Claim, inside: &Inside, cgroup: Option<&str>) -> bool {
    let mut addresses = claim.endpoints.iter().filter_map(|endpoint| endpoint.address).peekable();
    match inside {
        Inside::Denied => is_cgroup_of(cgroup, &claim.owner),
        Inside::Seen(_) if addresses.peek().is_none() => is_cgroup_of(cgroup, &claim.owner),
        Inside::Seen(links) => {
            let addresses: HashSet<Mac> = addresses.collect();
            links.values().any(|link| link.address.is_some_and(|address| addresses.contains(&address)))
        }
    }
}

/// Returns false if the cgroup of a process names another container: its pid was then assigned to a new
/// process.
fn is_cgroup_of(cgroup: Option<&str>, owner: &Workload) -> bool {
    let is_id = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let ids =
        cgroup.unwrap_or_default().split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| is_id(part));
    let mut ids = ids.peekable();
    !is_id(&owner.id) || ids.peek().is_none() || ids.any(|id| id == owner.id)
}
