//! Somebody in a container who has all capabilities in a user and a network namespace of his own, and a neighbour whom he
//! would harm: the threat model in docs/security.md says what he can and what he cannot do, and this is how it is known.

use std::cell::Cell;
use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::campaign::note;
use crate::{OFTEN, SOON, Used, timed};
use lab::book::{Dice, size, sum};
use lab::crowd::{Crowd, Host, called};
use lab::{
    DockerEngine, Exporter, Exposition, Netns, NetnsFolder, Process, Traffic, needs_engine, promtool_check,
    succeed, two_silent, wait_for, within_netns,
};

/// The adversary: the first process of a pid namespace, in a user, network, mount and pid namespace of its own; all that it
/// starts dies with it.
struct Adversary {
    _process: Process,
    pid: u32,
}

impl Adversary {
    fn start() -> Adversary {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"]);
        command.args(["--mount-proc", "sleep", "100000"]);
        let process = Process::start("unshare", &mut command);
        let children = format!("/proc/{0}/task/{0}/children", process.pid());
        let pid = wait_for(SOON, "it sleeps in its namespaces", || {
            let child = fs::read_to_string(&children).unwrap_or_default().trim().parse::<u32>().ok();
            let sleeps = |pid: &u32| {
                fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n")
            };
            child.filter(sleeps).ok_or("not yet")
        });
        Adversary { _process: process, pid }
    }

    fn netns_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.pid))
    }

    /// The host gives it an eth0.
    fn join(&self, host: &Netns, device: &str) {
        host.ip([
            "link",
            "add",
            device,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            &self.pid.to_string(),
        ]);
        host.ip(["link", "set", device, "up"]);
        self.run("ip link set lo up; ip link set eth0 up");
    }

    /// A script of his, with all that he may do.
    fn run(&self, script: &str) -> String {
        let target = self.pid.to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &target, "--user", "--net", "--pid", "--mount", "--preserve-credentials"]);
        succeed(command.args(["sh", "-c", script]))
    }

    /// What his own eth0 has sent.
    fn sends(&self, count: usize, payload: usize) {
        within_netns(&self.netns_path(), || {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            for _ in 0..count {
                socket.send_to(&vec![0x5a; payload], "10.200.0.1:9").unwrap();
            }
        });
    }
}

/// Makes what he sends go out without a question to anybody.
const ROUTE: &str = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null; ip address add 10.200.0.2/24 dev eth0; \
    ip neigh replace 10.200.0.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent";

/// A neighbour with its name and its truth, an exporter, and the adversary with an eth0.
struct Scene<'a> {
    host: &'a Host,
    /// The number of the last namespace that started beside the adversary.
    started: Cell<u32>,
    neighbour: Crowd<'a>,
    exporter: Exporter,
    adversary: Adversary,
}

impl<'a> Scene<'a> {
    fn new(host: &'a Host) -> Scene<'a> {
        Scene::with(host, &[])
    }

    /// A scene whose exporter has more arguments.
    fn with(host: &'a Host, more: &[&str]) -> Scene<'a> {
        let neighbour = Crowd::new(host, 0..1);
        neighbour.name();
        neighbour.join();
        let exporter = host.exporter(&[&OFTEN, more].concat());
        neighbour.take_up();
        let adversary = Adversary::start();
        adversary.join(&host.netns, "adversary");
        adversary.run(ROUTE);
        exporter.wait_for(SOON, "both are there", |metrics| {
            let name = called(0);
            metrics.value("veth_device_up", &[("device", "v0"), ("container", &name)])?;
            metrics.value("veth_device_up", &[("device", "adversary"), ("container", "unshare")])
        });
        Scene { host, started: Cell::new(0), neighbour, exporter, adversary }
    }

    /// Starts a namespace that talks and ends. Returns the time from its pair with the host to its name in the API. All that it
    /// has said is booked to it.
    fn start_another(&self) -> Duration {
        let number = self.started.get() + 1;
        self.started.set(number);
        let name = called(number);
        let another = Crowd::new(self.host, number..number + 1);
        another.name();
        another.join();
        let pairs = || -> Value {
            let answer = self.exporter.get(&format!("/api/v1/pairs?container={name}"));
            serde_json::from_str(answer.text()).unwrap()
        };
        let begin = Instant::now();
        wait_for(SOON, "a namespace that starts has its name", || match pairs() {
            answer if answer["matched"] == 1 => Ok(()),
            answer => Err(answer),
        });
        let took = begin.elapsed();
        another.take_up();
        let said = another.talk(&mut Dice::new())[&name];
        wait_for(SOON, "what a namespace has said is booked to it, and nothing else", || {
            let answer = pairs();
            let total = |what: &str| answer["pairs"][0]["ends"][1]["totals"][what].as_u64();
            let booked = [total("receive_bytes"), total("transmit_bytes")];
            let truth = [Some(said.receive_bytes), Some(said.transmit_bytes)];
            if booked == truth { Ok(()) } else { Err(format!("truly {said:?}, booked {booked:?}")) }
        });
        took
    }

    /// The neighbour talks, and all of that is booked to him and nothing else.
    fn assert_neighbour_exact(&self, said: &mut Traffic) {
        let more = self.neighbour.talk(&mut Dice::new());
        *said = *said + sum(more.values());
        let name = called(0);
        let labels = [("runtime", "named"), ("container", name.as_str())];
        wait_for(SOON, "what the neighbour has said is booked to him, and nothing else", || {
            let metrics = self.exporter.metrics();
            let booked = Traffic::booked(&metrics, &labels);
            if booked == Some(*said) { Ok(()) } else { Err(format!("truly {said:?}, booked {booked:?}")) }
        });
    }
}

fn value(metrics: &Exposition, family: &str, labels: &[(&str, &str)]) -> f64 {
    metrics.value(family, labels).unwrap_or_else(|| panic!("no {family} {labels:?} in\n{}", metrics.text))
}

#[test]
fn who_takes_a_neighbours_mac_address_ip_address_and_name_gets_none_of_its_series() {
    let host = Host::new();
    let scene = Scene::new(&host);
    let mut said = Traffic::default();
    scene.assert_neighbour_exact(&mut said);
    // The neighbour's addresses, an interface and a process of his name, in namespaces of the adversary's own too.
    let name = called(0);
    let spoof = format!(
        "ip link set eth0 address 02:00:00:01:00:00; ip address add 10.0.0.2/30 dev eth0; ip link property add dev eth0 altname {name}; \
         mount -t tmpfs tmpfs /tmp; cp $(command -v sleep) /tmp/{name}; unshare -n /tmp/{name} 99999 >/dev/null 2>&1 & \
         sleep 0.3; inner=$!; ip link add index 7777 x7777 type veth peer name eth0 netns $inner; ip link set x7777 up; \
         nsenter -n -t $inner sh -c 'ip link set eth0 address 02:00:00:01:00:00; ip link set eth0 up'"
    );
    scene.adversary.run(&spoof);
    // Another MAC address takes all neighbours from an interface.
    scene.adversary.run("ip neigh replace 10.200.0.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent");
    scene.adversary.sends(50, 1_000);
    scene.assert_neighbour_exact(&mut said);
    let metrics = scene.exporter.wait_for(SOON, "what the adversary sent is his own", |metrics| {
        let port = metrics.value("veth_device_receive_packets_total", &[("device", "adversary")])?;
        let own: f64 = metrics
            .all("veth_container_transmit_packets_total")
            .into_iter()
            .filter(|(labels, _)| {
                labels["runtime"] != "named"
                    && labels["interface"] == "eth0"
                    && labels["container"] == "unshare"
            })
            .map(|(_, value)| value)
            .sum();
        (port >= 50.0 && own == port).then(|| metrics.clone())
    });
    let named = metrics.with_label("runtime", "named");
    assert!(
        named.iter().all(|sample| sample.labels.get("device").is_none_or(|device| device == "v0")),
        "{named:#?}"
    );
    // Its first process is the adversary's, whatever else runs there; the inner one is a process, and says so.
    let inner = [("runtime", "process"), ("container", name.as_str()), ("interface", "eth0")];
    scene.exporter.wait_for(SOON, "the inner one is a process", |metrics| Traffic::booked(metrics, &inner));
}

#[test]
fn a_docker_container_that_copies_the_addresses_and_indices_of_another_is_booked_under_its_own_name() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("spoof");
    let [victim, adversary] = two_silent(engine, &network);
    let exporter = Exporter::for_engine(engine, &OFTEN);
    let [of_victim, of_adversary] = [&victim, &adversary].map(|container| container.interface_on(&network));
    let (mac, name) = (victim.sysfs("eth0", "address"), of_adversary.name().to_owned());
    let address = victim.address(network.name());
    let [own, peer] = ["ifindex", "iflink"].map(|file| adversary.sysfs(&name, file));
    let before = [&of_victim, &of_adversary].map(|interface| interface.at_rest(&exporter));
    let within = |pid: u32, words: &[&str]| {
        succeed(Command::new("nsenter").args(["-n", "-t", &pid.to_string()]).args(words))
    };
    let pid = adversary.pid();
    within(pid, &["ip", "link", "set", &name, "address", &mac]);
    within(pid, &["ip", "address", "add", &format!("{address}/32"), "dev", &name]);
    // A namespace behind it whose pair has the very indices of the container's own, and the victim's address.
    let mut inner = Command::new("nsenter");
    let inner =
        Process::start("inner", inner.args(["-n", "-t", &pid.to_string(), "unshare", "-n", "sleep", "1000"]));
    let apart = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    wait_for(SOON, "the inner one is apart", || {
        if apart(inner.pid()) != apart(pid)
            && apart(inner.pid()).is_some_and(|own| Some(own) != fs::read_link("/proc/self/ns/net").ok())
        {
            Ok(())
        } else {
            Err("not yet")
        }
    });
    within(
        pid,
        &[
            "ip",
            "link",
            "add",
            "index",
            &peer,
            "copy",
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "index",
            &own,
            "address",
            &mac,
            "netns",
            &inner.pid().to_string(),
        ],
    );
    within(pid, &["ip", "link", "set", "copy", "up"]);
    within(inner.pid(), &["ip", "link", "set", "eth0", "up"]);
    let copy = [("container", adversary.name()), ("interface", "copy")];
    exporter.wait_for(SOON, "the copy is seen", |metrics| Traffic::booked(metrics, &copy));
    within_netns(&adversary.netns_path(), || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        // It has the victim's address itself now: so to all.
        socket.set_broadcast(true).unwrap();
        for _ in 0..50 {
            socket.send_to(&[0; 1_000], (std::net::Ipv4Addr::BROADCAST, 9)).unwrap();
        }
    });
    for (interface, (booked, own)) in [&of_victim, &of_adversary].into_iter().zip(before) {
        let (now, own_now) = interface.at_rest(&exporter);
        assert_eq!(now - booked, own_now - own, "{interface:?}");
    }
    let metrics = exporter.metrics();
    let of_victim = metrics.all("veth_container_receive_bytes_total");
    let of_victim = of_victim
        .iter()
        .filter(|(labels, _)| labels.get("container").is_some_and(|name| name == victim.name()));
    assert_eq!(of_victim.count(), 1, "{}", metrics.text);
}

#[test]
fn who_moves_renames_hides_and_makes_his_interface_anew_is_counted_all_the_same() {
    let host = Host::new();
    let scene = Scene::new(&host);
    let mut said = Traffic::default();
    for step in [
        "ip link set eth0 down; ip link set eth0 name hidden; ip link set hidden up",
        "ip link set hidden address 02:99:00:00:00:01; ip link set hidden down; ip link set hidden name eth0; ip link set eth0 up",
        "unshare -n sleep 99998 >/dev/null 2>&1 & sleep 0.3; ip link set eth0 netns $!; sleep 0.2; \
         nsenter -n -t $! sh -c 'ip link set eth0 up; ip address add 10.200.0.2/24 dev eth0; \
         ip neigh replace 10.200.0.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent; for i in 1 2 3; do ping -c 5 -i 0.01 -W 0.1 10.200.0.1 >/dev/null; done; \
         ip link set eth0 netns 1'; ip link set eth0 up",
    ] {
        scene.adversary.run(step);
        scene.adversary.run("ip link set eth0 up 2>/dev/null || ip link set hidden up");
        scene.assert_neighbour_exact(&mut said);
    }
    scene.adversary.run(&format!("ip link set eth0 up; {ROUTE} || true; true"));
    scene.adversary.run("ip neigh replace 10.200.0.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent");
    scene.adversary.sends(20, 1_000);
    // Whoever it is booked to: what went into the port is there, once.
    let metrics = scene.exporter.wait_for(SOON, "all that he sent is booked", |metrics| {
        let port = value(metrics, "veth_device_receive_bytes_total", &[("device", "adversary")]);
        let booked: f64 = metrics
            .all("veth_container_transmit_bytes_total")
            .into_iter()
            .filter(|(labels, _)| labels["runtime"] != "named")
            .map(|(_, value)| value)
            .sum();
        (port > 20_000.0 && booked == port).then(|| metrics.clone())
    });
    promtool_check(&metrics.text).unwrap();
}

/// The time after which the exporter's memory no longer grows.
const SETTLED: Duration = Duration::from_secs(10);

/// The bytes by which resident memory may grow: 2 MiB, and more than the 380 KiB by which two looks at it were seen to differ.
const NOISE: u64 = (2 << 20) + (512 << 10);

/// A name that comes after more than this is late. One in ten may be: the kernel answers nobody while it makes and deletes the
/// adversary's links.
const LATE: Duration = Duration::from_secs(2);

/// Watches the exporter beside an adversary who makes as much as he can: the neighbour is exact, scrapes come soon, others that start
/// have their names soon and their bytes exactly, and memory does not grow.
fn assert_not_slowed(scene: &Scene<'_>, said: &mut Traffic, seconds: usize, what: &str) {
    let cpu = |metrics: &Exposition| value(metrics, "process_cpu_seconds_total", &[]);
    scene.assert_neighbour_exact(said);
    let begin = Instant::now();
    let first = cpu(&scene.exporter.metrics());
    let (mut took, mut named, mut size, mut settled) = (Vec::new(), Vec::new(), 0, None);
    while begin.elapsed() < Duration::from_secs(seconds as u64) {
        // One each two seconds, if there is time.
        if begin.elapsed() >= Duration::from_secs(2) * named.len() as u32 {
            named.push(scene.start_another());
            scene.assert_neighbour_exact(said);
        }
        let (metrics, time) = timed(&scene.exporter);
        assert_eq!(metrics.value("veth_device_up", &[("device", "v0")]), Some(1.0));
        size = metrics.text.len();
        took.push(time);
        if begin.elapsed() > SETTLED {
            settled.get_or_insert_with(|| resident(&scene.exporter));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let busy = (cpu(&scene.exporter.metrics()) - first) / begin.elapsed().as_secs_f64();
    scene.assert_neighbour_exact(said);
    took.sort();
    named.sort();
    let used = resident(&scene.exporter);
    let late = named.iter().filter(|time| **time > LATE).count();
    note(&format!(
        "{what}, {seconds} s: scrape p50 {} ms, longest {} ms, {} KiB; {:.0} % of a core; {} KiB after {} s, {} KiB at the end; \
         {} others named, p50 {} ms, longest {} ms",
        took[took.len() / 2].as_millis(),
        took[took.len() - 1].as_millis(),
        size >> 10,
        busy * 100.0,
        settled.map_or_else(|| "?".to_owned(), |bytes| (bytes >> 10).to_string()),
        SETTLED.as_secs(),
        used >> 10,
        named.len(),
        named[named.len() / 2].as_millis(),
        named[named.len() - 1].as_millis(),
    ));
    assert!(took[took.len() / 2] < Duration::from_secs(1), "{took:?}");
    assert!(
        late * 10 <= named.len(),
        "{late} of {} names came after more than {LATE:?}: {named:?}",
        named.len()
    );
    assert!(used < 384 << 20, "{used} bytes");
    if let Some(settled) = settled {
        assert!(used <= settled + NOISE, "{settled} bytes after {SETTLED:?}, {used} at the end");
    }
    let log: Vec<String> = scene.exporter.remarks();
    assert!(log.len() <= 10, "{log:#?}");
}

/// Returns the least resident memory of some looks, in bytes: a text or a connection is there for a moment.
fn resident(exporter: &Exporter) -> u64 {
    let looks = (0..20).map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        Used::by(exporter).resident
    });
    looks.min().unwrap()
}

#[test]
fn thousands_of_links_addresses_and_alternative_names_slow_no_scrape_and_hide_no_neighbour() {
    let host = Host::new();
    let scene = Scene::new(&host);
    let mut said = Traffic::default();
    let links = size(1_000, 4_000);
    scene.adversary.run(&format!(
        "i=0; while [ $i -lt {links} ]; do echo link add l$i type veth peer name m$i; i=$((i+1)); done | ip -batch -; \
         i=0; while [ $i -lt 1000 ]; do echo address add 10.201.$((i/250)).$((i%250+1))/16 dev eth0; i=$((i+1)); done | ip -batch -"
    ));
    scene.exporter.wait_for(Duration::from_secs(60), "his links are seen", |metrics| {
        (metrics.value("veth_exporter_ends", &[("state", "paired")]) >= Some(2.0 * links as f64))
            .then_some(())
    });
    assert_not_slowed(&scene, &mut said, size(3, 60), &format!("{links} pairs, 1,000 addresses"));
    // One link with names of some 60 KiB: its message is as long as a message gets.
    scene.adversary.run(
        "long=$(printf 'x%.0s' $(seq 1 120)); i=0; while [ $i -lt 600 ]; do echo link property add dev eth0 altname $long$i; i=$((i+1)); done | ip -force -batch - 2>/dev/null; true",
    );
    scene.adversary.run("ip link set eth0 mtu 1400; ip link set eth0 mtu 1500");
    assert_not_slowed(&scene, &mut said, size(3, 60), "600 alternative names of 123 bytes");
    assert_eq!(
        scene.exporter.metrics().collector_success("links"),
        Some(true),
        "{:#?}",
        scene.exporter.log()
    );
    let later = Instant::now();
    let rounds = |metrics: &Exposition| crate::sum_of(metrics, "veth_exporter_resyncs_total");
    let before = rounds(&scene.exporter.metrics());
    while later.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(100));
    }
    let rounds = rounds(&scene.exporter.metrics()) - before;
    assert!(rounds <= 1.0, "{rounds} times all was read again in 2 s");
}

#[test]
fn hundreds_of_namespaces_behind_a_container_and_links_that_never_rest_slow_no_scrape_and_hide_no_neighbour()
{
    let host = Host::new();
    let scene = Scene::new(&host);
    let mut said = Traffic::default();
    let inner = size(100, 500);
    scene.adversary.run(&format!(
        "i=0; while [ $i -lt {inner} ]; do unshare -n sleep 99997 >/dev/null 2>&1 & \
         until [ \"$(readlink /proc/$!/ns/net)\" != \"$(readlink /proc/self/ns/net)\" ]; do :; done; \
         ip link add in$i type veth peer name eth0 netns $!; ip link set in$i up; i=$((i+1)); done"
    ));
    scene.exporter.wait_for(Duration::from_secs(60), "his namespaces are seen", |metrics| {
        (metrics.value("veth_exporter_ends", &[("state", "paired")]) >= Some(2.0 * inner as f64))
            .then_some(())
    });
    assert_not_slowed(&scene, &mut said, size(3, 60), &format!("{inner} namespaces"));
    // From now on links come and go as fast as he can, so that each dump of his namespace is interrupted.
    scene.adversary.run(
        "mount -t tmpfs tmpfs /tmp; i=0; while [ $i -lt 50 ]; do echo link add c type bridge; echo link del c; i=$((i+1)); done > /tmp/churn; \
         (while :; do ip -force -batch /tmp/churn; done) >/dev/null 2>&1 &",
    );
    let rounds = |metrics: &Exposition| crate::sum_of(metrics, "veth_exporter_resyncs_total");
    let before = rounds(&scene.exporter.metrics());
    let seconds = size(5, 60);
    assert_not_slowed(&scene, &mut said, seconds, "and links that come and go without rest");
    let rounds = rounds(&scene.exporter.metrics()) - before;
    assert!(rounds <= 2.0, "{rounds} times all was read again in {seconds} s because of one namespace");
}

#[test]
fn links_namespaces_and_names_that_he_makes_and_deletes_in_a_loop_take_no_memory_and_make_no_name_late() {
    let host = Host::new();
    // Every one of his names is another: the exporter forgets them as they go.
    let scene = Scene::with(&host, &["--container.retention", "5s"]);
    let mut said = Traffic::default();
    // At each turn a namespace, with a process of another name, a pair that is renamed and a pair that goes at once. Twenty live.
    scene.adversary.run(
        "mount -t tmpfs tmpfs /tmp; mkfifo /tmp/never; \
         (i=0; while :; do i=$((i+1)); echo $i > /tmp/turns; \
         unshare -n sh -c \"printf w$i > /proc/self/comm; read _ < /tmp/never\" & \
         until [ \"$(readlink /proc/$!/ns/net)\" != \"$(readlink /proc/self/ns/net)\" ]; do :; done; \
         printf '%s\\n' \"link add in$i type veth peer name eth0 netns $!\" \"link set in$i up\" \"link add l$i type veth peer name m$i\" \
         \"link set in$i down\" \"link set in$i name x$i\" \"link set x$i up\" \"link property add dev x$i altname a$i\" \"link del l$i\" | ip -batch -; \
         set -- \"$@\" $!; if [ $# -gt 20 ]; then kill $1; shift; fi; done) >/dev/null 2>&1 &",
    );
    let turns = || scene.adversary.run("cat /tmp/turns").trim().parse::<u32>().unwrap_or(0);
    wait_for(SOON, "thirty turns", || match turns() {
        turns if turns >= 30 => Ok(()),
        turns => Err(turns),
    });
    let (begin, before) = (Instant::now(), turns());
    assert_not_slowed(&scene, &mut said, size(5, 60), "links, namespaces and names in a loop");
    let a_second = f64::from(turns() - before) / begin.elapsed().as_secs_f64();
    note(&format!("{a_second:.0} turns of that loop a second"));
}

#[test]
fn whatever_bytes_he_names_links_and_processes_by_the_exposition_is_valid() {
    let host = Host::new();
    let scene = Scene::new(&host);
    scene.adversary.run(
        "mount -t tmpfs tmpfs /tmp; for name in 'a\"b' 'back\\slash' '{x=\"y\"}' '\"} 1 2' '#HELP a' \"$(printf 'v\\377\\376')\" \"$(printf 'e\\033[2J')\" \"$(printf 'two\\nlines')\"; do \
         cp $(command -v sleep) \"/tmp/$name\"; unshare -n \"/tmp/$name\" 99996 >/dev/null 2>&1 & \
         until [ \"$(readlink /proc/$!/ns/net)\" != \"$(readlink /proc/self/ns/net)\" ]; do :; done; \
         ip link add \"$(printf '%s' \"$name\" | tr -d ' \\n')\" type veth peer name eth0 netns $! || exit 1; done",
    );
    let metrics = scene.exporter.wait_for(SOON, "all eight are there", |metrics| {
        let processes = metrics.all("veth_container_info").into_iter();
        (processes.filter(|(labels, _)| labels["runtime"] == "process").count() >= 9).then(|| metrics.clone())
    });
    promtool_check(&metrics.text).unwrap();
    let mut said = Traffic::default();
    scene.assert_neighbour_exact(&mut said);
    assert!(scene.exporter.log().iter().all(|line| !line.contains('\u{1b}')), "{:?}", scene.exporter.log());
}

#[test]
fn a_link_with_names_too_long_for_a_dump_hides_neither_its_port_nor_a_byte() {
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    folder.name("web", &web);
    host.veth("veth-web", &web, "eth0");
    // As many as the kernel takes: some 64 KiB.
    let names: String = (0..600)
        .map(|number| format!("link property add dev eth0 altname {}{number}\n", "x".repeat(120)))
        .collect();
    let batch = lab::empty_folder("names").join("batch");
    fs::write(&batch, names).unwrap();
    let mut ip = Command::new("ip");
    ip.args(["-n", web.name(), "-force", "-batch"]).arg(&batch).output().unwrap();
    let shown = web.ip_json(["link", "show", "eth0"])[0]["altnames"].as_array().unwrap().len();
    assert!(shown > 400, "the kernel took {shown} names");
    let exporter = Exporter::start(&host, &[&folder.arguments()[..], &OFTEN].concat());
    let named = |interface: &str| {
        let labels = [("device", "veth-web"), ("container", "web"), ("interface", interface)];
        exporter.wait_for(SOON, "it has its name", |metrics| metrics.value("veth_device_up", &labels));
    };
    named("eth0");
    web.ip(["link", "set", "eth0", "down"]);
    web.ip(["link", "set", "eth0", "name", "eth1"]);
    web.ip(["link", "set", "eth1", "up"]);
    named("eth1");
    host.address("veth-web", "10.99.0.1", &web, "eth1", "10.99.0.2");
    web.address("eth1", "10.99.0.2", &host, "veth-web", "10.99.0.1");
    lab::send_datagrams(&web.path(), &host.path(), "10.99.0.1".parse().unwrap(), 20, 1_000);
    exporter.wait_for(SOON, "what it sent is booked", |metrics| {
        let labels = [("container", "web"), ("interface", "eth1")];
        Traffic::booked(metrics, &labels).filter(|booked| booked.transmit_bytes == 20 * 1_042)
    });
    assert_eq!(exporter.metrics().value("veth_exporter_bad_messages_total", &[]), Some(0.0));
    note(&format!("{shown} alternative names of 123 bytes"));
}
