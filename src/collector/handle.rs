//! How the rest of the program speaks with a running collector.

use super::Snapshot;
use super::backlog::Place;
use crate::model::host::Input;
use crate::model::workload::Runtime;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use tokio::sync::{Notify, oneshot};

/// What the loop takes, one after the other.
pub(super) enum Message {
    /// With what it takes until it is taken.
    Input(Input, Place),
    Scrape(oneshot::Sender<Arc<Snapshot>>),
    /// A scrape that also wants what links count that are no veths.
    ScrapeWithOthers(oneshot::Sender<Arc<Snapshot>>),
    /// To be answered when a tick has ended, with what it counted.
    NextTick(oneshot::Sender<Arc<Snapshot>>),
    /// To be answered at once: the loop turns.
    Turn(oneshot::Sender<()>),
    Stop,
}

/// How the rest of the program speaks with a running collector.
#[derive(Clone)]
pub struct Handle {
    pub(super) inbox: Sender<Message>,
    pub(super) ready: Arc<AtomicBool>,
    /// Wakes the thread that asks a runtime.
    pub(super) engines: Arc<BTreeMap<Runtime, Notify>>,
}

impl Handle {
    /// A snapshot with counters of now; those of the last tick if the kernel takes too long. Calls that
    /// arrive together share one. `None` if the collector has stopped.
    pub async fn scrape(&self) -> Option<Arc<Snapshot>> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Scrape(reply)).ok()?;
        answer.await.ok()
    }

    /// A snapshot of the end of the next tick, with the counters that its rates are made of. `None` if the
    /// collector has stopped.
    pub async fn next_tick(&self) -> Option<Arc<Snapshot>> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::NextTick(reply)).ok()?;
        answer.await.ok()
    }

    /// Waits until the collector's loop comes round; `false` if it has stopped.
    pub async fn turns(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Turn(reply)).is_ok() && answer.await.is_ok()
    }

    /// The same as [`Handle::scrape`], and what links count that are no veths is of now too, as far as it
    /// can be read in as long again: each namespace that has one must be asked.
    pub async fn scrape_with_others(&self) -> Option<Arc<Snapshot>> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::ScrapeWithOthers(reply)).ok()?;
        answer.await.ok()
    }

    /// True once there is a view to show.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Ends the collector's threads.
    pub fn stop(&self) {
        // It fails only if they have ended.
        let _ = self.inbox.send(Message::Stop);
    }
}
