//! Podman by itself: its pods and networks, the ways to its socket, and its absence.

use std::os::unix::fs::symlink;

use super::{OFTEN, SOON, collectors, workloads};
use lab::{Exporter, Netns, Podman, empty_folder, needs_engine};

fn exporter(podman: &Podman, more: &[&str]) -> Exporter {
    let names = empty_folder("n").display().to_string();
    Exporter::start(podman.netns(), &[&["--path.netns", &names], &OFTEN[..], more].concat())
}

#[test]
fn a_pod_has_its_own_name_and_networks_bear_the_names_that_podman_gave() {
    needs_engine!();
    let netns = Netns::new("pod");
    let podman = Podman::start(&netns);
    let own_host = podman.host();
    let exporter = exporter(&podman, &["--podman.host", &own_host]);
    podman.podman(&["network", "create", "front"]);
    podman.podman(&[
        "pod",
        "create",
        "--name",
        "shop",
        "--infra-name",
        "shop-infra",
        "--infra-command",
        "/bin/sleep 1000",
    ]);
    let one = podman.run("one", &["--pod", "shop"]);
    let _two = podman.run("two", &["--pod", "shop"]);
    let _both = podman.run("both", &["--network", "front,podman"]);
    let _guest = podman.run("guest", &["--network", "container:both"]);
    let _alone = podman.run("alone", &["--network", "none"]);
    let _on_host = podman.run("onhost", &["--network", "host"]);

    let of = |owner: &str| Some(owner.to_owned());
    let wanted: Vec<(String, Option<String>)> = [
        ("podman/both", None),
        ("podman/guest", of("both")),
        ("podman/one", of("shop")),
        ("podman/shop", None),
        ("podman/two", of("shop")),
    ]
    .map(|(name, owner)| (name.to_owned(), owner))
    .into();
    let metrics = exporter.wait_for(SOON, "just these workloads are there", |metrics| {
        (workloads(metrics) == wanted).then(|| metrics.clone())
    });
    let mut interfaces: Vec<[String; 3]> = metrics
        .all("veth_device_info")
        .into_iter()
        .map(|(labels, _)| ["container", "network", "bridge"].map(|name| labels[name].clone()))
        .collect();
    interfaces.sort();
    let wanted = [["", "podman", "podman0"], ["both", "front", "podman1"], ["both", "podman", "podman0"]];
    assert_eq!(interfaces, wanted);
    let networks = metrics.all("veth_network_receive_bytes_total").into_iter();
    // On a busy machine Podman may tell of a container more than a second after its interface has come.
    let of_podman = networks.filter(|(labels, _)| labels["runtime"] == "podman");
    let networks: Vec<String> = of_podman.map(|(labels, _)| labels["network"].clone()).collect();
    assert_eq!(networks, ["front", "podman"], "{}", metrics.text);
    let only = [("counters", true), ("events", true), ("links", true), ("named", true), ("podman", true)];
    let mut seen = collectors(&metrics);
    seen.remove("process"); // it is there as soon as it was needed once
    assert_eq!(seen, only.map(|(name, success)| (name.to_owned(), success)).into());

    // A restart gives it another process, and with a fixed address nothing else that its list would show.
    let id = one.inspect()["Id"].as_str().unwrap().to_owned();
    let fixed = podman.run("fixed", &["--mac-address", "02:00:00:00:00:99"]);
    let named = |container: &str| {
        [("runtime", "podman"), ("container", container), ("interface", "eth0")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
    };
    let there = |container: &str| {
        let labels = named(container);
        let labels: Vec<(&str, &str)> = labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        exporter.wait_for(SOON, &format!("{container} has a device"), |m| m.value("veth_device_up", &labels));
    };
    there("fixed");
    let before = fixed.pid();
    podman.podman(&["restart", "-t", "0", "fixed"]);
    assert_ne!(fixed.pid(), before);
    there("fixed");
    fixed.interface("eth0").at_rest(&exporter);
    let member = [("container", "one"), ("container_id", id.as_str()), ("network_owner", "shop")];
    assert_eq!(exporter.metrics().value("veth_container_info", &member), Some(1.0));
}

#[test]
fn podman_is_asked_once_by_whatever_name_its_socket_is_called() {
    needs_engine!();
    let netns = Netns::new("where");
    let podman = Podman::start(&netns);
    let _web = podman.run("web", &[]);
    let host = podman.host();
    let link = empty_folder("l").join("docker.sock");
    symlink(podman.socket(), &link).unwrap();
    let linked = format!("unix://{}", link.display());
    // As users of Podman set DOCKER_HOST; as the package podman-docker links /run/docker.sock; both at once.
    for ways in [
        &["--docker.host", &host][..],
        &["--docker.host", &linked, "--podman.host", &host],
        &["--docker.host", &host, "--podman.host", &host],
    ] {
        let names = empty_folder("n").display().to_string();
        // A /run of its own: nothing is at Podman's usual path.
        let own_run = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && exec \"$0\" \"$@\""];
        let flags = [ways, &["--path.netns", &names], &OFTEN].concat();
        let exporter = Exporter::start_through(podman.netns(), &own_run, &flags);
        let metrics = exporter.wait_for(SOON, "web has its name", |metrics| {
            (workloads(metrics) == [("podman/web".to_owned(), None)]).then(|| metrics.clone())
        });
        assert_eq!(metrics.collector_success("podman"), Some(true), "{ways:?}");
        assert_eq!(metrics.collector_success("docker"), None, "{ways:?}");
        assert_eq!(exporter.log().iter().filter(|line| line.contains("level=warn")).count(), 0, "{ways:?}");
    }
}

#[test]
fn podman_may_come_late_stop_and_come_back_and_names_and_totals_stay() {
    needs_engine!();
    let netns = Netns::new("late");
    let mut podman = Podman::start(&netns);
    podman.podman(&["network", "create", "quiet"]);
    let host = podman.host();
    podman.stop();
    let exporter = exporter(&podman, &["--podman.host", &host]);
    exporter.wait_for(SOON, "its absence is a failure, for it was asked for", |metrics| {
        (metrics.collector_success("podman") == Some(false)).then_some(())
    });
    podman.restart();
    podman.run("web", &["--network", "quiet"]);
    let there = |works: bool| {
        exporter.wait_for(SOON, "web has its name", |metrics| {
            let named = workloads(metrics) == [("podman/web".to_owned(), None)];
            (named && metrics.collector_success("podman") == Some(works)).then_some(())
        });
    };
    there(true);
    podman.stop();
    there(false);
    podman.restart();
    there(true);
    let of_podman: Vec<String> =
        exporter.log().into_iter().filter(|line| line.contains("collector=podman")).collect();
    assert_eq!(of_podman.len(), 4, "failed, works again, failed, works again: {of_podman:#?}");
}
