//! Claims of containers with a process that no engine reports, as where an inspection is refused: the cgroup
//! of a process has the container's id.

use crate::model::cgroup;
use crate::model::host::{Located, Location, ProcessInNetns};
use crate::model::workload::{Claim, Locator};
use std::collections::HashMap;

/// Returns the locations of these claims, as far as a process with the container's id was found: the first
/// process of the container or, in the namespace that they share, that of a member. `is_known` returns true
/// for the id of a container that an engine here has: such a container makes any cgroup below its own, and
/// the ids in those prove nothing.
pub(super) fn locate<'a>(
    claims: impl Iterator<Item = &'a Claim>,
    processes: impl Iterator<Item = &'a ProcessInNetns>,
    is_known: impl Fn(&str) -> bool,
) -> Vec<(Locator, Location)> {
    let is_inside = |process: &ProcessInNetns| {
        let path = process.cgroup.as_deref().unwrap_or_default();
        cgroup::ids(path).skip(1).any(&is_known)
    };
    let mut found: HashMap<&str, &ProcessInNetns> = HashMap::new();
    for process in processes.filter(|process| !process.workload.id.is_empty() && !is_inside(process)) {
        found.entry(&process.workload.id).or_insert(process);
    }
    let located = claims.filter_map(|claim| {
        let Locator::Container(id) = &claim.locator else { return None };
        let ids = [&**id].into_iter().chain(claim.members.iter().map(|member| member.id.as_str()));
        let process = ids.into_iter().find_map(|id| found.get(id))?;
        let at = Location { netns: Located::Nsid(process.nsid), cgroup: process.cgroup.clone() };
        Some((claim.locator.clone(), at))
    });
    located.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::workload::{Runtime, Started, Workload};

    const WEB: &str = "0123456789ab0123456789ab0123456789ab0123456789ab0123456789ab0123";
    const LOG: &str = "beef56789ab00123456789ab0123456789ab0123456789ab0123456789ab0123";
    const EVIL: &str = "6666666666660123456789ab0123456789ab0123456789ab0123456789ab0123";

    fn container(id: &str, name: &str) -> Workload {
        Workload { id: id.to_owned(), ..Workload::named(Runtime::Docker, name) }
    }

    fn claim(id: &str, members: &[&str]) -> Claim {
        Claim {
            owner: container(id, "web"),
            locator: Locator::Container(id.into()),
            endpoints: Vec::new(),
            members: members.iter().map(|id| container(id, "log")).collect(),
            started: Started::default(),
        }
    }

    /// A process as it is found: its workload comes from its cgroup.
    fn process(nsid: u32, path: &str, first: bool) -> ProcessInNetns {
        let workload = cgroup::workload(b"httpd", path, first).unwrap();
        ProcessInNetns { nsid, pid: 100 + nsid, cgroup: Some(path.to_owned()), workload }
    }

    #[test]
    fn a_process_with_a_containers_id_in_its_cgroup_leads_to_the_containers_namespace() {
        let docker = |id: &str| format!("/docker/{id}");
        let scope = |id: &str| format!("/system.slice/docker-{id}.scope");
        let below = |outer: &str, id: &str| format!("/docker/{outer}/docker/{id}");
        let first = |nsid, path: &str| process(nsid, path, true);
        for (name, claims, processes, wanted) in [
            ("cgroupfs", vec![claim(WEB, &[])], vec![first(4, &docker(WEB))], vec![4]),
            ("systemd", vec![claim(WEB, &[])], vec![first(4, &scope(WEB))], vec![4]),
            (
                "beside a cgroup namespace",
                vec![claim(WEB, &[])],
                vec![first(4, &format!("/../{WEB}"))],
                vec![4],
            ),
            (
                "in a machine",
                vec![claim(WEB, &[])],
                vec![first(4, &format!("/lxc.payload.c/docker/{WEB}"))],
                vec![4],
            ),
            ("another container", vec![claim(WEB, &[])], vec![first(4, &docker(LOG))], vec![]),
            ("a member alone", vec![claim(WEB, &[LOG])], vec![first(4, &docker(LOG))], vec![4]),
            (
                "the owner before its member",
                vec![claim(WEB, &[LOG])],
                vec![first(9, &docker(LOG)), first(4, &docker(WEB))],
                vec![4],
            ),
            ("not its first process", vec![claim(WEB, &[])], vec![process(4, &docker(WEB), false)], vec![]),
            ("no container at all", vec![claim(WEB, &[])], vec![first(4, "/user.slice")], vec![]),
            (
                "a container that imitates it",
                vec![claim(WEB, &[]), claim(EVIL, &[])],
                vec![first(7, &below(EVIL, WEB)), first(6, &docker(EVIL))],
                vec![6],
            ),
            (
                "two claims",
                vec![claim(WEB, &[]), claim(LOG, &[])],
                vec![first(4, &docker(WEB)), first(5, &docker(LOG))],
                vec![4, 5],
            ),
        ] {
            let known = |id: &str| claims.iter().any(|claim| claim.owner.id == id);
            let located = locate(claims.iter(), processes.iter(), known);
            let nsids: Vec<Located> = located.iter().map(|(_, at)| at.netns).collect();
            assert_eq!(nsids, wanted.into_iter().map(Located::Nsid).collect::<Vec<_>>(), "{name}");
        }
    }
}
