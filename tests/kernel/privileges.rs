//! Each tier of privileges: what an ordinary user sees, what CAP_NET_ADMIN adds, and that root keeps no more than that.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use lab::{Exporter, Netns, NetnsFolder, pairs_by_ip, pairs_by_list, send_datagrams, succeed};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(5);

/// CAP_NET_ADMIN in a set of capabilities, from linux/capability.h.
const NET_ADMIN: u64 = 1 << 12;

/// A host, the container `web` behind veth-web, an unclaimed namespace behind veth-nobody, a pair on the host, and one from `web`
/// to `db`.
struct Scene {
    host: Netns,
    web: Netns,
    db: Netns,
    nobody: Netns,
    folder: NetnsFolder,
}

impl Scene {
    fn new() -> Scene {
        let netns = |prefix| Netns::quiet(prefix);
        let folder = NetnsFolder::new();
        let scene = Scene {
            host: netns("host"),
            web: netns("web"),
            db: netns("db"),
            nobody: netns("nobody"),
            folder,
        };
        scene.folder.name("web", &scene.web);
        scene.folder.name("db", &scene.db);
        scene.host.veth("veth-web", &scene.web, "eth0");
        scene.host.veth("veth-nobody", &scene.nobody, "eth0");
        scene.host.veth("left", &scene.host, "right");
        scene.web.veth("to-db", &scene.db, "to-web");
        scene.host.address("veth-web", "10.99.0.1", &scene.web, "eth0", "10.99.0.2");
        scene.web.address("eth0", "10.99.0.2", &scene.host, "veth-web", "10.99.0.1");
        send_datagrams(&scene.web.path(), &scene.host.path(), "10.99.0.1".parse().unwrap(), 7, 1_000);
        scene
    }

    fn others(&self) -> [&Netns; 3] {
        [&self.web, &self.db, &self.nobody]
    }
}

/// A copy of the binary where an ordinary user can get to it: the original may be where only root can go.
fn binary_for_all() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        std::fs::set_permissions(lab::folder(), PermissionsExt::from_mode(0o711)).unwrap();
        let copy = lab::folder().join(lab::unique_name("veth-exporter"));
        // By a process of its own: a file that this one writes would be busy for as long as a child of another test has it open.
        succeed(Command::new("cp").args([Path::new(Exporter::binary()), &copy]));
        copy
    })
}

/// The start of a command as an ordinary user: these words, then the binary.
fn as_nobody(capabilities: &[&str]) -> Vec<String> {
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let in_place_of_the_binary = format!("shift; exec {} \"$@\"", binary_for_all().display());
    let shell = ["sh", "-c", &in_place_of_the_binary, "sh"];
    user.iter().chain(capabilities).chain(&shell).map(|word| (*word).to_owned()).collect()
}

fn start(scene: &Scene, through: &[String]) -> Exporter {
    let through: Vec<&str> = through.iter().map(String::as_str).collect();
    let [flag, path] = scene.folder.arguments();
    Exporter::start_through(&scene.host, &through, &[flag, path, "--collector.interval", "100ms"])
}

/// The pairs of `list --format json` through these words.
fn list(scene: &Scene, through: &[String]) -> Value {
    let mut command = scene.host.command(&through[0]);
    command.args(&through[1..]).arg(Exporter::binary());
    let text = succeed(command.args(["list", "--format", "json"]).args(scene.folder.arguments()));
    let document: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in what list prints: {text}"));
    document["pairs"].clone()
}

fn warnings(exporter: &Exporter) -> Vec<String> {
    exporter
        .log()
        .into_iter()
        .filter(|line| line.contains("level=warn") || line.contains("level=error"))
        .collect()
}

/// For each thread its sets of capabilities, from /proc/PID/task/TID/status.
fn capabilities(pid: u32) -> BTreeMap<String, BTreeMap<String, u64>> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads
        .map(|thread| {
            let path = thread.unwrap().path();
            let read = |file| std::fs::read_to_string(path.join(file)).unwrap();
            let status = read("status");
            let sets = status.lines().filter_map(|line| {
                let (name, value) = line.strip_prefix("Cap")?.split_once(":\t")?;
                Some((name.to_owned(), u64::from_str_radix(value, 16).unwrap()))
            });
            (format!("{} {}", path.display(), read("comm").trim()), sets.collect())
        })
        .collect()
}

#[test]
fn an_ordinary_user_sees_the_hosts_links_their_counters_and_whose_they_are() {
    let scene = Scene::new();
    let exporter = start(&scene, &as_nobody(&["--inh-caps=-all"]));
    // The one that nobody claims is held back for a second.
    let metrics = exporter.wait_for(LIMIT, "all ports are shown", |metrics| {
        (metrics.all("veth_device_up").len() == 4).then(|| metrics.clone())
    });
    let port = scene.host.ip_json(["-s", "link", "show", "veth-web"]);
    let port = &port[0]["stats64"];
    assert_eq!(port["rx"]["bytes"], 7 * 1_042, "{port}");
    let labels = [("device", "veth-web"), ("container", "web"), ("runtime", "named")];
    for (name, way, unit) in [
        ("veth_device_receive_bytes_total", "rx", "bytes"),
        ("veth_device_receive_packets_total", "rx", "packets"),
        ("veth_device_transmit_bytes_total", "tx", "bytes"),
    ] {
        assert_eq!(metrics.value(name, &labels), port[way][unit].as_f64(), "{name}\n{}", metrics.text);
    }
    let devices: BTreeSet<String> =
        metrics.all("veth_device_up").into_iter().map(|(labels, _)| labels["device"].clone()).collect();
    assert_eq!(devices, ["left", "right", "veth-nobody", "veth-web"].map(str::to_owned).into());
    assert!(!metrics.text.contains("interface="), "an interface that it cannot see:\n{}", metrics.text);
    let ends = |state| metrics.value("veth_exporter_ends", &[("state", state)]);
    assert_eq!((ends("paired"), ends("peer_hidden")), (Some(2.0), Some(2.0)), "{}", metrics.text);
    for source in ["links", "counters", "named"] {
        assert_eq!(metrics.value("veth_exporter_collector_success", &[("collector", source)]), Some(1.0));
    }
}

#[test]
fn an_ordinary_users_totals_follow_the_traffic() {
    let scene = Scene::new();
    let exporter = start(&scene, &as_nobody(&["--inh-caps=-all"]));
    let sent = |metrics: &lab::Exposition| {
        metrics.value("veth_container_transmit_packets_total", &[("container", "web")])
    };
    assert_eq!(exporter.wait_for(LIMIT, "the container is there", sent), 0.0, "what was before the start");
    send_datagrams(&scene.web.path(), &scene.host.path(), "10.99.0.1".parse().unwrap(), 5, 1_000);
    assert_eq!(sent(&exporter.fresh_metrics()), Some(5.0));
}

#[test]
fn an_ordinary_user_sees_the_tcp_figures_of_a_namespace_that_is_not_its_own() {
    let scene = Scene::new();
    let exporter = start(&scene, &as_nobody(&["--inh-caps=-all"]));
    let sleep = scene.host.command("unshare").args(["-n", "sleep", "1000"]).spawn().map(Killed).unwrap();
    let pid = sleep.0.id().to_string();
    lab::wait_for(LIMIT, "the process sleeps", || {
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
        if comm == "sleep\n" { Ok(()) } else { Err(comm) }
    });
    scene.host.ip(["link", "add", "veth-s", "up", "type", "veth", "peer", "name", "eth0", "netns", &pid]);
    let labels = [("runtime", "process"), ("container", "sleep")];
    exporter.wait_for(4 * LIMIT, "it is read", |metrics| {
        let counted = metrics.value("veth_container_tcp_listen_drops_total", &labels)?;
        let sockets = metrics.value("veth_container_tcp_sockets", &labels)?;
        (counted == 0.0 && sockets == 0.0).then_some(())
    });
}

/// A child that is killed when this goes.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_an_ordinary_user_lacks_is_said_once_with_what_would_give_it() {
    let scene = Scene::new();
    let mut exporter = start(&scene, &as_nobody(&["--inh-caps=-all"]));
    exporter.wait_ready();
    let rounds = |exporter: &Exporter| {
        let metrics = exporter.metrics();
        metrics.value("veth_exporter_collector_duration_seconds", &[("collector", "links")]).map(f64::to_bits)
    };
    // Several scrapes over several rounds, each with a duration of its own.
    let mut seen = BTreeSet::new();
    lab::wait_for(LIMIT, "five rounds", || {
        seen.extend(rounds(&exporter));
        if seen.len() >= 5 { Ok(()) } else { Err(seen.len()) }
    });
    assert!(exporter.stop().success());
    let said = warnings(&exporter);
    assert_eq!(said.len(), 1, "{said:#?}");
    for word in ["CAP_NET_ADMIN", "inside containers", "--cap-add NET_ADMIN", "AmbientCapabilities"] {
        assert!(said[0].contains(word), "no {word} in {}", said[0]);
    }
}

#[test]
fn list_tells_an_ordinary_user_which_peers_are_hidden() {
    let scene = Scene::new();
    let rows = list(&scene, &as_nobody(&["--inh-caps=-all"]));
    let row = |device: &str| {
        let row = rows.as_array().unwrap().iter().find(|row| row["ends"][0]["name"] == device);
        row.unwrap_or_else(|| panic!("no {device} in {rows:#}"))
    };
    let web = row("veth-web");
    assert_eq!(
        (&web["state"], &web["ends"][1]["workload"]["container"]),
        (&"peer_hidden".into(), &"web".into()),
        "{web:#}"
    );
    assert_eq!(web["ends"][1]["ifindex"], 2, "the kernel says it to everybody: {web:#}");
    assert_eq!(
        (&web["ends"][1]["name"], &web["ends"][1]["counters"]),
        (&Value::Null, &Value::Null),
        "{web:#}"
    );
    assert_eq!(row("veth-nobody")["state"], "peer_hidden");
    assert_eq!(row(scene_pair(&rows))["state"], "paired");
}

/// The first end's device of the pair on the host.
fn scene_pair(rows: &Value) -> &str {
    let pair = rows.as_array().unwrap().iter().find(|row| row["state"] == "paired");
    pair.unwrap_or_else(|| panic!("no pair in {rows:#}"))["ends"][0]["name"].as_str().unwrap()
}

#[test]
fn with_ambient_cap_net_admin_an_ordinary_user_sees_all_that_root_sees() {
    let scene = Scene::new();
    let through = as_nobody(&["--inh-caps=-all,+net_admin", "--ambient-caps=+net_admin"]);
    lab::wait_for(LIMIT, "the links are at rest", || {
        let before = pairs_by_ip(&scene.host, &scene.others());
        let shown = pairs_by_list(&scene.host, &list(&scene, &through));
        let after = pairs_by_ip(&scene.host, &scene.others());
        if before != after {
            return Err(format!("before: {before:#?}\nafter: {after:#?}"));
        }
        assert_eq!(shown, after, "what `list` prints, and what `ip` sees");
        assert_eq!(after.len(), 4);
        Ok(())
    });
    let exporter = start(&scene, &through);
    exporter.wait_for(LIMIT, "the interface inside is seen", |metrics| {
        metrics.value("veth_device_up", &[("container", "web"), ("interface", "eth0")])
    });
    let said = warnings(&exporter);
    assert!(said.len() == 1 && said[0].contains("CAP_NET_BROADCAST"), "{said:#?}");
    for (thread, sets) in capabilities(exporter.pid()) {
        assert_eq!((sets["Prm"], sets["Eff"]), (NET_ADMIN, NET_ADMIN), "{thread}: {sets:x?}");
        assert_eq!((sets["Inh"], sets["Amb"]), (0, 0), "{thread}: {sets:x?}");
    }
}

#[test]
fn no_thread_of_a_root_exporter_keeps_more_than_cap_net_admin() {
    let scene = Scene::new();
    let exporter = start(&scene, &["env".to_owned()]);
    exporter.wait_for(LIMIT, "the interface inside is seen", |metrics| {
        metrics.value("veth_device_up", &[("container", "web"), ("interface", "eth0")])
    });
    let threads = capabilities(exporter.pid());
    for name in ["collector", "resolver", "sampler", "tokio"] {
        assert!(threads.keys().any(|thread| thread.contains(name)), "no {name} thread: {threads:#?}");
    }
    for (thread, sets) in &threads {
        assert_eq!((sets["Prm"], sets["Eff"]), (NET_ADMIN, NET_ADMIN), "{thread}: {sets:x?}");
        assert_eq!((sets["Bnd"] | sets["Inh"] | sets["Amb"]) & !NET_ADMIN, 0, "{thread}: {sets:x?}");
    }
    assert_eq!(warnings(&exporter), Vec::<String>::new());
}

#[test]
fn list_of_root_keeps_no_more_either_and_works() {
    let scene = Scene::new();
    // What it can do after it gave up the rest is what it prints.
    let output = Command::new("nsenter")
        .arg(format!("--net={}", scene.host.path().display()))
        .args([Exporter::binary(), "list", "--netns.own"])
        .args(scene.folder.arguments())
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", lab::describe(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 5, "{}", lab::describe(&output));
}

#[test]
fn a_pair_of_two_containers_that_is_made_anew_with_its_indexes_between_two_ticks_goes_on_counting() {
    let scene = Scene::new();
    let add = || {
        let ends = ["link", "add", "to-db", "index", "60", "type", "veth", "peer", "name", "to-web"];
        scene.web.ip(ends.into_iter().chain(["index", "61", "netns", scene.db.name()]));
        scene.web.ip(["link", "set", "to-db", "up"]);
        scene.db.ip(["link", "set", "to-web", "up"]);
    };
    let send = |count| {
        scene.web.address("to-db", "10.98.0.1", &scene.db, "to-web", "10.98.0.2");
        scene.db.address("to-web", "10.98.0.2", &scene.web, "to-db", "10.98.0.1");
        send_datagrams(&scene.web.path(), &scene.db.path(), "10.98.0.2".parse().unwrap(), count, 1_000);
    };
    scene.web.ip(["link", "del", "to-db"]);
    add();
    let through = as_nobody(&["--inh-caps=-all,+net_admin", "--ambient-caps=+net_admin"]);
    let exporter = start(&scene, &through);
    let sent = |metrics: &lab::Exposition| {
        let labels = [("container", "web"), ("interface", "to-db")];
        metrics.value("veth_container_transmit_bytes_total", &labels)
    };
    exporter.wait_for(LIMIT, "the pair is there", sent);
    let mut total = 0;
    for count in [50, 20, 5, 1] {
        if total > 0 {
            // Quicker than a tick, or not: what the pair before had sent was read, and all of this one is new.
            scene.web.ip(["link", "del", "to-db"]);
            add();
        }
        send(count);
        total += count;
        exporter.wait_for(LIMIT, "all that was sent is booked", |metrics| {
            (sent(metrics) == Some(f64::from(total) * 1_042.0)).then_some(())
        });
    }
}
