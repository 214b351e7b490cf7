//! A clock on the wall that a test sets: that of one exporter, by a library that is loaded before it.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use lab::{checkout, empty_folder, succeed};

/// Ten years in seconds.
pub(crate) const TEN_YEARS: i64 = 315_576_000;

/// A clock that is as far off as the test says.
pub(crate) struct Clock {
    library: PathBuf,
    offset: PathBuf,
}

impl Clock {
    /// Makes one that is right.
    pub(crate) fn new() -> Clock {
        let folder = empty_folder("clock");
        let (library, offset) = (folder.join("clock.so"), folder.join("offset"));
        let source = checkout().join("tests/faults/clock.c");
        let flags = ["-shared", "-fPIC", "-O2", "-o"];
        succeed(Command::new("cc").args(flags).arg(&library).arg(source).arg("-ldl"));
        let clock = Clock { library, offset };
        clock.set(0);
        clock
    }

    /// Sets it so many seconds ahead, at once for an exporter that runs.
    pub(crate) fn set(&self, seconds: i64) {
        // The file stays the same: it is mapped.
        let mut file =
            fs::File::options().create(true).truncate(false).write(true).open(&self.offset).unwrap();
        file.write_all(&seconds.to_ne_bytes()).unwrap();
    }

    /// The program through which an exporter is started that has this clock.
    pub(crate) fn through(&self) -> [String; 3] {
        let variable = |name: &str, path: &PathBuf| format!("{name}={}", path.display());
        ["env".to_owned(), variable("LD_PRELOAD", &self.library), variable("CLOCK_OFFSET", &self.offset)]
    }
}
