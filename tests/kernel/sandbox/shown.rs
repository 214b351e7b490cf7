//! What a running exporter says of its sandbox, and what the kernel says of it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lab::{self, Exporter, Exposition, Netns, NetnsFolder, describe, succeed};

const LIMIT: Duration = Duration::from_secs(5);

const FULL: [(&str, &str); 5] = [
    ("capabilities", "net_admin"),
    ("dumpable", "false"),
    ("landlock", "full"),
    ("no_new_privs", "true"),
    ("seccomp", "full"),
];

/// The labels of the one series of veth_exporter_sandbox_info.
fn sandbox(metrics: &Exposition) -> BTreeMap<String, String> {
    let all = metrics.all("veth_exporter_sandbox_info");
    assert!(all.len() == 1 && all[0].1 == 1.0, "{all:?}");
    all[0].0.clone().into_iter().collect()
}

fn labels(labels: [(&str, &str); 5]) -> BTreeMap<String, String> {
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Field `name` of /proc/PID/task/TID/status for each thread, by its name.
fn of_threads(pid: u32, name: &str) -> Vec<(String, String)> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let field = |status: &str, name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).to_owned()
    };
    let status =
        threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap());
    status.map(|status| (field(&status, "Name"), field(&status, name))).collect()
}

fn warnings(exporter: &Exporter) -> Vec<String> {
    exporter.log().into_iter().filter(|line| line.contains("level=warn")).collect()
}

/// A host with a veth to a namespace called `web`.
fn host_with_veth() -> (Netns, Netns, NetnsFolder) {
    let (host, web, folder) = (Netns::new("host"), Netns::new("web"), NetnsFolder::new());
    folder.name("web", &web);
    host.veth("veth-web", &web, "eth0");
    (host, web, folder)
}

#[test]
fn every_thread_is_confined_because_the_sandbox_was_there_first() {
    let (host, _web, folder) = host_with_veth();
    let exporter = Exporter::start(&host, &folder.arguments());
    exporter.wait_for(LIMIT, "the container is named", |metrics| {
        metrics.value("veth_device_up", &[("container", "web"), ("interface", "eth0")])
    });
    assert_eq!(sandbox(&exporter.metrics()), labels(FULL));
    for (field, wanted) in [
        ("Seccomp", "2"),
        ("Seccomp_filters", "2"),
        ("NoNewPrivs", "1"),
        ("CapEff", "0000000000001000"),
        ("CapPrm", "0000000000001000"),
    ] {
        let threads = of_threads(exporter.pid(), field);
        for name in ["veth-exporter", "collector", "events", "tokio-rt-worker"] {
            assert!(threads.iter().any(|(thread, _)| thread == name), "no {name} among {threads:?}");
        }
        assert!(threads.iter().all(|(_, value)| value == wanted), "{field}: {threads:?}");
    }
    assert_eq!(warnings(&exporter), Vec::<String>::new());
}

#[test]
fn each_part_can_be_left_out_and_then_says_so() {
    let host = Netns::new("host");
    for (disabled, label, shown) in
        [("seccomp", "seccomp", "off"), ("landlock", "landlock", "off"), ("dumpable", "dumpable", "true")]
    {
        let exporter = Exporter::start(&host, &["--sandbox.disable", disabled]);
        let mut wanted = labels(FULL);
        wanted.insert(label.to_owned(), shown.to_owned());
        assert_eq!(sandbox(&exporter.metrics()), wanted, "--sandbox.disable {disabled}");
    }
    let exporter = Exporter::start(&host, &["--sandbox.disable", "all"]);
    let shown = sandbox(&exporter.metrics());
    let capabilities: Vec<&str> = shown["capabilities"].split(',').collect();
    assert!(capabilities.contains(&"net_admin") && capabilities.contains(&"net_raw"), "{capabilities:?}");
    let kept = [("no_new_privs", "false"), ("dumpable", "true"), ("seccomp", "off"), ("landlock", "off")];
    for (label, value) in kept {
        assert_eq!(shown[label], value, "{shown:?}");
    }
    let threads = of_threads(exporter.pid(), "Seccomp");
    assert!(threads.iter().all(|(_, value)| value == "0"), "{threads:?}");
    assert_eq!(warnings(&exporter), Vec::<String>::new(), "what the user asked for is no warning");
}

#[test]
fn no_new_privs_is_not_left_out_where_other_parts_need_it() {
    let output = Command::new(Exporter::binary())
        .args(["--sandbox.disable", "no-new-privs,landlock"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", describe(&output));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("seccomp needs it"), "{said}");
}

#[test]
fn minimal_privileges_are_none_and_what_is_then_missing_is_said() {
    let (host, _web, folder) = host_with_veth();
    let [flag, path] = folder.arguments();
    let exporter = Exporter::start(&host, &["--privileges", "minimal", flag, path]);
    exporter.wait_for(LIMIT, "the container is named", |metrics| {
        metrics.value("veth_device_up", &[("container", "web")])
    });
    let mut wanted = labels(FULL);
    wanted.insert("capabilities".into(), "none".into());
    let metrics = exporter.metrics();
    assert_eq!(sandbox(&metrics), wanted);
    assert!(!metrics.text.contains("interface=\"eth0\""), "{}", metrics.text);
    let threads = of_threads(exporter.pid(), "CapPrm");
    assert!(threads.iter().all(|(_, value)| value == "0000000000000000"), "{threads:?}");
    let said = warnings(&exporter);
    assert!(said.len() == 1 && said[0].contains("--privileges minimal"), "{said:?}");
    assert!(said[0].contains("interfaces inside containers"), "{said:?}");
    // The socket for events was opened before: what comes and goes is still told at once.
    let (later, name) = (Netns::new("later"), "later");
    folder.name(name, &later);
    host.veth("veth-later", &later, "eth0");
    exporter.wait_for(LIMIT, "a later container is named", |metrics| {
        metrics.value("veth_device_up", &[("container", name)])
    });
    let resyncs =
        exporter.metrics().all("veth_exporter_resyncs_total").iter().map(|(_, value)| *value).sum::<f64>();
    assert_eq!(resyncs, 1.0, "events tell it, and not another look at all");
}

#[test]
fn list_and_find_are_confined_as_well_and_work() {
    let (host, _web, folder) = host_with_veth();
    for command in ["list", "find"] {
        let query: &[&str] = if command == "find" { &["veth-web"] } else { &[] };
        let output = Exporter::command(&host, &[&[command], query, &folder.arguments()[..]].concat())
            .output()
            .unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{command}: {}", describe(&output));
        assert!(String::from_utf8_lossy(&output.stdout).contains("web"), "{}", describe(&output));
    }
}

#[test]
fn not_even_another_process_of_the_same_user_can_look_into_its_memory() {
    let host = Netns::new("host");
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];
    std::fs::set_permissions(lab::folder(), PermissionsExt::from_mode(0o711)).unwrap();
    let binary = lab::folder().join(lab::unique_name("veth-exporter"));
    succeed(Command::new("cp").args([Path::new(Exporter::binary()), &binary]));
    let becomes = format!("shift; exec {} \"$@\"", binary.display());
    let through = [&user[..], &["sh", "-c", &becomes, "sh"]].concat();
    for (flags, readable) in [(&[][..], false), (&["--sandbox.disable", "dumpable"], true)] {
        let exporter = Exporter::start_through(&host, &through, flags);
        let path = format!("/proc/{}/environ", exporter.pid());
        let output = Command::new(user[0]).args(&user[1..]).args(["cat", &path]).output().unwrap();
        assert_eq!(output.status.success(), readable, "{flags:?}: {}", describe(&output));
    }
    std::fs::remove_file(&binary).unwrap();
}
