//! More than there is room for: series, events, lines of the log, long labels, connections. What is bounded stays so, and
//! nothing is lost without a word.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::campaign::note;
use crate::impostor::{Beside, DEVICE, Impostor, json, read_request};
use crate::kernel::{devices, devices_by_ip, ip_batch};
use crate::{OFTEN, SOON, Used, said_of};
use lab::book::{Dice, booked, refuse_gaps, size, sum};
use lab::crowd::{Crowd, End, Host};
use lab::{
    DockerEngine, Exporter, Exposition, Frozen, Traffic, connect, needs_engine, unique_name, wait_for,
};

/// What is booked for one container, whatever its interface.
fn booked_for(metrics: &Exposition, container: &str) -> Traffic {
    let value = |what: &str| {
        let family = format!("veth_container_{what}_total");
        metrics.value(&family, &[("container", container)]).unwrap_or_default() as u64
    };
    Traffic {
        receive_bytes: value("receive_bytes"),
        receive_packets: value("receive_packets"),
        transmit_bytes: value("transmit_bytes"),
        transmit_packets: value("transmit_packets"),
    }
}

fn series(metrics: &Exposition, state: &str) -> f64 {
    metrics.value("veth_exporter_series", &[("state", state)]).unwrap()
}

/// What the ports of these numbers have received and sent, as `ip` says.
fn ports_by_ip(host: &Host, numbers: std::ops::Range<u32>) -> [u64; 2] {
    let links = host.netns.ip_json(["-s", "link", "show", "type", "veth"]);
    let ours = links.as_array().unwrap().iter().filter(|link| {
        let number = link["ifname"].as_str().unwrap().trim_start_matches('v').parse();
        numbers.contains(&number.unwrap())
    });
    ours.fold([0, 0], |[received, sent], link| {
        let of = |way: &str| link["stats64"][way]["bytes"].as_u64().unwrap();
        [received + of("rx"), sent + of("tx")]
    })
}

#[test]
fn beyond_the_limit_of_series_newcomers_are_one_sum_that_is_true_to_the_byte_and_never_falls() {
    let host = Host::new();
    let first = Crowd::new(&host, 0..5);
    first.name();
    first.join();
    // A port has 11 series, a label set 10, a workload 3.
    let exporter = host.exporter(&[&OFTEN[..], &["--limits.series", "120"]].concat());
    first.take_up();
    exporter.wait_for(SOON, "all are shown", |metrics| (devices(metrics).len() == 5).then_some(()));
    let mut dice = Dice::new();
    let mut truth = first.talk(&mut dice);
    let late = Crowd::new(&host, 100..107);
    late.name();
    late.join();
    late.take_up();
    let of_late = sum(late.talk(&mut dice).values());
    for (name, more) in first.talk(&mut dice) {
        truth.insert(name.clone(), truth[&name] + more);
    }
    let metrics = wait_for(SOON, "who is shown and the rest are true", || {
        let metrics = exporter.metrics();
        let wrong = truth.iter().find(|(name, truth)| booked_for(&metrics, name) != **truth);
        match (wrong, booked_for(&metrics, "other") == of_late) {
            (None, true) => Ok(metrics),
            _ => Err(format!("{truth:#?}\nrest {of_late:?} in\n{}", metrics.text)),
        }
    });
    refuse_gaps(&metrics);
    let rest = [("device", "other"), ("container", "other"), ("interface", "other")];
    let [received, sent] = ports_by_ip(&host, 100..107);
    assert_eq!(metrics.value("veth_device_receive_bytes_total", &rest), Some(received as f64));
    assert_eq!(metrics.value("veth_device_transmit_bytes_total", &rest), Some(sent as f64));
    assert_eq!(metrics.value("veth_device_up", &rest), None, "a sum of these would mean nothing");
    assert_eq!(metrics.all("veth_container_info").len(), 5);
    let shown = metrics.all("veth_container_receive_bytes_total");
    assert_eq!(shown.len(), 6, "{shown:#?}");
    // 10 of the label set of the rest are beyond the limit.
    assert_eq!((series(&metrics, "shown"), series(&metrics, "summed")), (130.0, 7.0 * 24.0));
    assert_eq!(metrics.value("veth_exporter_series_limit", &[]), Some(120.0));
    // Whoever goes takes nothing away, and whoever was shown stays so.
    late.end(|_| End::Down);
    let again = Crowd::new(&host, 200..207);
    again.name();
    again.join();
    again.take_up();
    let of_again = sum(again.talk(&mut dice).values());
    let metrics = wait_for(SOON, "the rest has what came later too", || {
        let metrics = exporter.metrics();
        match booked_for(&metrics, "other") {
            rest if rest == of_late + of_again => Ok(metrics),
            rest => Err(format!("{rest:?}, truly {:?}", of_late + of_again)),
        }
    });
    assert!(truth.iter().all(|(name, truth)| booked_for(&metrics, name) == *truth), "{}", metrics.text);
    // The kernel takes away the links of who went when it comes to it.
    wait_for(SOON, "the pairs are those of the newcomers", || {
        let body = exporter.get("/api/v1/pairs");
        let right = body.text().contains(r#","matched":5,"summed":7,"#);
        if right { Ok(()) } else { Err(body.text().to_owned()) }
    });
    drop(again);
    exporter.wait_for(SOON, "nothing is summed any more", |metrics| {
        (series(metrics, "summed") == 0.0).then_some(())
    });
    let said: Vec<String> = exporter.log().into_iter().filter(|line| line.contains("limit=120")).collect();
    assert!(said.len() >= 2 && said.len() <= 4, "{said:#?}");
    assert!(said[0].contains("level=warn") && said[1].contains("level=info"), "{said:#?}");
}

#[test]
fn namespaces_that_come_and_go_faster_than_they_are_forgotten_make_no_more_series_than_the_limit() {
    let host = Host::new();
    let exporter = host.exporter(&[&OFTEN[..], &["--limits.series", "1000"]].concat());
    let mut truth = Traffic::default();
    let (mut most, rounds) = (0, size(8, 60) as u32);
    for round in 0..rounds {
        let crowd = Crowd::new(&host, round * 20..round * 20 + 20);
        crowd.name();
        crowd.join();
        crowd.take_up();
        truth = truth + sum(crowd.whisper(&mut Dice::new()).values());
        crowd.end(|_| End::Down);
        let metrics = exporter.metrics();
        most = most.max(metrics.all("veth_container_receive_bytes_total").len());
        assert!(series(&metrics, "shown") <= 1010.0, "{}", metrics.text);
    }
    let metrics = wait_for(SOON, "all that was said is booked", || {
        let metrics = exporter.metrics();
        let bytes: f64 = crate::sum_of(&metrics, "veth_container_receive_bytes_total");
        if bytes as u64 == truth.receive_bytes { Ok(metrics) } else { Err(format!("{bytes}, {truth:?}")) }
    });
    refuse_gaps(&metrics);
    assert!(booked_for(&metrics, "other").receive_bytes > 0, "{}", metrics.text);
    note(&format!(
        "{} namespaces, {most} label sets at most, {} bytes exact",
        rounds * 20,
        truth.receive_bytes
    ));
}

#[test]
fn while_the_loop_stands_still_events_fill_no_memory_and_what_the_kernel_loses_is_read_again() {
    let host = Host::new();
    let stays = Crowd::new(&host, 0..5);
    stays.name();
    stays.join();
    let exporter = host.exporter(&OFTEN);
    stays.take_up();
    exporter.wait_for(SOON, "all are named", |metrics| (devices(metrics).len() == 5).then_some(()));
    let mut dice = Dice::new();
    let mut truth = stays.talk(&mut dice);
    let before = Used::by(&exporter);
    let frozen = Frozen::thread(exporter.pid(), "collector");
    // No MTU so small that the host would cut a datagram in two.
    let mut flood = String::new();
    for number in 0..30_000 {
        writeln!(flood, "link set v0 mtu {}", 1_498 + number % 2).unwrap();
    }
    ip_batch(&host.netns, &flood);
    for (name, more) in stays.talk(&mut dice) {
        truth.insert(name.clone(), truth[&name] + more);
    }
    let during = Used::by(&exporter);
    assert!(during.resident <= before.resident + (16 << 20), "{before:?}, {during:?}");
    drop(frozen);
    let lost = exporter.wait_for(SOON, "it says that events were lost", |metrics| {
        metrics.value("veth_exporter_netlink_lost_total", &[]).filter(|lost| *lost > 0.0)
    });
    let comes = Crowd::new(&host, 20..25);
    comes.name();
    comes.join();
    exporter.wait_for(SOON, "the devices are those of ip", |metrics| {
        (devices(metrics) == devices_by_ip(&host.netns)).then_some(())
    });
    wait_for(SOON, "what those have said that lived on is booked to the byte", || {
        let booked: BTreeMap<_, _> = booked(&exporter.metrics());
        match truth.iter().find(|(name, truth)| booked.get(*name) != Some(truth)) {
            None => Ok(()),
            Some((name, truth)) => Err(format!("{name}: {truth:?}, booked {:?}", booked.get(name))),
        }
    });
    let grown = during.resident.saturating_sub(before.resident) >> 10;
    note(&format!("30,000 changes, {lost} times lost by the kernel, {grown} KiB more while it stood still"));
}

#[test]
fn a_source_that_fails_and_works_all_the_time_has_few_lines_in_the_log_and_costs_no_other() {
    // Good and bad in turn, as often as it is asked for its containers.
    let asked = AtomicUsize::new(0);
    let docker = Impostor::listen(move |stream| {
        let path = read_request(stream)?;
        let version = r#"{"Components":[{"Name":"Engine","Version":"20.10"}],"ApiVersion":"1.41"}"#;
        match path.as_str() {
            path if path.ends_with("/version") => json(stream, version),
            path if path.ends_with("/containers/json") && asked.fetch_add(1, Ordering::Relaxed) % 2 == 1 => {
                stream.write_all(b"what?\r\n\r\n")
            }
            path if path.ends_with("/events") => Ok(()),
            _ => json(stream, "[]"),
        }
    });
    let flags = ["--docker.host".to_owned(), docker.host()];
    let beside = Beside::start(&flags.each_ref().map(String::as_str));
    let (begin, mut seen, mut changes) = (Instant::now(), None, 0);
    while changes < 24 {
        let metrics = beside.exporter.metrics();
        assert_eq!(metrics.value("veth_device_up", &DEVICE), Some(1.0));
        let works = metrics.collector_success("docker");
        changes += usize::from(std::mem::replace(&mut seen, works) != works);
        assert!(begin.elapsed() < Duration::from_secs(120), "it does not change: {changes}");
        // Each try lasts longer.
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = said_of(&beside.exporter, "docker");
    let minutes = begin.elapsed().as_secs() as usize / 60 + 1;
    assert!((2..=6 * minutes).contains(&said.len()), "{changes} changes: {said:#?}");
    note(&format!("{changes} changes in {} s, {} lines", begin.elapsed().as_secs(), said.len()));
}

#[test]
fn a_container_with_endless_names_and_labels_has_short_ones_and_is_not_mistaken_for_another() {
    needs_engine!();
    let engine = DockerEngine::get();
    let long = "x".repeat(20_000);
    let labels = ["a", "b"].map(|end| format!("long={long}{end}"));
    let stem = unique_name("long");
    let names = ["a", "b"].map(|end| format!("{stem}{}{end}", "y".repeat(3_000)));
    let _containers: Vec<_> = names
        .iter()
        .zip(&labels)
        .map(|(name, label)| engine.run_as(name, &["-d", "--label", label], &["sleep", "1000"]))
        .collect();
    let exporter = Exporter::for_engine(engine, &[&OFTEN[..], &["--container.labels", "long"]].concat());
    let of = |metrics: &Exposition, family: &str| -> Vec<BTreeMap<String, String>> {
        let all = metrics.all(family).into_iter().map(|(labels, _)| labels);
        all.filter(|labels| labels.get("container").is_some_and(|name| name.starts_with(&stem))).collect()
    };
    let metrics = exporter.wait_for(SOON, "both are named", |metrics| {
        (of(metrics, "veth_container_info").len() == 2).then(|| metrics.clone())
    });
    for family in ["veth_container_info", "veth_container_receive_bytes_total", "veth_device_info"] {
        let found = of(&metrics, family);
        assert_eq!(found.len(), 2, "{family}: {found:#?}");
        assert_ne!(found[0]["container"], found[1]["container"], "{family}");
    }
    let values = |metrics: &Exposition| {
        let samples = metrics.text.lines().filter(|line| !line.starts_with('#'));
        samples.flat_map(|line| line.split('"')).map(str::len).max().unwrap()
    };
    assert!(values(&metrics) <= 1024, "{}", values(&metrics));
    let infos = of(&metrics, "veth_container_info");
    assert_ne!(infos[0]["label_long"], infos[1]["label_long"]);
    let cadvisor = exporter.exposition("/metrics/cadvisor");
    assert!(values(&cadvisor) <= 1024 && cadvisor.text.contains(&stem), "{}", cadvisor.text);
    assert_eq!(exporter.metrics().collector_success("docker"), Some(true));
}

#[test]
fn threads_and_descriptors_stay_within_their_bounds_under_many_pairs_and_connections() {
    const CONNECTIONS: usize = 100;
    let host = Host::new();
    let crowd = Crowd::new(&host, 0..300);
    crowd.name();
    let exporter = host.exporter(&["--web.max-requests", "0"]);
    crowd.join();
    exporter.wait_for(SOON, "all are shown", |metrics| (devices(metrics).len() == 300).then_some(()));
    let rest = Used::at_rest(&exporter);
    let (stop, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut most = rest;
    std::thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let (stop, answers, exporter, netns) = (&stop, &answers, &exporter, host.netns.path());
            scope.spawn(move || {
                let path = ["/metrics", "/api/v1/pairs", "/metrics/cadvisor", "/page"][number % 4];
                while !stop.load(Ordering::Relaxed) {
                    let Ok(mut stream) = connect(&netns, exporter.address()) else { continue };
                    let ask = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                    let mut line = Vec::new();
                    // It may be cut off: it is one of very many.
                    let sent = stream.write_all(ask.as_bytes());
                    if sent.and_then(|()| BufReader::new(stream).read_until(0, &mut line)).is_ok() {
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(size(4, 60) as u64) {
            let now = Used::by(&exporter);
            most.threads = most.threads.max(now.threads);
            most.descriptors = most.descriptors.max(now.descriptors);
            most.resident = most.resident.max(now.resident);
        }
        stop.store(true, Ordering::Relaxed);
    });
    // docs/reliability.md: 13, and 16 for what takes long.
    assert!(most.threads <= 30, "{rest:?}, {most:?}");
    // Besides the connections a file or a socket for a moment each: of the names, the processes, the table of devices.
    assert!(most.descriptors <= rest.descriptors + CONNECTIONS + 16, "{rest:?}, {most:?}");
    wait_for(SOON, "all descriptors are given back", || match Used::at_rest(&exporter) {
        now if now.descriptors <= rest.descriptors + 1 => Ok(()),
        now => Err(format!("{now:?}")),
    });
    assert!(answers.load(Ordering::Relaxed) > CONNECTIONS);
    note(&format!(
        "300 pairs, {CONNECTIONS} clients: {} threads, {} descriptors, {} MiB at most; {} answers",
        most.threads,
        most.descriptors,
        most.resident >> 20,
        answers.load(Ordering::Relaxed)
    ));
}
