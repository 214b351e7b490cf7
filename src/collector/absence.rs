//! The wait for an engine that is not there: its socket is watched, and not dialled again and again.
//!
//! The folders on the way to the socket are watched for the entry that leads on
//! ([`socket_watch`](crate::runtimes::socket_watch)). Until one comes, each tick gets the answer of the last
//! dial again, and the subscription to the engine's events waits for the same signal.

use crate::model::host::Input;
use crate::model::lack::Lack;
use crate::model::workload::Runtime;
use crate::runtimes::docker::{DockerHost, Stopped};
use crate::runtimes::socket_watch::{Presence, SocketWatch};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// The pauses before an address is dialled again where no event reports a listener: a socket without one, or
/// TCP. Each pause is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(125);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The pause before a socket is dialled that is watched and does not exist: a mount gives no event.
const WATCHED_PAUSE: Duration = Duration::from_secs(60);

/// The pause before a socket is dialled that does not exist and cannot be watched.
const UNWATCHED_PAUSE: Duration = Duration::from_secs(1);

/// The pause before a dial that may start an engine that was stopped on purpose; it is not made while the
/// engine is known to be stopped.
const STOPPED_PAUSE: Duration = Duration::from_secs(60);

/// The pauses between two looks whether a stopped engine was started: in the first minute, and later.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LATER_LOOK: Duration = Duration::from_secs(5);

/// An engine that is not there, and the answer that stands for it meanwhile.
pub(super) struct Absence {
    addresses: Vec<DockerHost>,
    watch: SocketWatch,
    /// The reason of the failure; `None` if the engine is not expected, so that there is no failure.
    reason: Option<Lack>,
    /// The time that the last dial took.
    took: Duration,
    /// The number of dials since the last event.
    dials: u32,
    /// The time of the next dial.
    due: Instant,
    /// The engine, if a dial would start it, with the time of the next look whether something has.
    stopped: Option<(Stopped, Instant)>,
}

impl Absence {
    /// Begins to wait for a listener at any of these addresses.
    pub(super) fn begin(addresses: Vec<DockerHost>) -> Absence {
        let (watch, due) = (SocketWatch::new(), Instant::now());
        Absence { addresses, watch, reason: None, took: Duration::ZERO, dials: 0, due, stopped: None }
    }

    /// Begins to wait for an engine that has stopped and that a dial would start.
    pub(super) fn of_stopped(addresses: Vec<DockerHost>, stopped: Stopped, reason: Lack) -> Absence {
        let now = Instant::now();
        let stopped = Some((stopped, now + FIRST_LOOK));
        let due = now + STOPPED_PAUSE;
        Absence { reason: Some(reason), due, stopped, ..Absence::begin(addresses) }
    }

    /// Records a dial in vain, and sets the time of the next one.
    pub(super) fn record(&mut self, reason: Option<Lack>, took: Duration) {
        (self.reason, self.took, self.stopped) = (reason, took, None);
        let sockets: Vec<PathBuf> = self.addresses.iter().filter_map(DockerHost::socket).collect();
        let remote = sockets.len() < self.addresses.len();
        self.due = Instant::now() + pause(self.watch.set_paths(&sockets), remote, self.dials);
        self.dials = self.dials.saturating_add(1);
    }

    /// Returns true if the wait is for a listener at these addresses.
    pub(super) fn is_at(&self, addresses: &[DockerHost]) -> bool {
        self.addresses == addresses
    }

    /// Returns true while an engine at these addresses need not be dialled.
    pub(super) fn holds(&self, addresses: &[DockerHost]) -> bool {
        // A stopped engine that is certain to be so is not dialled when its time has passed.
        let waits = match &self.stopped {
            Some((stopped, _)) => !stopped.is_over() && (Instant::now() < self.due || stopped.is_certain()),
            None => Instant::now() < self.due,
        };
        self.is_at(addresses) && waits
    }

    /// Returns the answer of the last dial again.
    pub(super) fn answer(&self, runtime: Runtime) -> Input {
        Input::Claims { runtime, answer: self.reason.clone().map(Err), took: self.took }
    }

    /// Waits until the engine shall be dialled. May be dropped at any time.
    pub(super) async fn dial_due(&mut self) {
        while let Some((stopped, look)) = &mut self.stopped {
            tokio::time::sleep_until(*look).await;
            let now = Instant::now();
            // A restart takes some seconds. What was stopped on purpose stays so for long.
            *look = now + if now < self.due { FIRST_LOOK } else { LATER_LOOK };
            if stopped.is_over() || now >= self.due && !stopped.is_certain() {
                self.due = now;
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep_until(self.due) => {}
            () = self.watch.changed() => (self.dials, self.due) = (0, Instant::now()),
        }
    }
}

/// Returns the pause before the next dial, after this many since the last event.
fn pause(presence: Presence, remote: bool, dials: u32) -> Duration {
    let growing = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(dials)).min(LONGEST_PAUSE);
    match presence {
        Presence::Exists => growing,
        Presence::Unnoticed => UNWATCHED_PAUSE,
        Presence::Awaited if remote => growing,
        Presence::Awaited => WATCHED_PAUSE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_without_an_event_is_looked_for_ever_less_often_and_a_watched_path_hardly_ever() {
        let pauses = |presence, remote| [0, 1, 2, 3, 6, 7, 40].map(|dials| pause(presence, remote, dials));
        let growing = [125, 250, 500, 1_000, 8_000, 15_000, 15_000].map(Duration::from_millis);
        assert_eq!(pauses(Presence::Exists, false), growing);
        assert_eq!(pauses(Presence::Awaited, true), growing);
        assert_eq!(pauses(Presence::Awaited, false), [WATCHED_PAUSE; 7]);
        assert_eq!(pauses(Presence::Unnoticed, false), [UNWATCHED_PAUSE; 7]);
    }
}
