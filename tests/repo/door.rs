//! The door to the tests: tests/run and the program lab say what is wrong in one line, and leave nothing behind.
//!
//! These tests call the door for one of their own tests, with no engine. The variables of the run that they belong to are taken away.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use lab::{DockerEngine, checkout, describe, empty_folder, needs_engine, succeed, wait_for};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// A test below for the inner runs.
const INNER: &str = "door::a_test_for_the_inner_run_that_can_wait";

/// The file that the inner test writes its lab's folder to before it waits.
const FILE: &str = "VETH_DOOR_FILE";

#[test]
fn a_test_for_the_inner_run_that_can_wait() {
    let Some(file) = std::env::var_os(FILE) else { return };
    fs::write(file, std::env::var("VETH_LAB_DIR").unwrap()).unwrap();
    std::thread::sleep(Duration::from_secs(120));
}

fn door(words: &[&str]) -> Command {
    let mut door = Command::new(checkout().join("tests/run"));
    door.args(words).stdin(Stdio::null());
    for name in ["VETH_LAB", "VETH_LAB_DIR", "VETH_LAB_NETNS", "VETH_LAB_DOCKER_HOST", "VETH_LAB_REPORT"] {
        door.env_remove(name);
    }
    door
}

fn run(words: &[&str]) -> Output {
    door(words).output().unwrap()
}

#[test]
fn one_test_runs_is_counted_and_leaves_nothing_behind() {
    let report = empty_folder("door").join("report");
    let output =
        door(&["--small", "--test", "repo", INNER]).env("VETH_LAB_REPORT", &report).output().unwrap();
    let said = describe(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("\nrepo            1       0        0 "), "{said}");
    assert!(said.contains("\n1 passed, 0 failed\n"), "{said}");
    assert_eq!(fs::read_to_string(report).unwrap(), "");
}

#[test]
fn an_ordinary_user_is_refused_with_the_way_to_become_root() {
    let folder = empty_folder("door");
    let tests = folder.join("tests");
    succeed(Command::new("mkdir").args(["-m", "755"]).arg(&tests));
    succeed(Command::new("chmod").arg("755").arg(&folder));
    succeed(Command::new("cp").arg(checkout().join("tests/run")).arg(&tests));
    let mut setpriv = Command::new("setpriv");
    let output = setpriv.args(["--reuid=65534", "--clear-groups"]).arg(tests.join("run")).output().unwrap();
    let said = describe(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("must be run as root") && said.contains("sudo -E"), "{said}");
}

#[test]
fn what_cannot_be_meant_is_refused_by_name() {
    for (words, code, named) in [
        (&["--bogus"][..], 2, "--bogus"),
        (&["--test", "docker"], 2, "docker"),
        (&["--small", "--test", "repo", "no_test_is_called_so"], 1, "no_test_is_called_so"),
    ] {
        let output = run(words);
        let said = describe(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(named), "{said}");
    }
}

#[test]
fn a_lab_that_is_not_up_is_refused_by_its_folder() {
    let output =
        door(&["--small", "--test", "repo", INNER]).env("VETH_LAB_DIR", "/no/such/lab").output().unwrap();
    let said = describe(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("VETH_LAB_DIR=/no/such/lab is no lab that is up: unset it"), "{said}");
}

#[test]
fn a_full_disk_is_named_with_what_is_free_there() {
    let small = empty_folder("door");
    let script = format!(
        "mount -t tmpfs -o size=16m tmpfs {0} && TMPDIR={0} exec {1} --small --test repo {INNER}",
        small.display(),
        checkout().join("tests/run").display()
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", &script]).env_remove("VETH_LAB_DIR").env_remove("VETH_LAB");
    let output = unshare.output().unwrap();
    let said = describe(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{} has 1", small.display())) && said.contains("MiB free"), "{said}");
    assert!(said.contains("set TMPDIR"), "{said}");
}

#[test]
fn without_a_network_a_line_says_what_is_missing_and_the_tests_run() {
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "sh", "-c", r#"ip link set lo up; exec "$0" "$@""#]);
    unshare.arg(checkout().join("tests/run")).args(["--small", "--test", "repo", "package::the_files_agree"]);
    for name in ["VETH_LAB", "VETH_LAB_DIR", "VETH_LAB_REPORT"] {
        unshare.env_remove(name);
    }
    let output = unshare.env("PIP_RETRIES", "0").env("PIP_DEFAULT_TIMEOUT", "1").output().unwrap();
    let said = describe(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("pip could not install (is PyPI in reach?)"), "{said}");
    assert!(said.contains("the tests that need it will fail"), "{said}");
    assert!(said.contains("\n1 passed, 0 failed\n"), "{said}");
}

/// An inner run that has begun its test, and waits in it.
struct Waiting {
    door: Child,
    group: Pid,
    /// The folder of its lab.
    folder: PathBuf,
    file: PathBuf,
}

impl Waiting {
    fn start() -> Waiting {
        let file = empty_folder("door").join("folder");
        let mut command = door(&["--small", "--test", "repo", INNER]);
        command.env(FILE, &file).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let door = command.spawn().unwrap();
        let group = Pid::from_raw(i32::try_from(door.id()).unwrap());
        // Other tests may build at the same time.
        let folder = wait_for(Duration::from_secs(1_200), "the inner test waits", || {
            let folder = fs::read_to_string(&file).unwrap_or_default();
            if folder.is_empty() { Err("it has not begun") } else { Ok(PathBuf::from(folder)) }
        });
        Waiting { door, group, folder, file }
    }

    /// Nothing of it runs, and its folder is gone.
    fn assert_gone(&self) {
        assert!(!self.folder.exists(), "{} is left", self.folder.display());
        let processes = fs::read_dir("/proc").unwrap();
        let processes = processes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let waits = |pid: &String| {
            let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&variables).contains(&self.file.display().to_string())
        };
        assert_eq!(processes.filter(waits).collect::<Vec<_>>(), [] as [String; 0]);
    }
}

#[test]
fn interrupted_twice_it_takes_everything_down_once() {
    let mut waiting = Waiting::start();
    let mut said = BufReader::new(waiting.door.stderr.take().unwrap()).lines();
    killpg(waiting.group, Signal::SIGINT).unwrap();
    let down = said.by_ref().map(Result::unwrap).find(|line| line.contains("Taking everything down"));
    assert!(down.is_some(), "it has not said that it takes everything down");
    // It may be done with that already.
    _ = killpg(waiting.group, Signal::SIGINT);
    let rest: Vec<String> = said.map(Result::unwrap).collect();
    assert_eq!(waiting.door.wait().unwrap().code(), Some(130), "{rest:#?}");
    waiting.assert_gone();
}

#[test]
fn a_run_that_nobody_reads_any_more_takes_everything_down_all_the_same() {
    let mut waiting = Waiting::start();
    drop((waiting.door.stdout.take(), waiting.door.stderr.take()));
    killpg(waiting.group, Signal::SIGTERM).unwrap();
    assert_eq!(waiting.door.wait().unwrap().code(), Some(143));
    waiting.assert_gone();
}

#[test]
fn an_engine_that_runs_already_is_left_alone() {
    needs_engine!();
    let engine = DockerEngine::get();
    let bystander = engine.run_idle("bystander", &[]);
    let pid = || engine.docker(&["inspect", "-f", "{{.State.Pid}} {{.State.StartedAt}}", bystander.name()]);
    let before = pid();
    let said = describe(&run(&["--test", "repo", INNER]));
    assert!(said.contains("Starting a Docker engine") && said.contains("\n1 passed, 0 failed\n"), "{said}");
    assert_eq!(pid(), before, "{said}");
}

/// The words that begin a command in the tests' code: `Command::new("x")`, `netns.command("x")`, `exec(["x"`.
fn commands_in(text: &str) -> Vec<String> {
    let begins = ["Command::new(\"", ".command(\"", ".exec([\""];
    let after =
        begins.iter().flat_map(|begin| text.match_indices(begin).map(|(at, _)| &text[at + begin.len()..]));
    after.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_program_that_a_test_calls_is_in_the_list_of_packages() {
    // Essential packages (Debian Policy 3.8), and what the tests or a container make themselves.
    let essential = [
        "/bin/false",
        "/bin/true",
        "apt-cache",
        "apt-get",
        "bash",
        "cargo",
        "chmod",
        "chown",
        "cp",
        "date",
        "dpkg",
        "env",
        "gzip",
        "ldd",
        "mkdir",
        "mkfifo",
        "mount",
        "nothing-is-called-so",
        "rm",
        "rustc",
        "sh",
        "sleep",
        "tail",
        "tar",
        "timeout",
        "uname",
        "umount",
        "x",
        "program",
    ];
    let list = fs::read_to_string(checkout().join("tests/lab/packages.tsv")).unwrap();
    let proofs: Vec<&str> = list.lines().filter_map(|line| line.split('\t').nth(1)).collect();
    let mut files = Vec::new();
    sources(&checkout().join("tests"), &mut files);
    sources(&checkout().join("benches"), &mut files);
    let mut missing = Vec::new();
    for file in files {
        for command in commands_in(&fs::read_to_string(&file).unwrap()) {
            let known = essential.contains(&command.as_str())
                || proofs.iter().any(|proof| *proof == command || *proof == format!("static:{command}"));
            if !known {
                missing.push(format!("{}: {command}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "add these to tests/lab/packages.tsv: {missing:#?}");
}
