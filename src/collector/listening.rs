//! The threads that pass on what the loop did not request: kernel events, changes of namespace names, and
//! exits of processes.

use super::backlog::{InboxSlot, InboxSlots};
use super::handle::{Handle, Message};
use crate::kernel::{Events, TableReader};
use crate::model::event::Event;
use crate::model::host::Input;
use crate::model::lack::Lack;
use crate::runtimes::named::{self, NameChange};
use crate::runtimes::process;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;

/// The most messages of the reader of events that wait for the loop, each with up to [`EVENTS_AT_A_TIME`]
/// events. Beyond that, the events stay in the kernel.
const EVENTS_WAITING: usize = 64;

/// The most events in one message.
const EVENTS_AT_A_TIME: usize = 256;

/// The pause of the reader of events after an error.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// The most changes of names that wait for the loop.
const NAMES_WAITING: usize = 256;

/// The pause before a missing folder of names is looked for again.
const FOLDER_RETRY: Duration = Duration::from_secs(1);

/// Passes on events and answers, in their order, until the loop has ended.
pub(super) fn listen(
    mut events: Events,
    mut table: TableReader,
    answers: &Receiver<Input>,
    out: &Sender<Message>,
) {
    let slots = InboxSlots::new(EVENTS_WAITING);
    loop {
        events.wait();
        // The answers are taken before the events are read: every event that precedes one of these answers
        // is then read before it.
        let answered: Vec<Input> = answers.try_iter().collect();
        loop {
            let mut read = Vec::new();
            let more = match events.read(EVENTS_AT_A_TIME, &mut read) {
                Ok(more) => more,
                Err(error) => {
                    let answer = Err(Lack::failure(error.to_string()));
                    if out.send(Message::Input(Input::Listening { answer }, slots.acquire())).is_err() {
                        return;
                    }
                    // After any error, answers must still pass here, and `Lost` starts a resync.
                    read.push(Event::Lost);
                    thread::sleep(LISTEN_AGAIN);
                    false
                }
            };
            let ends = read.iter().any(|event| matches!(event, Event::DeletedNsid(_)));
            // If further events have arrived meanwhile, a name may already be another link's.
            if ends && !more && !part(&mut table, out, &slots) {
                return;
            }
            if !read.is_empty() && out.send(Message::Input(Input::Events(read), slots.acquire())).is_err() {
                return;
            }
            if !more {
                break;
            }
        }
        for input in answered {
            if out.send(Message::Input(input, InboxSlot::Known)).is_err() {
                return;
            }
        }
    }
}

/// Reports namespace names to the collector as soon as they appear or disappear, until the collector has
/// stopped.
pub(super) fn watch_names(folder: &Path, table: &mut TableReader, out: &Sender<Message>) {
    let slots = InboxSlots::new(NAMES_WAITING);
    loop {
        if let Ok(names) = named::NameWatch::watch(folder) {
            let watched = |works| Message::Input(Input::NamesWatched(works), slots.acquire());
            if out.send(watched(true)).is_err() {
                return;
            }
            // The names from before the watch began are not known.
            let mut changes = vec![NameChange::Unknown];
            loop {
                // The table is read at once: links may be gone before a request of the state machine would
                // reach them.
                let gone = changes.iter().any(|change| matches!(change, NameChange::Went(_)));
                if gone && !part(table, out, &slots) {
                    return;
                }
                for change in changes {
                    let input = match change {
                        NameChange::Unknown => Input::Named,
                        NameChange::Came(claim) => Input::NameAdded(claim),
                        NameChange::Went(locator) => Input::Unnamed { locator },
                    };
                    if out.send(Message::Input(input, slots.acquire())).is_err() {
                        return;
                    }
                }
                match names.changes() {
                    Some(new) => changes = new,
                    None => break,
                }
            }
            if out.send(watched(false)).is_err() {
                return;
            }
        }
        thread::sleep(FOLDER_RETRY);
    }
}

/// Passes on the present counters of the host's links, as far as they can be read without waiting; returns
/// false if the loop has ended.
fn part(table: &mut TableReader, out: &Sender<Message>, slots: &InboxSlots) -> bool {
    // If the table cannot be read, the final sampler reads the counters.
    table
        .read()
        .is_none_or(|table| out.send(Message::Input(Input::TableAtDeath(table), slots.acquire())).is_ok())
}

/// Reports the exit of each process that the collector names, until the collector has stopped.
pub(crate) async fn watch_exits(mut pids: UnboundedReceiver<u32>, collector: Handle) {
    // Each watched process takes a file descriptor; half of them stay free for other uses. The end of a
    // process that is not watched has other signs.
    let slots = Arc::new(Semaphore::new(process::descriptors() / 2));
    while let Some(pid) = pids.recv().await {
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        let inbox = collector.inbox.clone();
        tokio::spawn(async move {
            if process::exit_of(pid).await {
                // The send fails only when the program is about to end.
                let _ = inbox.send(Message::Input(Input::Exited { pid }, InboxSlot::Known));
            }
            drop(slot);
        });
    }
}
