//! What the campaign is made of: the table of faults, and the figures that its tests leave for it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use lab::folder;

/// Leaves a figure for the table of docs/reliability.md, in the run's folder.
pub(crate) fn note(figure: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    println!("{test}: {figure}");
    let mut notes = fs::File::options().create(true).append(true).open(folder().join("figures")).unwrap();
    notes.write_all(format!("faults\t{test}\t{figure}\n").as_bytes()).unwrap();
}

/// One line of tests/faults/campaign.tsv.
#[derive(Debug)]
struct Fault<'a> {
    group: &'a str,
    fault: &'a str,
    expected: &'a str,
    target: &'a str,
    test: &'a str,
}

fn faults() -> Vec<Fault<'static>> {
    let lines = include_str!("campaign.tsv").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [group, fault, expected, target, test] = fields[..] else {
                panic!("not five fields: {line}")
            };
            Fault { group, fault, expected, target, test }
        })
        .collect()
}

/// Returns the source of a test: `a::b::NAME` of binary `engines` is in tests/engines/a/b.rs or tests/engines/a.rs, NAME of binary `fuzz` in
/// tests/fuzz/main.rs, NAME of `lib` somewhere below src.
fn source_of(fault: &Fault) -> String {
    let read =
        |path: &str| fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}: {fault:?}"));
    let modules: Vec<&str> = fault.test.split("::").collect();
    match (fault.target, &modules[..]) {
        ("lib", [modules @ .., "tests", _]) => read(&format!("src/{}/tests.rs", modules.join("/"))),
        ("lib", [modules @ .., module, _]) => {
            read(&format!("src/{}/tests/{module}.rs", modules[..modules.len() - 1].join("/")))
        }
        ("fuzz", [_]) => read("tests/fuzz/main.rs"),
        (target, [modules @ .., _]) if !modules.is_empty() => {
            read(&format!("tests/{target}/{}.rs", modules.join("/")))
        }
        _ => panic!("no module and test: {fault:?}"),
    }
}

#[test]
fn every_fault_of_the_table_is_a_test_that_there_is() {
    for fault in faults() {
        let name = fault.test.rsplit("::").next().unwrap();
        assert!(source_of(&fault).contains(&format!("fn {name}()")), "there is no such test: {fault:?}");
        assert!(
            !fault.group.is_empty() && !fault.fault.is_empty() && !fault.expected.is_empty(),
            "{fault:?}"
        );
    }
}

#[test]
fn every_test_of_the_campaign_is_in_the_table() {
    let listed: BTreeSet<&str> =
        faults().iter().filter(|fault| fault.target == "faults").map(|fault| fault.test).collect();
    for module in ["adversary", "cri", "engine", "kernel", "limits", "process", "soak", "state"] {
        let path = Path::new("tests/faults").join(format!("{module}.rs"));
        let source = fs::read_to_string(path).unwrap();
        let tests =
            source.split("#[test]\n").skip(1).filter_map(|test| test.trim_start().strip_prefix("fn "));
        for test in tests.filter_map(|test| test.split('(').next()) {
            let test = format!("{module}::{test}");
            assert!(listed.contains(test.as_str()), "{test} is not in tests/faults/campaign.tsv");
        }
    }
}
