//! The ports' families are the kernel's own figures, in the port's direction.

use std::time::Duration;

use serde_json::Value;

use lab::{Exporter, Exposition, Netns, NetnsFolder, send_datagrams, succeed, wait_for};

/// A host and the container `web` with addresses 10.99.0.1 and 10.99.0.2, joined by veth-web and eth0; nothing has passed yet.
fn host_and_web() -> (Netns, Netns, NetnsFolder) {
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    folder.name("web", &web);
    host.veth("veth-web", &web, "eth0");
    host.address("veth-web", "10.99.0.1", &web, "eth0", "10.99.0.2");
    web.address("eth0", "10.99.0.2", &host, "veth-web", "10.99.0.1");
    (host, web, folder)
}

fn statistics(netns: &Netns, name: &str) -> Value {
    netns.ip_json(["-s", "link", "show", name])[0]["stats64"].take()
}

/// The families of this kind (`device`, `container`), for comparison with `ip -s`: bytes, packets, drops.
fn family(metrics: &Exposition, kind: &str, way: &str, labels: &[(&str, &str)]) -> [f64; 3] {
    ["bytes", "packets", "packets_dropped"].map(|unit| {
        let name = format!("veth_{kind}_{way}_{unit}_total");
        metrics.value(&name, labels).unwrap_or_else(|| panic!("no {name} {labels:?} in:\n{}", metrics.text))
    })
}

fn by_ip(statistics: &Value, way: &str) -> [f64; 3] {
    ["bytes", "packets", "dropped"].map(|unit| statistics[way][unit].as_f64().unwrap())
}

#[test]
fn a_port_counts_as_ip_does_and_what_it_receives_its_workload_has_sent() {
    let (host, web, folder) = host_and_web();
    let exporter = Exporter::start(&host, &folder.arguments());
    let device = [("device", "veth-web"), ("container", "web"), ("interface", "eth0")];
    let container = [("container", "web"), ("interface", "eth0"), ("runtime", "named")];
    exporter.wait_for(Duration::from_secs(5), "the pair is named", |metrics| {
        metrics.value("veth_device_up", &device)
    });
    send_datagrams(&web.path(), &host.path(), "10.99.0.1".parse().unwrap(), 7, 1_000);
    send_datagrams(&host.path(), &web.path(), "10.99.0.2".parse().unwrap(), 50, 100);
    let (port, interface) = (statistics(&host, "veth-web"), statistics(&web, "eth0"));
    // The values are of now: no wait.
    let metrics = exporter.fresh_metrics();

    assert_eq!(by_ip(&port, "rx"), [7.0 * 1_042.0, 7.0, 0.0], "{port}");
    assert_eq!(by_ip(&port, "tx"), [50.0 * 142.0, 50.0, 0.0], "{port}");
    assert_eq!(family(&metrics, "device", "receive", &device), by_ip(&port, "rx"));
    assert_eq!(family(&metrics, "device", "transmit", &device), by_ip(&port, "tx"));
    assert_eq!(family(&metrics, "container", "receive", &container), by_ip(&interface, "rx"));
    assert_eq!(family(&metrics, "container", "transmit", &container), by_ip(&interface, "tx"));
}

#[test]
fn a_packet_that_could_not_be_handed_over_is_dropped_at_the_port_and_not_received() {
    let (host, web, folder) = host_and_web();
    let exporter = Exporter::start(&host, &folder.arguments());
    exporter.wait_for(Duration::from_secs(5), "the pair is named", |metrics| {
        metrics.value("veth_container_receive_packets_total", &[("container", "web")])
    });
    web.ip(["link", "set", "eth0", "mtu", "1000"]);
    let socket = host.within(|| std::net::UdpSocket::bind("10.99.0.1:0").unwrap());
    for _ in 0..5 {
        socket.send_to(&[0; 1_400], "10.99.0.2:9").unwrap();
    }
    let port = statistics(&host, "veth-web");
    assert_eq!(by_ip(&port, "tx"), [0.0, 0.0, 5.0], "{port}");
    let metrics = exporter.fresh_metrics();
    assert_eq!(family(&metrics, "device", "transmit", &[("device", "veth-web")]), by_ip(&port, "tx"));
    assert_eq!(family(&metrics, "container", "receive", &[("container", "web")]), [0.0, 0.0, 5.0]);
    assert_eq!(family(&metrics, "container", "transmit", &[("container", "web")]), [0.0, 0.0, 0.0]);
}

#[test]
fn state_mtu_and_carrier_changes_are_what_sysfs_says() {
    let (host, web, folder) = host_and_web();
    let mut arguments = folder.arguments().to_vec();
    arguments.extend(["--collector.interval", "100ms"]);
    let exporter = Exporter::start(&host, &arguments);
    // `ip netns exec` mounts that namespace's sysfs.
    let sysfs = |file: &str| {
        let path = format!("/sys/class/net/veth-web/{file}");
        let mut command = std::process::Command::new("ip");
        succeed(command.args(["netns", "exec", host.name(), "cat", &path])).trim().to_owned()
    };
    let agrees = |up: &str| {
        wait_for(Duration::from_secs(5), "the state is what sysfs says", || {
            let metrics = exporter.metrics();
            let value = |name| metrics.value(name, &[("device", "veth-web")]).map(|value| value.to_string());
            let shown = ["veth_device_up", "veth_device_mtu_bytes", "veth_device_carrier_changes_total"];
            let shown = shown.map(value);
            let state = if sysfs("operstate") == "up" { "1" } else { "0" };
            let wanted = [state.to_owned(), sysfs("mtu"), sysfs("carrier_changes")].map(Some);
            if shown == wanted && state == up {
                Ok(wanted)
            } else {
                Err(format!("{shown:?}, not {wanted:?}"))
            }
        })
    };
    let first = agrees("1");
    web.ip(["link", "set", "eth0", "down"]);
    host.ip(["link", "set", "veth-web", "mtu", "1280"]);
    let second = agrees("0");
    web.ip(["link", "set", "eth0", "up"]);
    let third = agrees("1");
    assert_eq!(second[1].as_deref(), Some("1280"));
    assert!(
        first[2] != second[2] && second[2] != third[2],
        "carrier changes: {first:?} {second:?} {third:?}"
    );
}
