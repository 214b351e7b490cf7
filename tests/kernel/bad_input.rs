//! What bad input gets: one clear line and an exit code, or a source that failed while everything else goes on.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lab::{Exporter, Exposition, Netns, NetnsFolder, describe, wait_for};

/// Runs it to its end; its exit code, and its one line.
fn refusal(host: &Netns, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Exporter::command(host, arguments).output().unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(output.stdout.is_empty(), "{}", describe(&output));
    (output.status.code(), said)
}

fn assert_one_line(arguments: &[&str], (code, said): (Option<i32>, String), words: &[&str]) {
    assert_eq!(code, Some(1), "{arguments:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?}: no {word} in: {said}");
    }
}

#[test]
fn an_address_in_use_is_named_in_one_line() {
    let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
    let taken = host.within(|| TcpListener::bind("127.0.0.1:0").unwrap()).local_addr().unwrap();
    // The listener above is closed again: this one is the exporter's, and it stays.
    let here = taken.to_string();
    let [flag, path] = folder.arguments();
    let _exporter = Exporter::start(&host, &[flag, path, "--web.listen-address", &here]);
    let everywhere = format!(":{}", taken.port());
    for address in [here.as_str(), everywhere.as_str()] {
        let arguments = [flag, path, "--web.listen-address", address];
        assert_one_line(&arguments, refusal(&host, &arguments), &[address, "in use"]);
    }
}

#[test]
fn an_address_that_is_not_this_hosts_is_named_in_one_line() {
    let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
    let [flag, path] = folder.arguments();
    let arguments = [flag, path, "--web.listen-address", "192.0.2.1:10736"];
    assert_one_line(&arguments, refusal(&host, &arguments), &["192.0.2.1:10736"]);
}

#[test]
fn a_bad_flag_is_a_usage_error_that_names_it() {
    let host = Netns::quiet("host");
    for (arguments, word) in [
        (["--no-such-flag", "x"], "--no-such-flag"),
        (["--collector.interval", "1ms"], "--collector.interval"),
        (["--container.retention", "forever"], "--container.retention"),
        (["--web.listen-address", "nowhere"], "--web.listen-address"),
        (["--web.telemetry-path", "metrics"], "--web.telemetry-path"),
        (["--web.max-requests", "-1"], "-1"),
        (["--docker.host", "ftp://engine"], "--docker.host"),
        (["--log.level", "loud"], "--log.level"),
        (["--log.format", "xml"], "--log.format"),
        (["list", "--format=xml"], "--format"),
        (["list", "--web.max-requests=1"], "--web.max-requests"),
        (["--web.max-requests=1", "list"], "--web.max-requests"),
        (["list", "--sort=speed"], "--sort"),
        (["completions", "tcsh"], "tcsh"),
        (["no-such-command", "x"], "no-such-command"),
    ] {
        let (code, said) = refusal(&host, &arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.lines().next().unwrap().contains(word), "{arguments:?}: {said}");
    }
}

#[test]
fn a_bad_value_in_the_environment_is_reported_by_the_name_of_its_variable() {
    let host = Netns::quiet("host");
    for (command, variables, code, words, flag) in [
        ("serve", &[("WEB_MAX_REQUESTS", "many")][..], 2, &["WEB_MAX_REQUESTS"][..], "--web.max-requests"),
        ("list", &[("FORMAT", "xml")], 2, &["FORMAT", "table"], "--format"),
        ("list", &[("NETNS_OWN", "perhaps")], 2, &["NETNS_OWN"], "--netns.own"),
        ("list", &[("PATH_NETNS", "/nonexistent")], 1, &["PATH_NETNS", "/nonexistent"], "--path.netns"),
        ("list", &[("PATH_PROCFS", "/nonexistent")], 1, &["PATH_PROCFS"], "--path.procfs"),
        (
            "serve",
            &[("CONTAINER_INCLUDE", "a"), ("CONTAINER_EXCLUDE", "b")],
            2,
            &["CONTAINER_INCLUDE", "CONTAINER_EXCLUDE"],
            "--container",
        ),
        ("serve", &[("CONTAINER_LABELS", "a.b,a-b")], 2, &["CONTAINER_LABELS"], "--container.labels"),
        ("serve", &[("SANDBOX_DISABLE", "no-new-privs")], 2, &["SANDBOX_DISABLE"], "--sandbox.disable"),
        ("top", &[("URL_USER", "me")], 2, &["URL_USER", "--url"], "--url.user"),
    ] {
        let mut exporter = Exporter::command(&host, &[command]);
        for (variable, value) in variables {
            exporter.env(format!("VETH_EXPORTER_{variable}"), value);
        }
        let output = exporter.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{variables:?}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{variables:?}: {said}");
        assert!(!said.lines().next().unwrap().contains(flag), "{variables:?}: {said}");
    }
    // A variable of another command is no mistake of this one.
    let mut command = Exporter::command(&host, &["list"]);
    let output = command.env("VETH_EXPORTER_WEB_MAX_REQUESTS", "many").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", describe(&output));
    let mut command = Exporter::command(&host, &["list"]);
    let output = command.env("DOCKER_HOST", "ftp://engine").output().unwrap();
    // The shell may be meant for another machine's engine: that is a failed source and no reason not to run.
    assert_eq!(output.status.code(), Some(0), "{}", describe(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("DOCKER_HOST"), "{}", describe(&output));
}

#[test]
fn a_path_that_is_not_there_is_named_in_one_line() {
    let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    for (flag, path) in [
        ("--path.netns", "/nonexistent/netns"),
        ("--path.netns", file),
        ("--path.procfs", "/nonexistent/proc"),
        ("--path.procfs", file),
    ] {
        for arguments in [vec![flag, path], vec!["list", flag, path]] {
            assert_one_line(&arguments, refusal(&host, &arguments), &[path, flag]);
        }
    }
}

/// A socket on which somebody answers, if that, as no Docker engine does; until the test process ends.
struct Impostor {
    path: PathBuf,
    asked: Arc<AtomicUsize>,
    _folder: NetnsFolder,
}

impl Impostor {
    fn start(answer: fn(UnixStream) -> std::io::Result<()>) -> Impostor {
        let folder = NetnsFolder::new();
        Impostor::start_in(folder, "docker.sock", answer)
    }

    fn start_in(folder: NetnsFolder, name: &str, answer: fn(UnixStream) -> std::io::Result<()>) -> Impostor {
        let path = folder.path().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
                let stream = stream.unwrap();
                // Whoever asked may go away at any time.
                std::thread::spawn(move || drop(answer(stream)));
            }
        });
        Impostor { path, asked, _folder: folder }
    }
}

/// Reads a request's head.
fn read_head(stream: &mut UnixStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A host with the container `web` and an exporter that is told to ask Docker at this socket.
fn exporter_with(socket: &str) -> (Netns, Netns, NetnsFolder, Exporter) {
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    folder.name("web", &web);
    host.veth("veth-web", &web, "eth0");
    let [flag, path] = folder.arguments();
    let docker = format!("unix://{socket}");
    let exporter =
        Exporter::start(&host, &[flag, path, "--docker.host", &docker, "--collector.interval", "100ms"]);
    (host, web, folder, exporter)
}

/// A scrape that comes within 1 s. A busy machine may be slow now and then, but not three times in a row.
fn prompt_scrape(exporter: &Exporter) -> Exposition {
    let mut took = Vec::new();
    for _ in 0..3 {
        let begin = Instant::now();
        let metrics = exporter.metrics();
        took.push(begin.elapsed());
        if begin.elapsed() < Duration::from_secs(1) {
            return metrics;
        }
    }
    panic!("scrapes took {took:?}");
}

fn docker(metrics: &Exposition, family: &str) -> Option<f64> {
    metrics.value(&format!("veth_exporter_collector_{family}"), &[("collector", "docker")])
}

/// What must hold while Docker fails, until it has been asked `wanted` times as `asked` tells it.
fn assert_others_go_on(
    exporter: &Exporter,
    wanted: usize,
    mut asked: impl FnMut(&Exposition) -> usize,
    words: &[&str],
) {
    exporter.wait_ready();
    let device = |metrics: &Exposition| {
        metrics.value("veth_device_up", &[("device", "veth-web"), ("container", "web")])
    };
    // It is held back until its name is read.
    exporter.wait_for(Duration::from_secs(2), "the pair has its name", device);
    wait_for(Duration::from_secs(14), "Docker was asked several times, and failed", || {
        let metrics = prompt_scrape(exporter);
        let device = device(&metrics);
        assert!(device.is_some(), "the pair is not there:\n{}", metrics.text);
        let (success, asked) = (docker(&metrics, "success"), asked(&metrics));
        assert!(success.is_none_or(|success| success == 0.0), "{success:?}");
        if success == Some(0.0) && asked >= wanted {
            Ok(())
        } else {
            Err(format!("{success:?} after {asked}"))
        }
    });
    let said: Vec<String> = exporter
        .remarks()
        .into_iter()
        .filter(|line| line.contains("docker") || !line.contains("level=info"))
        .collect();
    assert_eq!(said.len(), 1, "one line for the change: {said:#?}");
    for word in words.iter().chain(&["level=warn", "collector=docker"]) {
        assert!(said[0].contains(word), "no {word} in {}", said[0]);
    }
}

fn assert_others_go_on_beside(wanted: usize, answer: fn(UnixStream) -> std::io::Result<()>, words: &[&str]) {
    let impostor = Impostor::start(answer);
    let (_host, _web, _folder, exporter) = exporter_with(impostor.path.to_str().unwrap());
    // The last one asked may not be answered yet.
    assert_others_go_on(&exporter, wanted + 1, |_| impostor.asked.load(Ordering::Relaxed), words);
}

#[test]
fn a_configured_docker_that_is_absent_is_a_failed_source_and_is_dialled_when_its_socket_comes() {
    let folder = NetnsFolder::new();
    let socket = folder.path().join("run/docker.sock");
    let (_host, _web, _names, exporter) = exporter_with(socket.to_str().unwrap());
    // Each dial has a duration of its own, and each tick sends an answer.
    let (mut durations, begin) = (BTreeSet::new(), Instant::now());
    let ticks = |metrics: &Exposition| {
        durations.extend(docker(metrics, "duration_seconds").map(f64::to_bits));
        begin.elapsed().as_millis() as usize / 100
    };
    let host = format!("unix://{}", socket.display());
    assert_others_go_on(&exporter, 20, ticks, &[&host, "No such file or directory"]);
    assert_eq!(durations.len(), 1, "it is dialled although nothing has come");
    std::fs::create_dir(folder.path().join("run")).unwrap();
    let engine = |mut stream: UnixStream| {
        let is_version = read_head(&mut stream)?.contains("/version");
        let body = if is_version { r#"{"ApiVersion":"1.41"}"# } else { "[]" };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
        write!(stream, "{head} {}\r\n\r\n{body}", body.len())
    };
    let _engine = Impostor::start_in(folder, "run/docker.sock", engine);
    // Without the event it would be dialled after a minute.
    exporter.wait_for(Duration::from_secs(10), "it is dialled and answers", |metrics| {
        docker(metrics, "success").filter(|success| *success == 1.0)
    });
}

#[test]
fn a_docker_that_never_answers_is_a_failed_source() {
    let never = |mut stream: UnixStream| {
        stream.read_to_end(&mut Vec::new())?;
        Ok(())
    };
    // It has failed while its first answer is still waited for.
    assert_others_go_on_beside(0, never, &["did not answer within 5s"]);
}

#[test]
fn a_docker_that_answers_garbage_is_a_failed_source() {
    let garbage = |mut stream: UnixStream| {
        read_head(&mut stream)?;
        stream.write_all(b"\xff\xfe\x00 what is this?\r\n\x1b[2J\r\n\r\n")
    };
    assert_others_go_on_beside(3, garbage, &["does not speak Docker"]);
}

#[test]
fn a_docker_that_answers_in_words_is_a_failed_source() {
    let words = |mut stream: UnixStream| {
        read_head(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"hello\": nul\n")
    };
    assert_others_go_on_beside(3, words, &["does not speak Docker"]);
}

#[test]
fn a_docker_whose_answer_has_no_end_is_a_failed_source() {
    let endless = |mut stream: UnixStream| {
        read_head(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")?;
        let chunk = [b' '; 65_536];
        loop {
            stream.write_all(&chunk)?;
        }
    };
    assert_others_go_on_beside(1, endless, &["level=warn"]);
}

#[test]
fn a_docker_that_hangs_up_is_a_failed_source() {
    assert_others_go_on_beside(3, |_| Ok(()), &["connection"]);
}

#[test]
fn a_docker_that_breaks_off_in_its_answer_is_a_failed_source() {
    let breaking = |mut stream: UnixStream| {
        read_head(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[")
    };
    assert_others_go_on_beside(3, breaking, &["broke"]);
}

#[test]
fn a_docker_that_nobody_asked_for_and_that_is_not_there_is_not_mentioned() {
    let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
    host.veth("left", &host, "right");
    let [flag, path] = folder.arguments();
    // Also where this machine has an engine of its own: /run, which /var/run leads to, is empty for this process.
    let hide = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && exec \"$@\"", "sh"];
    let exporter = Exporter::start_through(&host, &hide, &[flag, path, "--collector.interval", "100ms"]);
    let mut rounds = BTreeSet::new();
    wait_for(Duration::from_secs(10), "ten ticks", || {
        let metrics = prompt_scrape(&exporter);
        assert!(docker(&metrics, "success").is_none(), "{}", metrics.text);
        assert!(docker(&metrics, "duration_seconds").is_none(), "{}", metrics.text);
        let counters = [("collector", "counters")];
        rounds.extend(metrics.value("veth_exporter_collector_duration_seconds", &counters).map(f64::to_bits));
        if rounds.len() >= 10 { Ok(()) } else { Err(metrics.text) }
    });
    assert_eq!(exporter.remarks(), Vec::<String>::new());
}
