//! `explain` with a real Docker engine: the networks that it keeps apart, its members, and what works.

use std::time::Duration;

use lab::{Container, DockerEngine, Exporter, describe, needs_engine, wait_for};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

/// Returns the exit code, the rules of all findings, and the first finding.
fn explain(engine: &DockerEngine, words: &[&str]) -> (i32, Vec<String>, Value) {
    let words = [&["explain"], words, &["--format", "json", "--docker.host", engine.host()]].concat();
    let output = Exporter::command(engine.netns(), &words).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", describe(&output)));
    let all = document["explanations"].as_array().unwrap();
    let findings: Vec<Value> =
        all.iter().flat_map(|one| one["findings"].as_array().unwrap().clone()).collect();
    let certain = findings.iter().filter(|finding| finding["grade"] != "possibility");
    let rules = certain.map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect();
    (output.status.code().unwrap(), rules, findings.first().cloned().unwrap_or_default())
}

fn reaches(from: &Container, to: &Container, network: &str) -> bool {
    let address = to.address(network).to_string();
    let pid = from.pid().to_string();
    let words = ["-n", "-t", &pid, "ping", "-qc1", "-W1", &address];
    std::process::Command::new("nsenter").args(words).output().unwrap().status.success()
}

#[test]
fn networks_that_docker_keeps_apart_are_named_and_connecting_them_helps() {
    needs_engine!();
    let engine = DockerEngine::get();
    let [one, other] = ["one", "other"].map(|name| engine.network(name));
    let inner = engine.network_with("inner", &["--internal"]);
    let on = |network: &str| engine.run_idle("c", &["--network", network]);
    let [a, b, c, i] = [one.name(), one.name(), other.name(), inner.name()].map(on);
    assert!(reaches(&a, &b, one.name()));
    for words in [&[a.name(), b.name()][..], &[b.name(), a.name()], &[a.name()], &[i.name()]] {
        let (code, rules, _) = explain(engine, words);
        assert_eq!((code, rules), (0, Vec::new()), "{words:?}");
    }
    assert!(!reaches(&a, &c, other.name()));
    let (code, rules, first) = explain(engine, &[a.name(), c.name()]);
    assert_eq!((code, rules.first().map(String::as_str)), (1, Some("no_common_network")), "{first:#}");
    let remedy = first["remedy"][0].as_str().unwrap();
    let words: Vec<&str> = remedy.split(' ').skip(1).collect();
    assert_eq!(remedy.split(' ').next(), Some("docker"));
    engine.docker(&words);
    wait_for(SOON, "a reaches c", || if reaches(&a, &c, other.name()) { Ok(()) } else { Err(remedy) });
    let (code, rules, first) = explain(engine, &[a.name(), c.name()]);
    assert_eq!((code, rules), (0, Vec::new()), "{first:#}");
    let (code, rules, _) = explain(engine, &[i.name(), "203.0.113.9"]);
    assert_eq!(code, 1);
    assert!(rules.iter().any(|rule| rule == "internal_network" || rule == "no_route"), "{rules:?}");
}

#[test]
fn a_member_of_a_namespace_whose_owner_has_gone_is_named_as_that() {
    needs_engine!();
    let engine = DockerEngine::get();
    let owner = engine.run_idle("owner", &[]);
    let network = format!("container:{}", owner.name());
    let member = engine.run_idle("member", &["--network", &network]);
    let (code, rules, first) = explain(engine, &[member.name()]);
    assert_eq!((code, rules), (0, Vec::new()), "{first:#}");
    engine.docker(&["restart", "-t", "0", owner.name()]);
    let (code, rules, first) = explain(engine, &[member.name()]);
    assert_eq!((code, rules), (1, vec!["stale_member".to_owned()]), "{first:#}");
    engine.docker(&["restart", "-t", "0", member.name()]);
    let (code, rules, first) = explain(engine, &[member.name()]);
    assert_eq!((code, rules), (0, Vec::new()), "{first:#}");
}
