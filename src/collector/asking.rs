//! The threads that answer the loop's requests: each of them may wait for the kernel, the loop may not.

use super::NetnsFolder;
use super::backlog::{InboxSlot, InboxSlots};
use super::handle::Message;
use crate::bpf::DropReader;
use crate::kernel::{FinalSampler, Resolver, Sampler, TcpReader, Waker};
use crate::model::host::{Input, Location, ProcessInNetns, Request, Samples};
use crate::model::lack::{Lack, LackReason};
use crate::model::link::Name;
use crate::model::workload::{Locator, Runtime};
use crate::runtimes::named;
use crate::runtimes::process::Processes;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

/// A search for new processes reads this many of the newest pids: some 40 were enough with 8 containers
/// starting at a time.
const NEWEST: usize = 128;

/// Answers requests of one kind until their sender is gone. The answers go through the reader of events.
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

/// Performs one request of the state machine; returns `None` for a request that another thread performs.
pub(super) fn resolve(
    resolver: &mut Resolver,
    netns_folder: Option<&mut NetnsFolder>,
    processes: &Processes,
    request: Request,
) -> Option<Input> {
    Some(match request {
        Request::Links { nsid } => Input::Links { nsid, answer: resolver.links(nsid) },
        Request::HostLink(ifindex) => {
            Input::HostLink { ifindex, answer: resolver.host_link(ifindex).map(Box::new) }
        }
        Request::Locate(locator) => {
            let cgroup = match locator {
                Locator::Pid(pid) => processes.cgroup(pid),
                Locator::Path(_) | Locator::Container(_) => None,
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
                Some(Err(error)) => Some(Err(unreadable(names.path(), &error))),
                None if *expected => {
                    let what = format!("{} is gone", names.path().display());
                    Some(Err(Lack::new(LackReason::Unreadable, what)))
                }
                None => None,
            };
            Input::Claims { runtime: Runtime::Named, answer, took: begin.elapsed() }
        }
        Request::Barrier => Input::Barrier,
        Request::Claims(_)
        | Request::ClaimsOfNameless(_)
        | Request::FinalSample(_)
        | Request::Tcp(_)
        | Request::Drops(_)
        | Request::WatchExit(_) => return None,
        Request::NewProcesses(nsids) => {
            let answer = newcomers(resolver, processes, &nsids)
                .map_err(|error| format!("cannot read the processes: {error}"));
            Input::NewProcesses { nsids, answer }
        }
        Request::Search(nsids) => {
            let begin = Instant::now();
            let answer =
                search(resolver, processes, &nsids).map_err(|error| unreadable(processes.path(), &error));
            Input::Processes { answer, nsids, took: begin.elapsed() }
        }
    })
}

/// Reads the TCP figures that a request asks for; returns `None` for any other request.
pub(super) fn read_tcp(reader: &mut TcpReader, request: Request) -> Option<Input> {
    match request {
        Request::Tcp(targets) => Some(Input::Tcp(reader.read_all(targets))),
        _ => None,
    }
}

/// Reads the counts of dropped packets; returns `None` for any other request.
pub(super) fn read_drops(reader: &mut DropReader, request: Request) -> Option<Input> {
    let Request::Drops(request) = request else { return None };
    let begin = Instant::now();
    let answer = reader.read(&request);
    Some(Input::Drops { answer, took: begin.elapsed() })
}

/// Returns the lack of a source that cannot read this folder.
fn unreadable(folder: &Path, error: &io::Error) -> Lack {
    let reason = match error.kind() {
        io::ErrorKind::Unsupported => LackReason::PidNamespace,
        io::ErrorKind::PermissionDenied => LackReason::Permission,
        _ => LackReason::Unreadable,
    };
    Lack::new(reason, format!("cannot read {}: {error}", folder.display()))
}

/// Finds the oldest process in each of these namespaces, from which the others descend.
fn search(
    resolver: &mut Resolver,
    processes: &Processes,
    nsids: &BTreeSet<u32>,
) -> io::Result<Vec<ProcessInNetns>> {
    Ok(inhabitants(resolver, processes, nsids, processes.pids()?))
}

/// Finds a process in each of these namespaces among the newest of all processes, where one that has just
/// started is.
fn newcomers(
    resolver: &mut Resolver,
    processes: &Processes,
    nsids: &BTreeSet<u32>,
) -> io::Result<Vec<ProcessInNetns>> {
    Ok(inhabitants(resolver, processes, nsids, processes.pids()?.into_iter().rev().take(NEWEST)))
}

/// Returns the first of these processes in each of the namespaces.
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
        // Between the two system calls, the kernel may have given the pid to another process.
        let cgroup = processes.cgroup(pid);
        let first = cgroup.as_deref().and_then(|cgroup| processes.first_process(pid, cgroup));
        let is_first = first.is_some_and(|first| first == pid || resolver.nsid_of(first) == Ok(Some(nsid)));
        if let Some(workload) = processes.workload(pid, cgroup.as_deref(), is_first)
            && resolver.nsid_of(pid) == Ok(Some(nsid))
        {
            found.insert(nsid, ProcessInNetns { nsid, pid, workload, cgroup });
        }
        if found.len() == nsids.len() {
            break;
        }
    }
    found.into_values().collect()
}

/// Reads the counters into each buffer that it receives, until one of its channels is closed.
pub(super) fn sample_all(mut sampler: Sampler, memories: Receiver<Samples>, out: &Sender<Message>) {
    for memory in memories {
        let sample = take_sample(&mut sampler, memory);
        if out.send(Message::Input(sample, InboxSlot::Known)).is_err() {
            return;
        }
    }
}

/// Reads the counters of the host's links into this buffer, and the queue disciplines that it wants.
pub(super) fn take_sample(sampler: &mut Sampler, mut samples: Samples) -> Input {
    let begin = Instant::now();
    let answer = sampler.sample(&mut samples).map(|()| {
        sampler.sample_queues(samples.counters.len(), &mut samples.queues);
        samples
    });
    let answer = answer.map_err(|error| error.to_string());
    Input::Samples { answer, took: begin.elapsed() }
}

/// Reads the last counters of links that are about to be deleted, until one of its channels is closed.
pub(super) fn take_final_samples(
    mut final_sampler: FinalSampler,
    signs: &Receiver<Vec<(u32, Name)>>,
    out: &Sender<Message>,
) {
    let slots = InboxSlots::new(1);
    while let Ok(mut links) = signs.recv() {
        // Links that die together are read together.
        links.extend(signs.try_iter().flatten());
        // A link that is already deleted has delivered its last counters with an event.
        let last = final_sampler.last(links);
        if out.send(Message::Input(Input::FinalCounters(last), slots.acquire())).is_err() {
            return;
        }
    }
}
