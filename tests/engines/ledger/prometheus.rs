//! A container that lived between two scrapes, as a real Prometheus knows it.

use std::time::Duration;

use crate::ledger::brief::Server;
use lab::book::of_network;
use lab::{DockerEngine, Exporter, Netns, Prometheus, Traffic, needs_engine, wait_for};

/// Longer than three scrapes.
const LIMIT: Duration = Duration::from_secs(25);

/// Seconds.
const INTERVAL: u32 = 5;

/// The value of the one series that a query answers with; `None` if it answers with nothing.
fn scalar(prometheus: &Prometheus, query: &str) -> Option<f64> {
    let answer = prometheus.query(query);
    let list = answer.as_array().unwrap();
    assert!(list.len() < 2, "{query}: {answer:#}");
    Some(list.first()?["value"][1].as_str().unwrap().parse().unwrap())
}

#[test]
fn a_container_that_lived_between_two_scrapes_is_in_the_increase_of_its_network() {
    needs_engine!();
    let netns = Netns::new("between");
    let engine = DockerEngine::start_private(&netns);
    let server = Server::start(&netns);
    let exporter = Exporter::for_engine(&engine, &[]);
    let prometheus = Prometheus::start_every(&netns, exporter.address(), INTERVAL);
    let network =
        |way: &str| format!("veth_network_{way}_bytes_total{{runtime=\"docker\",network=\"bridge\"}}");
    let scrapes = || scalar(&prometheus, "count_over_time(up[2m])").unwrap_or_default();
    let wait_for_a_scrape = |count: f64| {
        wait_for(LIMIT, "a scrape", || match scrapes() {
            now if now >= count => Ok(now),
            now => Err(now.to_string()),
        })
    };
    // It is known with 0 before anybody uses it: so the first bytes are an increase.
    let before = wait_for_a_scrape(1.0);
    assert_eq!(scalar(&prometheus, &network("receive")), Some(0.0));
    // Just after a scrape, so that there is time until the next.
    let before = wait_for_a_scrape(before + 1.0);
    let brief = server.run(&engine, "between", [54_321, 12_345]);
    assert_eq!(scrapes(), before, "a scrape came while the container lived: start the test again");
    wait_for_a_scrape(before + 2.0);

    let seen = "count_over_time(veth_device_up{container=\"between\"}[2m])";
    assert_eq!(scalar(&prometheus, seen), None, "no scrape has met it alive");
    for (way, truth) in [("receive", brief.truth.receive_bytes), ("transmit", brief.truth.transmit_bytes)] {
        let own = format!("veth_container_{way}_bytes_total{{container=\"between\",interface=\"eth0\"}}");
        assert_eq!(scalar(&prometheus, &own), Some(truth as f64), "{own}");
        assert_eq!(scalar(&prometheus, &network(way)), Some(truth as f64));
        // It is extended from the first and last sample to the ends of the window: never less than what was added between two
        // samples, and with four of them at most half an interval more on either side.
        let increase = scalar(&prometheus, &format!("increase({}[2m])", network(way))).unwrap();
        println!("{way}: {truth} bytes, increase {increase}");
        assert!(increase >= truth as f64 && increase <= truth as f64 * 1.5, "{increase} of {truth}");
    }
    let metrics = exporter.metrics();
    assert_eq!(Traffic::booked(&metrics, &[("container", "between")]), Some(brief.truth), "{}", metrics.text);
    assert_eq!(of_network(&metrics, "bridge"), brief.truth);
}
