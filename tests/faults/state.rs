//! `--state.directory` when the clock on the wall is set between two runs. Directories and files that fail are in tests/kernel/state/faults.rs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::clock::{Clock, TEN_YEARS};
use crate::{OFTEN, SOON};
use lab::book::{Dice, booked, differences};
use lab::crowd::{Crowd, Host};
use lab::{Exporter, Traffic, empty_folder, wait_for};

fn start(host: &Host, clock: &Clock, state: &Path) -> Exporter {
    let (through, state) = (clock.through(), state.display().to_string());
    let through = through.each_ref().map(String::as_str);
    let folder = host.folder.arguments();
    let saved = ["--state.interval", "200ms", "--state.directory", &state];
    let exporter = Exporter::start_through(&host.netns, &through, &[&folder[..], &OFTEN, &saved].concat());
    exporter.wait_ready();
    exporter
}

fn add(truth: &mut BTreeMap<String, Traffic>, more: BTreeMap<String, Traffic>) {
    for (name, traffic) in more {
        let sum = truth.get(&name).copied().unwrap_or_default() + traffic;
        truth.insert(name, sum);
    }
}

/// Returns when each total began, in seconds since 1970 by the exporter's clock.
fn created(exporter: &Exporter) -> Vec<f64> {
    let accept = [("accept", "application/openmetrics-text; version=1.0.0")];
    let text = exporter.request("GET", "/metrics", &accept).text().to_owned();
    let lines = text.lines().filter(|line| line.starts_with("veth_container_receive_bytes_created"));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect()
}

fn wait_until_true(exporter: &Exporter, truth: &BTreeMap<String, Traffic>, when: &str) {
    wait_for(SOON, &format!("every byte is booked {when}"), || {
        match differences(truth, &booked(&exporter.metrics())) {
            wrong if wrong.is_empty() => Ok(()),
            wrong => Err(wrong.join("\n")),
        }
    });
}

#[test]
fn a_clock_that_is_set_back_or_forward_between_two_runs_moves_no_byte_and_no_total_into_the_future() {
    let (host, clock, state) = (Host::new(), Clock::new(), empty_folder("state"));
    let (stays, goes) = (Crowd::new(&host, 0..3), Crowd::new(&host, 10..11));
    for crowd in [&stays, &goes] {
        crowd.name();
        crowd.join();
        crowd.take_up();
    }
    let (mut dice, mut truth) = (Dice::new(), BTreeMap::new());
    clock.set(TEN_YEARS);
    let mut exporter = start(&host, &clock, &state);
    for crowd in [&stays, &goes] {
        add(&mut truth, crowd.talk(&mut dice));
    }
    wait_until_true(&exporter, &truth, "in ten years");
    // Its total stays for the retention, whatever the clock says.
    drop(goes);
    exporter.wait_for(SOON, "it is gone", |metrics| {
        (metrics.value("veth_exporter_ends", &[("state", "paired")])? == 6.0).then_some(())
    });
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!(created(&exporter).iter().all(|begun| *begun > now() + TEN_YEARS as f64 / 2.0));
    for (seconds, when) in [(0, "now"), (-TEN_YEARS, "ten years ago"), (TEN_YEARS, "in ten years again")] {
        // The last write has the time of before, and so has one that a kill has left.
        if seconds == 0 {
            assert!(exporter.stop().success());
        } else {
            exporter.process().kill();
        }
        clock.set(seconds);
        add(&mut truth, stays.talk(&mut dice));
        if seconds == TEN_YEARS {
            // For this clock it has been gone for ten years or twenty.
            truth.remove("n10");
        }
        exporter = start(&host, &clock, &state);
        add(&mut truth, stays.talk(&mut dice));
        wait_until_true(&exporter, &truth, when);
        let resumed = exporter.metrics().value("veth_exporter_state_pairs_total", &[("outcome", "resumed")]);
        assert_eq!(resumed, Some(3.0), "{when}");
        let latest = now() + seconds as f64 + 1.0;
        assert!(created(&exporter).iter().all(|begun| *begun <= latest), "{:?} {when}", created(&exporter));
        // What was written last is of this clock.
        exporter.wait_for(Duration::from_secs(5), "the state is written", |metrics| {
            let written = metrics.value("veth_exporter_state_last_write_timestamp_seconds", &[])?;
            ((written - now() - seconds as f64).abs() < 60.0).then_some(())
        });
    }
}
