//! The fault campaign: the tests of tests/faults/campaign.tsv, one at a time, and the tables of docs/reliability.md.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::arguments::{RINGS, Selection};
use super::outcomes::{self, Outcomes};
use super::{command, section};
use crate::{cargo, checkout};

const TABLE: &str = "tests/faults/campaign.tsv";
const PAGE: &str = "docs/reliability.md";

/// For so many seconds libFuzzer looks at each target, unless VETH_LAB_FUZZ says otherwise.
const FUZZING: &str = "120";

/// The faults that are to be tried.
#[derive(Debug)]
pub(super) struct Campaign {
    faults: Vec<Fault>,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    group: String,
    fault: String,
    expected: String,
    ring: String,
    test: String,
}

/// What tests noted for the table, by ring and test.
type Figures = BTreeMap<(String, String), Vec<String>>;

impl Campaign {
    /// Returns the campaign, or the fuzzing of it, if that was chosen.
    pub(super) fn chosen(selection: &Selection) -> Result<Option<Campaign>> {
        if !selection.campaign && !selection.fuzz {
            return Ok(None);
        }
        let table = fs::read_to_string(checkout().join(TABLE)).context(TABLE)?;
        let mut faults = parse(&table)?;
        faults.retain(|fault| selection.campaign || fault.ring == "fuzz");
        Ok(Some(Campaign { faults }))
    }

    /// Returns the test binaries of the campaign in their order.
    pub(super) fn rings(&self) -> Vec<&'static str> {
        RINGS.into_iter().filter(|ring| self.faults.iter().any(|fault| fault.ring == *ring)).collect()
    }

    /// Returns the tests of one binary.
    pub(super) fn tests_of(&self, ring: &str) -> BTreeSet<String> {
        self.faults.iter().filter(|fault| fault.ring == ring).map(|fault| fault.test.clone()).collect()
    }

    /// Builds libFuzzer with all targets, in a folder of its own, because it is compiled with flags of its own
    /// (tests/fuzz/fuzzer/.cargo/config.toml); returns the variables that name it to the tests.
    pub(super) fn build_fuzzer(&self, target: &Path) -> Result<BTreeMap<&'static str, String>> {
        section("Building the fuzzer");
        let folder = target.join("fuzz");
        let version = command::output(Command::new("rustc").current_dir(checkout()).arg("-vV"))?;
        let host =
            version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
        let mut build = cargo();
        build
            .current_dir(checkout().join("tests/fuzz/fuzzer"))
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS");
        // With a target the flags are not for what runs while it is built.
        build.args(["build", "--locked", "--release", "--target", host, "--target-dir"]).arg(&folder);
        command::succeed(&mut build)?;
        let program = folder.join(host).join("release/veth-exporter-fuzzer");
        let seconds = env::var("VETH_LAB_FUZZ").unwrap_or_else(|_| FUZZING.to_owned());
        Ok(BTreeMap::from([("VETH_LAB_FUZZER", program.display().to_string()), ("VETH_LAB_FUZZ", seconds)]))
    }

    /// Writes the tables of docs/reliability.md from what the tests came to and noted in the lab's folder.
    pub(super) fn write(&self, folder: &Path, results: &[(String, Outcomes)]) -> Result<()> {
        let outcomes = outcomes::by_test(results);
        let figures = figures(&fs::read_to_string(folder.join("figures")).unwrap_or_default());
        let page_path = checkout().join(PAGE);
        let mut page = fs::read_to_string(&page_path).context(PAGE)?;
        for (mark, of_fuzzing) in [("campaign", false), ("fuzzing", true)] {
            let faults: Vec<&Fault> =
                self.faults.iter().filter(|fault| (fault.ring == "fuzz") == of_fuzzing).collect();
            if !faults.is_empty() {
                let table = format!("{}\n{}", head(of_fuzzing)?, table(&faults, &outcomes, &figures));
                page = replace(&page, mark, &table)?;
            }
        }
        fs::write(&page_path, page).context(PAGE)?;
        section(&format!("The results are in {PAGE}"));
        Ok(())
    }
}

fn parse(table: &str) -> Result<Vec<Fault>> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [group, fault, expected, ring, test] = fields[..] else {
                bail!("{TABLE}: {} fields, not 5, in: {line}", fields.len());
            };
            let [group, fault, expected, ring, test] =
                [group, fault, expected, ring, test].map(str::to_owned);
            Ok(Fault { group, fault, expected, ring, test })
        })
        .collect()
}

/// Reads the lines `RING<TAB>TEST<TAB>FIGURE` that tests wrote.
fn figures(lines: &str) -> Figures {
    let mut figures = Figures::new();
    for line in lines.lines() {
        if let [ring, test, figure] = line.split('\t').collect::<Vec<_>>()[..] {
            figures.entry((ring.to_owned(), test.to_owned())).or_default().push(figure.to_owned());
        }
    }
    figures
}

/// Says on what the tables were made.
fn head(of_fuzzing: bool) -> Result<String> {
    let text = |program: &str, argument: &str| command::output(Command::new(program).arg(argument));
    let (date, kernel) = (text("date", "+%F")?, text("uname", "-r")?);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let long = env::var("VETH_LAB_LONG").is_ok_and(|set| set == "1");
    let size = match of_fuzzing {
        true => {
            format!("{} s for each target", env::var("VETH_LAB_FUZZ").unwrap_or_else(|_| FUZZING.to_owned()))
        }
        false => if long { "long sizes" } else { "short sizes" }.to_owned(),
    };
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    Ok(format!("Run on {} with Linux {kernel}, {processors} processors, {size}.\n", date.trim()))
}

/// Returns a table for each group of faults.
fn table(faults: &[&Fault], outcomes: &BTreeMap<(String, String), bool>, figures: &Figures) -> String {
    let (mut text, mut group) = (String::new(), "");
    for fault in faults {
        if fault.group != group {
            group = &fault.group;
            text.push_str(&format!(
                "\n### {group}\n\n| fault | expected | outcome | seen | test |\n|---|---|---|---|---|\n"
            ));
        }
        let key = (fault.ring.clone(), fault.test.clone());
        let outcome = match outcomes.get(&key) {
            Some(true) => "as expected",
            Some(false) => "FAILED",
            None => "not run",
        };
        let seen = figures.get(&key).map(|figures| figures.join("; ")).unwrap_or_default();
        let name = fault.test.rsplit("::").next().unwrap_or_default();
        let Fault { fault, expected, ring, .. } = fault;
        text.push_str(&format!("| {fault} | {expected} | {outcome} | {seen} | `{ring}`: `{name}` |\n"));
    }
    text
}

/// Puts a table between its two marks in the page.
fn replace(page: &str, mark: &str, table: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {mark}: begin"), format!("<!-- {mark}: end -->"));
    let after_begin = page.find(&begin).and_then(|at| Some(at + page[at..].find('\n')? + 1));
    let (Some(from), Some(to)) = (after_begin, page.find(&end)) else {
        bail!("{PAGE} lacks the marks of {mark}");
    };
    ensure!(from <= to, "{PAGE}: the marks of {mark} are in the wrong order");
    Ok(format!("{}\n{table}\n{}", &page[..from], &page[to..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_of_each_fault_what_came_of_it() {
        let faults = parse(
            "# a comment\nEngines\tkilled\tgoes on\tfaults\tengine::killed\nEngines\tslow\twaits\tlib\ta::b\n\
                            Kernel\tlost\tread again\tkernel\tx::lost\n",
        )
        .unwrap();
        let outcomes = BTreeMap::from([
            (("faults".to_owned(), "engine::killed".to_owned()), true),
            (("lib".to_owned(), "a::b".to_owned()), false),
        ]);
        let figures = figures("faults\tengine::killed\t31 MiB\nfaults\tengine::killed\t14 ms\n");
        let text = table(&faults.iter().collect::<Vec<_>>(), &outcomes, &figures);
        for line in [
            "| killed | goes on | as expected | 31 MiB; 14 ms | `faults`: `killed` |\n",
            "| slow | waits | FAILED |  | `lib`: `b` |\n",
            "\n### Kernel\n\n| fault | expected | outcome | seen | test |\n|---|---|---|---|---|\n| lost | read again | not run |  | `kernel`: `lost` |\n",
        ] {
            assert!(text.contains(line), "no {line:?} in\n{text}");
        }
        assert_eq!(text.matches("### Engines").count(), 1);
        assert!(parse("one\ttwo\n").unwrap_err().to_string().contains("2 fields"));
    }

    #[test]
    fn a_table_replaces_what_stood_between_its_marks() {
        let page = "a\n<!-- fuzzing: begin (by x) -->\nold\n<!-- fuzzing: end -->\nb\n";
        let new = replace(page, "fuzzing", "new\n").unwrap();
        assert_eq!(new, "a\n<!-- fuzzing: begin (by x) -->\n\nnew\n\n<!-- fuzzing: end -->\nb\n");
        assert!(replace(page, "campaign", "new").is_err());
    }
}
