//! The lives of workloads without an engine: how often a named namespace was started, the MTU of a peer against `ip -j`, and the series of
//! ports by `--device.metrics`.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::{Exporter, Exposition, Netns, NetnsFolder};

const LIMIT: Duration = Duration::from_secs(10);

fn starts(metrics: &Exposition, name: &str) -> Option<f64> {
    metrics.value("veth_container_starts_total", &[("runtime", "named"), ("container", name)])
}

/// A namespace of this name behind a device on the host.
fn named(host: &Netns, folder: &NetnsFolder, name: &str) -> Netns {
    let netns = Netns::quiet(name);
    folder.name(name, &netns);
    host.veth(&format!("veth-{name}"), &netns, "eth0");
    netns
}

fn start(host: &Netns, folder: &NetnsFolder, more: &[&str]) -> Exporter {
    let exporter = Exporter::start(host, &[&folder.arguments()[..], more].concat());
    exporter.wait_ready();
    exporter
}

#[test]
fn a_namespace_that_is_made_anew_under_its_name_is_one_start_and_another_pair_in_it_is_none() {
    let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
    let mut web = named(&host, &folder, "web");
    let exporter = start(&host, &folder, &["--collector.interval", "100ms"]);
    let count = |wanted: f64| {
        exporter.wait_for(LIMIT, &format!("web was started {wanted} times"), |metrics| {
            starts(metrics, "web").filter(|count| *count == wanted)
        })
    };
    count(0.0);
    // The same namespace loses its pair and gets another one.
    host.ip(["link", "delete", "veth-web"]);
    exporter.wait_for(LIMIT, "the pair is gone", |metrics| {
        assert_eq!(starts(metrics, "web"), Some(0.0), "the series stays");
        metrics.value("veth_device_up", &[("device", "veth-web")]).is_none().then_some(())
    });
    host.veth("veth-web", &web, "eth0");
    exporter.wait_for(LIMIT, "another pair is there", |metrics| {
        metrics.value("veth_device_up", &[("device", "veth-web"), ("container", "web")])
    });
    count(0.0);
    for again in 1..=3 {
        drop(web);
        exporter.wait_for(LIMIT, "the namespace is gone", |metrics| {
            assert_eq!(starts(metrics, "web"), Some(f64::from(again - 1)));
            metrics.value("veth_device_up", &[("device", "veth-web")]).is_none().then_some(())
        });
        web = named(&host, &folder, "web");
        count(f64::from(again));
    }
    let _new = named(&host, &folder, "new");
    exporter.wait_for(LIMIT, "a namespace that has come was started once", |metrics| {
        starts(metrics, "new").filter(|count| *count == 1.0)
    });
}

/// The devices of an exposition's families that are of ports, by family.
fn device_families(metrics: &Exposition) -> BTreeSet<String> {
    let families = metrics.families.iter().filter(|family| !family.samples.is_empty());
    let names = families.map(|family| family.name.clone());
    names.filter(|name| name.starts_with("veth_device_")).collect()
}

#[test]
fn device_metrics_chooses_between_all_the_state_and_nothing_of_ports() {
    let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
    let web = named(&host, &folder, "web");
    host.ip(["link", "set", "veth-web", "mtu", "1400"]);
    web.ip(["link", "set", "eth0", "mtu", "9000"]);
    let state: BTreeSet<String> = [
        "veth_device_carrier_changes_total",
        "veth_device_info",
        "veth_device_mtu_bytes",
        "veth_device_peer_mtu_bytes",
        "veth_device_up",
    ]
    .map(str::to_owned)
    .into();
    let numbers = ["bytes", "packets", "packets_dropped"];
    let numbers = ["receive", "transmit"]
        .into_iter()
        .flat_map(|direction| numbers.map(|number| format!("veth_device_{direction}_{number}_total")));
    let all: BTreeSet<String> = state.iter().cloned().chain(numbers).collect();
    let mut others: Vec<BTreeSet<String>> = Vec::new();
    let mut series = Vec::new();
    for (flags, wanted) in [
        (&[][..], &all),
        (&["--device.metrics"], &all),
        (&["--device.metrics=true"], &all),
        (&["--device.metrics=state"], &state),
        (&["--device.metrics=false"], &BTreeSet::new()),
    ] {
        let exporter = start(&host, &folder, flags);
        let metrics = exporter.wait_for(LIMIT, "the workload is there", |metrics| {
            starts(metrics, "web").map(|_| metrics.clone())
        });
        assert_eq!(device_families(&metrics), *wanted, "{flags:?}");
        assert!(
            wanted == &all || !metrics.text.contains("veth_device_receive_bytes_total"),
            "{flags:?}: a head"
        );
        // The port and its peer, as another program sees them.
        let mtu = |netns: &Netns, name: &str| netns.ip_json(["link", "show", name])[0]["mtu"].as_f64();
        if wanted.contains("veth_device_mtu_bytes") {
            let value = |family: &str| metrics.value(family, &[("device", "veth-web")]);
            assert_eq!(value("veth_device_mtu_bytes"), mtu(&host, "veth-web"), "{flags:?}");
            assert_eq!(value("veth_device_peer_mtu_bytes"), mtu(&web, "eth0"), "{flags:?}");
        }
        let names = metrics.families.iter().map(|family| family.name.clone());
        others.push(
            names.filter(|name| name.starts_with("veth_") && !name.starts_with("veth_device_")).collect(),
        );
        series.push(metrics.value("veth_exporter_series", &[("state", "shown")]).unwrap());
    }
    assert!(others.windows(2).all(|pair| pair[0] == pair[1]), "what is not of ports stays: {others:#?}");
    // The cost of the port, as the limit on series counts it.
    let without = series[4];
    assert_eq!(series.iter().map(|all| all - without).collect::<Vec<_>>(), [11.0, 11.0, 11.0, 5.0, 0.0]);
}
