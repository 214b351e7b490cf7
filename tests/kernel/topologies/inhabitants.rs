//! Namespaces that no runtime claims, and the processes that live in them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use lab::scene::{LIMIT, Scene, labels, send, series, wait_for_series};
use lab::{Exposition, Netns, Process, folder, succeed, unique_name, wait_for};

/// A process in a network namespace that is its own and has no name, behind a device of the host.
struct ProcessInNetns {
    process: Process,
}

impl ProcessInNetns {
    /// Runs these words; waits until the process is called `comm`.
    fn new(scene: &Scene, device: &str, words: &[&str], comm: &str) -> ProcessInNetns {
        let mut unshare = scene.host.command("unshare");
        let inhabitant = ProcessInNetns { process: Process::start(words[0], unshare.arg("-n").args(words)) };
        inhabitant.wait_for_comm(comm);
        let pid = inhabitant.process.pid().to_string();
        let link = ["link", "add", device, "up", "type", "veth", "peer", "name", "eth0", "netns", &pid];
        scene.host.ip(link);
        inhabitant
    }

    fn wait_for_comm(&self, wanted: &str) {
        wait_for(LIMIT, "the process has its name", || {
            let comm = fs::read_to_string(format!("/proc/{}/comm", self.process.pid())).unwrap();
            if comm == format!("{wanted}\n") { Ok(()) } else { Err(comm) }
        });
    }
}

/// The labels `runtime` and `container` of the workload behind a device.
fn owner(metrics: &Exposition, device: &str) -> Option<(String, Option<String>)> {
    let found = metrics.all("veth_device_up").into_iter().find(|(labels, _)| labels["device"] == device)?;
    Some((found.0.get("runtime")?.clone(), found.0.get("container").cloned()))
}

fn is(runtime: &str, container: &str) -> Option<(String, Option<String>)> {
    Some((runtime.to_owned(), Some(container.to_owned())))
}

#[test]
fn a_process_gives_its_commands_name_and_never_its_arguments() {
    let scene = Scene::new();
    let exporter = scene.exporter(&[]);
    let _one = ProcessInNetns::new(&scene, "veth1", &["sleep", "987654321"], "sleep");
    let _two = ProcessInNetns::new(&scene, "veth2", &["sleep", "987654322"], "sleep");
    let metrics = exporter.wait_for(LIMIT, "both are named", |metrics| {
        let named = ["veth1", "veth2"].map(|device| owner(metrics, device));
        (named == [is("process", "sleep"), is("process", "sleep")]).then(|| metrics.clone())
    });
    assert!(!metrics.text.contains("98765432"), "an argument:\n{}", metrics.text);
    // Two of one name: one label set for both, and each namespace a name of its own.
    let wanted: &[(&str, &str)] = &[("runtime", "process"), ("container", "sleep"), ("interface", "eth0")];
    let metrics = wait_for_series(&exporter, "veth_container_receive_bytes_total", [wanted]);
    let places: Vec<String> =
        series(&metrics, "veth_device_info").into_iter().map(|info| info["peer_netns"].clone()).collect();
    assert_eq!(places.len(), 2);
    assert!(places[0] != places[1] && places.contains(&"process/sleep".to_owned()), "{places:?}");
    let info = labels([("runtime", "process"), ("container", "sleep")]);
    assert_eq!(series(&metrics, "veth_container_info").into_iter().collect::<Vec<_>>(), [info]);
}

#[test]
fn a_process_that_calls_itself_by_control_characters_is_shown_escaped() {
    let scene = Scene::new();
    let exporter = scene.exporter(&[]);
    let fifo = folder().join(unique_name("fifo"));
    succeed(Command::new("mkfifo").arg(&fifo));
    // Nobody ever writes: the shell itself waits, under the name that it has given itself.
    let script = format!("printf 'a\\n\\033[2J\"\\377' > /proc/self/comm; read _ < {}", fifo.display());
    let mut unshare = scene.host.command("unshare");
    let process = Process::start("sh", unshare.args(["-n", "sh", "-c", &script]));
    let pid = process.pid().to_string();
    wait_for(LIMIT, "the shell has renamed itself", || {
        let comm = fs::read(format!("/proc/{pid}/comm")).unwrap();
        if comm == b"a\n\x1b[2J\"\xff\n" { Ok(()) } else { Err(format!("{comm:?}")) }
    });
    scene.host.ip(["link", "add", "veth0", "type", "veth", "peer", "name", "eth0", "netns", &pid]);
    let metrics = exporter.wait_for(LIMIT, "the process is named", |metrics| {
        (owner(metrics, "veth0") == is("process", r#"a\x0a\x1b[2J"\xff"#)).then(|| metrics.clone())
    });
    assert!(!metrics.text.contains('\x1b'), "{}", metrics.text);
    lab::promtool_check(&metrics.text).unwrap();
}

/// Cgroups of one name in every hierarchy that lets us, removed when this goes.
struct Cgroups {
    made: Vec<PathBuf>,
}

impl Cgroups {
    fn new(name: &str) -> Cgroups {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let roots = mounts.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            matches!(fields[2], "cgroup" | "cgroup2").then(|| PathBuf::from(fields[1]).join(name))
        });
        Cgroups { made: roots.filter(|path| fs::create_dir(path).is_ok()).collect() }
    }

    /// Moves a process into them, those that take it; how many did.
    fn take(&self, pid: u32) -> usize {
        self.made.iter().filter(|path| fs::write(path.join("cgroup.procs"), pid.to_string()).is_ok()).count()
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for path in &self.made {
            fs::remove_dir(path).unwrap_or_else(|error| eprintln!("{}: {error}", path.display()));
        }
    }
}

#[test]
fn a_machine_is_named_by_its_cgroup() {
    let scene = Scene::new();
    let exporter = scene.exporter(&[]);
    for (cgroup, runtime) in [("lxc.payload.", "lxc"), ("machine.slice/machine-", "nspawn")] {
        let name = unique_name("m");
        let parent = (runtime == "nspawn").then(|| Cgroups::new("machine.slice"));
        let scope = if runtime == "nspawn" { name.replace('-', "\\x2d") + ".scope" } else { name.clone() };
        let cgroups = Cgroups::new(&format!("{cgroup}{scope}"));
        let machine = ProcessInNetns::new(&scene, runtime, &["sleep", "1000"], "sleep");
        assert!(cgroups.take(machine.process.pid()) > 0, "no cgroup takes a process: {:?}", cgroups.made);
        exporter.wait_for(LIMIT, "the machine is named", |metrics| {
            (owner(metrics, runtime) == is(runtime, &name)).then_some(())
        });
        // A process must go before its cgroup, and that before its parent.
        drop(machine);
        drop(cgroups);
        drop(parent);
    }
}

/// The name and the parent of each workload that has this parent.
fn inside(metrics: &Exposition, parent: &str) -> Vec<(String, String)> {
    let infos = series(metrics, "veth_container_info").into_iter();
    let of_parent = infos.filter(|info| info.get("parent").is_some_and(|known| known == parent));
    let mut found: Vec<(String, String)> =
        of_parent.map(|info| (info["runtime"].clone(), info["container"].clone())).collect();
    found.sort();
    found
}

/// The children of a process, as soon as there are any.
fn children(pid: u32) -> Vec<u32> {
    wait_for(LIMIT, "the process has a child", || {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let children: Vec<u32> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
        if children.is_empty() { Err(text) } else { Ok(children) }
    })
}

#[test]
fn only_the_namespace_of_a_machines_first_process_is_the_machines_and_the_others_in_it_have_a_parent() {
    let scene = Scene::new();
    let exporter = scene.exporter(&[]);
    let name = unique_name("m");
    let id = "4a35084850c1".repeat(6)[..64].to_owned();
    let cgroups = Cgroups::new(&format!("lxc.payload.{name}"));
    let docker = Cgroups::new(&format!("lxc.payload.{name}/docker"));
    let inner = Cgroups::new(&format!("lxc.payload.{name}/docker/{id}"));
    // The child has a namespace of its own within the machine.
    let words = ["sh", "-c", "unshare -n tail -f /dev/null & exec sleep 1000"];
    let machine = ProcessInNetns::new(&scene, "veth1", &words, "sleep");
    let child = children(machine.process.pid())[0];
    assert!(cgroups.take(machine.process.pid()) > 0 && cgroups.take(child) > 0, "{:?}", cgroups.made);
    let pid = child.to_string();
    wait_for(LIMIT, "the child has its namespace", || {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
        if comm == "tail\n" { Ok(()) } else { Err(comm) }
    });
    scene.host.ip(["link", "add", "veth2", "up", "type", "veth", "peer", "name", "eth0", "netns", &pid]);
    // A container of an engine in the machine, which has no socket here.
    let container = ProcessInNetns::new(&scene, "veth3", &["sleep", "1000"], "sleep");
    assert!(inner.take(container.process.pid()) > 0, "{:?}", inner.made);
    let wanted = [("docker".to_owned(), id[..12].to_owned()), ("process".to_owned(), "tail".to_owned())];
    let metrics = exporter.wait_for(LIMIT, "each has its name", |metrics| {
        let named = owner(metrics, "veth1") == is("lxc", &name) && inside(metrics, &name) == wanted;
        named.then(|| metrics.clone())
    });
    // The engine is in the machine, and is not missing here.
    assert_eq!(metrics.collector_success("docker"), None, "{}", metrics.text);
    succeed(Command::new("kill").arg(&pid));
    drop((container, machine));
    wait_for(LIMIT, "the child has ended", || {
        if fs::exists(format!("/proc/{pid}")).unwrap() { Err("it is there") } else { Ok(()) }
    });
    drop((inner, docker, cgroups));
}

#[test]
fn a_container_without_its_engines_socket_has_its_short_id_and_the_socket_is_missed() {
    let scene = Scene::new();
    let missing = folder().join(unique_name("d.sock"));
    let exporter = scene.exporter(&[]);
    let id = "b35084850c14".repeat(6)[..64].to_owned();
    let docker = Cgroups::new("docker");
    let cgroups = Cgroups::new(&format!("docker/{id}"));
    let container = ProcessInNetns::new(&scene, "veth1", &["sleep", "1000"], "sleep");
    assert!(cgroups.take(container.process.pid()) > 0, "{:?} {missing:?}", cgroups.made);
    let reason = [("source", "docker"), ("state", "failed"), ("reason", "socket_absent")];
    exporter.wait_for(LIMIT, "it is named, and its engine is missed", |metrics| {
        let named = owner(metrics, "veth1") == is("docker", &id[..12]);
        metrics.value("veth_exporter_source_info", &reason).filter(|_| named)
    });
    let said: Vec<String> =
        exporter.log().into_iter().filter(|line| line.contains("containers of docker are here")).collect();
    assert!(said.len() == 1 && said[0].contains("level=warn") && said[0].contains("-v "), "{said:#?}");
    drop(container);
    exporter.wait_for(LIMIT, "the engine is not missed any more", |metrics| {
        metrics.value("veth_exporter_source_info", &reason).is_none().then_some(())
    });
    drop(cgroups);
    drop(docker);
}

#[test]
fn when_the_process_ends_its_namespace_is_unknown_and_never_somebody_elses() {
    let scene = Scene::new();
    // Without a name in the folder, it is kept alive by its own in /run/netns.
    let (quiet, other) = (Netns::quiet("n"), Netns::quiet("n"));
    scene.host.veth("veth0", &quiet, "eth0");
    scene.host.veth("veth1", &other, "eth0");
    let mut first = Process::start("sleep", quiet.command("sleep").arg("1000"));
    let _neighbour = Process::start("tail", other.command("tail").args(["-f", "/dev/null"]));
    let exporter = scene.exporter(&[]);
    exporter.wait_for(LIMIT, "both are named", |metrics| {
        (owner(metrics, "veth0") == is("process", "sleep")
            && owner(metrics, "veth1") == is("process", "tail"))
        .then_some(())
    });
    send((&quiet, "eth0"), (&scene.host, "veth0"), 3, 1_000);
    scene.assert_joined();
    first.kill();
    exporter.wait_for(LIMIT, "the first one is nobody's", |metrics| {
        let now = owner(metrics, "veth0");
        let unknown = Some(("unknown".to_owned(), None));
        assert!([&None, &unknown, &is("process", "sleep")].contains(&&now), "{now:?}");
        let neighbour = owner(metrics, "veth1");
        assert!(neighbour.is_none() || neighbour == is("process", "tail"), "{neighbour:?}");
        (now == unknown).then_some(())
    });
    // Its traffic is its name's still, and what comes next is not.
    let metrics = exporter.metrics();
    let packets = |runtime| {
        metrics.value("veth_container_transmit_packets_total", &[("runtime", runtime), ("interface", "eth0")])
    };
    assert_eq!(packets("unknown"), Some(0.0), "{}", metrics.text);
    // Whoever moves in is found, if not at once.
    let _next = Process::start("tail", quiet.command("tail").args(["-f", "/dev/null"]));
    exporter.wait_for(LIMIT, "the new one is named", |metrics| {
        (owner(metrics, "veth0") == is("process", "tail")).then_some(())
    });
}

#[test]
fn without_procfs_a_namespace_that_nobody_claims_is_unknown() {
    let scene = Scene::new();
    let nowhere = folder().join(unique_name("proc"));
    fs::create_dir(&nowhere).unwrap();
    let _sleeper = ProcessInNetns::new(&scene, "veth0", &["sleep", "1000"], "sleep");
    let exporter = scene.exporter(&["--path.procfs", nowhere.to_str().unwrap()]);
    exporter.wait_for(LIMIT, "the device is nobody's", |metrics| {
        let now = owner(metrics, "veth0");
        assert!(now.as_ref().is_none_or(|(runtime, _)| runtime == "unknown"), "{now:?}");
        now
    });
}
