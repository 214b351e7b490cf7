//! Fuzzing: each target takes its whole corpus and all that once made it panic. If `VETH_LAB_FUZZ` says for how many seconds, libFuzzer
//! then looks for more (`tests/run --fuzz`, which builds it).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy knows a test by its attribute, and not what only tests call"
)]

mod libfuzzer;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fuzz_targets::{TARGETS, Target};

/// For one input in a debug build on a machine that has other work to do; one of a mebibyte is a hundred times as long as any here.
const SOON: Duration = Duration::from_secs(10);

/// What each target has to take: the corpus, and what once made it panic.
const FOLDERS: [&str; 2] = ["tests/fuzz/corpus", "tests/fuzz/regressions"];

fn inputs(target: &Target) -> Vec<PathBuf> {
    let folders = FOLDERS.iter().map(|folder| Path::new(folder).join(target.name));
    let entries = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let mut inputs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    inputs
}

fn in_time(target: &Target, input: &[u8], what: &str) {
    let begin = Instant::now();
    (target.run)(input);
    assert!(begin.elapsed() < SOON, "{what} took {:?}", begin.elapsed());
}

/// The target takes what is known, and what libFuzzer finds.
fn holds(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let inputs = inputs(target);
    assert!(inputs.len() >= 5, "{inputs:?}");
    for path in &inputs {
        // Shown if it panics.
        println!("{}", path.display());
        in_time(target, &fs::read(path).unwrap(), &path.display().to_string());
    }
    // Whoever sends a hundred times as much does not make it a thousand times as slow.
    let largest = inputs.iter().map(|path| fs::read(path).unwrap()).max_by_key(Vec::len).unwrap();
    in_time(target, &largest.repeat(target.large / largest.len()), "the largest input many times");
    libfuzzer::look_for_more(target);
}

#[test]
fn messages_of_the_kernel_are_read_as_another_implementation_reads_them() {
    holds("messages");
}

#[test]
fn events_of_the_kernel_are_of_the_namespace_that_their_control_message_says() {
    holds("events");
}

#[test]
fn answers_of_the_kernel_end_or_are_refused() {
    holds("answers");
}

#[test]
fn answers_of_docker_and_podman_are_understood_or_refused() {
    holds("docker");
}

#[test]
fn answers_of_a_cri_server_are_understood_or_refused() {
    holds("cri");
}

#[test]
fn texts_of_procfs_are_read_again_as_they_were_read() {
    holds("proc");
}

#[test]
fn requests_are_answered_in_http_and_their_connection_ends() {
    holds("http");
}

#[test]
fn no_client_gets_a_format_or_a_coding_that_it_refuses() {
    holds("accept");
}

#[test]
fn a_web_configuration_is_taken_or_refused_in_one_line_without_its_passwords() {
    holds("web_config");
}

#[test]
fn a_pattern_is_refused_by_its_flag_or_matches_what_it_says() {
    holds("patterns");
}

#[test]
fn every_name_comes_out_of_the_exposition_as_it_was_put_in() {
    holds("labels");
}

#[test]
fn what_is_unpacked_is_the_exposition_that_was_packed() {
    holds("packed");
}

#[test]
fn every_folder_of_inputs_is_of_a_target_and_small() {
    let targets: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    for folder in FOLDERS {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
            let (name, path) = (entry.file_name(), entry.path());
            assert!(targets.contains(name.to_str().unwrap()), "{} is of no target", path.display());
            let inputs: Vec<PathBuf> =
                fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
            let bytes: u64 = inputs.iter().map(|input| input.metadata().unwrap().len()).sum();
            assert!(
                inputs.len() <= 100 && bytes <= 200 << 10,
                "{}: {} inputs of {bytes} bytes",
                path.display(),
                inputs.len()
            );
        }
    }
}

/// The versions of what is linked, by the names of the packages.
fn versions(lock: &str) -> BTreeSet<(String, String)> {
    let lock = fs::read_to_string(lock).unwrap();
    let packages = lock.split("[[package]]").skip(1);
    let value = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim_matches([' ', '=', '"']).to_owned()
    };
    packages.map(|package| (value(package, "name"), value(package, "version"))).collect()
}

#[test]
fn the_fuzzer_is_made_of_the_same_versions_as_the_exporter() {
    let exporter = versions("Cargo.lock");
    let names: BTreeSet<&String> = exporter.iter().map(|(name, _)| name).collect();
    for package in versions("tests/fuzz/fuzzer/Cargo.lock") {
        assert!(
            exporter.contains(&package) || !names.contains(&package.0),
            "{package:?} is another version than in Cargo.lock: copy that one to tests/fuzz/fuzzer and run cargo build there"
        );
    }
}
