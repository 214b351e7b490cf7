//! What a person does to containers while the exporter looks: their names stay right, and no device is left behind.

use std::collections::BTreeSet;
use std::process::Command;

use lab::scene::{LIMIT, Labels, OFTEN, Ratchet, series};
use lab::{Container, DockerEngine, Exporter, Exposition, needs_engine, succeed, unique_name};

/// The series of one container's devices.
fn devices(metrics: &Exposition, container: &str) -> Vec<Labels> {
    let of_container = |labels: &Labels| labels.get("container").is_some_and(|name| name == container);
    series(metrics, "veth_device_up").into_iter().filter(of_container).collect()
}

/// Waits until a container's interfaces, each with its network and its device as `ip` sees it on the host, are just these.
fn wait_for(exporter: &Exporter, engine: &DockerEngine, container: &Container, wanted: &[(&str, &str)]) {
    let what = format!("{} has the devices of {wanted:?}", container.name());
    exporter.wait_for(LIMIT, &what, |metrics| {
        let now = devices(metrics, container.name());
        assert!(
            now.iter().map(|labels| &labels["device"]).collect::<BTreeSet<_>>().len() == now.len(),
            "a device twice: {now:?}"
        );
        let mut found: Vec<(&str, &str)> =
            now.iter().map(|labels| (labels["interface"].as_str(), labels["network"].as_str())).collect();
        found.sort_unstable();
        (found == wanted).then_some(())
    });
    let now = devices(&exporter.metrics(), container.name());
    for (interface, _) in wanted {
        let device = now.iter().find(|labels| labels["interface"] == *interface).unwrap();
        assert_eq!(device["device"], container.host_device(engine.netns(), interface), "{device:?}");
    }
}

/// The interface by which a container is on a network, by the address that Docker tells.
fn interface_on(container: &Container, network: &str) -> String {
    let address = container.address(network).to_string();
    let pid = container.pid().to_string();
    let said = succeed(
        Command::new("nsenter").args(["-n", "-t", &pid, "ip", "-j", "address", "show", "to", &address]),
    );
    let found: serde_json::Value = serde_json::from_str(&said).unwrap();
    let named = found.as_array().unwrap().iter().find_map(|link| link["ifname"].as_str());
    named.unwrap_or_else(|| panic!("{address} in {found:#}")).to_owned()
}

/// `ip` in a container's network namespace.
fn ip(container: &Container, arguments: &[&str]) {
    let pid = container.pid().to_string();
    succeed(Command::new("nsenter").args(["-n", "-t", &pid, "ip"]).args(arguments));
}

#[test]
fn a_container_keeps_its_devices_through_all_that_docker_does_to_it() {
    needs_engine!();
    let engine = DockerEngine::get();
    let (front, back) = (engine.network("front"), engine.network("back"));
    let exporter = Exporter::for_engine(engine, &OFTEN);
    let mut web = engine.run_idle("web", &["--network", front.name(), "--cap-add", "NET_ADMIN"]);
    let (front, back) = (front.name(), back.name());
    wait_for(&exporter, engine, &web, &[("eth0", front)]);

    engine.docker(&["network", "connect", back, web.name()]);
    wait_for(&exporter, engine, &web, &[("eth0", front), ("eth1", back)]);
    let old = web.name().to_owned();
    web.rename(unique_name("shop"));
    wait_for(&exporter, engine, &web, &[("eth0", front), ("eth1", back)]);
    assert_eq!(devices(&exporter.metrics(), &old), Vec::<Labels>::new(), "left behind");
    // What comes from here on may neither fall nor vanish.
    let ratchet = Ratchet::default();
    let steady = |what: &[&str], wanted: &[(&str, &str)]| {
        engine.docker(&[what, &[web.name()]].concat());
        ratchet.check(&only(&exporter.metrics(), web.name()));
        wait_for(&exporter, engine, &web, wanted);
        ratchet.check(&only(&exporter.metrics(), web.name()));
    };
    let both = [("eth0", front), ("eth1", back)];
    steady(&["pause"], &both);
    steady(&["unpause"], &both);
    steady(&["update", "--cpu-shares", "512"], &both);
    engine.docker(&["restart", "-t", "0", web.name()]);
    // The engine may have joined the networks in another order.
    let [on_front, on_back] = [front, back].map(|network| interface_on(&web, network));
    let mut both = [(on_front.as_str(), front), (on_back.as_str(), back)];
    both.sort_unstable();
    wait_for(&exporter, engine, &web, &both);
    engine.docker(&["network", "disconnect", back, web.name()]);
    wait_for(&exporter, engine, &web, &[(&on_front, front)]);
    ratchet.check(&only(&exporter.metrics(), web.name()));
    // Inside, as anybody may with NET_ADMIN: the name of the container and that of the network stay.
    ip(&web, &["link", "set", &on_front, "down"]);
    ip(&web, &["link", "set", &on_front, "name", "lan0"]);
    ip(&web, &["link", "set", "lan0", "up"]);
    wait_for(&exporter, engine, &web, &[("lan0", front)]);
    ip(&web, &["link", "set", "lan0", "address", "02:00:00:00:00:77"]);
    let changed = [("container", web.name()), ("peer_address", "02:00:00:00:00:77")];
    exporter.wait_for(LIMIT, "the new address is shown", |m| m.value("veth_device_info", &changed));
    wait_for(&exporter, engine, &web, &[("lan0", front)]);
    ratchet.check(&only(&exporter.metrics(), web.name()));

    let name = web.name().to_owned();
    drop(web);
    exporter.wait_for(LIMIT, "no device is left", |m| devices(m, &name).is_empty().then_some(()));
    ratchet.check(&only(&exporter.metrics(), &name));
}

/// The exposition of one container alone: others come and go at the same time.
fn only(metrics: &Exposition, container: &str) -> Exposition {
    let mut metrics = metrics.clone();
    for family in &mut metrics.families {
        family.samples.retain(|sample| sample.labels.get("container").is_some_and(|name| name == container));
    }
    metrics
}
