//! Short containers of a real engine: every byte and packet of each is booked under its name.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ledger::brief::{Brief, Server};
use lab::book::{Dice, booked, differences, of_network, refuse_gaps, refuse_the_unknown, size, sum};
use lab::{DockerEngine, Exporter, Netns, Traffic, needs_engine, wait_for};

/// Longer than a name or a last event takes.
const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn every_byte_of_short_containers_is_booked_under_their_names() {
    needs_engine!();
    let netns = Netns::new("short");
    let engine = DockerEngine::start_private(&netns);
    let server = Server::start(&netns);
    let exporter = Exporter::for_engine(&engine, &[]);
    let mut dice = Dice::new();
    let begin = Instant::now();
    let containers: Vec<Brief> = exporter.while_scraping(refuse_the_unknown, || {
        server.run_many(&engine, "short", [size(60, 200), 8], || [dice.roll(200_000), dice.roll(200_000)])
    });
    let took = begin.elapsed();
    let truth: BTreeMap<String, Traffic> =
        containers.iter().map(|brief| (brief.name.clone(), brief.truth)).collect();
    wait_for(LIMIT, "every container's own count is booked", || {
        let wrong = differences(&truth, &booked(&exporter.metrics()));
        let share = format!("{} of {} are exact", truth.len() - wrong.len(), truth.len());
        if wrong.is_empty() { Ok(()) } else { Err(format!("{share}:\n{}", wrong.join("\n"))) }
    });
    println!("{} short containers in {took:?}, all exact", truth.len());
    let metrics = exporter.metrics();
    assert_eq!(of_network(&metrics, "bridge"), sum(truth.values()), "the network's total, and the sum");
    refuse_the_unknown(&metrics);
    refuse_gaps(&metrics);
}
