//! libFuzzer as a process: how long it runs, what it found, and the figures for the table.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use fuzz_targets::Target;
use lab::{empty_folder, folder};

/// An input that takes longer, or needs more memory, is one as good as a panic.
const TIMEOUT: &str = "-timeout=5";
const MEMORY: &str = "-rss_limit_mb=1024";

/// Runs libFuzzer on this target, if `VETH_LAB_FUZZ` says for how many seconds. What it finds is put among the regressions.
pub(crate) fn look_for_more(target: &Target) {
    let Ok(seconds) = std::env::var("VETH_LAB_FUZZ") else { return };
    let fuzzer =
        std::env::var_os("VETH_LAB_FUZZER").expect("tests/run --fuzz builds the fuzzer and says where it is");
    let (corpus, found) = (empty_folder("corpus"), empty_folder("found"));
    let known = ["corpus", "regressions"].map(|folder| format!("tests/fuzz/{folder}/{}", target.name));
    // A namespace of its own: what happens to the host's links is not what an input does.
    let mut command = Command::new("unshare");
    // The runtime of Rust ignores SIGPIPE, and is not started by libFuzzer's `main`.
    command.args(["--net", "env", "--ignore-signal=PIPE"]).arg(fuzzer).env("VETH_FUZZ_TARGET", target.name);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={}", target.longest));
    command.args([TIMEOUT, MEMORY, "-print_final_stats=1", "-verbosity=1"]);
    command.arg(format!("-artifact_prefix={}/", found.display())).arg(&corpus);
    command.args(known.iter().filter(|folder| Path::new(folder).exists()));
    let dictionary = format!("tests/fuzz/dictionaries/{}", target.name);
    if Path::new(&dictionary).exists() {
        command.arg(format!("-dict={dictionary}"));
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let regressions = keep(target, &found);
    assert!(output.status.success(), "{:?} is among the regressions now:\n{}", regressions, tail(&said));
    note(&figures(&said, &corpus, &seconds));
}

/// Copies what was found to the regressions of the target.
fn keep(target: &Target, found: &Path) -> Vec<String> {
    let regressions = Path::new("tests/fuzz/regressions").join(target.name);
    let names = fs::read_dir(found).unwrap().map(|entry| entry.unwrap().file_name());
    let keep = |name: std::ffi::OsString| {
        fs::create_dir_all(&regressions).unwrap();
        fs::copy(found.join(&name), regressions.join(&name)).unwrap();
        regressions.join(name).display().to_string()
    };
    names.map(keep).collect()
}

/// What is left of a long text.
fn tail(text: &str) -> &str {
    let lines = text.rmatch_indices('\n').map(|(at, _)| at + 1);
    &text[lines.take(80).last().unwrap_or(0)..]
}

/// `1,234,567 inputs in 120 s, 2,345 places and 6,789 features of the code, 456 inputs worth keeping, 64 MiB`.
fn figures(said: &str, corpus: &Path, seconds: &str) -> String {
    let stat = |name: &str| -> u64 {
        let line = said.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
        line.and_then(|line| line.trim_matches([':', ' ']).parse().ok())
            .unwrap_or_else(|| panic!("no {name} in {said}"))
    };
    // `#1234	DONE   cov: 12 ft: 34 corp: 5/678b ...`
    let done = said.lines().rfind(|line| line.contains("DONE")).unwrap();
    let after = |word: &str| {
        done.split_whitespace().skip_while(|&found| found != word).nth(1).unwrap_or("no").to_owned()
    };
    let kept = fs::read_dir(corpus).unwrap().count();
    format!(
        "{} inputs in {seconds} s, {} places and {} features of the code reached, {kept} inputs new, {} MiB",
        stat("number_of_executed_units"),
        after("cov:"),
        after("ft:"),
        stat("peak_rss_mb")
    )
}

/// Leaves figures for the table of docs/reliability.md, in the run's folder.
fn note(figures: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    println!("{test}: {figures}");
    let mut notes = fs::File::options().create(true).append(true).open(folder().join("figures")).unwrap();
    notes.write_all(format!("fuzz\t{test}\t{figures}\n").as_bytes()).unwrap();
}
