//! Claims that were checked: each is checked once for a namespace, as a container may change its MAC
//! addresses later.

use super::evidence::Locatable;
use crate::model::link::{Mac, NetnsId};
use crate::model::pairing::Inside;
use crate::model::workload::{Claim, Locator, Runtime, Workload};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

/// One claim on a namespace: the runtime's id of the owner, and how it was located.
pub(super) type Claimant = (Runtime, String, Locator);

/// What became of the claims on each namespace.
#[derive(Debug, Default)]
pub(super) struct Checks {
    by_netns: HashMap<NetnsId, Vec<(Claimant, Check)>>,
    /// Where a claim does not fit and that is not counted yet.
    doubtful: BTreeSet<NetnsId>,
    rejected_ever: u64,
}

#[derive(Clone, Copy, Debug)]
enum Check {
    Verified,
    /// It does not fit since this time; whether that is counted.
    Rejected(Duration, bool),
}

impl Checks {
    /// Returns true if a claim is to be believed. A claim that names MAC addresses is believed if one of them
    /// is there: a pid can be another machine's or another process's by now. `asked` is when its runtime
    /// last answered: a claim that does not fit counts once it is older than that, as a container that
    /// changes its network has other addresses a moment before its engine reports them.
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

    /// Forgets what was checked of a namespace besides these.
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

    /// Forgets what was checked of a namespace.
    pub(super) fn forget(&mut self, netns: NetnsId) {
        self.by_netns.remove(&netns);
        self.doubtful.remove(&netns);
    }

    /// Returns the namespaces where a claim does not fit and that is not counted yet.
    pub(super) fn doubtful(&self) -> impl Iterator<Item = NetnsId> {
        self.doubtful.iter().copied()
    }

    /// Returns how many claims were rejected since the start; each once for a namespace.
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

/// Returns false if a process's cgroup says that it is of another container: then its number has passed on.
fn is_cgroup_of(cgroup: Option<&str>, owner: &Workload) -> bool {
    let is_id = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let ids =
        cgroup.unwrap_or_default().split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| is_id(part));
    let mut ids = ids.peekable();
    !is_id(&owner.id) || ids.peek().is_none() || ids.any(|id| id == owner.id)
}
