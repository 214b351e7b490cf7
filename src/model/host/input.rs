//! What the state machine is told, and what it asks.

use crate::model::event::Event;
use crate::model::filter::Filter;
use crate::model::link::{Counters, Errors, Link, Name};
use crate::model::workload::{Claim, Claims, Expected, Locator, Runtime, Workload};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

/// What the state machine is told.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub enum Input {
    /// It is time for another round.
    Tick,
    /// The links of the host (`None`) or of a namespace.
    Links {
        /// The nsid of the namespace; `None` for the host's.
        nsid: Option<u32>,
        /// The answer to [`Request::Links`].
        answer: Result<Links, LookFailure>,
    },
    /// The namespace that a claim means.
    Located {
        /// The locator of the claim.
        locator: Locator,
        /// The answer to [`Request::Locate`].
        answer: Result<Location, LookFailure>,
    },
    /// Who lives in namespaces that no runtime claims.
    Processes {
        /// The namespaces that were looked for, as in [`Request::Search`].
        nsids: BTreeSet<u32>,
        /// One process of each in which there is any; or why processes could not be read.
        answer: Result<Vec<ProcessInNetns>, String>,
        /// How long it took.
        took: Duration,
    },
    /// What a runtime says; `None` if it is neither configured nor there.
    Claims {
        /// The runtime that answered.
        runtime: Runtime,
        /// The answer, or why there is none.
        answer: Option<Result<Claims, String>>,
        /// How long it took.
        took: Duration,
    },
    /// What a runtime says is what it said last.
    SameClaims {
        /// The runtime that answered.
        runtime: Runtime,
        /// How long it took to know that.
        took: Duration,
    },
    /// What a runtime is about to make or has made; all that it knows of.
    Expected {
        /// The runtime that announced them.
        runtime: Runtime,
        /// Interfaces, in any order.
        expected: Vec<Expected>,
        /// Containers that exist, running or not, in any order.
        containers: Vec<Workload>,
    },
    /// Who is new in namespaces that have just got an id.
    NewProcesses {
        /// The namespaces that were looked at, as in [`Request::NewProcesses`].
        nsids: BTreeSet<u32>,
        /// One process of each in which there is a new one; or why processes could not be read.
        answer: Result<Vec<ProcessInNetns>, String>,
    },
    /// A runtime says that a container's first process has ended.
    Dying {
        /// The runtime's id of the container.
        container: String,
    },
    /// The counters of the host's links.
    Samples {
        /// The answer, or why there is none.
        answer: Result<Samples, String>,
        /// How long it took.
        took: Duration,
    },
    /// The answer to [`Request::FinalSample`]: counters of the host's links, by ifindex.
    FinalCounters(Vec<(u32, Counters)>),
    /// So many of [`Request::FinalSample`] cannot be performed: too many are waiting.
    FinalSamplesDropped(usize),
    /// A process has ended whose namespace may die with it.
    Exited {
        /// The process of a [`Request::WatchExit`].
        pid: u32,
    },
    /// The answer to [`Request::Barrier`].
    Barrier,
    /// Names may have come to the folder of named namespaces: all are to be read.
    Named,
    /// A name has come to it.
    NameAdded(Box<Claim>),
    /// Whether each name that comes or goes is reported from now on.
    NamesWatched(bool),
    /// A name is gone from it: its namespace is about to die, if nothing else holds it.
    Unnamed {
        /// By which it was located.
        locator: Locator,
    },
    /// What the kernel told unasked, in order.
    Events(Vec<Event>),
    /// Counters of the host's links, read at the first sign that a namespace ends, whose event comes next:
    /// by name, as far as they could be read without waiting.
    TableAtDeath(HashMap<Name, Counters>),
    /// Whose events arrive, or why not every namespace's do.
    Listening {
        /// The reason, where they do not.
        answer: Result<(), String>,
    },
    /// It is the time that [`Host::deadline`](super::Host::deadline) said.
    Wake,
    /// A scrape did not get counters of its own in time.
    StaleScrape,
    /// The next tick comes over half an interval late.
    LateTick,
    /// Somebody wants to see what [`Scene::others`](crate::model::view::Scene::others) count now.
    ReadOthers,
}

/// What the state machine wants to know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    /// The links of the host (`None`) or of a namespace.
    Links {
        /// The nsid of the namespace; `None` for the host's.
        nsid: Option<u32>,
    },
    /// Which namespace a claim means.
    Locate(Locator),
    /// What a runtime says now.
    Claims(Runtime),
    /// Nothing, but the answer comes the way of all others: behind every event that was there before.
    Barrier,
    /// Say when this process ends.
    WatchExit(u32),
    /// The counters of these links of the host, by ifindex and name, at once: the other ends are about to
    /// go, and what they have sent is in no event.
    FinalSample(Vec<(u32, Name)>),
    /// Which processes live in the namespaces with these ids.
    Search(BTreeSet<u32>),
    /// Which of the newest processes live in the namespaces with these ids: quick, and soon.
    NewProcesses(BTreeSet<u32>),
}

impl Request {
    /// True for what the kernel answers, and nobody else.
    pub(super) fn is_of_kernel(&self) -> bool {
        matches!(self, Request::Links { .. } | Request::Locate(_))
    }
}

/// An answer to [`Request::Links`].
#[derive(Debug, Default, PartialEq)]
#[cfg_attr(test, derive(Clone))]
pub struct Links {
    /// The links, in the kernel's order.
    pub links: Vec<Link>,
    /// By ifindex, of those that have any.
    pub errors: Vec<(u32, Errors)>,
    /// Messages that could not be read.
    pub bad_messages: u64,
}

impl Links {
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.links.clear();
        self.errors.clear();
        self.bad_messages = 0;
    }
}

/// Counters of links of the host, by ifindex.
#[derive(Debug, Default, PartialEq)]
#[cfg_attr(test, derive(Clone))]
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
    /// The namespace that was found.
    pub netns: Located,
    /// For a process: the path of its cgroup.
    pub cgroup: Option<String>,
}

/// A process in a namespace that no runtime claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInNetns {
    pub nsid: u32,
    pub pid: u32,
    /// What it is called: a machine, a unit or a command.
    pub workload: Workload,
    /// The path of its cgroup.
    pub cgroup: Option<String>,
}

impl fmt::Display for LookFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LookFailure::Gone => "the network namespace is gone",
            LookFailure::Denied => "permission denied",
            LookFailure::Failed(why) => why,
        })
    }
}

/// The namespace that a claim means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Located {
    /// The exporter's own namespace.
    Host,
    /// The one with this id.
    Nsid(u32),
    /// One without an id: no veth that we can see leads there.
    WithoutId,
}

/// What the user decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// Processes are looked for where no runtime claims.
    pub processes: bool,
    /// How long a workload's totals are kept after its last pair is gone.
    pub retention: Duration,
    /// How long an unclaimed end is kept back while a runtime may still name it.
    pub hold_back: Duration,
    /// How long who lived in a namespace stays its owner after nobody claims it any more: veths outlive their
    /// container's process, and links are read later than an engine tells.
    pub leaving: Duration,
    /// How far back the peaks look.
    pub peak_window: Duration,
    /// How changes are learned.
    pub learning: Learning,
    /// The time for which changes are gathered before they are evaluated.
    pub gather: Duration,
    /// How often all is read again although events tell what changes.
    pub resync: Duration,
    /// Somebody may tell of pods: true until he rotation out not to be there. See
    /// [`Scene::pods`](crate::model::view::Scene::pods).
    pub pods: bool,
    /// The filter of names that are shown.
    pub filter: Filter,
    /// So many series are shown; the rest is summed. See `model::series`.
    pub series: usize,
}

/// How changes are learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learning {
    /// Every namespace's events arrive: all is read again only when some were lost, and every 5 minutes.
    Events,
    /// Only the host's do: all is read again at each tick.
    Polling,
}
