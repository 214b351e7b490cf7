//! Reports of sources about the owners of network namespaces, and the namespaces that these reports lead to.

use super::by_container;
use super::locations::{Locations, one};
use super::new_processes::NewProcesses;
use super::{Owner, checks::Claimant};
use crate::model::cgroup;
use crate::model::filter::Filter;
use crate::model::host::{Located, Location, LookFailure, ProcessInNetns};
use crate::model::ledger::NetworkLabels;
use crate::model::link::{Mac, Name, NetnsId};
use crate::model::topology::Topology;
use crate::model::workload::{
    Claim, Claims, ContainerState, Expected, GivenAddress, JoinedNetns, LifeAction, LifeChange, Locator,
    Network, Runtime, RuntimeNetns, VethlessContainer, Workload,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// The time for which an engine may list a container after it has reported its end; Docker 20.10 was seen to
/// do so for 0.8 s.
const LISTED_AFTER_END: Duration = Duration::from_secs(5);

/// The last report of a source.
#[derive(Debug, Default)]
pub(crate) struct SourceState {
    /// True if the source answered the last request, or the first request is still open.
    pub may_name: bool,
    /// True if the source is configured or was there before, and failed to answer the last request.
    pub is_away: bool,
    /// True while the first request is open.
    is_unanswered: bool,
    /// The claims of the last good answer: names stay while an engine is away and its containers live on.
    claims: BTreeMap<Locator, Vec<Claim>>,
    pub networks: Vec<Network>,
    /// The IPv4 addresses of running containers.
    pub given: Vec<GivenAddress>,
    own: BTreeMap<Locator, Vec<RuntimeNetns>>,
    joined: BTreeMap<Locator, Vec<JoinedNetns>>,
    /// The containers without a veth of their own.
    pub vethless: Vec<VethlessContainer>,
    /// The time of the last answered request.
    pub asked: Duration,
    /// The interfaces that the source is about to create or has created, by address, with the time at which
    /// each was first reported.
    pub expected: BTreeMap<Mac, Vec<(Expected, Duration)>>,
    /// The containers that exist, running or not, by id.
    pub containers: HashMap<String, Workload>,
}

impl SourceState {
    /// Returns true if the source reports containers before their namespaces exist: it may yet name a
    /// namespace that is gone.
    pub(crate) fn foresees(&self) -> bool {
        !self.expected.is_empty() || !self.containers.is_empty()
    }
}

/// A claim and its location.
#[derive(Clone, Copy)]
pub(super) struct Locatable<'a> {
    pub runtime: Runtime,
    pub claim: &'a Claim,
    /// The cgroup of the process that located the claim.
    pub cgroup: Option<&'a str>,
    /// The time of the runtime's last answer.
    pub asked: Duration,
}

impl Locatable<'_> {
    pub(super) fn claimant(&self) -> Claimant {
        (self.runtime, self.claim.owner.id.clone(), self.claim.locator.clone())
    }
}

/// All reports about owners.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    pub sources: BTreeMap<Runtime, SourceState>,
    locations: Locations,
    /// The process found in each namespace.
    processes: BTreeMap<NetnsId, ProcessInNetns>,
    /// The namespaces of containers that only their cgroup names and that are in no other container or
    /// machine, by their runtime.
    by_cgroup: BTreeMap<Runtime, BTreeSet<NetnsId>>,
    pub new_processes: NewProcesses,
    /// The nsids with an owner that may have changed.
    changed: BTreeSet<u32>,
    /// The ids of owners with new evidence.
    changed_ids: BTreeSet<String>,
    networks_changed: bool,
    /// The number of changed lists of networks, and that of changed addresses and attachments.
    networks_version: (u64, u64),
    /// The ids of containers with an end that was reported a moment ago, each with the time of the report.
    ended: BTreeMap<String, Duration>,
    /// True if a report about members with a namespace of their own, or the location of a process, has
    /// changed.
    joined_changed: bool,
    /// The number of changed reports.
    version: u64,
}

impl Evidence {
    /// Returns the evidence of these sources before their first report.
    pub(crate) fn new(runtimes: impl IntoIterator<Item = Runtime>) -> Evidence {
        let silent = || SourceState { may_name: true, is_unanswered: true, ..SourceState::default() };
        let sources = runtimes.into_iter().map(|runtime| (runtime, silent())).collect();
        Evidence { sources, ..Evidence::default() }
    }

    /// Books whether a source has answered; `None` if it is not there and not expected. Returns true if its
    /// state has changed.
    pub(crate) fn answered(&mut self, runtime: Runtime, well: Option<bool>, now: Duration) -> bool {
        let before = self.ended.len();
        self.ended.retain(|_, since| now.saturating_sub(*since) < LISTED_AFTER_END);
        self.networks_version.1 += u64::from(self.ended.len() != before);
        let source = self.sources.entry(runtime).or_default();
        source.asked = now;
        source.is_unanswered = false;
        let before = (source.may_name, source.is_away);
        (source.may_name, source.is_away) = (well == Some(true), well == Some(false));
        (source.may_name, source.is_away) != before
    }

    /// Returns the number of changed reports since the start.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Adds one claim of a source.
    pub(crate) fn add_claim(&mut self, runtime: Runtime, claim: Claim) {
        let source = self.sources.entry(runtime).or_default();
        let (locator, id) = (claim.locator.clone(), claim.owner.id.clone());
        let claims = source.claims.entry(locator.clone()).or_insert_with(one);
        if claims.contains(&claim) {
            return;
        }
        claims.push(claim);
        claims.sort();
        if claims.len() == 1 {
            self.locations.want(&locator);
        } else {
            self.locations.touch(&locator);
        }
        self.changed_ids.insert(id);
        self.version += 1;
    }

    /// Removes the claims of a source by this locator.
    pub(crate) fn remove_claims(&mut self, runtime: Runtime, locator: &Locator) {
        let source = self.sources.entry(runtime).or_default();
        if source.claims.remove(locator).is_some() {
            self.locations.unwant(locator);
            self.version += 1;
        }
    }

    /// Replaces all claims of a source. Returns true if a claim or a network has changed.
    pub(crate) fn set_claims(&mut self, runtime: Runtime, claims: Claims) -> bool {
        let source = self.sources.entry(runtime).or_default();
        let mut by_locator: BTreeMap<Locator, Vec<Claim>> = BTreeMap::new();
        for claim in claims.claims {
            by_locator.entry(claim.locator.clone()).or_insert_with(one).push(claim);
        }
        by_locator.values_mut().for_each(|claims| claims.sort());
        let mut own: BTreeMap<Locator, Vec<RuntimeNetns>> = BTreeMap::new();
        for netns in claims.own {
            own.entry(netns.locator.clone()).or_insert_with(one).push(netns);
        }
        let mut joined: BTreeMap<Locator, Vec<JoinedNetns>> = BTreeMap::new();
        for netns in claims.joined {
            joined.entry(netns.locator.clone()).or_insert_with(one).push(netns);
        }
        let networks_changed = source.networks != claims.networks;
        source.networks = claims.networks;
        let vethless_changed = source.vethless != claims.vethless;
        source.vethless = claims.vethless;
        self.networks_changed |= networks_changed;
        self.networks_version.0 += u64::from(networks_changed);
        let given_changed = source.given != claims.given;
        source.given = claims.given;
        let claims_before = std::mem::replace(&mut source.claims, by_locator);
        let own_before = std::mem::replace(&mut source.own, own);
        let joined_before = std::mem::replace(&mut source.joined, joined);
        let claims_changed = changed_keys(&claims_before, &source.claims);
        let own_changed = changed_keys(&own_before, &source.own);
        let joined_changed = changed_keys(&joined_before, &source.joined);
        self.joined_changed |= !joined_changed.is_empty();
        self.networks_version.1 += u64::from(given_changed || !claims_changed.is_empty());
        for (locator, is_new, was_there) in claims_changed.iter().chain(&own_changed).chain(&joined_changed) {
            self.locations.touch(locator);
            if *is_new {
                self.locations.want(locator);
            }
            if *was_there {
                self.locations.unwant(locator);
            }
        }
        for (locator, ..) in &claims_changed {
            let before = claims_before.get(locator).into_iter().flatten();
            let now = self.sources[&runtime].claims.get(locator).into_iter().flatten();
            self.changed_ids.extend(before.chain(now).map(|claim| claim.owner.id.clone()));
        }
        self.locate_containers();
        let news = networks_changed
            || given_changed
            || vethless_changed
            || [claims_changed, own_changed, joined_changed].iter().any(|changed| !changed.is_empty());
        self.version += u64::from(news);
        news
    }

    /// Replaces the interfaces that a runtime expects and the containers that exist.
    pub(crate) fn set_expected(
        &mut self,
        runtime: Runtime,
        expected: Vec<Expected>,
        containers: Vec<Workload>,
        topology: &Topology,
        now: Duration,
    ) {
        self.version += 1;
        let source = self.sources.entry(runtime).or_default();
        let before = std::mem::take(&mut source.expected);
        for expected in expected {
            let known = before.get(&expected.address).into_iter().flatten();
            let since = known.filter(|(known, _)| *known == expected).map(|(_, since)| *since).next();
            source.expected.entry(expected.address).or_default().push((expected, since.unwrap_or(now)));
        }
        for address in before.keys().chain(source.expected.keys()) {
            if before.get(address) != source.expected.get(address) {
                self.changed.extend(topology.with_address(*address).filter_map(|end| end.netns.nsid()));
            }
        }
        self.joined_changed = true;
        let containers: HashMap<String, Workload> =
            containers.into_iter().map(|workload| (workload.id.clone(), workload)).collect();
        let before = std::mem::replace(&mut source.containers, containers);
        for id in before.keys().chain(source.containers.keys()) {
            if before.get(id) != source.containers.get(id) {
                self.changed_ids.insert(id.clone());
            }
        }
    }

    /// Returns the nsids with an owner that may have changed since the last call.
    pub(super) fn take_changed(&mut self) -> BTreeSet<u32> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.append(&mut self.locations.changed);
        changed
    }

    /// Returns the containers that their engines are about to start again.
    pub(crate) fn restarting(&self) -> impl Iterator<Item = &Workload> + Clone {
        let reported = self.sources.values().flat_map(|source| &source.vethless);
        let restarting = reported.filter(|container| container.state == ContainerState::Restarting);
        restarting.map(|container| &container.workload)
    }

    /// Returns the containers that were to share another's namespace.
    pub(super) fn joined(&self) -> impl Iterator<Item = &JoinedNetns> {
        self.sources.values().flat_map(|source| source.joined.values().flatten())
    }

    /// Returns true if another member may be in another namespace than its target since the last call.
    pub(super) fn take_joined_changed(&mut self) -> bool {
        let moved = std::mem::take(&mut self.locations.moved);
        std::mem::take(&mut self.joined_changed) | moved
    }

    /// Returns the ids of owners with new evidence since the last call.
    pub(super) fn take_changed_ids(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.changed_ids)
    }

    /// Returns the network that each of the host's bridges carries, if that may have changed.
    pub(super) fn take_bridges(&mut self) -> Option<HashMap<Name, String>> {
        if !std::mem::take(&mut self.networks_changed) {
            return None;
        }
        let mut bridges = HashMap::new();
        for network in self.sources.values().flat_map(|source| &source.networks) {
            if let Some(bridge) = network.bridge {
                bridges.entry(bridge).or_insert_with(|| network.name.clone());
            }
        }
        Some(bridges)
    }

    /// Returns the number of changed lists of networks since the start, and that of changed addresses and
    /// attachments of containers.
    pub(crate) fn networks_version(&self) -> (u64, u64) {
        self.networks_version
    }

    /// Returns how many running containers a runtime has attached to a network.
    pub(crate) fn attached(&self, runtime: Runtime, network: &str) -> usize {
        let claims = self.sources.get(&runtime).into_iter().flat_map(|source| source.claims.values());
        let on_it = |claim: &&Claim| claim.endpoints.iter().any(|endpoint| endpoint.network == network);
        claims.flatten().filter(on_it).filter(|claim| !self.ended.contains_key(&claim.owner.id)).count()
    }

    /// Returns the addresses of containers that have not ended.
    pub(crate) fn given(&self) -> impl Iterator<Item = (Runtime, &GivenAddress)> {
        let given = self
            .sources
            .iter()
            .flat_map(|(&runtime, source)| source.given.iter().map(move |given| (runtime, given)));
        given.filter(|(_, given)| !self.ended.contains_key(&given.container))
    }

    /// Takes a start or an end: an engine lists a container for a moment after it has reported its end.
    pub(crate) fn take_life(&mut self, change: &LifeChange, now: Duration) {
        let id = &change.workload.id;
        let changed = match change.action {
            LifeAction::Started => self.ended.remove(id).is_some(),
            LifeAction::Ended { .. } | LifeAction::Removed => self.ended.insert(id.clone(), now).is_none(),
            LifeAction::StopRequested => false,
        };
        self.networks_version.1 += u64::from(changed);
    }

    /// Returns every network that a runtime knows.
    pub(crate) fn networks(&self) -> BTreeSet<NetworkLabels> {
        let sources = self.sources.iter();
        let networks = sources.flat_map(|(&runtime, source)| {
            source
                .networks
                .iter()
                .map(move |network| NetworkLabels { runtime, network: network.name.clone() })
        });
        networks.collect()
    }

    /// Returns the claims that are located in a namespace, in the order of trust.
    pub(super) fn claims_at<'a>(&'a self, nsid: u32) -> Vec<Locatable<'a>> {
        let mut claims = Vec::new();
        for locator in self.locations.at.get(&nsid).into_iter().flatten() {
            let cgroup = self.locations.located.get(locator).and_then(|at| at.cgroup.as_deref());
            for (&runtime, source) in &self.sources {
                let here = source.claims.get(locator).into_iter().flatten();
                claims.extend(here.map(|claim| Locatable { runtime, claim, cgroup, asked: source.asked }));
            }
        }
        // Of two containers that an engine runs in one namespace, the one that was started first owns it.
        let order = |located: &Locatable<'a>| (located.runtime, located.claim.started.order(), located.claim);
        claims.sort_by(|a, b| order(a).cmp(&order(b)));
        claims
    }

    /// Returns the name that a runtime has given to a namespace of its own.
    pub(super) fn own_name_at(&self, nsid: u32) -> Option<&str> {
        let locators = || self.locations.at.get(&nsid).into_iter().flatten();
        let own = self
            .sources
            .values()
            .flat_map(|source| locators().flat_map(|locator| source.own.get(locator).into_iter().flatten()));
        own.map(|own| own.name.as_str()).next()
    }

    /// Returns true if a runtime claims this locator for the owner with this id, and the locator has no
    /// location.
    pub(super) fn is_lost(&self, id: &str, locator: &Locator) -> bool {
        let claims =
            self.sources.values().flat_map(|source| source.claims.get(locator).into_iter().flatten());
        !self.locations.located.contains_key(locator) && claims.into_iter().any(|claim| claim.owner.id == id)
    }

    /// Returns the container with this id, if a runtime has reported it.
    pub(super) fn container(&self, id: &str) -> Option<&Workload> {
        self.sources.values().find_map(|source| source.containers.get(id))
    }

    /// Returns the processes that are known to be in a namespace, the most reliable first.
    pub(crate) fn processes_in(&self, netns: NetnsId) -> impl Iterator<Item = u32> {
        let at = netns.nsid().and_then(|nsid| self.locations.at.get(&nsid)).into_iter().flatten();
        let located = at.filter_map(|locator| match locator {
            Locator::Pid(pid) => Some(*pid),
            Locator::Path(_) | Locator::Container(_) => None,
        });
        let new = self.new_processes.process(netns).map(|process| process.pid);
        located.chain(new)
    }

    /// Returns the process that was found in a namespace.
    pub(super) fn process(&self, netns: NetnsId) -> Option<&ProcessInNetns> {
        self.processes.get(&netns)
    }

    /// Adds a process that was found in a namespace without an owner.
    pub(crate) fn add_process(&mut self, netns: NetnsId, process: ProcessInNetns) {
        let locator = Locator::Pid(process.pid);
        self.locations.want(&locator);
        let at = Location { netns: Located::Nsid(process.nsid), cgroup: process.cgroup.clone() };
        self.locations.insert(locator, at);
        self.changed.insert(process.nsid);
        self.forget_process(netns);
        if is_on_host(&process) {
            self.by_cgroup.entry(process.workload.runtime).or_default().insert(netns);
        }
        self.processes.insert(netns, process);
        self.locate_containers();
    }

    /// Locates the claims of containers by the processes that were found.
    fn locate_containers(&mut self) {
        let missing = self.locations.missing.iter().filter(|locator| !locator.is_asked_for());
        let missing: Vec<&Locator> = missing.collect();
        if missing.is_empty() {
            return;
        }
        let sources = self.sources.values();
        let claims = sources.flat_map(|source| missing.iter().filter_map(|at| source.claims.get(*at)));
        let processes = self.processes.values().filter(|process| self.is_there(process));
        let processes = processes.chain(self.new_processes.all());
        let is_known = |id: &str| {
            let locator = Locator::Container(id.into());
            self.container(id).is_some() || self.locations.wanted.get(&locator) > 0
        };
        for (locator, location) in by_container::locate(claims.flatten(), processes, is_known) {
            self.locations.insert(locator, location);
        }
    }

    /// Locates the claims of containers in this namespace anew: a process that may have led to it is gone.
    fn unlocate_containers(&mut self, nsid: u32) {
        let at = self.locations.at.get(&nsid).into_iter().flatten();
        let containers: Vec<Locator> = at.filter(|locator| !locator.is_asked_for()).cloned().collect();
        for locator in &containers {
            self.locations.remove(locator);
        }
        self.locate_containers();
    }

    /// Forgets the process of a namespace unless it is still there and identifies the owner.
    pub(super) fn keep_process(&mut self, netns: NetnsId, owner: Option<&Owner>) {
        let Some(process) = self.processes.get(&netns) else { return };
        let identifies = |owner: &Owner| {
            owner.ownership.owner == process.workload || matches!(owner.locator, Some(Locator::Container(_)))
        };
        if !owner.is_some_and(identifies) || !self.is_there(process) {
            self.forget_process(netns);
        }
    }

    /// Returns true if a process is still located where it was found.
    pub(super) fn is_there(&self, process: &ProcessInNetns) -> bool {
        self.locations.nsid(&Locator::Pid(process.pid)) == Some(process.nsid)
    }

    /// Returns a container that proves that an engine is on this host, if the engine is not there and not
    /// expected: only its cgroup names the container.
    pub(crate) fn unreported(&self, engine: Runtime) -> Option<&Workload> {
        let source = self.sources.get(&engine)?;
        if source.may_name || source.is_away {
            return None;
        }
        let netns = self.by_cgroup.get(&engine)?.first()?;
        self.processes.get(netns).map(|process| &process.workload)
    }

    /// Returns true if no source's first request is open.
    pub(crate) fn have_all_answered(&self) -> bool {
        self.sources.values().all(|source| !source.is_unanswered)
    }

    fn forget_process(&mut self, netns: NetnsId) {
        if let Some(process) = self.processes.remove(&netns) {
            self.locations.unwant(&Locator::Pid(process.pid));
            if let Some(of_runtime) = self.by_cgroup.get_mut(&process.workload.runtime) {
                of_runtime.remove(&netns);
            }
        }
    }

    /// Returns the locators of all processes that were found.
    pub(crate) fn process_locators(&self) -> impl Iterator<Item = Locator> {
        self.processes.values().map(|process| Locator::Pid(process.pid))
    }

    /// Adds the newest processes of these namespaces. Returns the namespaces in which one was found.
    pub(crate) fn add_new_processes(
        &mut self,
        nsids: &BTreeSet<u32>,
        found: Vec<ProcessInNetns>,
        topology: &Topology,
    ) -> BTreeSet<NetnsId> {
        self.changed.extend(found.iter().map(|process| process.nsid));
        let news = self.new_processes.answer(nsids, found, |nsid| topology.netns(Some(nsid)));
        for netns in &news {
            if let Some(process) = self.new_processes.process(*netns) {
                self.locations.watch(process.pid);
            }
        }
        self.locate_containers();
        news
    }

    /// Returns every claimed process and file.
    pub(crate) fn locators(&self) -> impl Iterator<Item = Locator> {
        self.locations.wanted.keys().filter(|locator| locator.is_asked_for()).cloned()
    }

    /// Returns the location of a locator, if it is known.
    pub(crate) fn location(&self, locator: &Locator) -> Option<&Location> {
        self.locations.located.get(locator)
    }

    /// Returns the claimed locators to look up now: those without a location, and, if `without_id`, those in
    /// a namespace without an id.
    pub(crate) fn choose_to_locate(&mut self, without_id: bool, now: Duration) -> Vec<Locator> {
        let missing = self.locations.missing.iter();
        let mut wanted: BTreeSet<Locator> =
            missing.filter(|locator| locator.is_asked_for()).cloned().collect();
        if without_id {
            wanted.extend(self.locations.without_id.iter().cloned());
        }
        self.locations.locating.choose(wanted, now)
    }

    /// Returns true if a claimed name has no location.
    pub(crate) fn misses_names(&self) -> bool {
        self.locations.missing.iter().any(|locator| matches!(locator, Locator::Path(_)))
    }

    /// Sets the location of a locator. Returns true if it differs from the previous one.
    pub(crate) fn set_location(&mut self, locator: Locator, location: Location) -> bool {
        self.locations.locating.found(&locator);
        self.locations.wanted.get(&locator) > 0 && self.locations.insert(locator, location)
    }

    /// Books a failed look-up. Returns true if the locator had a location before.
    pub(crate) fn locating_failed(
        &mut self,
        locator: &Locator,
        failure: &LookFailure,
        now: Duration,
    ) -> bool {
        let known = self.locations.remove(locator);
        if let (Locator::Pid(_), Some(Located::Nsid(nsid))) = (locator, known.as_ref().map(|at| at.netns)) {
            self.unlocate_containers(nsid);
        }
        if self.locations.wanted.get(locator) > 0 {
            self.locations.missing.insert(locator.clone());
            self.locations.locating.failed(locator.clone(), failure, now);
        }
        known.is_some()
    }

    /// Forgets the location of a locator. Returns that location.
    pub(crate) fn unlocate(&mut self, locator: &Locator) -> Option<Location> {
        self.locations.remove(locator)
    }

    /// Forgets all evidence about the namespace that had this id.
    pub(crate) fn end_of(&mut self, nsid: u32, netns: NetnsId) {
        for locator in self.locations.at.get(&nsid).cloned().unwrap_or_default() {
            self.locations.remove(&locator);
        }
        self.forget_process(netns);
        if let Some(process) = self.new_processes.leave(netns) {
            self.locations.unwatch(process.pid);
        }
        self.locate_containers();
    }

    /// Forgets what was found in namespaces that are not there any more, though no event has reported that.
    pub(crate) fn forget_unknown(&mut self, topology: &Topology) {
        let netns = |nsid| topology.netns(Some(nsid));
        for process in self.new_processes.keep_known(netns, |netns| topology.knows(netns)) {
            self.locations.unwatch(process.pid);
        }
    }

    /// Returns the processes to request the end of from now on.
    pub(crate) fn take_to_watch(&mut self) -> BTreeSet<u32> {
        let new = std::mem::take(&mut self.locations.to_watch);
        self.locations.watched.extend(&new);
        new
    }

    /// Handles the end of a process. Returns the nsid of its namespace.
    pub(crate) fn exited(&mut self, pid: u32) -> Option<u32> {
        self.locations.watched.remove(&pid);
        let located = self.locations.nsid(&Locator::Pid(pid));
        located.or_else(|| self.new_processes.netns_of(pid)?.nsid())
    }

    /// Returns true while a claim may precede its namespace by a moment.
    pub(crate) fn doubts(&self, now: Duration) -> bool {
        self.locations.locating.doubts(now)
    }

    /// Returns the number of claims rejected because they lead to no namespace.
    pub(crate) fn rejected_ever(&self) -> u64 {
        self.locations.locating.rejected_ever()
    }

    /// Removes every label that the filter does not want.
    pub(crate) fn strip(filter: &Filter, expected: &mut [Expected], containers: &mut [Workload]) {
        expected.iter_mut().for_each(|expected| filter.strip_workload(&mut expected.workload));
        containers.iter_mut().for_each(|workload| filter.strip_workload(workload));
    }
}

/// Returns true for a container that is in no other container or machine: its engine is on this host.
fn is_on_host(process: &ProcessInNetns) -> bool {
    let path = process.cgroup.as_deref().unwrap_or_default();
    !process.workload.id.is_empty() && cgroup::layers(path).len() == 1
}

/// Returns the keys with differing values, each with whether it exists now and whether it existed before.
fn changed_keys<K: Ord + Clone, V: PartialEq>(
    before: &BTreeMap<K, V>,
    now: &BTreeMap<K, V>,
) -> Vec<(K, bool, bool)> {
    let new = now.iter().filter(|(key, value)| before.get(key) != Some(value));
    let new = new.map(|(key, _)| (key.clone(), true, before.contains_key(key)));
    let gone = before.keys().filter(|key| !now.contains_key(key)).map(|key| (key.clone(), false, true));
    new.chain(gone).collect()
}
