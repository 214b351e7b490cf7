//! `find`: whose is this, both ways, against `ip -j`; and where there is no veth, why not.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use lab::{
    Container, DockerEngine, Exporter, Netns, NetnsFolder, describe, needs_engine, succeed, unique_device,
    unique_name,
};
use serde_json::Value;

/// `find QUERY` on a host of the test's own.
fn find(host: &Netns, folder: &NetnsFolder, query: impl AsRef<OsStr>, more: &[&str]) -> Output {
    let mut command = Exporter::command(host, &["find"]);
    command.arg(query).args(folder.arguments()).args(more).output().unwrap()
}

/// What it finds: the rows of its JSON.
fn rows(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", describe(output));
    serde_json::from_slice::<Value>(&output.stdout).unwrap().as_array().unwrap().clone()
}

/// Of each row what tells the pair: the port's namespace, ifindex and name, then the other end's.
type Found = BTreeSet<[(String, u64, String); 2]>;

fn found(rows: &[Value]) -> Found {
    let end = |end: &Value| {
        let text = |key: &str| end[key].as_str().unwrap().to_owned();
        (text("netns"), end["ifindex"].as_u64().unwrap(), text("name"))
    };
    rows.iter().map(|row| [end(&row["ends"][0]), end(&row["ends"][1])]).collect()
}

/// A refusal: exit code 1, nothing on standard output, and these words on the last line of standard error.
fn assert_none(output: &Output, words: &[&str]) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    let last = said.lines().last().unwrap_or_default();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{}", describe(output));
    assert!(words.iter().all(|word| last.contains(word)), "{words:?} in {last:?}");
}

/// A host with the namespaces `web` (eth0 and eth1) and `db` (eth0), and their addresses.
struct Scene {
    host: Netns,
    web: Netns,
    db: Netns,
    folder: NetnsFolder,
}

impl Scene {
    fn new() -> Scene {
        let scene = Scene {
            host: Netns::quiet("host"),
            web: Netns::new("web"),
            db: Netns::new("db"),
            folder: NetnsFolder::new(),
        };
        scene.folder.name("web", &scene.web);
        scene.folder.name("db", &scene.db);
        scene.host.ip(["link", "add", "br0", "type", "bridge"]);
        for (device, netns, interface) in [
            ("veth-web", &scene.web, "eth0"),
            ("veth-aside", &scene.web, "eth1"),
            ("veth-db", &scene.db, "eth0"),
        ] {
            scene.host.veth(device, netns, interface);
        }
        scene.host.ip(["link", "set", "veth-web", "master", "br0"]);
        scene.web.ip(["address", "add", "10.97.0.2/24", "dev", "eth0"]);
        scene.web.ip(["address", "add", "fd97::2/64", "dev", "eth0", "nodad"]);
        scene.db.ip(["address", "add", "10.97.1.2/24", "dev", "eth0"]);
        scene.host.ip(["address", "add", "10.97.1.1/24", "dev", "veth-db"]);
        scene
    }

    fn find(&self, query: &str, more: &[&str]) -> Output {
        find(&self.host, &self.folder, query, more)
    }

    fn found(&self, query: &str) -> Found {
        found(&rows(&self.find(query, &["--format", "json"])))
    }

    /// A pair as `ip` tells it, by its device on the host.
    fn pair(&self, device: &str, netns: &Netns, name: &str) -> [(String, u64, String); 2] {
        let link = |netns: &Netns, name: &str| netns.ip_json(["link", "show", name])[0].clone();
        let number = |link: &Value, key: &str| link[key].as_u64().unwrap();
        let port = link(&self.host, device);
        let all = netns.ip_json(["link"]);
        let peer = all.as_array().unwrap().iter().find(|link| link["ifindex"] == port["link_index"]).unwrap();
        assert_eq!(peer["link_index"], port["ifindex"]);
        let interface = peer["ifname"].as_str().unwrap().to_owned();
        [
            (String::new(), number(&port, "ifindex"), device.to_owned()),
            (name.to_owned(), number(peer, "ifindex"), interface),
        ]
    }
}

#[test]
fn every_reading_of_a_query_finds_just_the_pairs_that_ip_tells() {
    let scene = Scene::new();
    let web = scene.pair("veth-web", &scene.web, "web");
    let aside = scene.pair("veth-aside", &scene.web, "web");
    let db = scene.pair("veth-db", &scene.db, "db");
    let address = |netns: &Netns, name: &str| {
        netns.ip_json(["link", "show", name])[0]["address"].as_str().unwrap().to_owned()
    };
    let both_of_web = Found::from([web.clone(), aside.clone()]);
    let cases: [(&str, Found); 12] = [
        ("web", both_of_web.clone()),
        ("named/web", both_of_web),
        ("db", [db.clone()].into()),
        ("veth-aside", [aside].into()),
        // Of several both are shown.
        ("eth0", [web.clone(), db.clone()].into()),
        ("10.97.0.2", [web.clone()].into()),
        ("10.97.0.2/24", [web.clone()].into()),
        ("fd97::2", [web.clone()].into()),
        ("fd97:0:0::0002", [web.clone()].into()),
        ("10.97.1.1", [db.clone()].into()),
        (&address(&scene.host, "veth-web"), [web.clone()].into()),
        (&address(&scene.db, "eth0"), [db.clone()].into()),
    ];
    for (query, wanted) in cases {
        assert_eq!(scene.found(query), wanted, "find {query}");
    }
    // An ifindex is asked for in every namespace.
    for ifindex in [web[0].1, web[1].1] {
        let has = |pair: &&[(String, u64, String); 2]| pair.iter().any(|end| end.1 == ifindex);
        let all = [&web, &db, &scene.pair("veth-aside", &scene.web, "web")];
        let wanted: Found = all.into_iter().filter(has).cloned().collect();
        assert_eq!(scene.found(&ifindex.to_string()), wanted, "find {ifindex}");
    }
}

#[test]
fn what_other_tools_print_of_a_pair_finds_it() {
    let scene = Scene::new();
    let [port, peer] = scene.pair("veth-web", &scene.web, "web");
    let web = Found::from([[port.clone(), peer.clone()]]);
    let db = Found::from([scene.pair("veth-db", &scene.db, "db")]);
    scene.host.ip(["link", "property", "add", "dev", "veth-web", "altname", "uplink-of-web"]);
    scene.web.ip(["link", "set", "eth0", "alias", "the web's own"]);
    scene.host.ip(["link", "property", "add", "dev", "br0", "altname", "backbone"]);
    let mut sleeper = scene.db.command("sleep").arg("60").spawn().unwrap();
    let pid = sleeper.id();
    let line = scene.host.ip(["-o", "link", "show", "veth-web"]);
    let file = format!("/var/run/netns/{}", scene.db.name());
    let cases: [(&str, &Found); 14] = [
        (line.trim(), &web),
        (line.split_whitespace().nth(1).unwrap(), &web),
        (&format!("{}:veth-web", port.1), &web),
        (&format!("eth0@if{}", port.1), &web),
        ("br0", &web),
        ("backbone", &web),
        ("uplink-of-web", &web),
        ("the web's own", &web),
        ("10.97.1.2:8080", &db),
        ("http://[fd97::2]:80/path", &web),
        ("10.97.1.0/24", &db),
        (" \"VETH-DB\", ", &db),
        (&format!("/proc/{pid}/ns/net"), &db),
        (&file, &db),
    ];
    for (query, wanted) in cases {
        assert_eq!(&scene.found(query), wanted, "find {query}");
    }
    assert_eq!(scene.found("10.97.0.0/16"), &web | &db);
    // One name that is near is answered.
    let aside = scene.find("aside", &["--format", "json"]);
    assert_eq!(found(&rows(&aside)), Found::from([scene.pair("veth-aside", &scene.web, "web")]));
    let said = String::from_utf8_lossy(&aside.stderr).into_owned();
    assert!(said.contains("nothing here is called aside") && said.contains("veth-aside"), "{said}");
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}

#[test]
fn what_is_there_without_a_veth_is_said_to_be_there_and_why_it_has_none() {
    let scene = Scene::new();
    let empty = Netns::new("empty");
    scene.folder.name("empty", &empty);
    empty.ip(["tuntap", "add", "dev", "tap0", "mode", "tap"]);
    scene.host.ip(["tuntap", "add", "dev", "tap1", "mode", "tap"]);
    scene.host.ip(["link", "property", "add", "dev", "tap1", "altname", "of-a-machine"]);
    scene.host.ip(["link", "add", "br1", "type", "bridge"]);
    scene.host.ip(["address", "add", "10.97.9.1/24", "dev", "br0"]);
    let mut sleeper = empty.command("sleep").arg("60").spawn().unwrap();
    let mut at_home = scene.host.command("sleep").arg("60").spawn().unwrap();
    for (query, words) in [
        (
            "tap1",
            &["tap1 on the host is no veth but a TUN or TAP device", "a process is at its other end"][..],
        ),
        ("of-a-machine", &["tap1 on the host is no veth but a TUN or TAP device"]),
        ("br1", &["br1 on the host is no veth but a bridge", "no veth is attached"]),
        ("10.97.9.1", &["br0 on the host is no veth but a bridge", "find br0 shows"]),
        ("empty", &["named/empty is there", "without a veth", "tap0 (a TUN or TAP device)"]),
        ("tap0", &["tap0 in empty (nsid", "is no veth but a TUN or TAP device"]),
        (&format!("pid={}", sleeper.id()), &["(sleep) is in a network namespace without a veth", "tap0"]),
        (&format!("/proc/{}", at_home.id()), &["(sleep) has no veth", "the host's network namespace"]),
    ] {
        assert_none(&scene.find(query, &[]), words);
    }
    for process in [&mut sleeper, &mut at_home] {
        process.kill().unwrap();
        process.wait().unwrap();
    }
}

#[test]
fn where_an_engine_could_not_be_asked_it_is_not_said_that_nothing_has_the_name() {
    let scene = Scene::new();
    let socket = lab::folder().join(unique_name("mute.sock"));
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let refusing = std::thread::spawn(move || {
        // Each connection is closed without an answer.
        while let Ok((stream, _)) = listener.accept() {
            drop(stream);
        }
    });
    let host = format!("unix://{}", socket.display());
    let docker = ["--docker.host", host.as_str()];
    let output = scene.find("somewhere", &docker);
    assert_none(
        &output,
        &["it is not known what somewhere is", "docker could not be asked: the connection to"],
    );
    // What identifies a pair needs no engine; what is only near may be the engine's.
    assert!(scene.find("veth-web", &docker).status.success());
    assert_none(
        &scene.find("aside", &docker),
        &["it is not known what aside is", "veth-aside", "docker could not"],
    );
    drop(refusing);
}

#[test]
fn what_is_shown_of_a_pair_is_what_ip_shows() {
    let scene = Scene::new();
    let rows = rows(&scene.find("veth-web", &["--format", "json"]));
    let ends = &rows[0]["ends"];
    for (end, netns, device) in [(&ends[0], &scene.host, "veth-web"), (&ends[1], &scene.web, "eth0")] {
        let link = &netns.ip_json(["-s", "address", "show", device])[0];
        assert_eq!(end["address"], link["address"], "{end:#}");
        assert_eq!(end["mtu"], link["mtu"], "{end:#}");
        assert_eq!(end["up"], link["operstate"] == "UP", "{end:#}");
        assert_eq!(end["bridge"], if device == "veth-web" { "br0".into() } else { Value::Null }, "{end:#}");
        let wanted: BTreeSet<String> = link["addr_info"]
            .as_array()
            .unwrap()
            .iter()
            .map(|address| format!("{}/{}", address["local"].as_str().unwrap(), address["prefixlen"]))
            .collect();
        let shown = end["ip_addresses"].as_array().cloned().unwrap_or_default();
        let shown: BTreeSet<String> =
            shown.iter().map(|address| address.as_str().unwrap().to_owned()).collect();
        assert_eq!(shown, wanted, "{end:#}");
    }
    assert_eq!(ends[1]["ip_addresses"].as_array().unwrap().len(), 3, "IPv4, IPv6 and link-local: {ends:#}");
    // The same for a person, in one block.
    let text = String::from_utf8(scene.find("veth-web", &[]).stdout).unwrap();
    for word in [
        "port ",
        "veth-web on the host",
        "eth0 in web (nsid ",
        "10.97.0.2/24",
        "bridge   br0",
        "named/web",
        "by hand",
    ] {
        assert!(text.contains(word), "{word} in:\n{text}");
    }
}

/// Runs a command that `find` tells, in the host's namespace; the JSON of the same command.
fn by_hand(host: &Netns, shell: &str, command: &str, docker_host: &str) -> Value {
    let command = command.replacen("ip -s", "ip -j -s", 1).replacen("ip addr", "ip -j addr", 1);
    let said = succeed(host.command(shell).args(["-c", &command]).env("DOCKER_HOST", docker_host));
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in what {command} prints: {said}"))
}

#[test]
fn the_commands_that_are_told_show_the_same_ends() {
    let scene = Scene::new();
    // `ip netns exec` knows the names of /run/netns only.
    let words = ["find", scene.web.name(), "--path.netns", "/run/netns", "--format", "json"];
    let rows = rows(&Exporter::command(&scene.host, &words).output().unwrap());
    assert_eq!(rows.len(), 2);
    for row in &rows {
        let commands: Vec<&str> =
            row["by_hand"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
        assert_eq!(commands.len(), 4, "two for each end: {commands:?}");
        for (end, commands) in row["ends"].as_array().unwrap().iter().zip(commands.chunks(2)) {
            for command in commands {
                let shown = by_hand(&scene.host, "sh", command, "");
                let shown = shown.as_array().unwrap().iter().find(|link| link["ifindex"].is_u64()).unwrap();
                assert_eq!(
                    [&shown["ifindex"], &shown["ifname"]],
                    [&end["ifindex"], &end["name"]],
                    "{command}"
                );
            }
        }
    }
}

#[test]
fn the_commands_are_right_for_names_that_a_shell_could_misread() {
    let scene = Scene::new();
    let names: [&[u8]; 5] = [b"a\"b", b"v\xff", b"it's", b"$(id)", b"back\\slash"];
    for name in names {
        let words: [&[u8]; 6] = [b"link", b"add", b"dev", name, b"type", b"veth"];
        scene.host.ip(words.map(OsStr::from_bytes));
    }
    for name in names {
        let rows = rows(&find(&scene.host, &scene.folder, OsStr::from_bytes(name), &["--format", "json"]));
        let [row] = rows.as_slice() else { panic!("{rows:#?}") };
        let commands: Vec<&str> =
            row["by_hand"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
        for (end, commands) in row["ends"].as_array().unwrap().iter().zip(commands.chunks(2)) {
            for command in commands {
                // `ip -j` writes no valid JSON for such names; the number in front is enough.
                let said = scene.host.command("bash").args(["-c", command]).output().unwrap();
                assert!(said.status.success(), "{command}: {}", describe(&said));
                let first = format!("{}: ", end["ifindex"]);
                assert!(said.stdout.starts_with(first.as_bytes()), "{command}: {}", describe(&said));
            }
        }
    }
}

#[test]
fn what_is_not_there_is_one_line_with_the_nearest_names() {
    let scene = Scene::new();
    assert_none(&scene.find("veth-wep", &[]), &["nothing here is called veth-wep", "veth-web"]);
    assert_none(&scene.find("completely different", &[]), &["nothing here is called completely different"]);
    assert_none(&scene.find("10.97.0.99", &[]), &["nothing here is called 10.97.0.99"]);
    assert_none(&scene.find("02:00:00:00:00:99", &["--format", "json"]), &["02:00:00:00:00:99"]);
    assert_none(&scene.find("4000000000", &[]), &["4000000000"]);
    let empty = scene.find("", &[]);
    assert_eq!(empty.status.code(), Some(2), "{}", describe(&empty));
    for nasty in ["a\nb\x1b[2J", &"x".repeat(4_096), "../../etc/passwd", "%00", "-"] {
        let output = scene.find(nasty, &[]);
        assert_none(&output, &["nothing here is called"]);
        assert_eq!(output.stderr.iter().filter(|byte| **byte == b'\n').count(), 1, "{}", describe(&output));
        assert!(!output.stderr.contains(&0x1b), "{}", describe(&output));
    }
}

#[test]
fn without_a_query_it_is_a_usage_error() {
    let host = Netns::quiet("host");
    let output = Exporter::command(&host, &["find"]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{}", describe(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("QUERY"), "{}", describe(&output));
}

#[test]
fn an_ordinary_user_finds_the_device_and_is_told_what_it_takes_to_see_more() {
    let scene = Scene::new();
    std::fs::set_permissions(lab::folder(), PermissionsExt::from_mode(0o711)).unwrap();
    let binary = lab::folder().join(unique_name("veth-exporter"));
    std::fs::copy(Exporter::binary(), &binary).unwrap();
    let folder = scene.folder.path().display().to_string();
    let mut command = scene.host.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary);
    let output =
        command.args(["find", "veth-web", "--format", "json", "--path.netns", &folder]).output().unwrap();
    assert!(output.status.success(), "{}", describe(&output));
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ends = &rows[0]["ends"];
    let peer = scene.pair("veth-web", &scene.web, "web")[1].1;
    assert_eq!((&ends[0]["name"], &ends[1]["ifindex"]), (&"veth-web".into(), &peer.into()), "{rows:#}");
    assert_eq!((&rows[0]["state"], &ends[1]["name"]), (&"peer_hidden".into(), &Value::Null), "{rows:#}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("CAP_NET_ADMIN"), "{said}");
}

// ---------------------------------------------------------------- with an engine

fn docker_find(engine: &DockerEngine, query: &str, more: &[&str]) -> Output {
    let folder = NetnsFolder::new();
    let docker = [&["--docker.host", engine.host()], more].concat();
    find(engine.netns(), &folder, query, &docker)
}

/// What `ip` says of a container's eth0: ifindex, its peer's, its MAC and its IPv4 address.
fn eth0(container: &Container) -> (u64, u64, String, String) {
    let pid = container.pid().to_string();
    let said =
        succeed(Command::new("nsenter").args(["-n", "-t", &pid, "ip", "-j", "address", "show", "eth0"]));
    let link: Value = serde_json::from_str(&said).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let number = |key: &str| link[0][key].as_u64().unwrap();
    let address = text(&link[0]["addr_info"][0]["local"]);
    (number("ifindex"), number("link_index"), text(&link[0]["address"]), address)
}

#[test]
fn a_container_is_found_by_all_that_it_is_called() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("find");
    let web = engine.run_idle("web", &["--network", network.name()]);
    let owner = format!("container:{}", web.name());
    let logger = engine.run_idle("logger", &["--network", &owner]);
    let (ifindex, peer, mac, address) = eth0(&web);
    let device = web.host_device(engine.netns(), "eth0");
    let place = format!("docker/{}", web.name());
    let wanted: Found =
        [[(String::new(), peer, device.clone()), (place.clone(), ifindex, "eth0".to_owned())]].into();
    let sandbox = web.inspect()["NetworkSettings"]["SandboxKey"].as_str().unwrap().to_owned();
    let queries = [
        web.name(),
        web.id(),
        &web.id()[..12],
        &place,
        &device,
        &mac,
        &address,
        network.name(),
        logger.name(),
        &format!("/{}", web.name()),
        &owner,
        &format!("docker://{}", web.id()),
        &format!("0::/docker/{}", web.id()),
        &format!("/system.slice/docker-{}.scope", web.id()),
        network.id(),
        &network.id()[..12],
        &network.bridge(),
        &format!("{address}:80"),
        &mac.replace(':', "-").to_uppercase(),
        &web.name().to_uppercase(),
        &format!("/proc/{}/ns/net", web.pid()),
        &sandbox,
    ];
    for query in queries {
        let output = docker_find(engine, query, &["--format", "json"]);
        let rows = rows(&output);
        assert_eq!(found(&rows), wanted, "find {query}");
        let interface = &rows[0]["ends"][1];
        assert_eq!(interface["workload"]["id"], web.id(), "{interface:#}");
        assert_eq!(interface["network"], network.name(), "{interface:#}");
        let members = interface["members"].as_array().unwrap();
        assert_eq!(members.len(), 1, "{interface:#}");
        assert_eq!(members[0]["container"], logger.name(), "{interface:#}");
        assert_eq!(rows[0]["ends"][0]["bridge"], network.bridge(), "{rows:#?}");
    }
    let rows = rows(&docker_find(engine, web.name(), &["--format", "json"]));
    let commands = rows[0]["by_hand"].as_array().unwrap();
    for (end, commands) in rows[0]["ends"].as_array().unwrap().iter().zip(commands.chunks(2)) {
        for command in commands {
            let shown = by_hand(engine.netns(), "sh", command.as_str().unwrap(), engine.host());
            assert_eq!(shown[0]["ifindex"], end["ifindex"], "{command}");
        }
    }
}

#[test]
fn why_a_container_has_no_veth_is_said_in_a_sentence() {
    needs_engine!();
    let engine = DockerEngine::get();
    let on_host = engine.run_idle("host", &["--network", "host"]);
    assert_none(&docker_find(engine, on_host.name(), &[]), &["has no veth", "--network host"]);
    let pid = format!("/proc/{}", on_host.pid());
    for query in [&format!("/{}", on_host.name()), &on_host.name().to_uppercase(), &pid] {
        assert_none(&docker_find(engine, query, &[]), &[on_host.name(), "has no veth", "--network host"]);
    }
    let alone = engine.run_idle("none", &["--network", "none"]);
    assert_none(&docker_find(engine, alone.name(), &[]), &["has no veth", "--network none"]);
    let stopped = engine.run("gone", &[], &["true"]);
    lab::wait_for(std::time::Duration::from_secs(10), "the container has ended", || {
        let state = stopped.inspect()["State"]["Status"].clone();
        if state == "exited" { Ok(()) } else { Err(state) }
    });
    assert_none(&docker_find(engine, stopped.name(), &[]), &["has no veth", "not running", "exited"]);
    assert_none(
        &docker_find(engine, &stopped.id()[..12], &["--format", "json"]),
        &[stopped.name(), "exited"],
    );
    // A member of one that has no veth has none either.
    let owner = format!("container:{}", alone.name());
    let member = engine.run_idle("member", &["--network", &owner]);
    assert_none(&docker_find(engine, member.name(), &[]), &[member.name(), "shares the network of"]);
    assert_none(&docker_find(engine, "no-such-container-anywhere", &[]), &["nothing here is called"]);
}

#[test]
fn a_container_in_the_namespace_that_a_restarted_one_has_left_is_said_to_be_there() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("vpn");
    let vpn = engine.run_idle("vpn", &["--network", network.name()]);
    let app = engine.run_idle("app", &["--network", &format!("container:{}", vpn.name())]);
    let exporter = Exporter::start(engine.netns(), &["--docker.host", engine.host()]);
    let finds_its_pair = || {
        let found = found(&rows(&docker_find(engine, app.name(), &["--format", "json"])));
        assert_eq!(found.len(), 1, "{found:?}");
    };
    finds_its_pair();
    let words = [
        &format!("docker/{} is in a network namespace that no other workload is in", app.name()),
        &format!(
            "docker/{}, whose network it was to share, was restarted; restart {}",
            vpn.name(),
            app.name()
        ),
    ];
    let words = words.map(String::as_str);
    engine.docker(&["restart", "-t", "0", vpn.name()]);
    assert_none(&docker_find(engine, app.name(), &[]), &words);
    lab::wait_for(std::time::Duration::from_secs(10), "the log has a line about it", || {
        let log = exporter.log();
        let said = log.iter().any(|line| words.iter().all(|word| line.contains(word)));
        if said { Ok(()) } else { Err(log.join("\n")) }
    });
    engine.docker(&["restart", "-t", "0", app.name()]);
    finds_its_pair();
    engine.docker(&["stop", "-t", "0", vpn.name()]);
    assert_none(&docker_find(engine, app.name(), &[]), &[words[0], "is not running; start"]);
}

#[test]
fn a_container_on_a_macvlan_has_no_veth_and_it_says_so() {
    needs_engine!();
    let engine = DockerEngine::get();
    // Its parent is a veth of the test's: what the container has is none for all that.
    let parent = unique_device("mv");
    engine.netns().ip(["link", "add", &parent, "up", "type", "veth", "peer", "name", &format!("{parent}p")]);
    let name = unique_name("macvlan");
    engine.docker(&["network", "create", "-d", "macvlan", "-o", &format!("parent={parent}"), &name]);
    let container = engine.run_idle("macvlan", &["--network", &name]);
    let output = docker_find(engine, container.name(), &[]);
    drop(container);
    engine.docker(&["network", "rm", &name]);
    engine.netns().ip(["link", "del", &parent]);
    assert_none(&output, &["has no veth", &name, "macvlan"]);
}
