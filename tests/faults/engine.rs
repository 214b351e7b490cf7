//! Engines that fail: real ones that are killed, and sockets where somebody answers as no engine does.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::campaign::note;
use crate::impostor::{Answer, Beside, DEVICE, Impostor, Kind, json};
use crate::{OFTEN, SOON, Used, said_of, timed};
use lab::book::{refuse_gaps, size};
use lab::{
    Container, DockerEngine, Exporter, Exposition, IMAGE, Netns, Podman, Traffic, empty_folder, needs_engine,
    ping, wait_for, within_netns,
};

pub(crate) fn wait_for_source(exporter: &Exporter, source: &str, works: bool) {
    exporter.wait_for(SOON, &format!("collector_success of {source} is {works}"), |metrics| {
        metrics.collector_success(source).filter(|success| *success == works)
    });
}

/// Every device with its container, or what else a label names; nobody's has an empty name. In what an interrupted start has
/// left behind there may be runc's own process: by that its namespace is called if the engine has never told of the container.
pub(crate) fn named(metrics: &Exposition, label: &str) -> Vec<[String; 2]> {
    let infos = metrics.all("veth_device_info").into_iter();
    let mut named: Vec<[String; 2]> = infos
        .map(|(labels, _)| {
            let told = labels.get("runtime").is_some_and(|runtime| runtime != "process");
            let name = labels.get(label).filter(|_| told).cloned().unwrap_or_default();
            [labels["device"].clone(), name]
        })
        .collect();
    named.sort();
    named
}

fn device_of(engine: &DockerEngine, container: &Container) -> [String; 2] {
    [container.host_device(engine.netns(), "eth0"), container.name().to_owned()]
}

/// What two containers send each other meanwhile is booked to the byte.
fn assert_exact(exporter: &Exporter, [one, two]: &[Container; 2], to: std::net::IpAddr, pid: u32) {
    let eth0 = lab::Interface::new("docker", one.name(), "eth0", pid);
    let (first, own_first) = eth0.at_rest(exporter);
    ping(&eth0.netns_path(), to, 10, 500);
    let (last, own_last) = eth0.at_rest(exporter);
    assert_eq!(last - first, own_last - own_first, "{} to {}", one.name(), two.name());
}

#[test]
fn dockerd_that_is_killed_with_live_restore_takes_no_name_and_no_byte() {
    needs_engine!();
    let netns = Netns::new("live");
    let mut engine = DockerEngine::start_private_with(&netns, r#"{"live-restore": true}"#);
    let containers = [engine.run_idle("live", &[]), engine.run_idle("live", &[])];
    let (pid, to) = (containers[0].pid(), containers[1].address("bridge"));
    let exporter = Exporter::for_engine(&engine, &OFTEN);
    let mut expected = containers.each_ref().map(|container| device_of(&engine, container));
    expected.sort();
    let all_named = || {
        exporter
            .wait_for(SOON, "both have their names", |m| (named(m, "container") == expected).then_some(()))
    };
    all_named();
    let always = |metrics: &Exposition| assert_eq!(named(metrics, "container"), expected, "{}", metrics.text);
    exporter.while_scraping(always, || {
        for _ in 0..2 {
            engine.kill();
            wait_for_source(&exporter, "docker", false);
            assert_exact(&exporter, &containers, to, pid);
            engine.restart();
            wait_for_source(&exporter, "docker", true);
            assert_exact(&exporter, &containers, to, pid);
        }
    });
    assert_eq!(containers[0].pid(), pid, "the container has lived on");
    assert_eq!(said_of(&exporter, "docker").len(), 4, "{:#?}", said_of(&exporter, "docker"));
    refuse_gaps(&exporter.metrics());
}

#[test]
fn containerd_that_is_killed_under_docker_takes_no_name_and_no_byte() {
    needs_engine!();
    let netns = Netns::new("shim");
    let engine = DockerEngine::start_private(&netns);
    let containers = [engine.run_idle("shim", &[]), engine.run_idle("shim", &[])];
    let (pid, to) = (containers[0].pid(), containers[1].address("bridge"));
    let exporter = Exporter::for_engine(&engine, &OFTEN);
    let mut expected = containers.each_ref().map(|container| device_of(&engine, container));
    expected.sort();
    exporter.wait_for(SOON, "both have their names", |m| (named(m, "container") == expected).then_some(()));
    let always = |metrics: &Exposition| assert_eq!(named(metrics, "container"), expected, "{}", metrics.text);
    let file = engine.root().join("exec/containerd/containerd.pid");
    let of_file = || fs::read_to_string(&file).ok()?.trim().parse::<i32>().ok();
    let before = of_file().unwrap();
    exporter.while_scraping(always, || {
        kill(Pid::from_raw(before), Signal::SIGKILL).unwrap();
        assert_exact(&exporter, &containers, to, pid);
        wait_for(Duration::from_secs(60), "dockerd has started another containerd", || match of_file() {
            Some(now) if now != before && Path::new(&format!("/proc/{now}/exe")).exists() => Ok(()),
            other => Err(format!("{before}, then {other:?}")),
        });
        assert_exact(&exporter, &containers, to, pid);
    });
    // A container that starts now is named as before.
    wait_for(Duration::from_secs(60), "containers start again", || {
        let started = engine.try_docker(&["run", "-d", "--name", "third", IMAGE, "sleep", "1000"]);
        if started.status.success() {
            return Ok(());
        }
        let _ = engine.try_docker(&["rm", "-f", "third"]);
        Err(String::from_utf8_lossy(&started.stderr).into_owned())
    });
    let labels = [("container", "third"), ("interface", "eth0")];
    exporter.wait_for(SOON, "the new one has its name", |metrics| metrics.value("veth_device_up", &labels));
}

/// Docker and Podman played by somebody who answers so: a failed source that costs one line, bounded memory and no other
/// source; and whether it is seen to fail in each of these words.
fn fails(answer: Answer, words: &[&str]) {
    fails_after(8, answer, words);
}

/// The same, once this many of its connections have ended: an engine that is slow is waited for.
fn fails_after(connections: usize, answer: Answer, words: &[&str]) {
    let impostors = [Kind::Docker, Kind::Podman].map(|kind| (kind, Impostor::start(kind, answer)));
    let [docker, podman] = impostors.each_ref().map(|(_, impostor)| impostor.host());
    let beside = Beside::start(&["--docker.host", &docker, "--podman.host", &podman]);
    let exporter = &beside.exporter;
    let mut slowest = Duration::ZERO;
    for (kind, impostor) in &impostors {
        wait_for(SOON, "it is asked again and again, and fails each time", || {
            let (metrics, took) = timed(exporter);
            slowest = slowest.max(took);
            assert_eq!(metrics.value("veth_device_up", &DEVICE), Some(1.0), "{}", metrics.text);
            for others in ["links", "counters", "named"] {
                assert_eq!(metrics.collector_success(others), Some(true), "{others}: {}", metrics.text);
            }
            let failed = metrics.collector_success(kind.source()) == Some(false);
            std::thread::sleep(Duration::from_millis(50));
            if failed && impostor.answered() >= connections {
                Ok(())
            } else {
                Err(format!("{:?}\n{}", impostor.answered(), exporter.log().join("\n")))
            }
        });
        let said = said_of(exporter, kind.source());
        assert_eq!(said.len(), 1, "{said:#?}");
        for word in words {
            assert!(said[0].contains(word), "no {word:?} in {}", said[0]);
        }
    }
    let used = Used::by(exporter);
    assert!(used.resident < 256 << 20, "{used:?}");
    note(&format!("{} MiB resident, slowest scrape {} ms", used.resident >> 20, slowest.as_millis()));
}

fn one_gigabyte(_: &str, stream: &mut UnixStream) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n[",
        1 << 30
    )?;
    let blanks = [b' '; 65_536];
    for _ in 0..(1 << 30) / blanks.len() {
        stream.write_all(&blanks)?;
    }
    Ok(())
}

#[test]
fn an_engine_that_sends_a_gigabyte_is_cut_off_at_the_limit() {
    fails(one_gigabyte, &["answered with more than 16777216 bytes"]);
}

fn reset(_: &str, stream: &mut UnixStream) -> std::io::Result<()> {
    // To close with what was sent unread resets the connection, as a client sees it.
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n[")?;
    stream.shutdown(std::net::Shutdown::Both)
}

#[test]
fn an_engine_that_breaks_every_connection_in_its_answer_is_a_failed_source() {
    fails(reset, &["broke"]);
}

fn byte_by_byte(path: &str, stream: &mut UnixStream) -> std::io::Result<()> {
    let body = if path.ends_with("/events") { "{}" } else { "[]" };
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{body}");
    for byte in answer.as_bytes() {
        stream.write_all(&[*byte])?;
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

#[test]
fn an_engine_that_answers_byte_by_byte_is_understood() {
    let impostors = [Kind::Docker, Kind::Podman].map(|kind| Impostor::start(kind, byte_by_byte));
    let [docker, podman] = impostors.each_ref().map(Impostor::host);
    let beside = Beside::start(&["--docker.host", &docker, "--podman.host", &podman]);
    for source in ["docker", "podman"] {
        wait_for_source(&beside.exporter, source, true);
        assert_eq!(said_of(&beside.exporter, source), Vec::<String>::new());
    }
}

fn drop_by_drop(_: &str, stream: &mut UnixStream) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n[")?;
    loop {
        stream.write_all(b" ")?;
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_engine_whose_answer_never_ends_is_a_failed_source_after_five_seconds() {
    fails_after(1, drop_by_drop, &["did not answer within 5s"]);
}

fn wrong_types(path: &str, stream: &mut UnixStream) -> std::io::Result<()> {
    let entry = r#"{"Id":7,"Names":"web","Labels":[1],"NetworkSettings":"none","Networks":3,"Pid":"one","name":[],"Name":{}}"#;
    match path {
        _ if path.ends_with("/events") => json(stream, "[]"),
        _ => json(stream, &format!("[{entry}]")),
    }
}

#[test]
fn an_engine_that_answers_with_wrong_types_is_a_failed_source() {
    fails(wrong_types, &["does not speak Docker's API"]);
}

fn never(_: &str, stream: &mut UnixStream) -> std::io::Result<()> {
    stream.read_to_end(&mut Vec::new()).map(drop)
}

#[test]
fn an_engine_that_takes_every_question_and_answers_none_is_a_failed_source_after_five_seconds() {
    fails_after(1, never, &["did not answer within 5s"]);
}

/// The ids of the containers of a large engine.
fn id(number: usize) -> String {
    format!("{number:064x}")
}

fn ten_thousand(path: &str, stream: &mut UnixStream) -> std::io::Result<()> {
    const COUNT: usize = 10_000;
    let list = |entry: fn(usize) -> String| {
        let entries: Vec<String> = (0..COUNT).map(entry).collect();
        format!("[{}]", entries.join(","))
    };
    match path {
        _ if path.contains("/libpod/containers") => json(
            stream,
            &list(|number| {
                format!(
                    r#"{{"Id":"{}","Names":["big-{number}"],"Image":"big","Labels":{{"a":"b"}},"Networks":["podman"],"Pid":{},"StartedAt":1}}"#,
                    id(number),
                    3_000_000 + number
                )
            }),
        ),
        _ if path.contains("networks") => json(stream, "[]"),
        _ if path.ends_with("/containers/json") => json(
            stream,
            &list(|number| {
                format!(
                    r#"{{"Id":"{0}","Names":["/big-{number}"],"Image":"big","Labels":{{"a":"b"}},"State":"running","NetworkSettings":{{"Networks":{{"bridge":{{"NetworkID":"n","EndpointID":"e{0}","MacAddress":"02:42:0a:00:{1:02x}:{2:02x}"}}}}}}}}"#,
                    id(number),
                    number / 256,
                    number % 256
                )
            }),
        ),
        _ if path.contains("/containers/") => {
            let id = path.rsplit('/').nth(1).unwrap_or_default();
            let number = usize::from_str_radix(id, 16).unwrap_or_default();
            json(
                stream,
                &format!(
                    r#"{{"Id":"{id}","Name":"/big-{number}","State":{{"Status":"running","Pid":{}}},"HostConfig":{{"NetworkMode":"bridge"}},"NetworkSettings":{{"SandboxKey":"","Networks":{{}}}}}}"#,
                    3_000_000 + number
                ),
            )
        }
        _ => never(path, stream),
    }
}

#[test]
fn an_engine_with_ten_thousand_containers_works_and_delays_no_scrape() {
    for kind in [Kind::Docker, Kind::Podman] {
        let impostor = Impostor::start(kind, ten_thousand);
        let flag = format!("--{}.host", kind.source());
        let beside = Beside::start(&[&flag, &impostor.host()]);
        let exporter = &beside.exporter;
        wait_for_source(exporter, kind.source(), true);
        let mut took = Vec::new();
        let begin = Instant::now();
        // As long as it inspects all of them, and then some.
        while begin.elapsed() < Duration::from_secs(size(8, 60) as u64) {
            let (metrics, time) = timed(exporter);
            assert_eq!(metrics.value("veth_device_up", &DEVICE), Some(1.0), "{}", metrics.text);
            assert_eq!(metrics.collector_success(kind.source()), Some(true), "{}", metrics.text);
            took.push(time);
            std::thread::sleep(Duration::from_millis(50));
        }
        took.sort();
        let used = Used::by(exporter);
        let (half, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
        assert!(half < Duration::from_secs(2), "{took:?}");
        assert!(used.resident < 256 << 20, "{used:?}");
        assert_eq!(said_of(exporter, kind.source()), Vec::<String>::new());
        note(&format!(
            "{}: {} MiB, scrape p50 {} ms, p99 {} ms",
            kind.source(),
            used.resident >> 20,
            half.as_millis(),
            p99.as_millis()
        ));
    }
}

/// The answer to a question of DNS: that the name is 127.0.0.1 (RFC 1035, 4.1).
fn loopback(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2..4].copy_from_slice(&[0x81, 0x80]);
    // Not for AAAA: its type is before the class, at the end.
    if question[question.len() - 4..] == [0, 1, 0, 1] {
        answer[7] = 1;
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    answer
}

#[test]
fn a_name_server_that_is_silent_costs_the_engine_alone_and_no_look_ups_pile_up() {
    let file = empty_folder("dns").join("resolv.conf");
    fs::write(&file, "nameserver 127.0.0.1\noptions timeout:5 attempts:2\n").unwrap();
    let script = "mount --bind $0 /etc/resolv.conf && exec \"$@\"";
    let through = ["unshare", "-m", "sh", "-c", script, file.to_str().unwrap()];
    let bind = || (UdpSocket::bind("127.0.0.1:53").unwrap(), TcpListener::bind("127.0.0.1:2375").unwrap());
    let (beside, (server, engine)) = Beside::start_through(
        |host| within_netns(&host.path(), bind),
        &through,
        &["--docker.host", "tcp://engine.test:2375"],
    );
    let exporter = &beside.exporter;
    server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (mut asked, mut slowest, mut buffer) = (BTreeSet::new(), Duration::ZERO, [0; 512]);
    let begin = Instant::now();
    // The system gives up after 10 s.
    while begin.elapsed() < Duration::from_secs(9) {
        if let Ok((_, from)) = server.recv_from(&mut buffer) {
            asked.insert(from);
        }
        let (metrics, took) = timed(exporter);
        assert_eq!(metrics.value("veth_device_up", &DEVICE), Some(1.0), "{}", metrics.text);
        slowest = slowest.max(took);
    }
    assert!(!asked.is_empty() && asked.len() <= 2, "{asked:?}");
    assert_eq!(said_of(exporter, "docker").len(), 1, "{:#?}", said_of(exporter, "docker"));
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    engine.set_nonblocking(true).unwrap();
    wait_for(SOON, "the engine is dialled when its name is known", || {
        if let Ok((length, from)) = server.recv_from(&mut buffer) {
            server.send_to(&loopback(&buffer[..length]), from).unwrap();
        }
        engine.accept().map_err(|error| error.to_string())
    });
    note(&format!("{} look-ups in 9 s, slowest scrape {} ms", asked.len(), slowest.as_millis()));
}

#[test]
fn a_podman_service_that_is_killed_takes_no_name_and_no_byte() {
    needs_engine!();
    let netns = Netns::new("pkill");
    let mut podman = Podman::start(&netns);
    let (host, names) = (podman.host(), empty_folder("n").display().to_string());
    let web = podman.run("web", &[]);
    let eth0 = web.interface("eth0");
    let other = podman.run("other", &[]).inspect();
    let to = other["NetworkSettings"]["Networks"]["podman"]["IPAddress"].as_str().unwrap().parse().unwrap();
    let flags = [&["--podman.host", &host, "--path.netns", &names], &OFTEN[..]].concat();
    let exporter = Exporter::start(&netns, &flags);
    wait_for_source(&exporter, "podman", true);
    exporter.wait_for(SOON, "it has its name", |metrics| metrics.value("veth_device_up", &eth0.labels()));
    let exact = || {
        let (first, own_first) = eth0.at_rest(&exporter);
        ping(&eth0.netns_path(), to, 10, 500);
        let (last, own_last) = eth0.at_rest(&exporter);
        assert_eq!(last - first, own_last - own_first);
    };
    podman.kill();
    wait_for_source(&exporter, "podman", false);
    exact();
    podman.restart();
    wait_for_source(&exporter, "podman", true);
    exact();
    assert_eq!(said_of(&exporter, "podman").len(), 2, "{:#?}", said_of(&exporter, "podman"));
    assert!(Traffic::booked(&exporter.metrics(), &eth0.labels()).is_some());
}
