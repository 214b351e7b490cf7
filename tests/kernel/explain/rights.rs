//! `explain`, and the checks of a serving exporter, that may read less: they name what they could not read.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::*;

/// Makes a copy of the binary where an ordinary user can get to it.
fn binary_for_all() -> String {
    std::fs::set_permissions(lab::folder(), PermissionsExt::from_mode(0o711)).unwrap();
    let copy = lab::folder().join(lab::unique_name("veth-exporter"));
    succeed(Command::new("cp").args([Path::new(Exporter::binary()), &copy]));
    copy.display().to_string()
}

/// Runs `explain` as an ordinary user with CAP_NET_ADMIN, with a /proc that hides the processes of others.
fn explain_hidden(ground: &Ground, binary: &str, words: &[&str]) -> Explained {
    let script = "mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid=65534 --regid=65534 --clear-groups \
                  --inh-caps=-all,+net_admin --ambient-caps=-all,+net_admin \"$@\"";
    let shell = ["--mount", "sh", "-c", script, "sh", binary, "explain"];
    let words = [&shell, words, &["--format", "json"], &ground.folder.arguments()[..]].concat();
    Explained::of(&ground.host.command("unshare").args(words).output().unwrap())
}

#[test]
fn with_hidden_processes_it_names_what_it_could_not_read_and_finds_what_it_could() {
    let ground = Ground::bridged(2);
    let [a, b] = names(&ground);
    let binary = binary_for_all();
    let explained = explain_hidden(&ground, &binary, &[&a, &b]);
    let unread = &explained.document["explanations"][0]["unread"];
    assert_eq!((explained.code, explained.findings().len()), (3, 0), "{explained:#?}");
    assert!(
        unread[0]["what"].as_str().unwrap().starts_with("the processes, and with them routes"),
        "{unread}"
    );
    assert_eq!(unread[0]["reason"], "/proc hides those of other users (mount option hidepid)");
    // A missing route is not found; a link that is switched off is.
    ground.a().ip(["route", "add", "unreachable", "10.9.0.3/32"]);
    assert_eq!(explain_hidden(&ground, &binary, &[&a, &b]).code, 3);
    assert_eq!(ground.explain(&[&a, &b]).first(), "route_refuses");
    ground.b().ip(["link", "set", "eth0", "down"]);
    let explained = explain_hidden(&ground, &binary, &[&a, &b]);
    assert_eq!((explained.code, explained.first().as_str()), (1, "link_down"), "{explained:#?}");
    std::fs::remove_file(binary).unwrap();
}

#[test]
fn without_a_capability_the_exporter_serves_on_and_says_what_it_could_not_read() {
    let ground = Ground::bridged(2);
    ground.a().ip(["link", "set", "eth0", "arp", "off"]);
    let arguments =
        [&["--privileges", "minimal", "--collector.interval", "100ms"], &ground.folder.arguments()[..]];
    let mut exporter = Exporter::start(&ground.host, &arguments.concat());
    exporter.wait_ready();
    let document = |path: &str| -> Value { serde_json::from_slice(&exporter.get(path).body).unwrap() };
    let explained = document("/api/v1/explain?from=p2");
    let unread = explained["explanations"][0]["unread"].to_string();
    assert!(unread.contains(&format!("the links of named/{}", ground.a().name())), "{explained:#}");
    // The first checks are due 10 s after the start.
    std::thread::sleep(Duration::from_secs(25));
    let of_checks = |problem: &&Value| problem["kind"] == "arp_off";
    let problems = document("/api/v1/pairs")["problems"].as_array().unwrap().clone();
    assert_eq!(problems.iter().find(of_checks), None, "{problems:#?}");
    let log = exporter.log();
    assert!(!log.iter().any(|line| line.contains("level=error") || line.contains("panic")), "{log:#?}");
    assert!(exporter.stop().success());
}
