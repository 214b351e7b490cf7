//! The requests that are not answered yet, and the answers that have become void since.

use super::input::Request;
use crate::model::policy::RESYNC_AT_A_TIME;
use crate::model::workload::Locator;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The open requests: those of a resync, and others.
#[derive(Debug, Default)]
pub(super) struct OpenRequests {
    pub resync: Resync,
    /// The open requests that belong to no resync.
    apart: BTreeSet<Request>,
    /// The number of answers still to come about the links of the host (`None`) or of an nsid.
    links: BTreeMap<Option<u32>, u32>,
    /// The number of answers still to come about the namespace that had an nsid before.
    void: BTreeMap<u32, u32>,
    /// The nsids that were taken back while a locator was being located: an answer that names one of them may
    /// be about the namespace that had the nsid before. An answer to a later request is not.
    taken_back: BTreeMap<Locator, BTreeSet<u32>>,
}

/// A reading of everything.
#[derive(Debug, Default)]
pub(super) struct Resync {
    /// The requests that are open.
    pub(super) open: BTreeSet<Request>,
    /// The requests of the resync that are not sent yet, each about one namespace or claim.
    unsent: BTreeSet<Request>,
    /// The numbers of those that are sent, of each [`Paced`] kind.
    sent: [usize; 2],
    /// The nsids of the links that were requested.
    pub(super) asked: BTreeSet<u32>,
    /// The host's links were read: a namespace that was not requested in this resync is gone.
    pub(super) whole: bool,
    /// Events have missed what differs from what was known.
    pub(super) checks_events: bool,
    /// The time at which the resync began.
    pub(super) began: Duration,
}

impl Resync {
    /// Notes that an open request is sent. Returns false if it was sent before, or is not open.
    fn send(&mut self, request: &Request) -> bool {
        let sends = self.unsent.remove(request);
        if let Some(kind) = Paced::of(request).filter(|_| sends) {
            self.sent[kind as usize] += 1;
        }
        sends
    }

    /// Closes a request. Returns false if it was not open.
    fn close(&mut self, request: &Request) -> bool {
        let closes = self.open.remove(request);
        let was_sent = closes && !self.unsent.remove(request);
        if let Some(kind) = Paced::of(request).filter(|_| was_sent) {
            self.sent[kind as usize] -= 1;
        }
        closes
    }
}

impl OpenRequests {
    /// Begins a resync, of which nothing is requested yet.
    pub(super) fn begin_resync(&mut self, checks_events: bool, now: Duration) {
        self.resync = Resync { began: now, checks_events, ..Resync::default() };
    }

    /// Notes which requests must be answered before the resync is complete: not those to runtimes, which may
    /// take their time, and not searches. Returns what to send now.
    pub(super) fn open_in_resync(&mut self, asked: Vec<Request>) -> Vec<Request> {
        self.resync.open.extend(asked.iter().filter(|request| request.is_of_kernel()).cloned());
        let (paced, mut now): (Vec<_>, Vec<_>) =
            asked.into_iter().partition(|request| Paced::of(request).is_some());
        self.resync.unsent.extend(paced);
        self.count(&now);
        now.extend(self.send_next());
        now
    }

    /// Returns the requests of the resync that there is room for.
    pub(super) fn send_next(&mut self) -> Vec<Request> {
        let mut next = Vec::new();
        for kind in [Paced::Links, Paced::Claims] {
            while self.resync.sent[kind as usize] < RESYNC_AT_A_TIME {
                // Namespaces are before claims in the order of requests.
                let unsent = &mut self.resync.unsent;
                let first = if kind == Paced::Links { unsent.first() } else { unsent.last() };
                let Some(request) = first.filter(|request| Paced::of(request) == Some(kind)).cloned() else {
                    break;
                };
                self.resync.send(&request);
                next.push(request);
            }
        }
        self.count(&next);
        next
    }

    /// Leaves out what is asked already, and notes the rest.
    pub(super) fn open_apart(&mut self, wanted: &mut Vec<Request>) {
        wanted.retain(|request| {
            !request.is_of_kernel()
                || self.resync.send(request)
                || !self.resync.open.contains(request) && self.apart.insert(request.clone())
        });
        self.count(wanted);
    }

    fn count(&mut self, requests: &[Request]) {
        for request in requests {
            if let Request::Links { nsid } = request {
                *self.links.entry(*nsid).or_default() += 1;
            }
        }
    }

    /// True if the question belongs to the round.
    pub(super) fn is_of_resync(&self, request: &Request) -> bool {
        self.resync.open.contains(request)
    }

    /// Notes an answer; returns false if no request waits for it any more.
    pub(super) fn answered(&mut self, request: &Request) -> bool {
        let (in_resync, apart) = (self.resync.close(request), self.apart.remove(request));
        in_resync || apart
    }

    /// An answer about links has come; false if it is to a question that was asked before the id was taken
    /// back: answers come in the order of their open_requests.
    pub(super) fn links_answered(&mut self, nsid: Option<u32>) -> bool {
        let void = nsid.and_then(|nsid| Some((nsid, self.void.get_mut(&nsid)?)));
        if let Some((nsid, left)) = void {
            *left -= 1;
            if *left == 0 {
                self.void.remove(&nsid);
            }
            return false;
        }
        if let Some(open) = self.links.get_mut(&nsid) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                self.links.remove(&nsid);
            }
        }
        true
    }

    /// The nsids that were taken back while this was being located.
    pub(super) fn located(&mut self, locator: &Locator) -> BTreeSet<u32> {
        self.taken_back.remove(locator).unwrap_or_default()
    }

    /// The id was taken back: what was asked about it is about the namespace that had it.
    pub(super) fn take_back(&mut self, nsid: u32) {
        for request in self.apart.iter().chain(self.resync.open.difference(&self.resync.unsent)) {
            if let Request::Locate(locator) = request {
                self.taken_back.entry(locator.clone()).or_default().insert(nsid);
            }
        }
        self.answered(&Request::Links { nsid: Some(nsid) });
        match self.links.remove(&Some(nsid)) {
            Some(open) if open > 0 => *self.void.entry(nsid).or_default() += open,
            _ => {}
        }
    }
}

/// The kinds of requests of which a resync has many. Each is answered by a thread of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paced {
    Links,
    Claims,
}

impl Paced {
    /// Returns the kind of a request; `None` for a request of which a resync has one.
    fn of(request: &Request) -> Option<Paced> {
        match request {
            Request::Links { nsid: Some(_) } => Some(Paced::Links),
            Request::Locate(_) => Some(Paced::Claims),
            _ => None,
        }
    }
}
