//! Many clients at 1,000 pairs: some seconds, or a minute by VETH_LAB_LONG=1.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::{Host, brief_or_long, memory};
use lab::{Netns, connect, send_datagrams, wait_for};
use std::io::{Read as _, Write as _};

/// So many clients at a time.
const CLIENTS: usize = 64;

/// What they ask for: path, format, coding.
const ASKED: [[&str; 3]; 4] = [
    ["/metrics", "*/*", "identity"],
    ["/metrics", "*/*", "gzip"],
    ["/metrics", "application/openmetrics-text", "gzip"],
    ["/api/v1/pairs", "*/*", "identity"],
];

/// One request on a connection of its own: the status, or what went wrong.
fn scrape(host: &Host, address: std::net::SocketAddr, [path, format, coding]: [&str; 3]) -> String {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = connect(&host.netns.path(), address)?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: {format}\r\nAccept-Encoding: {coding}\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = match ask() {
        Ok(answer) => answer,
        Err(error) => return error.to_string(),
    };
    match lab::http_parse(&answer, false) {
        Ok(answer) => answer.status.to_string(),
        Err(wrong) => wrong,
    }
}

#[test]
fn sixty_four_clients_at_a_thousand_pairs_get_answers_or_503_and_delay_no_tick() {
    let host = Host::new();
    let pairs: String = (0..1_000).map(|n| format!("link add a{n} type veth peer name b{n}\n")).collect();
    host.netns.ip(["-batch", &host.file("pairs", &pairs)]);
    let during = brief_or_long(8, 60);
    // Each burst goes over a pair of its own.
    let bursts: Vec<Netns> = (0..during.as_secs() / 2).map(|n| burst_target(&host, n)).collect();
    let exporter = host.exporter(&[]);
    wait_for(Duration::from_secs(30), "all pairs are there", || {
        let ends = exporter.metrics().value("veth_exporter_ends", &[("state", "paired")]);
        if ends.is_some_and(|ends| ends >= 2_000.0) { Ok(()) } else { Err(format!("{ends:?}")) }
    });
    let counts: Mutex<BTreeMap<String, u64>> = Mutex::default();
    let end = Instant::now() + during;
    let mut sizes = Vec::new();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (host, exporter, counts) = (&host, &exporter, &counts);
            scope.spawn(move || {
                while Instant::now() < end {
                    let status = scrape(host, exporter.address(), ASKED[client % ASKED.len()]);
                    // Who is turned away comes again, and not at once.
                    if status == "503" {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    *counts.lock().unwrap().entry(status).or_default() += 1;
                }
            });
        }
        for (n, target) in bursts.iter().enumerate() {
            std::thread::sleep(Duration::from_secs(2));
            send_datagrams(
                &host.netns.path(),
                &target.path(),
                format!("10.77.{n}.2").parse().unwrap(),
                500,
                100,
            );
            sizes.push(memory(&exporter, "VmRSS"));
        }
    });
    let counts = counts.into_inner().unwrap();
    let served = counts.get("200").copied().unwrap_or(0);
    assert!(
        served > 100 && counts.keys().all(|status| ["200", "503"].contains(&status.as_str())),
        "{counts:?}"
    );
    // Warm after a third of the time. In some seconds a first time of something is still a tenth of it all.
    let mean = |sizes: &[u64]| sizes.iter().sum::<u64>() / sizes.len() as u64;
    let (middle, last) =
        (mean(&sizes[sizes.len() / 3..sizes.len() * 2 / 3]), mean(&sizes[sizes.len() * 2 / 3..]));
    assert!(last <= middle + middle / 10, "resident KiB over time: {sizes:?}");
    let late = exporter.metrics().value("veth_exporter_late_ticks_total", &[]);
    assert_eq!(late, Some(0.0), "ticks over half a second late");
    // A burst is in one tick, or in two that it fell between; in a tick of 1 s it is 500 packets a second and more.
    let metrics = exporter.metrics();
    let peak = |n: usize| {
        let labels = [("container", &format!("burst{n}")[..])];
        metrics.value("veth_container_receive_peak_packets_per_second", &labels).unwrap_or(0.0)
    };
    let peaks: Vec<f64> = (0..bursts.len()).map(peak).collect();
    let slow = peaks.iter().filter(|peak| **peak < 500.0 / 1.4).count();
    assert!(
        slow <= 1 + peaks.len() / 10,
        "packets a second in the ticks with 500 packets: {peaks:?}; {counts:?}"
    );
    eprintln!("{counts:?}, resident KiB {sizes:?}, peaks {peaks:?}");
}

/// A namespace with a name, behind a pair of the host with addresses of its own.
fn burst_target(host: &Host, n: u64) -> Netns {
    let target = Netns::quiet("burst");
    host.names.name(format!("burst{n}"), &target);
    host.netns.veth(&format!("burst{n}"), &target, "eth0");
    host.netns.address(
        &format!("burst{n}"),
        &format!("10.77.{n}.1"),
        &target,
        "eth0",
        &format!("10.77.{n}.2"),
    );
    target.address(
        "eth0",
        &format!("10.77.{n}.2"),
        &host.netns,
        &format!("burst{n}"),
        &format!("10.77.{n}.1"),
    );
    target
}
