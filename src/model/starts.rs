//! How often each workload was started while the exporter ran, and under one set of names: restarts and
//! recreations.
//!
//! A workload that runs when everything is known first has 0 there. A later start counts once, by one of two
//! proofs:
//!
//! - the start event of an engine that reports events (Docker, Podman);
//! - a new container, or another start of the same one, in the namespace of a pair. Where events are
//!   followed, this is a proof only of a start from before the stream of events began: the stream was
//!   interrupted. For other runtimes it is the only proof.
//!
//! An event does not say whether the user's filter hides the container. So a name is shown once a pair or a
//! container without a veth that is shown has it.

use super::link::NetnsId;
use super::policy::{KEPT_STARTS, START_REPORTED_WITHIN};
use super::state::SavedStarts;
use super::state::journal::Journal;
use super::view::{Ownership, ShownVethless};
use super::workload::{ContainerState, Runtime, Started, Workload, WorkloadName};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The most workloads, and the most containers, that are known although they are gone.
const KNOWN: usize = 4096;

/// An owner that has come to a namespace with a pair, or has left it.
#[derive(Clone, Debug)]
pub(crate) struct OwnerPresence {
    pub netns: NetnsId,
    pub ownership: Arc<Ownership>,
    /// The time at which the pair was first seen in its present namespaces.
    pub arrived: Duration,
    /// False if the owner has left.
    pub is_there: bool,
}

/// A thing that is started: a container by its id, or anything else by its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Instance {
    Container(Runtime, String),
    Netns(NetnsId),
}

impl Instance {
    fn of(workload: &Workload, netns: NetnsId) -> Instance {
        match workload.runtime {
            Runtime::Docker | Runtime::Podman | Runtime::Cri if !workload.id.is_empty() => {
                Instance::Container(workload.runtime, workload.id.clone())
            }
            _ => Instance::Netns(netns),
        }
    }
}

/// The last start of an instance.
#[derive(Clone, Debug, Default)]
struct LastStart {
    /// The namespace of its pair; `None` if only an event has reported it.
    netns: Option<NetnsId>,
    started: Started,
    /// The time of the last event of a start.
    reported: Option<Duration>,
    /// The time at which a start was counted without an event.
    found: Option<Duration>,
    carriers: usize,
    idle: Duration,
}

/// The starts under one name.
#[derive(Clone, Debug, Default)]
struct StartCount {
    count: u64,
    begun: Duration,
    /// True once something that is shown has carried the name: an event says nothing of the owner of a
    /// member, which the user's filter may hide.
    is_shown: bool,
    /// The number of pairs and containers without a veth that carry the name.
    carriers: usize,
    idle: Duration,
}

/// The starts of all workloads.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    names: BTreeMap<Arc<WorkloadName>, StartCount>,
    /// The names without a carrier, each with the time since which it has had none.
    idle: BTreeSet<(Duration, Arc<WorkloadName>)>,
    instances: BTreeMap<Instance, LastStart>,
    /// The instances without a pair, likewise.
    idle_instances: BTreeSet<(Duration, Instance)>,
    /// The runtimes with events that are followed, each with the time since when.
    followed: BTreeMap<Runtime, Duration>,
    /// The starts that events have reported since the last evaluation.
    reported: Vec<Workload>,
    vethless: Arc<Vec<ShownVethless>>,
    /// The number of names that have come or gone.
    version: u64,
    counts: OnceCell<Arc<Vec<u64>>>,
}

impl Starts {
    /// Returns a number that changes whenever a name comes or goes.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Returns the names, sorted, each with the time from which it is counted.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&Arc<WorkloadName>, Duration)> {
        self.shown().map(|(name, starts)| (name, starts.begun))
    }

    fn shown(&self) -> impl Iterator<Item = (&Arc<WorkloadName>, &StartCount)> {
        self.names.iter().filter(|(_, starts)| starts.is_shown)
    }

    /// Returns the number of starts of each name, in the order of the names. The allocation stays the same
    /// until a start is counted or a name comes or goes.
    pub(crate) fn counts(&self) -> &Arc<Vec<u64>> {
        self.counts.get_or_init(|| Arc::new(self.shown().map(|(_, starts)| starts.count).collect()))
    }

    /// Takes whether the events of a runtime are followed from now on.
    pub(crate) fn set_followed(&mut self, runtime: Runtime, is_followed: bool, now: Duration) {
        match is_followed {
            true => _ = self.followed.insert(runtime, now),
            false => _ = self.followed.remove(&runtime),
        }
    }

    /// Takes a start that an event has reported; the next evaluation counts it.
    pub(crate) fn report(&mut self, workload: &Workload) {
        self.reported.push(workload.clone());
    }

    /// Takes the starts of an earlier run; their times are those of this run.
    pub(crate) fn restore(&mut self, saved: impl Iterator<Item = SavedStarts>, now: Duration) {
        for SavedStarts { name, count, begun, is_shown } in saved {
            let name = Arc::new(name);
            let starts = StartCount { count, begun, is_shown, carriers: 0, idle: now };
            if self.names.insert(Arc::clone(&name), starts).is_none() {
                self.idle.insert((now, name));
            }
        }
        self.version += 1;
        self.counts.take();
    }

    /// Writes all starts; `epoch` is the zero of this run's times.
    pub(crate) fn save(&self, journal: &mut Journal, epoch: Duration) {
        for (name, starts) in &self.names {
            journal.starts(name, starts.count, epoch + starts.begun, starts.is_shown);
        }
    }

    /// Evaluates what has come and gone. `started` is when everything was known first.
    pub(crate) fn evaluate(
        &mut self,
        presences: Vec<OwnerPresence>,
        started: Duration,
        retention: Duration,
        now: Duration,
    ) {
        for workload in std::mem::take(&mut self.reported) {
            self.count_reported(&workload, now);
        }
        for presence in presences {
            self.take_presence(presence, started, now);
        }
        self.expire(retention.max(KEPT_STARTS), now);
    }

    /// Takes the containers without a veth; a name stays while one that runs, or is about to, has it.
    pub(crate) fn set_vethless(&mut self, vethless: &Arc<Vec<ShownVethless>>, now: Duration) {
        if Arc::ptr_eq(vethless, &self.vethless) {
            return;
        }
        let before = std::mem::replace(&mut self.vethless, Arc::clone(vethless));
        let is_alive = |container: &&ShownVethless| {
            matches!(container.state, ContainerState::Running | ContainerState::Restarting)
        };
        for container in vethless.iter().filter(is_alive) {
            self.hold(&container.workload, now);
        }
        for container in before.iter().filter(is_alive) {
            self.release(&container.workload, now);
        }
        for container in vethless.iter() {
            self.show(&WorkloadName::of(&container.workload));
        }
    }

    /// Notes that something with this name is shown.
    fn show(&mut self, name: &WorkloadName) {
        if let Some(starts) = self.names.get_mut(name).filter(|starts| !starts.is_shown) {
            starts.is_shown = true;
            self.version += 1;
            self.counts.take();
        }
    }

    fn count_reported(&mut self, workload: &Workload, now: Duration) {
        let key = Instance::Container(workload.runtime, workload.id.clone());
        let known = self.instances.entry(key.clone()).or_default();
        if known.carriers == 0 {
            self.idle_instances.remove(&(known.idle, key.clone()));
            known.idle = now;
            self.idle_instances.insert((now, key));
        }
        known.reported = Some(now);
        let found = known.found.take();
        if found.is_none_or(|found| now.saturating_sub(found) > START_REPORTED_WITHIN) {
            self.count(workload, now);
        }
    }

    fn take_presence(&mut self, presence: OwnerPresence, started: Duration, now: Duration) {
        let OwnerPresence { netns, ownership, arrived, is_there } = presence;
        let Ownership { owner, members, .. } = &*ownership;
        if owner.runtime == Runtime::Unknown {
            return;
        }
        let key = Instance::of(owner, netns);
        if !is_there {
            self.leave(key, now);
            [owner].into_iter().chain(members).for_each(|workload| self.release(workload, now));
            return;
        }
        if self.appear(key, netns, &ownership, arrived) && arrived > started {
            if let Some(known) = self.instances.get_mut(&Instance::of(owner, netns)) {
                known.found = Some(now);
            }
            self.count(owner, now);
        }
        [owner].into_iter().chain(members).for_each(|workload| {
            self.hold(workload, now);
            self.show(&WorkloadName::of(workload));
        });
    }

    /// Takes an instance in the namespace of a pair. Returns true if that proves a start that no event
    /// reports.
    fn appear(&mut self, key: Instance, netns: NetnsId, ownership: &Ownership, arrived: Duration) -> bool {
        let followed = self.followed.get(&ownership.owner.runtime);
        let is_followed = followed.is_some_and(|since| arrived >= *since);
        let known = self.instances.entry(key.clone()).or_default();
        if known.carriers == 0 {
            self.idle_instances.remove(&(known.idle, key));
        }
        known.carriers += 1;
        let (before, is_known) = (known.started, ownership.started != Started::default());
        let is_another = match known.netns {
            Some(there) => {
                let both = is_known && before != Started::default();
                if both { before != ownership.started } else { there != netns }
            }
            None => true,
        };
        known.netns = Some(netns);
        if is_known || is_another {
            known.started = ownership.started;
        }
        let is_reported = known.reported.is_some_and(|at| arrived <= at + START_REPORTED_WITHIN);
        is_another && !is_followed && !is_reported
    }

    fn leave(&mut self, key: Instance, now: Duration) {
        if let Some(known) = self.instances.get_mut(&key) {
            known.carriers = known.carriers.saturating_sub(1);
            if known.carriers == 0 {
                known.idle = now;
                self.idle_instances.insert((now, key));
            }
        }
    }

    fn count(&mut self, workload: &Workload, now: Duration) {
        // A name that is not held stays for the retention from its last start on.
        self.hold(workload, now);
        if let Some(starts) = self.names.get_mut(&WorkloadName::of(workload)) {
            starts.count += 1;
            self.counts.take();
        }
        self.release(workload, now);
    }

    /// Adds a carrier of a workload's name.
    fn hold(&mut self, workload: &Workload, now: Duration) {
        let name = Arc::new(WorkloadName::of(workload));
        let new = || StartCount { begun: now, ..StartCount::default() };
        let starts = self.names.entry(Arc::clone(&name)).or_insert_with(new);
        starts.carriers += 1;
        if starts.carriers == 1 {
            self.idle.remove(&(starts.idle, name));
        }
    }

    fn release(&mut self, workload: &Workload, now: Duration) {
        let name = Arc::new(WorkloadName::of(workload));
        if let Some(starts) = self.names.get_mut(&name) {
            starts.carriers = starts.carriers.saturating_sub(1);
            if starts.carriers == 0 {
                starts.idle = now;
                self.idle.insert((now, name));
            }
        }
    }

    /// Forgets what is gone for longer than this, and what went first beyond [`KNOWN`].
    fn expire(&mut self, kept: Duration, now: Duration) {
        let is_over = |since: Duration| now.saturating_sub(since) > kept;
        while self.idle.first().is_some_and(|(since, _)| is_over(*since)) || self.idle.len() > KNOWN {
            let Some((_, name)) = self.idle.pop_first() else { break };
            self.names.remove(&name);
            self.version += 1;
            self.counts.take();
        }
        let idle = &mut self.idle_instances;
        while idle.first().is_some_and(|(since, _)| is_over(*since)) || idle.len() > KNOWN {
            let Some((_, key)) = idle.pop_first() else { break };
            self.instances.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
