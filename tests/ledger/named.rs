//! How soon a short container is there with its name: measured from the first time that its interface is up in its own namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::book::size;
use crate::brief::Server;
use crate::lab::{DockerEngine, Exporter, Netns, Process, needs_engine};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The time of day, in UTC.
fn now() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now - DAY * (now.as_secs() / DAY.as_secs()) as u32
}

/// From one time of a day to another; at most some hours lie between.
fn since(earlier: Duration, later: Duration) -> Duration {
    let later = if later + DAY / 2 < earlier { later + DAY } else { later };
    later.saturating_sub(earlier)
}

/// When each eth0 of another namespace was first up, by its address, from what `ip -ts monitor link all-nsid` prints:
/// `[2026-11-22T19:15:29.123456] [nsid 3]2: eth0@if5: <BROADCAST,MULTICAST,UP,LOWER_UP> ...`, then `link/ether 02:42:...`.
fn first_ups(log: &[String]) -> Vec<(String, Duration)> {
    let (mut ups, mut is_up) = (Vec::new(), BTreeSet::new());
    for lines in log.windows(2) {
        let Some((_, address)) = lines[1].split_once("link/ether ") else { continue };
        let address = address.split(' ').next().unwrap().to_owned();
        let inside = lines[0].contains("[nsid ") && !lines[0].contains("[nsid current]");
        let up = inside && !lines[0].contains("Deleted") && lines[0].contains(",UP");
        if !up {
            is_up.remove(&address);
        } else if lines[0].contains(": eth0@") && is_up.insert(address.clone()) {
            ups.push((address, time_of(&lines[0])));
        }
    }
    ups
}

fn time_of(line: &str) -> Duration {
    let time = line.split_once('T').and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
    let seconds = time.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap());
    Duration::from_secs_f64(seconds)
}

#[test]
fn a_short_container_has_its_name_before_it_ends() {
    needs_engine!();
    let netns = Netns::new("named");
    let engine = DockerEngine::start_private(&netns);
    let server = Server::start(&netns);
    let exporter = Exporter::for_engine(&engine, &[]);
    let mut command = netns.command("sh");
    command.env("TZ", "UTC").args(["-c", "exec ip -ts monitor link all-nsid >&2"]);
    let monitor = Process::start("ip", &mut command);
    let (named, done) = (Mutex::new(BTreeMap::<String, Duration>::new()), AtomicBool::new(false));
    let count = size(30, 100);
    let ended: Mutex<Vec<(String, String, Duration)>> = Mutex::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let metrics = exporter.metrics();
                let time = now();
                let mut named = named.lock().unwrap();
                for (labels, _) in metrics.all("veth_container_receive_bytes_total") {
                    named.entry(labels["container"].clone()).or_insert(time);
                }
            }
        });
        let runs: Vec<_> = (0..8)
            .map(|lane| {
                let (server, engine, ended) = (&server, &engine, &ended);
                scope.spawn(move || {
                    for number in (lane..count).step_by(8) {
                        let brief = server.run(engine, &format!("named-{number}"), [1_000, 1_000]);
                        ended.lock().unwrap().push((brief.name, brief.address, now()));
                    }
                })
            })
            .collect();
        let failed = runs.into_iter().filter_map(|run| run.join().err()).next();
        done.store(true, Ordering::Relaxed);
        if let Some(panic) = failed {
            std::panic::resume_unwind(panic);
        }
    });
    let log = monitor.log();
    let ups = first_ups(&log);
    let named = named.into_inner().unwrap();
    let mut took: Vec<Duration> = Vec::new();
    let ended = ended.into_inner().unwrap();
    for (name, address, end) in &ended {
        let told = named.get(name).unwrap_or_else(|| panic!("{name} had no name while it lived"));
        assert!(since(*told, *end) < DAY / 2 && *told <= *end, "{name} ended at {end:?}, named at {told:?}");
        // An address is used again: this container's interface is the last that came up with it before it had its name.
        if let Some((_, up)) = ups.iter().rfind(|(other, at)| other == address && at <= told) {
            took.push(since(*up, *told));
        }
    }
    assert!(
        took.len() * 10 >= ended.len() * 9,
        "only {} of {} were seen to come up",
        took.len(),
        ended.len()
    );
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!("up -> named of {}: p50 {:?}, p95 {:?}, max {:?}", took.len(), at(50), at(95), at(100));
}
