//! The newest processes of a namespace that has just got an id.
//!
//! A container's first process exists before its interface comes, and its cgroup contains the container's id.
//! Together with the runtime's report about that id, the process identifies the namespace's owner before the
//! runtime can be asked. If no runtime reports containers, the process itself may be the owner, and may end
//! before a search of all processes would be due.

use crate::model::cgroup;
use crate::model::host::{ProcessInNetns, Request};
use crate::model::link::NetnsId;
use crate::model::policy::UNNAMED_FOR;
use crate::model::workload::Workload;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// The newest process of each namespace, and the namespaces to search.
#[derive(Debug, Default)]
pub(crate) struct NewProcesses {
    /// An entry leaves with the namespace's id.
    found: BTreeMap<NetnsId, ProcessInNetns>,
    /// The namespaces of `found`.
    by_pid: HashMap<u32, NetnsId>,
    /// The nsids of the next request.
    awaited: BTreeSet<u32>,
    /// The namespaces without a name, and the time of the request about each. An entry leaves with the name.
    unnamed: BTreeMap<NetnsId, Duration>,
    /// The namespaces in which no new process was found. An entry leaves with the name.
    empty: BTreeSet<NetnsId>,
    /// True while a request is open.
    open: bool,
    /// The nsids that the kernel took back while a request was open: its answer may concern the namespace
    /// that had one of them before.
    taken_back: BTreeSet<u32>,
}

impl NewProcesses {
    /// Adds an nsid that was just assigned: its namespace may have a process.
    pub(crate) fn awaited(&mut self, nsid: u32) {
        self.awaited.insert(nsid);
    }

    /// Allows another search in namespaces without a result, as a runtime has reported more.
    pub(crate) fn look_again(&mut self) {
        let empty = std::mem::take(&mut self.empty);
        self.awaited.extend(empty.into_iter().filter_map(NetnsId::nsid));
    }

    /// Returns the next request, if one is due: for each new namespace at once if a runtime has reported
    /// containers (`foreseen`), else for namespaces that have had no name for [`UNNAMED_FOR`].
    pub(crate) fn question(&mut self, foreseen: bool, now: Duration) -> Option<Request> {
        if self.open {
            return None;
        }
        let mut nsids = if foreseen { std::mem::take(&mut self.awaited) } else { BTreeSet::new() };
        let due = self.unnamed.iter().filter(|(_, due)| **due <= now);
        for netns in due.map(|(&netns, _)| netns).collect::<Vec<_>>() {
            self.unnamed.remove(&netns);
            self.empty.insert(netns);
            nsids.extend(netns.nsid());
            self.awaited.retain(|nsid| netns.nsid() != Some(*nsid));
        }
        self.open = !nsids.is_empty();
        self.open.then_some(Request::NewProcesses(nsids))
    }

    /// Returns the time of the next request for a namespace without a name.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.unnamed.values().min().copied().filter(|_| !self.open)
    }

    /// Handles the answer about these namespaces. Returns the namespaces in which a process was found.
    pub(crate) fn answer(
        &mut self,
        nsids: &BTreeSet<u32>,
        found: Vec<ProcessInNetns>,
        netns: impl Fn(u32) -> NetnsId,
    ) -> BTreeSet<NetnsId> {
        self.open = false;
        let taken_back = std::mem::take(&mut self.taken_back);
        self.empty.extend(nsids.difference(&taken_back).map(|&nsid| netns(nsid)));
        let mut news = BTreeSet::new();
        for process in found.into_iter().filter(|process| !taken_back.contains(&process.nsid)) {
            let netns = netns(process.nsid);
            self.empty.remove(&netns);
            self.by_pid.insert(process.pid, netns);
            if let Some(before) = self.found.insert(netns, process) {
                self.remove_pid(before.pid, netns);
            }
            news.insert(netns);
        }
        news
    }

    /// Forgets a pid, unless the namespace's process still has it.
    fn remove_pid(&mut self, pid: u32, netns: NetnsId) {
        if self.found.get(&netns).is_none_or(|process| process.pid != pid)
            && self.by_pid.get(&pid) == Some(&netns)
        {
            self.by_pid.remove(&pid);
        }
    }

    /// Forgets a namespace that is gone. Returns its process.
    pub(crate) fn leave(&mut self, netns: NetnsId) -> Option<ProcessInNetns> {
        let process = self.found.remove(&netns);
        if let Some(process) = &process {
            self.remove_pid(process.pid, netns);
        }
        self.empty.remove(&netns);
        self.unnamed.remove(&netns);
        if let Some(nsid) = netns.nsid() {
            self.awaited.remove(&nsid);
            if self.open {
                self.taken_back.insert(nsid);
            }
        }
        process
    }

    /// Forgets the namespaces that ended without an event; `known` says which are there. Returns their
    /// processes.
    pub(crate) fn keep_known(
        &mut self,
        netns: impl Fn(u32) -> NetnsId,
        known: impl Fn(NetnsId) -> bool,
    ) -> Vec<ProcessInNetns> {
        self.awaited.retain(|nsid| known(netns(*nsid)));
        let gone: Vec<NetnsId> = self.found.keys().filter(|netns| !known(**netns)).copied().collect();
        gone.into_iter().filter_map(|netns| self.leave(netns)).collect()
    }

    /// Sets the namespaces that have no name and may get one.
    pub(crate) fn set_unnamed(&mut self, unnamed: &BTreeSet<NetnsId>, now: Duration) {
        self.empty.retain(|netns| unnamed.contains(netns));
        self.unnamed.retain(|netns, _| unnamed.contains(netns));
        for &netns in unnamed {
            if !self.empty.contains(&netns) && !self.found.contains_key(&netns) {
                self.unnamed.entry(netns).or_insert(now + UNNAMED_FOR);
            }
        }
    }

    /// Returns the process that was found in a namespace.
    pub(crate) fn process(&self, netns: NetnsId) -> Option<&ProcessInNetns> {
        self.found.get(&netns)
    }

    /// Returns the process of each namespace.
    pub(crate) fn all(&self) -> impl Iterator<Item = &ProcessInNetns> {
        self.found.values()
    }

    /// Returns the id of the container of a namespace's first process.
    pub(crate) fn container(&self, netns: NetnsId) -> Option<&str> {
        Some(cgroup::own_container(self.found.get(&netns)?.cgroup.as_deref()?)?.id)
    }

    /// Returns that container's id, and the process.
    pub(crate) fn found(&self, netns: NetnsId) -> Option<(&str, &ProcessInNetns)> {
        Some((self.container(netns)?, self.found.get(&netns)?))
    }

    /// Returns the workload of a process that was found in a namespace. A container that no engine has named
    /// has no name: short containers would each leave one.
    pub(crate) fn workload(&self, netns: NetnsId) -> Option<Workload> {
        let workload = &self.found.get(&netns)?.workload;
        let unnamed = || Workload::named(workload.runtime, "");
        Some(if workload.id.is_empty() { workload.clone() } else { unnamed() })
    }

    /// Returns the namespace in which this process was found.
    pub(crate) fn netns_of(&self, pid: u32) -> Option<NetnsId> {
        self.by_pid.get(&pid).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_has_no_name_for_a_moment_is_asked_about_once() {
        let at = |milliseconds: u64| Duration::from_millis(1_000 + milliseconds);
        let netns = |nsid| NetnsId::Other { nsid, generation: 0 };
        let mut processes = NewProcesses::default();
        processes.awaited(1);
        processes.set_unnamed(&BTreeSet::from([netns(1), netns(2)]), at(0));
        assert_eq!(processes.question(false, at(39)), None);
        processes.set_unnamed(&BTreeSet::from([netns(1)]), at(20));
        assert_eq!(processes.due(), Some(at(40)));
        let about = BTreeSet::from([1]);
        assert_eq!(processes.question(false, at(40)), Some(Request::NewProcesses(about.clone())));
        assert!(processes.answer(&about, Vec::new(), netns).is_empty());
        processes.set_unnamed(&BTreeSet::from([netns(1)]), at(50));
        assert_eq!((processes.due(), processes.question(false, at(500))), (None, None));
        // A runtime has reported more.
        processes.look_again();
        assert_eq!(processes.question(true, at(600)), Some(Request::NewProcesses(about)));
    }
}
