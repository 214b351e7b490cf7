//! Where a pair can have its ends, and what is the port then.

use std::collections::BTreeSet;

use lab::scene::{LIMIT, Scene, ends, join, lacks, send, sent, series, wait_for_series};
use lab::{Netns, send_datagrams};

#[test]
fn a_pair_straight_between_two_named_namespaces_is_two_interfaces_and_no_device() {
    let scene = Scene::new();
    let (left, right) = (scene.named("left"), scene.named("right"));
    left.veth("to-right", &right, "to-left");
    let rows = scene.listed(&[&left, &right]);
    assert_eq!(ends(&rows, "left", "to-right", "role"), ["interface", "interface"]);

    let exporter = scene.exporter(&[]);
    let wanted: [&[(&str, &str)]; 2] = [
        &[("runtime", "named"), ("container", "left"), ("interface", "to-right")],
        &[("runtime", "named"), ("container", "right"), ("interface", "to-left")],
    ];
    let metrics = wait_for_series(&exporter, "veth_container_receive_bytes_total", wanted);
    assert!(metrics.family("veth_device_up").is_none(), "{}", metrics.text);
    // Read by the rounds, as none of it is on the host: both see the same frames.
    send((&left, "to-right"), (&right, "to-left"), 5, 1_000);
    exporter.wait_for(LIMIT, "both have five packets", |metrics| {
        let received =
            |unit| metrics.value(&format!("veth_container_receive_{unit}_total"), &[("container", "right")]);
        let whole = (received("packets")? as u64, received("bytes")? as u64);
        (sent(metrics, "left", "to-right")? == (5, 5_210) && whole == (5, 5_210)).then_some(())
    });
    scene.assert_joined();
}

#[test]
fn of_a_pair_between_two_named_namespaces_the_end_on_a_bridge_is_the_port() {
    let scene = Scene::new();
    let (switch, web) = (scene.named("switch"), scene.named("web"));
    switch.veth("port1", &web, "eth0");
    switch.ip(["link", "add", "br0", "type", "bridge"]);
    switch.ip(["link", "set", "port1", "master", "br0"]);
    switch.ip(["link", "set", "br0", "up"]);
    let rows = scene.listed(&[&switch, &web]);
    assert_eq!(ends(&rows, "switch", "port1", "name"), ["port1", "eth0"]);
    assert_eq!(ends(&rows, "switch", "port1", "role"), ["port", "interface"]);

    let exporter = scene.exporter(&[]);
    let device: &[(&str, &str)] = &[
        ("device", "port1"),
        ("netns", "switch"),
        ("runtime", "named"),
        ("container", "web"),
        ("interface", "eth0"),
    ];
    let metrics = wait_for_series(&exporter, "veth_device_up", [device]);
    assert_eq!(metrics.value("veth_device_info", &[("device", "port1"), ("bridge", "br0")]), Some(1.0));
    // The switch itself neither sends nor receives: only web has a total.
    let web_only: &[(&str, &str)] = &[("runtime", "named"), ("container", "web"), ("interface", "eth0")];
    wait_for_series(&exporter, "veth_container_receive_bytes_total", [web_only]);
}

/// A workload whose eth0 is enslaved inside it stays a workload's interface, and the host's end the port.
fn enslaved_inside(kind: &str, arguments: &[&str]) {
    let scene = Scene::new();
    let inside = scene.named("vm");
    scene.host.veth("veth-vm", &inside, "eth0");
    let add = [&["ip", "link", "add", "inner0", "type", kind], arguments].concat();
    if !inside.exec(add).status.success() {
        return lacks(kind);
    }
    inside.ip(["link", "set", "eth0", "down"]);
    inside.ip(["link", "set", "eth0", "master", "inner0"]);
    inside.ip(["link", "set", "eth0", "up"]);
    inside.ip(["link", "set", "inner0", "up"]);
    let seen = inside.ip_json(["link", "show", "eth0"]);
    assert_eq!(seen[0]["master"], "inner0", "{seen:#}");
    let rows = scene.listed(&[&inside]);
    assert_eq!(ends(&rows, "", "veth-vm", "name"), ["veth-vm", "eth0"]);
    assert_eq!(ends(&rows, "", "veth-vm", "role"), ["port", "interface"]);
    let exporter = scene.exporter(&[]);
    let device: &[(&str, &str)] =
        &[("device", "veth-vm"), ("runtime", "named"), ("container", "vm"), ("interface", "eth0")];
    wait_for_series(&exporter, "veth_device_up", [device]);
}

#[test]
fn an_eth0_on_a_bridge_inside_its_workload_is_its_interface() {
    enslaved_inside("bridge", &[]);
}

#[test]
fn an_eth0_in_a_vrf_inside_its_workload_is_its_interface() {
    enslaved_inside("vrf", &["table", "10"]);
}

#[test]
fn an_eth0_in_a_bond_inside_its_workload_is_its_interface() {
    enslaved_inside("bond", &[]);
}

#[test]
fn a_pair_inside_one_named_namespace_is_two_ports_there_and_nobodys_traffic() {
    let scene = Scene::new();
    let router = scene.named("router");
    router.veth("left", &router, "right");
    let rows = scene.listed(&[&router]);
    assert_eq!(ends(&rows, "router", "left", "role"), ["port", "port"]);
    let exporter = scene.exporter(&[]);
    let wanted: [&[(&str, &str)]; 2] =
        [&[("device", "left"), ("netns", "router")], &[("device", "right"), ("netns", "router")]];
    let metrics = wait_for_series(&exporter, "veth_device_up", wanted);
    assert!(metrics.family("veth_container_receive_bytes_total").is_none(), "{}", metrics.text);
}

#[test]
fn the_pairs_of_a_firewall_bridge_on_the_host_are_ports_and_the_containers_is_its_interface() {
    // As Proxmox does it for one interface: vmbr0 - fwpr101p0 = fwln101i0 - fwbr101i0 - veth101i0 = eth0.
    let scene = Scene::new();
    let guest = scene.named("guest");
    let host = &scene.host;
    host.veth("veth101i0", &guest, "eth0");
    host.veth("fwpr101p0", host, "fwln101i0");
    for (bridge, port) in [("vmbr0", "fwpr101p0"), ("fwbr101i0", "fwln101i0"), ("fwbr101i0", "veth101i0")] {
        if !host.exec(["ip", "link", "show", bridge]).status.success() {
            host.ip(["link", "add", bridge, "type", "bridge"]);
        }
        host.ip(["link", "set", bridge, "up"]);
        host.ip(["link", "set", port, "master", bridge]);
    }
    let rows = scene.listed(&[&guest]);
    assert_eq!(ends(&rows, "", "fwpr101p0", "role"), ["port", "port"]);
    assert_eq!(ends(&rows, "", "veth101i0", "role"), ["port", "interface"]);

    let exporter = scene.exporter(&[]);
    let wanted: [&[(&str, &str)]; 3] = [
        &[("device", "fwln101i0")],
        &[("device", "fwpr101p0")],
        &[("device", "veth101i0"), ("runtime", "named"), ("container", "guest"), ("interface", "eth0")],
    ];
    wait_for_series(&exporter, "veth_device_up", wanted);
    // Through all three bridges and pairs: the guest's frames are counted once for the guest.
    host.ip(["address", "add", "10.99.0.1/24", "dev", "vmbr0"]);
    let mac = |netns: &Netns, name| {
        netns.ip_json(["link", "show", name])[0]["address"].as_str().unwrap().to_owned()
    };
    guest.ip(["address", "add", "10.99.0.2/24", "dev", "eth0"]);
    guest.ip(["neigh", "add", "10.99.0.1", "lladdr", &mac(host, "vmbr0"), "dev", "eth0", "nud", "permanent"]);
    host.ip([
        "neigh",
        "add",
        "10.99.0.2",
        "lladdr",
        &mac(&guest, "eth0"),
        "dev",
        "vmbr0",
        "nud",
        "permanent",
    ]);
    let before = sent(&exporter.metrics(), "guest", "eth0").unwrap();
    send_datagrams(&guest.path(), &host.path(), "10.99.0.1".parse().unwrap(), 7, 1_000);
    let metrics = exporter.wait_for(LIMIT, "the guest has sent seven packets more", |metrics| {
        let now = sent(metrics, "guest", "eth0")?;
        ((now.0 - before.0, now.1 - before.1) == (7, 7 * 1_042)).then(|| metrics.clone())
    });
    scene.assert_joined();
    let devices = series(&metrics, "veth_device_receive_packets_total");
    let owned: BTreeSet<_> = devices.iter().filter(|labels| labels.contains_key("container")).collect();
    assert_eq!(owned.len(), 1, "only the guest's own port is its: {owned:?}");
}

#[test]
fn a_namespace_behind_a_namespace_is_found_and_its_port_is_the_outer_unclaimed_end() {
    // Nobody claims `middle`, which no process lives in: it is reached through `near`, and `far` through it.
    let scene = Scene::new();
    let (near, middle, far) = (scene.named("near"), Netns::quiet("n"), scene.named("far"));
    near.veth("to-middle", &middle, "to-near");
    middle.veth("to-far", &far, "to-middle");
    let rows = scene.listed(&[&near, &middle, &far]);
    let port = ends(&rows, "far", "to-middle", "name");
    assert_eq!(port, ["to-far", "to-middle"], "{rows:#}");
    let place = ends(&rows, "far", "to-middle", "netns");
    assert_eq!(ends(&rows, "near", "to-middle", "netns"), [place[0], &"near".into()], "{rows:#}");
    assert_eq!(ends(&rows, "near", "to-middle", "role"), ["port", "interface"], "{rows:#}");
    let exporter = scene.exporter(&[]);
    let unnamed = place[0].as_str().unwrap();
    assert!(unnamed.starts_with("nsid-"), "{unnamed}");
    let wanted: [&[(&str, &str)]; 2] = [
        &[
            ("device", "to-far"),
            ("netns", unnamed),
            ("runtime", "named"),
            ("container", "far"),
            ("interface", "to-middle"),
        ],
        &[
            ("device", "to-near"),
            ("netns", unnamed),
            ("runtime", "named"),
            ("container", "near"),
            ("interface", "to-middle"),
        ],
    ];
    wait_for_series(&exporter, "veth_device_up", wanted);
    join((&near, "to-middle"), (&middle, "to-near"));
    send_datagrams(&near.path(), &middle.path(), "10.99.0.2".parse().unwrap(), 3, 1_000);
    exporter.wait_for(LIMIT, "near has sent three packets", |metrics| {
        (sent(metrics, "near", "to-middle")? == (3, 3 * 1_042)).then_some(())
    });
    scene.assert_joined();
}
