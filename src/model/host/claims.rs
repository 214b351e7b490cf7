//! What runtimes tell, and where in the kernel's network namespaces it is.

use super::{Host, Located, Location, LookFailure, Request};
use crate::model::link::Mac;
use crate::model::view::{Source, SourceStatus};
use crate::model::workload::{Claims, Expected, Locator, Runtime, Workload};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// What a runtime last said.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// It answered last time, or has not had the time to.
    pub may_name: bool,
    /// The last good answer: names stay while an engine is away and its containers live on.
    pub claims: Claims,
    /// When it was last asked with an answer.
    pub asked: Duration,
    /// The interfaces that it is about to make or has made, by their address, with the time when each was
    /// first told.
    pub expected: BTreeMap<Mac, Vec<(Expected, Duration)>>,
    /// The containers that exist, running or not, by their id.
    pub containers: HashMap<String, Workload>,
}

impl Heard {
    /// True if it tells of containers before they are there: it may yet tell of one that is gone.
    pub(super) fn foresees(&self) -> bool {
        !self.expected.is_empty() || !self.containers.is_empty()
    }

    /// Notes whether it has answered; true if that is news.
    pub(super) fn answered(&mut self, well: bool, now: Duration) -> bool {
        self.asked = now;
        std::mem::replace(&mut self.may_name, well) != well
    }
}

impl Host {
    pub(super) fn take_claims(
        &mut self,
        runtime: Runtime,
        answer: Option<Result<Claims, String>>,
        took: Duration,
        now: Duration,
    ) -> Vec<Request> {
        self.names_answered(runtime, now);
        let heard = self.heard.entry(runtime).or_default();
        let mut changed = heard.answered(matches!(answer, Some(Ok(_))), now);
        let pods_before = self.pods || self.config.pods;
        if runtime == Runtime::Cri {
            self.pods |= answer.is_some();
            self.config.pods &= answer.is_some();
        }
        let result = answer.map(|answer| {
            let mut claims = answer?;
            self.config.filter.strip(&mut claims);
            if heard.claims != claims {
                self.pods |= claims.claims.iter().any(|claim| !claim.owner.pod.is_empty());
                heard.claims = claims;
                self.all_located = false;
                changed = true;
            }
            Ok(())
        });
        changed |= pods_before != (self.pods || self.config.pods);
        self.report_claims(runtime, result, took);
        self.believe(changed, now)
    }

    /// The runtime's last answer still holds.
    pub(super) fn take_same_claims(
        &mut self,
        runtime: Runtime,
        took: Duration,
        now: Duration,
    ) -> Vec<Request> {
        self.names_answered(runtime, now);
        let changed = self.heard.entry(runtime).or_default().answered(true, now);
        self.report_claims(runtime, Some(Ok(())), took);
        self.believe(changed, now)
    }

    /// What the runtime is about to make, and which containers there are.
    pub(super) fn take_expected(
        &mut self,
        runtime: Runtime,
        expected: Vec<Expected>,
        mut containers: Vec<Workload>,
        now: Duration,
    ) {
        let filter = &self.config.filter;
        let heard = self.heard.entry(runtime).or_default();
        let before = std::mem::take(&mut heard.expected);
        for mut expected in expected {
            filter.strip_workload(&mut expected.workload);
            let known = before.get(&expected.address).into_iter().flatten();
            let told = known.filter(|(known, _)| *known == expected).map(|(_, told)| *told).next();
            heard.expected.entry(expected.address).or_default().push((expected, told.unwrap_or(now)));
        }
        containers.iter_mut().for_each(|workload| filter.strip_workload(workload));
        heard.containers = containers.into_iter().map(|workload| (workload.id.clone(), workload)).collect();
        // Where nobody was new a moment ago somebody may be now.
        self.newcomers.look_again();
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

    pub(super) fn names_answered(&mut self, runtime: Runtime, now: Duration) {
        if runtime == Runtime::Named {
            self.names_asked = false;
            if std::mem::take(&mut self.names_asked_again) {
                self.names_wanted = true;
                self.touch(now);
            }
        }
    }

    /// Asks for the names of namespaces, if they are not being read: then they are read once more.
    pub(super) fn ask_names(&mut self) -> Option<Request> {
        self.names_asked_again = self.names_asked;
        (!std::mem::replace(&mut self.names_asked, true)).then_some(Request::Claims(Runtime::Named))
    }

    /// Asks where the claims are that are not located yet.
    pub(super) fn believe(&mut self, changed: bool, now: Duration) -> Vec<Request> {
        // While somebody waits for a name, each answer is a chance; and the end of the wait is judged by it.
        if changed || self.again <= now {
            self.touch(now);
        }
        if self.all_located {
            return Vec::new();
        }
        let known = self.locators();
        self.located.retain(|locator, _| known.contains(locator));
        self.locating.keep_only(&known);
        self.all_located = known.iter().all(|locator| self.is_located(locator));
        let wanted = known.into_iter().filter(|locator| !self.located.contains_key(locator)).collect();
        self.locate(wanted, now)
    }

    /// Asks where these claims are, as far as it is time to.
    pub(super) fn locate(&mut self, wanted: BTreeSet<Locator>, now: Duration) -> Vec<Request> {
        let chosen = self.locating.choose(wanted, now);
        self.ask(chosen.into_iter().map(Request::Locate).collect())
    }

    /// True if a namespace with an id is known for it.
    pub(super) fn is_located(&self, locator: &Locator) -> bool {
        self.located.get(locator).is_some_and(|at| at.netns != Located::WithoutId)
    }

    pub(super) fn locators(&self) -> BTreeSet<Locator> {
        let claims = self.heard.values().flat_map(|heard| &heard.claims.claims);
        let backrooms = self.heard.values().flat_map(|heard| &heard.claims.backrooms);
        let inhabitants = self.inhabitants.values().map(|inhabitant| Locator::Pid(inhabitant.pid));
        let told = claims.map(|claim| &claim.locator).chain(backrooms.map(|backroom| &backroom.locator));
        told.cloned().chain(inhabitants).collect()
    }

    pub(super) fn take_location(
        &mut self,
        locator: Locator,
        answer: Result<Location, LookFailure>,
        now: Duration,
    ) -> Vec<Request> {
        let request = Request::Locate(locator.clone());
        let in_round = self.questions.is_of_round(&request);
        self.questions.answered(&request);
        let taken_back = self.questions.located(&locator);
        let mut more = Vec::new();
        match answer {
            Ok(Location { netns: Located::Nsid(nsid), .. }) if taken_back.contains(&nsid) => {
                // Perhaps it is the one that had the id before: ask again.
                more = self.ask(vec![request]);
            }
            Ok(found) => {
                if let Located::Nsid(nsid) = found.netns {
                    let links = Request::Links { nsid: Some(nsid) };
                    let before = self.located.get(&locator);
                    // What was read there before the claim came may be of another namespace that had this id.
                    let news = before.is_none_or(|before| before.netns != found.netns);
                    if in_round && self.questions.round.asked.insert(nsid) {
                        more = self.open(vec![links]);
                    } else if news {
                        more = self.ask(vec![links]);
                    }
                }
                self.all_located &= found.netns != Located::WithoutId;
                self.locating.found(&locator);
                let same = self.located.insert(locator, found.clone()) == Some(found);
                if !same || in_round {
                    self.touch(now);
                }
            }
            Err(failure) => {
                self.all_located = false;
                if self.located.remove(&locator).is_some() || in_round {
                    self.touch(now);
                }
                self.locating.failed(locator, &failure, now);
            }
        }
        more
    }
}
