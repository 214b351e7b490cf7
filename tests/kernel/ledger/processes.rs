//! Processes with a network namespace of their own that live for a moment, and are killed.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::book::{booked, refuse_gaps, size};
use lab::scene::{LIMIT, Scene};
use lab::{Process, folder, succeed, unique_name, wait_for, within_netns};

/// On the wire before each datagram's payload: 8 UDP, 20 IPv4, 14 Ethernet.
const HEADERS: u64 = 42;

/// At a time.
const AT_ONCE: usize = 8;

/// A process that is called `name`, in a network namespace of its own.
fn process(scene: &Scene, programs: &Path, name: &str) -> Process {
    let program = programs.join(name);
    symlink("/bin/sleep", &program).unwrap();
    let mut unshare = scene.host.command("unshare");
    let process = Process::start(name, unshare.arg("-n").arg(&program).arg("1000"));
    wait_for(LIMIT, "the process has its name", || {
        let comm = fs::read_to_string(format!("/proc/{}/comm", process.pid())).unwrap();
        if comm == format!("{name}\n") { Ok(()) } else { Err(comm) }
    });
    process
}

/// Joins the namespace of a process to the host, as `v{number}`.
fn join(scene: &Scene, pid: u32, number: usize) {
    let [near, far] = [0, 1].map(|side| format!("02:00:00:{side:02x}:00:{number:02x}"));
    let device = format!("v{number}");
    scene.host.ip(["link", "add", &device, "address", &near, "up", "type", "veth", "peer", "name", "eth0"]
        .into_iter()
        .chain(["address", &far, "netns", &pid.to_string()]));
    within_netns(&netns(pid), || {
        for links in ["all", "default", "eth0"] {
            fs::write(format!("/proc/sys/net/ipv6/conf/{links}/disable_ipv6"), "1").unwrap();
        }
        let ip = |words: &[&str]| drop(succeed(Command::new("ip").args(words)));
        ip(&["link", "set", "eth0", "up"]);
        ip(&["address", "add", "10.98.0.2/30", "dev", "eth0"]);
        ip(&["neigh", "add", "10.98.0.1", "lladdr", &near, "dev", "eth0", "nud", "permanent"]);
    });
    wait_for(LIMIT, "the port is up", || {
        let link = scene.host.ip_json(["link", "show", &device]);
        if link[0]["operstate"] == "UP" { Ok(()) } else { Err(link) }
    });
}

fn netns(pid: u32) -> PathBuf {
    format!("/proc/{pid}/ns/net").into()
}

/// Sends from within, and returns the bytes on the wire.
fn send(pid: u32, count: u64, payload: usize) -> u64 {
    within_netns(&netns(pid), || {
        let socket = UdpSocket::bind("10.98.0.2:0").unwrap();
        for _ in 0..count {
            assert_eq!(socket.send_to(&vec![0x5a; payload], "10.98.0.1:9").unwrap(), payload);
        }
    });
    count * (payload as u64 + HEADERS)
}

#[test]
fn a_process_that_lives_for_half_a_second_and_is_killed_has_its_name_and_its_bytes() {
    let scene = Scene::new();
    let exporter = scene.exporter(&[]);
    let programs = folder().join(unique_name("programs"));
    fs::create_dir(&programs).unwrap();
    let count = size(40, 200);
    let mut truth = Vec::new();
    for round in 0..count / AT_ONCE {
        let numbers = round * AT_ONCE..(round + 1) * AT_ONCE;
        let mut processes: Vec<(String, Process)> = numbers
            .map(|number| {
                let name = format!("p{number}");
                let process = process(&scene, &programs, &name);
                join(&scene, process.pid(), number);
                (name, process)
            })
            .collect();
        // Each has lived for less than the second in which a runtime may name it.
        std::thread::sleep(Duration::from_millis(300));
        for (name, process) in &mut processes {
            truth.push((name.clone(), send(process.pid(), 50, 1_000 + truth.len())));
            process.kill();
        }
    }
    // An end that is left may still bring the last numbers of its pair.
    let metrics = exporter.wait_for(LIMIT, "no end is left", |metrics| {
        let ends = metrics.all("veth_exporter_ends");
        (!ends.is_empty() && ends.iter().all(|(_, count)| *count == 0.0)).then(|| metrics.clone())
    });
    let booked = booked(&metrics);
    let there = |name: &str| booked.get(name).map_or(0, |traffic| traffic.transmit_bytes);
    let named = truth.iter().filter(|(name, _)| booked.contains_key(name)).count();
    let (sent, kept) = truth.iter().fold((0, 0), |sums, (name, sent)| {
        assert!(there(name) <= *sent, "{name} has {} of {sent} bytes", there(name));
        (sums.0 + sent, sums.1 + there(name))
    });
    println!("{count} processes that were killed: {named} named, {kept} of {sent} bytes");
    let of_nobody = booked.get("").map_or(0, |traffic| traffic.transmit_bytes);
    assert!(named >= count * 99 / 100, "{named} of {count} are named; {of_nobody} bytes are nobody's");
    assert!(kept as f64 >= 0.95 * sent as f64, "{kept} of {sent} bytes");
    refuse_gaps(&metrics);
    fs::remove_dir_all(&programs).unwrap();
}
