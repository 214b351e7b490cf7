//! The state machine: what is known of the host, what to ask next, what to show.
//!
//! Everything that can interleave is decided here. In this version the host is polled: each tick begins a
//! round, which asks for the host's links, then for those of each namespace they lead to and of each that a
//! runtime claims. When all is answered the round is judged as a whole.

use super::ledger::{self, Booking, Carried, LabelSet, Ledger};
use super::link::{Counters, Link, NetnsId, PeerNetns};
use super::pairing::{self, EndState, Inside, Namespaces, Pair, Pairing};
use super::view::{Scene, Source, SourceStatus, Status, View};
use super::workload::{Claims, Locator, Runtime, Workload};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

mod naming;

use naming::{Naming, Told};

/// What the state machine is told.
#[derive(Debug)]
pub enum Input {
    /// It is time for another round.
    Tick,
    /// The links of the host (`None`) or of a namespace.
    Links {
        /// Whose.
        nsid: Option<u32>,
        /// The answer to [`Request::Links`].
        answer: Result<Links, LookFailure>,
    },
    /// The namespace that a claim means.
    Located {
        /// Which claim's.
        locator: Locator,
        /// The answer to [`Request::Locate`].
        answer: Result<Location, LookFailure>,
    },
    /// Who lives in namespaces that no runtime claims.
    Inhabitants {
        /// The namespaces that were looked for, as in [`Request::Search`].
        nsids: BTreeSet<u32>,
        /// One process of each in which there is any; or why processes could not be read.
        answer: Result<Vec<Inhabitant>, String>,
        /// How long it took.
        took: Duration,
    },
    /// What a runtime says; `None` if it is neither configured nor there.
    Claims {
        /// Which runtime.
        runtime: Runtime,
        /// The answer, or why there is none.
        answer: Option<Result<Claims, String>>,
        /// How long it took.
        took: Duration,
    },
    /// The counters of the host's links.
    Samples {
        /// The answer, or why there is none.
        answer: Result<Samples, String>,
        /// How long it took.
        took: Duration,
    },
    /// A scrape did not get counters of its own in time.
    StaleScrape,
}

/// What the state machine wants to know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    /// The links of the host (`None`) or of a namespace.
    Links {
        /// Whose.
        nsid: Option<u32>,
    },
    /// Which namespace a claim means.
    Locate(Locator),
    /// What a runtime says now.
    Claims(Runtime),
    /// Which processes live in the namespaces with these ids.
    Search(BTreeSet<u32>),
}

/// An answer to [`Request::Links`].
#[derive(Debug, Default, PartialEq)]
pub struct Links {
    /// The links, in the kernel's order.
    pub links: Vec<Link>,
    /// Messages that could not be read.
    pub bad_messages: u64,
}

impl Links {
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.links.clear();
        self.bad_messages = 0;
    }
}

/// Counters of links of the host, by ifindex.
#[derive(Debug, Default, PartialEq)]
pub struct Samples {
    /// In the kernel's order.
    pub counters: Vec<(u32, Counters)>,
    /// Messages that could not be read.
    pub bad_messages: u64,
}

impl Samples {
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.counters.clear();
        self.bad_messages = 0;
    }
}

/// Why we could not look into a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookFailure {
    /// It is not there (any more).
    Gone,
    /// We may not (CAP_NET_ADMIN).
    Denied,
    /// Anything else, in words.
    Failed(String),
}

/// An answer to [`Request::Locate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Where.
    pub netns: Located,
    /// For a process: the path of its cgroup.
    pub cgroup: Option<String>,
}

/// A process in a namespace that no runtime claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inhabitant {
    /// The namespace.
    pub nsid: u32,
    /// The process.
    pub pid: u32,
    /// What it is called: a machine, a unit or a command.
    pub workload: Workload,
    /// The path of its cgroup.
    pub cgroup: Option<String>,
}

/// The namespace that a claim means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Located {
    /// The exporter's own.
    Host,
    /// The one with this id.
    Nsid(u32),
    /// One without an id: no veth that we can see leads there.
    WithoutId,
}

/// What the user decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a workload's totals are kept after its last pair is gone.
    pub retention: Duration,
    /// How long an unclaimed end is kept back while a runtime may still name it.
    pub hold_back: Duration,
    /// How long who lived in a namespace stays its owner after nobody claims it any more: veths outlive their
    /// container's process, and links are read later than an engine tells.
    pub leaving: Duration,
    /// How far back the peaks look.
    pub peak_window: Duration,
}

/// What a runtime last said.
#[derive(Debug, Default)]
struct Heard {
    /// It answered last time, or has not had the time to.
    may_name: bool,
    /// The last good answer: names stay while an engine is away and its containers live on.
    claims: Claims,
}

/// The state of one host.
#[derive(Debug)]
pub struct Host {
    config: Config,
    namespaces: Namespaces,
    /// The generation of each nsid; raised when its namespace is found to be another.
    generations: HashMap<u32, u32>,
    heard: BTreeMap<Runtime, Heard>,
    located: BTreeMap<Locator, Location>,
    /// By the namespace they were found in.
    inhabitants: BTreeMap<NetnsId, Inhabitant>,
    searches: BTreeMap<NetnsId, Search>,
    naming: Naming,
    round: Round,
    rounds: u64,
    /// When the first round was complete.
    started: Duration,
    /// When the last tick's counters came, and whether those of another are awaited.
    ticked: Duration,
    tick_due: bool,
    /// The namespaces that the pairing is made from.
    looked: BTreeSet<NetnsId>,
    ledger: Ledger,
    pairing: Pairing,
    /// For each pair the counters of its two sides as last read.
    samples: Vec<[Counters; 2]>,
    /// The pairs' ends on the host: ifindex -> (pair, side).
    on_host: HashMap<u32, (usize, usize)>,
    scene: Arc<Scene>,
    /// For each pair of the scene its place in `pairing.pairs`.
    shown: Vec<usize>,
    status: Status,
}

/// How often processes were looked for in a namespace, and when to do it again.
#[derive(Clone, Copy, Debug, Default)]
struct Search {
    tries: u32,
    next: Duration,
    /// The question is open.
    open: bool,
}

const SECOND: Duration = Duration::from_secs(1);

/// After each search that found nobody the next one waits twice as long, up to this.
const LONGEST_SEARCH_PAUSE: Duration = Duration::from_secs(64);

/// The questions that are open.
#[derive(Debug, Default)]
struct Round {
    open: BTreeSet<Request>,
    /// Namespaces looked into since the last tick.
    asked: BTreeSet<u32>,
    /// The host's links were read: what is not asked about in this round is gone.
    whole: bool,
    /// Links of any namespace were read, or could not be any more.
    changed: bool,
    began: Duration,
}

impl Host {
    /// A host of which nothing is known, that will be told of by these runtimes.
    pub fn new(config: Config, runtimes: impl IntoIterator<Item = Runtime>) -> Host {
        let silent = || Heard { may_name: true, claims: Claims::default() };
        Host {
            config,
            namespaces: Namespaces::new(),
            generations: HashMap::new(),
            heard: runtimes.into_iter().map(|runtime| (runtime, silent())).collect(),
            located: BTreeMap::new(),
            inhabitants: BTreeMap::new(),
            searches: BTreeMap::new(),
            naming: Naming::default(),
            round: Round::default(),
            rounds: 0,
            started: Duration::ZERO,
            ticked: Duration::ZERO,
            tick_due: false,
            looked: BTreeSet::new(),
            ledger: Ledger::default(),
            pairing: Pairing::default(),
            samples: Vec::new(),
            on_host: HashMap::new(),
            scene: Arc::default(),
            shown: Vec::new(),
            status: Status::default(),
        }
    }

    /// Takes one input; says what to ask.
    pub fn apply(&mut self, input: Input, now: Duration) -> Vec<Request> {
        match input {
            Input::Tick => self.begin_round(now),
            Input::Links { nsid, answer } => self.take_links(nsid, answer, now),
            Input::Located { locator, answer } => self.take_location(locator, answer, now),
            Input::Claims { runtime, answer, took } => self.take_claims(runtime, answer, took, now),
            Input::Inhabitants { nsids, answer, took } => self.take_inhabitants(&nsids, answer, took, now),
            Input::Samples { answer, took } => {
                self.take_samples(answer, took, now);
                Vec::new()
            }
            Input::StaleScrape => {
                self.status.stale_scrapes += 1;
                Vec::new()
            }
        }
    }

    /// What to show; `None` before the first round is complete.
    pub fn view(&self) -> Option<View> {
        (self.rounds > 0).then(|| View {
            scene: Arc::clone(&self.scene),
            samples: self.shown.iter().map(|&pair| self.samples[pair]).collect(),
            workloads: self.ledger.workloads().map(|(_, traffic)| *traffic).collect(),
            peaks: self.ledger.peaks().collect(),
            networks: self.ledger.networks().map(|(_, traffic)| *traffic).collect(),
        })
    }

    /// True once there is a view.
    pub fn is_ready(&self) -> bool {
        self.rounds > 0
    }

    /// How the sources do.
    pub fn status(&self) -> &Status {
        &self.status
    }

    fn begin_round(&mut self, now: Duration) -> Vec<Request> {
        self.tick_due = true;
        if !self.round.open.is_empty() {
            return Vec::new(); // the last one takes longer than the interval
        }
        self.round = Round { began: now, ..Round::default() };
        let runtimes = self.heard.keys().map(|&runtime| Request::Claims(runtime));
        let locators = self.locators().into_iter().map(Request::Locate);
        let asked: Vec<Request> = runtimes.chain([Request::Links { nsid: None }]).chain(locators).collect();
        self.open(asked)
    }

    /// Notes which questions must be answered before the round can be judged: not those to runtimes, which
    /// may take their time, and not searches.
    fn open(&mut self, asked: Vec<Request>) -> Vec<Request> {
        let needed =
            asked.iter().filter(|request| matches!(request, Request::Links { .. } | Request::Locate(_)));
        self.round.open.extend(needed.cloned());
        asked
    }

    fn locators(&self) -> BTreeSet<Locator> {
        let claims = self.heard.values().flat_map(|heard| &heard.claims.claims);
        let backrooms = self.heard.values().flat_map(|heard| &heard.claims.backrooms);
        let inhabitants = self.inhabitants.values().map(|inhabitant| Locator::Pid(inhabitant.pid));
        let told = claims.map(|claim| &claim.locator).chain(backrooms.map(|backroom| &backroom.locator));
        told.cloned().chain(inhabitants).collect()
    }

    fn take_links(
        &mut self,
        nsid: Option<u32>,
        answer: Result<Links, LookFailure>,
        now: Duration,
    ) -> Vec<Request> {
        self.round.open.remove(&Request::Links { nsid });
        let netns = self.netns(nsid);
        self.round.changed = true;
        match answer {
            Ok(Links { links, bad_messages }) => {
                self.status.bad_messages += bad_messages;
                self.round.whole |= nsid.is_none();
                let more = self.look_behind(&links);
                self.namespaces.insert(netns, Inside::Seen(links));
                let more = self.open(more);
                return self.judge(more, now);
            }
            Err(LookFailure::Denied) if nsid.is_some() => {
                self.namespaces.insert(netns, Inside::Denied);
            }
            Err(LookFailure::Gone) if nsid.is_some() => {
                self.namespaces.remove(&netns);
            }
            // What was known stays until a round says otherwise.
            Err(failure) => {
                let why = match failure {
                    LookFailure::Gone => "the network namespace is gone".to_owned(),
                    LookFailure::Denied => "permission denied".to_owned(),
                    LookFailure::Failed(why) => why,
                };
                if nsid.is_none() {
                    let took = now.saturating_sub(self.round.began);
                    self.status.sources.insert(Source::Links, SourceStatus { result: Err(why), took });
                }
            }
        }
        self.judge(Vec::new(), now)
    }

    /// The namespaces that these links lead to and that were not asked about in this round.
    fn look_behind(&mut self, links: &[Link]) -> Vec<Request> {
        let peers = links.iter().filter_map(|link| match link.peer_netns {
            PeerNetns::Nsid(nsid) => Some(nsid),
            _ => None,
        });
        let new: BTreeSet<u32> = peers.filter(|nsid| self.round.asked.insert(*nsid)).collect();
        new.into_iter().map(|nsid| Request::Links { nsid: Some(nsid) }).collect()
    }

    fn take_location(
        &mut self,
        locator: Locator,
        answer: Result<Location, LookFailure>,
        now: Duration,
    ) -> Vec<Request> {
        self.round.open.remove(&Request::Locate(locator.clone()));
        let mut more = Vec::new();
        match answer {
            Ok(found) => {
                let netns = found.netns;
                let before = self.located.insert(locator, found);
                if let Located::Nsid(nsid) = netns {
                    let links = Request::Links { nsid: Some(nsid) };
                    // What was read there before the claim came may be of another namespace that had this id.
                    let stale = before.is_none_or(|before| before.netns != netns)
                        && !self.round.open.contains(&links);
                    if self.round.asked.insert(nsid) || stale {
                        more.push(links);
                    }
                }
            }
            // A container that vanishes is no error; one that we may not see claims nothing.
            Err(_) => {
                self.located.remove(&locator);
            }
        }
        let more = self.open(more);
        self.judge(more, now)
    }

    fn take_claims(
        &mut self,
        runtime: Runtime,
        answer: Option<Result<Claims, String>>,
        took: Duration,
        now: Duration,
    ) -> Vec<Request> {
        let heard = self.heard.entry(runtime).or_default();
        heard.may_name = matches!(answer, Some(Ok(_)));
        let source = match runtime {
            Runtime::Docker => Some(Source::Docker),
            Runtime::Named => Some(Source::Named),
            // These tell nothing by themselves.
            Runtime::Lxc | Runtime::Nspawn | Runtime::Process | Runtime::Unknown => None,
        };
        let result = match answer {
            None => None,
            Some(Err(why)) => Some(Err(why)),
            Some(Ok(claims)) => {
                heard.claims = claims;
                Some(Ok(()))
            }
        };
        if let (Some(source), Some(result)) = (source, result) {
            self.status.sources.insert(source, SourceStatus { result, took });
        }
        let known = self.locators();
        self.located.retain(|locator, _| known.contains(locator));
        let new = known.into_iter().filter(|locator| !self.located.contains_key(locator));
        let new = new.map(Request::Locate).filter(|request| !self.round.open.contains(request)).collect();
        let more = self.open(new);
        self.judge(more, now)
    }

    fn take_inhabitants(
        &mut self,
        nsids: &BTreeSet<u32>,
        answer: Result<Vec<Inhabitant>, String>,
        took: Duration,
        now: Duration,
    ) -> Vec<Request> {
        for &nsid in nsids {
            let search = self.searches.entry(self.netns(Some(nsid))).or_default();
            search.open = false;
            search.next = now + SECOND.saturating_mul(1 << search.tries.min(6)).min(LONGEST_SEARCH_PAUSE);
            search.tries += 1;
        }
        let result = answer.as_ref().map(|_| ()).map_err(Clone::clone);
        self.status.sources.insert(Source::Process, SourceStatus { result, took });
        for inhabitant in answer.unwrap_or_default() {
            let at = Location { netns: Located::Nsid(inhabitant.nsid), cgroup: inhabitant.cgroup.clone() };
            self.located.insert(Locator::Pid(inhabitant.pid), at);
            self.inhabitants.insert(self.netns(Some(inhabitant.nsid)), inhabitant);
        }
        self.judge(Vec::new(), now)
    }

    fn take_samples(&mut self, answer: Result<Samples, String>, took: Duration, now: Duration) {
        let result = answer.map(|samples| {
            self.status.bad_messages += samples.bad_messages;
            for (ifindex, counters) in &samples.counters {
                if let Some(&(pair, side)) = self.on_host.get(ifindex) {
                    self.samples[pair][side] = *counters;
                    self.ledger.observe(pair, side, counters);
                }
            }
            self.ledger.settle();
            // The first sample after a tick ends it; those of scrapes in between do not count for the peaks.
            if std::mem::take(&mut self.tick_due) {
                self.ledger.tick(now, now.saturating_sub(self.ticked), self.config.peak_window);
                self.ticked = now;
            }
        });
        self.status.sources.insert(Source::Counters, SourceStatus { result, took });
    }

    fn netns(&self, nsid: Option<u32>) -> NetnsId {
        match nsid {
            None => NetnsId::Host,
            Some(nsid) => {
                NetnsId::Other { nsid, generation: self.generations.get(&nsid).copied().unwrap_or(0) }
            }
        }
    }

    /// When nothing is open any more, says what all the answers mean together.
    fn judge(&mut self, mut more: Vec<Request>, now: Duration) -> Vec<Request> {
        if !self.round.open.is_empty() || (self.rounds == 0 && !self.round.whole) {
            return more;
        }
        if std::mem::take(&mut self.round.whole) {
            let took = now.saturating_sub(self.round.began);
            self.status.sources.insert(Source::Links, SourceStatus { result: Ok(()), took });
            let asked = &self.round.asked;
            self.namespaces.retain(|netns, _| netns.nsid().is_none_or(|nsid| asked.contains(&nsid)));
            if self.rounds == 0 {
                self.started = now;
            }
            self.rounds += 1;
        }
        if std::mem::take(&mut self.round.changed) {
            self.raise_generations();
            self.pair_up(now);
        }
        let waiting = self.attribute(now);
        if waiting.for_runtimes {
            // An engine says whose it is when the container has started. A name in /run/netns is there before the
            // namespace's first veth: each round has asked for it, and the answer would come at once, again and
            // again.
            let engine = self.heard.get(&Runtime::Docker).filter(|heard| heard.may_name);
            more.extend(engine.map(|_| Request::Claims(Runtime::Docker)));
        }
        more.extend(self.search(waiting.unclaimed, now));
        more
    }

    /// Asks who lives in these namespaces, as far as it is time to ask.
    fn search(&mut self, unclaimed: BTreeSet<NetnsId>, now: Duration) -> Option<Request> {
        self.searches.retain(|netns, _| unclaimed.contains(netns));
        let mut nsids = BTreeSet::new();
        for netns in unclaimed {
            let search = self.searches.entry(netns).or_default();
            if !search.open && now >= search.next {
                search.open = true;
                nsids.extend(netns.nsid());
            }
        }
        (!nsids.is_empty()).then_some(Request::Search(nsids))
    }

    /// An nsid whose pairs with the host are all others than before belongs to another namespace now.
    fn raise_generations(&mut self) {
        let partners = |pairs: &[Pair]| {
            let mut partners: HashMap<u32, BTreeSet<u32>> = HashMap::new();
            for [a, b] in pairs.iter().map(|pair| pair.sides.map(|side| side.end)) {
                if let (NetnsId::Host, Some(nsid)) = (a.netns, b.netns.nsid()) {
                    partners.entry(nsid).or_default().insert(a.ifindex);
                }
            }
            partners
        };
        let before = partners(&self.pairing.pairs);
        let now = partners(&pairing::pair(&self.namespaces).pairs);
        let known: BTreeSet<u32> = self.namespaces.keys().filter_map(|netns| netns.nsid()).collect();
        let another = |nsid: u32| match (before.get(&nsid), now.get(&nsid)) {
            (Some(before), Some(now)) => before.is_disjoint(now),
            _ => false,
        };
        let gone = self.looked.iter().filter_map(|netns| netns.nsid()).filter(|nsid| !known.contains(nsid));
        let raised: BTreeSet<u32> = gone.chain(known.iter().copied().filter(|&nsid| another(nsid))).collect();
        for nsid in raised {
            let old = self.netns(Some(nsid));
            *self.generations.entry(nsid).or_default() += 1;
            if let Some(inside) = self.namespaces.remove(&old) {
                self.namespaces.insert(self.netns(Some(nsid)), inside);
            }
        }
    }

    /// Joins the links, and carries over what was counted for the pairs that were there before.
    fn pair_up(&mut self, now: Duration) {
        self.pairing = pairing::pair(&self.namespaces);
        let pairs = &self.pairing.pairs;
        // An end that was not in a namespace when we last looked there was born (or moved) since.
        let looked = std::mem::take(&mut self.looked);
        let born = |pair: &Pair| pair.sides.iter().any(|side| looked.contains(&side.end.netns));
        let carried = self.ledger.reconcile(pairs, now, born);
        let before = std::mem::take(&mut self.samples);
        self.samples =
            pairs.iter().zip(carried).map(|(pair, carried)| samples(pair, carried, &before)).collect();
        self.on_host = HashMap::new();
        for (index, pair) in pairs.iter().enumerate() {
            for (side, end) in pair.sides.iter().map(|side| side.end).enumerate() {
                if end.netns == NetnsId::Host {
                    self.on_host.insert(end.ifindex, (index, side));
                }
            }
        }
        self.looked = self.namespaces.keys().copied().collect();
    }

    /// Says whose each pair is, for the ledger and for the eye; and for which names it waits.
    fn attribute(&mut self, now: Duration) -> Waiting {
        self.inhabitants.retain(|netns, inhabitant| {
            let at = self.located.get(&Locator::Pid(inhabitant.pid));
            at.is_some_and(|at| at.netns == Located::Nsid(inhabitant.nsid))
                && self.namespaces.contains_key(netns)
        });
        let told = Told {
            heard: &self.heard,
            inhabitants: &self.inhabitants,
            located: &self.located,
            namespaces: &self.namespaces,
        };
        let residents = self.naming.residents(&told, now, self.config.leaving);
        self.inhabitants.retain(|netns, inhabitant| residents.is_home_of(*netns, &inhabitant.workload));
        self.status.claims_rejected = self.naming.rejected_ever();
        let mut waiting = Waiting::default();
        let mut sets = LabelSets::default();
        let may_name = self.heard.values().any(|heard| heard.may_name);
        let mut scene = Scene { ends: ends(&self.pairing), ..Scene::default() };
        let mut bookings = Vec::with_capacity(self.pairing.pairs.len());
        let mut tenants = BTreeSet::new();
        self.shown.clear();
        for (index, pair) in self.pairing.pairs.iter().enumerate() {
            let mut shown = residents.show(pair);
            shown
                .sides
                .iter_mut()
                .filter_map(|side| side.labels.as_mut())
                .for_each(|labels| sets.limit(labels));
            let labels = shown.sides.each_ref().map(|side| side.labels.clone());
            let arrived = self.ledger.arrived(index).unwrap_or(now);
            let young = now.saturating_sub(arrived) < self.config.hold_back;
            // A pair in transit: runtimes make both ends on the host, and move one into the container.
            let in_transit =
                arrived > self.started && shown.sides.iter().all(|side| side.end.netns == NetnsId::Host);
            let unclaimed = residents.unclaimed(&shown);
            let unnamed = in_transit || !unclaimed.is_empty() || residents.unfinished(&shown);
            if may_name && young && unnamed {
                waiting.for_runtimes = true;
                bookings.push(Booking::Held(labels));
                continue;
            }
            let searched = |netns| self.searches.get(netns).is_some_and(|search| search.tries > 0);
            let all_searched = unclaimed.iter().all(searched);
            waiting.unclaimed.extend(unclaimed);
            if !all_searched {
                bookings.push(Booking::Held(labels));
                continue;
            }
            bookings.push(Booking::To(labels));
            tenants.extend(shown.sides.iter().filter_map(|side| side.tenant.clone()));
            self.shown.push(index);
            scene.pairs.push(shown);
        }
        self.ledger.assign(bookings, residents.networks(), now, self.config.retention);
        scene.single =
            self.pairing.single.iter().map(|(side, why)| (residents.show_single(side), *why)).collect();
        scene.workloads = self.ledger.workloads().map(|(labels, _)| labels.clone()).collect();
        scene.networks = self.ledger.networks().map(|(labels, _)| labels.clone()).collect();
        scene.tenants = tenants.into_iter().collect();
        if *self.scene != scene {
            self.scene = Arc::new(scene);
        }
        self.naming.remember(residents);
        waiting
    }
}

/// What some pairs are held back for.
#[derive(Default)]
struct Waiting {
    /// A runtime's answer.
    for_runtimes: bool,
    /// Namespaces that no runtime has claimed in time.
    unclaimed: BTreeSet<NetnsId>,
}

/// A workload has at most this many label sets, the rest are one: interfaces are named by whoever has them.
const SETS_OF_A_WORKLOAD: usize = 64;

/// The label sets of each workload.
#[derive(Default)]
struct LabelSets(HashMap<(Runtime, String), HashSet<(String, String)>>);

impl LabelSets {
    fn limit(&mut self, labels: &mut LabelSet) {
        let sets = self.0.entry((labels.runtime, labels.container.clone())).or_default();
        let this = (labels.interface.clone(), labels.network.clone());
        if sets.len() >= SETS_OF_A_WORKLOAD - 1 && !sets.contains(&this) {
            "other".clone_into(&mut labels.interface);
            labels.network.clear();
        } else {
            sets.insert(this);
        }
    }
}

/// The counters of a pair's sides: those of the links, and never less than what was read of them before. The
/// links may have been read before the last sample, though they arrive after it.
fn samples(pair: &Pair, carried: Option<Carried>, before: &[[Counters; 2]]) -> [Counters; 2] {
    let mut earlier = carried.map_or_else(Default::default, |carried| before[carried.index]);
    if carried.is_some_and(|carried| carried.turned) {
        earlier.swap(0, 1);
    }
    let linked = pair.sides.map(|side| side.link.map_or_else(Counters::default, |link| link.counters));
    [ledger::highest(&linked[0], &earlier[0]), ledger::highest(&linked[1], &earlier[1])]
}

fn ends(pairing: &Pairing) -> BTreeMap<EndState, usize> {
    let mut ends: BTreeMap<EndState, usize> = EndState::ALL.into_iter().map(|state| (state, 0)).collect();
    for pair in &pairing.pairs {
        let seen = pair.sides.iter().filter(|side| side.link.is_some()).count();
        *ends.entry(pair.state()).or_default() += seen;
    }
    for (_, state) in &pairing.single {
        *ends.entry(*state).or_default() += 1;
    }
    ends
}

#[cfg(test)]
mod graph_tests;
#[cfg(test)]
mod tests;
