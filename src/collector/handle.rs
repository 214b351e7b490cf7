//! The interface between the rest of the program and a running collector.

use super::Snapshot;
use super::backlog::InboxSlot;
use crate::model::host::Input;
use crate::model::ledger::{HistorySteps, LabelSet};
use crate::model::problems::checked::CheckedPair;
use crate::model::workload::Runtime;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use tokio::sync::{Notify, oneshot};

/// A message to the loop, which takes one after the other.
#[expect(
    clippy::large_enum_variant,
    reason = "inputs are most of the messages, and a box is an allocation for each"
)]
pub(super) enum Message {
    /// An input to the state machine, with the slot that it occupies until the loop has taken it.
    Input(Input, InboxSlot),
    Scrape(oneshot::Sender<Arc<Snapshot>>),
    /// A scrape that also needs the counters of links that are not veths.
    ScrapeWithOthers(oneshot::Sender<Arc<Snapshot>>),
    /// A request for the snapshot at the end of the next tick.
    NextTick(oneshot::Sender<Arc<Snapshot>>),
    /// A request for the rates of all workloads in the last hour.
    Histories(oneshot::Sender<Histories>),
    /// A request for a sign of life, which the loop answers at once.
    Turn(oneshot::Sender<()>),
    /// Writes the state, and then ends.
    Finish(oneshot::Sender<()>),
}

/// The labels of workloads, each with its rates in the last hour.
pub(crate) type Histories = Vec<(Arc<LabelSet>, HistorySteps)>;

/// The interface between the rest of the program and a running collector; clones share the collector.
#[derive(Clone)]
pub struct Handle {
    pub(super) inbox: Sender<Message>,
    pub(super) ready: Arc<AtomicBool>,
    /// The signals to the thread of each engine.
    pub(super) engines: Arc<BTreeMap<Runtime, Arc<AskSignals>>>,
}

/// The collector's requests to the thread of an engine.
#[derive(Debug, Default)]
pub(super) struct AskSignals {
    /// The present state is wanted.
    pub(super) state: Notify,
    /// Something has no name that the engine may have.
    pub(super) nameless: Notify,
}

impl Handle {
    /// Returns a snapshot with present counters, or with those of the last tick if the kernel takes too
    /// long. Calls that arrive together share one snapshot. `None` if the collector has stopped.
    pub async fn scrape(&self) -> Option<Arc<Snapshot>> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Scrape(reply)).ok()?;
        answer.await.ok()
    }

    /// Returns a snapshot from the end of the next tick, with the counters from which its rates are
    /// computed. `None` if the collector has stopped.
    pub async fn next_tick(&self) -> Option<Arc<Snapshot>> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::NextTick(reply)).ok()?;
        answer.await.ok()
    }

    /// Returns the rates of all workloads in the last hour; `None` if the collector has stopped.
    pub(crate) async fn histories(&self) -> Option<Histories> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Histories(reply)).ok()?;
        answer.await.ok()
    }

    /// Waits for the collector's loop to answer; returns `false` if the collector has stopped.
    pub async fn turns(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Turn(reply)).is_ok() && answer.await.is_ok()
    }

    /// Returns a snapshot as [`Handle::scrape`] does, also with present counters of links that are not
    /// veths, as far as they can be read within another such wait: each namespace that has such a link must
    /// be asked. Without a container or pod the snapshot has no view, and nothing is read for it.
    pub async fn scrape_with_others(&self) -> Option<Arc<Snapshot>> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::ScrapeWithOthers(reply)).ok()?;
        answer.await.ok()
    }

    /// Reports what checks of namespaces have found. The next report follows a later tick.
    pub(super) fn report_checked(&self, checked: Vec<CheckedPair>) {
        // The send fails only if the threads have already ended.
        let _ = self.inbox.send(Message::Input(Input::Checked(checked), InboxSlot::Known));
    }

    /// Returns true once the collector has a view to show.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Writes the state, and ends the collector's threads.
    pub(crate) async fn finish(&self) {
        let (reply, done) = oneshot::channel();
        if self.inbox.send(Message::Finish(reply)).is_ok() {
            // The receive fails only if the threads have already ended.
            let _ = done.await;
        }
    }
}
