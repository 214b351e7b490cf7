//! What the loop asks, and who answers: each of these may wait, and the loop does not.

use super::NetnsFolder;
use super::backlog::{Place, Places};
use super::handle::Message;
use crate::kernel::{FinalSampler, Resolver, Sampler, Waker};
use crate::model::host::{Input, Location, ProcessInNetns, Request, Samples};
use crate::model::link::Name;
use crate::model::workload::{Locator, Runtime};
use crate::runtimes::named;
use crate::runtimes::process::Processes;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

/// Of all processes so many are looked at for who has just come: some 40 were enough with 8 containers
/// starting at a time.
const NEWEST: usize = 128;

/// Answers questions of one kind until nobody asks any more. The answers go through the reader of events.
pub(super) fn answer_all(
    requests: Receiver<Request>,
    answered: &Sender<Input>,
    waker: &Waker,
    mut answer: impl FnMut(Request) -> Option<Input>,
) {
    for request in requests {
        let Some(input) = answer(request) else { continue };
        if answered.send(input).is_err() {
            return;
        }
        waker.wake();
    }
}

/// Performs one request of the state machine; `None` if it is not for this thread.
pub(super) fn resolve(
    resolver: &mut Resolver,
    netns_folder: Option<&mut NetnsFolder>,
    processes: &Processes,
    request: Request,
) -> Option<Input> {
    Some(match request {
        Request::Links { nsid } => Input::Links { nsid, answer: resolver.links(nsid) },
        Request::Locate(locator) => {
            let cgroup = match locator {
                Locator::Pid(pid) => processes.cgroup(pid),
                Locator::Path(_) => None,
            };
            let answer = resolver.locate(&locator).map(|netns| Location { netns, cgroup });
            Input::Located { locator, answer }
        }
        Request::Claims(Runtime::Named) => {
            let begin = Instant::now();
            let NetnsFolder { names, expected } = netns_folder?;
            let answer = match names.claims() {
                Some(Ok(named::FolderClaims::Same)) => {
                    return Some(Input::SameClaims { runtime: Runtime::Named, took: begin.elapsed() });
                }
                Some(Ok(named::FolderClaims::Claims(claims))) => Some(Ok(claims)),
                Some(Err(error)) => Some(Err(format!("cannot read {}: {error}", names.path().display()))),
                None if *expected => Some(Err(format!("{} is gone", names.path().display()))),
                None => None,
            };
            Input::Claims { runtime: Runtime::Named, answer, took: begin.elapsed() }
        }
        Request::Barrier => Input::Barrier,
        Request::Claims(_) | Request::FinalSample(_) | Request::WatchExit(_) => return None,
        Request::NewProcesses(nsids) => {
            let answer = newcomers(resolver, processes, &nsids)
                .map_err(|error| format!("cannot read the processes: {error}"));
            Input::NewProcesses { nsids, answer }
        }
        Request::Search(nsids) => {
            let begin = Instant::now();
            let answer = search(resolver, processes, &nsids)
                .map_err(|error| format!("cannot read the processes: {error}"));
            Input::Processes { answer, nsids, took: begin.elapsed() }
        }
    })
}

/// Looks for a process in each of these namespaces: the oldest, which is what the others came from.
fn search(
    resolver: &mut Resolver,
    processes: &Processes,
    nsids: &BTreeSet<u32>,
) -> io::Result<Vec<ProcessInNetns>> {
    Ok(inhabitants(resolver, processes, nsids, processes.pids()?))
}

/// Looks for the newest processes of these namespaces: who has just come is among the newest of all.
fn newcomers(
    resolver: &mut Resolver,
    processes: &Processes,
    nsids: &BTreeSet<u32>,
) -> io::Result<Vec<ProcessInNetns>> {
    Ok(inhabitants(resolver, processes, nsids, processes.pids()?.into_iter().rev().take(NEWEST)))
}

/// The first of these processes in each of the namespaces.
fn inhabitants(
    resolver: &mut Resolver,
    processes: &Processes,
    nsids: &BTreeSet<u32>,
    pids: impl IntoIterator<Item = u32>,
) -> Vec<ProcessInNetns> {
    let mut found: BTreeMap<u32, ProcessInNetns> = BTreeMap::new();
    for pid in pids {
        let Ok(Some(nsid)) = resolver.nsid_of(pid) else { continue };
        if !nsids.contains(&nsid) || found.contains_key(&nsid) {
            continue;
        }
        // Between the two questions the number may have passed to another process.
        if let Some(workload) = processes.workload(pid)
            && resolver.nsid_of(pid) == Ok(Some(nsid))
        {
            found.insert(nsid, ProcessInNetns { nsid, pid, workload, cgroup: processes.cgroup(pid) });
        }
        if found.len() == nsids.len() {
            break;
        }
    }
    found.into_values().collect()
}

/// Samples whenever it gets memory for it, until nobody wants it any more.
pub(super) fn sample_all(mut sampler: Sampler, memories: Receiver<Samples>, out: &Sender<Message>) {
    for memory in memories {
        let sample = take_sample(&mut sampler, memory);
        if out.send(Message::Input(sample, Place::Known)).is_err() {
            return;
        }
    }
}

/// Samples into this memory.
pub(super) fn take_sample(sampler: &mut Sampler, mut samples: Samples) -> Input {
    let begin = Instant::now();
    let answer = sampler.sample(&mut samples).map(|()| samples).map_err(|error| error.to_string());
    Input::Samples { answer, took: begin.elapsed() }
}

/// Asks for the last counters of links that are about to go, until nobody wants them any more.
pub(super) fn take_final_samples(
    mut final_sampler: FinalSampler,
    signs: &Receiver<Vec<(u32, Name)>>,
    out: &Sender<Message>,
) {
    let places = Places::new(1);
    while let Ok(mut links) = signs.recv() {
        // Those that die together are read together.
        links.extend(signs.try_iter().flatten());
        // Who is gone already has said what there was to say in an event.
        let last = final_sampler.last(links);
        if out.send(Message::Input(Input::FinalCounters(last), places.take())).is_err() {
            return;
        }
    }
}
