//! Many scrapes at a time, and readers that are slow.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::Barrier;
use std::time::Duration;

use nix::sys::signal::Signal;

use lab::{Exporter, Exposition, Netns, NetnsFolder, connect, describe, wait_for};

/// A host with so many pairs, so that its exposition is larger than what the server and the kernel buffer for a reader.
fn crowded(pairs: usize) -> Netns {
    let host = Netns::quiet("host");
    // What Linux buffers for a connection is a matter of the namespace.
    let small = ["rmem", "wmem"].map(|way| format!("net.ipv4.tcp_{way}=4096 16384 16384"));
    assert!(
        host.exec(["sysctl", "-qw"].into_iter().chain(small.iter().map(String::as_str))).status.success()
    );
    let mut batch = String::new();
    for number in 0..pairs {
        batch += &format!("link add left{number} type veth peer name right{number}\n");
    }
    let mut ip = std::process::Command::new("ip");
    ip.args(["-n", host.name(), "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = ip.spawn().unwrap();
    child.stdin.take().unwrap().write_all(batch.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", describe(&output));
    host
}

#[test]
fn thirty_scrapes_at_a_time_all_succeed_without_a_limit() {
    let host = crowded(50);
    let folder = NetnsFolder::new();
    let [flag, path] = folder.arguments();
    let exporter = Exporter::start(&host, &["--web.max-requests", "0", flag, path]);
    exporter.wait_ready();
    let together = Barrier::new(30);
    let counts: Vec<usize> = std::thread::scope(|scope| {
        let scrape = || {
            together.wait();
            let metrics: Exposition = exporter.metrics();
            metrics.all("veth_device_up").len()
        };
        let threads: Vec<_> = (0..30).map(|_| scope.spawn(scrape)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(counts, vec![100; 30], "devices that each scrape saw");
}

#[test]
fn scrapes_that_wait_together_share_dumps() {
    let host = crowded(200);
    let folder = NetnsFolder::new();
    let [flag, path] = folder.arguments();
    let arguments = ["--web.max-requests", "0", "--collector.interval", "1h", flag, path];
    let mut exporter = Exporter::start(&host, &arguments);
    exporter.wait_ready();
    // They arrive while it stands still: it finds all of them at once.
    exporter.process().signal(Signal::SIGSTOP);
    let ask = |_| {
        let mut stream = connect(&host.path(), exporter.address()).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        stream
    };
    let streams: Vec<TcpStream> = (0..30).map(ask).collect();
    exporter.process().signal(Signal::SIGCONT);
    // How long a dump took, to the nanosecond, tells it from others.
    let dumps: BTreeSet<String> = std::thread::scope(|scope| {
        let read = |mut stream: TcpStream| {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let series = "veth_exporter_collector_duration_seconds{collector=\"counters\"} ";
            let took = answer.lines().find_map(|line| line.strip_prefix(series));
            took.unwrap_or_else(|| panic!("no {series} in:\n{answer}")).to_owned()
        };
        let threads: Vec<_> = streams.into_iter().map(|stream| scope.spawn(move || read(stream))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(dumps.len() < 30, "30 scrapes took as many dumps: {dumps:?}");
}

#[test]
fn a_slow_reader_holds_its_place_and_no_more() {
    let host = crowded(900);
    let folder = NetnsFolder::new();
    let [flag, path] = folder.arguments();
    let exporter = Exporter::start(&host, &["--web.max-requests", "1", flag, path]);
    exporter.wait_ready();
    let whole = exporter.get("/metrics").body.len();
    assert!(whole > 1_000_000, "{whole} bytes are no trouble for a slow reader");

    let mut slow: TcpStream = connect(&host.path(), exporter.address()).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut first = [0; 15];
    slow.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    for path in ["/metrics", "/metrics/cadvisor", "/metrics"] {
        let refused = exporter.get(path);
        assert_eq!(refused.status, 503, "{} bytes", refused.body.len());
        assert!(refused.text().contains("--web.max-requests"), "{}", refused.text());
    }
    assert_eq!(exporter.get("/-/healthy").status, 200, "the limit is for scrapes");

    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).unwrap();
    assert!(rest.len() > 1_000_000, "the slow reader got {} bytes", rest.len());
    wait_for(Duration::from_secs(5), "the place is free again", || match exporter.get("/metrics").status {
        200 => Ok(()),
        status => Err(status),
    });

    // A reader that goes away gives its place back as well.
    let mut fickle = connect(&host.path(), exporter.address()).unwrap();
    fickle.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    fickle.read_exact(&mut first).unwrap();
    assert_eq!(exporter.get("/metrics").status, 503);
    drop(fickle);
    wait_for(Duration::from_secs(5), "the place is free again", || match exporter.get("/metrics").status {
        200 => Ok(()),
        status => Err(status),
    });
}
