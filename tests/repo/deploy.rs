//! deploy/: each file is held by the tool that reads it, and what can be run here is run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use lab::{
    DockerEngine, Exporter, Netns, Process, Prometheus, checkout, describe, empty_folder, folder, http_get,
    needs_engine, succeed, wait_for,
};

fn read(path: &str) -> String {
    fs::read_to_string(checkout().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

// ---------------------------------------------------------------- systemd

/// The unit with the binary of this test, since none is installed.
fn unit() -> PathBuf {
    let text = read("deploy/systemd/veth-exporter.service");
    assert!(text.contains("ExecStart=/usr/bin/veth-exporter "), "{text}");
    let unit = empty_folder("unit").join("veth-exporter.service");
    fs::write(&unit, text.replace("/usr/bin/veth-exporter", Exporter::binary())).unwrap();
    unit
}

/// What systemd finds wrong with these units, and with what is beside them.
fn verify(units: &[&Path]) -> String {
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(units).output().unwrap();
    if output.status.success() && output.stderr.is_empty() { String::new() } else { describe(&output) }
}

#[test]
fn systemd_accepts_the_unit_without_a_word() {
    assert_eq!(verify(&[&unit()]), "");
}

#[test]
fn systemd_accepts_the_socket_and_the_two_additions_to_the_unit() {
    let unit = unit();
    let socket = unit.with_file_name("veth-exporter.socket");
    fs::write(&socket, read("deploy/systemd/veth-exporter.socket")).unwrap();
    let additions = unit.with_file_name("veth-exporter.service.d");
    fs::create_dir(&additions).unwrap();
    let add = |name: &str, text: &str| fs::write(additions.join(name), text).unwrap();
    // A group must be there when it is verified, and Docker's may not be.
    add("docker.conf", &read("deploy/systemd/docker.conf").replace("=docker", "=root"));
    add("socket.conf", &read("deploy/systemd/socket.conf"));
    assert_eq!(verify(&[&unit, &socket]), "");
    add("socket.conf", &read("deploy/systemd/socket.conf").replace("Requires=", "Wants=no-such-type "));
    assert!(verify(&[&unit, &socket]).contains("socket.conf"), "a mistake in an addition is seen");
}

#[test]
fn the_exporter_serves_on_the_socket_unit_as_the_addition_tells_it() {
    let addition = read("deploy/systemd/socket.conf");
    let variable = addition.lines().find_map(|line| line.strip_prefix("Environment=")).unwrap();
    let unit = read("deploy/systemd/veth-exporter.socket");
    let port = unit.lines().find_map(|line| line.strip_prefix("ListenStream=")).unwrap();
    let (host, names) = (Netns::quiet("host"), lab::NetnsFolder::new());
    let mut activate = host.command("systemd-socket-activate");
    activate.args(["-l", port, "-E", variable, Exporter::binary()]).args(names.arguments());
    let process = Process::start("systemd-socket-activate", &mut activate);
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let answer = wait_for(Duration::from_secs(10), "an answer on the socket", || {
        http_get(&host.path(), address, "/metrics")
    });
    assert!(answer.status == 200 && answer.text().contains("veth_exporter_build_info{"), "{answer:?}");
    // What waits in the unit's queue is answered before the line about it can be read.
    wait_for(Duration::from_secs(10), "the line about the socket", || {
        let log = process.log();
        let said = log.iter().any(|line| line.contains(&format!("address=[::]:{port}")));
        if said { Ok(()) } else { Err(log.join("\n")) }
    });
}

/// The system calls of a set, those of the sets within it included.
fn system_calls(set: &str) -> BTreeSet<String> {
    let said = succeed(Command::new("systemd-analyze").args(["--no-pager", "syscall-filter", set]));
    let mut calls = BTreeSet::new();
    for line in said.lines().skip(1).map(str::trim).filter(|line| !line.starts_with('#')) {
        if line.starts_with('@') {
            calls.extend(system_calls(line));
        } else {
            calls.insert(line.to_owned());
        }
    }
    assert!(!calls.is_empty(), "{said}");
    calls
}

/// What the unit lets through, from its lines in their order.
fn allowed_system_calls() -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    let unit = read("deploy/systemd/veth-exporter.service");
    for line in unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let (taken, words) = line.strip_prefix('~').map_or((false, line), |words| (true, words));
        for word in words.split(' ') {
            let calls =
                if word.starts_with('@') { system_calls(word) } else { BTreeSet::from([word.to_owned()]) };
            for call in calls {
                if taken {
                    allowed.remove(&call)
                } else {
                    allowed.insert(call)
                };
            }
        }
    }
    // What starts a service is let through in any case.
    allowed.extend(["execve", "exit", "exit_group", "rt_sigreturn"].map(str::to_owned));
    allowed
}

#[test]
fn the_unit_lets_through_every_system_call_of_the_exporter_and_no_other_privileged_one() {
    let (host, web, names) = (Netns::quiet("host"), Netns::quiet("web"), lab::NetnsFolder::new());
    names.name("web", &web);
    let trace = empty_folder("trace").join("calls");
    let file = trace.display().to_string();
    let web_config = checkout().join("deploy/systemd/web.yml").display().to_string();
    let mut exporter = Exporter::start_through(
        &host,
        &["strace", "-D", "-f", "-qq", "-e", "signal=none", "-o", &file],
        &[&names.arguments()[..], &["--web.config.file", &web_config]].concat(),
    );
    exporter.wait_ready();
    // An interface that comes and goes, and scrapes of each kind.
    host.veth("veth-web", &web, "eth0");
    exporter.wait_for(Duration::from_secs(10), "the pair", |metrics| {
        metrics.value("veth_container_info", &[("container", "web")])
    });
    for path in ["/metrics/cadvisor", "/api/v1/pairs", "/"] {
        assert_eq!(exporter.get(path).status, 200);
    }
    host.ip(["link", "del", "veth-web"]);
    exporter.stop();
    let used: BTreeSet<String> = wait_for(Duration::from_secs(10), "strace has written the end", || {
        let text = fs::read_to_string(&trace).unwrap();
        let calls = text.lines().filter_map(|line| line.split_whitespace().nth(1)?.split_once('('));
        let used: BTreeSet<String> = calls.map(|(name, _)| name.to_owned()).collect();
        if used.contains("exit_group") { Ok(used) } else { Err(text) }
    });
    assert!(used.contains("capset") && used.len() > 30, "{used:?}");
    let allowed = allowed_system_calls();
    let refused: Vec<&String> = used.difference(&allowed).collect();
    assert!(refused.is_empty(), "the unit refuses {refused:?}");
    for call in ["mount", "setns", "bpf", "ptrace", "init_module", "reboot"] {
        assert!(!allowed.contains(call), "{call}");
    }
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
    shell
        .args(["-euc", r#". "$0"; echo "$ARGS""#])
        .arg(checkout().join("deploy/systemd/veth-exporter.default"));
    assert_eq!(succeed(&mut shell), "--web.config.file=/etc/veth-exporter/web.yml\n");
}

#[test]
fn the_web_configuration_as_it_is_shipped_is_good_and_so_it_is_with_what_it_proposes() {
    let check =
        |path: &Path| Command::new(Exporter::binary()).arg("check-web-config").arg(path).output().unwrap();
    let shipped = check(&checkout().join("deploy/systemd/web.yml"));
    assert!(shipped.status.success(), "{}", describe(&shipped));
    let text = read("deploy/systemd/web.yml").replace(
        "<what `htpasswd -nBC 10 \"\"` prints behind the colon>",
        "$2y$04$AAAAAAAAAAAAAAAAAAAAAO4NKqKhIXyZpqDPFWrXqGD9eBzwKSB/K",
    );
    let at = text.find("# basic_auth_users").unwrap();
    let file = empty_folder("web").join("web.yml");
    fs::write(&file, text[at..].replace("# ", "")).unwrap();
    let proposed = check(&file);
    assert!(proposed.status.success(), "{}", describe(&proposed));
}

// ---------------------------------------------------------------- compose, Swarm

#[test]
fn docker_compose_accepts_the_files_and_finds_what_they_mount() {
    for file in ["deploy/compose/compose.yaml", "deploy/socket-proxy/compose.yaml", "deploy/swarm/stack.yaml"]
    {
        let mut compose = Command::new("docker-compose");
        let shown = succeed(compose.arg("-f").arg(checkout().join(file)).arg("config"));
        let own = checkout().display().to_string();
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
    let files =
        ["deploy/compose/compose.yaml", "deploy/socket-proxy/compose.yaml", "deploy/swarm/stack.yaml"];
    let others = ["deploy/kubernetes/daemonset.yaml", "deploy/systemd/veth-exporter.service", "Dockerfile"];
    for file in files.into_iter().chain(others) {
        let reason = "# One heap of malloc for all threads: a tenth less resident memory.";
        let text = read(file);
        let (_, behind) = text.split_once(reason).unwrap_or_else(|| panic!("no reason in {file}"));
        assert!(behind.contains("MALLOC_ARENA_MAX"), "{file}");
    }
}

#[test]
fn a_swarm_takes_the_stack_as_a_global_service() {
    needs_engine!();
    let netns = Netns::new("swarm");
    let engine = DockerEngine::start_private(&netns);
    engine.docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
    let stack = checkout().join("deploy/swarm/stack.yaml").display().to_string();
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
    succeed(Command::new("cp").arg("-r").arg(checkout().join("dashboards/rules")).arg(folder.join("rules")));
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
    succeed(
        Command::new("amtool").arg("check-config").arg(checkout().join("deploy/compose/alertmanager.yml")),
    );
}

// ---------------------------------------------------------------- Kubernetes

/// What kustomize makes of the folder: what `kubectl apply -k` would send.
fn kustomized() -> String {
    succeed(Command::new("kubectl").arg("kustomize").arg(checkout().join("deploy/kubernetes")))
}

/// kubernetes-validate, strict, on these documents.
fn validate(documents: &[&str]) -> Output {
    let packages = folder().join("kubernetes-python");
    let program = packages.join("bin/kubernetes-validate");
    assert!(program.exists(), "{} is missing: see what tests/run says of pip", program.display());
    let files = empty_folder("kubernetes");
    let paths = documents.iter().enumerate().map(|(number, document)| {
        let path = files.join(format!("{number}.yaml"));
        fs::write(&path, document).unwrap();
        path
    });
    let mut validate = Command::new("python3");
    validate.arg(program).args(["--strict", "--no-warn"]).args(paths).env("PYTHONPATH", packages);
    validate.output().unwrap()
}

#[test]
fn kustomize_makes_three_objects_and_kubernetes_schemas_accept_its_own_two() {
    let all = kustomized();
    let objects: Vec<&str> = all.split("\n---\n").collect();
    let kinds: Vec<&str> = all.lines().filter_map(|line| line.strip_prefix("kind: ")).collect();
    assert_eq!(kinds, ["Namespace", "DaemonSet", "PodMonitor"], "{all}");
    assert!(objects[1].contains("image: registry.example.com/veth-exporter:0.1.0\n"), "{}", objects[1]);
    let output = validate(&objects[..2]);
    let said = describe(&output);
    assert!(output.status.success() && said.matches("passed").count() == 2, "{said}");
    let wrong = objects[1].replace("hostPID:", "hostPid:");
    let output = validate(&[&wrong]);
    assert!(!output.status.success() && describe(&output).contains("hostPid"), "{}", describe(&output));
}

/// The PodMonitor that kustomize makes, held against the operator's types.
fn check_monitor(from: &str, to: &str) -> Output {
    let types = folder().join("kubernetes/node_modules");
    assert!(types.exists(), "{} is missing: see what tests/run says of npm", types.display());
    let own = empty_folder("monitor");
    std::os::unix::fs::symlink(types, own.join("node_modules")).unwrap();
    let all = kustomized();
    let monitor = all.split("\n---\n").last().unwrap();
    assert!(monitor.contains(from), "no {from} in\n{monitor}");
    let json = "import sys, json, yaml; json.dump(yaml.safe_load(sys.argv[1]), sys.stdout)";
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", folder().join("kubernetes-python"));
    let json = succeed(python.args(["-c", json, &monitor.replace(from, to)]));
    let file = own.join("monitor.json");
    fs::write(&file, json).unwrap();
    let mut check = Command::new("node");
    check.arg(checkout().join("tests/kubernetes/check.mjs")).arg(own);
    check.stdin(fs::File::open(file).unwrap()).output().unwrap()
}

#[test]
fn the_operators_schema_and_types_accept_the_pod_monitor_and_no_mistake_in_it() {
    let output = check_monitor("honorLabels: true", "honorLabels: true");
    assert!(output.status.success(), "{}", describe(&output));
    for (to, told) in [("honorLabels: 'yes'", "must be boolean"), ("honourLabels: true", "honourLabels")] {
        let output = check_monitor("honorLabels: true", to);
        assert!(!output.status.success() && describe(&output).contains(told), "{}", describe(&output));
    }
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
