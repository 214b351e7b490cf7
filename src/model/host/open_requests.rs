//! What was asked and is not answered yet; and which answers have become void since.

use super::Request;
use super::rounds::Round;
use crate::model::workload::Locator;
use std::collections::{BTreeMap, BTreeSet};

/// The open open_requests, those of a round and others.
#[derive(Debug, Default)]
pub(super) struct OpenRequests {
    pub round: Round,
    /// Those that belong to no round.
    apart: BTreeSet<Request>,
    /// How many answers about the links of the host (`None`) or of an nsid are still to come.
    links: BTreeMap<Option<u32>, u32>,
    /// How many answers about the links of an nsid are still to come that are about the one that had it
    /// before.
    void: BTreeMap<u32, u32>,
    /// The nsids that were taken back while these were being located: an answer that names one of them may
    /// be about the namespace that had it before. One to a later question is not.
    taken_back: BTreeMap<Locator, BTreeSet<u32>>,
}

impl OpenRequests {
    /// Notes which open_requests must be answered before the round is complete: not those to runtimes, which
    /// may take their time, and not searches.
    pub(super) fn open_in_round(&mut self, asked: &[Request]) {
        self.round.open.extend(asked.iter().filter(|request| request.is_of_kernel()).cloned());
        self.count(asked);
    }

    /// Leaves out what is asked already, and notes the rest.
    pub(super) fn open_apart(&mut self, wanted: &mut Vec<Request>) {
        wanted.retain(|request| {
            !request.is_of_kernel()
                || !self.round.open.contains(request) && self.apart.insert(request.clone())
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
    pub(super) fn is_of_round(&self, request: &Request) -> bool {
        self.round.open.contains(request)
    }

    /// An answer has come; false if nobody waits for it any more.
    pub(super) fn answered(&mut self, request: &Request) -> bool {
        let (in_round, apart) = (self.round.open.remove(request), self.apart.remove(request));
        in_round || apart
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
        }
        true
    }

    /// The nsids that were taken back while this was being located.
    pub(super) fn located(&mut self, locator: &Locator) -> BTreeSet<u32> {
        self.taken_back.remove(locator).unwrap_or_default()
    }

    /// The id was taken back: what was asked about it is about the namespace that had it.
    pub(super) fn take_back(&mut self, nsid: u32) {
        for request in self.apart.iter().chain(&self.round.open) {
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
