//! deploy/: each file is held by the tool that reads it, and what can be run here is run.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows a test by its attribute, and not what only tests call"
)]

mod lab;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::{
    DockerEngine, Exporter, Netns, Process, Prometheus, describe, empty_folder, folder, http_get,
    needs_engine, succeed, wait_for,
};

fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(checkout(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

// ---------------------------------------------------------------- systemd

/// The unit with the binary of this test, since none is installed.
fn unit() -> PathBuf {
    let text = read("deploy/systemd/veth-exporter.service");
    assert!(text.contains("ExecStart=/usr/bin/veth-exporter "), "{text}");
    let unit = empty_folder("unit").join("veth-exporter.service");
    fs::write(&unit, text.replace("/usr/bin/veth-exporter", Exporter::BINARY)).unwrap();
    unit
}

#[test]
fn systemd_accepts_the_unit_without_a_word() {
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(unit()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", describe(&output));
}

#[test]
fn systemd_finds_little_that_the_unit_could_give_away() {
    let unit = unit();
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["security", "--no-pager", "--offline=true", "--threshold=25"]).arg(&unit);
    let said = succeed(&mut analyze);
    println!("{}", said.lines().last().unwrap_or_default());
}

#[test]
fn the_default_file_is_what_the_unit_reads() {
    let unit = read("deploy/systemd/veth-exporter.service");
    assert!(unit.contains("EnvironmentFile=-/etc/default/veth-exporter\n") && unit.contains(" $ARGS\n"));
    let mut shell = Command::new("sh");
    shell.args(["-euc", r#". "$0"; test -z "$ARGS""#]).arg(checkout("deploy/systemd/veth-exporter.default"));
    succeed(&mut shell);
}

// ---------------------------------------------------------------- compose, Swarm

#[test]
fn docker_compose_accepts_the_files_and_finds_what_they_mount() {
    for file in ["deploy/compose/compose.yaml", "deploy/socket-proxy/compose.yaml", "deploy/swarm/stack.yaml"]
    {
        let mut compose = Command::new("docker-compose");
        let shown = succeed(compose.arg("-f").arg(checkout(file)).arg("config"));
        let own = checkout("").display().to_string();
        let mounted = shown.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split(':').next());
        for path in mounted.filter(|path| path.starts_with(&own)) {
            assert!(Path::new(path).exists(), "{file} mounts {path}:\n{shown}");
        }
    }
}

#[test]
fn everybody_who_runs_the_image_gives_it_the_same_and_no_more() {
    for file in ["deploy/compose/compose.yaml", "deploy/socket-proxy/compose.yaml"] {
        let text = read(file);
        for word in ["cap_drop: [ALL]", "cap_add: [NET_ADMIN, NET_BROADCAST]", "read_only: true", "pid: host"]
        {
            assert!(text.contains(word), "no {word} in {file}");
        }
        assert!(!text.contains("privileged"), "{file}");
    }
    let swarm = read("deploy/swarm/stack.yaml");
    for word in
        ["--cap-drop ALL", "--cap-add NET_ADMIN", "--cap-add NET_BROADCAST", "--read-only", "--pid host"]
    {
        assert!(swarm.contains(word), "no {word} in the stack");
    }
}

#[test]
fn a_swarm_takes_the_stack_as_a_global_service() {
    needs_engine!();
    let netns = Netns::new("swarm");
    let engine = DockerEngine::start_private(&netns);
    engine.docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
    let stack = checkout("deploy/swarm/stack.yaml").display().to_string();
    // The image is in no registry that could be asked here.
    let output = engine.try_docker(&["stack", "deploy", "--resolve-image", "never", "-c", &stack, "veth"]);
    let said = describe(&output);
    assert!(output.status.success() && !said.to_lowercase().contains("ignoring"), "{said}");
    let mode = engine.docker(&["service", "inspect", "-f", "{{json .Spec.Mode}}", "veth_launcher"]);
    assert_eq!(mode, r#"{"Global":{}}"#);
    engine.docker(&["stack", "rm", "veth"]);
    engine.docker(&["swarm", "leave", "--force"]);
}

#[test]
fn the_shell_of_the_stack_is_one() {
    let stack = read("deploy/swarm/stack.yaml");
    let script = stack.split("- |\n").nth(1).unwrap().split("    volumes:\n").next().unwrap();
    let mut shell = Command::new("sh");
    succeed(shell.args(["-n", "-c", &script.replace("$$", "$")]));
}

// ---------------------------------------------------------------- Prometheus, Alertmanager

/// Debian's Prometheus is built without the discovery of Kubernetes: a fixed target with what would be discovered stands in for it.
fn without_kubernetes_discovery(text: &str) -> String {
    let discovery =
        "    kubernetes_sd_configs:\n      - role: pod\n        namespaces: { names: [veth-exporter] }\n";
    let fixed = "    static_configs:\n      - targets: [\"127.0.0.1:10736\"]\n        labels:\n          \
                 __meta_kubernetes_pod_label_app_kubernetes_io_name: veth-exporter\n          \
                 __meta_kubernetes_pod_container_port_name: metrics\n          \
                 __meta_kubernetes_pod_node_name: node-1\n";
    assert_eq!(text.contains(discovery), text.contains("kubernetes_sd"), "{text}");
    text.replace(discovery, fixed)
}

#[test]
fn kubernetes_relabelling_names_the_node_and_leaves_the_pods_labels_alone() {
    let host = Netns::quiet("node");
    let names = empty_folder("n").display().to_string();
    let exporter = Exporter::start(&host, &["--path.netns", &names]);
    let text = without_kubernetes_discovery(&read("deploy/prometheus/kubernetes.yml"));
    let text = text.replace("127.0.0.1:10736", &exporter.address().to_string());
    let prometheus = Prometheus::configured(&host, &format!("global: {{ scrape_interval: 1s }}\n{text}"));
    let up = wait_for(Duration::from_secs(20), "a scrape", || {
        let up = prometheus.query("up");
        if up[0]["value"][1] == "1" { Ok(up) } else { Err(up) }
    });
    assert_eq!(up[0]["metric"]["instance"], "node-1", "{up:#}");
    assert_eq!(up[0]["metric"]["pod"], serde_json::Value::Null, "{up:#}");
}

#[test]
fn promtool_accepts_every_scrape_configuration() {
    let folder = empty_folder("prometheus");
    succeed(Command::new("cp").arg("-r").arg(checkout("dashboards/rules")).arg(folder.join("rules")));
    for file in [
        "deploy/compose/prometheus.yml",
        "deploy/prometheus/host.yml",
        "deploy/prometheus/swarm.yml",
        "deploy/prometheus/kubernetes.yml",
    ] {
        let copy = folder.join("prometheus.yml");
        fs::write(&copy, without_kubernetes_discovery(&read(file))).unwrap();
        let said = succeed(Command::new("promtool").args(["check", "config"]).arg(&copy));
        assert_eq!(said.contains("3 rule files found"), file.contains("compose"), "{file}: {said}");
    }
}

#[test]
fn amtool_accepts_the_configuration_of_alertmanager() {
    succeed(Command::new("amtool").arg("check-config").arg(checkout("deploy/compose/alertmanager.yml")));
}

// ---------------------------------------------------------------- Kubernetes

#[test]
fn kubernetes_schemas_accept_the_manifests() {
    let program = folder().join("python/bin/kubernetes-validate");
    assert!(program.exists(), "{} is missing: see what tests/run says of pip", program.display());
    let mut validate = Command::new(program);
    validate.args(["--strict", "--no-warn"]);
    validate.args(["namespace", "daemonset"].map(|name| checkout(&format!("deploy/kubernetes/{name}.yaml"))));
    let said = succeed(&mut validate);
    assert_eq!(said.matches("passed").count(), 2, "{said}");
}

#[test]
fn a_manifest_with_a_misspelt_field_is_refused() {
    let program = folder().join("python/bin/kubernetes-validate");
    let wrong = empty_folder("kubernetes").join("daemonset.yaml");
    let text = read("deploy/kubernetes/daemonset.yaml").replace("hostPID:", "hostPid:");
    fs::write(&wrong, text).unwrap();
    let output = Command::new(program).args(["--strict", "--no-warn"]).arg(&wrong).output().unwrap();
    assert!(!output.status.success() && describe(&output).contains("hostPid"), "{}", describe(&output));
}

#[test]
fn the_kustomization_names_the_files_that_are_there() {
    let text = read("deploy/kubernetes/kustomization.yaml");
    let named =
        text.lines().filter_map(|line| line.strip_prefix("  - ")).filter(|name| name.ends_with(".yaml"));
    let mut named: Vec<String> = named.map(str::to_owned).chain(["kustomization.yaml".to_owned()]).collect();
    let files = fs::read_dir(checkout("deploy/kubernetes")).unwrap();
    let mut there: Vec<String> =
        files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    named.sort();
    there.sort();
    assert_eq!(named, there);
}

// ---------------------------------------------------------------- the proxy before Docker's socket

/// HAProxy with the file of deploy/socket-proxy, before this engine and on a port of its network namespace.
fn start_proxy(engine: &DockerEngine) -> Process {
    let text = read("deploy/socket-proxy/haproxy.cfg");
    assert!(text.contains("bind 127.0.0.1:2375\n") && text.contains("server docker /var/run/docker.sock\n"));
    let file = empty_folder("haproxy").join("haproxy.cfg");
    fs::write(&file, text.replace("/var/run/docker.sock", &engine.socket().display().to_string())).unwrap();
    succeed(Command::new("haproxy").args(["-c", "-q", "-f"]).arg(&file));
    Process::start("haproxy", engine.netns().command("haproxy").args(["-db", "-f"]).arg(&file))
}

#[test]
fn behind_the_socket_proxy_the_exporter_names_containers_and_nobody_can_do_more() {
    needs_engine!();
    let engine = DockerEngine::get();
    let proxy = start_proxy(engine);
    let address = "127.0.0.1:2375".parse().unwrap();
    let status = |path: &str| http_get(&engine.netns().path(), address, path).map(|answer| answer.status);
    wait_for(Duration::from_secs(10), "the proxy passes on", || match status("/version") {
        Ok(200) => Ok(()),
        other => Err(format!("{other:?}\n{}", proxy.log().join("\n"))),
    });
    let names = empty_folder("n").display().to_string();
    let exporter =
        Exporter::start(engine.netns(), &["--docker.host", "tcp://127.0.0.1:2375", "--path.netns", &names]);
    let network = engine.network("behind");
    let web = engine.run_idle("web", &["--network", network.name()]);
    let seen = exporter.wait_for(Duration::from_secs(10), "the container is named", |metrics| {
        let labels = [("container", web.name()), ("network", network.name()), ("interface", "eth0")];
        metrics.value("veth_device_up", &labels).map(|_| metrics.clone())
    });
    assert_eq!(seen.collector_success("docker"), Some(true), "{}", seen.text);
    let log = exporter.log().join("\n");
    assert!(!log.contains("level=warn") && !log.contains("level=error"), "{log}");
    for path in [
        "/images/json",
        "/info",
        "/containers/x/logs",
        "/containers/x/archive?path=/etc/shadow",
        "/v1.41/containers/x/export",
        "/containers/x/json/../logs",
        "/secrets",
        "/_ping",
    ] {
        assert_eq!(status(path), Ok(403), "{path}");
    }
    let writing = lab::http_request(&engine.netns().path(), address, "POST", "/containers/x/json", &[]);
    assert_eq!(writing.map(|answer| answer.status), Ok(403));
}
