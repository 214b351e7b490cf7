//! What the exporter has booked, beside what is true.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};

use crate::{Exposition, Traffic};

/// So many, or with `VETH_LAB_LONG=1` so many more.
pub fn size(usual: usize, long: usize) -> usize {
    if std::env::var_os("VETH_LAB_LONG").is_some_and(|set| set == "1") { long } else { usual }
}

/// Numbers without a pattern; another row of them each time.
pub struct Dice(u64);

impl Dice {
    pub fn new() -> Dice {
        Dice::seeded(RandomState::new().hash_one(0))
    }

    /// Returns dice that give the same row of numbers for the same seed.
    pub fn seeded(seed: u64) -> Dice {
        Dice(seed | 1)
    }

    /// Returns the seed in `VETH_LAB_SEED`, or another one each time.
    pub fn seed() -> u64 {
        let set = std::env::var("VETH_LAB_SEED");
        set.map_or_else(
            |_| RandomState::new().hash_one(0),
            |seed| seed.parse().expect("VETH_LAB_SEED is a number"),
        )
    }

    /// From 1 to `most`. (Marsaglia's xorshift64.)
    pub fn roll(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most + 1
    }
}

/// By container what is booked for it; each has one interface only, and so one label set.
pub fn booked(metrics: &Exposition) -> BTreeMap<String, Traffic> {
    let mut booked = BTreeMap::<String, Traffic>::new();
    let mut take = |what: &str, field: fn(&mut Traffic) -> &mut u64| {
        let mut seen = BTreeMap::new();
        for (labels, value) in metrics.all(&format!("veth_container_{what}_total")) {
            let container = labels.get("container").cloned().unwrap_or_default();
            let interface = labels.get("interface").map(String::as_str);
            assert_eq!(interface, Some("eth0"), "{labels:?}");
            if let Some(other) = seen.insert(container.clone(), labels.clone()) {
                panic!("two label sets of one container: {labels:?} and {other:?}");
            }
            *field(booked.entry(container).or_default()) = value as u64;
        }
    };
    take("receive_bytes", |traffic| &mut traffic.receive_bytes);
    take("receive_packets", |traffic| &mut traffic.receive_packets);
    take("transmit_bytes", |traffic| &mut traffic.transmit_bytes);
    take("transmit_packets", |traffic| &mut traffic.transmit_packets);
    booked
}

/// What is booked for a network.
pub fn of_network(metrics: &Exposition, network: &str) -> Traffic {
    let value = |what: &str| {
        let family = format!("veth_network_{what}_total");
        let value = metrics.value(&family, &[("runtime", "docker"), ("network", network)]);
        value.unwrap_or_else(|| panic!("no {family} of {network} in:\n{}", metrics.text)) as u64
    };
    Traffic {
        receive_bytes: value("receive_bytes"),
        receive_packets: value("receive_packets"),
        transmit_bytes: value("transmit_bytes"),
        transmit_packets: value("transmit_packets"),
    }
}

/// The sum of all of them.
pub fn sum<'a>(traffic: impl IntoIterator<Item = &'a Traffic>) -> Traffic {
    traffic.into_iter().fold(Traffic::default(), |sum, traffic| sum + *traffic)
}

/// Whose book is not the truth, one a line.
pub fn differences(truth: &BTreeMap<String, Traffic>, booked: &BTreeMap<String, Traffic>) -> Vec<String> {
    let names = truth.keys().chain(booked.keys().filter(|name| !truth.contains_key(*name)));
    let differ = names.filter(|name| truth.get(*name) != booked.get(*name));
    differ.map(|name| format!("{name}: truly {:?}, booked {:?}", truth.get(name), booked.get(name))).collect()
}

/// No event was lost, and nothing that events should have told was found by reading all again.
pub fn refuse_gaps(metrics: &Exposition) {
    for family in ["veth_exporter_netlink_lost_total", "veth_exporter_resync_corrections_total"] {
        assert_eq!(metrics.value(family, &[]), Some(0.0), "{family} in:\n{}", metrics.text);
    }
}

/// Nobody is shown whom nobody knows.
pub fn refuse_the_unknown(metrics: &Exposition) {
    let unknown = metrics.with_label("runtime", "unknown");
    assert!(unknown.is_empty(), "{unknown:#?} in:\n{}", metrics.text);
}
