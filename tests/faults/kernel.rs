//! The kernel at its worst: events that are lost, dumps that are interrupted, links that never hold still.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::campaign::note;
use crate::{OFTEN, SOON, Used, sum_of, timed};
use lab::book::{Dice, booked, size};
use lab::crowd::{Crowd, Host};
use lab::{Exporter, Exposition, Netns, NetnsFolder, describe, promtool_check, wait_for};

/// `ip -batch` in a namespace.
pub(crate) fn ip_batch(netns: &Netns, lines: &str) {
    let output = try_ip_batch(netns, lines);
    assert!(output.status.success(), "{}", describe(&output));
}

fn try_ip_batch(netns: &Netns, lines: &str) -> std::process::Output {
    use std::io::Write as _;
    let mut child = Command::new("ip")
        .args(["-n", netns.name(), "-force", "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// The devices of the host and the interfaces behind them, as the exporter shows them.
pub(crate) fn devices(metrics: &Exposition) -> BTreeSet<String> {
    metrics.all("veth_device_up").into_iter().map(|(labels, _)| labels["device"].clone()).collect()
}

/// The same as `ip` sees them.
pub(crate) fn devices_by_ip(host: &Netns) -> BTreeSet<String> {
    let links = host.ip_json(["link", "show", "type", "veth"]);
    links.as_array().unwrap().iter().map(|link| link["ifname"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn more_events_than_the_receive_buffer_holds_are_said_to_be_lost_and_all_is_right_again_at_once() {
    let host = Host::new();
    let stays = Crowd::new(&host, 0..5);
    stays.name();
    stays.join();
    let goes = Crowd::new(&host, 10..15);
    goes.name();
    goes.join();
    let mut exporter = host.exporter(&OFTEN);
    stays.take_up();
    exporter.wait_for(SOON, "all are named", |metrics| (devices(metrics).len() == 10).then_some(()));
    let mut dice = Dice::new();
    let first = stays.talk(&mut dice);
    exporter.process().signal(Signal::SIGSTOP);
    // Each change of an MTU is a message at either end; 16 MiB hold some 7,000. None is so small that the host would
    // cut a datagram in two.
    let mut flood = String::new();
    for number in 0..8_000 {
        writeln!(flood, "link set v0 mtu {}", 1_498 + number % 2).unwrap();
    }
    ip_batch(&host.netns, &flood);
    // Nobody hears of these: five go, five come, and those that stay say more.
    drop(goes);
    let comes = Crowd::new(&host, 20..25);
    comes.name();
    comes.join();
    let second = stays.talk(&mut dice);
    exporter.process().signal(Signal::SIGCONT);
    let begin = Instant::now();
    let metrics = exporter.wait_for(SOON, "the devices are those of ip", |metrics| {
        (devices(metrics) == devices_by_ip(&host.netns)).then(|| metrics.clone())
    });
    let took = begin.elapsed();
    assert!(metrics.value("veth_exporter_netlink_lost_total", &[]) > Some(0.0), "{}", metrics.text);
    let resyncs = metrics.value("veth_exporter_resyncs_total", &[("reason", "lost")]);
    assert!(resyncs >= Some(1.0), "{}", metrics.text);
    wait_for(SOON, "what those have said that lived on is booked to the byte", || {
        let metrics = exporter.metrics();
        let booked = booked(&metrics);
        let wrong = |name: &&String| booked.get(*name) != Some(&(first[*name] + second[*name]));
        match first.keys().find(wrong) {
            None => Ok(()),
            Some(name) => Err(format!(
                "{name}: {:?} and {:?}, booked {:?}",
                first[name],
                second[name],
                booked.get(name)
            )),
        }
    });
    // And from now on events tell again.
    drop(comes);
    exporter.wait_for(SOON, "what goes is gone", |metrics| (devices(metrics).len() == 5).then_some(()));
    note(&format!("right {} ms after it could run again", took.as_millis()));
}

#[test]
fn dumps_that_links_interrupt_all_the_time_keep_no_exporter_from_its_start_and_none_of_its_names() {
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    folder.name("web", &web);
    let mut lines = String::new();
    for number in 0..500 {
        writeln!(lines, "link add v{number} type veth peer name e{number} netns {}", web.name()).unwrap();
    }
    ip_batch(&host, &lines);
    // Links come and go so fast that no dump of either namespace is left alone.
    let stop = AtomicBool::new(false);
    let changes = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let _finally = SetOnDrop(&stop);
        for (number, netns) in [&host, &web].into_iter().enumerate() {
            let (stop, changes) = (&stop, &changes);
            scope.spawn(move || {
                let one = format!("link add churn{number} type bridge\nlink del churn{number}\n");
                while !stop.load(Ordering::Relaxed) {
                    ip_batch(netns, &one.repeat(50));
                    changes.fetch_add(100, Ordering::Relaxed);
                }
            });
        }
        let begin = Instant::now();
        let own = folder.arguments();
        let exporter = Exporter::start(&host, &[&own, &OFTEN[..]].concat());
        wait_for(SOON, "it is ready", || match exporter.get("/-/ready").status {
            200 => Ok(()),
            _ => Err(exporter.log().join("\n")),
        });
        let ready = begin.elapsed();
        let labels = [("device", "v499"), ("container", "web"), ("interface", "e499")];
        exporter.wait_for(SOON, "all devices have their names", |metrics| {
            metrics.value("veth_device_info", &labels).filter(|_| devices(metrics).len() == 500)
        });
        let named = begin.elapsed();
        let begin = Instant::now();
        let mut slowest = Duration::ZERO;
        while begin.elapsed() < Duration::from_secs(size(3, 30) as u64) {
            let (metrics, took) = timed(&exporter);
            slowest = slowest.max(took);
            assert_eq!(devices(&metrics).len(), 500);
        }
        let said = exporter.remarks().len();
        assert!(said <= 2, "{:#?}", exporter.log());
        let resyncs = sum_of(&exporter.metrics(), "veth_exporter_resyncs_total");
        note(&format!(
            "ready after {} ms, named after {} ms, {} changes of links, {resyncs} rounds, slowest scrape {} ms",
            ready.as_millis(),
            named.as_millis(),
            changes.load(Ordering::Relaxed),
            slowest.as_millis()
        ));
    });
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn namespaces_made_and_killed_as_fast_as_the_machine_can_leave_nothing_behind() {
    let host = Host::new();
    let stays = Crowd::new(&host, 60_000..60_001);
    stays.name();
    stays.join();
    let exporter = host.exporter(&[]);
    let only_one = || {
        exporter.wait_for(Duration::from_secs(60), "only the pair that stays is left", |metrics| {
            (sum_of(metrics, "veth_exporter_ends") == 2.0 && devices(metrics).len() == 1)
                .then(|| metrics.clone())
        })
    };
    only_one();
    let seconds = Duration::from_secs(size(5, 30) as u64);
    let (mut made, mut scrapes, mut rounds) = (0_u32, 0, Vec::new());
    let mut slowest = Duration::ZERO;
    for _ in 0..3 {
        let begin = Instant::now();
        while begin.elapsed() < seconds / 3 {
            // Other numbers each time: a device is gone a moment after its namespace.
            let first = made % 50_000;
            Crowd::new(&host, first..first + 100).join();
            made += 100;
            let (_, took) = timed(&exporter);
            (scrapes, slowest) = (scrapes + 1, slowest.max(took));
        }
        only_one();
        rounds.push(Used::at_rest(&exporter));
    }
    let [_, second, third] = rounds[..] else { unreachable!() };
    assert!(third.resident <= second.resident + (4 << 20), "{rounds:?}");
    assert!(third.descriptors <= second.descriptors && third.threads <= second.threads + 1, "{rounds:?}");
    let metrics = exporter.metrics();
    assert_eq!(metrics.value("veth_exporter_netlink_lost_total", &[]), Some(0.0), "{}", metrics.text);
    note(&format!("{made} namespaces, {scrapes} scrapes, slowest {} ms, no event lost", slowest.as_millis()));
    drop(stays);
}

/// Names that a text format, a log or a terminal could stumble over. The kernel takes any 15 bytes but blanks, `/` and `:`.
const NASTY: [&[u8]; 12] = [
    b"a\"b",
    b"back\\slash",
    b"e\x1b[2J",
    b"v\xff\xfe",
    b"{x=\"y\"}",
    b"\"}1",
    b"#HELP",
    b"\\n\\\"",
    "🦀🦀🦀".as_bytes(),
    b"\x01\x02\x03",
    b"le=\"+Inf\"",
    b"other",
];

#[test]
fn a_container_that_renames_its_interface_to_every_nasty_name_while_it_is_scraped_breaks_no_exposition() {
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    folder.name("web", &web);
    host.veth("veth-web", &web, "eth0");
    let exporter = Exporter::start(&host, &[&folder.arguments()[..], &OFTEN].concat());
    exporter.wait_for(SOON, "it has its name", |metrics| {
        metrics.value("veth_device_up", &[("container", "web")])
    });
    let stop = AtomicBool::new(false);
    let (mut expositions, mut seen) = (0, BTreeSet::new());
    let renames = std::thread::scope(|scope| {
        let renamer = scope.spawn(|| {
            let (mut renames, mut now) = (0, b"eth0".to_vec());
            while !stop.load(Ordering::Relaxed) {
                for name in NASTY.into_iter().chain([&b"eth0"[..]]) {
                    let words = [
                        OsStr::new("link"),
                        OsStr::new("set"),
                        OsStr::from_bytes(&now),
                        OsStr::new("name"),
                        OsStr::from_bytes(name),
                    ];
                    web.ip(words);
                    now = name.to_vec();
                    renames += 1;
                    // So that some are seen, and some are not.
                    std::thread::sleep(Duration::from_millis(renames % 40));
                }
            }
            renames
        });
        let _finally = SetOnDrop(&stop);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(size(5, 60) as u64) {
            let metrics = exporter.metrics();
            let infos = metrics.all("veth_device_info");
            assert_eq!(infos.len(), 1, "{}", metrics.text);
            assert_eq!(infos[0].0["device"], "veth-web");
            assert!(metrics.all("veth_container_receive_bytes_total").len() <= 64, "{}", metrics.text);
            seen.insert(infos[0].0.get("interface").cloned().unwrap_or_default());
            expositions += 1;
            if expositions % 10 == 0 {
                promtool_check(&metrics.text).unwrap();
            }
        }
        stop.store(true, Ordering::Relaxed);
        renamer.join().unwrap()
    });
    assert!(seen.len() > 6, "{seen:?}");
    exporter.wait_for(SOON, "in the end it has its name back", |metrics| {
        metrics.value("veth_device_up", &[("container", "web"), ("interface", "eth0")])
    });
    assert!(exporter.log().iter().all(|line| !line.contains('\u{1b}')), "{:?}", exporter.log());
    note(&format!("{renames} renames, {expositions} expositions, all valid"));
}

#[test]
fn fifty_namespaces_one_in_the_other_are_all_found() {
    const DEPTH: usize = 50;
    let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
    let nested: Vec<Netns> = (0..DEPTH).map(|_| Netns::quiet("deep")).collect();
    let mut outer = &host;
    for (number, inner) in nested.iter().enumerate() {
        folder.name(format!("deep-{number}"), inner);
        outer.veth(&format!("down{number}"), inner, "top");
        outer = inner;
    }
    let exporter = Exporter::start(&host, &[&folder.arguments()[..], &OFTEN].concat());
    let begin = Instant::now();
    exporter.wait_for(SOON, "every pair is there", |metrics| {
        (metrics.value("veth_exporter_ends", &[("state", "paired")]) == Some(2.0 * DEPTH as f64)
            && metrics.all("veth_container_info").len() == DEPTH)
            .then_some(())
    });
    let took = begin.elapsed();
    // The innermost dies with its veth, then all at once.
    drop(nested);
    exporter.wait_for(SOON, "nothing is left", |metrics| {
        (sum_of(metrics, "veth_exporter_ends") == 0.0).then_some(())
    });
    note(&format!("all found after {} ms", took.as_millis()));
}
