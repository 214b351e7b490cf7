//! Many clients at 1,000 pairs, 300 of which talk: some seconds, or a minute by VETH_LAB_LONG=1. One client that does not read. And
//! what the page costs the browser at 2,000 pairs.

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::stream::{Client, STREAM};
use super::town::Town;
use lab::{Browser, Exporter, Page, connect, memory, succeed, wait_for};
use serde_json::json;

const STREAMS: usize = 32;
const SCRAPERS: usize = 8;

/// CPU time that it has used so far, in hundredths of a second.
fn used(exporter: &Exporter) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", exporter.pid())).unwrap();
    let (_, fields) = text.rsplit_once(") ").unwrap();
    fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

#[test]
fn thirty_two_streams_and_eight_scrapers_at_a_thousand_pairs_delay_no_tick_and_grow_nothing() {
    let mut town = Town::new(1_000);
    town.talk(300);
    let exporter = town.host.exporter(&[]);
    exporter.wait_for(Duration::from_secs(30), "all pairs are there", |metrics| {
        metrics.value("veth_exporter_ends", &[("state", "paired")]).filter(|ends| *ends >= 2_000.0)
    });
    let long = std::env::var("VETH_LAB_LONG").is_ok_and(|value| value == "1");
    let during = Duration::from_secs(if long { 60 } else { 8 });
    let (end, before) = (Instant::now() + during, used(&exporter));
    let (gaps, counts, sizes) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let (scrapes, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for number in 0..STREAMS {
            let (host, exporter, gaps, counts, bytes) = (&town.host, &exporter, &gaps, &counts, &bytes);
            scope.spawn(move || {
                let mut client = Client::new(host, exporter);
                let (mut last, mut ticks, mut own) = (None, 0, Vec::new());
                while Instant::now() < end {
                    let event = client.event().expect("a stream that goes on");
                    let time = event.data["time"].as_f64().unwrap();
                    if let Some(last) = last {
                        own.push(time - last);
                    }
                    if number == 0 {
                        bytes.fetch_add(event.data.to_string().len(), Ordering::Relaxed);
                    }
                    (last, ticks) = (Some(time), ticks + 1);
                }
                gaps.lock().unwrap().extend(own);
                counts.lock().unwrap().push(ticks);
            });
        }
        for _ in 0..SCRAPERS {
            scope.spawn(|| {
                while Instant::now() < end {
                    assert_eq!(exporter.get("/metrics").status, 200);
                    scrapes.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(500));
                }
            });
        }
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(500));
            sizes.lock().unwrap().push(memory(&exporter, "VmRSS"));
        }
    });
    let (mut gaps, mut counts, sizes) =
        (gaps.into_inner().unwrap(), counts.into_inner().unwrap(), sizes.into_inner().unwrap());
    gaps.sort_by(f64::total_cmp);
    counts.sort_unstable();
    let (latest, usual) = (gaps[gaps.len() - 1], gaps[gaps.len() / 2]);
    let cpu = (used(&exporter) - before) as f64 / during.as_secs_f64();
    eprintln!(
        "{STREAMS} streams over {during:?}: ticks {:?} to {:?}, their lengths {usual:.3} s at the median, at most {latest:.3} s; \
         {} scrapes; {} bytes in one stream; CPU {cpu:.1} % of a core; resident KiB {sizes:?}",
        counts[0],
        counts[STREAMS - 1],
        scrapes.into_inner(),
        bytes.into_inner()
    );
    assert!(counts[0] + 2 >= counts[STREAMS - 1], "events that the clients got: {counts:?}");
    assert!(counts[0] as f64 > during.as_secs_f64() * 0.8, "events that the clients got: {counts:?}");
    let late = exporter.metrics().value("veth_exporter_late_ticks_total", &[]);
    assert_eq!(late, Some(0.0), "ticks over half a second late");
    assert!(usual < 1.1, "seconds between two ticks: {usual} at the median, {latest} at most");
    // Warm after a third of the time.
    let (warm, last) = (sizes[sizes.len() / 3], sizes[sizes.len() - 1]);
    assert!(last < warm + warm / 5 + 4 * 1_024, "resident KiB over time: {sizes:?}");
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_others_miss_nothing() {
    let mut town = Town::new(200);
    let small = ["net.ipv4.tcp_wmem=4096 16384 65536", "net.ipv4.tcp_rmem=4096 16384 65536"];
    succeed(town.host.netns.command("sysctl").arg("-qw").args(small));
    town.talk(200);
    let exporter = town.host.exporter(&["--collector.interval", "100ms", "--log.level", "debug"]);
    exporter.wait_ready();
    let mut deaf = connect(&town.host.netns.path(), exporter.address()).unwrap();
    deaf.write_all(format!("GET {STREAM} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut reader = Client::new(&town.host, &exporter);
    let mut last = reader.event().unwrap().data["time"].as_f64().unwrap();
    wait_for(Duration::from_secs(28), "the one that does not read is cut off", || {
        let time = reader.event().expect("a stream that goes on").data["time"].as_f64().unwrap();
        assert!(time - last < 1.0, "from {last} to {time}");
        last = time;
        let cut = exporter.log().iter().any(|line| line.contains("takes the stream too slowly"));
        if cut { Ok(()) } else { Err(time) }
    });
}

/// Returns the time that the page's scripts have taken so far.
fn script_time(page: &mut Page) -> Duration {
    let answer = page.call("Performance.getMetrics", json!({}));
    let metrics = answer["metrics"].as_array().unwrap();
    let found = metrics.iter().find(|metric| metric["name"] == "ScriptDuration").unwrap();
    Duration::from_secs_f64(found["value"].as_f64().unwrap())
}

/// The time of the first row after the navigation, milliseconds.
const FIRST_ROW: &str = "window.firstRow = new Promise((done) => {
    const look = (observer) => document.querySelector('.rows .row') && (done(performance.now()), observer.disconnect());
    new MutationObserver((_, observer) => look(observer)).observe(document, { childList: true, subtree: true });
});";

#[test]
fn two_thousand_pairs_cost_the_browser_little_and_are_shown_at_once() {
    let mut town = Town::new(2_000);
    town.talk(300);
    let exporter = town.host.exporter(&[]);
    exporter.wait_for(Duration::from_secs(60), "all pairs are there", |metrics| {
        metrics.value("veth_exporter_ends", &[("state", "paired")]).filter(|ends| *ends >= 4_000.0)
    });
    let mut page = Browser::start(&town.host.netns).open("about:blank");
    page.look(1_280, 900, false);
    // The thread's own time does not grow while other programs use the processor.
    page.call("Performance.enable", json!({ "timeDomain": "threadTicks" }));
    page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": FIRST_ROW }));
    let url = super::url(&exporter);
    // The first visit of a browser reads its fonts from the disk.
    let first_rows: Vec<f64> = (0..3)
        .map(|_| {
            page.go(&url);
            page.value("window.firstRow").as_f64().unwrap()
        })
        .collect();
    page.wait_until(Duration::from_secs(20), "document.getElementById('count')?.textContent === '2,000'");
    // Other tests share the machine: the quietest of some windows counts.
    let windows: Vec<f64> = (0..5)
        .map(|_| {
            let (before, begin) = (script_time(&mut page), Instant::now());
            std::thread::sleep(Duration::from_secs(4));
            (script_time(&mut page) - before).as_secs_f64() * 1e3 / begin.elapsed().as_secs_f64()
        })
        .collect();
    eprintln!("the first row after {first_rows:.0?} ms; script, milliseconds a second: {windows:.1?}");
    let least = |all: &[f64]| all.iter().copied().fold(f64::INFINITY, f64::min);
    // docs/page.md has the figures of a quiet machine. A page that draws every row takes many times as long.
    assert!(least(&first_rows) < 5_000.0, "milliseconds to the first row: {first_rows:?}");
    assert!(least(&windows) < 60.0, "script, milliseconds a second: {windows:?}");
    // The browser began without the exporter's page, so each request to it is one to another.
    let own = format!("a request to {url}");
    let complaints = page.complaints();
    complaints.retain(|complaint| !complaint.starts_with(&own));
    assert!(complaints.is_empty(), "{complaints:#?}");
}
