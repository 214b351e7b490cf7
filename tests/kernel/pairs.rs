//! Which end belongs to which: every pair, whole, as `ip` sees it.

use std::time::Duration;

use serde_json::Value;

use lab::{Exporter, Netns, NetnsFolder, listed, pairs_by_ip, wait_for};

/// The row of `list` that has this device at one of its ends.
fn row<'a>(rows: &'a Value, device: &str) -> &'a Value {
    let ends = |row: &'a Value| row["ends"].as_array().unwrap();
    let found = rows.as_array().unwrap().iter().find(|row| ends(row).iter().any(|end| end["name"] == device));
    found.unwrap_or_else(|| panic!("no {device} in {rows:#}"))
}

/// Of a row's ends, this key.
fn both<'a>(row: &'a Value, key: &str) -> [&'a Value; 2] {
    [&row["ends"][0][key], &row["ends"][1][key]]
}

/// Returns the values of this key of the workloads at a row's two ends.
fn workloads<'a>(row: &'a Value, key: &str) -> [&'a Value; 2] {
    both(row, "workload").map(|workload| &workload[key])
}

#[test]
fn a_pair_from_the_host_to_a_container_is_a_port_and_its_interface() {
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    folder.name("web", &web);
    host.veth("veth-web", &web, "eth0");
    web.ip(["link", "set", "eth0", "mtu", "1400", "address", "02:00:00:00:00:02"]);
    let rows = listed(&host, &[&web], &folder);
    let row = row(&rows, "veth-web");
    assert_eq!(both(row, "name"), ["veth-web", "eth0"], "{row:#}");
    assert_eq!(both(row, "role"), ["port", "interface"], "{row:#}");
    assert_eq!(both(row, "netns"), ["", "web"], "{row:#}");
    assert_eq!(workloads(row, "container"), [&Value::Null, &"web".into()], "{row:#}");
    assert_eq!(workloads(row, "runtime"), [&Value::Null, &"named".into()], "{row:#}");
}

#[test]
fn both_ends_on_the_host_are_one_pair_of_two_ports() {
    let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
    host.veth("veth1", &host, "veth0");
    host.veth("another1", &host, "another0");
    let rows = listed(&host, &[], &folder);
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows:#}");
    assert_eq!(both(row(&rows, "veth0"), "role"), ["port", "port"]);
}

#[test]
fn twenty_containers_whose_eth0_all_have_ifindex_2_are_told_apart() {
    let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
    let containers: Vec<Netns> = (0..20).map(|_| Netns::quiet("same")).collect();
    for (number, container) in containers.iter().enumerate() {
        folder.name(format!("container-{number}"), container);
        host.veth(&format!("veth{number}"), container, "eth0");
        assert_eq!(container.ip_json(["link", "show", "eth0"])[0]["ifindex"], 2);
    }
    let rows = listed(&host, &containers.iter().collect::<Vec<_>>(), &folder);
    assert_eq!(rows.as_array().unwrap().len(), 20);
    for number in 0..20 {
        let row = row(&rows, &format!("veth{number}"));
        assert_eq!(*workloads(row, "container")[1], format!("container-{number}"), "{row:#}");
    }
}

#[test]
fn ends_that_are_down_are_pairs_like_others() {
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    folder.name("web", &web);
    for name in ["both-down", "one-down", "both-up"] {
        host.veth(name, &web, name);
    }
    host.ip(["link", "set", "both-down", "down"]);
    web.ip(["link", "set", "both-down", "down"]);
    web.ip(["link", "set", "one-down", "down"]);
    // The kernel tells of a carrier, gained or lost, a moment later.
    wait_for(Duration::from_secs(5), "two ends are up", || {
        let pairs = pairs_by_ip(&host, &[&web]);
        let up = pairs.iter().flatten().filter(|end| end.up);
        if up.map(|end| end.name.as_str()).eq(["both-up"; 2]) { Ok(()) } else { Err(format!("{pairs:#?}")) }
    });
    let rows = listed(&host, &[&web], &folder);
    let state = |name| both(row(&rows, name), "up").map(|up| up.as_bool().unwrap());
    assert_eq!(
        [state("both-down"), state("one-down"), state("both-up")],
        [[false, false], [false, false], [true, true]]
    );
}

#[test]
fn a_port_shows_the_bridge_that_it_is_enslaved_to_on_the_host_and_in_a_container() {
    let (host, router, web) = (Netns::quiet("host"), Netns::quiet("router"), Netns::quiet("web"));
    let folder = NetnsFolder::new();
    folder.name("router", &router);
    folder.name("web", &web);
    host.veth("to-router", &router, "to-host");
    host.veth("to-web", &web, "to-host");
    router.veth("to-web", &web, "to-router");
    host.veth("loose", &web, "loose");
    for (netns, port) in [(&host, "to-router"), (&host, "to-web"), (&router, "to-web")] {
        if port == "to-router" || netns.name() == router.name() {
            netns.ip(["link", "add", "br0", "type", "bridge"]);
            netns.ip(["link", "set", "br0", "up"]);
        }
        netns.ip(["link", "set", port, "master", "br0"]);
    }
    let rows = listed(&host, &[&router, &web], &folder);
    assert_eq!(row(&rows, "to-router")["ends"][0]["bridge"], "br0");
    assert_eq!(row(&rows, "loose")["ends"][0]["bridge"], Value::Null);
    // Straight between two containers: the end on the bridge is the port.
    let rows = rows.as_array().unwrap();
    let between = rows.iter().find(|row| both(row, "nsid").iter().all(|nsid| nsid.is_u64())).unwrap();
    assert_eq!(both(between, "netns"), ["router", "web"], "{between:#}");
    assert_eq!(both(between, "role"), ["port", "interface"], "{between:#}");
}

#[test]
fn with_one_end_deleted_both_are_gone_and_the_others_stay() {
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    folder.name("web", &web);
    for name in ["goes-inside", "goes-outside", "stays"] {
        host.veth(name, &web, name);
    }
    assert_eq!(listed(&host, &[&web], &folder).as_array().unwrap().len(), 3);
    web.ip(["link", "del", "goes-inside"]);
    host.ip(["link", "del", "goes-outside"]);
    let rows = listed(&host, &[&web], &folder);
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows:#}");
    assert_eq!(both(row(&rows, "stays"), "name"), ["stays", "stays"]);
}

#[test]
fn a_peer_in_a_namespace_that_nobody_claims_has_an_unknown_owner() {
    let (host, nobody, folder) = (Netns::quiet("host"), Netns::quiet("nobody"), NetnsFolder::new());
    host.veth("veth0", &nobody, "eth0");
    let rows = listed(&host, &[&nobody], &folder);
    let row = row(&rows, "veth0");
    let nsid = row["ends"][1]["nsid"].as_u64().unwrap();
    assert_eq!(both(row, "netns"), ["", &format!("nsid-{nsid}")], "{row:#}");
    assert_eq!(workloads(row, "runtime"), [&Value::Null, &Value::Null], "{row:#}");
    assert_eq!(both(row, "role"), ["port", "interface"], "{row:#}");

    let exporter = Exporter::start(&host, &folder.arguments());
    let labels = exporter.wait_for(Duration::from_secs(5), "the pair is shown without an owner", |metrics| {
        metrics.all("veth_device_info").into_iter().next().map(|(labels, _)| labels)
    });
    assert_eq!((labels["device"].as_str(), labels["runtime"].as_str()), ("veth0", "unknown"), "{labels:?}");
    assert_eq!(labels["peer_netns"], format!("nsid-{nsid}"), "{labels:?}");
    assert!(!labels.contains_key("container"), "{labels:?}");
}

#[test]
fn a_name_for_the_host_itself_makes_it_no_workload() {
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    folder.name("web", &web);
    folder.name("the-host", &host);
    host.veth("veth-web", &web, "eth0");
    web.veth("inner", &web, "inner-peer");
    let rows = listed(&host, &[&web], &folder);
    let row = row(&rows, "veth-web");
    assert_eq!(both(row, "netns"), ["", "web"], "{row:#}");
    assert_eq!(workloads(row, "container"), [&Value::Null, &"web".into()], "{row:#}");
}
