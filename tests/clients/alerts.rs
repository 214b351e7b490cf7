//! The shipped rules, as they are, in a real Prometheus that scrapes the exporter every 15 s: real containers get real faults, and each alert
//! fires in the time that dashboards/README.md states. `VETH_LAB_LONG=1` waits for the slow ones too, 11 minutes in all.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lab::{
    Container, DockerEngine, Exporter, Prometheus, checkout, needs_engine, silent_on, succeed, wait_for,
    within_netns,
};

/// An alert, the container that it is about, and the most seconds from the fault: those of the README and two scrapes.
struct Expected<'a> {
    alert: &'static str,
    container: &'a Container,
    seconds: u64,
}

/// Runs a command in the network namespace of a container.
fn inside(container: &Container, words: &[&str]) {
    let netns = format!("--net={}", container.netns_path().display());
    succeed(Command::new("nsenter").arg(netns).args(words));
}

/// Sends 100 datagrams a second to each address until `done`: frames of 1,000 bytes.
fn send_until(done: &AtomicBool, from: &Container, targets: &[SocketAddr]) {
    let socket = within_netns(&from.netns_path(), || UdpSocket::bind("0.0.0.0:0").unwrap());
    while !done.load(Ordering::Relaxed) {
        for target in targets {
            // Nothing listens there: the answers, and the errors that they make here, are part of the traffic.
            let _refused = socket.send_to(&[0; 958], target);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sets the interface down and up again each 10 s until `done`.
fn flap_until(done: &AtomicBool, container: &Container) {
    while !done.load(Ordering::Relaxed) {
        for state in ["down", "up"] {
            inside(container, &["ip", "link", "set", "eth0", state]);
            std::thread::sleep(Duration::from_secs(5));
        }
    }
}

fn is_firing(prometheus: &Prometheus, expected: &Expected) -> bool {
    let (alert, name) = (expected.alert, expected.container.name());
    let query = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\",container=\"{name}\"}}");
    !prometheus.query(&query).as_array().unwrap().is_empty()
}

/// Waits until each alert fires, and says when.
fn wait_for_alerts(prometheus: &Prometheus, begin: Instant, mut expected: Vec<Expected>) {
    while !expected.is_empty() {
        std::thread::sleep(Duration::from_secs(1));
        let took = begin.elapsed().as_secs();
        expected.retain(|expected| {
            let firing = is_firing(prometheus, expected);
            if firing {
                println!("{} after {took} s", expected.alert);
            }
            assert!(firing || took <= expected.seconds, "{} does not fire after {took} s", expected.alert);
            !firing
        });
    }
}

#[test]
fn faults_of_real_containers_fire_their_alerts_in_the_time_that_the_readme_states() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("faults");
    let arguments = silent_on(&network);
    let [sender, healthy, narrow, flapping, down, owner, shaped] =
        ["sender", "healthy", "narrow", "flapping", "down", "owner", "shaped"]
            .map(|name| engine.run_idle(name, &arguments));
    let member = engine.run_idle("member", &["--network", &format!("container:{}", owner.name())]);
    let exporter = Exporter::for_engine(engine, &[]);
    let configuration = format!(
        "global: {{scrape_interval: 15s, scrape_timeout: 5s, evaluation_interval: 15s}}\n\
         rule_files: ['{}/*.yaml']\n\
         scrape_configs: [{{job_name: veth, static_configs: [{{targets: ['{}']}}]}}]\n",
        checkout().join("dashboards/rules").display(),
        exporter.address()
    );
    let prometheus = Prometheus::configured(engine.netns(), &configuration);
    let targets = [&healthy, &narrow, &shaped].map(|to| SocketAddr::new(to.address(network.name()), 9));

    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| send_until(&done, &sender, &targets));
        let acted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(Duration::from_secs(60), "two scrapes without a fault", || {
                let scrapes = prometheus.query("count_over_time(up[5m]) >= 2");
                if scrapes.as_array().is_some_and(|found| !found.is_empty()) { Ok(()) } else { Err(scrapes) }
            });
            let begin = Instant::now();
            inside(&narrow, &["ip", "link", "set", "eth0", "mtu", "600"]);
            inside(&down, &["ip", "link", "set", "eth0", "down"]);
            engine.docker(&["restart", owner.name()]);
            let port = shaped.host_device(engine.netns(), "eth0");
            succeed(engine.netns().command("tc").args([
                "qdisc", "add", "dev", &port, "root", "tbf", "rate", "400kbit", "burst", "10kb", "latency",
                "50ms",
            ]));
            let looping =
                engine.run("looping", &[&arguments[..], &["--restart", "always"]].concat(), &["false"]);
            scope.spawn(|| flap_until(&done, &flapping));
            let expect = |alert, container, seconds| Expected { alert, container, seconds };
            let mut expected = vec![
                expect("VethLossCritical", &narrow, 105 + 30),
                expect("VethLinkDown", &down, 135 + 30),
                expect("VethStaleMember", &member, 135 + 30),
                expect("VethLinkFlapping", &flapping, 60 + 30),
            ];
            if std::env::var("VETH_LAB_LONG").is_ok_and(|value| value == "1") {
                expected.push(expect("VethQueueDrops", &shaped, 330 + 30));
                expected.push(expect("VethCrashLoop", &looping, 435 + 30));
                expected.push(expect("VethMtuMismatch", &narrow, 615 + 30));
            }
            wait_for_alerts(&prometheus, begin, expected);
            let healthy = format!(
                "ALERTS{{alertstate=\"firing\",container=~\"{}|{}\"}}",
                healthy.name(),
                sender.name()
            );
            assert_eq!(prometheus.query(&healthy), serde_json::json!([]), "what is well has no alert");
        }));
        done.store(true, Ordering::Relaxed);
        acted.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}
