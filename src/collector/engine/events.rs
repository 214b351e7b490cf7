//! The engines' events, followed side by side with the requests for lists.

use super::super::backlog::TaskSlots;
use super::super::handle::{Handle, Message};
use crate::model::host::Input;
use crate::model::workload::Runtime;
use crate::runtimes::calls::Calls;
use crate::runtimes::cri::{self, CriEndpoint, CriWatch};
use crate::runtimes::docker::{self, DockerWatch, EngineAddress};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

/// The most messages from an engine's events that wait for the collector.
const TOLD_WAITING: usize = 4;

/// The time after which a subscription counts as accepted that nothing has answered: some servers send
/// nothing before the first event.
const SILENT: Duration = Duration::from_secs(2);

/// The shortest life of a stream that has worked, and of one after which the next is asked for at once.
const WORKED: Duration = Duration::from_secs(1);
const LASTED: Duration = Duration::from_secs(10);

/// The pauses before a stream is asked for again: the first one, which doubles, and the longest.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// The number of streams in a row that ended at once, after which this is reported.
const IN_A_ROW: u32 = 3;

/// The pause before a CRI server without events is asked for them again, because it may have been replaced
/// by a newer one. containerd 1.6 writes a line to its log for each attempt.
const NO_EVENTS: Duration = Duration::from_secs(600);

/// The state of an engine's stream of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum EventState {
    #[default]
    Closed,
    Open,
    /// The stream has ended after it had worked: the engine may have stopped.
    Ended,
}

/// The state that the follower of an engine's events shares with what asks for its lists.
#[derive(Debug, Default)]
pub(super) struct EventLine {
    /// The lists may have changed.
    pub news: Notify,
    /// The list of networks may have changed too.
    networks: AtomicBool,
    pub stream: watch::Sender<EventState>,
    /// True while a process listens at the engine's address, as of the last dial.
    listening: watch::Sender<bool>,
    /// True if the last request for the lists was answered well.
    answers: AtomicBool,
}

impl EventLine {
    /// Records whether the last request for the lists was answered well.
    pub(super) fn set_answers(&self, well: bool) {
        self.answers.store(well, Ordering::Relaxed);
    }

    /// Records whether a process listens at the engine's address.
    pub(super) fn set_listening(&self, listens: bool) {
        self.listening.send_if_modified(|known| std::mem::replace(known, listens) != listens);
    }

    /// Returns true if the list of networks may have changed since the last call.
    pub(super) fn take_networks(&self) -> bool {
        self.networks.swap(false, Ordering::Relaxed)
    }

    fn tell(&self, networks: bool) {
        self.networks.fetch_or(networks, Ordering::Relaxed);
        self.news.notify_one();
    }

    async fn wait_for_listener(&self) {
        // The channel lives as long as this does.
        let _ = self.listening.subscribe().wait_for(|listens| *listens).await;
    }

    fn opened(&self) {
        self.stream.send_replace(EventState::Open);
    }

    /// Records the end of a stream. Nothing is dialled again before the engine's lists were asked for.
    fn ended(&self, worked: bool) {
        if worked {
            self.set_listening(false);
        }
        self.stream.send_replace(if worked { EventState::Ended } else { EventState::Closed });
    }
}

/// The attempts to follow an engine's events.
struct StreamAttempts {
    runtime: Runtime,
    pause: Duration,
    /// The number of attempts since a stream lasted.
    vain: u32,
}

impl StreamAttempts {
    fn new(runtime: Runtime) -> StreamAttempts {
        StreamAttempts { runtime, pause: RETRY, vain: 0 }
    }

    /// Waits after a stream that has lived this long. Reports once that there are no events, with the
    /// reason; not if that is reported elsewhere, as is an engine that does not answer at all.
    async fn pause(&mut self, lived: Duration, reason: Option<String>, line: &EventLine) {
        if lived >= LASTED {
            (self.pause, self.vain) = (RETRY, 0);
        }
        let answers = line.answers.load(Ordering::Relaxed);
        self.vain = if answers { self.vain.saturating_add(1) } else { 0 };
        if self.vain == IN_A_ROW
            && let Some(reason) = reason
        {
            tracing::warn!(
                collector = self.runtime.as_str(),
                reason,
                "no events: what runs is listed again and again instead, each second at first and each 15 s while nothing changes"
            );
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_RETRY);
    }
}

/// Requests a CRI server's list as soon as the server's events report a change.
pub(super) async fn watch_cri(endpoint: CriEndpoint, calls: Calls, line: Arc<EventLine>) {
    let mut attempts = StreamAttempts::new(Runtime::Cri);
    loop {
        line.wait_for_listener().await;
        let begin = Instant::now();
        let error = match CriWatch::begin(&endpoint, calls.clone()).await {
            Ok(watch) => follow_cri(watch, &line).await,
            Err(error) => error,
        };
        match error {
            cri::Error::Unserved(_) => tokio::time::sleep(NO_EVENTS).await,
            // A server that is unreachable is reported by the failure of its list.
            cri::Error::NotThere(_) => attempts.pause(begin.elapsed(), None, &line).await,
            error => attempts.pause(begin.elapsed(), Some(error.to_string()), &line).await,
        }
    }
}

/// Follows the events of a CRI server until they end. Returns why.
async fn follow_cri(mut watch: CriWatch, line: &EventLine) -> cri::Error {
    if let Ok(Err(error)) = timeout(SILENT, watch.news()).await {
        return error;
    }
    line.opened();
    loop {
        match watch.news().await {
            Ok(()) => line.tell(false),
            Err(error) => {
                line.ended(false);
                return error;
            }
        }
    }
}

/// Passes on the meaning of Docker's events until the collector has stopped: events report names before the
/// engine answers requests for them.
pub(super) async fn watch_docker(
    address: EngineAddress,
    runtime: Runtime,
    line: Arc<EventLine>,
    collector: Handle,
) {
    // Each message contains the list of all containers. While the slots are taken, the engine keeps its
    // further events.
    let slots = TaskSlots::new(TOLD_WAITING);
    let mut attempts = StreamAttempts::new(runtime);
    loop {
        line.wait_for_listener().await;
        let begin = Instant::now();
        let reason = match DockerWatch::begin(address.clone()).await {
            Ok(watch) => match follow_docker(watch, runtime, &line, &slots, &collector).await {
                Followed::Stopped => return,
                Followed::Refused => None,
                Followed::Ended => Some("the stream of events ends at once".to_owned()),
            },
            // An engine that is unreachable is reported by the failure of its list.
            Err(_) => None,
        };
        attempts.pause(begin.elapsed(), reason, &line).await;
    }
}

/// The end of following an engine's events.
enum Followed {
    /// The collector has stopped.
    Stopped,
    /// The engine, or a proxy before it, refuses the call, which its list reports.
    Refused,
    Ended,
}

async fn follow_docker(
    mut watch: DockerWatch,
    runtime: Runtime,
    line: &EventLine,
    slots: &TaskSlots,
    collector: &Handle,
) -> Followed {
    match timeout(SILENT, watch.subscribed()).await {
        Ok(Err(docker::Error::Refused(_))) => return Followed::Refused,
        Ok(Err(_)) => return Followed::Ended,
        Ok(Ok(())) | Err(_) => {}
    }
    line.opened();
    let begin = Instant::now();
    let followed = |is_followed| Input::LivesFollowed { runtime, is_followed };
    let _ = collector.inbox.send(Message::Input(followed(true), slots.acquire().await));
    while let Some(mut told) = watch.news().await {
        if told.containers || told.networks {
            line.tell(told.networks);
        }
        for container in std::mem::take(&mut told.dying) {
            // This send fails only together with the next one.
            let _ = collector.inbox.send(Message::Input(Input::Dying { container }, slots.acquire().await));
        }
        let changes = std::mem::take(&mut told.lives);
        if !changes.is_empty() {
            let _ = collector.inbox.send(Message::Input(Input::Lives(changes), slots.acquire().await));
        }
        if !told.expected {
            continue;
        }
        let (expected, containers) = (watch.expected(), watch.containers());
        let expected = Input::Expected { runtime, expected, containers };
        if collector.inbox.send(Message::Input(expected, slots.acquire().await)).is_err() {
            return Followed::Stopped;
        }
    }
    let _ = collector.inbox.send(Message::Input(followed(false), slots.acquire().await));
    line.ended(watch.is_subscribed() && begin.elapsed() >= WORKED);
    Followed::Ended
}
