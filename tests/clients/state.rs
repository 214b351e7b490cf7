//! A real Prometheus beside an exporter with `--state.directory` that is stopped, killed and upgraded while namespaces send and receive.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lab::book::{Dice, booked};
use lab::crowd::{Crowd, Host};
use lab::{Exporter, Prometheus, Traffic, empty_folder, wait_for};

const LIMIT: Duration = Duration::from_secs(10);

/// The address that stays from one run of the exporter to the next.
const ADDRESS: &str = "127.0.0.1:10736";

const FAMILIES: [&str; 4] = ["receive_bytes", "receive_packets", "transmit_bytes", "transmit_packets"];

fn fields(traffic: &Traffic) -> [u64; 4] {
    [traffic.receive_bytes, traffic.receive_packets, traffic.transmit_bytes, traffic.transmit_packets]
}

/// Starts a binary as the exporter. The state is older than the last scrape when it is killed.
fn start(host: &Host, binary: &Path, state: &Path) -> Exporter {
    let state = state.display().to_string();
    let folder = host.folder.arguments();
    let own = ["--web.listen-address", ADDRESS, "--collector.interval", "200ms"];
    let saved = ["--state.interval", "2s", "--state.directory", &state];
    // The shell becomes the other binary, with the arguments of the usual one.
    let becomes = format!("exec {} \"$@\"", binary.display());
    Exporter::start_through(&host.netns, &["sh", "-c", &becomes], &[&folder[..], &own, &saved].concat())
}

/// Returns the values of a query by container.
fn by_container(prometheus: &Prometheus, query: &str) -> BTreeMap<String, f64> {
    let answer = prometheus.query(query);
    let value = |sample: &serde_json::Value| {
        let name = sample["metric"]["container"].as_str().unwrap().to_owned();
        (name, sample["value"][1].as_str().unwrap().parse().unwrap())
    };
    answer.as_array().unwrap().iter().map(value).collect()
}

/// Panics if the first totals that a run shows are lower than the last ones of the run before.
fn refuse_a_fall(exporter: &Exporter, before: &BTreeMap<String, Traffic>) -> BTreeMap<String, Traffic> {
    let begin = Instant::now();
    let mut shown = BTreeMap::new();
    while begin.elapsed() < Duration::from_millis(600) || shown.len() < before.len() {
        assert!(begin.elapsed() < LIMIT, "totals of {shown:?} alone");
        // Before the host was read once there is nothing to show, and no total.
        shown = booked(&exporter.metrics());
        for (name, now) in &shown {
            let before = fields(&before.get(name).copied().unwrap_or_default());
            let has_fallen = fields(now).iter().zip(before).any(|(now, before)| *now < before);
            assert!(!has_fallen, "{name}: {before:?}, then {now:?} after {:?}", begin.elapsed());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    shown
}

#[test]
fn across_ten_restarts_and_an_upgrade_prometheus_sees_no_reset_and_every_byte() {
    let (host, folder) = (Host::new(), empty_folder("state"));
    let crowd = Crowd::new(&host, 0..3);
    crowd.name();
    crowd.join();
    crowd.take_up();
    assert!(crowd.own().values().all(|own| *own == Traffic::default()), "{:?}", crowd.own());
    let usual = Path::new(Exporter::binary());
    let upgraded = empty_folder("upgrade").join("veth-exporter");
    std::fs::copy(usual, &upgraded).unwrap();
    let state = folder.join("own");
    let mut exporter = start(&host, usual, &state);
    exporter.wait_ready();
    let prometheus = Prometheus::start(&host.netns, ADDRESS.parse().unwrap());
    let (begin, ends) = (Instant::now(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let mut dice = Dice::new();
            while !ends.load(Ordering::Relaxed) {
                crowd.talk(&mut dice);
            }
        });
        for restart in 1..=10 {
            let last = refuse_a_fall(&exporter, &BTreeMap::new());
            std::thread::sleep(Duration::from_millis(900));
            let last = refuse_a_fall(&exporter, &last);
            if restart % 2 == 0 {
                exporter.process().kill();
            } else {
                assert!(exporter.stop().success());
            }
            std::thread::sleep(Duration::from_millis(300));
            exporter = start(&host, if restart < 5 { usual } else { &upgraded }, &state);
            refuse_a_fall(&exporter, &last);
        }
        ends.store(true, Ordering::Relaxed);
        traffic.join().unwrap();
    });
    let own = crowd.own();
    assert!(own.values().all(|own| own.receive_packets > 1_000 && own.transmit_packets > 1_000), "{own:?}");
    for (at, family) in FAMILIES.iter().enumerate() {
        let truth: BTreeMap<String, f64> =
            own.iter().map(|(name, own)| (name.clone(), fields(own)[at] as f64)).collect();
        let total = format!("veth_container_{family}_total");
        wait_for(LIMIT, "Prometheus has the namespaces' own counts", || {
            let scraped = by_container(&prometheus, &total);
            if scraped == truth { Ok(()) } else { Err(format!("{family}: {scraped:?}, truly {truth:?}")) }
        });
        let over = |function: &str| by_container(&prometheus, &format!("{function}({total}[3m])"));
        let (resets, increase) = (over("resets"), over("increase"));
        let (lowest, highest) = (over("min_over_time"), over("max_over_time"));
        for name in own.keys() {
            assert_eq!(resets[name], 0.0, "{family} of {name}");
            assert_eq!(highest[name], truth[name], "{family} of {name}");
            // `increase` goes beyond the first and the last sample by up to 1.1 intervals each.
            let exact = highest[name] - lowest[name];
            let factor = increase[name] / exact;
            assert!((1.0..1.25).contains(&factor), "{family} of {name}: {factor} of {exact}");
        }
    }
    assert_eq!(
        exporter.metrics().value("veth_exporter_state_pairs_total", &[("outcome", "resumed")]),
        Some(3.0)
    );
    println!("ten restarts in {:?}: {own:?}", begin.elapsed());
}
