//! Where the exporter runs: namespaces of its own, /proc that hides, and engines near it.

use std::process::Command;

use lab::scene::{LIMIT, Scene};
use lab::{Exporter, Netns, Process, describe, empty_folder, unique_name};

/// Becomes the exporter without the word of the lab that its namespace is the host's.
const AS_USERS_DO: [&str; 3] = ["env", "-u", "VETH_EXPORTER_NETNS_OWN"];

fn lines_with(exporter: &Exporter, what: &str) -> Vec<String> {
    exporter.log().into_iter().filter(|line| line.contains(what)).collect()
}

#[test]
fn outside_of_the_network_namespace_of_process_one_it_says_so_once_everywhere() {
    let scene = Scene::new();
    let arguments = [&scene.folder.arguments()[..], &["--collector.interval", "100ms"]].concat();
    let exporter = Exporter::start_through(&scene.host, &AS_USERS_DO, &arguments);
    let reason = [("source", "links"), ("state", "limited"), ("reason", "network_namespace")];
    exporter.wait_for(LIMIT, "the limit", |metrics| metrics.value("veth_exporter_source_info", &reason));
    assert_eq!(exporter.metrics().collector_success("links"), Some(true));
    exporter.wait_for(LIMIT, "some ticks", |metrics| {
        metrics.value("veth_exporter_netlink_events_total", &[]).map(|_| ())
    });
    let said = lines_with(&exporter, "not the host's network namespace");
    assert!(
        said.len() == 1 && said[0].contains("level=warn") && said[0].contains("--network host"),
        "{said:#?}"
    );
    for command in ["list", "find"] {
        let mut words = scene.host.command("env");
        words.args(&AS_USERS_DO[1..]).args([Exporter::binary(), command]);
        words.args((command == "find").then_some("lo")).args(scene.folder.arguments());
        let output = words.output().unwrap();
        assert!(describe(&output).contains("not the host's network namespace"), "{}", describe(&output));
    }
    // Whoever wants another namespace has no warning.
    let exporter = scene.exporter(&["--netns.own"]);
    exporter.wait_for(LIMIT, "the source works", |metrics| {
        metrics.value("veth_exporter_source_info", &[("source", "links"), ("state", "works")])
    });
    assert_eq!(lines_with(&exporter, "level=warn"), Vec::<String>::new());
}

#[test]
fn a_proc_that_hides_processes_is_a_limit_with_its_name() {
    let scene = Scene::new();
    // A /proc of its own, in which an ordinary user sees nobody else.
    let script = "mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid=65534 --regid=65534 --clear-groups \
                  --inh-caps=-all sh -c 'shift; exec \"$@\"' sh \"$@\"";
    let binary = empty_folder("hidden").join("veth-exporter");
    std::fs::set_permissions(lab::folder(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    lab::succeed(Command::new("cp").args([std::path::Path::new(Exporter::binary()), &binary]));
    let copy = binary.display().to_string();
    let script = script.replace("shift; exec", &format!("shift; exec {copy}"));
    let through = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    let exporter = Exporter::start_through(&scene.host, &through, &scene.folder.arguments());
    let reason = [("source", "process"), ("state", "limited"), ("reason", "hidepid")];
    exporter.wait_for(LIMIT, "the limit", |metrics| metrics.value("veth_exporter_source_info", &reason));
    let said = lines_with(&exporter, "hidepid");
    assert!(said.len() == 1 && said[0].contains("level=warn") && said[0].contains("remount"), "{said:#?}");
}

#[test]
fn names_that_are_links_to_a_processs_namespace_are_followed_and_broken_ones_are_one_warning() {
    let scene = Scene::new();
    let netns = Netns::quiet("clab");
    scene.host.veth("veth1", &netns, "eth0");
    let process = Process::start("sleep", netns.command("sleep").arg("1000"));
    let name = unique_name("clab");
    let link = scene.folder.path().join(&name);
    std::os::unix::fs::symlink(format!("/proc/{}/ns/net", process.pid()), &link).unwrap();
    // Without CAP_SYS_PTRACE the link itself cannot be followed.
    let exporter = scene.exporter(&[]);
    let labels = [("device", "veth1"), ("runtime", "named"), ("container", name.as_str())];
    exporter.wait_for(LIMIT, "it is named", |metrics| metrics.value("veth_device_up", &labels));
    for number in 0..1_000 {
        std::os::unix::fs::symlink("/nonexistent", scene.folder.path().join(format!("gone{number}")))
            .unwrap();
    }
    for (name, target) in [("loop1", "loop2"), ("loop2", "loop1")] {
        std::os::unix::fs::symlink(target, scene.folder.path().join(name)).unwrap();
    }
    let reason = [("source", "named"), ("state", "limited"), ("reason", "unreadable")];
    exporter.wait_for(LIMIT, "the limit", |metrics| metrics.value("veth_exporter_source_info", &reason));
    assert_eq!(lines_with(&exporter, "lead").len(), 1, "{:#?}", exporter.log());
    exporter.wait_for(LIMIT, "it keeps its name", |metrics| metrics.value("veth_device_up", &labels));
    // A link that is removed takes its name along.
    std::fs::remove_file(&link).unwrap();
    exporter.wait_for(LIMIT, "the name is gone", |metrics| {
        metrics.value("veth_device_up", &labels).is_none().then_some(())
    });
}

#[test]
fn in_a_pid_namespace_of_its_own_it_believes_an_engine_that_is_in_there_too_and_no_other() {
    let scene = Scene::new();
    for near in [true, false] {
        let folder = empty_folder("near");
        let socket = folder.join("d.sock");
        // As Docker answers that has no container.
        let script = [
            "import socket, sys",
            "listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); listener.listen()",
            "while True:",
            "    stream = listener.accept()[0]",
            "    try:",
            "        asked = stream.recv(65536)",
            "        body = b'{\"ApiVersion\":\"1.41\"}' if b'/version' in asked else b'[]'",
            "        head = b'HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n'",
            "        stream.sendall(head % len(body) + body)",
            "    except OSError: pass",
            "    stream.close()",
        ]
        .join("\n");
        let engine = format!("python3 -c \"$SCRIPT\" {} &", socket.display());
        let inside = format!("{}exec \"$@\"", if near { engine.as_str() } else { "" });
        let outside = (!near).then(|| {
            let mut python = Command::new("python3");
            Process::start("python3", python.args(["-c", &script]).arg(&socket))
        });
        let variable = format!("SCRIPT={script}");
        let through = [
            "env",
            &variable,
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
            &inside,
            "sh",
        ];
        let host = format!("unix://{}", socket.display());
        let arguments = [&scene.folder.arguments()[..], &["--docker.host", &host]].concat();
        let exporter = Exporter::start_through(&scene.host, &through, &arguments);
        let (state, reason) = if near { ("works", None) } else { ("failed", Some("pid_namespace")) };
        exporter.wait_for(LIMIT, "the engine is believed, or not", |metrics| {
            let mut labels = vec![("source", "docker"), ("state", state)];
            labels.extend(reason.map(|reason| ("reason", reason)));
            metrics.value("veth_exporter_source_info", &labels)
        });
        drop((exporter, outside));
    }
}
