//! What became of the tests: the lines that libtest writes, and the table at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

/// What one test binary's run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcomes {
    /// The tests that were to run, by their paths.
    pub(super) listed: BTreeSet<String>,
    pub(super) passed: BTreeSet<String>,
    pub(super) failed: BTreeSet<String>,
    /// The tests that left themselves out, as the small set allows.
    pub(super) left_out: BTreeSet<String>,
    /// How the binary ended, if it did not end as its tests' outcomes say.
    pub(super) trouble: Option<String>,
    pub(super) took: Duration,
}

/// Returns the paths of the tests that a binary lists (`--list --format terse`).
pub(super) fn listed(output: &str) -> BTreeSet<String> {
    output.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// Returns the paths of the tests that left themselves out, of the lines `RING::MODULE: TEST` that they wrote, for one ring.
pub(super) fn left_out(lines: &str, ring: &str) -> BTreeSet<String> {
    let of_ring = |line: &str| {
        let (module, test) = line.split_once(": ")?;
        (module.split("::").next() == Some(ring)).then(|| test.to_owned())
    };
    lines.lines().filter_map(of_ring).collect()
}

impl Outcomes {
    /// Takes libtest's log file: `ok PATH`, `failed PATH`, `ignored PATH`.
    pub(super) fn read_log(&mut self, log: &str) {
        for line in log.lines() {
            match line.split_once(' ') {
                Some(("ok", test)) => _ = self.passed.insert(test.to_owned()),
                Some(("failed", test)) => _ = self.failed.insert(test.to_owned()),
                // Anything else is a test without an outcome.
                _ => {}
            }
        }
    }

    /// Counts tests that passed only because they left themselves out as not run.
    pub(super) fn leave_out(&mut self, left_out: &BTreeSet<String>) {
        self.passed.retain(|test| !left_out.contains(test));
        self.left_out.extend(left_out.intersection(&self.listed).cloned());
    }

    /// Returns the tests that were to run and have no outcome: left out, ignored, or their binary ended before.
    pub(super) fn not_run(&self) -> BTreeSet<&String> {
        self.listed
            .iter()
            .filter(|test| !self.passed.contains(*test) && !self.failed.contains(*test))
            .collect()
    }
}

/// Returns the closing table and lists, for rings in the order in which they ran.
pub(super) fn summary(rings: &[(String, Outcomes)]) -> String {
    let mut text = String::from("ring       passed  failed  not run  seconds\n");
    for (ring, outcomes) in rings {
        let (passed, failed, not_run) =
            (outcomes.passed.len(), outcomes.failed.len(), outcomes.not_run().len());
        let seconds = outcomes.took.as_secs();
        // Writing to a string cannot fail.
        _ = writeln!(text, "{ring:<9} {passed:>7} {failed:>7} {not_run:>8} {seconds:>8}");
    }
    for (title, tests) in [("Failed", failed(rings)), ("Not run", not_run(rings))] {
        if !tests.is_empty() {
            _ = writeln!(text, "\n{title}:\n  {}", tests.join("\n  "));
        }
    }
    for (ring, outcomes) in rings {
        if let Some(trouble) = &outcomes.trouble {
            _ = writeln!(text, "\n{ring}: {trouble}");
        }
    }
    let sum =
        |count: fn(&Outcomes) -> usize| -> usize { rings.iter().map(|(_, outcomes)| count(outcomes)).sum() };
    let (passed, failed) = (sum(|outcomes| outcomes.passed.len()), sum(|outcomes| outcomes.failed.len()));
    _ = write!(text, "\n{passed} passed, {failed} failed");
    match sum(|outcomes| outcomes.not_run().len()) {
        0 => {}
        skipped => _ = write!(text, ", {skipped} skipped"),
    }
    text
}

/// Returns every failed test as `RING PATH`.
pub(super) fn failed(rings: &[(String, Outcomes)]) -> Vec<String> {
    rings
        .iter()
        .flat_map(|(ring, outcomes)| outcomes.failed.iter().map(move |test| format!("{ring} {test}")))
        .collect()
}

/// Returns every test that has not run as `RING PATH`.
pub(super) fn not_run(rings: &[(String, Outcomes)]) -> Vec<String> {
    rings
        .iter()
        .flat_map(|(ring, outcomes)| outcomes.not_run().into_iter().map(move |test| format!("{ring} {test}")))
        .collect()
}

/// Returns true if nothing failed and no binary ended in another way than its tests say; and, unless some were to be left out, if
/// every test has run.
pub(super) fn is_good(rings: &[(String, Outcomes)], may_leave_out: bool) -> bool {
    rings.iter().all(|(_, outcomes)| {
        let all_ran =
            outcomes.not_run().iter().all(|test| may_leave_out && outcomes.left_out.contains(*test));
        outcomes.failed.is_empty() && outcomes.trouble.is_none() && all_ran
    })
}

/// Returns what each test of the campaign came to, by ring and path.
pub(super) fn by_test(rings: &[(String, Outcomes)]) -> BTreeMap<(String, String), bool> {
    let of_ring = |(ring, outcomes): &(String, Outcomes)| {
        let passed = outcomes.passed.iter().map(|test| ((ring.clone(), test.clone()), true));
        let failed = outcomes.failed.iter().map(|test| ((ring.clone(), test.clone()), false));
        passed.chain(failed).collect::<Vec<_>>()
    };
    rings.iter().flat_map(of_ring).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(tests: &[&str]) -> BTreeSet<String> {
        tests.iter().map(|test| (*test).to_owned()).collect()
    }

    #[test]
    fn a_test_without_an_outcome_has_not_run() {
        let mut outcomes =
            Outcomes { listed: listed("a::b: test\nc: test\nd: test\n\n3 tests\n"), ..Outcomes::default() };
        outcomes.read_log("ok a::b\nfailed c\n");
        assert_eq!(outcomes.not_run(), BTreeSet::from([&"d".to_owned()]));
        outcomes.leave_out(&left_out("kernel::x: a::b\nengines::y: d\n", "kernel"));
        assert_eq!(outcomes.not_run().len(), 2, "{outcomes:?}");
        assert_eq!((outcomes.passed, outcomes.failed), (set(&[]), set(&["c"])));
    }

    #[test]
    fn the_summary_names_every_failed_and_every_not_run_test_and_ends_with_the_counts() {
        let crashed = Outcomes {
            listed: set(&["a", "b", "c"]),
            passed: set(&["a"]),
            failed: set(&["b"]),
            left_out: BTreeSet::new(),
            trouble: Some("ended by signal 6".to_owned()),
            took: Duration::from_secs(75),
        };
        let good = Outcomes { listed: set(&["x"]), passed: set(&["x"]), ..Outcomes::default() };
        let rings = [("kernel".to_owned(), crashed), ("repo".to_owned(), good.clone())];
        let text = summary(&rings);
        for part in [
            "kernel          1       1        1       75\n",
            "Failed:\n  kernel b\n",
            "Not run:\n  kernel c\n",
            "kernel: ended by signal 6\n",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        assert!(text.ends_with("\n2 passed, 1 failed, 1 skipped"), "{text}");
        assert!(!is_good(&rings, true));
        assert!(summary(&rings[1..]).ends_with("\n1 passed, 0 failed"));
        let skipped = Outcomes { listed: set(&["x", "y"]), left_out: set(&["y"]), ..good.clone() };
        let skipped = [("repo".to_owned(), skipped)];
        let vanished = [("repo".to_owned(), Outcomes { listed: set(&["x", "y"]), ..good })];
        assert!(!is_good(&vanished, true));
        assert!(is_good(&rings[1..], false) && is_good(&skipped, true) && !is_good(&skipped, false));
    }
}
