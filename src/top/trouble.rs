//! The problems of the host, and which rows they are about.

use super::table::TableRow;
use crate::exposition::json::problem::ProblemRow;
use crate::exposition::json::row::WorkloadRow;
use crate::model::text::printable;
use crate::model::units::span;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The problems of a row, the most severe first.
#[derive(Clone, Debug, Default)]
pub struct RowTrouble {
    pub problems: Vec<Arc<ProblemRow<'static>>>,
}

impl RowTrouble {
    /// Returns the severity of the worst problem, from 3 for a critical one to 0 for none.
    pub fn severity(&self) -> u8 {
        self.problems.iter().map(|problem| severity(problem)).max().unwrap_or_default()
    }

    fn since(&self) -> Option<f64> {
        let worst = self.severity();
        let worst = self.problems.iter().filter(|problem| severity(problem) == worst);
        worst.filter_map(|problem| problem.since).min_by(f64::total_cmp)
    }

    /// Compares by severity, the most severe first, and then by age, the oldest first.
    pub fn compare(&self, other: &RowTrouble) -> Ordering {
        if self.problems.is_empty() && other.problems.is_empty() {
            return Ordering::Equal;
        }
        let since = |trouble: &RowTrouble| trouble.since().unwrap_or(f64::INFINITY);
        let by = other.severity().cmp(&self.severity());
        by.then_with(|| since(self).total_cmp(&since(other)))
    }
}

/// Returns the severity as a number, from 3 for a critical problem to 1 for a notice or one of another
/// version.
pub(crate) fn severity(problem: &ProblemRow<'_>) -> u8 {
    match &*problem.severity {
        "critical" => 3,
        "warning" => 2,
        _ => 1,
    }
}

/// Returns the mark of a severity: each has another shape, as colours may be off.
pub(crate) fn mark(severity: u8) -> &'static str {
    match severity {
        0 => " ",
        1 => "·",
        2 => "▲",
        _ => "!",
    }
}

/// Problems by two names: of a namespace and a device, or of a runtime and a workload.
type ByNames<'a> = HashMap<&'a str, HashMap<&'a str, Vec<&'a Arc<ProblemRow<'static>>>>>;

/// Problems by their subjects.
pub(crate) struct ProblemsBySubject<'a> {
    devices: ByNames<'a>,
    workloads: ByNames<'a>,
}

impl<'a> ProblemsBySubject<'a> {
    /// Sorts the problems by their subjects. A problem of a source has none.
    pub(crate) fn new(problems: &'a [Arc<ProblemRow<'static>>]) -> ProblemsBySubject<'a> {
        let mut by = ProblemsBySubject { devices: HashMap::new(), workloads: HashMap::new() };
        for problem in problems {
            let subject = &problem.subject;
            if !subject.device.is_empty() {
                by.devices
                    .entry(&subject.netns)
                    .or_default()
                    .entry(&subject.device)
                    .or_default()
                    .push(problem);
            } else if !subject.workload.is_empty() {
                let of_runtime = by.workloads.entry(&subject.runtime).or_default();
                of_runtime.entry(&subject.workload).or_default().push(problem);
            }
        }
        by
    }

    fn is_empty(&self) -> bool {
        self.devices.is_empty() && self.workloads.is_empty()
    }

    /// Returns the problems of a row: of its ends, of its workload, and of the members of its namespace.
    pub(crate) fn of_row(&self, row: &TableRow) -> RowTrouble {
        if self.is_empty() {
            return RowTrouble::default();
        }
        let fits = |interface: &str| {
            interface.is_empty()
                || row.pair.ends.iter().any(|end| end.place.name.as_deref() == Some(interface))
        };
        let ends = row
            .pair
            .ends
            .iter()
            .filter_map(|end| self.devices.get(&*end.place.netns)?.get(end.place.name.as_deref()?));
        let place = &row.end().place;
        let workloads = place.workload.iter().chain(&place.members).filter_map(|one| self.named(one));
        let found = ends.chain(workloads).flatten().filter(|problem| fits(&problem.subject.interface));
        let mut problems: Vec<_> = found.map(|problem| Arc::clone(problem)).collect();
        problems.sort_by_key(|problem| std::cmp::Reverse(severity(problem)));
        RowTrouble { problems }
    }

    /// Returns the problems of a workload, whatever its interfaces.
    pub(crate) fn of_workload(&self, workload: &WorkloadRow<'_>) -> RowTrouble {
        let found = self.named(workload).into_iter().flatten();
        RowTrouble { problems: found.map(|problem| Arc::clone(problem)).collect() }
    }

    fn named(&self, workload: &WorkloadRow<'_>) -> Option<&Vec<&'a Arc<ProblemRow<'static>>>> {
        self.workloads.get(&*workload.runtime)?.get(&*workload.name())
    }
}

/// Returns `3 problems, 1 notice`; `None` if there are none.
pub(crate) fn count(problems: &[Arc<ProblemRow<'static>>]) -> Option<String> {
    let notices = problems.iter().filter(|problem| severity(problem) == 1).count();
    let plural = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        count => Some(format!("{count} {word}s")),
    };
    let parts = [plural(problems.len() - notices, "problem"), plural(notices, "notice")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Returns the age of something that began at `since`, both times counted since 1970 began; `None` if either
/// is not known.
pub(crate) fn age(since: Option<f64>, now: Duration) -> Option<String> {
    let since = Duration::try_from_secs_f64(since?).ok()?;
    (!now.is_zero()).then(|| span(now.saturating_sub(since)))
}

/// Returns a problem in one line, printable: `! link down for 3 min: the port veth7 is down`.
pub(crate) fn sentence(problem: &ProblemRow<'_>, now: Duration) -> String {
    let age = age(problem.since, now).map_or_else(String::new, |age| format!(" for {age}"));
    let kind = problem.kind.replace('_', " ");
    format!("{} {}{age}: {}", mark(severity(problem)), printable(&kind), printable(&problem.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::table::rows;
    use crate::top::tests::{down, pair_of, problem};

    fn marks(problems: Vec<ProblemRow<'static>>) -> Vec<(String, u8)> {
        let problems: Vec<_> = problems.into_iter().map(Arc::new).collect();
        let by = ProblemsBySubject::new(&problems);
        let mut between = pair_of("b", 3, 5, 6);
        between.ends[0] = pair_of("a", 4, 1, 2).ends[1].clone();
        between.ends[0].place.name = Some("eth7".into());
        let rows = rows(vec![pair_of("web", 7, 1, 1), pair_of("web", 8, 1, 1), between], Vec::new());
        let severity = |row: &TableRow| (row.device.clone(), by.of_row(row).severity());
        rows.iter().map(severity).filter(|(_, severity)| *severity > 0).collect()
    }

    #[test]
    fn a_problem_belongs_to_the_rows_of_its_port_or_of_its_workload() {
        let of = |device: &str, severity| (device.to_owned(), severity);
        assert_eq!(marks(vec![down("web", 7)]), [of("veth7", 3)]);
        let mut elsewhere = down("web", 7);
        elsewhere.subject.netns = "docker/dind".into();
        assert_eq!(marks(vec![elsewhere]), []);
        let mut looping = problem("crash_loop", "warning", "it restarts");
        looping.subject.runtime = "docker".into();
        looping.subject.workload = "web".into();
        assert_eq!(marks(vec![looping.clone(), down("web", 8)]), [of("veth7", 2), of("veth8", 3)]);
        looping.subject.runtime = "podman".into();
        assert_eq!(marks(vec![looping]), []);
        let mut between = problem("drops", "notice", "it drops");
        between.subject.netns = "docker/a".into();
        between.subject.device = "eth7".into();
        between.subject.interface = "eth0".into();
        assert_eq!(marks(vec![between.clone()]), [of("eth7 eth0", 1), of("eth0 eth7", 1)]);
        between.subject.interface = "eth9".into();
        assert_eq!(marks(vec![between]), []);
        assert_eq!(marks(vec![problem("source", "warning", "docker: it does not answer")]), []);
    }

    #[test]
    fn a_problem_of_a_member_is_one_of_the_row_of_its_owner() {
        let mut looping = problem("crash_loop", "warning", "it restarts");
        looping.subject.runtime = "docker".into();
        looping.subject.workload = "torrent".into();
        let problems = [Arc::new(looping)];
        let mut pair = pair_of("vpn", 7, 1, 1);
        let member =
            WorkloadRow { container: "torrent".into(), ..pair.ends[1].place.workload.clone().unwrap() };
        pair.ends[1].place.members.push(member);
        let rows = rows(vec![pair, pair_of("web", 8, 1, 1)], Vec::new());
        let by = ProblemsBySubject::new(&problems);
        let severities: Vec<_> = rows.iter().map(|row| (&*row.device, by.of_row(row).severity())).collect();
        assert_eq!(severities, [("veth7", 2), ("veth8", 0)]);
    }

    #[test]
    fn the_most_severe_and_then_the_oldest_is_first() {
        let trouble = |severity: &'static str, since| RowTrouble {
            problems: vec![Arc::new(ProblemRow { since, ..problem("drops", severity, "") })],
        };
        let sorted = [
            trouble("critical", Some(9.0)),
            trouble("warning", Some(1.0)),
            trouble("warning", Some(5.0)),
            trouble("warning", None),
            trouble("of a later version", Some(0.0)),
            RowTrouble::default(),
        ];
        for (place, pair) in sorted.windows(2).enumerate() {
            assert_eq!(pair[0].compare(&pair[1]), Ordering::Less, "{place}");
            assert_eq!(pair[1].compare(&pair[0]), Ordering::Greater, "{place}");
        }
        assert_eq!(RowTrouble::default().compare(&RowTrouble::default()), Ordering::Equal);
    }

    #[test]
    fn a_sentence_has_the_age_if_both_times_are_known() {
        let problem = ProblemRow { since: Some(1_000.0), ..problem("link_down", "critical", "a\u{1b}b") };
        let at = |seconds| sentence(&problem, Duration::from_secs(seconds));
        assert_eq!(at(1_180), r"! link down for 3 min: a\x1bb");
        assert_eq!(at(0), r"! link down: a\x1bb");
        // The clocks of two hosts differ.
        assert_eq!(at(900), r"! link down for 0.0 s: a\x1bb");
        assert_eq!(age(Some(f64::NAN), Duration::from_secs(1)), None);
    }
}
