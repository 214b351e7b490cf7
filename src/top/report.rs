//! The last answer as the view keeps it: rows, problems, workloads without a veth, the host.

use super::table::{self, Column, TableRow, plus, words_of};
use super::trouble::ProblemsBySubject;
use crate::exposition::json::PairsAnswer;
use crate::exposition::json::container::{RestartsRow, VethlessRow};
use crate::exposition::json::host::HostRow;
use crate::exposition::json::problem::ProblemRow;
use crate::exposition::json::row::WorkloadRow;
use std::sync::Arc;

/// The content of the last answer.
#[derive(Clone, Debug, Default)]
pub struct HostReport {
    pub host: HostRow<'static>,
    pub rows: Vec<TableRow>,
    /// The problems, the most severe first.
    pub problems: Vec<Arc<ProblemRow<'static>>>,
    /// The workloads without a veth of their own, each with the severity of its worst problem.
    pub workloads: Vec<(VethlessRow<'static>, u8)>,
    pub restarts: Vec<RestartsRow<'static>>,
    /// The number of pairs that have rows.
    pub pairs: usize,
    /// The number of pairs without a row, beyond the limit of series.
    pub summed: u64,
    /// Receive and transmit of all workloads, in bytes per second; `None` if no row's number is known.
    pub sums: [Option<u64>; 2],
}

impl HostReport {
    /// Replaces the report by a new answer; rows keep their history.
    pub(crate) fn take_answer(&mut self, answer: PairsAnswer) {
        let PairsAnswer { summed, host, problems, workloads, restarts, pairs } = answer;
        let number = pairs.len();
        let mut rows = table::rows(pairs, std::mem::take(&mut self.rows));
        let mut problems: Vec<_> = problems.into_iter().map(Arc::new).collect();
        problems.sort_by_key(|problem| std::cmp::Reverse(super::trouble::severity(problem)));
        let by = ProblemsBySubject::new(&problems);
        for row in &mut rows {
            row.trouble = by.of_row(row);
        }
        let marked = |row: VethlessRow<'static>| {
            let severity = by.of_workload(&row.workload).severity();
            (row, severity)
        };
        let workloads = workloads.into_iter().map(marked).collect();
        let sum = |column| rows.iter().fold(None, |sum, row| plus(sum, row.number(column)));
        let sums = [Column::Receive, Column::Transmit].map(sum);
        *self = HostReport { host, rows, problems, workloads, restarts, pairs: number, summed, sums };
    }

    /// Extends each row's history after an answer that was the same as before.
    pub(crate) fn repeat_answer(&mut self) {
        table::unchanged(&mut self.rows);
    }

    /// Returns the restarts of a workload.
    pub fn restarts_of(&self, workload: &WorkloadRow<'_>) -> Option<&RestartsRow<'static>> {
        let name = workload.name();
        self.restarts.iter().find(|one| match one.id.is_empty() || workload.id.is_empty() {
            true => one.runtime == workload.runtime && *one.workload == *name,
            false => one.id == workload.id,
        })
    }

    /// Returns the runtime that all rows with a workload have in common.
    pub fn only_runtime(&self) -> Option<&str> {
        let of_rows = self.rows.iter().filter_map(|row| row.end().place.workload.as_ref());
        let workloads = of_rows.chain(self.workloads.iter().map(|(row, _)| &row.workload));
        let mut runtimes = workloads.map(|workload| &*workload.runtime);
        let first = runtimes.next()?;
        runtimes.all(|runtime| runtime == first).then_some(first)
    }
}

/// Returns true if the workload contains each of the words, which are in lower case.
pub(crate) fn vethless_matches(row: &VethlessRow<'_>, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let VethlessRow { workload, state, text, owner, .. } = row;
    let text = [&*words_of(workload), state, text, owner].join("\n").to_lowercase();
    words.iter().all(|word| text.contains(word))
}
