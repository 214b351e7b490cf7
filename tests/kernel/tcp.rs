//! TCP figures of workloads, beside those that `nstat` and `ss` report inside the namespace.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use lab::scene::Scene;
use lab::{Exporter, Exposition, Process, succeed, wait_for, within_netns};
use serde_json::Value;
use veth_exporter::testing::kernel::{OwnNsid, Resolver, TcpReader};
use veth_exporter::testing::model::host::Located;
use veth_exporter::testing::model::link::NetnsId;
use veth_exporter::testing::model::tcp::{TcpCounter, TcpReading, TcpTarget};
use veth_exporter::testing::model::workload::Locator;

/// The time within which a namespace is read again, and the test's machine is slow.
const LIMIT: Duration = Duration::from_secs(40);

/// The families of counters, each with the name that `nstat` gives the counter.
const COUNTERS: [(&str, &str); 8] = [
    ("veth_container_tcp_attempts_failed_total", "TcpAttemptFails"),
    ("veth_container_tcp_connections_reset_total", "TcpEstabResets"),
    ("veth_container_tcp_listen_drops_total", "TcpExtListenDrops"),
    ("veth_container_tcp_listen_overflows_total", "TcpExtListenOverflows"),
    ("veth_container_tcp_resets_sent_total", "TcpOutRsts"),
    ("veth_container_tcp_segments_retransmitted_total", "TcpRetransSegs"),
    ("veth_container_tcp_segments_sent_total", "TcpOutSegs"),
    ("veth_container_tcp_timeouts_total", "TcpExtTCPTimeouts"),
];
const SOCKETS: &str = "veth_container_tcp_sockets";
const SLEEP: [(&str, &str); 2] = [("runtime", "process"), ("container", "sleep")];

/// A process in a network namespace that it alone holds, behind a device of the host.
struct Workload {
    process: Process,
    device: String,
}

impl Workload {
    fn new(scene: &Scene, device: &str) -> Workload {
        let mut unshare = scene.host.command("unshare");
        let process = Process::start("sleep", unshare.args(["-n", "sleep", "1000"]));
        let workload = Workload { process, device: device.to_owned() };
        wait_for(LIMIT, "the process sleeps", || {
            let comm = fs::read_to_string(format!("/proc/{}/comm", workload.pid())).unwrap();
            if comm == "sleep\n" { Ok(()) } else { Err(comm) }
        });
        let pid = workload.pid().to_string();
        scene.host.ip(["link", "add", device, "up", "type", "veth", "peer", "name", "eth0", "netns", &pid]);
        succeed(workload.command("ip").args(["link", "set", "lo", "up"]));
        workload
    }

    fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn netns(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.pid()).into()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.netns().display())).args(["--", program]);
        command
    }

    /// The counters of the namespace by `nstat`, by the name of the family.
    fn by_nstat(&self) -> BTreeMap<&'static str, f64> {
        let text = succeed(self.command("nstat").args(["--json", "--zeros", "--reset", "--noupdate"]));
        let all: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let value = |name: &str| all["kernel"][name].as_f64().unwrap_or_else(|| panic!("no {name}: {text}"));
        COUNTERS.map(|(family, name)| (family, value(name))).into()
    }

    /// The sockets of the namespace by `ss`, those in TIME-WAIT apart.
    fn by_ss(&self) -> f64 {
        let sockets = ["--tcp", "--no-header", "--numeric", "state", "all", "exclude", "time-wait"];
        succeed(self.command("ss").args(sockets)).lines().count() as f64
    }
}

fn counters(metrics: &Exposition) -> Option<BTreeMap<&'static str, f64>> {
    COUNTERS.map(|(family, _)| Some((family, metrics.value(family, &SLEEP)?))).into_iter().collect()
}

/// Waits until the exporter shows these counters; returns the exposition.
fn wait_for_counters(exporter: &Exporter, wanted: &BTreeMap<&'static str, f64>) -> Exposition {
    exporter.wait_for(LIMIT, &format!("the counters are {wanted:?}"), |metrics| {
        (counters(metrics).as_ref() == Some(wanted)).then(|| metrics.clone())
    })
}

/// Makes connections inside the namespace, each with its own trouble, and returns what stays open.
fn make_trouble(workload: &Workload) -> Vec<Box<dyn Send>> {
    succeed(workload.command("sysctl").args(["-qw", "net.core.somaxconn=1"]));
    succeed(workload.command("ip").args(["address", "add", "10.99.0.2/24", "dev", "eth0"]));
    succeed(workload.command("ip").args(["link", "set", "eth0", "up"]));
    let dead_end = ["neigh", "add", "10.99.0.9", "lladdr", "02:00:00:00:00:09", "dev", "eth0"];
    succeed(workload.command("ip").args(dead_end));
    within_netns(&workload.netns(), || {
        let soon = Duration::from_millis(300);
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mut open: Vec<Box<dyn Send>> = Vec::new();
        // Nothing listens there: the namespace sends a reset, and its own attempt fails.
        TcpStream::connect(address("127.0.0.1:1")).unwrap_err();
        // Connections that are not accepted fill the queue, which somaxconn has made short.
        let full = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = full.local_addr().unwrap();
        open.extend((0..5).filter_map(|_| Some(Box::new(TcpStream::connect_timeout(&to, soon).ok()?) as _)));
        open.push(Box::new(full));
        // A connection that is closed with unread bytes is reset.
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        client.write_all(b"never read").unwrap();
        server.peek(&mut [0]).unwrap();
        drop(server);
        client.read(&mut [0]).unwrap_err();
        open.push(Box::new(listener));
        // Nothing answers there, so the first segment is sent again after a second.
        TcpStream::connect_timeout(&address("10.99.0.9:9"), Duration::from_millis(1_500)).unwrap_err();
        open
    })
}

#[test]
fn the_figures_are_those_of_the_namespace_and_go_on_when_the_workload_is_created_again() {
    let scene = Scene::new();
    let exporter = scene.exporter(&[]);
    let sandbox = [("landlock", "full"), ("seccomp", "full")];
    assert_eq!(exporter.metrics().value("veth_exporter_sandbox_info", &sandbox), Some(1.0));
    let first = Workload::new(&scene, "veth1");
    let open = make_trouble(&first);
    let counted = wait_for(LIMIT, "the counters are at rest", || {
        let before = first.by_nstat();
        thread::sleep(Duration::from_secs(2));
        let after = first.by_nstat();
        if before == after { Ok(after) } else { Err(format!("{after:?}")) }
    });
    assert!(counted.values().all(|count| *count > 0.0), "{counted:?}");
    let metrics = wait_for_counters(&exporter, &counted);
    assert_eq!(metrics.value(SOCKETS, &SLEEP), Some(first.by_ss()), "{}", metrics.text);
    assert!(first.by_ss() >= 2.0);
    for (labels, _) in metrics.all(SOCKETS) {
        assert_eq!(labels, lab::scene::labels(SLEEP));
    }
    lab::promtool_check(&metrics.text).unwrap();

    drop(open);
    drop(first.process);
    exporter.wait_for(LIMIT, "its sockets are gone and its counters stay", |metrics| {
        (metrics.value(SOCKETS, &SLEEP).is_none() && counters(metrics).as_ref() == Some(&counted))
            .then_some(())
    });
    let second = Workload::new(&scene, "veth2");
    within_netns(&second.netns(), || _ = TcpStream::connect("127.0.0.1:1").unwrap_err());
    let more = second.by_nstat();
    assert!(more["veth_container_tcp_resets_sent_total"] >= 1.0, "{more:?}");
    let both = counted.iter().map(|(family, count)| (*family, count + more[family])).collect();
    wait_for_counters(&exporter, &both);

    // A restart of the exporter is no spike: what was counted before is its baseline.
    drop(exporter);
    let again = scene.exporter(&[]);
    wait_for_counters(&again, &COUNTERS.map(|(family, _)| (family, 0.0)).into());
}

#[test]
fn a_namespace_without_a_process_has_no_figures_and_nothing_is_read_unless_it_is_wanted() {
    let scene = Scene::new();
    let named = scene.named("web");
    scene.host.veth("veth-web", &named, "eth0");
    let _process = Workload::new(&scene, "veth1");
    let exporter = scene.exporter(&[]);
    let metrics = exporter.wait_for(LIMIT, "the process has figures", |metrics| {
        metrics.value(SOCKETS, &SLEEP).map(|_| metrics.clone())
    });
    let web = [("container", "web")];
    assert!(metrics.value("veth_container_receive_bytes_total", &web).is_some());
    for (family, _) in COUNTERS {
        assert_eq!((metrics.value(family, &web), metrics.all(family).len()), (None, 1), "{}", metrics.text);
    }
    drop(exporter);
    let exporter = scene.exporter(&["--collector.tcp=false"]);
    exporter.wait_for(LIMIT, "the process is named", |metrics| {
        metrics.value("veth_container_receive_bytes_total", &[SLEEP[0], SLEEP[1], ("interface", "eth0")])
    });
    thread::sleep(Duration::from_secs(3));
    assert!(!exporter.metrics().text.contains("veth_container_tcp_"));
}

#[test]
fn what_is_read_keeps_no_veth_alive() {
    let scene = Scene::new();
    let exporter = scene.exporter(&[]);
    let workloads: Vec<Workload> =
        (0..20).map(|number| Workload::new(&scene, &format!("v{number}"))).collect();
    exporter.wait_for(LIMIT, "some are read", |metrics| metrics.value(SOCKETS, &SLEEP));
    let files = fs::read_dir(format!("/proc/{}/fd", exporter.pid())).unwrap();
    let files = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    let held: Vec<PathBuf> = files.filter(|file| file.to_string_lossy().contains("/net")).collect();
    assert_eq!(held, [] as [PathBuf; 0]);
    for Workload { process, device } in workloads {
        drop(process);
        wait_for(Duration::from_secs(5), "its veth is gone with it", || {
            let links = scene.host.ip(["-o", "link", "show"]);
            if links.contains(&format!(" {device}@")) { Err(links) } else { Ok(()) }
        });
    }
    assert_eq!(exporter.remarks(), Vec::<String>::new());
}

/// The nsid of a process's namespace, as the scene's host numbers it.
fn nsid(resolver: &mut Resolver, pid: u32) -> u32 {
    match resolver.locate(&Locator::Pid(pid)).unwrap() {
        Located::Nsid(nsid) => nsid,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_process_that_ends_while_it_is_read_or_is_elsewhere_is_gone_and_no_failure() {
    let scene = Scene::new();
    let resolver = || scene.host.within(|| Resolver::open(OwnNsid::default()).unwrap());
    let mut own = resolver();
    let mut reader = TcpReader::new(resolver(), Path::new("/proc"));
    let mut read = |nsid: u32, pid: u32| {
        let target = TcpTarget { netns: NetnsId::Other { nsid, generation: 0 }, pid };
        let mut readings = reader.read_all(vec![target]);
        let TcpReading { target: answered, answer } = readings.remove(0);
        assert_eq!(answered, target);
        answer.map_err(|failure| failure.to_string())
    };
    let gone = Err("the network namespace is gone".to_owned());
    let workloads: Vec<Workload> =
        (0..40).map(|number| Workload::new(&scene, &format!("v{number}"))).collect();
    let all: Vec<(u32, u32)> =
        workloads.iter().map(|workload| (nsid(&mut own, workload.pid()), workload.pid())).collect();
    let (first, second) = (all[0], all[1]);
    assert!(read(first.0, first.1).unwrap().counter(TcpCounter::SegmentsSent).is_some());
    assert_eq!(read(first.0, second.1), gone, "the process of another namespace");
    assert_eq!(read(first.0, std::process::id()), gone, "a process of the host");
    assert_eq!(read(first.0, u32::MAX), gone, "no process");
    let (mut answers, mut ended) = (0, 0);
    thread::scope(|scope| {
        let killer = scope.spawn(|| workloads.into_iter().for_each(|workload| drop(workload.process)));
        while !killer.is_finished() {
            for &(nsid, pid) in &all {
                match read(nsid, pid) {
                    Ok(_) => answers += 1,
                    failure => {
                        assert_eq!(failure, gone);
                        ended += 1;
                    }
                }
            }
        }
    });
    assert!(answers > 0 && ended > 0, "{answers} {ended}");
}
