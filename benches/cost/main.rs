//! What the exporter costs at 500 and at 5,000 pairs, beside the kernel's bare dump and node_exporter on the same links:
//! one table, with the budgets. To be run by `benches/run`, which installs what is missing and cleans up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that fails says so")]

mod bed;
mod probe;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bed::{Bed, Container};
use probe::{BareDump, Scrapes, Server, Times};

/// The numbers of pairs, and those for `benches/run large`.
const SIZES: [usize; 2] = [500, 5_000];
const LARGE: [usize; 2] = [5_000, 20_000];

/// How long the exporter is watched when nobody asks it.
const IDLE: Duration = Duration::from_secs(20);

/// All that is measured at one size.
struct Figures {
    dump: Times,
    /// Milliseconds of CPU for each of those.
    dump_cpu: f64,
    answers: Answers,
    node: Scrapes,
    /// Milliseconds of CPU for each tick of a second.
    tick: f64,
    resident: Resident,
    /// Milliseconds from the start of the process.
    ready: f64,
    full: f64,
    /// Milliseconds of CPU from the start until all pairs were named.
    start_cpu: f64,
    churn: Churn,
    named: Named,
}

/// Answers of the exporter, each after a bare dump.
struct Answers {
    plain: Scrapes,
    /// Nothing has moved since the last one.
    gzip_still: Scrapes,
    /// A datagram has gone over each pair since the last one.
    gzip_moved: Scrapes,
    openmetrics: Scrapes,
    pairs: Scrapes,
    cadvisor: Scrapes,
    /// Milliseconds of CPU for each bare dump between them.
    dump_cpu: f64,
}

/// MiB of resident memory.
struct Resident {
    /// After the answers, which are those of a plain, a gzip and an OpenMetrics reader.
    readers: f64,
    /// While eight clients read the metrics at 1 kB a second.
    slow: f64,
    /// The most that there was until then.
    most: f64,
    /// After 750 starts and stops of containers, besides.
    churned: f64,
}

/// The delay of names while other containers start and stop at 50 a second.
struct Named {
    times: Times,
    /// The number of those starts and stops that there were in each second.
    rate: f64,
}

/// The cost of containers that start and stop beside the pairs that stay.
struct Churn {
    /// Milliseconds of CPU for each at one a second, above idle.
    slow: f64,
    /// Milliseconds of CPU for each second at 50 a second, above idle.
    fast: f64,
    /// The number of starts and stops that there were in each of those seconds.
    rate: f64,
    /// MiB of resident memory more than before.
    memory: f64,
}

fn main() {
    let variable =
        |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run benches/run"));
    let folder = PathBuf::from(variable("VETH_BENCH_DIR"));
    let has_argument = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    let (only_names, sizes) = (has_argument("names"), if has_argument("large") { LARGE } else { SIZES });
    let mut bed = Bed::enter(&variable("VETH_BENCH_NETNS"), &folder);
    let mut at_each_size = |measure: &mut dyn FnMut(&Bed, usize)| {
        for pairs in sizes {
            eprintln!("benches/run: making {pairs} pairs");
            bed.grow(pairs);
            // What new links say of themselves, and the kernel's own work for them, is over then.
            thread::sleep(Duration::from_secs(5));
            eprintln!("benches/run: measuring {pairs} pairs");
            measure(&bed, pairs);
        }
    };
    if only_names {
        let mut named = Vec::new();
        at_each_size(&mut |bed, pairs| {
            let exporter = start_exporter(bed.names());
            wait_until_named(&exporter, pairs);
            named.push(measure_names(bed, &exporter));
        });
        let [small, large] = <[Named; 2]>::try_from(named).ok().expect("both sizes");
        print!("{}", text_of(sizes, &[row_of_names(&small, &large)]));
    } else {
        let mut figures = Vec::new();
        at_each_size(&mut |bed, pairs| figures.push(measure(bed, pairs)));
        print!("{}", table(sizes, &<[Figures; 2]>::try_from(figures).ok().expect("both sizes")));
    }
}

/// Returns the time from the start until all pairs were named.
fn wait_until_named(exporter: &Server, pairs: usize) -> Duration {
    exporter.wait_for("/metrics", |answer| {
        answer.matches("\nveth_device_up{").count() == pairs
            && answer.matches("\nveth_container_receive_bytes_total{runtime=\"named\"").count() == pairs
    })
}

fn measure(bed: &Bed, pairs: usize) -> Figures {
    let mut bare = BareDump::new();
    let (dump, dump_cpu) = (Times::of(101, || bare.read()), bare.cpu());
    let exporter = start_exporter(bed.names());
    let ready = exporter.wait_for("/-/ready", |answer| answer.starts_with("HTTP/1.1 200"));
    let full = wait_until_named(&exporter, pairs);
    let start_cpu = exporter.process_cpu();
    let answers = measure_answers(bed, &exporter, &mut bare);
    let readers = exporter.memory("VmRSS:");
    let slow = thread::scope(|scope| {
        let (exporter, during) = (&exporter, Duration::from_secs(6));
        let clients = scope.spawn(move || exporter.read_slowly(8, 1_000, during));
        thread::sleep(during * 2 / 3);
        let slow = exporter.memory("VmRSS:");
        clients.join().expect("clients that read slowly");
        slow
    });
    let most = exporter.memory("VmHWM:");
    let before = exporter.cpu();
    thread::sleep(IDLE);
    let tick = exporter.cpu_since(&before).as_secs_f64() * 1e3 / IDLE.as_secs_f64();
    let churn = churn(bed, &exporter, tick);
    bed.churn(750, 200);
    thread::sleep(Duration::from_secs(2));
    for (path, header) in [METRICS, GZIP, OPENMETRICS] {
        Scrapes::of(&exporter, 1, path, header, || {});
    }
    let resident = Resident { readers, slow, most, churned: exporter.memory("VmRSS:") };
    let named = measure_names(bed, &exporter);
    drop(exporter);
    let node_exporter = start_node_exporter();
    node_exporter.wait_for("/", |answer| answer.starts_with("HTTP/1.1 200"));
    let node = Scrapes::of(&node_exporter, 5, "/metrics", "", || {});
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    Figures {
        dump,
        dump_cpu,
        answers,
        node,
        tick,
        resident,
        ready: milliseconds(ready),
        full: milliseconds(full),
        start_cpu: milliseconds(start_cpu),
        churn,
        named,
    }
}

/// A path and the headers of a request.
type Get = (&'static str, &'static str);

const METRICS: Get = ("/metrics", "");
const GZIP: Get = ("/metrics", "Accept-Encoding: gzip\r\n");
const OPENMETRICS: Get =
    ("/metrics", "Accept-Encoding: gzip\r\nAccept: application/openmetrics-text; version=1.0.0\r\n");

fn measure_answers(bed: &Bed, exporter: &Server, bare: &mut BareDump) -> Answers {
    const COUNT: usize = 50;
    let mut answers = |(path, header): Get, moved: bool| {
        Scrapes::of(exporter, COUNT, path, header, || {
            if moved {
                bed.send(1);
            }
            bare.read();
        })
    };
    let plain = answers(METRICS, false);
    let gzip_still = answers(GZIP, false);
    let gzip_moved = answers(GZIP, true);
    let openmetrics = answers(OPENMETRICS, true);
    let pairs = answers(("/api/v1/pairs", ""), false);
    let cadvisor = answers(("/metrics/cadvisor", ""), false);
    let dump_cpu = bare.cpu();
    Answers { plain, gzip_still, gzip_moved, openmetrics, pairs, cadvisor, dump_cpu }
}

/// Starts 100 containers, five a second, beside 50 starts and stops a second, and measures for each how long its name takes: from the
/// moment when namespace, pair and name are there to the end of the first answer of the API that shows the pair under the name.
///
/// The time includes the exporter's way to the name (inotify, the namespace's id, its links, the 2 ms in which changes are
/// gathered) and that of the answer: a pause of up to 2 ms between two requests, a connection, and the counters of all pairs, which
/// each answer reads. The exporter is asked only while a name is awaited, which adds to its work.
fn measure_names(bed: &Bed, exporter: &Server) -> Named {
    const COUNT: usize = 100;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let churn = scope.spawn(|| {
            let (begin, mut turns) = (Instant::now(), 0);
            while !done.load(Ordering::Relaxed) {
                bed.churn(50, 50);
                turns += 50;
            }
            f64::from(turns) / begin.elapsed().as_secs_f64()
        });
        let begin = Instant::now();
        let mut number = 0;
        let times = Times::of(COUNT, || {
            thread::sleep(
                (begin + Duration::from_millis(200) * number).saturating_duration_since(Instant::now()),
            );
            let called = format!("new-{number}");
            number += 1;
            let container = Container::start(bed, &called);
            let path = format!("/api/v1/pairs?container=shop-{called}");
            let took =
                exporter.poll(&path, Duration::from_millis(2), |answer| answer.contains("\"matched\":1"));
            container.take_up();
            container.stop();
            took
        });
        done.store(true, Ordering::Relaxed);
        Named { times, rate: churn.join().expect("starts and stops") }
    })
}

/// Starts and stops containers; `idle` is what a second costs without, in milliseconds of CPU.
fn churn(bed: &Bed, exporter: &Server, idle: f64) -> Churn {
    let above_idle = |times: u32, a_second: u32| {
        let before = exporter.process_cpu();
        let took = bed.churn(times, a_second).as_secs_f64();
        let used = (exporter.process_cpu() - before).as_secs_f64() * 1e3;
        ((used - idle * took).max(0.0), took)
    };
    let memory = exporter.memory("VmRSS:");
    let (slow, _) = above_idle(20, 1);
    let (fast, took) = above_idle(1_000, 50);
    // The last of them are forgotten, and what they took is given back.
    thread::sleep(Duration::from_secs(2));
    Churn {
        slow: slow / 20.0,
        fast: fast / took,
        rate: 1_000.0 / took,
        memory: exporter.memory("VmRSS:") - memory,
    }
}

fn start_exporter(names: &Path) -> Server {
    // /sys of the namespace that it looks at, as a host has it.
    let mut command = Command::new("unshare");
    command.args([
        "-m",
        "--propagation",
        "slave",
        "sh",
        "-c",
        "mount -t sysfs sysfs /sys && exec \"$@\"",
        "sh",
    ]);
    command.arg(env!("CARGO_BIN_EXE_veth-exporter"));
    command.args(["--web.listen-address", "127.0.0.1:10736", "--log.level", "error"]);
    command.args(["--docker.host", "unix:///nonexistent", "--path.netns"]).arg(names);
    Server::start(command, ([127, 0, 0, 1], 10736).into())
}

fn start_node_exporter() -> Server {
    let mut command = Command::new("prometheus-node-exporter");
    command.args([
        "--collector.disable-defaults",
        "--collector.netdev",
        "--web.listen-address=127.0.0.1:9100",
    ]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Server::start(command, ([127, 0, 0, 1], 9100).into())
}

/// One row: what, at each size, the budget and how it is met.
type Row = (&'static str, [String; 2], &'static str, Option<bool>);

fn table(sizes: [usize; 2], [small, large]: &[Figures; 2]) -> String {
    let both = |show: fn(&Figures) -> String| [show(small), show(large)];
    let (few, many) = (small.answers.plain.cpu, large.answers.plain.cpu);
    let of_node = large.node.times.median() / large.answers.plain.times.median();
    // CPU by CPU: a tick has no other time that could be compared.
    let of_dump = |figures: &Figures| figures.tick / figures.dump_cpu;
    let per_pair = (large.resident.readers - small.resident.readers) * 1024.0 / (sizes[1] - sizes[0]) as f64;
    let Answers { plain, gzip_still, gzip_moved, openmetrics, pairs, cadvisor, dump_cpu } = &large.answers;
    let rows: [Row; 26] = [
        (
            "bare RTM_GETSTATS dump, median of 101",
            both(|f| format!("{} ({} CPU)", ms(f.dump.median()), ms(f.dump_cpu))),
            "",
            None,
        ),
        ("D: CPU of a bare dump before each answer below, mean", both(|f| ms(f.answers.dump_cpu)), "", None),
        (
            "CPU of a scrape, plain",
            both(|f| ms(f.answers.plain.cpu)),
            "≤ D + 3.5 ms",
            Some(plain.cpu <= dump_cpu + 3.5),
        ),
        (
            "to its last byte: median (95th percentile) of 50",
            both(|f| format!("{} ({})", ms(f.answers.plain.times.median()), ms(f.answers.plain.times.p95()))),
            "",
            None,
        ),
        ("its size", both(|f| mib(f.answers.plain.bytes)), "", None),
        (
            "growth of its CPU",
            [String::new(), format!("{:.1}x", many / few)],
            "≤ 12x from 500 to 5,000, ≤ 5x to 20,000",
            Some(many / few <= if sizes == LARGE { 5.0 } else { 12.0 }),
        ),
        (
            "CPU of a scrape, gzip, no traffic since the last",
            both(|f| ms(f.answers.gzip_still.cpu)),
            "≤ D + 1.2 ms",
            Some(gzip_still.cpu <= dump_cpu + 1.2),
        ),
        (
            "CPU of a scrape, gzip, traffic on all pairs",
            both(|f| ms(f.answers.gzip_moved.cpu)),
            "≤ D + 2.5 ms",
            Some(gzip_moved.cpu <= dump_cpu + 2.5),
        ),
        ("its size", both(|f| mib(f.answers.gzip_moved.bytes)), "", None),
        (
            "CPU of a scrape, OpenMetrics, gzip, traffic on all pairs",
            both(|f| ms(f.answers.openmetrics.cpu)),
            "≤ D + 3.5 ms",
            Some(openmetrics.cpu <= dump_cpu + 3.5),
        ),
        ("CPU of /api/v1/pairs", both(|f| ms(f.answers.pairs.cpu)), "≤ 15 ms", Some(pairs.cpu <= 15.0)),
        (
            "CPU of /metrics/cadvisor with nothing to show",
            both(|f| ms(f.answers.cadvisor.cpu)),
            "≤ 0.3 ms",
            Some(cadvisor.cpu <= 0.3),
        ),
        (
            "node_exporter's netdev scrape, median of 5",
            both(|f| format!("{} ({} CPU)", ms(f.node.times.median()), ms(f.node.cpu))),
            "",
            None,
        ),
        (
            "the plain scrape goes into it",
            both(|f| format!("{:.0} times", f.node.times.median() / f.answers.plain.times.median())),
            "≥ 50 times",
            Some(of_node >= 50.0),
        ),
        (
            "CPU of a tick (all threads, mean of 20 s without a scrape), by that of the bare dump",
            both(|f| format!("{} = {:.1} times", ms(f.tick), f.tick / f.dump_cpu)),
            "≤ 4 times",
            Some(of_dump(large) <= 4.0),
        ),
        (
            "idle CPU at a tick of 1 s",
            both(|f| format!("{:.2} %", f.tick / 10.0)),
            "≤ 0.5 % of a core",
            Some(large.tick / 10.0 <= 0.5),
        ),
        (
            "resident memory after a plain, a gzip and an OpenMetrics reader",
            both(|f| format!("{:.1} MiB", f.resident.readers)),
            "",
            None,
        ),
        (
            "the same after 1,750 starts and stops",
            both(|f| format!("{:.1} MiB", f.resident.churned)),
            "≤ 30 MiB",
            Some(large.resident.churned <= 30.0),
        ),
        (
            "with eight clients that read 1 kB a second (at most until then)",
            both(|f| format!("{:.1} MiB ({:.1})", f.resident.slow, f.resident.most)),
            "≤ 36 MiB",
            Some(large.resident.slow <= 36.0),
        ),
        (
            "resident memory for each further pair",
            [String::new(), format!("{per_pair:.1} KiB")],
            "≤ 2 KiB of it for what is known",
            None,
        ),
        (
            "start to /-/ready (to all pairs named)",
            both(|f| format!("{:.0} ms ({:.0})", f.ready, f.full)),
            "≤ 1,500 ms",
            Some(large.full <= 1_500.0),
        ),
        (
            "its CPU, all threads, kernel included",
            both(|f| ms(f.start_cpu)),
            "≤ 950 ms",
            Some(large.start_cpu <= 950.0),
        ),
        (
            "CPU of a container's start and stop at 1 a second, above idle",
            both(|f| ms(f.churn.slow)),
            "≤ 3 ms, ≤ 1.5 times that at 500",
            Some(large.churn.slow <= 3.0 && large.churn.slow <= 1.5 * small.churn.slow),
        ),
        (
            "CPU a second at 50 starts and stops a second (so many there were), above idle",
            both(|f| format!("{} ({:.0})", ms(f.churn.fast), f.churn.rate)),
            "≤ 100 ms",
            Some(large.churn.fast <= 100.0),
        ),
        (
            "resident memory after 1,000 of those, more than before",
            both(|f| format!("{:.1} MiB", f.churn.memory)),
            "≤ 1 MiB",
            Some(large.churn.memory <= 1.0),
        ),
        row_of_names(&small.named, &large.named),
    ];
    text_of(sizes, &rows)
}

fn row_of_names(small: &Named, large: &Named) -> Row {
    let show = |named: &Named| {
        format!("{} ({}; {:.0})", ms(named.times.median()), ms(named.times.p95()), named.rate)
    };
    (
        "a new container to its name in an answer of the API, at 50 starts and stops a second: median (95th percentile; so many \
         there were) of 100",
        [show(small), show(large)],
        "≤ 20 ms at the 95th percentile",
        Some(large.times.p95() <= 20.0),
    )
}

/// Returns the table of these rows.
fn text_of([few, many]: [usize; 2], rows: &[Row]) -> String {
    let head = format!("| | {few} pairs | {many} pairs | budget at 5000 | |");
    let mut text = format!("{}\n\n{head}\n|---|---|---|---|---|\n", machine());
    for (what, [small, large], budget, met) in rows {
        let met = met.map_or("", |met| if met { "met" } else { "**missed**" });
        text.push_str(&format!("| {what} | {small} | {large} | {budget} | {met} |\n"));
    }
    text
}

fn ms(milliseconds: f64) -> String {
    if milliseconds < 10.0 { format!("{milliseconds:.2} ms") } else { format!("{milliseconds:.1} ms") }
}

fn mib(bytes: usize) -> String {
    format!("{:.2} MiB", bytes as f64 / f64::from(1 << 20))
}

/// What it was measured on.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("\t: unknown CPU");
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "veth-exporter {} on {}, {cores} cores, Linux {}",
        env!("CARGO_PKG_VERSION"),
        model.trim_start_matches(['\t', ' ', ':']),
        kernel.trim()
    )
}
