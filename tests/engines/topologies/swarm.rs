//! Overlay networks: the container's eth0 has its peer in a namespace that the engine keeps for the network, and nothing on the
//! host.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use lab::scene::{LIMIT, Labels, OFTEN, labels, series};
use lab::{
    DockerEngine, Exporter, Exposition, Netns, describe, empty_folder, needs_engine, succeed, wait_for,
};

/// Veths of a namespace by the file it is mounted on: name, ifindex, the peer's ifindex.
fn veths(file: &Path) -> Vec<(String, u64, u64)> {
    let net = format!("--net={}", file.display());
    let said = succeed(Command::new("nsenter").args([&net, "ip", "-j", "link", "show", "type", "veth"]));
    let links: Value = serde_json::from_str(&said).unwrap_or_default();
    let veth = |link: &Value| {
        let number = |key: &str| link[key].as_u64().unwrap();
        (link["ifname"].as_str().unwrap().to_owned(), number("ifindex"), number("link_index"))
    };
    links.as_array().into_iter().flatten().map(veth).collect()
}

#[test]
fn an_overlay_network_has_its_ports_in_the_engines_own_namespace() {
    needs_engine!();
    let netns = Netns::new("swarm");
    let engine = DockerEngine::start_private(&netns);
    engine.docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
    let overlay = engine.docker(&["network", "create", "-d", "overlay", "--attachable", "ov"]);
    let web = engine.run_idle("web", &["--network", "ov"]);
    let service = ["service", "create", "--detach", "--no-resolve-image", "--name", "svc", "--network", "ov"];
    engine.docker(&[&service[..], &["lab/busybox:1", "sleep", "1000"]].concat());
    let task = wait_for(Duration::from_secs(20), "the service's one task runs", || {
        let running = engine.docker(&["ps", "--filter", "name=svc.1.", "--format", "{{.Names}}"]);
        if running.is_empty() {
            Err(engine.docker(&["service", "ps", "--no-trunc", "svc"]))
        } else {
            Ok(running)
        }
    });

    let exporter = Exporter::for_engine(&engine, &OFTEN);
    let hidden = format!("1-{}", &overlay[..10]);
    let sandboxes = engine.socket().parent().unwrap().join("exec/netns");
    // Each end of the overlay's own namespace is a port there: of a container, or of the load balancer.
    let ports = veths(&sandboxes.join(&hidden));
    assert_eq!(ports.len(), 3, "the load balancer's, web's and the task's: {ports:?}");
    let find = |interfaces: Vec<(String, u64, u64)>, name: &str| {
        let (_, ifindex, peer) = interfaces.into_iter().find(|(own, ..)| own == name).unwrap();
        let port = ports.iter().find(|port| port.1 == peer && port.2 == ifindex).unwrap();
        port.0.clone()
    };
    let file = |container: &str| {
        PathBuf::from(engine.docker(&["inspect", "-f", "{{.NetworkSettings.SandboxKey}}", container]))
    };
    let port_of = |container: &str, shown: &str| {
        labels([
            ("device", find(veths(&file(container)), "eth0").as_str()),
            ("netns", &hidden),
            ("runtime", "docker"),
            ("container", shown),
            ("interface", "eth0"),
            ("network", "ov"),
        ])
    };
    let balancer = format!("lb_{}", &overlay[..9]);
    let balancers =
        labels([("device", find(veths(&sandboxes.join(&balancer)), "eth0").as_str()), ("netns", &hidden)]);
    let wanted = [port_of(web.name(), web.name()), port_of(&task, "svc.1"), balancers.clone()];
    let metrics = exporter.wait_for(LIMIT, "the overlay's ports are there", |metrics| {
        let devices = series(metrics, "veth_device_up");
        let there: Vec<&Labels> =
            devices.iter().filter(|labels| labels.get("netns") == Some(&hidden)).collect();
        (there.len() == 3 && wanted.iter().all(|port| there.contains(&port))).then(|| metrics.clone())
    });
    let info = |device: &str, netns: &str| {
        metrics.value("veth_device_info", &[("device", device), ("netns", netns), ("bridge", "br0")])
    };
    assert_eq!(info(&balancers["device"], &hidden), Some(1.0), "{}", metrics.text);
    // The gateway to the world is on the host.
    for (container, shown) in [(web.name(), web.name()), (&task, "svc.1")] {
        let (_, ifindex, peer) =
            veths(&file(container)).into_iter().find(|(name, ..)| name == "eth1").unwrap();
        let on_host = netns.ip_json(["link", "show", "master", "docker_gwbridge"]);
        let port = on_host.as_array().unwrap().iter().find(|link| link["ifindex"] == peer).unwrap();
        assert_eq!(port["link_index"], ifindex);
        let port = [
            ("device", port["ifname"].as_str().unwrap()),
            ("container", shown),
            ("interface", "eth1"),
            ("network", "docker_gwbridge"),
        ];
        assert!(metrics.value("veth_device_up", &port).is_some(), "{}", metrics.text);
    }
    // What the engine calls its own namespaces is what their ends and peers are called.
    let peers: Vec<String> = series(&metrics, "veth_device_info")
        .iter()
        .filter_map(|labels| labels.get("peer_netns").cloned())
        .collect();
    for name in ["ingress_sbox", &balancer] {
        assert!(peers.iter().any(|peer| peer == name), "{name} in {peers:?}");
    }
    let nets = series(&metrics, "veth_network_receive_bytes_total");
    assert!(nets.contains(&labels([("runtime", "docker"), ("network", "ov")])), "{nets:?}");
    // Swarm's own ends have addresses there that no list has: no number says how many are used.
    for network in ["ov", "docker_gwbridge"] {
        let rows = |family: &str| {
            let rows = series(&metrics, &format!("veth_network_{family}")).into_iter();
            rows.filter(|labels| labels["network"] == network && labels["runtime"] == "docker").count()
        };
        let families = ["info", "addresses_size", "addresses_used", "members"];
        assert_eq!(families.map(rows), [1, 1, 0, 1], "{network}\n{}", metrics.text);
    }

    // On the overlay the two reach each other, and what they say is counted.
    let sent = [("container", web.name()), ("network", "ov")];
    let sent = |metrics: &Exposition| metrics.value("veth_container_transmit_packets_total", &sent);
    let before = sent(&metrics).unwrap();
    let address = engine.docker(&["inspect", "-f", "{{.NetworkSettings.Networks.ov.IPAddress}}", &task]);
    web.ping(address.parse().unwrap(), 10, 1_000);
    exporter.wait_for(LIMIT, "ten packets more", |metrics| sent(metrics).filter(|now| *now >= before + 10.0));

    // It is found by its container's own name as well.
    let names = empty_folder("n").display().to_string();
    let query = ["find", &task, "--docker.host", engine.host(), "--path.netns", &names];
    let output = Exporter::command(&netns, &query).output().unwrap();
    assert!(output.status.success(), "{}", describe(&output));
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("workload docker/svc.1\n"),
        "{}",
        describe(&output)
    );

    // A task that ends has a successor: the same slot, and so the same series, which goes on.
    let of_slot = [("container", "svc.1"), ("network", "ov")];
    let received = |metrics: &Exposition| metrics.value("veth_container_receive_packets_total", &of_slot);
    let before = received(&exporter.metrics()).unwrap();
    engine.docker(&["kill", &task]);
    let successor = wait_for(Duration::from_secs(30), "the task has a successor", || {
        let running = engine.docker(&["ps", "--filter", "name=svc.1.", "--format", "{{.Names}}"]);
        if running.is_empty() || running == task { Err(running) } else { Ok(running) }
    });
    let id = engine.docker(&["inspect", "-f", "{{.Id}}", &successor]);
    let there = [("container", "svc.1"), ("container_id", id.as_str())];
    let metrics = exporter
        .wait_for(LIMIT, "it is there", |m| m.value("veth_container_info", &there).map(|_| m.clone()));
    assert!(received(&metrics).is_some_and(|now| now >= before), "{before}, then:\n{}", metrics.text);

    // Where the service is global a node stands for the slot.
    let node = engine.docker(&["info", "-f", "{{.Swarm.NodeID}}"]);
    let global = [
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--mode",
        "global",
        "--name",
        "agent",
        "--network",
        "ov",
    ];
    engine.docker(&[&global[..], &["lab/busybox:1", "sleep", "1000"]].concat());
    let agent = format!("agent.{node}");
    let agent = [("container", agent.as_str()), ("interface", "eth0"), ("network", "ov")];
    exporter.wait_for(2 * LIMIT, "the global service's task", |m| m.value("veth_device_up", &agent));

    engine.docker(&["swarm", "leave", "--force"]);
    drop(web);
    exporter.wait_for(LIMIT, "no device of the overlay is left", |metrics| {
        let devices = series(metrics, "veth_device_up");
        (!devices.iter().any(|labels| labels.get("netns") == Some(&hidden))).then_some(())
    });
}
