//! A Docker-based node: kubelet's labels on Docker's containers tell of pods as CRI does.

use std::time::Duration;

use lab::{DockerEngine, Exporter, needs_engine, unique_name};

#[test]
fn a_docker_container_that_holds_a_pod_is_the_pod_and_those_in_its_network_are_its_containers() {
    needs_engine!();
    let engine = DockerEngine::get();
    let exporter = Exporter::for_engine(engine, &[]);
    let name = unique_name("web");
    let pod = format!("io.kubernetes.pod.name={name}");
    let of_pod = ["--label", &pod, "--label", "io.kubernetes.pod.namespace=shop"];
    let sandbox = [&of_pod[..], &["--label", "io.kubernetes.docker.type=podsandbox"]].concat();
    let sandbox = engine.run_idle("k8s_POD", &sandbox);
    let network = format!("container:{}", sandbox.id());
    let container = ["--network", &network, "--label", "io.kubernetes.container.name=nginx"];
    let container = engine.run_idle("k8s_nginx", &[&of_pod[..], &container].concat());
    let own = [("runtime", "docker"), ("container", ""), ("namespace", "shop"), ("pod", name.as_str())];
    let member = [
        ("runtime", "docker"),
        ("container", "nginx"),
        ("namespace", "shop"),
        ("pod", name.as_str()),
        ("container_id", container.id()),
    ];
    exporter.wait_for(Duration::from_secs(20), "the pod and its container are there", |metrics| {
        metrics.value("veth_container_info", &member)?;
        metrics.value("veth_container_info", &[&own[..], &[("container_id", sandbox.id())]].concat())?;
        metrics.value("veth_device_up", &own).filter(|up| *up == 1.0)
    });
    let metrics = exporter.metrics();
    let device = sandbox.host_device(engine.netns(), "eth0");
    let device = [&own[..], &[("device", device.as_str())]].concat();
    assert_eq!(metrics.value("veth_device_up", &device), Some(1.0), "{}", metrics.text);
    // Where there are pods, the labels are there that relabelling would fill.
    for (labels, _) in metrics.all("veth_device_up") {
        for name in ["container", "namespace", "pod"] {
            assert!(labels.contains_key(name), "{labels:?}");
        }
    }
}
