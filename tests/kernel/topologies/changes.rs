//! What changes while the exporter runs: the next round has it right, no device is left behind, no total falls.

use std::cell::RefCell;

use lab::scene::{LIMIT, Ratchet, Scene, join, sent, series};
use lab::{Exporter, Exposition, Netns, send_datagrams};

/// A host with the workload `web` behind veth-web, joined by addresses, and an exporter that has seen them.
struct Living {
    scene: Scene,
    web: Netns,
    exporter: Exporter,
    ratchet: Ratchet,
}

impl Living {
    fn new() -> Living {
        let scene = Scene::new();
        let web = scene.named("web");
        scene.host.veth("veth-web", &web, "eth0");
        join((&scene.host, "veth-web"), (&web, "eth0"));
        let exporter = scene.exporter(&[]);
        let living = Living { scene, web, exporter, ratchet: Ratchet::default() };
        living.wait_for_device("web", "eth0");
        living
    }

    /// Waits until the one device is this workload's and interface's, in a host where there is no other series of a device.
    fn wait_for_device(&self, container: &str, interface: &str) -> Exposition {
        let what = format!("the one device is {interface} of {container}");
        self.wait_for(&what, |metrics| {
            let devices = series(metrics, "veth_device_up");
            assert!(devices.len() < 2, "a series twice, or left behind:\n{}", metrics.text);
            let device = devices.first()?;
            (device["container"] == container && device["interface"] == interface).then(|| metrics.clone())
        })
    }

    fn wait_for<T>(&self, what: &str, condition: impl Fn(&Exposition) -> Option<T>) -> T {
        self.exporter.wait_for(LIMIT, what, |metrics| {
            self.ratchet.check(metrics);
            condition(metrics)
        })
    }

    /// So many datagrams of 1,042 bytes from a namespace to the host.
    fn send(&self, from: &Netns, count: u32) {
        send_datagrams(&from.path(), &self.scene.host.path(), "10.99.0.1".parse().unwrap(), count, 1_000);
        self.scene.assert_joined();
    }

    fn wait_for_sent(&self, container: &str, interface: &str, packets: u64) {
        let what = format!("{container} has sent {packets} packets over {interface}");
        self.wait_for(&what, |metrics| {
            (sent(metrics, container, interface)? == (packets, packets * 1_042)).then_some(())
        });
    }
}

#[test]
fn an_eth0_that_is_renamed_inside_goes_on_under_its_new_name() {
    let living = Living::new();
    living.send(&living.web, 3);
    living.wait_for_sent("web", "eth0", 3);
    living.web.ip(["link", "set", "eth0", "name", "lan0"]);
    living.wait_for_device("web", "lan0");
    living.send(&living.web, 4);
    living.wait_for_sent("web", "lan0", 4);
    living.wait_for_sent("web", "eth0", 3);
}

#[test]
fn a_device_that_is_renamed_on_the_host_is_one_series_under_its_new_name() {
    let living = Living::new();
    living.send(&living.web, 3);
    living.scene.host.ip(["link", "set", "veth-web", "name", "uplink"]);
    living.wait_for("the device has its new name", |metrics| {
        let devices = series(metrics, "veth_device_up");
        assert_eq!(devices.len(), 1, "{}", metrics.text);
        (devices.first()?["device"] == "uplink").then_some(())
    });
    living.send(&living.web, 4);
    living.wait_for_sent("web", "eth0", 7);
}

#[test]
fn an_eth0_that_is_deleted_inside_leaves_its_total_and_no_device() {
    let living = Living::new();
    living.send(&living.web, 3);
    living.wait_for_sent("web", "eth0", 3);
    living.web.ip(["link", "del", "eth0"]);
    let metrics = living.wait_for("the device is gone", |metrics| {
        metrics.family("veth_device_up").is_none().then(|| metrics.clone())
    });
    assert_eq!(sent(&metrics, "web", "eth0"), Some((3, 3_126)), "{}", metrics.text);
    for family in ["veth_device_info", "veth_container_info"] {
        assert!(metrics.family(family).is_none(), "{family} is for the living:\n{}", metrics.text);
    }
}

#[test]
fn an_eth0_that_moves_to_another_namespace_and_back_is_booked_to_who_has_it() {
    let living = Living::new();
    let shop = living.scene.named("shop");
    living.send(&living.web, 3);
    living.wait_for_sent("web", "eth0", 3);
    let host = &living.scene.host;
    let travel = |from: &Netns, to: &Netns| {
        from.ip(["link", "set", "eth0", "netns", &to.path().display().to_string()]);
        to.ip(["link", "set", "eth0", "up"]);
    };
    travel(&living.web, &shop);
    living.wait_for_device("shop", "eth0");
    shop.address("eth0", "10.99.0.2", host, "veth-web", "10.99.0.1");
    living.send(&shop, 4);
    living.wait_for_sent("shop", "eth0", 4);
    travel(&shop, &living.web);
    living.wait_for_device("web", "eth0");
    living.web.address("eth0", "10.99.0.2", host, "veth-web", "10.99.0.1");
    living.send(&living.web, 5);
    living.wait_for_sent("web", "eth0", 8);
    living.wait_for_sent("shop", "eth0", 4);
}

#[test]
fn an_end_that_moves_to_the_host_is_a_port_there_and_its_total_stays() {
    // What an engine does when it takes a container down: eth0 comes back to the host under another name.
    let living = Living::new();
    living.send(&living.web, 3);
    living.wait_for_sent("web", "eth0", 3);
    let host = living.scene.host.path().display().to_string();
    living.web.ip(["link", "set", "eth0", "netns", &host, "name", "back"]);
    let metrics = living.wait_for("both ends are ports of the host", |metrics| {
        (series(metrics, "veth_device_up").len() == 2).then(|| metrics.clone())
    });
    let devices = series(&metrics, "veth_device_up");
    assert!(devices.iter().all(|labels| labels.len() == 1), "nobody's: {devices:?}");
    assert_eq!(sent(&metrics, "web", "eth0"), Some((3, 3_126)), "{}", metrics.text);
}

#[test]
fn mac_addresses_that_change_at_both_ends_are_shown_and_change_nothing_else() {
    let living = Living::new();
    living.send(&living.web, 3);
    living.web.ip(["link", "set", "eth0", "address", "02:00:00:00:00:22"]);
    living.scene.host.ip(["link", "set", "veth-web", "address", "02:00:00:00:00:11"]);
    let wanted = [("address", "02:00:00:00:00:11"), ("peer_address", "02:00:00:00:00:22")];
    living.wait_for("the new addresses are shown", |metrics| {
        assert_eq!(metrics.all("veth_device_info").len(), 1, "{}", metrics.text);
        metrics.value("veth_device_info", &wanted)
    });
    living.wait_for_sent("web", "eth0", 3);
}

#[test]
fn a_master_that_changes_and_goes_is_shown_and_the_device_stays_all_the_while() {
    let living = Living::new();
    let host = &living.scene.host;
    for bridge in ["br0", "br1"] {
        host.ip(["link", "add", bridge, "type", "bridge"]);
    }
    let steps: [(&[&str], Option<&str>); 4] = [
        (&["master", "br0"], Some("br0")),
        (&["master", "br1"], Some("br1")),
        (&["nomaster"], None),
        (&["master", "br0"], Some("br0")),
    ];
    for (words, bridge) in steps {
        host.ip([&["link", "set", "veth-web"], words].concat());
        living.wait_for("the new master is shown", |metrics| {
            let infos = series(metrics, "veth_device_info");
            assert_eq!(infos.len(), 1, "{}", metrics.text);
            (infos.first()?.get("bridge").map(String::as_str) == bridge).then_some(())
        });
    }
    // A bridge that is renamed, and one that is deleted under its port.
    host.ip(["link", "set", "br0", "name", "lan"]);
    living.wait_for("the bridge's new name", |m| m.value("veth_device_info", &[("bridge", "lan")]));
    host.ip(["link", "del", "lan"]);
    living.wait_for("no bridge", |metrics| {
        let infos = series(metrics, "veth_device_info");
        assert_eq!(infos.len(), 1, "{}", metrics.text);
        (!infos.first()?.contains_key("bridge")).then_some(())
    });
}

#[test]
fn a_namespace_that_is_renamed_goes_on_under_its_new_name() {
    let living = Living::new();
    living.send(&living.web, 3);
    living.wait_for_sent("web", "eth0", 3);
    let folder = living.scene.folder.path();
    std::fs::rename(folder.join("web"), folder.join("shop")).unwrap();
    let metrics = living.wait_for_device("shop", "eth0");
    assert_eq!(metrics.value("veth_device_info", &[("peer_netns", "shop")]), Some(1.0), "{}", metrics.text);
    living.send(&living.web, 4);
    living.wait_for_sent("shop", "eth0", 4);
    living.wait_for_sent("web", "eth0", 3);
    let metrics = living.exporter.metrics();
    let infos = series(&metrics, "veth_container_info");
    assert!(infos.iter().all(|labels| labels["container"] == "shop"), "{infos:?}");
}

#[test]
fn a_namespace_without_a_name_any_more_is_unknown_and_what_it_sent_before_stays_its_names() {
    let living = Living::new();
    living.send(&living.web, 3);
    living.wait_for_sent("web", "eth0", 3);
    std::fs::remove_file(living.scene.folder.path().join("web")).unwrap();
    let unknown = RefCell::new(None);
    living.wait_for("the device is nobody's", |metrics| {
        let devices = series(metrics, "veth_device_up");
        assert!(devices.len() < 2, "{}", metrics.text);
        unknown.replace(devices.first().cloned());
        (devices.first()?["runtime"] == "unknown").then_some(())
    });
    assert!(!unknown.borrow().as_ref().unwrap().contains_key("container"), "{unknown:?}");
    living.send(&living.web, 4);
    living.wait_for("four packets are nobody's", |metrics| {
        let value = metrics.value("veth_container_transmit_packets_total", &[("runtime", "unknown")]);
        value.filter(|packets| *packets == 4.0)
    });
    living.wait_for_sent("web", "eth0", 3);
}
