//! Docker, Podman, containerd's CRI and LXC on one host at once.

use std::path::Path;
use std::process::Command;

use super::{OFTEN, SOON, workloads};
use lab::{
    Containerd, DockerEngine, Exporter, Exposition, Interface, LxcContainer, Podman, describe, empty_folder,
    needs_engine, ping, promtool_check, succeed,
};

/// That of the pods' bridge.
const GATEWAY: &str = "10.87.0.1";

/// The ifindex of an interface, as its own namespace has it.
fn ifindex(interface: &Interface) -> u64 {
    let net = format!("--net={}", interface.netns_path().display());
    let said = succeed(Command::new("nsenter").args([&net, "ip", "-j", "link", "show", interface.name()]));
    let links: serde_json::Value = serde_json::from_str(&said).unwrap();
    links[0]["ifindex"].as_u64().unwrap()
}

fn ip(netns: &Path, words: &[&str]) {
    let net = format!("--net={}", netns.display());
    succeed(Command::new("nsenter").args([&net, "ip"]).args(words));
}

/// Sends pings to its bridge, and checks that what was booked meanwhile is what the workload itself counts.
fn check_traffic(exporter: &Exporter, interface: &Interface, gateway: &str) {
    let (first, own_first) = interface.at_rest(exporter);
    ping(&interface.netns_path(), gateway.parse().unwrap(), 5, 1_000);
    let (last, own_last) = interface.at_rest(exporter);
    assert_eq!(last - first, own_last - own_first, "{interface:?}");
    assert!((last - first).transmit_packets >= 5, "{first:?} {last:?}");
}

/// A series is there once, and no label set of a workload is somebody else's: the parser of expositions holds the first.
fn containers_called(metrics: &Exposition, name: &str) -> Vec<String> {
    let mut runtimes: Vec<String> = metrics
        .all("veth_container_receive_bytes_total")
        .into_iter()
        .filter(|(labels, _)| labels.get("container").is_some_and(|container| container == name))
        .map(|(labels, _)| labels["runtime"].clone())
        .collect();
    runtimes.sort();
    runtimes
}

#[test]
fn four_runtimes_on_one_host_each_name_their_own_and_every_byte_is_counted() {
    needs_engine!();
    let containerd = Containerd::start();
    let netns = containerd.netns();
    let engine = DockerEngine::start_private(netns);
    let mut podman = Podman::start(netns);
    let cri = containerd.socket().display().to_string();
    let host = podman.host();
    let names = empty_folder("n").display().to_string();
    let engines = ["--docker.host", engine.host(), "--podman.host", &host, "--cri.endpoint", &cri];
    let sources = [&engines[..], &["--path.netns", &names]].concat();
    let exporter = Exporter::start(netns, &[&sources, &OFTEN[..]].concat());

    let of_docker =
        engine.run_as("web", &["--sysctl", "net.ipv6.conf.all.disable_ipv6=1"], &["sleep", "1000"]);
    podman.run("web", &[]);
    let pod = containerd.run("shop", "web", &["web", "log"]);
    let lxc = LxcContainer::start(netns, "docker0");
    engine.docker(&["network", "create", "-d", "macvlan", "-o", "parent=docker0", "lan"]);
    let macvlan = engine.run_idle("direct", &["--network", "lan"]);
    let lxc_title = format!("lxc/{}", lxc.name());
    // A pod has no container's name; its containers are its members.
    let of_pod = ["cri/log", "cri/web"].map(|name| (name.to_owned(), Some("shop/web".to_owned())));
    let owners = ["cri/web", "docker/web", &lxc_title, "podman/web"].map(|name| (name.to_owned(), None));
    let mut wanted: Vec<(String, Option<String>)> = owners.into_iter().chain(of_pod).collect();
    wanted.sort();
    exporter.wait_for(SOON, "just these workloads are there", |m| (workloads(m) == wanted).then_some(()));

    let pid = podman.podman(&["inspect", "-f", "{{.State.Pid}}", "web"]).parse().unwrap();
    let in_podman = Interface::new("podman", "web", "eth0", pid);
    let in_docker = of_docker.interface("eth0");
    let in_lxc = lxc.interface("eth0");
    let in_pod = pod.interface();
    assert_eq!([&in_podman, &in_lxc, &in_pod].map(ifindex), [2, 2, 2], "an ifindex tells nothing");
    ip(&in_lxc.netns_path(), &["address", "add", "172.17.200.1/16", "dev", "eth0"]);
    let gateways =
        [(&in_docker, "172.17.0.1"), (&in_podman, "10.88.0.1"), (&in_lxc, "172.17.0.1"), (&in_pod, GATEWAY)];
    for (interface, gateway) in gateways {
        check_traffic(&exporter, interface, gateway);
    }
    let metrics = exporter.metrics();
    assert_eq!(containers_called(&metrics, "web"), ["docker", "podman"]);
    assert_eq!(containers_called(&metrics, ""), ["cri"]);
    assert_eq!(containers_called(&metrics, macvlan.name()), [] as [&str; 0]);
    promtool_check(&metrics.text).unwrap_or_else(|wrong| panic!("{wrong}"));

    // While Podman's service is away, nobody else notices, and its containers keep their names and totals.
    let before: Vec<_> = gateways.iter().map(|(interface, _)| interface.at_rest(&exporter).0).collect();
    podman.stop();
    exporter
        .wait_for(SOON, "Podman is away", |m| (m.collector_success("podman") == Some(false)).then_some(()));
    assert_eq!(exporter.metrics().collector_success("docker"), Some(true));
    for (interface, gateway) in gateways {
        check_traffic(&exporter, interface, gateway);
    }
    podman.restart();
    exporter
        .wait_for(SOON, "Podman is back", |m| (m.collector_success("podman") == Some(true)).then_some(()));
    assert_eq!(workloads(&exporter.metrics()), wanted);
    for ((interface, _), before) in gateways.iter().zip(before) {
        let (now, _) = interface.at_rest(&exporter);
        assert!(now.receive_bytes > before.receive_bytes && now.transmit_bytes > before.transmit_bytes);
    }

    // The last word of a workload is exact, too.
    let labels = in_podman.labels();
    ip(&in_podman.netns_path(), &["link", "set", "eth0", "down"]);
    let (booked, own) = in_podman.at_rest(&exporter);
    let of_podman = ("podman/web".to_owned(), None);
    podman.podman(&["rm", "-f", "-t", "0", "web"]);
    exporter.wait_for(SOON, "podman's web is gone", |m| (!workloads(m).contains(&of_podman)).then_some(()));
    let kept = lab::Traffic::booked(&exporter.metrics(), &labels).unwrap();
    assert_eq!(kept, booked, "as long as it lived its own counters were {own:?}");
    assert_eq!(exporter.metrics().with_label("runtime", "unknown").len(), 0);

    let find = |query: &str| {
        let output = Exporter::command(netns, &[&["find", query], &sources[..]].concat()).output().unwrap();
        (output.status.code(), describe(&output))
    };
    let (code, said) = find(macvlan.name());
    assert_eq!(code, Some(1));
    assert!(said.contains("has no veth: lan (macvlan) reaches the network without one"), "{said}");
    let (code, said) = find(lxc.name());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("workload lxc/{}", lxc.name())), "{said}");
    assert!(said.contains(&format!("lxc-info -pH -n {}", lxc.name())), "{said}");
}
