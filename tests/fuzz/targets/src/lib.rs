//! What the fuzzer calls, and the replay of its corpus: one function for each kind of bytes that somebody else writes. Each panics
//! where the exporter breaks a promise.

mod engines;
mod kernel;
mod names;
mod proc;
mod web;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A function that takes any bytes.
pub struct Target {
    /// What its folder in the corpus is called.
    pub name: &'static str,
    /// Panics if the exporter breaks a promise.
    pub run: fn(&[u8]),
    /// So many bytes are tried at most.
    pub longest: usize,
    /// So many are taken as soon as a few: what takes time in their square would not be.
    pub large: usize,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "messages", run: kernel::messages, longest: 4 << 10, large: 1 << 20 },
    Target { name: "events", run: kernel::events, longest: 8 << 10, large: 1 << 20 },
    Target { name: "answers", run: kernel::answers, longest: 8 << 10, large: 1 << 20 },
    Target { name: "docker", run: engines::docker, longest: 32 << 10, large: 1 << 20 },
    Target { name: "cri", run: engines::cri, longest: 8 << 10, large: 1 << 20 },
    Target { name: "proc", run: proc::texts, longest: 8 << 10, large: 1 << 20 },
    Target { name: "http", run: web::requests, longest: 24 << 10, large: 128 << 10 },
    Target { name: "accept", run: web::accept, longest: 4 << 10, large: 1 << 20 },
    Target { name: "web_config", run: web::config_file, longest: 8 << 10, large: 1 << 20 },
    Target { name: "patterns", run: names::patterns, longest: 2 << 10, large: 1 << 20 },
    Target { name: "labels", run: names::labels, longest: 2 << 10, large: 1 << 20 },
    Target { name: "packed", run: names::packed, longest: 8 << 10, large: 1 << 20 },
];

/// What stands between the parts of an input that has several.
const SEPARATOR: &[u8] = b"\n--\n";

/// The parts of an input; as many as are asked for, those that are not there empty.
fn parts<const N: usize>(input: &[u8]) -> [&[u8]; N] {
    let mut rest = Some(input);
    std::array::from_fn(|_| {
        let Some(now) = rest else { return &[][..] };
        let at = now.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
        rest = at.map(|at| &now[at + SEPARATOR.len()..]);
        &now[..at.unwrap_or(now.len())]
    })
}

/// What may be in memory at a time whatever the input.
const ALWAYS: usize = 512 << 10;

/// Runs it, and panics if it had more than so many bytes in memory at a time. What other threads take is not counted.
fn in_memory_of<T>(allowed: usize, run: impl FnOnce() -> T) -> T {
    let mut result = None;
    let used = allocation_counter::measure(|| result = Some(run())).bytes_max;
    assert!(used <= allowed as u64, "{used} bytes in memory at a time, and {allowed} allowed");
    result.expect("it ran")
}

/// A folder of this process, within that of the run if there is one.
fn scratch() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let run = std::env::var_os("VETH_LAB_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = run.join(format!("fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder of its own");
        folder
    })
}
