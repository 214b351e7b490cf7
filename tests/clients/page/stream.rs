//! `/api/v1/stream` as its clients read it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Host;
use lab::{Exporter, checkout, connect, describe, python, send_datagrams, wait_for};
use serde_json::Value;

pub(super) const STREAM: &str = "/api/v1/stream";

/// A client, which has read the answer's head. HTTP/1.0: what comes is no chunk but the text itself.
pub(super) struct Client {
    lines: BufReader<TcpStream>,
    pub status: String,
}

pub(super) struct Event {
    pub name: String,
    pub id: String,
    pub data: Value,
}

impl Client {
    pub(super) fn new(host: &Host, exporter: &Exporter) -> Client {
        let mut stream = connect(&host.netns.path(), exporter.address()).unwrap();
        stream.write_all(format!("GET {STREAM} HTTP/1.0\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "an answer without the end of its head: {head}");
        }
        let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
        Client { lines, status }
    }

    /// The next event; `None` if the stream has ended.
    pub(super) fn event(&mut self) -> Option<Event> {
        let (mut name, mut id, mut data) = (String::new(), String::new(), None);
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("event", value)) => name = value.to_owned(),
                Some(("id", value)) => id = value.to_owned(),
                Some(("data", value)) => data = Some(serde_json::from_str(value).unwrap()),
                // Another field, a comment, or the end of an event.
                _ => {}
            }
            if line == "\n"
                && let Some(data) = data.take()
            {
                return Some(Event { name, id, data });
            }
        }
    }

    fn until(&mut self, what: &str, mut good: impl FnMut(&Event) -> bool) -> Event {
        let end = Instant::now() + Duration::from_secs(10);
        let mut last = Value::Null;
        while Instant::now() < end {
            let event = self.event().expect("a stream that goes on");
            if good(&event) {
                return event;
            }
            last = event.data;
        }
        panic!("not within 10 s: {what}. Last: {last}");
    }
}

/// What an event says must be as its schema.
fn check(event: &Event) {
    let schema = checkout().join("docs/stream.schema.json");
    let output = python("schema.py", &[&schema.display().to_string()], event.data.to_string().as_bytes());
    assert!(output.status.success(), "{}\nin {}: {}", describe(&output), event.name, event.data);
}

fn host(names: &[&str]) -> (Host, Exporter) {
    let mut host = Host::new();
    names.iter().for_each(|name| host.add(name));
    let exporter = host.exporter(&["--collector.interval", "200ms"]);
    exporter.wait_ready();
    (host, exporter)
}

/// The number of the pair that leads to a workload.
fn number_of(event: &Value, name: &str) -> Option<u64> {
    let pairs = event["appeared"].as_array()?;
    let pair = pairs.iter().find(|pair| pair["ends"][1]["workload"]["container"] == name)?;
    pair["id"].as_u64()
}

#[test]
fn what_flows_comes_and_goes_is_told_as_the_schema_says() {
    let (mut host, exporter) = host(&["web", "db"]);
    let mut client = Client::new(&host, &exporter);
    let state = client.event().unwrap();
    assert_eq!((state.name.as_str(), state.data["interval"].as_f64()), ("state", Some(0.2)));
    check(&state);
    let web = number_of(&state.data, "web").unwrap();
    // All that is sent is in the ticks, each over its true length.
    let quiet = client.until("the first tick", |event| event.name == "tick");
    send_datagrams(&host.netns.path(), &host.inside[0].path(), "10.100.0.2".parse().unwrap(), 300, 958);
    let (mut before, mut bytes, mut packets) = (quiet.data["time"].as_f64().unwrap(), 0.0, 0.0);
    let mut flows = false;
    client.until("300 kB have gone by", |event| {
        check(event);
        let time = event.data["time"].as_f64().unwrap();
        let rows = event.data["rates"].as_array().unwrap();
        if let Some(row) = rows.iter().find(|row| row[0] == web) {
            bytes += row[1].as_f64().unwrap() * (time - before);
            packets += row[3].as_f64().unwrap() * (time - before);
            flows = row[1].as_u64() > Some(0);
        }
        before = time;
        bytes > 0.0 && !flows
    });
    assert!(
        (bytes - 300_000.0).abs() < 3_000.0 && (packets - 300.0).abs() < 3.0,
        "{bytes} bytes, {packets} packets"
    );
    // One more, another name, one less.
    host.add("late");
    let event = client.until("it appears", |event| number_of(&event.data, "late").is_some());
    check(&event);
    let late = number_of(&event.data, "late").unwrap();
    host.netns.ip(["link", "set", "veth2", "down"]);
    host.netns.ip(["link", "set", "veth2", "name", "other"]);
    let event =
        client.until("it has another name", |event| event.data["changed"][0]["ends"][0]["name"] == "other");
    check(&event);
    assert_eq!(event.data["changed"][0]["id"], late);
    host.netns.ip(["link", "del", "other"]);
    let event = client.until("it vanishes", |event| event.data["vanished"][0] == late);
    check(&event);
    assert!(event.id.starts_with(state.data["exporter"].as_str().unwrap()));
}

#[test]
fn pairs_keep_their_numbers_when_nobody_has_listened_for_a_while() {
    let (host, exporter) = host(&["web", "db"]);
    let state = Client::new(&host, &exporter).event().unwrap();
    // The last client is noticed at a tick.
    std::thread::sleep(Duration::from_millis(700));
    let again = Client::new(&host, &exporter).event().unwrap();
    assert_eq!(number_of(&again.data, "web"), number_of(&state.data, "web"));
    assert_eq!(again.data["exporter"], state.data["exporter"]);
    let exporter = host.exporter(&[]);
    exporter.wait_ready();
    let other = Client::new(&host, &exporter).event().unwrap();
    assert_ne!(other.data["exporter"], state.data["exporter"]);
}

#[test]
fn what_a_filter_hides_is_neither_in_the_stream_nor_in_the_pairs() {
    let mut host = Host::new();
    ["web", "secret"].iter().for_each(|name| host.add(name));
    // Straight between the two: what is shown of it is web's end.
    host.inside[0].veth("left", &host.inside[1], "right");
    let exporter = host.exporter(&["--container.exclude", "secret", "--device.exclude", "veth0"]);
    exporter.wait_for(Duration::from_secs(10), "both interfaces of web are named", |metrics| {
        let named = |interface| {
            metrics.value(
                "veth_container_receive_bytes_total",
                &[("container", "web"), ("interface", interface)],
            )
        };
        named("eth0").and(named("left"))
    });
    let stream = Client::new(&host, &exporter).event().unwrap();
    check(&stream);
    let pairs = exporter.get("/api/v1/pairs");
    for said in [stream.data.to_string(), pairs.text().to_owned()] {
        assert!(said.contains("\"web\"") && said.contains("\"left\""), "{said}");
        for word in ["secret", "\"veth0\"", "\"veth1\"", "\"right\""] {
            assert!(!said.contains(word), "{word} in {said}");
        }
    }
    for query in ["container=secret", "device=veth0", "device=right"] {
        assert!(exporter.get(&format!("/api/v1/pairs?{query}")).text().contains("\"matched\":0"), "{query}");
    }
}

#[test]
fn clients_are_bounded_and_hold_no_place_of_a_scrape() {
    let (host, exporter) = host(&["web"]);
    let clients: Vec<Client> = (0..64).map(|_| Client::new(&host, &exporter)).collect();
    assert!(clients.iter().all(|client| client.status == "200"));
    let mut refused = Client::new(&host, &exporter);
    let mut reason = String::new();
    refused.lines.read_to_string(&mut reason).unwrap();
    assert_eq!(refused.status, "503");
    assert!(reason.contains("error") && reason.contains("64"), "{reason}");
    assert_eq!(exporter.get("/metrics").status, 200);
    assert_eq!(exporter.get("/api/v1/pairs").status, 200);
    drop(clients);
    wait_for(Duration::from_secs(5), "there are places again", || {
        let client = Client::new(&host, &exporter);
        if client.status == "200" { Ok(()) } else { Err(client.status) }
    });
}

#[test]
fn a_stream_goes_on_for_longer_than_an_answer_may_take_and_ends_with_the_exporter() {
    let (host, mut exporter) = host(&["web"]);
    let mut client = Client::new(&host, &exporter);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(34) {
        assert!(client.event().is_some(), "it ended after {:?}", begin.elapsed());
    }
    let begin = Instant::now();
    let reading = std::thread::spawn(move || while client.event().is_some() {});
    assert!(exporter.stop().success());
    assert!(begin.elapsed() < Duration::from_secs(2), "stopped after {:?}", begin.elapsed());
    reading.join().unwrap();
}
