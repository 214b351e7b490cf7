//! Networks of real engines: their pools are full when the engine refuses the next container, their drops are those of the ports.

use std::collections::BTreeMap;
use std::time::Duration;

use lab::{
    DockerEngine, DockerNetwork, Exporter, Exposition, Netns, Podman, describe, empty_folder, needs_engine,
    promtool_check, succeed, two_silent,
};

const SOON: Duration = Duration::from_secs(20);

fn of(network: &str) -> [(&'static str, &str); 2] {
    [("runtime", "docker"), ("network", network)]
}

/// The used addresses of a network with one subnet, and how many it has.
fn pool(metrics: &Exposition, labels: &[(&str, &str)]) -> Option<(f64, f64)> {
    let value = |what: &str| metrics.value(&format!("veth_network_addresses_{what}"), labels);
    Some((value("used")?, value("size")?))
}

/// The labels of the information on a network.
fn info(metrics: &Exposition, network: &str) -> Option<BTreeMap<String, String>> {
    let mut all = metrics.all("veth_network_info").into_iter().map(|(labels, _)| labels);
    all.find(|labels| labels["network"] == network)
}

/// Starts containers on a network until the engine refuses one for want of an address: then, and not before, all addresses are used.
fn fill(engine: &DockerEngine, exporter: &Exporter, network: &DockerNetwork, size: f64) {
    let mut names: Vec<String> = Vec::new();
    let of_network = of(network.name());
    let wait_for = |wanted: f64| {
        exporter.wait_for(SOON, &format!("{wanted} of {size} addresses are used"), |metrics| {
            (pool(metrics, &of_network) == Some((wanted, size))).then_some(())
        });
    };
    let (mut used, _) = pool(&exporter.metrics(), &of_network).unwrap();
    let refused = loop {
        let name = format!("{}-{}", network.name(), names.len());
        let words = ["run", "-d", "--name", &name, "--network", network.name(), lab::IMAGE, "sleep", "1000"];
        let output = engine.try_docker(&words);
        names.push(name);
        if !output.status.success() {
            break describe(&output);
        }
        used += 1.0;
        wait_for(used);
    };
    assert!(refused.contains("no available IPv4 addresses"), "{refused}");
    wait_for(size);
    exporter.wait_for(SOON, "each container is a member, but the one that was refused", |metrics| {
        let members = metrics.value("veth_network_members", &of_network);
        members.filter(|members| *members == names.len() as f64 - 1.0)
    });
    // A container that is paused keeps its address, and one that ends gives it back.
    engine.docker(&["pause", &names[0]]);
    engine.docker(&["kill", &names[1]]);
    wait_for(size - 1.0);
    engine.docker(&["start", &names[1]]);
    wait_for(size);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    engine.docker(&[&["rm", "-f"], &names[..]].concat());
}

#[test]
fn a_pool_is_full_when_docker_refuses_the_next_container() {
    needs_engine!();
    let engine = DockerEngine::get();
    let exporter = Exporter::for_engine(engine, &[]);
    for (arguments, size) in [
        (&["--subnet", "10.211.0.0/29"][..], 6.0),
        (&["--subnet", "10.212.0.0/28", "--ip-range", "10.212.0.8/29"], 7.0),
        (&["--subnet", "10.213.0.0/28", "--ip-range", "10.213.0.8/30", "--gateway", "10.213.0.1"], 4.0),
        (&["--subnet", "10.214.0.0/29", "--aux-address", "printer=10.214.0.4"], 6.0),
    ] {
        let network = engine.network_with("pool", arguments);
        let empty = exporter.wait_for(SOON, "the network is there", |metrics| info(metrics, network.name()));
        let inspected = engine.docker(&["network", "inspect", network.name()]);
        let subnet = arguments[1];
        assert_eq!((&*empty["subnet"], &*empty["driver"]), (subnet, "bridge"), "{inspected}");
        assert_eq!((&*empty["network_id"], &*empty["bridge"]), (network.id(), &*network.bridge()));
        assert_eq!((&*empty["internal"], &*empty["ipv6"]), ("false", "false"));
        // Docker gives its own bridge that address.
        let bridge = engine.netns().ip_json(["address", "show", &network.bridge()]);
        assert_eq!(bridge[0]["addr_info"][0]["local"], empty["gateway"].as_str(), "{bridge:#}");
        fill(engine, &exporter, &network, size);
    }
    promtool_check(&exporter.metrics().text).unwrap();
}

#[test]
fn what_ports_drop_is_dropped_on_their_network_and_goes_on_when_it_is_made_anew() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("drops");
    let exporter = Exporter::for_engine(engine, &[]);
    let [one, two] = two_silent(engine, &network);
    let name = network.name().to_owned();
    let members = |wanted: f64| {
        exporter.wait_for(SOON, "the network has its members", |metrics| {
            metrics.value("veth_network_members", &of(&name)).filter(|members| *members == wanted)
        })
    };
    members(2.0);
    let ports = [&one, &two].map(|container| container.host_device(engine.netns(), "eth0"));
    let dropped = |way: &str| -> f64 {
        let of_port = |port: &String| {
            let links = engine.netns().ip_json(["-s", "link", "show", port]);
            links[0]["stats64"][way]["dropped"].as_f64().unwrap()
        };
        ports.iter().map(of_port).sum()
    };
    // The port cannot hand over larger packets.
    let pid = two.pid().to_string();
    succeed(
        std::process::Command::new("nsenter")
            .args(["-n", "-t", &pid, "ip", "link", "set", "eth0", "mtu", "1000"]),
    );
    let ping = format!("ping -c 3 -W 1 -s 1400 {} || true", two.address(&name));
    one.exec(&["sh", "-c", &ping]);
    let lost = dropped("tx");
    assert!(lost > 0.0);
    let counted = |metrics: &Exposition| {
        ["receive", "transmit"]
            .map(|way| metrics.value(&format!("veth_network_{way}_packets_dropped_total"), &of(&name)))
    };
    let metrics = exporter.metrics();
    assert_eq!(counted(&metrics), [Some(lost), Some(dropped("rx"))]);

    let before = info(&metrics, &name).unwrap();
    drop((one, two));
    members(0.0);
    engine.docker(&["network", "rm", &name]);
    exporter.wait_for(SOON, "the network is gone", |metrics| info(metrics, &name).is_none().then_some(()));
    engine.docker(&["network", "create", "--internal", "--subnet", "10.215.0.0/29", &name]);
    let metrics = exporter.wait_for(SOON, "the network is back", |metrics| {
        info(metrics, &name)
            .filter(|after| after["network_id"] != before["network_id"])
            .map(|_| metrics.clone())
    });
    let after = info(&metrics, &name).unwrap();
    assert_eq!((&*after["internal"], &*after["subnet"]), ("true", "10.215.0.0/29"));
    assert_eq!(counted(&metrics)[0], Some(lost), "the totals are by the name");
    for family in ["info", "members", "addresses_used", "receive_bytes_total"] {
        let rows = metrics.all(&format!("veth_network_{family}"));
        assert_eq!(rows.iter().filter(|(labels, _)| labels["network"] == name).count(), 1, "{family}");
    }
    promtool_check(&metrics.text).unwrap();
}

#[test]
fn the_pool_of_a_network_of_podman_is_full_when_podman_refuses_the_next_container() {
    needs_engine!();
    let netns = Netns::new("pool");
    let podman = Podman::start(&netns);
    let names = empty_folder("n").display().to_string();
    let own_host = podman.host();
    let exporter = Exporter::start(&netns, &["--path.netns", &names, "--podman.host", &own_host]);
    podman.podman(&["network", "create", "--subnet", "10.216.0.0/29", "small"]);
    podman.podman(&[
        "network",
        "create",
        "--subnet",
        "10.217.0.0/24",
        "--ip-range",
        "10.217.0.8/30",
        "range",
    ]);
    for network in ["small", "range"] {
        let labels = [("runtime", "podman"), ("network", network)];
        let of_all = |metrics: &Exposition| pool(metrics, &labels);
        let (mut used, size) = exporter.wait_for(SOON, "the network is there", of_all);
        let mut containers = Vec::new();
        while used < size {
            let name = format!("{network}{}", containers.len());
            containers.push(podman.run(&name, &["--network", network]));
            used = exporter.wait_for(SOON, "one address more is used", |metrics| {
                of_all(metrics).map(|(now, _)| now).filter(|now| *now == used + 1.0)
            });
        }
        let next = podman.client().start("next", &["--network", network]).output().unwrap();
        assert!(!next.status.success(), "{network} has {used} of {size}: {}", describe(&next));
        let infos = exporter.metrics();
        let info = info(&infos, network).unwrap();
        assert_eq!((&*info["driver"], &*info["internal"]), ("bridge", "false"), "{info:?}");
    }
}
