//! What the loop is told unasked: events of the kernel, names that come and go, and ends of processes.

use super::backlog::{Place, Places};
use super::handle::{Handle, Message};
use crate::kernel::{DeviceTable, Events};
use crate::model::event::Event;
use crate::model::host::Input;
use crate::runtimes::named::{self, NameChange};
use crate::runtimes::process;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;

/// So many messages of the reader of events wait for the loop, each of up to [`EVENTS_AT_A_TIME`]; then the
/// kernel keeps what comes.
const EVENTS_WAITING: usize = 64;

/// Events that are passed on together, at most.
const EVENTS_AT_A_TIME: usize = 256;

/// After an error the reader of events waits so long.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// So many changes of names.
const NAMES_WAITING: usize = 256;

/// A folder of names that is not there is looked for again after this.
const FOLDER_RETRY: Duration = Duration::from_secs(1);

/// Passes on events and answers, in their order, until nobody wants them any more.
pub(super) fn listen(
    mut events: Events,
    mut table: DeviceTable,
    answers: &Receiver<Input>,
    out: &Sender<Message>,
) {
    let places = Places::new(EVENTS_WAITING);
    loop {
        events.wait();
        // Taken before the events are read: what they tell of was there before these answers.
        let answered: Vec<Input> = answers.try_iter().collect();
        loop {
            let mut read = Vec::new();
            let more = match events.read(EVENTS_AT_A_TIME, &mut read) {
                Ok(more) => more,
                Err(error) => {
                    let answer = Err(error.to_string());
                    if out.send(Message::Input(Input::Listening { answer }, places.take())).is_err() {
                        return;
                    }
                    // Whatever it was: answers still pass here, and all is read again.
                    read.push(Event::Lost);
                    thread::sleep(LISTEN_AGAIN);
                    false
                }
            };
            let ends = read.iter().any(|event| matches!(event, Event::DeletedNsid(_)));
            // Where more has come meanwhile, a name may be another link's already.
            if ends && !more && !part(&mut table, out, &places) {
                return;
            }
            if !read.is_empty() && out.send(Message::Input(Input::Events(read), places.take())).is_err() {
                return;
            }
            if !more {
                break;
            }
        }
        for input in answered {
            if out.send(Message::Input(input, Place::Known)).is_err() {
                return;
            }
        }
    }
}

/// Tells the collector at once of names that come and go, until it has stopped.
pub(super) fn watch_names(folder: &Path, table: &mut DeviceTable, out: &Sender<Message>) {
    let places = Places::new(NAMES_WAITING);
    loop {
        if let Ok(names) = named::NameWatch::watch(folder) {
            let watched = |works| Message::Input(Input::NamesWatched(works), places.take());
            if out.send(watched(true)).is_err() {
                return;
            }
            // What came before we watched.
            let mut changes = vec![NameChange::Unknown];
            loop {
                // At once: what is asked for by way of the state machine may be gone.
                let gone = changes.iter().any(|change| matches!(change, NameChange::Went(_)));
                if gone && !part(table, out, &places) {
                    return;
                }
                for change in changes {
                    let input = match change {
                        NameChange::Unknown => Input::Named,
                        NameChange::Came(claim) => Input::NameAdded(claim),
                        NameChange::Went(locator) => Input::Unnamed { locator },
                    };
                    if out.send(Message::Input(input, places.take())).is_err() {
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

/// Passes on what the host's links count at this moment, as far as that can be read without waiting; false
/// if nobody wants it any more.
fn part(table: &mut DeviceTable, out: &Sender<Message>, places: &Places) -> bool {
    // Where it cannot be read, the final sampler asks.
    table
        .read()
        .is_none_or(|counters| out.send(Message::Input(Input::TableAtDeath(counters), places.take())).is_ok())
}

/// Tells the collector of the end of each process that it names, until it has stopped.
pub(crate) async fn watch_exits(mut pids: UnboundedReceiver<u32>, collector: Handle) {
    // Each takes a descriptor: some are left for all else. Whoever is not watched has other signs.
    let places = Arc::new(Semaphore::new(process::descriptors() / 2));
    while let Some(pid) = pids.recv().await {
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let inbox = collector.inbox.clone();
        tokio::spawn(async move {
            if process::exit_of(pid).await {
                // It fails only when the program is about to end.
                let _ = inbox.send(Message::Input(Input::Exited { pid }, Place::Known));
            }
            drop(place);
        });
    }
}
