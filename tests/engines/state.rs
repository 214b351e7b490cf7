//! `--state.directory` with real engines: an exporter that is killed and stopped while containers of Docker, pods of containerd and containers of
//! Podman send and receive goes on with their totals, under their names.

use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use lab::{
    Containerd, DockerEngine, Exporter, Exposition, Interface, Netns, Podman, Traffic, empty_folder,
    needs_engine, ping, two_silent, unique_name, wait_for, within_netns,
};

const SOON: Duration = Duration::from_secs(20);

/// The flags of an exporter that writes its state into this folder five times a second.
fn saving(state: &Path) -> [String; 6] {
    let state = state.display().to_string();
    ["--collector.interval", "100ms", "--state.interval", "200ms", "--state.directory", &state]
        .map(str::to_owned)
}

/// Waits until the state on disk has what was counted until now.
fn wait_until_written(exporter: &Exporter) {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    exporter.wait_for(SOON, "the state is written", |metrics| {
        let written = metrics.value("veth_exporter_state_last_write_timestamp_seconds", &[])?;
        (written > now + 0.5).then_some(())
    });
}

fn resumed(exporter: &Exporter) -> f64 {
    exporter.metrics().value("veth_exporter_state_pairs_total", &[("outcome", "resumed")]).unwrap()
}

/// Panics unless the interface's total is its own count, to the byte.
fn refuse_a_difference(interface: &Interface, exporter: &Exporter, when: &str) {
    wait_for(SOON, &format!("every byte is booked {when}"), || {
        let (booked, own) = interface.at_rest(exporter);
        if booked == own { Ok(()) } else { Err(format!("{interface:?}: {own:?}, booked {booked:?}")) }
    });
}

/// Kills and stops exporters, three times each, while the interfaces send and receive. All of them are there since the first one.
fn survives(start: impl Fn(&[&str]) -> Exporter, interfaces: &[&Interface], talk: impl Fn()) -> Exporter {
    let folder = empty_folder("state");
    let flags = saving(&folder);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut exporter = start(&flags);
    // What the interfaces have counted before the first run is in no total.
    let earlier: Vec<Traffic> = interfaces
        .iter()
        .map(|interface| {
            let (booked, own) = interface.at_rest(&exporter);
            own - booked
        })
        .collect();
    wait_until_written(&exporter);
    for restart in 1..=6 {
        talk();
        match restart % 2 {
            0 => assert!(exporter.stop().success()),
            _ => drop(exporter.process().kill()),
        }
        talk();
        exporter = start(&flags);
        talk();
        for (interface, earlier) in interfaces.iter().zip(&earlier) {
            wait_for(SOON, &format!("every byte is booked after restart {restart}"), || {
                let (booked, own) = interface.at_rest(&exporter);
                let metrics = exporter.metrics();
                let all = metrics.all("veth_container_receive_bytes_total");
                let wrong =
                    format!("{interface:?}: {own:?} with {earlier:?} before, booked {booked:?} of {all:#?}");
                if booked + *earlier == own { Ok(()) } else { Err(wrong) }
            });
        }
        assert!(resumed(&exporter) >= interfaces.len() as f64, "{}", exporter.metrics().text);
    }
    exporter
}

#[test]
fn a_docker_containers_total_is_its_own_count_across_kills_and_stops_of_the_exporter() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("state");
    let [one, two] = two_silent(engine, &network);
    let address = two.address(network.name());
    let (from, to) = (one.interface("eth0"), two.interface("eth0"));
    let talk = || ping(&from.netns_path(), address, 5, 1_000);
    survives(|flags| Exporter::for_engine(engine, flags), &[&from, &to], talk);
}

/// Panics if a total of an interface is lower than it was when the exporter was killed, from the first scrape on.
fn refuse_a_fall(exporter: &Exporter, before: &[(&Interface, Traffic)]) {
    let begin = Instant::now();
    let mut seen = 0;
    while begin.elapsed() < Duration::from_secs(2) {
        let metrics = exporter.metrics();
        for (interface, before) in before {
            let Some(booked) = Traffic::booked(&metrics, &interface.labels()) else { continue };
            let has_fallen = booked.receive_bytes < before.receive_bytes
                || booked.transmit_bytes < before.transmit_bytes
                || booked.receive_packets < before.receive_packets
                || booked.transmit_packets < before.transmit_packets;
            let after = begin.elapsed();
            assert!(!has_fallen, "{interface:?}: {before:?}, {booked:?} after {after:?}\n{}", metrics.text);
            seen += 1;
        }
    }
    assert!(seen >= 2 * before.len(), "{:#?}", exporter.log());
}

#[test]
fn after_a_kill_no_scrape_shows_less_than_before_however_late_docker_answers() {
    needs_engine!();
    let netns = Netns::new("late");
    let mut engine = DockerEngine::start_private_with(&netns, r#"{"live-restore": true}"#);
    let network = engine.network("state");
    let [one, two] = two_silent(&engine, &network);
    let address = two.address(network.name());
    let (from, to) = (one.interface("eth0"), two.interface("eth0"));
    let (state, names) =
        (empty_folder("state").display().to_string(), empty_folder("n").display().to_string());
    let host = engine.host().to_owned();
    let flags = ["--docker.host", &host, "--path.netns", &names, "--state.directory", &state];
    let mut exporter = Exporter::for_engine(&engine, &[&flags[4..], &["--state.interval", "500ms"]].concat());
    from.at_rest(&exporter);
    wait_until_written(&exporter);
    exporter.process().kill();
    for answers in [true, false] {
        // The next write comes after the kill: what is on disk is older than what was scraped.
        let mut exporter = Exporter::for_engine(&engine, &flags[4..]);
        ping(&from.netns_path(), address, 20, 1_000);
        let before = [&from, &to].map(|interface| (interface, interface.at_rest(&exporter).0));
        if !answers {
            engine.signal(Signal::SIGSTOP);
        }
        exporter.process().kill();
        let mut exporter = Exporter::start(&netns, &flags);
        exporter.wait_ready();
        refuse_a_fall(&exporter, &before);
        engine.signal(Signal::SIGCONT);
        for interface in [&from, &to] {
            refuse_a_fall(&exporter, &before);
            let (booked, _) = interface.at_rest(&exporter);
            assert!(booked.receive_packets >= 20, "{booked:?}");
        }
        assert!(exporter.stop().success());
    }
}

/// The sum of what is booked for a Docker container of this name, on whatever interface; none if it has no total.
fn of_name(metrics: &Exposition, name: &str) -> Option<Traffic> {
    Traffic::booked(metrics, &[("runtime", "docker"), ("container", name), ("interface", "eth0")])
}

#[test]
fn a_container_that_is_renamed_or_removed_while_the_exporter_is_dead_loses_no_name_and_no_byte_that_was_written()
 {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("state");
    let folder = empty_folder("state");
    let flags = saving(&folder);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut exporter = Exporter::for_engine(engine, &flags);
    let [gone, mut renamed] = two_silent(engine, &network);
    let (address, gone_address) = (renamed.address(network.name()), gone.address(network.name()));
    let inside = renamed.interface("eth0");
    gone.ping(address, 20, 1_000);
    refuse_a_difference(&gone.interface("eth0"), &exporter, "before the kill");
    refuse_a_difference(&inside, &exporter, "before the kill");
    wait_until_written(&exporter);
    let last = gone.interface("eth0").own();
    let (old, before) = (renamed.name().to_owned(), inside.own());
    exporter.process().kill();
    gone.ping(address, 10, 500);
    let (removed, at_restart) = (gone.name().to_owned(), inside.own());
    drop(gone);
    renamed.rename(unique_name("shop"));
    let exporter = Exporter::for_engine(engine, &flags);
    wait_for(SOON, "both names have what is theirs", || {
        let metrics = exporter.metrics();
        let [old, new] = [&*old, renamed.name()].map(|name| of_name(&metrics, name));
        // What passed while no exporter ran is in the total that the pair had before.
        if old == Some(at_restart) && new == Some(Traffic::default()) {
            return Ok(());
        }
        Err(format!("{before:?}, then {at_restart:?}: {old:?} and {new:?}\n{}", metrics.text))
    });
    // Nobody has this address any more, and it is a known neighbour all the same.
    let send = || UdpSocket::bind("0.0.0.0:0").unwrap().send_to(&[0; 500], (gone_address, 9)).unwrap();
    within_netns(&inside.netns_path(), send);
    wait_for(SOON, "the new name has what comes now", || {
        let new = of_name(&exporter.metrics(), renamed.name());
        if new == Some(inside.own() - at_restart) && inside.own() != at_restart {
            Ok(())
        } else {
            Err(format!("{new:?}"))
        }
    });
    // Of what died meanwhile the total is what was written last.
    assert_eq!(of_name(&exporter.metrics(), &removed), Some(last));
}

#[test]
fn a_pods_total_is_its_own_count_across_kills_and_stops_of_the_exporter() {
    needs_engine!();
    let engine = Containerd::start();
    let names = [unique_name("web"), unique_name("db")];
    let [one, two] = names.each_ref().map(|name| engine.run("shop", name, &["main"]));
    let (from, to, address) = (one.interface(), two.interface(), two.address());
    let talk = || ping(&from.netns_path(), address, 5, 1_000);
    survives(|flags| engine.exporter(flags), &[&from, &to], talk);
}

#[test]
fn a_podman_containers_total_is_its_own_count_across_kills_and_stops_of_the_exporter() {
    needs_engine!();
    let netns = Netns::new("state");
    let podman = Podman::start(&netns);
    podman.podman(&["network", "create", "quiet"]);
    let silent = ["--network", "quiet", "--sysctl", "net.ipv6.conf.all.disable_ipv6=1"];
    let [one, two] = ["one", "two"].map(|name| podman.run(name, &silent));
    let networks = two.inspect()["NetworkSettings"]["Networks"].take();
    let address = networks["quiet"]["IPAddress"].as_str().unwrap().parse().unwrap();
    let (from, to) = (one.interface("eth0"), two.interface("eth0"));
    let talk = || ping(&from.netns_path(), address, 5, 1_000);
    let (host, names) = (podman.host(), empty_folder("n").display().to_string());
    let start = |flags: &[&str]| {
        let exporter = Exporter::start(
            podman.netns(),
            &[&["--podman.host", &host, "--path.netns", &names], flags].concat(),
        );
        exporter.wait_for(SOON, "Podman has answered", |metrics| {
            metrics.collector_success("podman").filter(|success| *success)
        });
        exporter
    };
    survives(start, &[&from, &to], talk);
}
