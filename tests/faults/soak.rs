//! Namespaces that come, speak and go, second after second, while it is scraped each second.
//!
//! 20 seconds; with `VETH_LAB_LONG=1` 5 minutes; with `VETH_LAB_SOAK=SECONDS` as long as that says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::campaign::note;
use crate::{SOON, Used, sum_of};
use lab::book::{Dice, booked, differences, refuse_gaps, refuse_the_unknown, size, sum};
use lab::crowd::{Crowd, End, Host, called};
use lab::{Traffic, promtool_check, wait_for};

/// At a time, and in each second.
const CROWD: u32 = 20;

fn length() -> Duration {
    let asked =
        std::env::var("VETH_LAB_SOAK").ok().map(|seconds| seconds.parse().expect("VETH_LAB_SOAK in seconds"));
    Duration::from_secs(asked.unwrap_or_else(|| size(20, 300) as u64))
}

fn mean(used: &[Used]) -> u64 {
    used.iter().map(|used| used.resident).sum::<u64>() / used.len() as u64
}

#[test]
fn under_steady_churn_every_byte_is_booked_and_memory_descriptors_and_threads_stand_still() {
    let host = Host::new();
    let exporter = host.exporter(&[]);
    let length = length();
    let (mut truth, mut used) = (BTreeMap::<String, Traffic>::new(), Vec::new());
    let (mut cycles, mut scrapes) = (0_u32, 0_u32);
    let mut dice = Dice::new();
    let begin = Instant::now();
    exporter.while_scraping(
        |metrics| {
            refuse_the_unknown(metrics);
            scrapes += 1;
            if scrapes % 50 == 0 {
                promtool_check(&metrics.text).unwrap();
            }
        },
        || {
            while begin.elapsed() < length {
                let second = Instant::now();
                // The same names again and again: a workload that is made anew.
                let crowd = Crowd::new(&host, 0..CROWD);
                crowd.name();
                crowd.join();
                crowd.take_up();
                exporter.wait_for(SOON, "all of them have their names", |metrics| {
                    let infos = metrics.all("veth_container_info");
                    let named =
                        |number| infos.iter().any(|(labels, _)| labels["container"] == called(number));
                    (0..CROWD).all(named).then_some(())
                });
                for (name, traffic) in crowd.talk(&mut dice) {
                    let total = truth.get(&name).copied().unwrap_or_default() + traffic;
                    truth.insert(name, total);
                }
                crowd.end(|number| [End::DeletedInside, End::DeletedOnHost, End::Down][number as usize % 3]);
                exporter.wait_for(SOON, "all are gone", |metrics| {
                    (sum_of(metrics, "veth_exporter_ends") == 0.0).then_some(())
                });
                used.push(Used::at_rest(&exporter));
                cycles += 1;
                std::thread::sleep(Duration::from_secs(1).saturating_sub(second.elapsed()));
            }
        },
    );
    let metrics = wait_for(SOON, "every byte is booked", || {
        let metrics = exporter.metrics();
        match differences(&truth, &booked(&metrics)) {
            wrong if wrong.is_empty() => Ok(metrics),
            wrong => Err(wrong.join("\n")),
        }
    });
    refuse_gaps(&metrics);
    let third = used.len() / 3;
    let (first, last) = (&used[..third], &used[used.len() - third..]);
    let (before, after) = (mean(first), mean(last));
    // Tokio starts a thread for work that takes long, and ends it when it was idle for a while.
    let threads = [first, last].map(|used| used.iter().map(|used| used.threads).max().unwrap());
    let descriptors = [first, last].map(|used| used.iter().map(|used| used.descriptors).min().unwrap());
    note(&format!(
        "{} s, {} namespaces ({:.1} a second), {} bytes exact, {scrapes} valid expositions, {} to {} KiB, {} descriptors, {} threads",
        begin.elapsed().as_secs(),
        cycles * CROWD,
        f64::from(cycles * CROWD) / begin.elapsed().as_secs_f64(),
        {
            let all = sum(truth.values());
            all.receive_bytes + all.transmit_bytes
        },
        before >> 10,
        after >> 10,
        descriptors[1],
        threads[1]
    ));
    // In a short run what is kept for the next scrapes is still growing in the first third.
    let growth = if length >= Duration::from_secs(120) { 1.05 } else { 1.25 };
    assert!(after as f64 <= before as f64 * growth, "{before} bytes, then {after}: {used:#?}");
    assert!(threads[1] <= threads[0] + 1, "threads: {threads:?}");
    assert_eq!(descriptors[0], descriptors[1], "descriptors");
}
