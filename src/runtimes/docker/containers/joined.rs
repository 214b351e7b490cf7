//! The containers that were to share another's network namespace (`--network container:ID`).

use super::{InspectedWorkload, Known, NetnsOrigin};
use crate::model::workload::{JoinedNetns, Runtime, Workload};
use std::collections::HashSet;

/// Returns every container that was to share the namespace of another one. `listed` has the ids of all
/// containers that run: one that is listed and not inspected yet has no answer here.
pub(in crate::runtimes::docker) fn joined<'a>(
    containers: impl Iterator<Item = InspectedWorkload<'a>>,
    listed: &HashSet<&str>,
) -> Vec<JoinedNetns> {
    let known = Known::new(containers);
    let owners = known.owners();
    let mut joined: Vec<JoinedNetns> = Vec::new();
    for (id, &(member, inspected)) in &known.by_id {
        let NetnsOrigin::Of(reference) = &inspected.netns else { continue };
        let (target, target_locator) = match (owners.get(id).copied().flatten(), known.find(reference)) {
            (Some((owner, lives)), _) => (owner.clone(), Some(lives.locator.clone())),
            // The other container shares the host's namespace, or was to share that of a removed one: then it
            // has an entry of its own.
            (None, Some(_)) => continue,
            (None, None) if listed.iter().any(|id| id.starts_with(reference.as_str())) => continue,
            (None, None) => (removed(member.runtime, reference), None),
        };
        joined.push(JoinedNetns {
            member: member.clone(),
            locator: inspected.locator.clone(),
            target,
            target_locator,
        });
    }
    joined.sort();
    joined
}

/// Returns the container that is known by a reference to it alone.
fn removed(runtime: Runtime, reference: &str) -> Workload {
    Workload { id: reference.to_owned(), ..Workload::named(runtime, "") }
}

#[cfg(test)]
mod tests {
    use super::super::Inspected;
    use super::*;
    use crate::model::workload::{Locator, Started};

    fn container(name: &str, pid: u32, netns: NetnsOrigin) -> (Workload, Inspected) {
        let workload = Workload { id: format!("id-{name}"), ..Workload::named(Runtime::Docker, name) };
        let inspected = Inspected {
            locator: Locator::Pid(pid),
            netns,
            endpoints: Vec::new(),
            given: Vec::new(),
            sandbox: None,
            started: Started::default(),
            image: String::new(),
        };
        (workload, inspected)
    }

    #[test]
    fn each_container_that_shares_a_namespace_has_its_target_and_both_processes() {
        let of = |reference: &str| NetnsOrigin::Of(reference.to_owned());
        let containers = [
            container("vpn", 1, NetnsOrigin::Own),
            container("by-id", 2, of("id-vpn")),
            container("by-name", 3, of("vpn")),
            container("by-member", 4, of("id-by-id")),
            container("of-removed", 5, of("id-removed")),
            container("of-listed", 6, of("id-listed")),
            container("on-host", 7, NetnsOrigin::Host),
            container("of-host", 8, of("id-on-host")),
            container("circle", 9, of("id-circle")),
        ];
        let known = containers.iter().map(|(workload, inspected)| (workload, inspected));
        let listed = HashSet::from(["id-vpn", "id-listed"]);
        let pid = |locator: &Locator| match locator {
            Locator::Pid(pid) => *pid,
            Locator::Path(_) | Locator::Container(_) => 0,
        };
        let joined: Vec<(String, u32, String, Option<u32>)> = joined(known, &listed)
            .into_iter()
            .map(|it| (it.member.name, pid(&it.locator), it.target.id, it.target_locator.as_ref().map(pid)))
            .collect();
        let entry = |member: &str, own: u32, target: &str, pid: Option<u32>| {
            (member.to_owned(), own, target.to_owned(), pid)
        };
        assert_eq!(
            joined,
            [
                entry("by-id", 2, "id-vpn", Some(1)),
                entry("by-member", 4, "id-vpn", Some(1)),
                entry("by-name", 3, "id-vpn", Some(1)),
                entry("of-removed", 5, "id-removed", None),
            ]
        );
    }
}
