//! Notices about what the exporter cannot see.

use super::{Host, SOON, assert_content, open};
use lab::Exporter;

#[test]
fn an_empty_host_is_explained_with_a_command() {
    let host = Host::new();
    let exporter = host.exporter(&[]);
    let mut page = open(&exporter, &host.netns);
    let said = "document.getElementById('notices').textContent";
    page.wait_until(SOON, &format!("{said}.includes('There is no veth pair on this host')"));
    assert!(page.text(said).contains("--network host --pid host"), "{}", page.text(said));
    assert_content(&mut page);
}

#[test]
fn a_missing_privilege_is_explained_with_the_command_that_gives_it() {
    let mut host = Host::new();
    host.add("web");
    let through = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let arguments = ["--collector.disable", "docker,podman,cri,named"];
    let exporter = Exporter::start_through(&host.netns, &through, &arguments);
    let mut page = open(&exporter, &host.netns);
    let said = "document.getElementById('notices').textContent";
    for wanted in [
        "CAP_NET_ADMIN",
        "CAP_NET_BROADCAST",
        "AmbientCapabilities=CAP_NET_ADMIN CAP_NET_BROADCAST",
        "--cap-add NET_ADMIN",
    ] {
        page.wait_until(SOON, &format!("{said}.includes('{wanted}')"));
    }
    assert_content(&mut page);
}

#[test]
fn pairs_that_there_is_no_room_for_are_said_until_there_is() {
    let mut host = Host::new();
    for name in ["web", "db", "cache"] {
        host.add(name);
    }
    // Each pair has 21 series.
    let exporter = host.exporter(&["--limits.series", "25", "--container.retention", "1s"]);
    let mut page = open(&exporter, &host.netns);
    let said = "document.getElementById('notices').textContent";
    page.wait_until(SOON, &format!("{said}.includes('2 more pairs are not shown here')"));
    assert_content(&mut page);
    // The one that had its name first is shown, and the others stay in the sum until they are gone.
    let metrics = exporter.metrics();
    let is_shown = |port: &String| metrics.value("veth_device_up", &[("device", port)]).is_some();
    let ports = (0..3).map(|number| format!("veth{number}"));
    let summed: Vec<String> = ports.filter(|port| !is_shown(port)).collect();
    assert_eq!(summed.len(), 2, "{}", metrics.text);
    for port in summed {
        host.netns.ip(["link", "del", &port]);
    }
    page.wait_until(SOON, &format!("{said} === ''"));
}
