//! Namespaces that live for a moment, and how they end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::book::{Dice, booked, differences, refuse_gaps, refuse_the_unknown, size, sum};
use crate::crowd::{Crowd, End, Host, called};
use crate::lab::{Exporter, Exposition, Traffic, wait_for};

/// Longer than a name or a last event takes.
const LIMIT: Duration = Duration::from_secs(10);

/// At a time.
const CROWD: u32 = 50;

/// Namespaces, some at a time, that each send and receive and then end; the truth.
fn live_and_end(
    host: &Host,
    exporter: &Exporter,
    count: usize,
    how: fn(u32) -> End,
) -> BTreeMap<String, Traffic> {
    let mut dice = Dice::new();
    let mut truth = BTreeMap::new();
    for begin in (0..count as u32).step_by(CROWD as usize) {
        let crowd = Crowd::new(host, begin..begin + CROWD);
        crowd.name();
        crowd.join();
        crowd.take_up();
        // This is about bytes: whoever dies before its name was read is nobody's.
        exporter.wait_for(LIMIT, "all of them have their names", |metrics| {
            let infos = metrics.all("veth_container_info");
            let named = |number| infos.iter().any(|(labels, _)| labels["container"] == called(number));
            (begin..begin + CROWD).all(named).then_some(())
        });
        truth.extend(crowd.talk(&mut dice));
        crowd.end(how);
    }
    truth
}

fn wait_until_all_are_gone(exporter: &Exporter) -> Exposition {
    exporter.wait_for(LIMIT, "no pair is left", |metrics| {
        let paired = metrics.value("veth_exporter_ends", &[("state", "paired")])?;
        (paired == 0.0).then(|| metrics.clone())
    })
}

#[test]
fn every_byte_of_namespaces_that_end_in_good_order_is_booked_under_their_names() {
    let host = Host::new();
    let exporter = host.exporter(&["--collector.interval", "100ms"]);
    let begin = Instant::now();
    let truth = exporter.while_scraping(refuse_the_unknown, || {
        live_and_end(&host, &exporter, size(500, 2_000), |number| {
            [End::DeletedInside, End::DeletedOnHost, End::Down][number as usize % 3]
        })
    });
    let took = begin.elapsed();
    wait_until_all_are_gone(&exporter);
    wait_for(LIMIT, "what each has sent and received is booked", || {
        let booked = booked(&exporter.metrics());
        let wrong = differences(&truth, &booked);
        let share = format!("{} of {} are exact", truth.len() - wrong.len(), truth.len());
        let total = format!("truly {:?}, booked {:?}", sum(truth.values()), sum(booked.values()));
        if wrong.is_empty() { Ok(()) } else { Err(format!("{share}, {total}:\n{}", wrong.join("\n"))) }
    });
    println!("{} namespaces that ended in good order, in {took:?}: all exact", truth.len());
    refuse_gaps(&exporter.metrics());
}

#[test]
fn what_namespaces_that_end_abruptly_have_carried_is_booked_but_for_a_few_late_frames() {
    let host = Host::new();
    let exporter = host.exporter(&["--collector.interval", "100ms"]);
    let truth = live_and_end(&host, &exporter, size(500, 2_000), |_| End::Abrupt);
    wait_until_all_are_gone(&exporter);
    let received = |traffic: &Traffic| (traffic.receive_bytes, traffic.receive_packets);
    let sent = |traffic: &Traffic| (traffic.transmit_bytes, traffic.transmit_packets);
    let (metrics, booked) = wait_for(LIMIT, "what each has received is booked", || {
        let metrics = exporter.metrics();
        let booked = booked(&metrics);
        let of = |name: &String| booked.get(name).copied().unwrap_or_default();
        let wrong: Vec<String> = truth
            .iter()
            .filter(|(name, traffic)| received(traffic) != received(&of(name)))
            .map(|(name, traffic)| format!("{name}: truly {traffic:?}, booked {:?}", booked.get(name)))
            .collect();
        let nobodys = booked.get("");
        if wrong.is_empty() {
            Ok((metrics, booked))
        } else {
            Err(format!("{nobodys:?} of nobody\n{}", wrong.join("\n")))
        }
    });
    let of = |name: &String| booked.get(name).copied().unwrap_or_default();
    let exact = |way: fn(&Traffic) -> (u64, u64)| {
        truth.iter().filter(|(name, traffic)| way(traffic) == way(&of(name))).count()
    };
    let (all, there) = (sum(truth.values()), sum(booked.values()));
    println!(
        "{} namespaces that ended abruptly: received {} exact, {} of {} bytes; sent {} exact, {} of {} bytes",
        truth.len(),
        exact(received),
        there.receive_bytes,
        all.receive_bytes,
        exact(sent),
        there.transmit_bytes,
        all.transmit_bytes,
    );
    for (name, traffic) in truth.iter().filter(|(name, traffic)| sent(traffic) != sent(&of(name))) {
        println!("{name} sent {:?}, of which are booked {:?}", sent(traffic), sent(&of(name)));
    }
    // What was sent is on the host's end alone, until the namespace takes that along: an early sign of its death must come in
    // time for a last sample.
    let share = |part: u64, of: u64| part as f64 / of as f64;
    assert!(share(exact(sent) as u64, truth.len() as u64) >= 0.95, "sent: too few are exact");
    assert!(share(there.transmit_bytes, all.transmit_bytes) >= 0.999, "sent: too much is missing");
    for (name, traffic) in &truth {
        assert!(sent(&of(name)).0 <= sent(traffic).0, "{name} has more than it sent");
    }
    refuse_gaps(&metrics);
}
