//! The state machine: what is known of the host, what to ask next, what to show.
//!
//! Everything that can interleave is decided here. A round reads all: the host's links, then those of each
//! namespace they lead to and of each that a runtime claims. After the first round events keep the topology, and
//! feed the ledger with the counters they carry; changes are gathered for some milliseconds and judged together.
//! Where only the host's events arrive, each tick begins a round.

use super::event::Event;
use super::ledger::{self, Carried, LabelSet, Ledger};
use super::link::{Counters, End, Errors, Kind, Link, Mac, Name, NetnsId, PeerNetns};
use super::pairing::Pair;
use super::topology::{Change, Topology};
use super::view::{Scene, Source, SourceStatus, Status, View};
use super::workload::{Claims, Expected, Locator, Runtime, Workload};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

mod input;
mod naming;
mod newcomers;
mod show;

pub use input::{
    Config, Inhabitant, Input, Learning, Links, Located, Location, LookFailure, Request, Samples,
};
use naming::Naming;
use newcomers::Newcomers;

/// What a runtime last said.
#[derive(Debug, Default)]
struct Heard {
    /// It answered last time, or has not had the time to.
    may_name: bool,
    /// The last good answer: names stay while an engine is away and its containers live on.
    claims: Claims,
    /// When it was last asked with an answer.
    asked: Duration,
    /// The interfaces that it is about to make or has made, by their address.
    expected: BTreeMap<Mac, Vec<Expected>>,
    /// The containers that exist, running or not, by their id.
    containers: HashMap<String, Workload>,
}

impl Heard {
    /// True if it tells of containers before they are there: it may yet tell of one that is gone.
    fn foresees(&self) -> bool {
        !self.expected.is_empty() || !self.containers.is_empty()
    }
}

impl Heard {
    /// Notes whether it has answered; true if that is news.
    fn answered(&mut self, well: bool, now: Duration) -> bool {
        self.asked = now;
        std::mem::replace(&mut self.may_name, well) != well
    }
}

/// The state of one host.
#[derive(Debug)]
pub struct Host {
    config: Config,
    topology: Topology,
    heard: BTreeMap<Runtime, Heard>,
    located: BTreeMap<Locator, Location>,
    /// Every claim is located: there is none to ask for.
    all_located: bool,
    /// By the namespace they were found in.
    inhabitants: BTreeMap<NetnsId, Inhabitant>,
    searches: BTreeMap<NetnsId, Search>,
    newcomers: Newcomers,
    naming: Naming,
    round: Round,
    rounds: u64,
    /// When the first round was complete.
    started: Duration,
    /// When the last round began.
    resynced: Duration,
    /// The nsids that had no namespace, or one that could not be read, when they were asked about: they are not asked about
    /// again before the next round, or before such an id is given again.
    refused: BTreeSet<u32>,
    /// Namespaces whose links could not be read, and why.
    unreadable: BTreeMap<NetnsId, String>,
    /// Claims that point to no namespace, since when, and whether they are counted; and how many ever were.
    unlocated: BTreeMap<Locator, (Duration, bool)>,
    unlocated_ever: u64,
    /// The processes whose end we want to hear of.
    watched: BTreeSet<u32>,
    /// Questions that are open and belong to no round.
    asked: BTreeSet<Request>,
    /// How many answers about the links of the host (`None`) or of an nsid are still to come.
    links_open: BTreeMap<Option<u32>, u32>,
    /// All must be read again, and why: at the next tick, if nothing hinders it.
    resync_owed: Option<&'static str>,
    /// What the last round found to be otherwise than events had told, and when.
    suspects: BTreeMap<End, Duration>,
    /// When an echo was asked for that has not come back.
    echo_asked: Option<Duration>,
    /// How many answers about the links of an nsid are still to come that are about the one that had it before.
    void: BTreeMap<u32, u32>,
    /// The nsids that were taken back while these were being located, or while processes were searched for: an answer
    /// that names one of them may be about the namespace that had it before. One to a later question is not.
    taken_back_from: BTreeMap<Locator, BTreeSet<u32>>,
    taken_back: BTreeSet<u32>,
    /// What the host's links counted when a namespace last ended.
    parting: HashMap<Name, Counters>,
    /// When to judge what has changed since the last time; and whether links have.
    due: Option<Duration>,
    links_changed: bool,
    /// A namespace has got an id since names were asked for.
    names_wanted: bool,
    /// Names are being read because somebody asked outside of a tick; and somebody has asked again since.
    names_asked: bool,
    names_asked_again: bool,
    /// When to judge even if nothing changes: somebody has waited long enough, or is to be forgotten.
    again: Duration,
    /// When the last tick's counters came, and whether those of another are awaited.
    ticked: Duration,
    tick_due: bool,
    ledger: Ledger,
    /// For each pair the counters of its two sides as last read.
    samples: Vec<[Counters; 2]>,
    /// The namespaces that tell the counters of pairs without an end on the host, and the place in turn up to which they were
    /// read.
    off_host: BTreeSet<u32>,
    read_up_to: u32,
    /// The same of links that are no veths, and which of them are being read for a scrape.
    others_read_up_to: u32,
    others_awaited: BTreeSet<u32>,
    /// What went wrong on links, of those where anything did; none of them is a veth.
    errors: HashMap<End, Errors>,
    /// The same of the pairs of which an end receives past its port.
    bypassed_up_to: u32,
    /// Of all pairs, the next that may be one of those; and how many ticks there were.
    suspect: usize,
    ticks: u32,
    scene: Arc<Scene>,
    /// For each pair of the scene its place in the pairing.
    shown: Vec<usize>,
    /// For each of the ledger's totals of workloads whether it is hidden.
    hidden: Vec<bool>,
    /// The labels that pairs were given since somebody asked.
    named: Vec<LabelSet>,
    status: Status,
    /// There are pods here, or somebody who would tell of them: from then on [`Scene::pods`] is true.
    pods: bool,
    /// Memory for the next tick: of its requests, and of the samples that were taken.
    spare: Vec<Request>,
    spent: Samples,
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

/// An event that tells what a dump has told already comes within this.
const EVENT_ON_ITS_WAY: Duration = Duration::from_secs(1);

/// How often who lives where is judged at least: where something may yet turn out otherwise without a change, and where
/// nothing can.
const JUDGED_IN_DOUBT: Duration = Duration::from_secs(10);
const JUDGED_AT_LEAST: Duration = Duration::from_secs(60);

/// Nothing that ends with time is judged again sooner.
const JUDGED_AT_MOST: Duration = Duration::from_millis(1);

/// How many namespaces are read at a scrape for links that are no veths: as many as 50 ms allow where there are 5,000.
const READ_AT_A_SCRAPE: usize = 512;

/// How many namespaces are read at a tick for pairs that have no end on the host.
const READ_AT_A_TICK: usize = 64;

/// How many namespaces are read to see whether an end receives past its port, and at every which tick.
const SUSPECTS: usize = 8;
const SUSPECTED_EVERY: u32 = 8;

/// A reading of everything.
#[derive(Debug, Default)]
struct Round {
    /// The questions that are open.
    open: BTreeSet<Request>,
    /// The namespaces that were asked about.
    asked: BTreeSet<u32>,
    /// The host's links were read: what is not asked about in this round is gone.
    whole: bool,
    /// What differs from what was known is something that the events have missed.
    checks_events: bool,
    began: Duration,
}

impl Host {
    /// A host of which nothing is known, that will be told of by these runtimes.
    pub fn new(config: Config, runtimes: impl IntoIterator<Item = Runtime>) -> Host {
        let silent = || Heard { may_name: true, ..Heard::default() };
        Host {
            config,
            topology: Topology::default(),
            heard: runtimes.into_iter().map(|runtime| (runtime, silent())).collect(),
            located: BTreeMap::new(),
            all_located: false,
            inhabitants: BTreeMap::new(),
            searches: BTreeMap::new(),
            newcomers: Newcomers::default(),
            naming: Naming::default(),
            round: Round::default(),
            rounds: 0,
            started: Duration::ZERO,
            resynced: Duration::ZERO,
            refused: BTreeSet::new(),
            unreadable: BTreeMap::new(),
            unlocated: BTreeMap::new(),
            unlocated_ever: 0,
            watched: BTreeSet::new(),
            asked: BTreeSet::new(),
            links_open: BTreeMap::new(),
            resync_owed: None,
            suspects: BTreeMap::new(),
            echo_asked: None,
            void: BTreeMap::new(),
            taken_back_from: BTreeMap::new(),
            taken_back: BTreeSet::new(),
            parting: HashMap::new(),
            due: None,
            links_changed: false,
            names_wanted: false,
            names_asked: false,
            names_asked_again: false,
            again: Duration::MAX,
            ticked: Duration::ZERO,
            tick_due: false,
            ledger: Ledger::default(),
            samples: Vec::new(),
            off_host: BTreeSet::new(),
            read_up_to: 0,
            others_read_up_to: 0,
            others_awaited: BTreeSet::new(),
            errors: HashMap::new(),
            bypassed_up_to: 0,
            suspect: 0,
            ticks: 0,
            scene: Arc::default(),
            shown: Vec::new(),
            hidden: Vec::new(),
            named: Vec::new(),
            status: Status::default(),
            pods: false,
            spare: Vec::new(),
            spent: Samples::default(),
        }
    }

    /// Takes one input; says what to ask.
    pub fn apply(&mut self, input: Input, now: Duration) -> Vec<Request> {
        let mut requests = match input {
            Input::Tick => self.tick(now),
            Input::Links { nsid, answer } => self.take_links(nsid, answer, now),
            Input::Located { locator, answer } => self.take_location(locator, answer, now),
            Input::Claims { runtime, answer, took } => self.take_claims(runtime, answer, took, now),
            Input::SameClaims { runtime, took } => self.take_same_claims(runtime, took, now),
            Input::Inhabitants { nsids, answer, took } => {
                self.take_inhabitants(&nsids, answer, took, now);
                Vec::new()
            }
            Input::Expected { runtime, expected, containers } => {
                let heard = self.heard.entry(runtime).or_default();
                heard.expected.clear();
                for mut expected in expected {
                    self.config.filter.strip_workload(&mut expected.workload);
                    heard.expected.entry(expected.address).or_default().push(expected);
                }
                let mut containers = containers;
                containers.iter_mut().for_each(|workload| self.config.filter.strip_workload(workload));
                heard.containers =
                    containers.into_iter().map(|workload| (workload.id.clone(), workload)).collect();
                // Where nobody was new a moment ago somebody may be now.
                self.newcomers.look_again();
                self.touch(now);
                Vec::new()
            }
            Input::Newcomers { nsids, answer } => self.take_newcomers(&nsids, answer, now),
            Input::Dying { container } => {
                let homes: Vec<u32> = self.naming.homes_of(&container).filter_map(NetnsId::nsid).collect();
                homes.into_iter().flat_map(|nsid| self.last_words(nsid)).collect()
            }
            Input::Samples { answer, took } => {
                self.take_samples(answer, took, now);
                Vec::new()
            }
            Input::LastWords(counters) => {
                for (ifindex, counters) in &counters {
                    self.ledger.observe(End { netns: NetnsId::Host, ifindex: *ifindex }, counters);
                }
                self.ledger.settle();
                Vec::new()
            }
            Input::Exited { pid } => {
                self.watched.remove(&pid);
                match self.located.get(&Locator::Pid(pid)).map(|at| at.netns) {
                    Some(Located::Nsid(nsid)) => self.last_words(nsid),
                    _ => Vec::new(),
                }
            }
            Input::Echo => {
                self.take_echo();
                Vec::new()
            }
            Input::Named => self.ask_names().into_iter().collect(),
            Input::Unnamed { locator } => match self.located.get(&locator).map(|at| at.netns) {
                Some(Located::Nsid(nsid)) => self.parting_words(nsid),
                _ => Vec::new(),
            },
            Input::Parting(counters) => {
                self.parting = counters;
                Vec::new()
            }
            Input::Events(events) => {
                let mut requests = Vec::new();
                for event in events {
                    requests.extend(self.take_event(event, now));
                }
                // A name may be another link's by the next sign.
                self.parting.clear();
                requests
            }
            Input::Listening { answer } => {
                let status = SourceStatus { result: answer, took: Duration::ZERO };
                self.status.sources.insert(Source::Events, status);
                Vec::new()
            }
            Input::Wake => Vec::new(),
            Input::ReadOthers => self.read_others(),
            Input::LateTick => {
                self.status.late_ticks += 1;
                Vec::new()
            }
            Input::StaleScrape => {
                self.status.stale_scrapes += 1;
                Vec::new()
            }
        };
        if self.deadline().is_some_and(|due| now >= due) {
            requests.extend(self.judge(now));
        }
        requests
    }

    /// Takes the memory of performed requests back, so that a tick needs none.
    pub fn reuse(&mut self, mut requests: Vec<Request>) {
        requests.clear();
        if requests.capacity() > self.spare.capacity() {
            self.spare = requests;
        }
    }

    /// The memory of the last [`Input::Samples`], for the next.
    pub fn spent_samples(&mut self) -> Samples {
        std::mem::take(&mut self.spent)
    }

    /// When the state machine wants an [`Input::Wake`], should nothing else come before.
    pub fn deadline(&self) -> Option<Duration> {
        if !self.may_judge() {
            return None;
        }
        let due = self.due.unwrap_or(Duration::MAX).min(self.again);
        (due != Duration::MAX).then_some(due)
    }

    /// What to show; `None` before the first round is complete.
    pub fn view(&self) -> Option<View> {
        (self.rounds > 0).then(|| View {
            scene: Arc::clone(&self.scene),
            samples: self.shown.iter().map(|&pair| self.samples[pair]).collect(),
            workloads: self.shown_of(self.ledger.workloads().map(|(_, traffic)| *traffic)),
            peaks: self.shown_of(self.ledger.peaks()),
            rates: self.shown_of(self.ledger.rates()),
            networks: self.ledger.networks().map(|(_, traffic)| *traffic).collect(),
            others: self.scene.others.iter().map(|other| self.read_last(other.end)).collect(),
            ticked: self.ticked,
        })
    }

    /// What is shown of something that there is for each of the ledger's totals of workloads.
    fn shown_of<T>(&self, totals: impl ExactSizeIterator<Item = T>) -> Vec<T> {
        let mut shown = Vec::with_capacity(self.scene.workloads.len());
        shown.extend(totals.zip(&self.hidden).filter(|(_, hidden)| !**hidden).map(|(total, _)| total));
        shown
    }

    /// What a link counted when it was last read.
    fn read_last(&self, end: End) -> (Counters, Errors) {
        let link = self.topology.link(end.netns, end.ifindex);
        let counters = link.map_or_else(Counters::default, |link| link.counters);
        (counters, self.errors.get(&end).copied().unwrap_or_default())
    }

    /// When the last tick ended: when the first counters after it were there.
    pub fn ticked(&self) -> Duration {
        self.ticked
    }

    /// True once there is a view.
    pub fn is_ready(&self) -> bool {
        self.rounds > 0
    }

    /// The labels of the interfaces whose owner has become known since the last call.
    pub fn take_named(&mut self) -> Vec<LabelSet> {
        std::mem::take(&mut self.named)
    }

    /// How the sources do.
    pub fn status(&self) -> &Status {
        &self.status
    }

    fn tick(&mut self, now: Duration) -> Vec<Request> {
        self.tick_due = true;
        if self.config.learning == Learning::Polling || self.rounds == 0 {
            return self.begin_round(now, None);
        }
        if let Some(echo) = self.ask_echo(now) {
            return [echo].into_iter().chain(self.tick_on(now)).collect();
        }
        self.tick_on(now)
    }

    fn tick_on(&mut self, now: Duration) -> Vec<Request> {
        if self.round.open.is_empty()
            && let Some(reason) = self.resync_owed.take()
        {
            return self.begin_round(now, Some(reason));
        }
        if now.saturating_sub(self.resynced) >= self.config.resync {
            return self.begin_round(now, Some("periodic"));
        }
        let mut requests = std::mem::take(&mut self.spare);
        requests.extend(self.heard.keys().map(|&runtime| Request::Claims(runtime)));
        requests.extend(self.inhabitants.values().map(|found| Request::Locate(Locator::Pid(found.pid))));
        let mut read = self.off_host();
        read.extend(self.past_the_port());
        requests.extend(read.into_iter().map(|nsid| Request::Links { nsid: Some(nsid) }));
        self.ask(requests)
    }

    /// The namespaces to read at this tick for pairs without an end on the host: their counters are in no other answer.
    fn off_host(&mut self) -> Vec<u32> {
        in_turn(&self.off_host, &mut self.read_up_to, READ_AT_A_TICK)
    }

    /// Reads the namespaces of links that are no veths, in turn.
    fn read_others(&mut self) -> Vec<Request> {
        let nsids = self.scene.others.iter().filter_map(|other| other.end.netns.nsid()).collect();
        let turn = in_turn(&nsids, &mut self.others_read_up_to, READ_AT_A_SCRAPE);
        self.others_awaited.extend(&turn);
        self.ask(turn.into_iter().map(|nsid| Request::Links { nsid: Some(nsid) }).collect())
    }

    /// True until everything has been answered that [`Input::ReadOthers`] asked for.
    pub fn awaits_others(&self) -> bool {
        !self.others_awaited.is_empty()
    }

    /// The namespaces to read at this tick because what they receive may go past the port on the host: those of which
    /// that is known, and some others in turn, to find out.
    fn past_the_port(&mut self) -> Vec<u32> {
        let pairs = &self.topology.pairing().pairs;
        let inside = |pair: usize| match pairs.get(pair)?.sides.map(|side| side.end.netns) {
            [NetnsId::Host, inside] => inside.nsid(),
            _ => None,
        };
        let known: BTreeSet<u32> = self.ledger.bypassed().filter_map(inside).collect();
        let mut read = in_turn(&known, &mut self.bypassed_up_to, READ_AT_A_TICK);
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(SUSPECTED_EVERY) {
            let suspects = (0..pairs.len()).cycle().skip(self.suspect).take(SUSPECTS.min(pairs.len()));
            read.extend(suspects.filter_map(inside));
            self.suspect = (self.suspect + SUSPECTS).checked_rem(pairs.len()).unwrap_or(0);
        }
        read
    }

    /// Asks for an echo if events have had the time to tell what the last round found.
    fn ask_echo(&mut self, now: Duration) -> Option<Request> {
        let due = |found: &Duration| now.saturating_sub(*found) >= EVENT_ON_ITS_WAY;
        if self.echo_asked.is_some() || !self.suspects.values().any(due) {
            return None;
        }
        self.echo_asked = Some(now);
        Some(Request::Echo)
    }

    /// What events that were there before the echo was asked for have not told, they have missed.
    fn take_echo(&mut self) {
        let Some(asked) = self.echo_asked.take() else { return };
        let before = self.suspects.len();
        self.suspects.retain(|_, found| asked.saturating_sub(*found) < EVENT_ON_ITS_WAY);
        self.status.corrections += (before - self.suspects.len()) as u64;
    }

    /// Reads everything, unless that is under way; `reason` says why events are not enough.
    fn begin_round(&mut self, now: Duration, reason: Option<&'static str>) -> Vec<Request> {
        if !self.round.open.is_empty() {
            // What was read before this reason came may be out of date.
            self.resync_owed = self.resync_owed.or(reason);
            return Vec::new();
        }
        let reason = if self.rounds == 0 { Some("start") } else { reason };
        if let Some(reason) = reason.filter(|_| self.config.learning == Learning::Events) {
            *self.status.resyncs.entry(reason).or_default() += 1;
        }
        let checks_events = self.rounds > 0 && self.config.learning == Learning::Events;
        self.round = Round { began: now, checks_events, ..Round::default() };
        self.resynced = now;
        self.refused.clear();
        let runtimes = self.heard.keys().map(|&runtime| Request::Claims(runtime));
        let locators = self.locators().into_iter().map(Request::Locate);
        let asked: Vec<Request> = runtimes.chain([Request::Links { nsid: None }]).chain(locators).collect();
        self.open(asked)
    }

    /// Notes which questions must be answered before the round is complete: not those to runtimes, which may take
    /// their time, and not searches.
    fn open(&mut self, asked: Vec<Request>) -> Vec<Request> {
        self.round.open.extend(asked.iter().filter(|request| request.is_of_kernel()).cloned());
        self.note_asked(&asked);
        asked
    }

    /// Leaves out what is asked already, and notes the rest.
    fn ask(&mut self, mut wanted: Vec<Request>) -> Vec<Request> {
        wanted.retain(|request| {
            let new = !request.is_of_kernel() || !self.round.open.contains(request);
            new && (!request.is_of_kernel() || self.asked.insert(request.clone()))
        });
        self.note_asked(&wanted);
        wanted
    }

    fn note_asked(&mut self, requests: &[Request]) {
        for request in requests {
            if let Request::Links { nsid } = request {
                self.topology.ask(self.topology.netns(*nsid));
                *self.links_open.entry(*nsid).or_default() += 1;
            }
        }
    }

    /// An answer has come; false if nobody waits for it any more.
    fn answered(&mut self, request: &Request) -> bool {
        let (in_round, outside) = (self.round.open.remove(request), self.asked.remove(request));
        in_round || outside
    }

    /// Something has changed: it is judged with what else changes in the next milliseconds.
    fn touch(&mut self, now: Duration) {
        let places = self.samples.len().max(self.topology.namespaces().len());
        let places = u32::try_from(places).unwrap_or(u32::MAX);
        let due = now + self.config.gather + self.config.gather_a_pair.saturating_mul(places);
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
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
        nsid.inspect(|nsid| _ = self.others_awaited.remove(nsid));
        if self.is_void(nsid) {
            return Vec::new();
        }
        if let Some(open) = self.links_open.get_mut(&nsid) {
            *open = open.saturating_sub(1);
        }
        let netns = self.topology.netns(nsid);
        let touched = self.topology.answered(netns);
        let in_round = self.round.open.contains(&Request::Links { nsid });
        if !self.answered(&Request::Links { nsid }) {
            return Vec::new(); // the namespace that was asked about is gone
        }
        self.round.asked.extend(nsid);
        let (mut missed, mut change) = (Vec::new(), Change::Shape);
        let mut more = Vec::new();
        match answer {
            Ok(Links { links, errors, bad_messages }) => {
                self.errors.retain(|end, _| end.netns != netns);
                let ends = errors.into_iter().map(|(ifindex, errors)| (End { netns, ifindex }, errors));
                self.errors.extend(ends);
                self.status.bad_messages += bad_messages;
                self.round.whole |= nsid.is_none() && in_round;
                if in_round {
                    more = self.look_behind(&links);
                }
                self.note_counters(netns, &links);
                (missed, change) = self.topology.replace(netns, links, &touched);
            }
            Err(LookFailure::Denied) if nsid.is_some() => self.topology.hide(netns),
            // The kernel refuses a namespace from its last user's end on. Its event comes when it is dismantled, which can be
            // seconds later where many are: none is missed.
            Err(LookFailure::Gone) if nsid.is_some() => {
                self.refused.extend(nsid);
                self.topology.forget(netns);
            }
            // What was known stays until a round says otherwise.
            Err(failure) => {
                self.refused.extend(nsid);
                self.resync_owed.get_or_insert("failed");
                self.unreadable.insert(netns, failure.to_string());
                self.report_links(now.saturating_sub(self.round.began));
                if in_round {
                    self.touch(now);
                }
                return Vec::new();
            }
        }
        self.unreadable.remove(&netns);
        if in_round && self.round.checks_events {
            // An event may be on its way that tells of it.
            self.suspects.extend(missed.into_iter().map(|ifindex| (End { netns, ifindex }, now)));
        }
        // A round is complete only when it is judged.
        if change == Change::Shape || in_round {
            self.links_changed = true;
            self.touch(now);
        }
        self.open(more)
    }

    /// True if this answer is to a question that was asked before the id was taken back: answers come in the order of
    /// their questions.
    fn is_void(&mut self, nsid: Option<u32>) -> bool {
        let Some(nsid) = nsid else { return false };
        let Some(left) = self.void.get_mut(&nsid) else { return false };
        *left -= 1;
        if *left == 0 {
            self.void.remove(&nsid);
        }
        true
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

    /// Counters of pairs that have no end on the host come with the links alone.
    fn note_counters(&mut self, netns: NetnsId, links: &[Link]) {
        if netns == NetnsId::Host {
            return;
        }
        for link in links.iter().filter(|link| link.kind == Kind::Veth && link.iflink.is_some()) {
            let end = End { netns, ifindex: link.ifindex };
            if let Some((pair, side)) = self.ledger.observe(end, &link.counters)
                && let Some(samples) = self.samples.get_mut(pair)
            {
                samples[side] = ledger::highest(&samples[side], &link.counters);
            }
        }
    }

    fn take_location(
        &mut self,
        locator: Locator,
        answer: Result<Location, LookFailure>,
        now: Duration,
    ) -> Vec<Request> {
        let request = Request::Locate(locator.clone());
        let in_round = self.round.open.contains(&request);
        self.answered(&request);
        let taken_back = self.taken_back_from.remove(&locator).unwrap_or_default();
        let mut more = Vec::new();
        match answer {
            Ok(Location { netns: Located::Nsid(nsid), .. }) if taken_back.contains(&nsid) => {
                // Perhaps it is the one that had the id before: ask again.
                more = self.ask(vec![request]);
            }
            Ok(found) => {
                if let Located::Nsid(nsid) = found.netns {
                    let links = Request::Links { nsid: Some(nsid) };
                    let before = self.located.get(&locator);
                    // What was read there before the claim came may be of another namespace that had this id.
                    let news = before.is_none_or(|before| before.netns != found.netns);
                    if in_round && self.round.asked.insert(nsid) {
                        more = self.open(vec![links]);
                    } else if news {
                        more = self.ask(vec![links]);
                    }
                }
                self.all_located &= found.netns != Located::WithoutId;
                self.unlocated.remove(&locator);
                let same = self.located.insert(locator, found.clone()) == Some(found);
                if !same || in_round {
                    self.touch(now);
                }
            }
            // A container that vanishes is no error. What is no namespace, or may not be opened, is counted.
            Err(failure) => {
                // A name is made a moment before its namespace is mounted on it.
                let (since, counted) = self.unlocated.entry(locator.clone()).or_insert((now, false));
                if failure != LookFailure::Gone && !*counted && now.saturating_sub(*since) >= SECOND {
                    *counted = true;
                    self.unlocated_ever += 1;
                }
                self.all_located = false;
                if self.located.remove(&locator).is_some() || in_round {
                    self.touch(now);
                }
            }
        }
        more
    }

    /// Notes for every question about a namespace that is open that this id may be the earlier one's in its answer.
    fn take_back(&mut self, nsid: u32) {
        for request in self.asked.iter().chain(&self.round.open) {
            if let Request::Locate(locator) = request {
                self.taken_back_from.entry(locator.clone()).or_default().insert(nsid);
            }
        }
        if self.searches.values().any(|search| search.open) {
            self.taken_back.insert(nsid);
        }
    }

    fn take_claims(
        &mut self,
        runtime: Runtime,
        answer: Option<Result<Claims, String>>,
        took: Duration,
        now: Duration,
    ) -> Vec<Request> {
        self.names_answered(runtime, now);
        let heard = self.heard.entry(runtime).or_default();
        let mut changed = heard.answered(matches!(answer, Some(Ok(_))), now);
        let pods_before = self.pods || self.config.pods;
        if runtime == Runtime::Cri {
            self.pods |= answer.is_some();
            self.config.pods &= answer.is_some();
        }
        let result = answer.map(|answer| {
            let mut claims = answer?;
            self.config.filter.strip(&mut claims);
            if heard.claims != claims {
                self.pods |= claims.claims.iter().any(|claim| !claim.owner.pod.is_empty());
                heard.claims = claims;
                self.all_located = false;
                changed = true;
            }
            Ok(())
        });
        changed |= pods_before != (self.pods || self.config.pods);
        self.report_claims(runtime, result, took);
        self.believe(changed, now)
    }

    /// The runtime's last answer still holds.
    fn take_same_claims(&mut self, runtime: Runtime, took: Duration, now: Duration) -> Vec<Request> {
        self.names_answered(runtime, now);
        let changed = self.heard.entry(runtime).or_default().answered(true, now);
        self.report_claims(runtime, Some(Ok(())), took);
        self.believe(changed, now)
    }

    fn report_claims(&mut self, runtime: Runtime, result: Option<Result<(), String>>, took: Duration) {
        let source = match runtime {
            Runtime::Docker => Some(Source::Docker),
            Runtime::Podman => Some(Source::Podman),
            Runtime::Cri => Some(Source::Cri),
            Runtime::Named => Some(Source::Named),
            // These tell nothing by themselves.
            Runtime::Lxc | Runtime::Nspawn | Runtime::Process | Runtime::Unknown => None,
        };
        if let (Some(source), Some(result)) = (source, result) {
            self.status.sources.insert(source, SourceStatus { result, took });
        }
    }

    /// Asks where the claims are that are not located yet.
    fn believe(&mut self, changed: bool, now: Duration) -> Vec<Request> {
        // While somebody waits for a name, each answer is a chance; and the end of the wait is judged by it.
        if changed || self.again <= now {
            self.touch(now);
        }
        if self.all_located {
            return Vec::new();
        }
        let known = self.locators();
        self.located.retain(|locator, _| known.contains(locator));
        self.unlocated.retain(|locator, _| known.contains(locator));
        self.all_located = known.iter().all(|locator| self.is_located(locator));
        let new = known.into_iter().filter(|locator| !self.located.contains_key(locator));
        let new = new.map(Request::Locate).collect();
        self.ask(new)
    }

    /// True if a namespace with an id is known for it.
    fn is_located(&self, locator: &Locator) -> bool {
        self.located.get(locator).is_some_and(|at| at.netns != Located::WithoutId)
    }

    fn take_inhabitants(
        &mut self,
        nsids: &BTreeSet<u32>,
        answer: Result<Vec<Inhabitant>, String>,
        took: Duration,
        now: Duration,
    ) {
        for &nsid in nsids {
            let search = self.searches.entry(self.topology.netns(Some(nsid))).or_default();
            search.open = false;
            search.next = now + SECOND.saturating_mul(1 << search.tries.min(6)).min(LONGEST_SEARCH_PAUSE);
            search.tries += 1;
        }
        let result = answer.as_ref().map(|_| ()).map_err(Clone::clone);
        self.status.sources.insert(Source::Process, SourceStatus { result, took });
        let found = answer.unwrap_or_default().into_iter();
        for inhabitant in found.filter(|found| !self.taken_back.contains(&found.nsid)) {
            let at = Location { netns: Located::Nsid(inhabitant.nsid), cgroup: inhabitant.cgroup.clone() };
            self.located.insert(Locator::Pid(inhabitant.pid), at);
            self.inhabitants.insert(self.topology.netns(Some(inhabitant.nsid)), inhabitant);
        }
        if self.searches.values().all(|search| !search.open) {
            self.taken_back.clear();
        }
        self.touch(now);
    }

    /// Asks who is new in the namespaces that have just got an id, if a runtime can tell what a new one is called. One
    /// question at a time, however many namespaces come.
    fn look_for_newcomers(&mut self) -> Option<Request> {
        let told = self.heard.values().any(Heard::foresees);
        self.newcomers.question(told)
    }

    fn take_newcomers(
        &mut self,
        nsids: &BTreeSet<u32>,
        answer: Result<Vec<Inhabitant>, String>,
        now: Duration,
    ) -> Vec<Request> {
        // Where processes cannot be read, the search for inhabitants says so.
        let found = answer.unwrap_or_default();
        if self.newcomers.answer(nsids, found, |nsid| self.topology.netns(Some(nsid))) {
            self.touch(now);
        }
        self.look_for_newcomers().into_iter().collect()
    }

    fn take_samples(&mut self, answer: Result<Samples, String>, took: Duration, now: Duration) {
        let result = answer.map(|samples| {
            self.status.bad_messages += samples.bad_messages;
            for (ifindex, counters) in &samples.counters {
                let end = End { netns: NetnsId::Host, ifindex: *ifindex };
                if let Some((pair, side)) = self.ledger.observe(end, counters)
                    && let Some(samples) = self.samples.get_mut(pair)
                {
                    samples[side] = *counters;
                }
            }
            self.ledger.settle();
            // The first sample after a tick ends it; those of scrapes in between do not count for the peaks.
            if std::mem::take(&mut self.tick_due) {
                self.ledger.tick(now, now.saturating_sub(self.ticked), self.config.peak_window);
                self.ticked = now;
            }
            self.spent = samples;
        });
        self.status.sources.insert(Source::Counters, SourceStatus { result, took });
    }

    fn take_event(&mut self, event: Event, now: Duration) -> Vec<Request> {
        self.status.events += 1;
        match event {
            Event::Link { source, link } => {
                let netns = self.topology.netns(source);
                let end = End { netns, ifindex: link.ifindex };
                self.suspects.remove(&end);
                self.note_last(end, &link);
                if self.topology.upsert(netns, link) == Change::Shape {
                    self.links_changed = true;
                    self.touch(now);
                }
                Vec::new()
            }
            Event::Unlink { source, link, moved } => {
                let end_now =
                    |topology: &Topology| End { netns: topology.netns(source), ifindex: link.ifindex };
                // It may be about to go before it has its account.
                let unknown = link.kind == Kind::Veth && self.ledger.place(end_now(&self.topology)).is_none();
                let requests = if unknown { self.judge_links(now) } else { Vec::new() };
                // Judging may have found that the id is another namespace's.
                let end = end_now(&self.topology);
                self.note_last(end, &link);
                if !moved {
                    self.ledger.end(end);
                }
                self.suspects.remove(&end);
                self.topology.unlink(end.netns, end.ifindex);
                self.links_changed = true;
                self.touch(now);
                requests
            }
            Event::NewNsid(nsid) => {
                self.refused.remove(&nsid);
                self.names_wanted = true;
                self.touch(now);
                self.newcomers.awaited(nsid);
                self.look_for_newcomers().into_iter().collect()
            }
            Event::DeletedNsid(nsid) => {
                let netns = self.topology.netns(Some(nsid));
                let unknown = self.topology.veths(netns).any(|end| self.ledger.place(end).is_none());
                let mut requests = if unknown { self.judge_links(now) } else { Vec::new() };
                requests.splice(0..0, self.parting_words(nsid));
                self.suspects.retain(|end, _| end.netns != netns);
                self.topology.end_of(nsid);
                self.others_awaited.remove(&nsid);
                self.errors.retain(|end, _| end.netns != netns);
                self.located.retain(|_, at| at.netns != Located::Nsid(nsid));
                self.all_located = false;
                self.inhabitants.remove(&netns);
                self.newcomers.leave(netns);
                self.take_back(nsid);
                self.answered(&Request::Links { nsid: Some(nsid) });
                match self.links_open.remove(&Some(nsid)) {
                    Some(open) if open > 0 => *self.void.entry(nsid).or_default() += open,
                    _ => {}
                }
                self.links_changed = true;
                self.touch(now);
                requests
            }
            Event::Lost => {
                self.status.lost += 1;
                self.begin_round(now, Some("lost"))
            }
            Event::Bad => {
                self.status.bad_messages += 1;
                self.resync_owed.get_or_insert("unreadable");
                Vec::new()
            }
        }
    }

    /// Asks for the names of namespaces, if they are not being read: then they are read once more.
    fn ask_names(&mut self) -> Option<Request> {
        self.names_asked_again = self.names_asked;
        (!std::mem::replace(&mut self.names_asked, true)).then_some(Request::Claims(Runtime::Named))
    }

    fn names_answered(&mut self, runtime: Runtime, now: Duration) {
        if runtime == Runtime::Named {
            self.names_asked = false;
            if std::mem::take(&mut self.names_asked_again) {
                self.names_wanted = true;
                self.touch(now);
            }
        }
    }

    /// The first process of a namespace is the first sign of its death.
    fn watch_exits(&mut self) -> Vec<Request> {
        let pids: BTreeSet<u32> = self
            .located
            .iter()
            .filter_map(|(locator, at)| match (locator, at.netns) {
                (Locator::Pid(pid), Located::Nsid(_)) => Some(*pid),
                _ => None,
            })
            .collect();
        let new: Vec<u32> = pids.difference(&self.watched).copied().collect();
        self.watched.extend(&new);
        new.into_iter().map(Request::WatchExit).collect()
    }

    /// What a namespace that is about to die has sent shows on the host's ends of its pairs, and there only until they
    /// are parted.
    fn last_words(&self, nsid: u32) -> Vec<Request> {
        let ports = self.ports_of(nsid);
        if ports.is_empty() { Vec::new() } else { vec![Request::LastWords(ports)] }
    }

    /// The same, with what was read at the very sign, if it was.
    fn parting_words(&mut self, nsid: u32) -> Vec<Request> {
        for (ifindex, name) in self.ports_of(nsid) {
            if let Some(counters) = self.parting.get(&name) {
                self.ledger.observe(End { netns: NetnsId::Host, ifindex }, counters);
            }
        }
        self.last_words(nsid)
    }

    /// The host's ends of a namespace's pairs, with their names.
    fn ports_of(&self, nsid: u32) -> Vec<(u32, Name)> {
        let netns = self.topology.netns(Some(nsid));
        let pairs = &self.topology.pairing().pairs;
        let on_host = self.topology.veths(netns).filter_map(|end| {
            let (pair, side) = self.ledger.place(end)?;
            let host = pairs.get(pair)?.sides[1 - side];
            Some((host.end.ifindex, host.link?.name)).filter(|_| host.end.netns == NetnsId::Host)
        });
        on_host.collect()
    }

    /// Notes what a link message counts, which may be the last that is heard of the end.
    fn note_last(&mut self, end: End, link: &Link) {
        if link.kind != Kind::Veth {
            return;
        }
        // An end that is being made has no peer either, and no account.
        if link.iflink.is_none() {
            self.ledger.observe_detached(end, &link.counters);
        } else {
            self.ledger.observe(end, &link.counters);
        }
    }

    /// Judges at once if links have changed: an end that is about to go may not have its account yet.
    fn judge_links(&mut self, now: Duration) -> Vec<Request> {
        if self.rounds > 0 && self.links_changed { self.judge(now) } else { Vec::new() }
    }

    /// Before the first round is complete nothing is known; where all is polled, answers are judged together.
    fn may_judge(&self) -> bool {
        match self.config.learning {
            Learning::Events if self.rounds > 0 => true,
            _ => self.round.open.is_empty() && (self.rounds > 0 || self.round.whole),
        }
    }

    /// Says what all that is known means together, and what is missing.
    fn judge(&mut self, now: Duration) -> Vec<Request> {
        self.due = None;
        if self.round.whole && self.round.open.is_empty() {
            self.complete_round(now);
        }
        if std::mem::take(&mut self.links_changed) {
            self.pair_up(now);
        }
        let waiting = self.attribute(now);
        let wanted = self.topology.wanted().into_iter().filter(|nsid| !self.refused.contains(nsid));
        let mut more = self.ask(wanted.map(|nsid| Request::Links { nsid: Some(nsid) }).collect());
        if waiting.for_runtimes {
            // An engine says whose it is when the container has started. The folder of names would answer at once,
            // again and again.
            let engines =
                self.heard.iter().filter(|(runtime, heard)| **runtime != Runtime::Named && heard.may_name);
            more.extend(engines.map(|(&runtime, _)| Request::Claims(runtime)));
        }
        if std::mem::take(&mut self.names_wanted) {
            // A name in /run/netns is there before the namespace has its first veth.
            if self.heard.contains_key(&Runtime::Named) {
                more.extend(self.ask_names());
            }
            // A claim that was not located may be now.
            let located = |locator: &Locator| {
                self.located.get(locator).is_some_and(|at| at.netns != Located::WithoutId)
            };
            let lost = self.locators().into_iter().filter(|locator| !located(locator));
            let lost = lost.map(Request::Locate).collect();
            more.extend(self.ask(lost));
        }
        self.newcomers.keep(&waiting.nameless);
        more.extend(self.look_for_newcomers());
        more.extend(self.search(waiting.unclaimed, now));
        more.extend(self.watch_exits());
        let searches = self.searches.values().filter(|search| !search.open).map(|search| search.next);
        let leaving = self.naming.leaves_at(self.config.leaving);
        let forgotten = self.ledger.forgets_at(self.config.retention);
        let estates = self.ledger.waits_since().map(|since| since + show::KEPT);
        let doubt = self.ledger.in_transit() || self.naming.doubts() || !self.unlocated.is_empty();
        let at_least = if doubt { JUDGED_IN_DOUBT } else { JUDGED_AT_LEAST };
        let ends = searches.chain(waiting.until).chain(estates).chain(leaving).chain(forgotten);
        // What is over now has just been judged.
        self.again = ends.fold(now + at_least, Duration::min).max(now + JUDGED_AT_MOST);
        more
    }

    fn complete_round(&mut self, now: Duration) {
        self.round.whole = false;
        self.report_links(now.saturating_sub(self.round.began));
        self.topology.keep_only(&self.round.asked);
        self.errors.retain(|end, _| self.topology.knows(end.netns));
        if self.rounds == 0 {
            self.started = now;
        }
        self.rounds += 1;
    }

    fn report_links(&mut self, took: Duration) {
        let topology = &self.topology;
        self.unreadable.retain(|&netns, _| topology.netns(netns.nsid()) == netns);
        let result = match (self.unreadable.get(&NetnsId::Host), self.unreadable.values().next()) {
            (Some(why), _) => Err(why.clone()),
            (None, Some(why)) => {
                Err(format!("{} network namespaces could not be read: {why}", self.unreadable.len()))
            }
            (None, None) => Ok(()),
        };
        self.status.sources.insert(Source::Links, SourceStatus { result, took });
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

    /// Joins the links, and carries over what was counted for the pairs that were there before.
    fn pair_up(&mut self, now: Duration) {
        self.topology.pair_up();
        let pairs = &self.topology.pairing().pairs;
        let born = |pair: &Pair| self.topology.born(pair);
        let there = |end: End| self.topology.link(end.netns, end.ifindex).is_some();
        let carried = self.ledger.reconcile(pairs, now, born, there);
        let before = std::mem::take(&mut self.samples);
        self.samples =
            pairs.iter().zip(carried).map(|(pair, carried)| samples(pair, carried, &before)).collect();
    }
}

/// The next of these, up to so many, behind the place up to which they were read before; and begins anew.
fn in_turn(nsids: &BTreeSet<u32>, read_up_to: &mut u32, at_most: usize) -> Vec<u32> {
    let next = nsids.range(*read_up_to..).chain(nsids.range(..*read_up_to));
    let turn: Vec<u32> = next.copied().take(at_most).collect();
    *read_up_to = turn.last().map_or(0, |last| last.saturating_add(1));
    turn
}

/// The counters of a pair's sides: those of the links, and never less than what was read of them before. The
/// links may have been read before the last sample, though they arrive after it.
fn samples(pair: &Pair, carried: Option<Carried>, before: &[[Counters; 2]]) -> [Counters; 2] {
    // An end that was left alone for a while has no sample.
    let mut earlier = carried.and_then(|carried| before.get(carried.index)).copied().unwrap_or_default();
    if carried.is_some_and(|carried| carried.turned) {
        earlier.swap(0, 1);
    }
    let linked = pair.sides.map(|side| side.link.map_or_else(Counters::default, |link| link.counters));
    [ledger::highest(&linked[0], &earlier[0]), ledger::highest(&linked[1], &earlier[1])]
}

#[cfg(test)]
mod graph_tests;
#[cfg(test)]
mod tests;
