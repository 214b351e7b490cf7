//! Very many namespaces in very little time, and an exporter that is kept from running: no event is lost, and nothing stays behind.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use lab::book::{Dice, refuse_gaps};
use lab::crowd::{Crowd, Host, called};
use lab::{Exporter, Exposition, Traffic, memory, wait_for};

/// Longer than a last event takes.
const LIMIT: Duration = Duration::from_secs(20);

/// The one that stays while others come and go.
const STAYS: u32 = 60_000;

/// So many namespaces, a hundred at a time, made and killed.
fn come_and_go(host: &Host, count: u32) -> Duration {
    let begin = Instant::now();
    for first in (0..count).step_by(100) {
        Crowd::new(host, first..first + 100).join();
    }
    begin.elapsed()
}

fn descriptors(exporter: &Exporter) -> usize {
    fs::read_dir(format!("/proc/{}/fd", exporter.pid())).unwrap().count()
}

/// Waits until there is the pair that stays and no other.
fn wait_until_alone(exporter: &Exporter) -> Exposition {
    exporter.wait_for(LIMIT, "only the pair that stays is left", |metrics| {
        let paired = metrics.value("veth_exporter_ends", &[("state", "paired")])?;
        let single: f64 = metrics.all("veth_exporter_ends").iter().map(|(_, value)| value).sum();
        (paired == 2.0 && single == 2.0).then(|| metrics.clone())
    })
}

#[test]
fn a_thousand_namespaces_in_some_seconds_lose_no_event_and_leave_nothing_behind() {
    let host = Host::new();
    let stays = Crowd::new(&host, STAYS..STAYS + 1);
    stays.name();
    stays.join();
    let exporter = host.exporter(&[]);
    wait_until_alone(&exporter);
    let mut scrapes = 0;
    let mut rounds = Vec::new();
    for _ in 0..2 {
        let took = exporter.while_scraping(|_| scrapes += 1, || come_and_go(&host, 1_000));
        refuse_gaps(&wait_until_alone(&exporter));
        rounds.push((took, memory(&exporter, "VmRSS"), descriptors(&exporter)));
    }
    println!(
        "1,000 namespaces made and killed, then resident KiB and descriptors: {rounds:?}; {scrapes} scrapes"
    );
    // The first round grows what is kept for the next.
    let [(_, first_kib, first_open), (_, last_kib, last_open)] = rounds[..] else { unreachable!() };
    assert!(last_kib <= first_kib + 4 * 1024, "{first_kib} KiB, then {last_kib}");
    wait_for(LIMIT, "as many descriptors as before", || match descriptors(&exporter) {
        now if now <= first_open => Ok(()),
        now => Err(format!("{first_open}, {last_open}, now {now}")),
    });
}

#[test]
fn an_exporter_that_was_stopped_for_two_seconds_has_lost_no_event() {
    let host = Host::new();
    let stays = Crowd::new(&host, STAYS..STAYS + 1);
    stays.name();
    stays.join();
    let mut exporter = host.exporter(&[]);
    wait_until_alone(&exporter);
    come_and_go(&host, 200);
    stays.take_up();
    exporter.process().signal(Signal::SIGSTOP);
    let begin = Instant::now();
    let truth = stays.talk(&mut Dice::new());
    come_and_go(&host, 300);
    // It is the stop itself that has this length.
    std::thread::sleep(Duration::from_secs(2).saturating_sub(begin.elapsed()));
    exporter.process().signal(Signal::SIGCONT);
    come_and_go(&host, 100);
    let metrics = wait_until_alone(&exporter);
    refuse_gaps(&metrics);
    let name = called(STAYS);
    let truth = truth[&name];
    wait_for(LIMIT, "what was said meanwhile is booked", || {
        let booked = booked_of(&exporter, &name);
        if booked == Some(truth) { Ok(()) } else { Err(format!("truly {truth:?}, booked {booked:?}")) }
    });
}

fn booked_of(exporter: &Exporter, name: &str) -> Option<Traffic> {
    let metrics = exporter.metrics();
    let labels = [("runtime", "named"), ("container", name)];
    Traffic::booked(&metrics, &labels)
}
