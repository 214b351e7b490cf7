//! The inputs of the state machine, and its requests.

use crate::model::device_table::DeviceTable;
use crate::model::drops::{DropReading, DropReasons, DropsRequest};
use crate::model::event::Event;
use crate::model::filter::Filter;
use crate::model::lack::Lack;
use crate::model::link::{Counters, Errors, Link, Name};
use crate::model::periods::ByPeriod;
use crate::model::problems::checked::CheckedPair;
use crate::model::queues::QueueSamples;
use crate::model::series::OutputLimits;
use crate::model::state::{Moment, SavedState, StateFailure};
use crate::model::tcp::{TcpReading, TcpTarget};
use crate::model::view::Source;
use crate::model::workload::{Claim, Claims, Expected, LifeChange, Locator, Runtime, Workload};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// An input of the state machine.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub enum Input {
    /// The time of a tick has come.
    Tick,
    /// The links of the host (`None`) or of a namespace.
    Links {
        /// The nsid of the namespace; `None` for the host's.
        nsid: Option<u32>,
        /// The answer to [`Request::Links`].
        answer: Result<Links, LookFailure>,
    },
    /// One link of the host.
    HostLink {
        /// The ifindex of the link.
        ifindex: u32,
        /// The answer to [`Request::HostLink`].
        answer: Result<Box<Link>, LookFailure>,
    },
    /// The namespace that a claim means.
    Located {
        /// The locator of the claim.
        locator: Locator,
        /// The answer to [`Request::Locate`].
        answer: Result<Location, LookFailure>,
    },
    /// The processes that were found in namespaces that no runtime claims.
    Processes {
        /// The namespaces that were looked for, as in [`Request::Search`].
        nsids: BTreeSet<u32>,
        /// One process of each in which there is any; or why processes could not be read.
        answer: Result<Vec<ProcessInNetns>, Lack>,
        /// The duration of the request.
        took: Duration,
    },
    /// The claims of a runtime; `None` if the runtime is neither configured nor there.
    Claims {
        /// The runtime that answered.
        runtime: Runtime,
        /// The answer, or why there is none.
        answer: Option<Result<Claims, Lack>>,
        /// The duration of the request.
        took: Duration,
    },
    /// The claims of a runtime are those of its last answer.
    SameClaims {
        /// The runtime that answered.
        runtime: Runtime,
        /// The duration of the request.
        took: Duration,
    },
    /// The interfaces that a runtime is about to make or has made, and its containers; all of them.
    Expected {
        /// The runtime that announced them.
        runtime: Runtime,
        /// Interfaces, in any order.
        expected: Vec<Expected>,
        /// Containers that exist, running or not, in any order.
        containers: Vec<Workload>,
    },
    /// The newest processes of namespaces that have just got an id.
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
    /// Starts and ends of containers, in the order in which their engine reports them.
    Lives(Vec<LifeChange>),
    /// The starts and ends of an engine's containers are reported from now on, or no longer.
    LivesFollowed {
        /// The runtime of the engine.
        runtime: Runtime,
        /// False if the stream of events has ended.
        is_followed: bool,
    },
    /// The counters of the host's links.
    Samples {
        /// The answer, or why there is none.
        answer: Result<Samples, String>,
        /// The duration of the request.
        took: Duration,
    },
    /// The answer to [`Request::FinalSample`]: counters of the host's links, by ifindex.
    FinalCounters(Vec<(u32, Counters)>),
    /// The number of [`Request::FinalSample`]s that are not performed: too many are waiting.
    FinalSamplesDropped(usize),
    /// A process has ended, and its namespace may die with it.
    Exited {
        /// The process of a [`Request::WatchExit`].
        pid: u32,
    },
    /// The answer to [`Request::Tcp`].
    Tcp(Vec<TcpReading>),
    /// The reasons for which the kernel drops packets: its counts are read from now on.
    DropReasons(DropReasons),
    /// The packets that the kernel dropped.
    Drops {
        /// The answer to [`Request::Drops`]; or why there is none.
        answer: Result<DropReading, Lack>,
        /// The duration of the request.
        took: Duration,
    },
    /// The answer to [`Request::Barrier`].
    Barrier,
    /// The findings of checks of namespaces, each in place of those before.
    Checked(Vec<CheckedPair>),
    /// Names may have come to the folder of named namespaces: all are to be read.
    Named,
    /// A name has come to it.
    NameAdded(Box<Claim>),
    /// True if each name that comes or goes is reported from now on.
    NamesWatched(bool),
    /// A name is gone from it: its namespace is about to die, if nothing else holds it.
    Unnamed {
        /// The locator of its claim.
        locator: Locator,
    },
    /// The state of an earlier run, before any other input.
    Restore(Box<RestoredState>),
    /// The calendar, at the start and whenever a day has begun or the clock was set back, all since 1970.
    Calendar {
        /// The times at which the periods of `now` have begun.
        starts: ByPeriod<Duration>,
        /// The time by the system's clock.
        now: Duration,
    },
    /// The state could not be written, and why; or `None`, as it is again.
    StateFailed(Option<Box<StateFailure>>),
    /// Events of the kernel, in order.
    Events(Vec<Event>),
    /// The counters of the host's links, as they could be read without waiting at the first sign that a
    /// namespace ends. The event of that comes next.
    TableAtDeath(DeviceTable),
    /// The events of all namespaces arrive, or do not.
    Listening {
        /// The reason, where only the host's events arrive.
        answer: Result<(), Lack>,
    },
    /// The things that a source does not provide although it works; all of them.
    Limits {
        /// The source that reports them.
        source: Source,
        /// Each with the reason.
        limits: Vec<Lack>,
    },
    /// The time of [`Host::deadline`](super::Host::deadline) has come.
    Wake,
    /// A scrape did not get counters of its own in time.
    StaleScrape,
    /// The next tick comes over half an interval late.
    LateTick,
    /// A scrape wants the counters of [`Scene::others`](crate::model::view::Scene::others).
    ReadOthers,
}

/// The state of an earlier run, and what it takes to use it.
#[derive(Clone, Debug)]
pub struct RestoredState {
    pub(crate) saved: SavedState,
    /// The boot and the namespace of this run.
    pub(crate) here: Moment,
    /// The zero of this run's times, since the beginning of 1970.
    pub(crate) epoch: Duration,
}

/// A request of the state machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    /// The links of the host (`None`) or of a namespace.
    Links {
        /// The nsid of the namespace; `None` for the host's.
        nsid: Option<u32>,
    },
    /// One link of the host, by its ifindex.
    HostLink(u32),
    /// Asks for the namespace that a claim means.
    Locate(Locator),
    /// Asks for the claims of a runtime.
    Claims(Runtime),
    /// Asks for the claims of a runtime that may name a young pair, in case that its events do not report
    /// every change.
    ClaimsOfNameless(Runtime),
    /// Nothing, but the answer comes the way of all others: behind every event that was there before.
    Barrier,
    /// Say when this process ends.
    WatchExit(u32),
    /// The counters of these links of the host, by ifindex and name, at once: the other ends are about to
    /// go, and what they have sent is in no event.
    FinalSample(Vec<(u32, Name)>),
    /// Asks for a process in each of the namespaces with these ids.
    Search(BTreeSet<u32>),
    /// Asks for a process in each of these namespaces, among the newest processes alone: the answer is quick.
    NewProcesses(BTreeSet<u32>),
    /// Asks for the TCP figures of these namespaces.
    Tcp(Vec<TcpTarget>),
    /// Asks for the packets that the kernel dropped.
    Drops(DropsRequest),
}

impl Request {
    /// Returns true for what the kernel answers, and no runtime.
    pub(super) fn is_of_kernel(&self) -> bool {
        matches!(self, Request::Links { .. } | Request::HostLink(_) | Request::Locate(_))
    }
}

/// An answer to [`Request::Links`].
#[derive(Debug, Default, PartialEq)]
#[cfg_attr(test, derive(Clone))]
pub struct Links {
    /// The links, in the kernel's order.
    pub links: Vec<Link>,
    /// The errors of the links that have counted any, by ifindex.
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
    /// The counters by ifindex, in the kernel's order.
    pub counters: Vec<(u32, Counters)>,
    /// Messages that could not be read.
    pub bad_messages: u64,
    /// The queue disciplines of links of the host, if any are wanted.
    pub queues: QueueSamples,
}

impl Samples {
    /// Removes all answers, and keeps the memory and what is wanted.
    pub fn clear(&mut self) {
        self.counters.clear();
        self.bad_messages = 0;
        self.queues.clear_answer();
    }
}

/// The reason why a namespace could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookFailure {
    /// The namespace is not there (any more).
    Gone,
    /// The exporter may not read it (CAP_NET_ADMIN).
    Denied,
    /// Anything else, in words.
    Failed(String),
}

/// An answer to [`Request::Locate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The namespace that was found.
    pub netns: Located,
    /// The path of the cgroup of the process that was located; `None` for a file.
    pub cgroup: Option<String>,
}

/// A process in a namespace that no runtime claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInNetns {
    pub nsid: u32,
    pub pid: u32,
    /// The name of the process: a machine, a unit or a command.
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

/// The user's decisions about the model.
#[derive(Clone, Debug)]
pub struct Config {
    /// Processes are looked for where no runtime claims.
    pub processes: bool,
    /// The time for which a workload's totals are kept after its last pair is gone.
    pub retention: Duration,
    /// The time for which an unclaimed end is held back while a runtime may still name it.
    pub hold_back: Duration,
    /// The time for which an owner stays after its last claim on the namespace: veths outlive their
    /// container's process, and links are read later than an engine reports.
    pub leaving: Duration,
    /// The window of the peaks.
    pub peak_window: Duration,
    /// The way in which changes are learned.
    pub learning: Learning,
    /// The time for which changes are gathered before they are evaluated.
    pub gather: Duration,
    /// The time after which everything is read again although events report what changes.
    pub resync: Duration,
    /// A source may report pods: true until it turns out not to be there. See
    /// [`Scene::pods`](crate::model::view::Scene::pods).
    pub pods: bool,
    /// The filter of names that are shown.
    pub filter: Filter,
    /// The limits of what is shown one by one.
    pub limits: OutputLimits,
    /// The addresses at which each engine is looked for, in words.
    pub sockets: BTreeMap<Runtime, String>,
}

/// The way in which changes are learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learning {
    /// Every namespace's events arrive: all is read again only when some were lost, and every 5 minutes.
    Events,
    /// Only the host's do: all is read again at each tick.
    Polling,
}
