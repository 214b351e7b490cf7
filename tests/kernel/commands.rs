//! `list`, `find`, `check-web-config` and the start of `serve`, as a user sees them: output, messages, exit codes.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Output, Stdio};

use lab::scene::LIMIT;
use lab::{Exporter, Netns, NetnsFolder, describe, empty_folder, wait_for};
use nix::pty::{Winsize, openpty};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde_json::Value;

/// A host with the namespaces `web` (address 10.97.0.2) and `db`, whose port is down and whose MTUs differ.
struct Host {
    host: Netns,
    _others: [Netns; 2],
    folder: NetnsFolder,
}

/// A name of 203 bytes that turns the direction of writing, and has markup and controls.
fn odd_name() -> String {
    let begin = "<b>\u{202e}dlog\u{1b}[2Jשלום\t";
    format!("{begin}{}", "x".repeat(203 - begin.len()))
}

impl Host {
    fn new() -> Host {
        let (host, web, db) = (Netns::quiet("host"), Netns::quiet("web"), Netns::quiet("db"));
        let folder = NetnsFolder::new();
        folder.name("web", &web);
        folder.name(odd_name(), &db);
        host.veth("veth-web", &web, "eth0");
        host.veth("veth-db", &db, "eth0");
        web.ip(["address", "add", "10.97.0.2/24", "dev", "eth0"]);
        db.ip(["link", "set", "eth0", "mtu", "9000"]);
        host.ip(["link", "set", "veth-db", "down"]);
        Host { host, _others: [web, db], folder }
    }

    fn run(&self, words: &[&str]) -> Output {
        let [flag, path] = self.folder.arguments();
        Exporter::command(&self.host, &[words, &[flag, path]].concat()).output().unwrap()
    }

    /// The lines of a command that succeeds and has nothing to remark.
    fn lines(&self, words: &[&str]) -> Vec<String> {
        let output = self.run(words);
        assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {}", describe(&output));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

#[test]
fn list_prints_what_fits_a_query_with_its_state_and_address() {
    let scene = Host::new();
    let all = scene.lines(&["list"]);
    assert_eq!(all.len(), 3, "{all:#?}");
    let heading = all[0].split_whitespace().collect::<Vec<_>>();
    assert_eq!(heading, ["DEVICE", "PEER", "WORKLOAD", "IP", "RECEIVED", "SENT", "STATE"]);
    let [web] = &scene.lines(&["list", "WEB", "10.97.0.2", "--no-header"])[..] else { panic!("one line") };
    assert!(
        web.contains(":veth-web ") && web.contains(" named/web ") && web.contains(" 10.97.0.2 "),
        "{web}"
    );
    assert!(web.ends_with(" up"), "{web}");
    let [db] = &scene.lines(&["list", "veth-db", "--no-header"])[..] else { panic!("one line") };
    assert!(db.ends_with(" down, mtu 1500 and 9000"), "{db}");
    let sorted = scene.lines(&["list", "--sort=-device", "--format", "tsv", "--no-header"]);
    let devices: Vec<&str> = sorted.iter().map(|line| line.split('\t').nth(1).unwrap()).collect();
    assert_eq!(devices, ["veth-web", "veth-db"]);
    let flags_first = scene.lines(&["--no-header", "list", "veth-web"]);
    assert_eq!(flags_first.len(), 1, "a flag before the command is one of the command");
    let output = scene.run(&["list", "web", "--format", "json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&document["matched"], &document["pairs"][0]["ends"][0]["name"]),
        (&1.into(), &"veth-web".into())
    );
}

#[test]
fn list_says_that_nothing_fits_and_fails() {
    let scene = Host::new();
    for format in ["table", "json", "tsv"] {
        let output = scene.run(&["list", "no", "such", "thing", "--format", format]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{}", describe(&output));
        assert!(said.lines().count() == 1 && said.contains("none of the 2 pairs here has"), "{said}");
    }
}

#[test]
fn names_that_a_terminal_would_obey_are_text_in_list_find_and_the_log() {
    let scene = Host::new();
    let name = odd_name();
    let harmless = |text: &str, what: &str| {
        assert!(
            !text.chars().any(|c| c == '\u{202e}' || (c.is_control() && c != '\n' && c != '\t')),
            "{what}: {text:?}"
        );
        assert!(text.contains("<b>"), "{what}: {text}");
    };
    for words in [&["list"][..], &["list", "--format", "tsv"], &["find", "veth-db"], &["find", &name]] {
        harmless(&scene.lines(words).join("\n"), &format!("{words:?}"));
    }
    let missing = scene.run(&["find", "<b>no\u{202e}\u{1b}[2J such"]);
    harmless(&String::from_utf8_lossy(&missing.stderr), "a message");
    // What JSON has is the name itself, in JSON's escaping.
    let output = scene.run(&["list", "veth-db", "--format", "json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let shown = document["pairs"][0]["ends"][1]["workload"]["container"].as_str().unwrap();
    assert!(shown.starts_with("<b>\u{202e}dlog"), "{shown:?}");
}

/// Runs it with its standard output on a terminal of this width; what the terminal gets.
fn in_terminal(scene: &Host, columns: u16, words: &[&str]) -> String {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).unwrap();
    let [flag, path] = scene.folder.arguments();
    let mut command = Exporter::command(&scene.host, &[words, &[flag, path]].concat());
    let slave: OwnedFd = pty.slave.as_fd().try_clone_to_owned().unwrap();
    let mut child = command.stdout(Stdio::from(slave)).spawn().unwrap();
    drop((command, pty.slave));
    let reader = std::thread::spawn(move || {
        let mut shown = Vec::new();
        // A terminal without a program ends with EIO.
        let _ = fs::File::from(pty.master).read_to_end(&mut shown);
        String::from_utf8(shown).unwrap()
    });
    assert!(child.wait().unwrap().success());
    reader.join().unwrap()
}

#[test]
fn a_table_is_no_wider_than_its_terminal() {
    let scene = Host::new();
    for columns in [80, 100, 200] {
        let shown = in_terminal(&scene, columns, &["list"]);
        let widest = shown.lines().map(|line| line.trim_end().chars().count()).max().unwrap();
        assert!(widest <= usize::from(columns), "{widest} of {columns}:\n{shown}");
        assert!(shown.contains('…'), "a name of 203 bytes is cut:\n{shown}");
    }
    let elsewhere = scene.lines(&["list"]);
    assert!(elsewhere.iter().any(|line| line.chars().count() > 200), "{elsewhere:#?}");
}

#[test]
fn a_reader_that_goes_away_ends_no_command_with_a_signal() {
    let scene = Host::new();
    for words in [
        &["find", "veth-web"][..],
        &["find", "no-such-name"],
        &["find", "veth-db", "--log.level", "debug"],
        &["list"],
        &["list", "no-such-name"],
        &["--help"],
        &["no-such-command"],
        &["check-web-config", "/nonexistent"],
        &["completions", "bash"],
        &["--collector.interval", "1ms"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let [_, path] = scene.folder.arguments();
        let mut command = Exporter::command(&scene.host, words);
        command.env("VETH_EXPORTER_PATH_NETNS", path);
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let status = command.status().unwrap();
        assert!(matches!(status.code(), Some(0..=2)), "{words:?}: {status}");
    }
}

#[test]
fn list_and_find_say_a_warning_once_in_plain_words_and_debug_says_more() {
    let scene = Host::new();
    let missing = format!("unix://{}", empty_folder("socket").join("docker.sock").display());
    for words in [&["list"][..], &["find", "veth-web"]] {
        let output = scene.run(&[words, &["--docker.host", &missing]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}", describe(&output));
        let begin = format!("veth-exporter: warning: docker: no engine at {missing}");
        assert!(said.lines().count() == 1 && said.starts_with(&begin), "{words:?}: {said}");
        assert!(!said.contains("level=") && !said.contains("ts="), "{said}");
    }
    let logged = scene.run(&["list", "--docker.host", &missing, "--log.format", "logfmt"]);
    let said = String::from_utf8_lossy(&logged.stderr).into_owned();
    assert!(said.contains("level=warn") && said.contains("collector=docker"), "{said}");
    // The name may be the engine's: the failure says which could not be asked, once.
    let output = scene.run(&["find", "web-7", "--docker.host", &missing]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.matches("no engine at").count(), 1, "{said}");
    assert!(
        said.contains("it is not known what web-7 is") && said.contains("docker could not be asked"),
        "{said}"
    );
}

#[test]
fn on_a_host_without_an_engine_find_says_which_sockets_it_has_looked_for() {
    let scene = Host::new();
    let [_, path] = scene.folder.arguments();
    // Also where this machine has an engine of its own: /run, which /var/run leads to, is empty for this process.
    let script = "mount -t tmpfs tmpfs /run && exec \"$@\"";
    let mut command = scene.host.command("unshare");
    command.args([
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        Exporter::binary(),
        "find",
        "no-such-name",
        "--path.netns",
        path,
    ]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DOCKER_")) {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in
        ["nothing here is called no-such-name", "no container engine was asked", "/var/run/docker.sock"]
    {
        assert!(said.contains(part), "{said}");
    }
}

/// Does `act` in a thread for which Landlock's system calls fail as on a kernel that has none; its children inherit that.
fn without_landlock(act: impl FnOnce() + Send) {
    let calls = [libc::SYS_landlock_create_ruleset, libc::SYS_landlock_restrict_self];
    let filter = SeccompFilter::new(
        calls.map(|call| (call, Vec::new())).into(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            seccompiler::apply_filter(&program).unwrap();
            act();
        });
        thread.join().unwrap();
    });
}

#[test]
fn a_kernel_without_landlock_is_no_warning_of_list_and_find_but_one_of_serve() {
    let scene = Host::new();
    let lacks = "sandbox: without landlock";
    without_landlock(|| {
        for words in [&["list"][..], &["find", "veth-web"]] {
            assert!(scene.lines(words).len() > 2, "{words:?}");
            let debug = scene.run(&[words, &["--log.level", "debug"]].concat());
            assert!(String::from_utf8_lossy(&debug.stderr).contains(lacks), "{}", describe(&debug));
        }
        let exporter = Exporter::start(&scene.host, &scene.folder.arguments());
        let log = wait_for(LIMIT, "what is in force is in the log", || {
            let log = exporter.log();
            if log.iter().any(|line| line.contains("msg=confined")) { Ok(log) } else { Err(log.join("\n")) }
        });
        let said: Vec<&String> = log.iter().filter(|line| line.contains(lacks)).collect();
        assert!(said.len() == 1 && said[0].contains("level=warn"), "{log:#?}");
        assert!(log.iter().any(|line| line.contains("landlock=unavailable")), "{log:#?}");
    });
}

#[test]
fn an_address_that_cannot_be_served_is_one_line_with_the_next_step() {
    let scene = Host::new();
    let taken = scene.host.within(|| std::net::TcpListener::bind("[::]:10736").unwrap());
    let folder = empty_folder("sockets").display().to_string();
    let nowhere = format!("unix:{folder}/no/such/folder.sock");
    for (address, words) in [
        (
            ":10736",
            &["cannot listen on :10736: address already in use", "is another veth-exporter running?"][..],
        ),
        ("192.0.2.1:10736", &["192.0.2.1:10736", "no interface of this host has the address"]),
        (&nowhere, &["the folder of the socket does not exist"]),
    ] {
        let output = scene.run(&["--web.listen-address", address]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{address}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{address}: {said}");
        assert!(said.contains("choose another with --web.listen-address"), "{said}");
    }
    drop(taken);
}

#[test]
fn the_start_says_where_the_page_is_what_was_found_and_what_is_in_force_each_once() {
    let scene = Host::new();
    let missing = format!("unix://{}", empty_folder("socket").join("docker.sock").display());
    let [flag, path] = scene.folder.arguments();
    let exporter = Exporter::start(&scene.host, &[flag, path, "--docker.host", &missing]);
    let lines = wait_for(LIMIT, "what was found is in the log", || {
        let log = exporter.log();
        if log.iter().any(|line| line.contains("msg=found")) { Ok(log) } else { Err(log.join("\n")) }
    });
    let only = |what: &str| -> &String {
        let found: Vec<&String> = lines.iter().filter(|line| line.contains(what)).collect();
        let [line] = found[..] else { panic!("{what} in {lines:#?}") };
        line
    };
    assert!(only("msg=listening").contains(&format!("open=http://{}/", exporter.address())), "{lines:#?}");
    let confined = only("msg=confined");
    for word in
        ["privileges=full", "capabilities=net_admin", "no_new_privs=true", "seccomp=full", "landlock="]
    {
        assert!(confined.contains(word), "{word} in {confined}");
    }
    let found = only("msg=found");
    for word in ["pairs=2", "workloads=2", "engines=none", "lacking=docker:engine_down"] {
        assert!(found.contains(word), "{word} in {found}");
    }
    assert!(only("no engine at").contains("start the engine"), "{lines:#?}");
    let mut sorted = lines.clone();
    sorted.dedup();
    assert_eq!(sorted.len(), lines.len(), "{lines:#?}");
}

#[test]
fn the_url_of_an_exporter_on_every_address_has_the_hosts_name() {
    let scene = Host::new();
    let [flag, path] = scene.folder.arguments();
    let mut command = Exporter::command(
        &scene.host,
        &[flag, path, "--web.listen-address", ":0", "--web.route-prefix", "/veth"],
    );
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.contains("msg=listening")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert!(line.contains(&format!("open=http://{}:", name.trim())) && line.contains("/veth/"), "{line}");
}
