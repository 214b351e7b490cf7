//! Names where other tools look: `name-filter` with the real output of `ip` and `bridge`, and the aliases of `--annotate.alias`.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use lab::{Exporter, Netns, NetnsFolder, Process, describe, empty_folder, http_request, wait_for};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(10);

/// A host with the workloads `web` behind veth-web and `db` behind veth-d, whose names begin alike.
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
            web: Netns::quiet("web"),
            db: Netns::quiet("db"),
            folder: NetnsFolder::new(),
        };
        scene.folder.name("web", &scene.web);
        scene.folder.name("db", &scene.db);
        scene.host.veth("veth-web", &scene.web, "eth0");
        scene.host.veth("veth-we", &scene.db, "eth7");
        scene
    }

    fn start(&self, more: &[&str]) -> Exporter {
        let [flag, path] = self.folder.arguments();
        let exporter =
            Exporter::start(&self.host, &[&[flag, path, "--collector.interval", "100ms"], more].concat());
        exporter.wait_ready();
        exporter
    }

    /// The filter, which asks this exporter or reads the host itself.
    fn filter(&self, exporter: Option<&Exporter>) -> Command {
        let [flag, path] = self.folder.arguments();
        let url = exporter.map(|exporter| format!("http://{}", exporter.address()));
        let url = url.iter().flat_map(|url| ["--url", url]);
        let words: Vec<&str> = ["name-filter", flag, path].into_iter().chain(url).collect();
        let mut command = Exporter::command(&self.host, &words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Returns the output for this input; fails if there is anything on standard error.
    fn filtered(&self, exporter: Option<&Exporter>, input: &[u8]) -> Vec<u8> {
        let mut filter = self.filter(exporter).spawn().unwrap();
        let mut stdin = filter.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(input).unwrap());
            filter.wait_with_output().unwrap()
        });
        assert!(output.status.success() && output.stderr.is_empty(), "{}", describe(&output));
        output.stdout
    }

    fn links(&self) -> Vec<Value> {
        self.host.ip_json(["-d", "link"]).as_array().unwrap().clone()
    }

    /// The alias of a device, as `ip -j` shows it.
    fn alias(&self, device: &str) -> Option<String> {
        let links = self.links();
        let link = links.iter().find(|link| link["ifname"] == device).unwrap_or_else(|| panic!("{device}"));
        link["ifalias"].as_str().map(str::to_owned)
    }

    fn wait_for_alias(&self, device: &str, wanted: Option<&str>) {
        wait_for(LIMIT, &format!("{device} has the alias {wanted:?}"), || {
            let found = self.alias(device);
            if found.as_deref() == wanted { Ok(()) } else { Err(format!("{found:?}")) }
        });
    }

    fn clear(&self) -> Output {
        Exporter::command(&self.host, &["annotate", "--clear"]).output().unwrap()
    }
}

#[test]
fn without_an_exporter_names_stay_however_often_the_host_is_read_again() {
    let scene = Scene::new();
    let mut filter = scene.filter(None).spawn().unwrap();
    let mut stdin = filter.stdin.take().unwrap();
    for _ in 0..14 {
        stdin.write_all(b"veth-web up\n").unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }
    drop(stdin);
    let output = filter.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", describe(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "veth-web[web eth0] up\n".repeat(14));
}

#[test]
fn node_exporter_shows_the_alias_and_its_output_gets_the_names() {
    let scene = Scene::new();
    let exporter = scene.start(&["--annotate.alias"]);
    scene.wait_for_alias("veth-web", Some("web eth0 [veth-exporter]"));
    // `ip netns exec` and not `nsenter`: it mounts /sys anew, where node_exporter reads of the devices of this namespace.
    let mut command = Command::new("ip");
    command.args(["netns", "exec", scene.host.name(), "prometheus-node-exporter"]);
    command.args(["--web.listen-address=127.0.0.1:0", "--collector.disable-defaults"]);
    command.args(["--collector.netdev", "--collector.netclass"]);
    let mut node_exporter = Process::start("node_exporter", &mut command);
    let address = node_exporter.wait_for_listener(LIMIT);
    let answer = http_request(&scene.host.path(), address, "GET", "/metrics", &[]).unwrap();
    let line_of = |text: &str, family: &str, device: &str| {
        let has = |line: &&str| line.starts_with(family) && line.contains(&format!("device=\"{device}\""));
        text.lines().find(has).unwrap_or_else(|| panic!("no {family} of {device} in {text}")).to_owned()
    };
    let info = line_of(answer.text(), "node_network_info{", "veth-web");
    assert!(info.contains("ifalias=\"web eth0 [veth-exporter]\""), "{info}");
    for source in [Some(&exporter), None] {
        let text = String::from_utf8(scene.filtered(source, &answer.body)).unwrap();
        for family in ["node_network_info{", "node_network_receive_bytes_total{", "node_network_up{"] {
            line_of(&text, family, "veth-web[web eth0]");
            line_of(&text, family, "veth-we[db eth7]");
        }
        let undone = text.replace("veth-web[web eth0]", "veth-web").replace("veth-we[db eth7]", "veth-we");
        assert_eq!(undone, answer.text());
    }
}

#[test]
fn the_output_of_ip_and_bridge_gets_the_names_of_an_exporter_or_of_the_host() {
    let scene = Scene::new();
    scene.host.ip(["link", "add", "br0", "type", "bridge"]);
    scene.host.ip(["link", "set", "veth-web", "master", "br0"]);
    let exporter = scene.start(&[]);
    for source in [Some(&exporter), None] {
        for words in [
            &["ip", "link"][..],
            &["ip", "-c=always", "link"],
            &["ip", "-br", "link"],
            &["ip", "-j", "-d", "link"],
            &["bridge", "-d", "link"],
            &["bridge", "fdb"],
        ] {
            let input = scene.host.exec(words).stdout;
            let text = String::from_utf8_lossy(&scene.filtered(source, &input)).into_owned();
            assert!(text.contains("veth-web[web eth0]"), "{words:?}: {text}");
            assert!(!text.contains("veth-we[web eth0]") && !text.contains("[web eth0]b"), "{text}");
            let undone = text.replace("[web eth0]", "").replace("[db eth7]", "");
            assert_eq!(undone, String::from_utf8_lossy(&input), "{words:?}");
            if words[0] == "ip" {
                assert!(text.contains("veth-we[db eth7]"), "{words:?}: {text}");
            }
        }
    }
}

#[test]
fn without_a_url_the_exporter_at_the_usual_address_is_asked() {
    let scene = Scene::new();
    let exporter = scene.start(&["--web.listen-address", "127.0.0.1:10736"]);
    // Only that exporter knows the folder with the names.
    let empty = empty_folder("n").display().to_string();
    for (wanted, running) in [(&b"veth-web[web eth0]"[..], Some(exporter)), (b"veth-web", None)] {
        let words = ["name-filter", "--path.netns", &empty, "--collector.disable", "process"];
        let mut filter = Exporter::command(&scene.host, &words);
        filter.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = filter.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"veth-web").unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", describe(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(wanted));
        drop(running);
    }
}

/// A filter with its streams, which is killed when this goes.
struct Filtering {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Filtering {
    fn start(mut command: Command) -> Filtering {
        let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Filtering { child, input, output: BufReader::new(output) }
    }

    fn line(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
}

impl Drop for Filtering {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn each_line_passes_when_it_has_come_and_new_names_are_asked_for() {
    let scene = Scene::new();
    let exporter = scene.start(&[]);
    for source in [Some(&exporter), None] {
        let mut filter = Filtering::start(scene.filter(source));
        assert_eq!(filter.line("dev veth-web: up"), "dev veth-web[web eth0]: up");
        let late = Netns::quiet("late");
        assert_eq!(filter.line("dev veth-late"), "dev veth-late");
        scene.folder.name("late", &late);
        scene.host.veth("veth-late", &late, "eth3");
        wait_for(LIMIT, "the new device has its name", || match filter.line("dev veth-late").as_str() {
            "dev veth-late[late eth3]" => Ok(()),
            other => Err(other.to_owned()),
        });
        assert_eq!(filter.line("veth-we,veth-wex"), "veth-we[db eth7],veth-wex");
    }
}

#[test]
fn an_exporter_that_goes_leaves_its_last_names() {
    let scene = Scene::new();
    let mut exporter = scene.start(&[]);
    let mut filter = Filtering::start(scene.filter(Some(&exporter)));
    assert_eq!(filter.line("veth-web"), "veth-web[web eth0]");
    assert!(exporter.stop().success());
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        assert_eq!(filter.line("veth-web veth-x"), "veth-web[web eth0] veth-x");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_exporter_that_is_not_there_stops_no_line() {
    let scene = Scene::new();
    let [flag, path] = scene.folder.arguments();
    let words = ["name-filter", flag, path, "--url", "http://127.0.0.1:9"];
    let mut command = Exporter::command(&scene.host, &words);
    let mut filter =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    filter.stdin.take().unwrap().write_all(b"a veth-web b").unwrap();
    let output = filter.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", describe(&output));
    assert_eq!(output.stdout, b"a veth-web b");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.lines().count() == 1 && said.contains("http://127.0.0.1:9: cannot connect"), "{said}");
}

#[test]
fn bytes_that_are_no_text_and_a_last_word_without_a_line_end_come_out() {
    let scene = Scene::new();
    let mut input: Vec<u8> = (0..=255).collect();
    input.extend(b"\0veth-web\xff\xfe veth-we");
    let mut wanted: Vec<u8> = (0..=255).collect();
    wanted.extend(b"\0veth-web[web eth0]\xff\xfe veth-we[db eth7]");
    assert_eq!(scene.filtered(None, &input), wanted);
    assert_eq!(scene.filtered(None, b""), b"");
}

#[test]
fn a_line_without_an_end_takes_no_memory() {
    const PIECES: usize = 32 << 4;
    let scene = Scene::new();
    let mut child = scene.filter(None).stderr(Stdio::inherit()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let piece = [&b" veth-web "[..], &[b'x'; (64 << 10) - 10]].concat();
    let peak = std::thread::scope(|scope| {
        let reader = scope.spawn(move || std::io::copy(&mut output, &mut std::io::sink()).unwrap());
        // The first pieces have what the filter takes at all.
        let mut peaks = [0; 2];
        for peak in &mut peaks {
            for _ in 0..PIECES / 2 {
                input.write_all(&piece).unwrap();
            }
            *peak = peak_memory(child.id());
        }
        drop(input);
        let copied = reader.join().unwrap();
        assert_eq!(copied as usize, PIECES * (piece.len() + "[web eth0]".len()));
        peaks
    });
    assert!(child.wait().unwrap().success());
    println!("peak of the resident memory at 16 and at 32 MiB: {peak:?} KiB");
    assert!(peak[1] <= peak[0] + 1024, "{peak:?} KiB");
}

/// The highest resident memory of a process so far, in KiB (VmHWM of proc(5)).
fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let scene = Scene::new();
    let mut child = scene.filter(None).spawn().unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    let until = Instant::now() + LIMIT;
    while input.write_all(b"veth-web\n").is_ok() {
        assert!(Instant::now() < until, "the filter goes on without a reader");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn aliases_have_the_names_follow_them_and_go_at_the_end() {
    let scene = Scene::new();
    scene.host.ip(["link", "set", "veth-we", "alias", "uplink of db"]);
    let mut exporter = scene.start(&["--annotate.alias"]);
    scene.wait_for_alias("veth-web", Some("web eth0 [veth-exporter]"));
    fs::remove_file(scene.folder.path().join("web")).unwrap();
    scene.folder.name("shop", &scene.web);
    scene.wait_for_alias("veth-web", Some("shop eth0 [veth-exporter]"));
    let late = Netns::quiet("late");
    scene.folder.name("late", &late);
    scene.host.veth("veth-late", &late, "eth3");
    scene.wait_for_alias("veth-late", Some("late eth3 [veth-exporter]"));
    assert_eq!(scene.alias("veth-we").as_deref(), Some("uplink of db"));
    // node_exporter reads this file for its label ifalias.
    let mut cat = Command::new("ip");
    cat.args(["netns", "exec", scene.host.name(), "cat", "/sys/class/net/veth-late/ifalias"]);
    assert_eq!(lab::succeed(&mut cat), "late eth3 [veth-exporter]\n");
    let before: Vec<Value> = scene.links();
    assert!(exporter.stop().success(), "{:?}", exporter.log());
    for mut link in before {
        let device = link["ifname"].as_str().unwrap().to_owned();
        let now = scene.links().into_iter().find(|now| now["ifname"] == link["ifname"]).unwrap();
        if device != "veth-we" {
            link.as_object_mut().unwrap().remove("ifalias");
        }
        assert_eq!(now, link, "nothing but the alias is changed");
    }
    assert_eq!(exporter.remarks().iter().filter(|line| line.contains("alias")).count(), 0);
}

#[test]
fn a_killed_exporter_leaves_aliases_that_a_command_or_the_next_one_removes() {
    let scene = Scene::new();
    scene.host.ip(["link", "set", "veth-we", "alias", "uplink"]);
    for by_command in [true, false] {
        let mut exporter = scene.start(&["--annotate.alias"]);
        scene.wait_for_alias("veth-web", Some("web eth0 [veth-exporter]"));
        exporter.process().kill();
        assert_eq!(scene.alias("veth-web").as_deref(), Some("web eth0 [veth-exporter]"));
        if by_command {
            let output = scene.clear();
            assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"removed 1 alias\n"[..]));
            assert_eq!(scene.clear().stdout, b"removed 0 aliases\n");
        } else {
            let mut next = scene.start(&["--annotate.alias"]);
            assert!(next.stop().success());
        }
        assert_eq!(scene.alias("veth-web"), None);
        assert_eq!(scene.alias("veth-we").as_deref(), Some("uplink"));
    }
}

#[test]
fn a_hostile_name_is_a_harmless_alias_of_at_most_255_bytes() {
    let scene = Scene::new();
    let begin = "<b>\u{202e}d\u{1b}[2Jשלום\t]\"\\ [veth-exporter]";
    let name = format!("{begin}{}", "é".repeat((250 - begin.len()) / 2));
    fs::remove_file(scene.folder.path().join("web")).unwrap();
    scene.folder.name(&name, &scene.web);
    let exporter = scene.start(&["--annotate.alias"]);
    let alias =
        wait_for(LIMIT, "an alias", || scene.alias("veth-web").ok_or_else(|| exporter.log().join("\n")));
    assert!(alias.starts_with("<b>_d_") && alias.ends_with(" [veth-exporter]"), "{alias:?}");
    assert!(alias.len() <= 255 && alias.matches(['[', '"', '\\', '\t']).count() == 1, "{alias:?}");
    assert!(!alias.chars().any(|c| c.is_control() || c == '\u{202e}'), "{alias:?}");
}

#[test]
fn links_that_come_and_go_while_they_are_annotated_are_no_error() {
    let scene = Scene::new();
    let mut exporter = scene.start(&["--annotate.alias"]);
    scene.wait_for_alias("veth-web", Some("web eth0 [veth-exporter]"));
    let until = Instant::now() + Duration::from_secs(4);
    let target = scene.web.path().display().to_string();
    while Instant::now() < until {
        let add = (0..40).map(|n| format!("link add vethx{n} type veth peer name x{n} netns {target}\n"));
        scene.host.ip_batch(&add.collect::<String>());
        std::thread::sleep(Duration::from_millis(60));
        scene.host.ip_batch(&(0..40).map(|n| format!("link del vethx{n}\n")).collect::<String>());
    }
    assert!(exporter.stop().success());
    let of_aliases: Vec<String> =
        exporter.remarks().into_iter().filter(|line| line.contains("alias")).collect();
    assert_eq!(of_aliases, [] as [String; 0]);
    assert_eq!(scene.alias("veth-web"), None);
}

#[test]
fn without_the_flag_there_is_neither_an_alias_nor_a_thread_for_them() {
    let scene = Scene::new();
    for (flags, wanted) in [(&[][..], false), (&["--annotate.alias"], true)] {
        let exporter = scene.start(flags);
        let threads = fs::read_dir(format!("/proc/{}/task", exporter.pid())).unwrap();
        let names = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")).unwrap());
        assert_eq!(names.into_iter().any(|name| name.trim() == "aliases"), wanted, "{flags:?}");
        std::thread::sleep(Duration::from_millis(if wanted { 0 } else { 1000 }));
        assert!(wanted || scene.alias("veth-web").is_none());
    }
}

#[test]
fn the_flag_is_refused_without_the_capability() {
    let scene = Scene::new();
    let serve = ["--web.listen-address", "127.0.0.1:0", "--annotate.alias"];
    let output =
        Exporter::command(&scene.host, &[&serve[..], &["--privileges", "minimal"]].concat()).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--annotate.alias") && said.contains("--privileges minimal"), "{said}");
    let mut command = scene.host.command("setpriv");
    let drop = ["--bounding-set", "-net_admin", "--inh-caps", "-net_admin", Exporter::binary()];
    let output = command.args(drop).args(serve).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no CAP_NET_ADMIN, which writing an alias needs"), "{said}");
    scene.host.ip(["link", "set", "veth-web", "alias", "x [veth-exporter]"]);
    let output = scene.host.command("setpriv").args(drop).args(["annotate", "--clear"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write an alias") && said.contains("RTM_SETLINK"), "{said}");
    let output = Exporter::command(&scene.host, &["annotate"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", describe(&output));
}
