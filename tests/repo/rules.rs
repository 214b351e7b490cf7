//! dashboards/rules: Prometheus's own tool checks and tests them, and once everything is real: a container floods another, Prometheus
//! fires, Alertmanager tells it, and it resolves.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lab::{
    Alertmanager, DockerEngine, Exporter, Prometheus, Webhook, checkout, describe, empty_folder,
    needs_engine, two_silent, wait_for,
};
use serde_json::Value;

fn rules() -> PathBuf {
    checkout().join("dashboards/rules")
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "nothing in {}", folder.display());
    files
}

/// The names behind `- alert:` or `- record:` in the rule files.
fn names(kind: &str) -> BTreeSet<String> {
    let mark = format!("- {kind}: ");
    let texts: Vec<String> =
        yaml_files(&rules()).iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    // An example in a comment is no rule.
    let rules = lines.filter(|line| !line.trim_start().starts_with('#'));
    rules.filter_map(|line| Some(line.split_once(&mark)?.1.trim().to_owned())).collect()
}

fn promtool(words: &[&str], file: &Path) -> Result<(), String> {
    let output = Command::new("promtool").args(words).arg(file).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(format!("{}: {}", file.display(), describe(&output))) }
}

#[test]
fn promtool_accepts_every_rule_and_every_test_of_them_passes() {
    let files = yaml_files(&rules());
    let tests = yaml_files(&rules().join("tests"));
    let jobs = files.iter().map(|file| (["check", "rules"], file));
    let jobs = jobs.chain(tests.iter().map(|file| (["test", "rules"], file)));
    let failures: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = jobs.map(|(words, file)| scope.spawn(move || promtool(&words, file))).collect();
        running.into_iter().filter_map(|job| job.join().unwrap().err()).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The rules with a change, and one of their tests; what promtool says of it.
fn promtool_on_changed(folder: &Path, change: &Change) -> Result<(), String> {
    let mut done = 0;
    for file in yaml_files(&rules()) {
        let text = fs::read_to_string(&file).unwrap();
        done += text.matches(change.from).count();
        fs::write(folder.join(file.file_name().unwrap()), text.replace(change.from, change.to)).unwrap();
    }
    assert!(done > 0, "{} is not there any more", change.from);
    fs::create_dir(folder.join("tests")).unwrap();
    let copy = folder.join("tests").join(change.test);
    fs::copy(rules().join("tests").join(change.test), &copy).unwrap();
    promtool(&["test", "rules"], &copy)
}

/// A change of the rules that a test of them must find, by this alert.
struct Change {
    from: &'static str,
    to: &'static str,
    test: &'static str,
    alert: &'static str,
}

const fn change(test: &'static str, alert: &'static str, from: &'static str, to: &'static str) -> Change {
    Change { from, to, test, alert }
}

/// A limit, and what keeps each alert quiet in its look-alikes.
const CHANGES: [Change; 17] = [
    change("bandwidth.yaml", "VethReceiveBandwidthHigh", "vector(100e6)", "vector(300e6)"),
    change(
        "silent.yaml",
        "VethContainerSilent",
        "last_over_time(workload:veth_container_transmit_bytes:rate1h[1h] offset 1d)",
        "workload:veth_container_transmit_bytes:rate1h",
    ),
    change(
        "silent.yaml",
        "VethContainerSilent",
        "min_over_time(workload:veth_container_transmit_bytes:rate1h[3h] offset 22h) >= 1",
        "workload:veth_container_transmit_bytes:rate1h",
    ),
    change(
        "link.yaml",
        "VethLinkDown",
        "veth_device_carrier_changes_total >= 2",
        "veth_device_carrier_changes_total",
    ),
    change(
        "link.yaml",
        "VethLinkFlapping",
        "            ) > 1\n          )",
        "            ) > 100\n          )",
    ),
    change(
        "link.yaml",
        "VethMtuMismatch",
        "veth_device_mtu_bytes != veth_device_peer_mtu_bytes",
        "veth_device_mtu_bytes > 1500",
    ),
    change("loss.yaml", "VethLossCritical", "_dropped_total[2m])) > 0,", "_dropped_total[2m])) >= 0,"),
    change(
        "loss.yaml",
        "VethLossCritical",
        "veth:loss_packets_per_second:threshold\n        expr: vector(1)",
        "veth:loss_packets_per_second:threshold\n        expr: vector(0)",
    ),
    change("queues.yaml", "VethQueueDrops", "vector(0.05)", "vector(0.01)"),
    change(
        "queues.yaml",
        "VethQueueDrops",
        "rate(veth_device_qdisc_drops_total[2m])",
        "rate(veth_device_qdisc_drops_total[10m])",
    ),
    change(
        "tcp.yaml",
        "VethRetransmitsHigh",
        "veth:retransmits_per_second:threshold\n        expr: vector(1)",
        "veth:retransmits_per_second:threshold\n        expr: vector(0)",
    ),
    change(
        "tcp.yaml",
        "VethListenDrops",
        "vector(0.2)\n\n      # VethCrashLoop",
        "vector(0.01)\n\n      # VethCrashLoop",
    ),
    change("crash_loop.yaml", "VethCrashLoop", "vector(15)", "vector(8)"),
    change("crash_loop.yaml", "VethCrashLoop", "for: 7m", "for: 4m"),
    change("members.yaml", "VethStaleMember", "for: 2m", "for: 15s"),
    change(
        "networks.yaml",
        "VethAddressPoolNearlyFull",
        "veth_network_addresses_size > 2",
        "veth_network_addresses_size > 0",
    ),
    change("exporter.yaml", "VethSourceLimited", "{state=\"limited\"}", "{state!=\"works\"}"),
];

#[test]
fn a_limit_or_a_condition_that_is_changed_makes_promtools_tests_fail() {
    let folder = empty_folder("rules");
    std::thread::scope(|scope| {
        for (number, change) in CHANGES.iter().enumerate() {
            let own = folder.join(number.to_string());
            fs::create_dir(&own).unwrap();
            scope.spawn(move || {
                let failure = promtool_on_changed(&own, change);
                let failure = failure.expect_err(&format!("{} instead of {}", change.to, change.from));
                assert!(failure.contains(change.alert), "{}: {failure}", change.to);
            });
        }
    });
}

#[test]
fn every_alert_is_seen_firing_in_a_test_and_is_explained_in_the_readme() {
    let tests: Vec<String> =
        yaml_files(&rules().join("tests")).iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let readme = fs::read_to_string(rules().join("../README.md")).unwrap();
    let alerts = fs::read_to_string(rules().join("veth-alerts.yaml")).unwrap();
    let names = names("alert");
    for name in &names {
        let fires = format!("alertname=\"{name}\",alertstate=\"firing\",severity=");
        assert!(tests.iter().any(|text| text.contains(&fires)), "no test in which {name} fires");
        assert!(readme.contains(&format!("`{name}`")), "dashboards/README.md has nothing of {name}");
    }
    for part in ["severity:", "summary:", "description:", "page:", "runbook:"] {
        assert_eq!(alerts.matches(part).count(), names.len(), "every alert has a {part}");
    }
}

/// The rules as they are shipped but for times and one limit: a test cannot wait for minutes. Windows of 5 minutes are of 5 s, the
/// limit of bandwidth is 5 MB/s for 1 s, and the slow rules are computed as often as the others.
fn hurried_rules() -> PathBuf {
    let folder = empty_folder("rules");
    let mut done = [0; 4];
    for file in yaml_files(&rules()) {
        let mut text = fs::read_to_string(&file).unwrap();
        let changes = [
            ("[5m]", "[5s]"),
            ("for: 10m", "for: 1s"),
            ("vector(100e6)", "vector(5e6)"),
            ("interval: 2m", "interval: 500ms"),
        ];
        for (count, (from, to)) in done.iter_mut().zip(changes) {
            *count += text.matches(from).count();
            text = text.replace(from, to);
        }
        fs::write(folder.join(file.file_name().unwrap()), text).unwrap();
    }
    assert!(done.iter().all(|count| *count > 0), "what is to be hurried is not there any more: {done:?}");
    folder
}

/// What the webhook is told of these two containers' alerts, until it was told so many times.
fn told(webhook: &Webhook, containers: [&str; 2], times: usize) -> Vec<Value> {
    let begin = Instant::now();
    let mut told = Vec::new();
    while told.len() < times {
        let alert = webhook.next(Duration::from_secs(30).saturating_sub(begin.elapsed()));
        if containers.iter().any(|container| alert["labels"]["container"] == *container) {
            told.push(alert);
        }
    }
    told
}

/// Rates that need a queue discipline on a port, or TCP: neither is in the flood. promtool's tests have them.
const NOT_IN_THE_FLOOD: [&str; 3] = [
    "port:veth_device_qdisc_drops:rate2m",
    "port:veth_device_qdisc_drops:ratio_rate2m",
    "workload:veth_container_tcp_segments_retransmitted:ratio_rate5m",
];

#[test]
fn a_container_floods_prometheus_fires_alertmanager_tells_and_it_resolves() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("flood");
    let [one, two] = two_silent(engine, &network);
    let exporter = Exporter::for_engine(engine, &["--collector.interval", "200ms"]);
    let webhook = Webhook::start(engine.netns());
    let alertmanager = Alertmanager::start(engine.netns(), &webhook);
    let prometheus = Prometheus::configured(
        engine.netns(),
        &format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}\n\
             rule_files: ['{}/*.yaml']\n\
             alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{}']}}]}}]}}\n\
             scrape_configs: [{{job_name: veth, static_configs: [{{targets: ['{}']}}]}}]\n",
            hurried_rules().display(),
            alertmanager.address(),
            exporter.address()
        ),
    );
    wait_for(Duration::from_secs(10), "Prometheus knows both containers' rates", || {
        let rates = prometheus.query("workload:veth_container_receive_bytes:rate5m");
        let known =
            |name: &str| rates.as_array().unwrap().iter().any(|rate| rate["metric"]["container"] == name);
        if known(one.name()) && known(two.name()) { Ok(()) } else { Err(rates) }
    });

    one.send(&two, network.name(), 100_000_000);
    let containers = [one.name(), two.name()];
    let firing = told(&webhook, containers, 2);
    let resolved = told(&webhook, containers, 2);
    let instance = exporter.address().to_string();
    for (alerts, status) in [(&firing, "firing"), (&resolved, "resolved")] {
        for (name, container, verb) in
            [("VethReceiveBandwidthHigh", &two, "receives"), ("VethTransmitBandwidthHigh", &one, "sends")]
        {
            let labels = serde_json::json!({
                "alertname": name, "severity": "warning", "job": "veth", "instance": instance, "runtime": "docker",
                "container": container.name(),
            });
            let alert = alerts.iter().find(|alert| alert["labels"] == labels);
            let alert = alert.unwrap_or_else(|| panic!("no {status} {name} in {alerts:#?}"));
            assert_eq!(alert["status"], status, "{alert:#}");
            let summary = alert["annotations"]["summary"].as_str().unwrap();
            let begin = format!("docker {} on {instance} {verb} ", container.name());
            assert!(summary.starts_with(&begin) && summary.ends_with("B/s"), "{summary}");
        }
    }

    let rules = prometheus.rules();
    assert_eq!(rules.len(), rules.iter().filter(|rule| rule["health"] == "ok").count(), "{rules:#?}");
    for record in names("record").iter().filter(|name| !NOT_IN_THE_FLOOD.contains(&name.as_str())) {
        let found = prometheus.query(&format!("last_over_time({{__name__=\"{record}\"}}[1m])"));
        assert!(!found.as_array().unwrap().is_empty(), "the rule {record} yields nothing");
    }
}
