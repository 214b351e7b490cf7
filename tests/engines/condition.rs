//! What the API has beside the pairs, with containers of a real engine: those without a veth of their own, a crash loop, the
//! stopped ones, and the events of all.

use std::time::Duration;

use lab::{DockerEngine, Exporter, needs_engine, wait_for};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

/// An engine waits twice as long before each further start.
const LOOPED: Duration = Duration::from_secs(60);

fn document(exporter: &Exporter, path: &str) -> Value {
    serde_json::from_slice(&exporter.get(path).body).unwrap()
}

/// The row of a container without a veth of its own.
fn row(exporter: &Exporter, name: &str) -> Option<Value> {
    let rows = document(exporter, "/api/v1/pairs")["workloads"].as_array().unwrap().clone();
    rows.into_iter().find(|row| row["container"] == name)
}

/// Waits until a container without a veth has this state and reason; returns its row.
fn wait_for_reason(exporter: &Exporter, name: &str, state: &str, reason: &str) -> Value {
    wait_for(SOON, &format!("{name} is {state}: {reason}"), || {
        let row = row(exporter, name).unwrap_or(Value::Null);
        if row["state"] == state && row["text"] == reason { Ok(row) } else { Err(row.to_string()) }
    })
}

fn events_of(exporter: &Exporter, name: &str) -> Vec<String> {
    let events = document(exporter, "/api/v1/events")["events"].as_array().unwrap().clone();
    let own = events.iter().filter(|event| event["workload"] == name);
    own.map(|event| format!("{}: {}", event["kind"].as_str().unwrap(), event["text"].as_str().unwrap()))
        .collect()
}

#[test]
fn containers_without_a_veth_of_their_own_are_there_with_the_reason_until_they_are_removed() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("condition");
    let vpn = engine.run_idle("vpn", &["--network", network.name()]);
    let member = engine.run_idle("member", &["--network", &format!("container:{}", vpn.name())]);
    let agent = engine.run_idle("agent", &["--network", "host"]);
    let bare = engine.run_idle("bare", &["--network", "none"]);
    let exporter = Exporter::for_engine(engine, &["--collector.interval", "200ms"]);
    exporter.wait_ready();
    let owner = format!("docker/{}", vpn.name());
    let told =
        wait_for_reason(&exporter, member.name(), "running", &format!("in {owner}'s network namespace"));
    assert_eq!((&told["owner"], &told["since"]), (&Value::from(owner), &Value::Null));
    wait_for_reason(&exporter, agent.name(), "running", "uses the host's network");
    let told = wait_for_reason(&exporter, bare.name(), "running", "has no network");
    assert_eq!(told["id"], engine.docker(&["inspect", "-f", "{{.Id}}", bare.name()]));
    assert_eq!(row(&exporter, vpn.name()), None, "it has a veth");
    // The engine says what it is.
    let version = engine.docker(&["version", "--format", "{{.Server.Version}}"]);
    let host = document(&exporter, "/api/v1/pairs")["host"].clone();
    assert_eq!(host["engines"], serde_json::json!([{ "runtime": "docker", "version": version }]));

    engine.docker(&["kill", bare.name()]);
    let told = wait_for_reason(&exporter, bare.name(), "stopped", "ended with exit code 137");
    let finished = engine.docker(&["inspect", "-f", "{{.State.FinishedAt}}", bare.name()]);
    let mut date = std::process::Command::new("date");
    let finished: f64 = lab::succeed(date.args(["-d", &finished, "+%s.%N"])).trim().parse().unwrap();
    assert!((told["since"].as_f64().unwrap() - finished).abs() < 2.0, "{told}, not {finished}");
    assert_eq!(events_of(&exporter, bare.name()), ["stopped: ended with exit code 137"]);
    engine.docker(&["start", bare.name()]);
    wait_for_reason(&exporter, bare.name(), "running", "has no network");
    assert_eq!(events_of(&exporter, bare.name())[1..], ["restarted: restarted"]);
    engine.docker(&["rm", "-f", bare.name()]);
    wait_for(SOON, "what was removed is nowhere", || match row(&exporter, bare.name()) {
        None => Ok(()),
        Some(row) => Err(row.to_string()),
    });
}

#[test]
fn a_container_that_crashes_again_and_again_is_a_problem_with_its_restarts_and_a_restart_by_hand_is_none() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("crashes");
    let exporter = Exporter::for_engine(engine, &["--collector.interval", "200ms"]);
    exporter.wait_ready();
    let arguments = ["--restart", "always", "--network", network.name()];
    let crashing = engine.run("crashing", &arguments, &["sh", "-c", "sleep 0.3; exit 3"]);
    let steady = engine.run_idle("steady", &["--network", network.name()]);
    for _ in 0..4 {
        engine.docker(&["restart", "-t", "0", steady.name()]);
    }
    let problem = wait_for(LOOPED, "the crash loop is told", || {
        let problems = document(&exporter, "/api/v1/pairs")["problems"].as_array().unwrap().clone();
        let own = problems.into_iter().find(|problem| {
            let times = problem["text"].as_str().unwrap().contains(" times in ");
            problem["kind"] == "crash_loop" && problem["subject"]["workload"] == crashing.name() && times
        });
        own.ok_or("no problem")
    });
    let text = problem["text"].as_str().unwrap();
    assert!(text.ends_with(", last with exit code 3"), "{text}");
    assert_eq!(problem["remedy"], format!("see why it ends: docker logs --tail 50 {}", crashing.name()));
    // What the engine has counted: it may have begun another start meanwhile.
    let counted = || -> u64 {
        engine.docker(&["inspect", "-f", "{{.RestartCount}}", crashing.name()]).parse().unwrap()
    };
    wait_for(LOOPED, "as many restarts are told as the engine has counted", || {
        let before = counted();
        let restarts = document(&exporter, "/api/v1/pairs")["restarts"].as_array().unwrap().clone();
        let own = restarts.iter().find(|row| row["workload"] == crashing.name());
        let told = own.map_or(0, |row| row["count"].as_u64().unwrap());
        if before == told && before == counted() { Ok(()) } else { Err(format!("{told}, not {before}")) }
    });
    let problems = document(&exporter, "/api/v1/pairs")["problems"].as_array().unwrap().clone();
    let of_steady = problems.iter().find(|problem| problem["subject"]["workload"] == steady.name());
    assert_eq!(of_steady, None, "a user has restarted it");
    let told = events_of(&exporter, steady.name());
    assert_eq!(told.iter().filter(|event| event.starts_with("restarted: ")).count(), 4, "{told:#?}");
}

fn starts(exporter: &Exporter, name: &str) -> Option<f64> {
    exporter.metrics().value("veth_container_starts_total", &[("runtime", "docker"), ("container", name)])
}

/// Waits until a container has so many starts, and sees that no further one is counted within a second.
fn wait_for_starts(exporter: &Exporter, name: &str, wanted: f64) {
    let count = || match starts(exporter, name) {
        Some(count) if count == wanted => Ok(()),
        other => Err(format!("{other:?}, not {wanted}, in:\n{}", exporter.metrics().text)),
    };
    wait_for(SOON, &format!("{name} was started {wanted} times"), count);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(count(), Ok(()), "{name}, a second later");
}

#[test]
fn every_start_of_a_container_counts_once_and_nothing_else_does() {
    needs_engine!();
    let engine = DockerEngine::get();
    let [network, other] = ["starts", "others"].map(|name| engine.network(name));
    let arguments = ["--network", network.name()];
    let web = engine.run_idle("web", &arguments);
    let exporter = Exporter::for_engine(engine, &["--collector.interval", "200ms"]);
    exporter.wait_ready();
    wait_for_starts(&exporter, web.name(), 0.0);
    let time =
        |name: &str| exporter.metrics().value("veth_container_start_time_seconds", &[("container", name)]);
    let engines_time = |name: &str| -> f64 {
        let started = engine.docker(&["inspect", "-f", "{{.State.StartedAt}}", name]);
        let mut date = std::process::Command::new("date");
        lab::succeed(date.args(["-d", &started, "+%s"])).trim().parse().unwrap()
    };
    assert_eq!(time(web.name()), Some(engines_time(web.name())));
    // A restart, and a stop with a start.
    engine.docker(&["restart", "-t", "0", web.name()]);
    wait_for_starts(&exporter, web.name(), 1.0);
    wait_for(SOON, "the time is that of the restart", || {
        let (told, wanted) = (time(web.name()), engines_time(web.name()));
        if told == Some(wanted) { Ok(()) } else { Err(format!("{told:?}, not {wanted}")) }
    });
    engine.docker(&["stop", "-t", "0", web.name()]);
    engine.docker(&["start", web.name()]);
    wait_for_starts(&exporter, web.name(), 2.0);
    // Things that are no start.
    engine.docker(&["pause", web.name()]);
    engine.docker(&["unpause", web.name()]);
    engine.docker(&["network", "connect", other.name(), web.name()]);
    engine.docker(&["network", "disconnect", network.name(), web.name()]);
    engine.docker(&["network", "connect", network.name(), web.name()]);
    wait_for_starts(&exporter, web.name(), 2.0);
    // Another name, and back: the name that it had for a while has none.
    let (name, renamed) = (web.name().to_owned(), format!("{}-renamed", web.name()));
    engine.docker(&["rename", &name, &renamed]);
    wait_for_starts(&exporter, &renamed, 0.0);
    assert_eq!(starts(&exporter, &name), Some(2.0), "it stays for the retention");
    engine.docker(&["rename", &renamed, &name]);
    wait_for_starts(&exporter, &name, 2.0);
    // Recreated as Compose does it: another container under the same name.
    drop(web);
    let web = engine.run_as(&name, &arguments, &["sleep", "1000"]);
    wait_for_starts(&exporter, web.name(), 3.0);
    // A container that comes while the exporter runs, without a veth as well.
    for arguments in [&arguments[..], &["--network", "none"], &["--network", "host"]] {
        let new = engine.run_idle("new", arguments);
        wait_for_starts(&exporter, new.name(), 1.0);
    }
}

#[test]
fn a_crash_loop_has_as_many_starts_as_its_engine_counts() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("loop");
    let exporter = Exporter::for_engine(engine, &["--collector.interval", "200ms"]);
    exporter.wait_ready();
    let arguments = ["--restart", "on-failure:5", "--network", network.name()];
    let crashing = engine.run("crashing", &arguments, &["sh", "-c", "sleep 0.3; exit 3"]);
    let counted = || -> u64 {
        engine.docker(&["inspect", "-f", "{{.RestartCount}}", crashing.name()]).parse().unwrap()
    };
    wait_for(LOOPED, "the engine has given up", || {
        let state = engine.docker(&["inspect", "-f", "{{.State.Status}} {{.RestartCount}}", crashing.name()]);
        if state == "exited 5" { Ok(()) } else { Err(state) }
    });
    // The first start, and every further one.
    wait_for_starts(&exporter, crashing.name(), 1.0 + counted() as f64);
    let kind = |kind: &str| {
        let labels = [("container", crashing.name()), ("kind", kind)];
        exporter.metrics().value("veth_container_problems", &labels)
    };
    assert_eq!(kind("crash_loop"), Some(1.0), "{}", exporter.metrics().text);
    assert!(exporter.metrics().value("veth_exporter_problems", &[("kind", "crash_loop")]).unwrap() >= 1.0);
}

#[test]
fn a_member_is_stale_while_it_is_not_in_the_namespace_that_it_was_to_share() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("stale");
    let vpn = engine.run_idle("vpn", &["--network", network.name()]);
    let member = engine.run_idle("member", &["--network", &format!("container:{}", vpn.name())]);
    let exporter = Exporter::for_engine(engine, &["--collector.interval", "200ms"]);
    exporter.wait_ready();
    let wait_for_value = |wanted: f64| {
        exporter.wait_for(SOON, &format!("the member's state is {wanted}"), |metrics| {
            let labels = [("runtime", "docker"), ("container", member.name())];
            metrics.value("veth_container_stale_member", &labels).filter(|value| *value == wanted)
        })
    };
    wait_for_value(0.0);
    engine.docker(&["restart", "-t", "0", vpn.name()]);
    wait_for_value(1.0);
    let labels = [("container", member.name()), ("kind", "stale_member")];
    exporter.wait_for(SOON, "it is a problem", |metrics| metrics.value("veth_container_problems", &labels));
    engine.docker(&["restart", "-t", "0", member.name()]);
    wait_for_value(0.0);
    assert_eq!(starts(&exporter, member.name()), Some(1.0), "a member has starts of its own");
}
