//! The row of a problem: the same in the API, in the stream and in `top`.

use crate::model::problems::{Problem, Subject};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;

/// One thing that is wrong.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ProblemRow<'a> {
    /// The kind in one word: `link_down`, `drops` ...
    pub kind: Cow<'a, str>,
    /// `critical`, `warning` or `notice`.
    pub severity: Cow<'a, str>,
    pub subject: SubjectRow<'a>,
    /// The stream's identifiers of the pairs that the problem is about; absent elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<u64>,
    /// The time since when the problem is known, in seconds since 1970 began; `None` in a single reading.
    pub since: Option<f64>,
    /// The description of the problem, in one sentence.
    pub text: Cow<'a, str>,
    /// The remedy, in one sentence; empty if the exporter knows none.
    pub remedy: Cow<'a, str>,
}

/// The thing that a problem is about. A text is empty where it does not apply.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct SubjectRow<'a> {
    pub runtime: Cow<'a, str>,
    /// The name of the workload in one word.
    pub workload: Cow<'a, str>,
    /// The name of the port.
    pub device: Cow<'a, str>,
    /// The namespace of the port; empty on the host.
    pub netns: Cow<'a, str>,
    /// The name of the workload's interface.
    pub interface: Cow<'a, str>,
    /// The source that fails: the value of the label `collector`.
    pub collector: Cow<'a, str>,
}

impl<'a> ProblemRow<'a> {
    /// Returns the row of a problem; `epoch` is the zero of the view's times since 1970 began, or `None` for
    /// a host that was read once.
    pub(crate) fn new(problem: &'a Problem, epoch: Option<Duration>) -> ProblemRow<'a> {
        let Problem { kind, severity, subject, since, text, remedy } = problem;
        ProblemRow {
            kind: kind.as_str().into(),
            severity: severity.as_str().into(),
            subject: SubjectRow::new(subject),
            pairs: Vec::new(),
            since: epoch.map(|epoch| (epoch + *since).as_millis() as f64 / 1e3),
            text: text.into(),
            remedy: remedy.into(),
        }
    }
}

impl<'a> SubjectRow<'a> {
    fn new(subject: &'a Subject) -> SubjectRow<'a> {
        SubjectRow {
            runtime: subject.runtime.map_or("", |runtime| runtime.as_str()).into(),
            workload: (&*subject.workload).into(),
            device: (&*subject.device).into(),
            netns: (&*subject.netns).into(),
            interface: (&*subject.interface).into(),
            collector: subject.source.map_or("", |source| source.as_str()).into(),
        }
    }
}
