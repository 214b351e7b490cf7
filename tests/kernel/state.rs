//! `--state.directory`: what namespaces have sent and received before, between and after runs of the exporter, against what it has booked. The
//! sum of the datagrams is the truth.

mod faults;
mod periods;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lab::book::{Dice, booked, differences, size};
use lab::crowd::{Crowd, End, Host};
use lab::{Exporter, Traffic, empty_folder, wait_for};

const LIMIT: Duration = Duration::from_secs(20);

/// A host with an exporter whose totals are to outlive it.
struct Lasting {
    host: Host,
    state: PathBuf,
    truth: BTreeMap<String, Traffic>,
    dice: Dice,
}

impl Lasting {
    fn new() -> Lasting {
        let (host, state) = (Host::new(), empty_folder("state"));
        Lasting { host, state, truth: BTreeMap::new(), dice: Dice::new() }
    }

    /// Makes namespaces with names, each up and silent.
    fn crowd<'a>(&self, host: &'a Host, numbers: std::ops::Range<u32>) -> Crowd<'a> {
        let crowd = Crowd::new(host, numbers);
        crowd.name();
        crowd.join();
        crowd.take_up();
        crowd
    }

    fn add(&mut self, carried: BTreeMap<String, Traffic>) {
        for (name, more) in carried {
            let sum = self.truth.get(&name).copied().unwrap_or_default() + more;
            self.truth.insert(name, sum);
        }
    }

    /// Waits until what is booked is the truth, and no more.
    fn wait_until_true(&self, exporter: &Exporter, when: &str) {
        wait_for(LIMIT, &format!("every byte is booked {when}"), || {
            let booked = booked(&exporter.metrics());
            let wrong = differences(&self.truth, &booked);
            if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:#?}")) }
        });
    }

    /// Panics if more is booked for anything than it has carried.
    fn refuse_more(&self, exporter: &Exporter) {
        for (name, booked) in booked(&exporter.metrics()) {
            let truth = self.truth.get(&name).copied().unwrap_or_default();
            let is_more = booked.receive_bytes > truth.receive_bytes
                || booked.transmit_bytes > truth.transmit_bytes
                || booked.receive_packets > truth.receive_packets
                || booked.transmit_packets > truth.transmit_packets;
            assert!(!is_more, "{name}: truly {truth:?}, booked {booked:?}");
        }
    }
}

/// An exporter that writes its state every 200 ms.
fn start(host: &Host, state: &Path) -> Exporter {
    let state = state.display().to_string();
    let flags = ["--collector.interval", "100ms", "--state.interval", "200ms", "--state.directory", &state];
    host.exporter(&flags)
}

fn outcome(exporter: &Exporter, outcome: &str) -> Option<f64> {
    exporter.metrics().value("veth_exporter_state_pairs_total", &[("outcome", outcome)])
}

/// Waits until the state on disk is newer than now.
fn wait_until_written(exporter: &Exporter) {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    exporter.wait_for(LIMIT, "the state is written", |metrics| {
        let written = metrics.value("veth_exporter_state_last_write_timestamp_seconds", &[])?;
        // What was sent a moment ago may be read by the next tick.
        (written > now + 0.3).then_some(())
    });
}

#[test]
fn ten_restarts_under_traffic_lose_no_byte_and_begin_no_total_anew() {
    let mut lasting = Lasting::new();
    let host = take_host(&mut lasting);
    let crowd = lasting.crowd(&host, 0..20);
    let mut exporter = start(&host, &lasting.state);
    let carried = crowd.talk(&mut lasting.dice);
    lasting.add(carried);
    // The first run has found the pairs: what they carried before is not its own.
    lasting.wait_until_true(&exporter, "before the first restart");
    let begun = created(&exporter);
    assert_eq!(begun.len(), 20);
    for restart in 1..=10 {
        let carried = crowd.talk(&mut lasting.dice);
        lasting.add(carried);
        assert!(exporter.stop().success());
        let carried = crowd.talk(&mut lasting.dice);
        lasting.add(carried);
        exporter = start(&host, &lasting.state);
        let carried = crowd.talk(&mut lasting.dice);
        lasting.add(carried);
        lasting.wait_until_true(&exporter, &format!("after restart {restart}"));
        assert_eq!(outcome(&exporter, "resumed"), Some(20.0));
        assert_eq!(outcome(&exporter, "unknown"), Some(0.0));
        assert_eq!(created(&exporter), begun, "a total has begun anew");
    }
}

/// Returns when each total began, by the container, from `_created` of OpenMetrics.
fn created(exporter: &Exporter) -> BTreeMap<String, String> {
    let answer = exporter.request("GET", "/metrics", &[("Accept", "application/openmetrics-text")]);
    let text = String::from_utf8(answer.body).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("veth_container_receive_bytes_created"));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(key, at)| (key.to_owned(), at.to_owned()))
        .collect()
}

/// The host of a scene, so that crowds can borrow it while the scene is changed.
fn take_host(lasting: &mut Lasting) -> Host {
    std::mem::replace(&mut lasting.host, Host::new())
}

#[test]
fn what_comes_and_goes_while_the_exporter_is_down_is_booked_or_lost_and_never_another_s() {
    let mut lasting = Lasting::new();
    let host = take_host(&mut lasting);
    let (stays, goes) = (lasting.crowd(&host, 0..3), lasting.crowd(&host, 10..13));
    let mut exporter = start(&host, &lasting.state);
    for crowd in [&stays, &goes] {
        let carried = crowd.talk(&mut lasting.dice);
        lasting.add(carried);
    }
    lasting.wait_until_true(&exporter, "before the stop");
    assert!(exporter.stop().success());
    goes.end(|_| End::DeletedOnHost);
    // They take the ids of the namespaces that have gone, and have the same ifindexes inside.
    let comes = lasting.crowd(&host, 20..23);
    for crowd in [&stays, &comes] {
        let carried = crowd.talk(&mut lasting.dice);
        lasting.add(carried);
    }
    let exporter = start(&host, &lasting.state);
    lasting.wait_until_true(&exporter, "after the start");
    assert_eq!(outcome(&exporter, "resumed"), Some(3.0));
    assert_eq!(outcome(&exporter, "made_meanwhile"), Some(3.0));
    assert_eq!(outcome(&exporter, "unknown"), Some(0.0));
}

#[test]
fn an_exporter_that_is_killed_at_any_moment_books_every_byte_of_what_lives_and_never_more() {
    let mut lasting = Lasting::new();
    let host = take_host(&mut lasting);
    let crowd = lasting.crowd(&host, 0..10);
    let mut exporter = start(&host, &lasting.state);
    let carried = crowd.talk(&mut lasting.dice);
    lasting.add(carried);
    lasting.wait_until_true(&exporter, "at the beginning");
    wait_until_written(&exporter);
    let begin = Instant::now();
    let kills = size(20, 200);
    for kill in 1..=kills {
        let carried = crowd.talk(&mut lasting.dice);
        lasting.add(carried);
        // Any moment of the interval at which the state is written.
        std::thread::sleep(Duration::from_millis(lasting.dice.roll(250)));
        exporter.process().kill();
        let carried = crowd.whisper(&mut lasting.dice);
        lasting.add(carried);
        exporter = start(&host, &lasting.state);
        lasting.refuse_more(&exporter);
        lasting.wait_until_true(&exporter, &format!("after kill {kill}"));
    }
    println!("{kills} kills in {:?}: every byte of 10 pairs", begin.elapsed());
}

#[test]
fn what_is_gone_keeps_its_totals_for_what_is_left_of_the_retention() {
    let mut lasting = Lasting::new();
    let host = take_host(&mut lasting);
    let crowd = lasting.crowd(&host, 0..2);
    let folder = lasting.state.display().to_string();
    let flags =
        ["--collector.interval", "100ms", "--container.retention", "8s", "--state.directory", &folder];
    let mut exporter = host.exporter(&flags);
    let carried = crowd.talk(&mut lasting.dice);
    lasting.add(carried);
    lasting.wait_until_true(&exporter, "while they live");
    crowd.end(|_| End::DeletedInside);
    exporter.wait_for(LIMIT, "they are gone", |metrics| {
        (metrics.value("veth_exporter_ends", &[("state", "paired")])? == 0.0).then_some(())
    });
    let gone = Instant::now();
    assert!(exporter.stop().success());
    let exporter = host.exporter(&flags);
    lasting.wait_until_true(&exporter, "after they are gone");
    exporter.wait_for(LIMIT, "the retention is over", |metrics| booked(metrics).is_empty().then_some(()));
    let kept = gone.elapsed();
    assert!((Duration::from_secs(6)..Duration::from_secs(11)).contains(&kept), "{kept:?}");
}
