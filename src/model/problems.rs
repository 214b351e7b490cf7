//! The problems of the host: everything that is wrong now, each with its severity, its subject, the time
//! since when, one sentence and a remedy. The page, `top`, `list` and the API show the same problems.
//!
//! The part that finds a problem keeps it, and a tick compares pointers: a problem that stays as it is costs
//! no memory. Rows of pairs are examined when they change, drops while they occur, and the list is
//! made anew when a problem begins, ends or changes its text. A problem of a link is listed once it has
//! lasted for [`SETTLED`] hold-backs, as engines set interfaces up and take them down in steps.

pub(crate) mod checked;
pub(crate) mod drops;
mod kind;
pub(crate) mod links;
pub(crate) mod remembered;

use super::lack::Lack;
use super::link::End;
use super::policy::SETTLED;
use super::state::StateFailure;
use super::view::{ShownPair, ShownSide, Source, Status, Stranded};
use super::workload::{Runtime, Workload};
use checked::{CheckedPair, CheckedProblems};
use drops::DropWindows;
pub use kind::{ProblemCounts, ProblemKind};
use remembered::Remembered;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The most problems that are listed; the most severe ones come first.
const LISTED: usize = 500;

/// The severity of a problem; the most severe one comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Traffic does not get through.
    Critical,
    /// Traffic or knowledge is lost in part.
    Warning,
    /// Something is worth a look.
    Notice,
}

impl Severity {
    /// Returns the severity in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
            Severity::Notice => "notice",
        }
    }
}

/// The thing that a problem is about. A text is empty where it does not apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The runtime of the workload; `None` without one.
    pub runtime: Option<Runtime>,
    /// The [title](Workload::title) of the workload.
    pub workload: String,
    /// The values of the labels `container`, `namespace` and `pod` of the workload.
    pub names: [String; 3],
    /// The ends of the pair, in their order.
    pub pair: Option<[End; 2]>,
    /// The name of the port; empty if the subject is no pair.
    pub device: String,
    /// The port's namespace; empty on the host.
    pub netns: String,
    /// The name of the workload's interface.
    pub interface: String,
    /// The source that fails or lacks something.
    pub source: Option<Source>,
}

impl Subject {
    /// Returns a workload as a subject.
    pub(crate) fn workload(workload: &Workload) -> Subject {
        Subject {
            runtime: Some(workload.runtime),
            workload: workload.title(),
            names: workload.names().map(str::to_owned),
            ..Subject::default()
        }
    }

    /// Returns a pair as a subject, with the workload at its interface.
    pub(crate) fn pair(pair: &ShownPair) -> Subject {
        let [port, interface] = [port_of(pair), 1 - port_of(pair)].map(|side| &pair.sides[side]);
        let owner = interface.ownership.as_ref().or(port.ownership.as_ref()).map(|known| &known.owner);
        Subject {
            runtime: owner.map(|owner| owner.runtime),
            workload: owner.map_or_else(String::new, Workload::title),
            names: owner.map(|owner| owner.names().map(str::to_owned)).unwrap_or_default(),
            pair: Some(pair.sides.each_ref().map(|side| side.end)),
            device: name(port),
            netns: port.netns.to_string(),
            interface: name(interface),
            source: None,
        }
    }
}

/// Returns the side of a pair that is its port, or its first side.
fn port_of(pair: &ShownPair) -> usize {
    pair.ports().next().map_or(0, |(side, ..)| side)
}

/// Returns the name of an end; empty if its namespace cannot be read.
fn name(side: &ShownSide) -> String {
    side.link.map_or_else(String::new, |link| link.name.to_string())
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The kind of the problem.
    pub kind: ProblemKind,
    /// The severity of the problem.
    pub severity: Severity,
    /// The thing that the problem is about.
    pub subject: Subject,
    /// The time since when the problem is known, as the state machine's time.
    pub since: Duration,
    /// The description of the problem, in one sentence.
    pub text: String,
    /// The remedy, in one sentence; empty if none is known.
    pub remedy: String,
}

/// The identity of a problem from one tick to the next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ProblemKey {
    Pair(ProblemKind, [End; 2]),
    /// The kind, and the workload by its runtime and its id.
    Workload(ProblemKind, Runtime, String),
    Source(Source, Lack),
    /// The state that outlives the exporter.
    State,
}

/// A problem as it is found at one tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub key: ProblemKey,
    pub severity: Severity,
    pub subject: Subject,
    pub text: String,
    pub remedy: String,
}

impl ProblemKey {
    fn kind(&self) -> ProblemKind {
        match self {
            ProblemKey::Pair(kind, _) | ProblemKey::Workload(kind, ..) => *kind,
            ProblemKey::Source(..) => ProblemKind::Source,
            ProblemKey::State => ProblemKind::State,
        }
    }
}

/// A problem of a link that has begun or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transition {
    pub subject: Subject,
    /// The sentence of a problem that has begun; `None` for one that has ended.
    pub begun: Option<String>,
}

/// A problem, and since when it is known.
#[derive(Debug)]
struct KnownProblem {
    found: Arc<Found>,
    since: Duration,
    /// True once the problem has lasted for as long as its kind must.
    is_settled: bool,
    /// The number of the tick at which the problem was found last.
    found_at: u64,
}

impl KnownProblem {
    fn order(&self) -> (Severity, Duration, ProblemKind, &str) {
        (self.found.severity, self.since, self.found.key.kind(), &self.found.text)
    }
}

/// The problems of the host, and the times since when they are known.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    known: BTreeMap<ProblemKey, KnownProblem>,
    pub(crate) drops: DropWindows,
    stranded: Remembered<Stranded>,
    checked: CheckedProblems,
    lacks: Remembered<SourceLack>,
    /// The failure of the last write of the state; `None` if there is none.
    state: Option<Arc<Found>>,
    listed: Arc<Vec<Problem>>,
    counts: ProblemCounts,
    /// The number of the present tick.
    tick: u64,
    /// True if a problem that is listed, or could be, is another one since the list was made.
    has_changed: bool,
}

impl Problems {
    /// Returns the problems, the most severe and then the oldest first. The allocation stays the same as
    /// long as nothing changes.
    pub(crate) fn listed(&self) -> &Arc<Vec<Problem>> {
        &self.listed
    }

    /// Returns the number of problems of each kind, those included that there is no room for in the list.
    pub(crate) fn counts(&self) -> ProblemCounts {
        self.counts
    }

    /// Takes one thing that is wrong at the present tick. `hold_back` is the time for which an end without an
    /// owner is held back.
    pub(crate) fn find(&mut self, found: &Arc<Found>, hold_back: Duration, now: Duration) {
        let settled = match found.key.kind().is_of_links() {
            true => hold_back.saturating_mul(SETTLED),
            false => Duration::ZERO,
        };
        let known = match self.known.get_mut(&found.key) {
            Some(known) => known,
            None => match self.known.entry(found.key.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(KnownProblem {
                    found: Arc::clone(found),
                    since: now,
                    is_settled: false,
                    found_at: self.tick,
                }),
            },
        };
        known.found_at = self.tick;
        if !Arc::ptr_eq(&known.found, found) {
            self.has_changed |= known.is_settled && known.found != *found;
            known.found = Arc::clone(found);
        }
        if !known.is_settled && now.saturating_sub(known.since) >= settled {
            known.is_settled = true;
            self.has_changed = true;
        }
    }

    /// Ends the tick: everything has been found that is wrong. Returns the links that are down since now, and
    /// those that were and no longer are.
    pub(crate) fn end_tick(&mut self) -> Vec<Transition> {
        let Problems { known, tick, has_changed, .. } = self;
        known.retain(|_, problem| {
            let stays = problem.found_at == *tick;
            *has_changed |= !stays && problem.is_settled;
            stays
        });
        *tick += 1;
        if !std::mem::take(has_changed) {
            return Vec::new();
        }
        let mut settled: Vec<&KnownProblem> = known.values().filter(|known| known.is_settled).collect();
        self.counts = ProblemCounts::default();
        for known in &settled {
            self.counts[known.found.key.kind() as usize] += 1;
        }
        settled.sort_by(|a, b| a.order().cmp(&b.order()));
        let listed: Vec<Problem> = settled.into_iter().take(LISTED).map(Problem::of).collect();
        if *self.listed == listed {
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.listed, Arc::new(listed));
        let begun = links_down(&self.listed, &before).map(|problem| Transition {
            subject: problem.subject.clone(),
            begun: Some(problem.text.clone()),
        });
        let ended = links_down(&before, &self.listed)
            .map(|problem| Transition { subject: problem.subject.clone(), begun: None });
        begun.chain(ended).collect()
    }

    /// Takes everything that the sources lack.
    pub(crate) fn find_lacks(&mut self, status: &Status, now: Duration) {
        let mut lacks = std::mem::take(&mut self.lacks);
        for (&source, status) in &status.sources {
            let failed = status.result.as_ref().err().map(|lack| (lack, failure(source)));
            let limits = status.limits.iter().map(|lack| (lack, Severity::Notice));
            for (lack, severity) in failed.into_iter().chain(limits) {
                let is_same = |known: &SourceLack| {
                    (known.source, known.severity) == (source, severity) && known.lack == *lack
                };
                let make = || {
                    let known = SourceLack { source, severity, lack: lack.clone() };
                    let found = known.found();
                    (known, found)
                };
                self.find(lacks.next(is_same, make), Duration::ZERO, now);
            }
        }
        lacks.end();
        self.lacks = lacks;
    }

    /// Takes why the state could not be written; `None` once it is.
    pub(crate) fn set_state_failure(&mut self, failure: Option<&StateFailure>) {
        self.state = failure.map(|failure| {
            Arc::new(Found {
                key: ProblemKey::State,
                severity: Severity::Warning,
                subject: Subject::default(),
                text: failure.sentence(),
                remedy: failure.remedy(),
            })
        });
    }

    /// Takes the failure of the last write of the state, if there is one.
    pub(crate) fn find_state(&mut self, now: Duration) {
        if let Some(found) = self.state.clone() {
            self.find(&found, Duration::ZERO, now);
        }
    }

    /// Takes what the last checks of namespaces have found; `pair` returns a pair that is shown by its ends.
    pub(crate) fn find_checked<'a>(
        &mut self,
        pair: impl Fn([End; 2]) -> Option<&'a ShownPair>,
        now: Duration,
    ) {
        let mut checked = std::mem::take(&mut self.checked);
        checked.retain(pair);
        checked.each(|found| self.find(found, Duration::ZERO, now));
        self.checked = checked;
    }

    /// Takes the findings of checks, in place of those that the same pairs had before.
    pub(crate) fn take_checked<'a>(
        &mut self,
        checked: Vec<CheckedPair>,
        pair: impl Fn([End; 2]) -> Option<&'a ShownPair>,
    ) {
        self.checked.replace(checked, pair);
    }

    /// Takes every member that is not in the namespace that it was to share.
    pub(crate) fn find_stranded<'a>(&mut self, stranded: impl Iterator<Item = &'a Stranded>, now: Duration) {
        let mut known = std::mem::take(&mut self.stranded);
        for stranded in stranded {
            let make = || (stranded.clone(), of_stranded(stranded));
            self.find(known.next(|known| known == stranded, make), Duration::ZERO, now);
        }
        known.end();
        self.stranded = known;
    }
}

impl Problem {
    fn of(known: &KnownProblem) -> Problem {
        let Found { key, severity, subject, text, remedy } = &*known.found;
        Problem {
            kind: key.kind(),
            severity: *severity,
            subject: subject.clone(),
            since: known.since,
            text: text.clone(),
            remedy: remedy.clone(),
        }
    }
}

/// Returns the problems of links that are down and are in one list and not in another.
fn links_down<'a>(problems: &'a [Problem], other: &[Problem]) -> impl Iterator<Item = &'a Problem> {
    let of_links = |problem: &&Problem| problem.kind == ProblemKind::LinkDown;
    let known: BTreeSet<Option<[End; 2]>> =
        other.iter().filter(of_links).map(|problem| problem.subject.pair).collect();
    problems.iter().filter(of_links).filter(move |problem| !known.contains(&problem.subject.pair))
}

/// A thing that a source lacks.
#[derive(Debug)]
struct SourceLack {
    source: Source,
    severity: Severity,
    lack: Lack,
}

/// Returns the severity of a source's failure: without links and counters nothing is shown.
fn failure(source: Source) -> Severity {
    match source {
        Source::Links | Source::Counters => Severity::Critical,
        _ => Severity::Warning,
    }
}

impl SourceLack {
    fn found(&self) -> Found {
        let SourceLack { source, severity, lack } = self;
        Found {
            key: ProblemKey::Source(*source, lack.clone()),
            severity: *severity,
            subject: Subject { source: Some(*source), ..Subject::default() },
            text: format!("{}: {}", source.as_str(), lack.what),
            remedy: lack.reason.remedy(*source).unwrap_or_default().to_owned(),
        }
    }
}

/// Returns the problem of a member that is not in the namespace that it was to share.
fn of_stranded(stranded: &Stranded) -> Found {
    let (text, remedy) = stranded.parts();
    let Workload { runtime, id, .. } = &stranded.member;
    Found {
        key: ProblemKey::Workload(ProblemKind::StaleMember, *runtime, id.clone()),
        severity: Severity::Critical,
        subject: Subject::workload(&stranded.member),
        text,
        remedy,
    }
}

#[cfg(test)]
mod tests;
