//! The metrics as gzip: the same text as without it, checked with curl and gzip.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use lab::{Exporter, Exposition, Netns, NetnsFolder, connect, describe, send_datagrams, succeed};
use nix::sys::signal::Signal;

/// A host and `web`, joined by veth-web and eth0, and 7 datagrams of 1,042 bytes from there to here.
fn scene() -> (Netns, Netns, NetnsFolder, Exporter) {
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    folder.name("web", &web);
    host.veth("veth-web", &web, "eth0");
    host.address("veth-web", "10.99.0.1", &web, "eth0", "10.99.0.2");
    web.address("eth0", "10.99.0.2", &host, "veth-web", "10.99.0.1");
    let arguments = [&folder.arguments()[..], &["--web.max-requests", "0"]].concat();
    let exporter = Exporter::start(&host, &arguments);
    exporter.wait_for(Duration::from_secs(5), "the pair is named", |metrics| {
        metrics.value("veth_device_up", &[("device", "veth-web"), ("container", "web")])
    });
    send_datagrams(&web.path(), &host.path(), "10.99.0.1".parse().unwrap(), 7, 1_000);
    (host, web, folder, exporter)
}

/// What gzip makes of it.
fn unpacked(packed: &[u8]) -> String {
    let mut command = Command::new("gzip");
    command.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(packed).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{}", describe(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The exposition without the values that change by themselves.
fn shape(text: &str) -> Vec<String> {
    let varying = [
        "process_",
        "veth_exporter_collector_duration_seconds",
        "veth_exporter_late_ticks_total",
        "veth_exporter_stale_scrapes_total",
    ];
    let line = |line: &str| match line.rsplit_once(' ') {
        Some((series, _)) if varying.iter().any(|name| line.starts_with(name)) => series.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect()
}

#[test]
fn curl_that_asks_for_gzip_reads_what_one_that_does_not_reads() {
    let (host, _web, _folder, exporter) = scene();
    let url = format!("http://{}/metrics", exporter.address());
    let curl = |more: &[&str]| succeed(host.command("curl").args(["-sS", "--fail"]).args(more).arg(&url));
    let head = curl(&["--compressed", "--output", "/dev/null", "--dump-header", "-"]).to_ascii_lowercase();
    assert!(head.contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
    // How often a busy machine kept a scrape from its counters is not what is compared here.
    exporter.fresh_metrics();
    let (plain, compressed) = (curl(&[]), curl(&["--compressed"]));
    assert_eq!(shape(&compressed), shape(&plain));
    let metrics = Exposition::parse(&compressed).unwrap();
    let web = [("container", "web"), ("interface", "eth0")];
    assert_eq!(metrics.value("veth_device_receive_bytes_total", &web), Some(7.0 * 1_042.0), "{compressed}");
    assert_eq!(metrics.value("veth_container_transmit_packets_total", &web), Some(7.0), "{compressed}");
}

#[test]
fn a_client_gets_gzip_if_it_asks_for_it_and_the_headers_say_so() {
    let (_host, _web, _folder, exporter) = scene();
    for (asked, wanted) in [
        (None, None),
        (Some("gzip"), Some("gzip")),
        (Some("deflate, gzip;q=0.5"), Some("gzip")),
        (Some("*"), Some("gzip")),
        (Some("gzip;q=0"), None),
        (Some("gzip;q=0.1, identity"), None),
        (Some("br"), None),
    ] {
        let headers: Vec<(&str, &str)> = asked.map(|asked| ("Accept-Encoding", asked)).into_iter().collect();
        let [get, head] = ["GET", "HEAD"].map(|method| exporter.request(method, "/metrics", &headers));
        for (method, response) in [("GET", &get), ("HEAD", &head)] {
            let said = ["content-encoding", "vary", "content-type"].map(|name| response.header(name));
            let format = "text/plain; version=0.0.4; charset=utf-8";
            assert_eq!(said, [wanted, Some("Accept, Accept-Encoding"), Some(format)], "{method} {asked:?}");
        }
        let text = if wanted.is_some() { unpacked(&get.body) } else { get.text().to_owned() };
        Exposition::parse(&text).unwrap_or_else(|wrong| panic!("{asked:?}: {wrong}"));
        // The length is known when all is written.
        assert_eq!(get.header("transfer-encoding"), Some("chunked"), "{asked:?}");
        assert!(head.body.is_empty() && head.header("content-length").is_none(), "{head:?}");
    }
    let short = exporter.request("GET", "/-/healthy", &[("Accept-Encoding", "gzip")]);
    assert_eq!((short.status, short.header("content-encoding")), (200, None), "it would be no shorter");
}

#[test]
fn scrapes_that_wait_together_share_one_text_and_one_compressed_one() {
    let (host, _web, _folder, mut exporter) = scene();
    // They arrive while it stands still: it finds all of them at once.
    exporter.process().signal(Signal::SIGSTOP);
    let streams: Vec<_> = ["identity", "gzip"]
        .into_iter()
        .cycle()
        .take(20)
        .map(|coding| {
            let mut stream = connect(&host.path(), exporter.address()).unwrap();
            let head = format!(
                "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: {coding}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    exporter.process().signal(Signal::SIGCONT);
    let bodies = streams.into_iter().map(|mut stream| {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        lab::http_parse(&answer, false).unwrap().body
    });
    // By text: how often it came plain, and the compressed ones. A text has the dump's duration to the nanosecond.
    let mut texts: BTreeMap<String, (usize, Vec<Vec<u8>>)> = BTreeMap::new();
    for (number, body) in bodies.enumerate() {
        if number % 2 == 0 {
            texts.entry(String::from_utf8(body).unwrap()).or_default().0 += 1;
        } else {
            texts.entry(unpacked(&body)).or_default().1.push(body);
        }
    }
    assert!(texts.len() < 20, "each of 20 scrapes that waited together has a text of its own");
    for (text, (_, packed)) in &texts {
        assert!(packed.windows(2).all(|two| two[0] == two[1]), "compressed in two ways:\n{text}");
    }
    let shared = texts.values().filter(|(plain, packed)| *plain > 0 && !packed.is_empty()).count();
    assert!(shared > 0, "no text was shared by a plain and a compressed scrape");
}
