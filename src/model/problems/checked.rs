//! The problems that checks of single namespaces find: see [`checks`](crate::model::checks).

use super::{Found, ProblemKey, ProblemKind, Severity, Subject};
use crate::model::link::End;
use crate::model::view::ShownPair;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The findings of the last check of a pair; none if all is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedPair {
    /// The ends of the pair, in their order.
    pub ends: [End; 2],
    /// The findings, the reasons first.
    pub findings: Vec<CheckedFinding>,
}

/// One thing that a check has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedFinding {
    /// The kind of the problem.
    pub kind: ProblemKind,
    /// The severity of the problem.
    pub severity: Severity,
    /// The description, in one sentence.
    pub text: String,
    /// The commands that mend it, or the one that shows it.
    pub remedy: String,
}

/// The problems that the last checks of all pairs have found.
#[derive(Debug, Default)]
pub(super) struct CheckedProblems {
    of_pairs: BTreeMap<[End; 2], Vec<Arc<Found>>>,
}

impl CheckedProblems {
    pub(super) fn replace<'a>(
        &mut self,
        checked: Vec<CheckedPair>,
        pair: impl Fn([End; 2]) -> Option<&'a ShownPair>,
    ) {
        for CheckedPair { ends, findings } in checked {
            self.of_pairs.remove(&ends);
            let Some(shown) = pair(ends).filter(|_| !findings.is_empty()) else { continue };
            let found = findings.into_iter().map(|finding| {
                Arc::new(Found {
                    key: ProblemKey::Pair(finding.kind, ends),
                    severity: finding.severity,
                    subject: Subject::pair(shown),
                    text: finding.text,
                    remedy: finding.remedy,
                })
            });
            self.of_pairs.insert(ends, found.collect());
        }
    }

    /// Removes the problems of pairs that are no longer shown.
    pub(super) fn retain<'a>(&mut self, pair: impl Fn([End; 2]) -> Option<&'a ShownPair>) {
        self.of_pairs.retain(|ends, _| pair(*ends).is_some());
    }

    pub(super) fn each(&self, take: impl FnMut(&Arc<Found>)) {
        self.of_pairs.values().flatten().for_each(take);
    }
}
