//! How soon a container's interface has its name: by the kernel's own word of it (`ip monitor`), the engine's events and the
//! exporter's log.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use crate::ledger::brief::{Brief, Server};
use lab::book::{refuse_gaps, size};
use lab::{DockerEngine, Exporter, Netns, Process, needs_engine, wait_for};

const LIMIT: Duration = Duration::from_secs(10);

/// Seconds since midnight in UTC, of a time in RFC 3339.
fn of_day(time: &str) -> Option<f64> {
    let (_, clock) = time.split_once('T')?;
    let mut parts = clock.trim_end_matches(['Z', ']']).split(':').map(|part| part.parse::<f64>().ok());
    Some(parts.next()?? * 3600.0 + parts.next()?? * 60.0 + parts.next()??)
}

/// How long after `begin` it was, in seconds; both of the same day or the day after.
fn since(begin: f64, end: f64) -> f64 {
    let day = 86_400.0;
    (end - begin + day / 2.0).rem_euclid(day) - day / 2.0
}

/// A program in the engine's namespace that writes down what it is told, until the test ends.
fn watch(netns: &Netns, script: &str) -> Process {
    let mut command: Command = netns.command("sh");
    Process::start("sh", command.args(["-c", &format!("exec {script} >&2")]).env("TZ", "UTC"))
}

/// By address, when each interface outside of the host's namespace was first up, as `ip monitor` tells it in two lines.
fn first_ups(lines: &[String]) -> BTreeMap<String, Vec<f64>> {
    let (mut ups, mut is_up) = (BTreeMap::<String, Vec<f64>>::new(), BTreeSet::new());
    for pair in lines.windows(2) {
        let Some((time, what)) = pair[0].split_once(' ') else { continue };
        let address = pair[1].trim().strip_prefix("link/ether ").and_then(|rest| rest.split(' ').next());
        let (Some(address), Some(time)) = (address, of_day(time)) else { continue };
        let flags = what.split(['<', '>']).nth(1).unwrap_or_default();
        let inside = what.starts_with("[nsid ") && !what.contains("current") && !what.contains("Deleted");
        if !(inside && flags.split(',').any(|flag| flag == "UP")) {
            is_up.remove(address);
        } else if is_up.insert(address.to_owned()) {
            ups.entry(address.to_owned()).or_default().push(time);
        }
    }
    ups
}

/// By container, when an event of this kind came, as `docker events` tells it.
fn events(lines: &[String], action: &str) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        if let [nanoseconds, what, name] = words[..]
            && what == action
        {
            let seconds = nanoseconds.parse::<u64>().unwrap() / 1_000 % 86_400_000_000;
            found.insert(name.to_owned(), seconds as f64 / 1e6);
        }
    }
    found
}

/// By container, when the exporter said that it had a name for its interface.
fn names(lines: &[String]) -> BTreeMap<String, f64> {
    let field = |line: &str, key: &str| {
        line.split(' ')
            .find_map(|word| word.strip_prefix(key))
            .map(|value| value.trim_matches('"').to_owned())
    };
    let named = lines.iter().filter(|line| line.split(' ').any(|word| word.ends_with("=named")));
    let mut found = BTreeMap::new();
    for line in named {
        if let (Some(time), Some(container)) =
            (field(line, "ts=").and_then(|ts| of_day(&ts)), field(line, "container="))
        {
            found.entry(container).or_insert(time);
        }
    }
    found
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

#[test]
fn a_short_container_has_its_name_long_before_it_ends() {
    needs_engine!();
    let netns = Netns::new("naming");
    let engine = DockerEngine::start_private(&netns);
    let server = Server::start(&netns);
    let exporter = Exporter::for_engine(&engine, &["--log.level", "debug"]);
    let kernel = watch(&netns, "ip -ts monitor link all-nsid");
    let docker = watch(
        &netns,
        &format!(
            "docker -H {} events --filter type=container --format '{{{{.TimeNano}}}} {{{{.Action}}}} {{{{.Actor.Attributes.name}}}}'",
            engine.host()
        ),
    );
    // Both listen before anything is to be heard.
    server.run(&engine, "before", [1, 1]);
    wait_for(LIMIT, "the engine's events are followed", || {
        let lines = docker.log();
        if events(&lines, "destroy").contains_key("before") { Ok(()) } else { Err(lines.join("\n")) }
    });
    let containers: Vec<Brief> = server.run_many(&engine, "soon", [size(40, 100), 8], || [1_000, 1_000]);
    let starts = wait_for(LIMIT, "the engine has told of every end", || {
        let lines = docker.log();
        let ends = events(&lines, "destroy");
        let all = containers.iter().all(|brief| ends.contains_key(&brief.name));
        if all { Ok(events(&lines, "start")) } else { Err(lines.join("\n")) }
    });
    let (dies, ups, names) = (events(&docker.log(), "die"), first_ups(&kernel.log()), names(&exporter.log()));
    let mut delays = Vec::new();
    let mut before_start = 0;
    for brief in &containers {
        let named = *names.get(&brief.name).unwrap_or_else(|| panic!("{} was never named", brief.name));
        // An engine gives addresses again: the interface is the last that came up with this one before the container started.
        let (start, die) = (starts[&brief.name], dies[&brief.name]);
        let up = *ups[&brief.address].iter().rfind(|&&up| since(up, start) > 0.0).unwrap();
        assert!(since(named, die) > 0.0, "{} had ended before it was named", brief.name);
        delays.push(since(up, named) * 1e3);
        before_start += usize::from(since(named, start) > 0.0);
    }
    delays.sort_by(f64::total_cmp);
    println!(
        "from an interface's first UP to its name, {} containers, 8 at a time: p50 {:.1} ms, p95 {:.1} ms, at most {:.1} ms; {before_start} before the engine's start event",
        delays.len(),
        percentile(&delays, 0.5),
        percentile(&delays, 0.95),
        percentile(&delays, 1.0),
    );
    refuse_gaps(&exporter.metrics());
}
