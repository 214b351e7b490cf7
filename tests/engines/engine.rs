//! The life of a Docker engine: it comes after the exporter, hangs, is killed, stops and comes back, and no restart of the
//! exporter is needed. Each test has an engine of its own, alone in a network namespace of its own.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use lab::{
    Container, DockerEngine, Exporter, Exposition, Netns, Traffic, empty_folder, folder, needs_engine, ping,
    unique_name, wait_for,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const SOON: Duration = Duration::from_secs(10);

fn wait_for_docker(exporter: &Exporter, works: bool) {
    exporter.wait_for(SOON, &format!("collector_success of docker is {works}"), |metrics| {
        metrics.collector_success("docker").filter(|success| *success == works)
    });
}

/// Every device with a name: its container and its interface, without repetition of either.
fn named(metrics: &Exposition) -> Vec<[String; 3]> {
    let mut named: Vec<[String; 3]> = metrics
        .all("veth_device_info")
        .into_iter()
        .map(|(labels, _)| {
            ["device", "container", "interface"].map(|name| labels.get(name).cloned().unwrap_or_default())
        })
        .collect();
    named.sort();
    named
}

/// What [`named`] must be when just these containers run.
fn devices_of(engine: &DockerEngine, containers: &[&Container]) -> Vec<[String; 3]> {
    let device = |container: &&Container| {
        [container.host_device(engine.netns(), "eth0"), container.name().to_owned(), "eth0".to_owned()]
    };
    let mut devices: Vec<[String; 3]> = containers.iter().map(device).collect();
    devices.sort();
    devices
}

fn wait_for_names(exporter: &Exporter, expected: &[[String; 3]]) {
    wait_for(SOON, "just these devices have just these names", || {
        let metrics = exporter.metrics();
        if named(&metrics) == expected { Ok(()) } else { Err(format!("{expected:#?} and\n{}", metrics.text)) }
    });
}

/// What the log said of changes of the engine's state: one line a change, and so never the same twice running.
fn changes(exporter: &Exporter) -> Vec<String> {
    let log = exporter.log();
    let of_docker = log.iter().filter(|line| line.contains("collector=docker"));
    of_docker
        .map(|line| {
            let level = line.split("level=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
            let works = line.contains("msg=\"works again\"");
            assert_ne!(works, line.contains("msg=failed"), "{line}");
            format!("{level}: {}", if works { "works again" } else { "failed" })
        })
        .collect()
}

const FAILED: &str = "warn: failed";
const WORKS: &str = "info: works again";

/// An exporter in a mount namespace with a /run of its own: /var/run/docker.sock, where it looks if nobody says anything, is the
/// test's to make. `sh` becomes the exporter.
fn start_unconfigured(netns: &Netns) -> Exporter {
    let names = empty_folder("n").display().to_string();
    let own_run = "mount -t tmpfs tmpfs /run && exec \"$0\" \"$@\"";
    Exporter::start_through(netns, &["unshare", "--mount", "sh", "-c", own_run], &["--path.netns", &names])
}

#[test]
fn an_engine_that_comes_after_the_exporter_names_its_containers_and_may_stop_and_come_back() {
    needs_engine!();
    let netns = Netns::new("late");
    let mut engine = DockerEngine::start_private(&netns);
    engine.stop();
    let names = empty_folder("n").display().to_string();
    let configured = Exporter::start(&netns, &["--docker.host", engine.host(), "--path.netns", &names]);
    let unconfigured = start_unconfigured(&netns);
    configured.wait_ready();
    unconfigured.wait_ready();
    wait_for_docker(&configured, false);
    assert_eq!(changes(&configured), [FAILED]);
    let metrics = unconfigured.metrics();
    assert_eq!(metrics.collector_success("docker"), None, "neither configured nor found:\n{}", metrics.text);

    engine.restart();
    let socket = format!("/proc/{}/root/run/docker.sock", unconfigured.pid());
    symlink(engine.socket(), &socket).unwrap_or_else(|error| panic!("{socket}: {error}"));
    let containers = [engine.run_idle("late", &[]), engine.run_idle("late", &[])];
    let [one, two] = &containers;
    let expected = devices_of(&engine, &[one, two]);
    for exporter in [&configured, &unconfigured] {
        wait_for_names(exporter, &expected);
        wait_for_docker(exporter, true);
    }
    assert_eq!(changes(&configured), [FAILED, WORKS]);
    assert_eq!(changes(&unconfigured), [] as [&str; 0]);

    engine.stop();
    for exporter in [&configured, &unconfigured] {
        wait_for_docker(exporter, false);
        wait_for_names(exporter, &[]);
    }
    engine.restart();
    engine.docker(&["start", one.name()]);
    let expected = devices_of(&engine, &[one]);
    for exporter in [&configured, &unconfigured] {
        wait_for_names(exporter, &expected);
        wait_for_docker(exporter, true);
    }
    assert_eq!(changes(&configured), [FAILED, WORKS, FAILED, WORKS]);
    assert_eq!(changes(&unconfigured), [FAILED, WORKS]);
}

/// /metrics, which must come within a second; and never with somebody unknown.
fn prompt(exporter: &Exporter) -> Exposition {
    let begin = Instant::now();
    let metrics = exporter.metrics();
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(1), "/metrics took {took:?}");
    refuse_the_unknown(&metrics);
    metrics
}

fn refuse_the_unknown(metrics: &Exposition) {
    let unknown = metrics.with_label("runtime", "unknown");
    assert!(unknown.is_empty(), "{unknown:#?} in\n{}", metrics.text);
}

#[test]
fn names_and_counters_go_on_while_the_engine_hangs_and_after_it_was_killed() {
    needs_engine!();
    let netns = Netns::new("hung");
    let mut engine = DockerEngine::start_private(&netns);
    let containers = [engine.run_idle("hung", &[]), engine.run_idle("hung", &[])];
    let [one, two] = &containers;
    let exporter = Exporter::for_engine(&engine, &[]);
    let expected = devices_of(&engine, &[one, two]);
    wait_for_names(&exporter, &expected);
    let eth0 = one.interface("eth0");
    let to = two.address("bridge");
    let traffic_is_exact = || {
        let (first, own_first) = eth0.at_rest(&exporter);
        ping(&eth0.netns_path(), to, 5, 500);
        let (last, own_last) = eth0.at_rest(&exporter);
        assert_eq!(last - first, own_last - own_first);
        assert!((last - first).receive_packets >= 5, "{first:?} {last:?}");
    };

    engine.signal(Signal::SIGSTOP);
    let begin = Instant::now();
    wait_for(SOON, "the engine's silence is seen", || {
        let metrics = prompt(&exporter);
        assert_eq!(named(&metrics), expected, "names stay while the engine hangs");
        if metrics.collector_success("docker") == Some(false) { Ok(()) } else { Err(metrics.text) }
    });
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    traffic_is_exact();
    engine.signal(Signal::SIGCONT);
    wait_for_docker(&exporter, true);
    assert_eq!(changes(&exporter), [FAILED, WORKS]);

    engine.kill();
    wait_for_docker(&exporter, false);
    traffic_is_exact();
    assert_eq!(named(&prompt(&exporter)), expected, "the containers live on, and so do their names");
    let before = Traffic::booked(&exporter.metrics(), &eth0.labels()).unwrap();

    // Without live-restore the new engine ends what the old one has left running.
    exporter.while_scraping(refuse_the_unknown, || {
        engine.restart();
        engine.docker(&["start", one.name(), two.name()]);
        wait_for_names(&exporter, &devices_of(&engine, &[one, two]));
    });
    wait_for_docker(&exporter, true);
    assert_eq!(changes(&exporter), [FAILED, WORKS, FAILED, WORKS]);
    let after = Traffic::booked(&exporter.metrics(), &eth0.labels()).unwrap();
    assert!(after.receive_bytes >= before.receive_bytes, "{before:?}, then {after:?}");
    let (_, own) = one.interface("eth0").at_rest(&exporter);
    assert!(after.receive_bytes >= before.receive_bytes + own.receive_bytes.min(1), "{after:?} {own:?}");
}

#[test]
fn a_container_keeps_its_name_until_its_engine_has_dismantled_it() {
    needs_engine!();
    let netns = Netns::new("dying");
    let mut engine = DockerEngine::start_private(&netns);
    let container = engine.run_idle("dying", &[]);
    let exporter = Exporter::for_engine(&engine, &["--collector.interval", "100ms"]);
    let expected = devices_of(&engine, &[&container]);
    wait_for_names(&exporter, &expected);
    let pid = container.pid();

    // An engine that stands still cannot dismantle: the moment between the process's end and the veth's lasts as long as we want.
    engine.signal(Signal::SIGSTOP);
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    wait_for(SOON, "the container's process is gone", || {
        if Path::new(&format!("/proc/{pid}")).exists() { Err("it is there") } else { Ok(()) }
    });
    exporter.while_scraping(refuse_the_unknown, || {
        wait_for_docker(&exporter, false);
        assert_eq!(named(&exporter.metrics()), expected);
        engine.signal(Signal::SIGCONT);
        wait_for_names(&exporter, &[]);
    });
    let kept = [("runtime", "docker"), ("container", container.name()), ("interface", "eth0")];
    assert!(Traffic::booked(&exporter.metrics(), &kept).is_some(), "{}", exporter.metrics().text);
}

#[test]
fn nobody_with_access_to_the_socket_sees_which_container_is_behind_each_device() {
    needs_engine!();
    let netns = Netns::new("nobody");
    let engine = DockerEngine::start_private(&netns);
    let network = engine.network("nobody");
    let containers =
        [engine.run_idle("nobody", &[]), engine.run_idle("nobody", &["--network", network.name()])];
    let open = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    open(engine.socket(), 0o666);
    open(engine.socket().parent().unwrap(), 0o711);
    open(&folder(), 0o711);
    // Cargo's folder may be in a home that nobody else can enter.
    let binary = folder().join(unique_name("veth-exporter"));
    std::fs::copy(Exporter::binary(), &binary).unwrap();

    let becomes_it = format!("exec {} \"$@\"", binary.display());
    let through = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps=-all",
        "sh",
        "-c",
        &becomes_it,
    ];
    let names = empty_folder("n").display().to_string();
    let exporter =
        Exporter::start_through(&netns, &through, &["--docker.host", engine.host(), "--path.netns", &names]);
    let expected: Vec<[String; 3]> = devices_of(&engine, &[&containers[0], &containers[1]])
        .into_iter()
        .map(|[device, container, _]| [device, container, String::new()])
        .collect();
    wait_for_names(&exporter, &expected);
    let metrics = exporter.metrics();
    for (container, network) in [(&containers[0], "bridge"), (&containers[1], network.name())] {
        let labels = [("runtime", "docker"), ("container", container.name()), ("network", network)];
        assert!(Traffic::booked(&metrics, &labels).is_some(), "{labels:?} in\n{}", metrics.text);
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", exporter.pid())).unwrap();
    assert!(status.contains("\nUid:\t65534\t65534\t65534\t65534\n"), "{status}");
    assert!(status.contains("\nCapPrm:\t0000000000000000\n"), "{status}");
    let lacks: Vec<String> = exporter.log().into_iter().filter(|line| line.contains("level=warn")).collect();
    assert!(lacks.len() == 1 && lacks[0].contains("CAP_NET_ADMIN"), "{lacks:#?}");
    std::fs::remove_file(&binary).unwrap();
}
