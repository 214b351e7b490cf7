//! Names where other tools look, with a real engine: the alias of a container's port, and `name-filter`.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use lab::{DockerEngine, Exporter, describe, empty_folder, needs_engine, unique_name, wait_for};

const SOON: Duration = Duration::from_secs(20);

/// The alias of a device, as `ip -j` shows it.
fn alias(engine: &DockerEngine, device: &str) -> Option<String> {
    engine.netns().ip_json(["link", "show", device])[0]["ifalias"].as_str().map(str::to_owned)
}

fn wait_for_alias(engine: &DockerEngine, device: &str, wanted: &str) {
    wait_for(SOON, &format!("{device} has the alias {wanted}"), || match alias(engine, device) {
        Some(found) if found == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn a_containers_port_has_its_name_in_ip_link_and_in_the_filter_and_follows_docker_rename() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("front");
    let mut container = engine.run_idle("web", &["--network", network.name()]);
    let device = container.host_device(engine.netns(), "eth0");
    let mut exporter = Exporter::for_engine(engine, &["--annotate.alias"]);
    let marked = |name: &str| format!("{name} eth0 {} [veth-exporter]", network.name());
    wait_for_alias(engine, &device, &marked(container.name()));
    container.rename(unique_name("shop"));
    wait_for_alias(engine, &device, &marked(container.name()));
    let url = format!("http://{}", exporter.address());
    let empty = empty_folder("n").display().to_string();
    for words in [&["--url", &url][..], &["--docker.host", engine.host(), "--path.netns", &empty]] {
        let mut filter = Exporter::command(engine.netns(), &[&["name-filter"], words].concat());
        let mut child = filter.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = engine.netns().ip(["link"]);
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", describe(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(&format!(": {device}[{} eth0]@if", container.name())), "{words:?}: {text}");
    }
    assert!(exporter.stop().success());
    assert_eq!(alias(engine, &device), None);
}
