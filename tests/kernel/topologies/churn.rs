//! Namespaces that die in the middle of a question, and entries of the folder that are none.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lab::scene::{LIMIT, Scene, ip_batch, labels, series};
use lab::{Exporter, Netns, folder, promtool_check, succeed, unique_name, wait_for};

/// What the exporter has open, but for the files and connections of a moment.
fn kept_open(exporter: &Exporter) -> usize {
    let entries = fs::read_dir(format!("/proc/{}/fd", exporter.pid())).unwrap();
    entries.count()
}

/// Twenty namespaces, made and deleted by one command each: quicker than one by one, and gone with this.
struct Batch {
    names: Vec<String>,
}

impl Batch {
    const SIZE: usize = 20;

    /// Each has an eth0 whose peer is on the host; every other one has a name in the folder, some are joined to their neighbours.
    fn new(scene: &Scene, maker: usize) -> Batch {
        let batch = Batch { names: (0..Batch::SIZE).map(|_| unique_name("churn")).collect() };
        for name in &batch.names {
            // As the lab notes its own, for `tests/run`.
            fs::write(folder().join("netns").join(name), "").unwrap();
        }
        batch.ip("add");
        let mut lines = String::new();
        for (number, name) in batch.names.iter().enumerate() {
            let device = name.trim_start_matches("churn-");
            writeln!(lines, "link add {device} up type veth peer name eth0 netns {name}").unwrap();
            if number % 2 == 0 {
                scene.folder.name(format!("churn-{maker}-{number}"), &Netns::existing(name));
            }
        }
        ip_batch(&scene.host, &lines);
        let mut aside = String::new();
        for (number, neighbour) in batch.names.iter().enumerate().skip(1) {
            writeln!(aside, "link add aside{number} type veth peer name aside netns {neighbour}").unwrap();
        }
        ip_batch(&Netns::existing(&batch.names[0]), &aside);
        batch
    }

    fn ip(&self, what: &str) {
        let list = folder().join(unique_name("batch"));
        let lines: Vec<String> = self.names.iter().map(|name| format!("netns {what} {name}\n")).collect();
        fs::write(&list, lines.concat()).unwrap();
        succeed(Command::new("ip").arg("-batch").arg(&list));
        fs::remove_file(list).unwrap();
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.ip("del");
        for name in &self.names {
            fs::remove_file(folder().join("netns").join(name)).unwrap();
        }
    }
}

#[test]
fn while_namespaces_come_and_go_every_exposition_is_whole_and_nothing_is_left_behind() {
    let scene = Scene::new();
    let stays = scene.named("stays");
    scene.host.veth("veth-stays", &stays, "eth0");
    let exporter = scene.exporter(&[]);
    let stayed = [("device", "veth-stays"), ("container", "stays")];
    exporter.wait_for(LIMIT, "the pair that stays", |m| m.value("veth_device_up", &stayed));
    let before = kept_open(&exporter);
    let done = AtomicBool::new(false);
    let made: usize = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..2)
            .map(|maker| {
                let (scene, done) = (&scene, &done);
                scope.spawn(move || {
                    let mut living = VecDeque::new();
                    let mut made = 0;
                    while !done.load(Ordering::Relaxed) {
                        living.push_back(Batch::new(scene, maker));
                        made += Batch::SIZE;
                        if living.len() > 2 {
                            living.pop_front();
                        }
                    }
                    made
                })
            })
            .collect();
        let begin = Instant::now();
        let mut scrapes = 0;
        // A machine that is busy takes longer for as many.
        while begin.elapsed() < Duration::from_secs(5) || scrapes < 20 {
            let metrics = exporter.metrics();
            for collector in ["links", "counters", "named"] {
                let success = metrics.value("veth_exporter_collector_success", &[("collector", collector)]);
                if success != Some(1.0) {
                    done.store(true, Ordering::Relaxed);
                }
                assert_eq!(
                    success,
                    Some(1.0),
                    "{collector}: {}\n{}",
                    metrics.text,
                    exporter.log().join("\n")
                );
            }
            assert!(metrics.value("veth_device_up", &stayed).is_some(), "{}", metrics.text);
            scrapes += 1;
            // Ten a second are what is asked for here: it is a pace, not a wait.
            std::thread::sleep(Duration::from_millis(100));
        }
        done.store(true, Ordering::Relaxed);
        makers.into_iter().map(|maker| maker.join().unwrap()).sum()
    });
    assert!(made >= 200, "only {made} namespaces were made");
    exporter.wait_for(LIMIT, "only what stays is left", |metrics| {
        let paired = metrics.value("veth_exporter_ends", &[("state", "paired")])?;
        let devices = series(metrics, "veth_device_up");
        (paired == 2.0 && devices.len() == 1).then_some(())
    });
    // With the exporter's help no namespace lives longer than its name.
    wait_for(LIMIT, "the host has its own links only", || {
        let links = scene.host.ip_json(["link", "show", "type", "veth"]);
        if links.as_array().unwrap().len() == 1 { Ok(()) } else { Err(format!("{links:#}")) }
    });
    wait_for(LIMIT, "the exporter has as much open as before", || match kept_open(&exporter) {
        now if now <= before => Ok(()),
        now => Err(format!("{now} descriptors, before {before}")),
    });
    let metrics = exporter.metrics();
    assert_eq!(metrics.value("veth_exporter_bad_messages_total", &[]), Some(0.0), "{}", metrics.text);
    promtool_check(&metrics.text).unwrap();
}

#[test]
fn entries_of_the_folder_that_are_no_namespace_hinder_none_that_is() {
    let scene = Scene::new();
    let inside = scene.folder.path();
    fs::write(inside.join("plain"), "a file").unwrap();
    fs::create_dir(inside.join("directory")).unwrap();
    symlink("/nonexistent/netns", inside.join("dangling")).unwrap();
    symlink("loop", inside.join("loop")).unwrap();
    symlink("/proc/self/ns/mnt", inside.join("other-kind")).unwrap();
    succeed(Command::new("mkfifo").arg(inside.join("fifo")));
    let long = "x".repeat(255);
    let names: [(&[u8], &str); 4] = [
        (b"a\n\"b\" '\\", r#"a\x0a"b" '\\"#),
        (long.as_bytes(), &long),
        (b"\xff\x1b[2J", r"\xff\x1b[2J"),
        (b"..named", "..named"),
    ];
    let mut alive = Vec::new();
    for (number, (name, _)) in names.iter().enumerate() {
        let netns = Netns::quiet("n");
        scene.folder.name(OsStr::from_bytes(name), &netns);
        scene.host.veth(&format!("veth{number}"), &netns, "eth0");
        alive.push(netns);
    }
    let exporter = scene.exporter(&[]);
    let metrics = exporter.wait_for(LIMIT, "all four are named", |metrics| {
        (series(metrics, "veth_container_info").len() == 4).then(|| metrics.clone())
    });
    let wanted = names.map(|(_, shown)| labels([("runtime", "named"), ("container", shown)]));
    assert_eq!(series(&metrics, "veth_container_info"), wanted.into());
    assert_eq!(
        metrics.value("veth_exporter_collector_success", &[("collector", "named")]),
        Some(1.0),
        "{}",
        metrics.text
    );
    promtool_check(&metrics.text).unwrap();
    assert!(!metrics.text.contains('\x1b'), "{}", metrics.text);
    // The table of `list` is for a terminal.
    let [flag, path] = scene.folder.arguments();
    let output = Exporter::command(&scene.host, &["list", flag, path]).output().unwrap();
    assert!(output.status.success() && !output.stdout.contains(&0x1b), "{}", lab::describe(&output));
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 5);
}
