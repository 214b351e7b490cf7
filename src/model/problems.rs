//! The problems of the host: everything that is wrong now, each with its severity, its subject, the time
//! since when, one sentence and a remedy. The page, `top`, `list` and the API show the same problems.
//!
//! The list is made anew at each tick, from what is known to be wrong: rows of pairs are examined when they
//! change, drops when they occur. A problem of a link is listed once it has lasted for [`SETTLED`]
//! hold-backs, as engines set interfaces up and take them down in steps.

pub(crate) mod drops;
pub(crate) mod links;

use super::lack::Lack;
use super::link::End;
use super::policy::SETTLED;
use super::view::{ShownPair, ShownSide, Source, Status, Stranded};
use super::workload::{Runtime, Workload};
use drops::DropWindows;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The most problems that are listed; the most severe ones come first.
const LISTED: usize = 500;

/// The kind of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    /// A link that was up is down.
    LinkDown,
    /// A pair drops packets now.
    Drops,
    /// The two ends of a pair have different MTUs.
    MtuMismatch,
    /// A container is not in the namespace that it was to share: see [`Stranded`].
    StaleMember,
    /// A container is started again and again.
    CrashLoop,
    /// Two interfaces on one bridge have the same MAC address.
    DuplicateAddress,
    /// A source of the exporter's knowledge fails, or lacks something.
    Source,
}

impl ProblemKind {
    /// Every kind, in the order of the enumeration.
    pub const ALL: [ProblemKind; 7] = [
        ProblemKind::LinkDown,
        ProblemKind::Drops,
        ProblemKind::MtuMismatch,
        ProblemKind::StaleMember,
        ProblemKind::CrashLoop,
        ProblemKind::DuplicateAddress,
        ProblemKind::Source,
    ];

    /// Returns true for a problem that the state of links shows at once.
    fn is_of_links(self) -> bool {
        matches!(self, ProblemKind::LinkDown | ProblemKind::MtuMismatch | ProblemKind::DuplicateAddress)
    }

    /// Returns the kind in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            ProblemKind::LinkDown => "link_down",
            ProblemKind::Drops => "drops",
            ProblemKind::MtuMismatch => "mtu_mismatch",
            ProblemKind::StaleMember => "stale_member",
            ProblemKind::CrashLoop => "crash_loop",
            ProblemKind::DuplicateAddress => "duplicate_address",
            ProblemKind::Source => "source",
        }
    }
}

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
    pub runtime: Option<Runtime>,
    /// The [title](Workload::title) of the workload.
    pub workload: String,
    /// The ends of the pair, in their order.
    pub pair: Option<[End; 2]>,
    /// The port's name and its namespace; the latter is empty on the host.
    pub device: String,
    pub netns: String,
    /// The name of the workload's interface.
    pub interface: String,
    pub source: Option<Source>,
}

impl Subject {
    /// Returns a workload as a subject.
    pub(crate) fn workload(workload: &Workload) -> Subject {
        Subject { runtime: Some(workload.runtime), workload: workload.title(), ..Subject::default() }
    }

    /// Returns a pair as a subject, with the workload at its interface.
    pub(crate) fn pair(pair: &ShownPair) -> Subject {
        let [port, interface] = [port_of(pair), 1 - port_of(pair)].map(|side| &pair.sides[side]);
        let owner = interface.ownership.as_ref().or(port.ownership.as_ref()).map(|known| &known.owner);
        Subject {
            runtime: owner.map(|owner| owner.runtime),
            workload: owner.map_or_else(String::new, Workload::title),
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
    pub kind: ProblemKind,
    pub severity: Severity,
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
    /// The kind and the workload's id.
    Workload(ProblemKind, String),
    Source(Source, Lack),
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
            ProblemKey::Pair(kind, _) | ProblemKey::Workload(kind, _) => *kind,
            ProblemKey::Source(..) => ProblemKind::Source,
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

/// The problems of the host, and the times since when they are known.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    since: BTreeMap<ProblemKey, Duration>,
    pub(crate) drops: DropWindows,
    listed: Arc<Vec<Problem>>,
}

impl Problems {
    /// Returns the problems, the most severe and then the oldest first. The allocation stays the same as
    /// long as nothing changes.
    pub(crate) fn listed(&self) -> &Arc<Vec<Problem>> {
        &self.listed
    }

    /// Takes everything that is wrong now. `hold_back` is the time for which an end without an owner is held
    /// back. Returns the links that are down since now, and those that were and no longer are.
    pub(crate) fn update(
        &mut self,
        found: Vec<Found>,
        hold_back: Duration,
        now: Duration,
    ) -> Vec<Transition> {
        let mut since = BTreeMap::new();
        let mut listed: Vec<Problem> = Vec::new();
        for Found { key, severity, subject, text, remedy } in found {
            let kind = key.kind();
            let begun = self.since.get(&key).copied().unwrap_or(now);
            since.insert(key, begun);
            let settled = if kind.is_of_links() { hold_back.saturating_mul(SETTLED) } else { Duration::ZERO };
            if now.saturating_sub(begun) >= settled {
                listed.push(Problem { kind, severity, subject, since: begun, text, remedy });
            }
        }
        let order = |problem: &Problem| (problem.severity, problem.since, problem.kind);
        listed.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.text.cmp(&b.text)));
        listed.truncate(LISTED);
        self.since = since;
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
}

/// Returns the problems of links that are down and are in one list and not in another.
fn links_down<'a>(problems: &'a [Problem], other: &[Problem]) -> impl Iterator<Item = &'a Problem> {
    let of_links = |problem: &&Problem| problem.kind == ProblemKind::LinkDown;
    let known: BTreeSet<Option<[End; 2]>> =
        other.iter().filter(of_links).map(|problem| problem.subject.pair).collect();
    problems.iter().filter(of_links).filter(move |problem| !known.contains(&problem.subject.pair))
}

/// Returns a problem for each thing that a source lacks.
pub(crate) fn of_sources(status: &Status) -> Vec<Found> {
    let sources = status.sources.iter();
    let lacks = sources.flat_map(|(&source, status)| {
        let failed = status.result.as_ref().err().map(|lack| (lack, failure(source)));
        let limits = status.limits.iter().map(|lack| (lack, Severity::Notice));
        failed.into_iter().chain(limits).map(move |(lack, severity)| of_source(source, lack, severity))
    });
    lacks.collect()
}

/// Returns the severity of a source's failure: without links and counters nothing is shown.
fn failure(source: Source) -> Severity {
    match source {
        Source::Links | Source::Counters => Severity::Critical,
        _ => Severity::Warning,
    }
}

fn of_source(source: Source, lack: &Lack, severity: Severity) -> Found {
    Found {
        key: ProblemKey::Source(source, lack.clone()),
        severity,
        subject: Subject { source: Some(source), ..Subject::default() },
        text: format!("{}: {}", source.as_str(), lack.what),
        remedy: lack.reason.remedy(source).unwrap_or_default().to_owned(),
    }
}

/// Returns a problem for each member that is not in the namespace that it was to share.
pub(crate) fn of_stranded<'a>(stranded: impl Iterator<Item = &'a Stranded>) -> Vec<Found> {
    let found = stranded.map(|stranded| {
        let (text, remedy) = stranded.parts();
        Found {
            key: ProblemKey::Workload(ProblemKind::StaleMember, stranded.member.id.clone()),
            severity: Severity::Critical,
            subject: Subject::workload(&stranded.member),
            text,
            remedy,
        }
    });
    found.collect()
}

#[cfg(test)]
mod tests;
