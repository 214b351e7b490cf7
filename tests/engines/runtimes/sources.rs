//! Which sources run: what is found, what is configured, what is disabled, and what is broken.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;

use super::{OFTEN, SOON, collectors, workloads};
use lab::{DockerEngine, Exporter, Netns, NetnsFolder, empty_folder, needs_engine};

#[test]
fn a_source_that_is_disabled_names_nobody_and_has_no_series() {
    needs_engine!();
    let netns = Netns::new("off");
    let engine = DockerEngine::start_private(&netns);
    let container = engine.run_idle("web", &[]);
    let folder = NetnsFolder::new();
    let other = Netns::quiet("other");
    folder.name("vpn", &other);
    netns.veth("vpn0", &other, "eth0");
    let docker = format!("docker/{}", container.name());
    // Its cgroup has the id.
    let by_cgroup = format!("docker/{}", &container.id()[..12]);
    for (disabled, absent, wanted) in [
        ("podman", &["podman"][..], vec![docker.as_str(), "named/vpn"]),
        ("named", &["named"], vec![docker.as_str()]),
        ("docker", &["docker"], vec![by_cgroup.as_str(), "named/vpn"]),
        ("docker,process", &["docker", "process"], vec!["named/vpn"]),
        ("docker,podman,named,process", &["docker", "podman", "named", "process"], vec![]),
    ] {
        let own = ["--docker.host", engine.host(), "--collector.disable", disabled];
        let exporter = Exporter::start(&netns, &[&own, &folder.arguments()[..], &OFTEN].concat());
        let metrics = exporter.wait_for(SOON, &format!("without {disabled}: {wanted:?}"), |metrics| {
            let names: Vec<String> = workloads(metrics).into_iter().map(|(name, _)| name).collect();
            (names == wanted && metrics.all("veth_device_up").len() == 2).then(|| metrics.clone())
        });
        let there = collectors(&metrics);
        assert!(absent.iter().all(|name| !there.contains_key(*name)), "without {disabled}: {there:?}");
        assert!(there.values().all(|success| *success), "{there:?}");
    }
}

#[test]
fn what_the_rest_needs_cannot_be_disabled_and_a_wrong_name_is_told_the_right_ones() {
    let netns = Netns::new("names");
    for name in ["links", "counters", "events", "dokcer"] {
        let output = Exporter::command(&netns, &["--collector.disable", name]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(name) && said.contains("docker, podman, cri, named, process"), "{said}");
    }
}

#[test]
fn a_podman_that_is_broken_costs_one_line_and_no_other_source() {
    needs_engine!();
    let netns = Netns::new("broken");
    let engine = DockerEngine::start_private(&netns);
    let container = engine.run_idle("web", &[]);
    let wanted = [(format!("docker/{}", container.name()), None)];
    let folder = empty_folder("b");
    for (name, answer) in [
        ("garbage", &b"SSH-2.0-OpenSSH_9.2\r\n"[..]),
        ("docker", b"HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\n{\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.24\"}"),
        ("trouble", b"HTTP/1.1 500 X\r\nContent-Length: 19\r\n\r\n{\"message\":\"broken\"}"),
    ] {
        let socket = folder.join(name);
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // Whoever has had enough closes.
                let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(answer));
            }
        });
        let host = format!("unix://{}", socket.display());
        let exporter = Exporter::for_engine(&engine, &[&OFTEN[..], &["--podman.host", &host]].concat());
        let metrics = exporter.wait_for(SOON, &format!("{name}: Podman has failed"), |metrics| {
            (metrics.collector_success("podman") == Some(false)).then(|| metrics.clone())
        });
        assert_eq!(metrics.collector_success("docker"), Some(true));
        exporter.wait_for(SOON, "Docker's names are there", |m| (workloads(m) == wanted).then_some(()));
        let lines: Vec<String> =
            exporter.log().into_iter().filter(|line| line.contains("collector=podman")).collect();
        assert!(lines.len() == 1 && lines[0].contains("level=warn") && lines[0].contains(&host), "{lines:#?}");
    }
}
