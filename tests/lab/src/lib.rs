//! The lab: what the tests stand on. Network namespaces, the exporter as a process, real Docker engines, Prometheus.
//!
//! Every test binary links it. It runs as root below `tests/run`, which starts the shared engine and says
//! where it is (`VETH_LAB_DOCKER_HOST`, `VETH_LAB_NETNS`), gives a folder for everything (`VETH_LAB_DIR`), and ends what a test
//! that was killed could not end itself. Everything else ends with the value that stands for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a lab that fails, fails its test"
)]

mod alertmanager;
pub mod book;
mod browser;
mod container;
mod containerd;
mod content;
pub mod crowd;
mod docker;
pub mod door;
mod exporter;
mod exposition;
mod frozen;
mod http;
mod lxc;
mod names;
mod netns;
mod podman;
mod process;
mod prometheus;
mod python;
pub mod scene;
mod static_binary;
mod traffic;
mod truth;

use std::fmt::Display;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use alertmanager::{Alertmanager, Webhook};
pub use browser::{Browser, Page};
pub use container::{Container, Counters};
pub use containerd::{Containerd, Pod};
pub use content::{assert_content, assert_talk, findings};
pub use docker::{DockerEngine, DockerNetwork, IMAGE, PrivateEngine};
pub use exporter::{Exporter, memory};
pub use exposition::{Exposition, Family, Sample};
pub use frozen::Frozen;
pub use http::{Response, connect, get as http_get, parse as http_parse, request as http_request};
pub use lxc::LxcContainer;
pub use names::NetnsFolder;
pub use netns::{Netns, ping, send_datagrams, transfer, within_netns};
pub use podman::{Podman, PodmanContainer};
pub use process::Process;
pub use prometheus::{Prometheus, promtool_check};
pub use python::python;
pub use static_binary::static_binary;
pub use traffic::{Interface, Traffic, acquaint, silent_on, two_silent};
pub use truth::{Pairs, SeenEnd, listed, pairs_by_ip, pairs_by_list};

/// Leaves a test that needs a Docker engine, if the user asked for the small set; says so past the harness, and to `tests/run`.
#[macro_export]
macro_rules! needs_engine {
    () => {
        if $crate::is_small() {
            return $crate::not_run(module_path!());
        }
    };
}

/// Returns the root of the checkout that the tests were built in.
pub fn checkout() -> &'static Path {
    static CHECKOUT: OnceLock<PathBuf> = OnceLock::new();
    CHECKOUT.get_or_init(|| {
        let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
        lab.ancestors().nth(2).expect("tests/lab is two folders below the root").to_owned()
    })
}

/// Whether the user asked for the tests that need no Docker engine (`tests/run --small`).
pub fn is_small() -> bool {
    std::env::var("VETH_LAB").is_ok_and(|set| set == "small")
}

/// Says that the current test, of this test target, does not run.
pub fn not_run(target: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Written to the stream itself: what goes through `eprintln!` is captured, and a test that passes shows nothing.
    writeln!(std::io::stderr(), "NOT RUN: {target}: {test} needs a Docker engine, and this is the small set")
        .expect("a standard error to write to");
    let mut list = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder().join("not-run"))
        .expect("the list of tests that were not run");
    list.write_all(format!("{target}: {test}\n").as_bytes()).expect("a line in that list");
}

/// The folder of this run, which `tests/run` removes.
pub fn folder() -> PathBuf {
    std::env::var_os("VETH_LAB_DIR").map(PathBuf::from).unwrap_or_else(|| {
        panic!("VETH_LAB_DIR is not set: run this test by `tests/run` (tests/run --test TARGET NAME)")
    })
}

/// An empty folder of the test's own, within that of the run.
pub fn empty_folder(prefix: &str) -> PathBuf {
    let path = folder().join(unique_name(prefix));
    std::fs::create_dir(&path).expect("a folder of its own");
    path
}

/// A name that nothing else on this machine has: the prefix, this process and a counter.
pub fn unique_name(prefix: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(1);
    format!("{prefix}-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// A name for an interface that nothing else on this machine has, of at most 14 bytes: IFNAMSIZ leaves 15, and some tests append one.
pub fn unique_device(prefix: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(1);
    format!("{prefix}{:x}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// Returns the command `cargo` as the user has it in PATH. rustup's proxy then hands its toolchain on to rustc: cargo itself, called
/// past the proxy, would let each dependency's own rust-toolchain file choose one.
pub fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(checkout());
    cargo
}

/// Asks until the answer is `Ok`, and panics with the last `Err` when it is not so in time.
pub fn wait_for<T, E: Display>(
    within: Duration,
    what: &str,
    mut condition: impl FnMut() -> Result<T, E>,
) -> T {
    let begin = Instant::now();
    loop {
        match condition() {
            Ok(answer) => return answer,
            Err(state) if begin.elapsed() > within => {
                panic!("not within {within:?}: {what}. Last seen:\n{state}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Runs a command to its end; panics with all that it said if it fails.
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", describe(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Unmounts lazily everything that is mounted below a folder, the last mount first.
pub fn unmount_below(root: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("the mounts of this process");
    let mounted =
        mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(|at| Path::new(at).starts_with(root));
    // The last mounted is the first to go.
    for mount in mounted.collect::<Vec<_>>().into_iter().rev() {
        succeed(Command::new("umount").args(["-l", mount]));
    }
}

/// A command's end and all its words, for a message.
pub fn describe(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Notes for `tests/run` that this is to be taken down if the test does not come to it. Without `tests/run` there is nobody to
/// read it, and only the guards clean up.
fn record(kind: &str, name: &str, content: &str) {
    if std::env::var_os("VETH_LAB_DIR").is_some() {
        std::fs::write(record_path(kind, name), content).expect("a record in the lab's folder");
    }
}

fn forget(kind: &str, name: &str) {
    if std::env::var_os("VETH_LAB_DIR").is_some() {
        let path = record_path(kind, name);
        std::fs::remove_file(&path).unwrap_or_else(|error| eprintln!("{}: {error}", path.display()));
    }
}

fn record_path(kind: &str, name: &str) -> PathBuf {
    Path::new(&folder()).join(kind).join(name)
}
