//! The fault campaign: engines, the kernel, the process itself and a hostile container are made to fail or to do harm, and
//! what the exporter then does is compared with what it has promised. `tests/run --campaign` runs all of it with the faults
//! that other tests hold, and writes the table of docs/reliability.md; `VETH_LAB_LONG=1` takes the long sizes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy knows a test by its attribute, and not what only tests call"
)]

mod adversary;
mod amid;
mod campaign;
mod clock;
mod cri;
mod engine;
mod impostor;
mod kernel;
mod limits;
mod process;
mod soak;
mod state;

use std::fs;
use std::time::{Duration, Instant};

use lab::{Exporter, Exposition, memory};

/// Longer than a recovery takes.
const SOON: Duration = Duration::from_secs(20);

/// Between two ticks.
const OFTEN: [&str; 2] = ["--collector.interval", "100ms"];

/// What the exporter has in use.
#[derive(Clone, Copy, Debug)]
struct Used {
    resident: u64,
    descriptors: usize,
    threads: usize,
}

impl Used {
    fn by(exporter: &Exporter) -> Used {
        let of = |what: &str| format!("/proc/{}/{what}", exporter.pid());
        let count = |what| fs::read_dir(of(what)).unwrap().count();
        Used { resident: memory(exporter, "VmRSS") << 10, descriptors: count("fd"), threads: count("task") }
    }

    /// The least of some looks: a connection or a file is open for a moment.
    fn at_rest(exporter: &Exporter) -> Used {
        let looks = (0..20).map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            Used::by(exporter)
        });
        looks.min_by_key(|used| used.descriptors).unwrap()
    }
}

/// A scrape, and how long its answer took. The time that this program takes to check the answer is not in it.
fn timed(exporter: &Exporter) -> (Exposition, Duration) {
    let begin = Instant::now();
    let response = exporter.get("/metrics");
    let took = begin.elapsed();
    assert_eq!(response.status, 200, "{}", response.text());
    (Exposition::parse(response.text()).unwrap(), took)
}

/// The lines of the log about a source.
fn said_of(exporter: &Exporter, source: &str) -> Vec<String> {
    let of_source = format!("collector={source}");
    exporter.log().into_iter().filter(|line| line.contains(&of_source)).collect()
}

/// The sum of a family.
fn sum_of(metrics: &Exposition, family: &str) -> f64 {
    metrics.all(family).iter().map(|(_, value)| value).sum()
}
