//! Who is new in a namespace that has just got an id.
//!
//! A container's first process is there before its interface has come, and its cgroup has the container's
//! id: with what its runtime told of that id, the namespace has its owner before the runtime can be asked.

use crate::model::host::{ProcessInNetns, Request};
use crate::model::link::NetnsId;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of the newest processes.
#[derive(Debug, Default)]
pub(crate) struct NewProcesses {
    found: BTreeMap<NetnsId, ProcessInNetns>,
    /// The nsids to ask about next.
    awaited: BTreeSet<u32>,
    /// The namespaces where nobody new was found.
    empty: BTreeSet<NetnsId>,
    /// A question is open.
    open: bool,
    /// The nsids that were taken back since: the answer may be about the namespace that had one of them
    /// before.
    taken_back: BTreeSet<u32>,
}

impl NewProcesses {
    /// An nsid was given: somebody may have moved in.
    pub(crate) fn awaited(&mut self, nsid: u32) {
        self.awaited.insert(nsid);
    }

    /// A runtime has told of more: whoever was nowhere to be found may have come.
    pub(crate) fn look_again(&mut self) {
        let empty = std::mem::take(&mut self.empty);
        self.awaited.extend(empty.into_iter().filter_map(NetnsId::nsid));
    }

    /// The next question, if it is time for one. Where no runtime has `told` of containers, nobody asks for
    /// one.
    pub(crate) fn question(&mut self, told: bool) -> Option<Request> {
        if self.open || !told || self.awaited.is_empty() {
            return None;
        }
        self.open = true;
        Some(Request::NewProcesses(std::mem::take(&mut self.awaited)))
    }

    /// Takes the answer about these namespaces. True if somebody was found.
    pub(crate) fn answer(
        &mut self,
        nsids: &BTreeSet<u32>,
        found: Vec<ProcessInNetns>,
        netns: impl Fn(u32) -> NetnsId,
    ) -> bool {
        self.open = false;
        let taken_back = std::mem::take(&mut self.taken_back);
        self.empty.extend(nsids.difference(&taken_back).map(|&nsid| netns(nsid)));
        let mut news = false;
        for newcomer in found.into_iter().filter(|newcomer| !taken_back.contains(&newcomer.nsid)) {
            self.empty.remove(&netns(newcomer.nsid));
            self.found.insert(netns(newcomer.nsid), newcomer);
            news = true;
        }
        news
    }

    /// The namespace is gone.
    pub(crate) fn leave(&mut self, netns: NetnsId) {
        self.found.remove(&netns);
        self.empty.remove(&netns);
        if let Some(nsid) = netns.nsid() {
            self.awaited.remove(&nsid);
            if self.open {
                self.taken_back.insert(nsid);
            }
        }
    }

    /// Forgets where nobody was found, but for the namespaces that somebody waits for a name of.
    pub(crate) fn keep(&mut self, nameless: &BTreeSet<NetnsId>) {
        self.empty.retain(|netns| nameless.contains(netns));
    }

    /// The container whose first process was found in a namespace: its id, by the last part of the
    /// process's cgroup, as runc and crun make it for every engine. A cgroup below that one is the
    /// container's own doing.
    pub(crate) fn container(&self, netns: NetnsId) -> Option<&str> {
        container_id(self.found.get(&netns)?.cgroup.as_deref()?)
    }

    /// Returns the id of that container, and the process.
    pub(crate) fn found(&self, netns: NetnsId) -> Option<(&str, &ProcessInNetns)> {
        Some((self.container(netns)?, self.found.get(&netns)?))
    }
}

/// The id of the container whose own cgroup this is.
fn container_id(cgroup: &str) -> Option<&str> {
    id_in(cgroup.rsplit('/').next()?)
}

/// The ids of the containers below whose cgroups this one is.
pub(super) fn containers_above(cgroup: &str) -> impl Iterator<Item = &str> {
    cgroup.rsplit('/').skip(1).filter_map(id_in)
}

fn id_in(part: &str) -> Option<&str> {
    let is_id = |word: &&str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    part.split(|c: char| !c.is_ascii_alphanumeric()).find(is_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_containers_own_cgroup_names_it() {
        let id = "4a35".repeat(16);
        for cgroup in [
            // As cgroupfs and systemd have them, of Docker 20.10, Podman 4.3 and containerd 1.6.
            format!("/docker/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/machine.slice/libpod-{id}.scope"),
            format!("/kubepods/besteffort/pod0f1c/{id}"),
            format!("/docker/{}/docker/{id}", "b".repeat(64)),
        ] {
            assert_eq!(container_id(&cgroup), Some(id.as_str()), "{cgroup}");
        }
        for cgroup in
            [format!("/docker/{id}/init.scope"), format!("/docker/{id}0"), "/".into(), String::new()]
        {
            assert_eq!(container_id(&cgroup), None, "{cgroup}");
        }
    }
}
