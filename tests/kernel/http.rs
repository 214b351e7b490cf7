//! What the exporter's HTTP server answers, and how it ends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use lab::{Exporter, Netns, NetnsFolder, connect, wait_for};

/// An exporter on a host without any veth and any name.
fn exporter(arguments: &[&str]) -> (Netns, NetnsFolder, Exporter) {
    let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
    let arguments: Vec<&str> = folder.arguments().into_iter().chain(arguments.iter().copied()).collect();
    let exporter = Exporter::start(&host, &arguments);
    exporter.wait_ready();
    (host, folder, exporter)
}

#[test]
fn other_paths_are_404_and_other_methods_405_with_what_is_allowed() {
    let (_host, _folder, exporter) = exporter(&[]);
    for path in ["/nothing", "/metrics/", "/METRICS", "/..", "//", "/-/", "/metrics/x?y"] {
        assert_eq!(exporter.get(path).status, 404, "{path}");
    }
    for path in ["/", "/metrics", "/-/healthy", "/-/ready"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
            let response = exporter.request(method, path, &[]);
            assert_eq!(
                (response.status, response.header("allow")),
                (405, Some("GET, HEAD")),
                "{method} {path}"
            );
        }
    }
    assert_eq!(exporter.get("/metrics?x=y").status, 200, "a query is not part of the path");
}

#[test]
fn head_gives_the_headers_of_get_and_no_body() {
    let (_host, _folder, exporter) = exporter(&[]);
    for path in ["/", "/-/healthy", "/-/ready", "/metrics", "/nothing"] {
        let (get, head) = (exporter.get(path), exporter.request("HEAD", path, &[]));
        assert_eq!(get.status, head.status, "{path}");
        assert_eq!(get.header("content-type"), head.header("content-type"), "{path}");
        assert!(head.body.is_empty(), "{path}: {:?}", head.text());
        // That of the metrics is known when all is written.
        let length = (path != "/metrics").then(|| get.body.len().to_string());
        assert_eq!(head.header("content-length"), length.as_deref(), "{path}");
    }
}

#[test]
fn the_landing_page_links_to_the_metrics_wherever_they_are() {
    let (_host, _folder, exporter) = exporter(&["--web.telemetry-path", "/some&where"]);
    let page = exporter.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for link in ["href=\"/some&amp;where\"", "href=\"/-/healthy\"", "href=\"/-/ready\""] {
        assert!(page.text().contains(link), "no {link} in:\n{}", page.text());
    }
    let metrics = exporter.get("/some&where");
    assert_eq!(metrics.status, 200);
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(metrics.text().contains("veth_exporter_build_info"), "{}", metrics.text());
    assert_eq!(exporter.get("/metrics").status, 404);
}

#[test]
fn it_says_that_it_is_healthy_and_ready() {
    let (_host, _folder, exporter) = exporter(&[]);
    for (path, text) in [("/-/healthy", "Healthy\n"), ("/-/ready", "Ready\n")] {
        let response = exporter.get(path);
        assert_eq!((response.status, response.text()), (200, text), "{path}");
    }
}

/// Reads what there is within a moment: `None` when the connection has ended.
fn read_for_a_moment(mut stream: &TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut buffer = [0; 4_096];
    match stream.read(&mut buffer) {
        Ok(0) => None,
        Ok(length) => Some(String::from_utf8_lossy(&buffer[..length]).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Some(String::new()),
        Err(_) => None,
    }
}

#[test]
fn a_client_that_never_ends_its_head_is_cut_off_while_others_are_served() {
    let (host, _folder, exporter) = exporter(&[]);
    let begin = Instant::now();
    let client = || connect(&host.path(), exporter.address()).unwrap();
    let (mut silent, mut dripping, mute) = (client(), client(), client());
    silent.write_all(b"GET /metrics HTTP/1.1\r\nHos").unwrap();
    dripping.write_all(b"GET /metrics HTTP/1.1\r\nX: ").unwrap();
    let mut open = vec![(&silent, "half a head"), (&dripping, "a head without end"), (&mute, "no head")];
    // One is given 10 s for its head; whoever drips does not get more.
    while !open.is_empty() && begin.elapsed() < Duration::from_secs(14) {
        open.retain(|(stream, _)| read_for_a_moment(stream).is_some());
        // It fails once it is cut off, which is looked for above.
        let _ = (&dripping).write(b"x");
        assert_eq!(exporter.get("/-/healthy").status, 200);
    }
    let left: Vec<&str> = open.into_iter().map(|(_, what)| what).collect();
    assert!(left.is_empty(), "still connected after {:?}: {left:?}", begin.elapsed());
    assert!(begin.elapsed() > Duration::from_secs(5), "cut off after {:?} already", begin.elapsed());
}

#[test]
fn sigterm_and_sigint_end_it_at_once_though_a_connection_is_kept_alive() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (host, _folder, mut exporter) = exporter(&[]);
        let mut idle = connect(&host.path(), exporter.address()).unwrap();
        idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let answer = wait_for(Duration::from_secs(5), "an answer", || match read_for_a_moment(&idle) {
            Some(answer) if !answer.is_empty() => Ok(answer),
            other => Err(format!("{other:?}")),
        });
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("Healthy\n"), "{answer}");
        exporter.process().signal(signal);
        // Less than the 3 s that requests under way are given.
        let status = wait_for(Duration::from_millis(2_500), "it has ended", || {
            exporter.process().ended().ok_or(format!("it runs after {signal}"))
        });
        assert_eq!(status.code(), Some(0), "{signal}: {}", exporter.log().join("\n"));
        assert_eq!(read_for_a_moment(&idle), None, "the idle connection is closed");
    }
}

#[test]
fn a_client_that_takes_no_answer_cannot_keep_it_from_ending() {
    let (host, _folder, mut exporter) = exporter(&[]);
    let mut half = connect(&host.path(), exporter.address()).unwrap();
    half.write_all(b"GET /metrics HTTP/1.1\r\nHos").unwrap();
    let status = exporter.stop();
    assert_eq!(status.code(), Some(0), "{}", exporter.log().join("\n"));
}
