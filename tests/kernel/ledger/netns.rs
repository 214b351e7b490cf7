//! Namespaces that live for a moment, and how they end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lab::book::{Dice, booked, differences, refuse_gaps, refuse_the_unknown, size, sum};
use lab::crowd::{Crowd, End, Host, called};
use lab::scene::ip_batch;
use lab::{Exporter, Exposition, Traffic, wait_for};

/// Longer than a name or a last event takes.
const LIMIT: Duration = Duration::from_secs(10);

/// At a time.
const CROWD: u32 = 50;

/// What a namespace has sent just before it ends, since a tick last looked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// All that it ever sent.
    Everything,
    /// One short datagram.
    Whisper,
}

/// Namespaces, some at a time, that each send and receive and then end; the truth.
fn live_and_end(
    host: &Host,
    exporter: &Exporter,
    count: usize,
    last: Last,
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
        let mut carried = crowd.talk(&mut dice);
        if last == Last::Whisper {
            exporter.wait_for(LIMIT, "a tick has seen what all of them sent", |metrics| {
                let booked = booked(metrics);
                let seen = |name| booked.get(name).is_some_and(|booked| booked.transmit_bytes > 0);
                carried.keys().all(seen).then_some(())
            });
            for (name, more) in crowd.whisper(&mut dice) {
                let sum = carried[&name] + more;
                carried.insert(name, sum);
            }
        }
        truth.extend(carried);
        crowd.end(how);
    }
    truth
}

/// Waits until no pair is left but those `besides`.
fn wait_until_all_are_gone(exporter: &Exporter, besides: u32) -> Exposition {
    exporter.wait_for(LIMIT, "no pair is left", |metrics| {
        let paired = metrics.value("veth_exporter_ends", &[("state", "paired")])?;
        (paired == f64::from(2 * besides)).then(|| metrics.clone())
    })
}

#[test]
fn every_byte_of_namespaces_that_end_in_good_order_is_booked_under_their_names() {
    let host = Host::new();
    let exporter = host.exporter(&["--collector.interval", "100ms"]);
    let begin = Instant::now();
    let truth = exporter.while_scraping(refuse_the_unknown, || {
        live_and_end(&host, &exporter, size(500, 2_000), Last::Everything, |number| {
            [End::DeletedInside, End::DeletedOnHost, End::Down][number as usize % 3]
        })
    });
    let took = begin.elapsed();
    wait_until_all_are_gone(&exporter, 0);
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
fn nearly_all_that_namespaces_that_end_abruptly_have_sent_is_booked() {
    let [exact, bytes] = end_abruptly(Last::Whisper, 0);
    assert!(exact >= 0.95 && bytes >= 0.999, "{exact} exact, {bytes} of the bytes");
}

#[test]
fn of_namespaces_that_end_abruptly_right_after_they_have_spoken_few_lose_anything() {
    let [exact, bytes] = end_abruptly(Last::Everything, 0);
    // Where the kernel is quicker than an early sign, all since the last tick is lost: here that is all there was.
    assert!(exact >= 0.95 && bytes >= 0.95, "{exact} exact, {bytes} of the bytes");
}

/// Of what was sent: the share of the namespaces of which all is booked, and the share of the bytes. What was received is
/// on the host's end to the last, and must be exact.
pub(crate) fn end_abruptly(last: Last, besides: u32) -> [f64; 2] {
    let host = Host::new();
    let lines = (0..besides).map(|number| format!("link add a{number} type veth peer name b{number}\n"));
    ip_batch(&host.netns, &lines.collect::<String>());
    let exporter = host.exporter(&["--collector.interval", "100ms"]);
    let truth = live_and_end(&host, &exporter, size(500, 2_000), last, |_| End::Abrupt);
    wait_until_all_are_gone(&exporter, besides);
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
    for (name, traffic) in &truth {
        assert!(sent(&of(name)).0 <= sent(traffic).0, "{name} has more than it sent");
    }
    refuse_gaps(&metrics);
    let share = |part: u64, of: u64| part as f64 / of as f64;
    [share(exact(sent) as u64, truth.len() as u64), share(there.transmit_bytes, all.transmit_bytes)]
}
