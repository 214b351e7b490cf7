//! The answers of sources, and of the kernel about where their claims are.

use super::{Host, Located, Location, LookFailure, Request};
use crate::model::owners::Evidence;
use crate::model::view::{Source, SourceStatus};
use crate::model::workload::{Claim, Claims, Expected, Locator, Runtime, Workload};
use std::time::Duration;

impl Host {
    pub(super) fn take_claims(
        &mut self,
        runtime: Runtime,
        answer: Option<Result<Claims, String>>,
        took: Duration,
        now: Duration,
    ) -> Vec<Request> {
        let mut changed = self.evidence.answered(runtime, matches!(answer, Some(Ok(_))), now);
        let pods_before = self.shown.pods || self.config.pods;
        if runtime == Runtime::Cri {
            self.shown.pods |= answer.is_some();
            self.config.pods &= answer.is_some();
        }
        let result = answer.map(|answer| {
            let mut claims = answer?;
            if runtime == Runtime::Named {
                self.names.complete(&mut claims);
            }
            self.config.filter.strip(&mut claims);
            self.shown.pods |= claims.claims.iter().any(|claim| !claim.owner.pod.is_empty());
            changed |= self.evidence.set_claims(runtime, claims);
            Ok(())
        });
        changed |= pods_before != (self.shown.pods || self.config.pods);
        self.report_claims(runtime, result, took);
        let mut more = self.believe(changed, now);
        more.extend(self.names_answered(runtime));
        more
    }

    /// Takes the claim of a name that has come.
    pub(super) fn add_name(&mut self, mut claim: Claim, now: Duration) -> Vec<Request> {
        self.names.changed(&claim.locator, Some(&claim));
        self.config.filter.strip_workload(&mut claim.owner);
        self.evidence.add_claim(Runtime::Named, claim);
        self.believe(true, now)
    }

    /// Takes a name away: the next namespace of this name is another one, whatever keeps the old one.
    pub(super) fn remove_name(&mut self, locator: &Locator, now: Duration) -> Vec<Request> {
        self.names.changed(locator, None);
        let location = self.evidence.unlocate(locator);
        self.evidence.remove_claims(Runtime::Named, locator);
        self.touch(now);
        match location.map(|at| at.netns) {
            Some(Located::Nsid(nsid)) => self.final_sample_at_death(nsid),
            _ => Vec::new(),
        }
    }

    /// The source's last answer still holds.
    pub(super) fn take_same_claims(
        &mut self,
        runtime: Runtime,
        took: Duration,
        now: Duration,
    ) -> Vec<Request> {
        let changed = self.evidence.answered(runtime, true, now);
        self.report_claims(runtime, Some(Ok(())), took);
        let mut more = self.believe(changed, now);
        more.extend(self.names_answered(runtime));
        more
    }

    /// What the runtime is about to make, and which containers there are.
    pub(super) fn take_expected(
        &mut self,
        runtime: Runtime,
        mut expected: Vec<Expected>,
        mut containers: Vec<Workload>,
        now: Duration,
    ) {
        Evidence::strip(&self.config.filter, &mut expected, &mut containers);
        self.evidence.set_expected(runtime, expected, containers, &self.topology, now);
        // A namespace without a new process a moment ago may have one now.
        self.evidence.new_processes.look_again();
        self.touch(now);
    }

    pub(super) fn report_claims(
        &mut self,
        runtime: Runtime,
        result: Option<Result<(), String>>,
        took: Duration,
    ) {
        let source = match runtime {
            Runtime::Docker => Some(Source::Docker),
            Runtime::Podman => Some(Source::Podman),
            Runtime::Cri => Some(Source::Cri),
            Runtime::Named => Some(Source::Named),
            // These tell nothing by themselves.
            Runtime::Lxc | Runtime::Nspawn | Runtime::Process | Runtime::Unknown => None,
        };
        if let (Some(source), Some(result)) = (source, result) {
            self.status.sources.insert(source, SourceStatus { result, took });
        }
    }

    fn names_answered(&mut self, runtime: Runtime) -> Option<Request> {
        (runtime == Runtime::Named).then(|| self.names.answered()).flatten()
    }

    /// Requests the answer of a source, unless that is on its way.
    pub(super) fn request_claims(&mut self, runtime: Runtime) -> Option<Request> {
        if runtime == Runtime::Named { self.names.request() } else { Some(Request::Claims(runtime)) }
    }

    /// Asks where the claims are that are not located yet.
    pub(super) fn believe(&mut self, changed: bool, now: Duration) -> Vec<Request> {
        // While somebody waits for a name, each answer is a chance; and the end of the wait is judged by it.
        if changed || self.schedule.again <= now {
            self.touch(now);
        }
        let wanted = self.evidence.choose_to_locate(false, now);
        self.ask(wanted.into_iter().map(Request::Locate).collect())
    }

    pub(super) fn take_location(
        &mut self,
        locator: Locator,
        answer: Result<Location, LookFailure>,
        now: Duration,
    ) -> Vec<Request> {
        let request = Request::Locate(locator.clone());
        let in_round = self.reading.open_requests.is_of_round(&request);
        self.reading.open_requests.answered(&request);
        let taken_back = self.reading.open_requests.located(&locator);
        let mut more = Vec::new();
        match answer {
            Ok(Location { netns: Located::Nsid(nsid), .. }) if taken_back.contains(&nsid) => {
                // Perhaps it is the one that had the id before: ask again.
                more = self.ask(vec![request]);
            }
            Ok(found) => {
                if let Located::Nsid(nsid) = found.netns {
                    let links = Request::Links { nsid: Some(nsid) };
                    let before = self.evidence.location(&locator);
                    // What was read there before the claim came may be of another namespace that had this id.
                    let news = before.is_none_or(|before| before.netns != found.netns);
                    if in_round && self.reading.open_requests.round.asked.insert(nsid) {
                        more = self.open(vec![links]);
                    } else if news {
                        more = self.ask(vec![links]);
                    }
                }
                if self.evidence.set_location(locator, found) || in_round {
                    self.touch(now);
                }
            }
            Err(failure) => {
                if self.evidence.locating_failed(&locator, &failure, now) || in_round {
                    self.touch(now);
                }
            }
        }
        more
    }
}
