//! The policy of the model: every duration and bound that a decision of the model waits for or stops at.
//!
//! [`Config`](super::host::Config) has the user's choices, [`series`](super::series) the costs of a series.

use std::time::Duration;

// Gathering and evaluation.

/// The span within which changes are evaluated together.
pub(crate) const GATHER: Duration = Duration::from_millis(2);
/// The longest pause between two evaluations while a claim or a location is in doubt.
pub(crate) const EVALUATE_IN_DOUBT: Duration = Duration::from_secs(10);
/// The longest pause between two evaluations otherwise.
pub(crate) const EVALUATE_AT_LEAST: Duration = Duration::from_secs(60);
/// The shortest pause between two evaluations because of the time.
pub(crate) const EVALUATE_AT_MOST: Duration = Duration::from_millis(1);

// Reading.

/// The time after which everything is read again although events report what changes.
pub(crate) const RESYNC: Duration = Duration::from_secs(300);
/// The requests of a resync that are sent at a time, of those about one namespace and of those about one
/// claim: what a new container's name waits for comes behind them.
pub(crate) const RESYNC_AT_A_TIME: usize = 32;
/// The time within which an event arrives of what a dump has shown already.
pub(crate) const EVENT_ON_ITS_WAY: Duration = Duration::from_secs(1);
/// The namespaces that are read at a scrape for links that are no veths: as many as 50 ms allow where there
/// are 5,000.
pub(crate) const READ_AT_A_SCRAPE: usize = 512;
/// The namespaces that are read at a tick for pairs without an end on the host.
pub(crate) const READ_AT_A_TICK: usize = 64;
/// The namespaces that are read to see whether an end receives past its port (bpf_redirect_peer), and the
/// ticks from one such reading to the next.
pub(crate) const SUSPECTS: usize = 8;
pub(crate) const SUSPECTED_EVERY: u32 = 8;

/// Queue disciplines are read one by one if at most one in this many links of the host has one, else by one
/// dump: a request costs 6 to 16 us and wakes every listener of RTNLGRP_TC, a link of a dump costs 1 to 4 us.
pub(crate) const QUEUES_ONE_BY_ONE: usize = 8;

// Names.

/// The time for which an end without an owner is held back while a runtime may still name it.
pub(crate) const HOLD_BACK: Duration = Duration::from_secs(1);
/// The factor by which a pair is held back longer in a namespace with a generated name: a pod is reported
/// when it has started, which may be seconds after its network was made. It also counts for a pair that a
/// saved state has named.
pub(crate) const HOLD_BACK_GENERATED: u32 = 10;
/// The time within which an engine takes an interface up after it has moved the interface in.
pub(crate) const UNFINISHED: Duration = Duration::from_secs(4);
/// The same for an interface that still has the name that the engine made up: 11 s were measured with 20
/// starts in parallel on two busy cores.
pub(crate) const UNNAMED_BY_ENGINE: Duration = Duration::from_secs(60);
/// The longest time from a pair's creation on the host to the move of an end into its container: 1.6 s were
/// measured with 16 starts in parallel on two cores.
pub(crate) const TRANSIT: Duration = Duration::from_secs(10);
/// The shortest time for which an owner stays after its last claim on the namespace.
pub(crate) const LEAVING: Duration = Duration::from_secs(2);
/// The time for which the traffic of a pair that died without a name is kept.
pub(crate) const KEPT_UNATTRIBUTED: Duration = Duration::from_secs(10);
/// The greatest number of dead pairs that wait for their owner.
pub(crate) const UNATTRIBUTED: usize = 4096;
/// The time within which a pair has dropped packets that drops them now.
pub(crate) const DROPS_WITHIN: Duration = Duration::from_secs(15);
/// The number of hold-backs for which a link is in a bad state before that is a problem: engines set
/// interfaces up, and take them down, in steps.
pub(crate) const SETTLED: u32 = 3;
/// The time within which a container that ends by itself several times crashes in a loop.
pub(crate) const CRASH_LOOP_WITHIN: Duration = Duration::from_secs(600);
/// The time for which a stopped container is shown.
pub(crate) const STOPPED_FOR: Duration = Duration::from_secs(3600);
/// The time between a start that was found without an event and the event of the same start, at most.
pub(crate) const START_REPORTED_WITHIN: Duration = Duration::from_secs(1);
/// The shortest time for which the starts of a workload that is gone are kept: an engine waits for a minute
/// before it starts a crashing container again.
pub(crate) const KEPT_STARTS: Duration = Duration::from_secs(600);
/// The time for which an engine is missing, though a container's cgroup proves that it is on this host,
/// before that is reported: another engine's address may turn out to be its own.
pub(crate) const ENGINE_ABSENT_FOR: Duration = Duration::from_secs(2);
/// The time after which the newest processes of a namespace without a name are read: a name in /run/netns is
/// located within some milliseconds, and needs no look at processes.
pub(crate) const UNNAMED_FOR: Duration = Duration::from_millis(40);
/// The upper bound of the pause after a search of all processes without a result; each doubles the pause.
pub(crate) const SEARCH_PAUSE: Duration = Duration::from_secs(64);
/// The age up to which every chance to locate a claim is used: a claim may precede its namespace by a moment.
pub(crate) const YOUNG_CLAIM: Duration = Duration::from_secs(10);
/// The upper bound of the pauses between attempts to locate an older claim.
pub(crate) const LOCATE_PAUSE: Duration = Duration::from_secs(60);
/// The number of older claims that are located again at a time: a runtime may claim thousands of processes
/// that do not exist, and other claims shall not wait behind them.
pub(crate) const LOCATED_AGAIN: usize = 256;

// TCP figures.

/// The time from one reading of a namespace's TCP figures to the next.
pub(crate) const TCP_EVERY: Duration = Duration::from_secs(15);
/// The steps by which the second readings of namespaces come earlier: a second, as ticks do.
pub(crate) const TCP_SPREAD: Duration = Duration::from_secs(1);
/// The time after which a new namespace is read first.
pub(crate) const TCP_YOUNG: Duration = Duration::from_millis(300);
/// The time after which a young namespace without a reading, or one of which a process is gone, is tried
/// again.
pub(crate) const TCP_RETRY: Duration = Duration::from_secs(1);
/// The namespaces that are read at a time: 3 ms.
pub(crate) const TCP_AT_A_TIME: usize = 32;

// The saved state.

/// The time for which the pairs of an earlier run are waited for: a namespace may be read late.
pub(crate) const RESTORED_WITHIN: Duration = Duration::from_secs(60);

// Drops by reason.

/// The shortest time from one reading of the kernel's counts to the next.
pub(crate) const DROPS_AT_LEAST: Duration = Duration::from_millis(900);
/// The time for which packets wait for the namespace of their cookie.
pub(crate) const DROPS_UNKNOWN: Duration = Duration::from_secs(3);
/// The time after which a count of no known namespace is removed from the kernel's map if it stays the same.
pub(crate) const DROPS_KEPT: Duration = Duration::from_secs(60);
/// The greatest number of reasons of one workload that are shown one by one.
pub(crate) const DROP_REASONS: usize = 32;
