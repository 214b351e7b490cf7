//! In a container: Docker's own seccomp profile, and no capability.

use lab::{DockerEngine, Exporter, needs_engine, wait_for};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(15);

/// Runs the exporter in a container of the host's network and processes, and returns /metrics.
fn metrics_of_container(arguments: &[&str]) -> (String, String) {
    let engine = DockerEngine::get();
    let named = engine.run_idle("seen", &[]);
    let binary = format!("{}:/veth-exporter:ro", Exporter::binary());
    // The binary of the tests is linked to the C library of this system.
    let fixed = [
        "--network",
        "host",
        "--pid",
        "host",
        // The network namespace of the lab's engine stands for the host's.
        "--env",
        "VETH_EXPORTER_NETNS_OWN=true",
        "-v",
        &binary,
        "-v",
        "/usr/lib:/usr/lib:ro",
        "-v",
        "/usr/lib:/lib:ro",
    ];
    let loader = ["-v", "/lib64:/lib64:ro", "-v"];
    let socket = format!("{}:/var/run/docker.sock", engine.socket().display());
    let all = [&fixed[..], &loader, &[&socket], arguments].concat();
    let words = ["/veth-exporter", "--web.listen-address", "127.0.0.1:0"];
    let exporter = engine.run("exporter", &all, &words);
    let log = || {
        let output = engine.try_docker(&["logs", exporter.name()]);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let address = wait_for(LIMIT, "it listens", || {
        let log = log();
        let address =
            log.lines().find_map(|line| line.contains("msg=listening").then(|| line.split_once("address=")));
        let address = address.flatten().and_then(|(_, rest)| rest.split(' ').next()).map(str::to_owned);
        address.ok_or(log)
    });
    let wanted = format!("container=\"{}\"", named.name());
    let metrics = wait_for(LIMIT, "the other container is named", || {
        let url = format!("http://{address}/metrics");
        let output = engine.netns().command("curl").args(["-s", &url]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.contains(&wanted) { Ok(text) } else { Err(format!("{text}\n{}", log())) }
    });
    (metrics, log())
}

fn sandbox_line(metrics: &str) -> &str {
    metrics.lines().find(|line| line.starts_with("veth_exporter_sandbox_info{")).unwrap()
}

#[test]
fn it_confines_itself_in_a_container_without_any_capability() {
    needs_engine!();
    let (metrics, log) = metrics_of_container(&["--cap-drop", "ALL"]);
    let line = sandbox_line(&metrics);
    for wanted in ["capabilities=\"none\"", "no_new_privs=\"true\"", "dumpable=\"false\"", "seccomp=\"full\""]
    {
        assert!(line.contains(wanted), "no {wanted} in {line}\n{log}");
    }
    // Engines before 23 do not let a container use Landlock: then that is said.
    let said = log.contains("sandbox: without landlock");
    assert!(line.contains("landlock=\"full\"") != said, "{line}\n{log}");
}

#[test]
fn it_confines_itself_in_a_container_with_the_two_capabilities_that_it_wants() {
    needs_engine!();
    let (metrics, log) =
        metrics_of_container(&["--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--cap-add", "NET_BROADCAST"]);
    let line = sandbox_line(&metrics);
    assert!(
        line.contains("capabilities=\"net_admin\"") && line.contains("seccomp=\"full\""),
        "{line}\n{log}"
    );
    assert!(!log.contains("CAP_NET"), "{log}");
}
