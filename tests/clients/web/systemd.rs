//! Sockets that systemd has opened, and what systemd is told.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::Host;
use super::curl::curl;
use lab::{Exporter, Frozen, Process, connect, describe, wait_for};

/// Starts it by systemd-socket-activate on these addresses, and wakes it by a connection to `wake`.
fn activated(host: &Host, listen: &[&str], arguments: &[&str]) -> Process {
    let mut command = host.netns.command("systemd-socket-activate");
    for address in listen {
        command.args(["-l", address]);
    }
    let own = host.names.arguments();
    Process::start("systemd-socket-activate", command.arg(Exporter::binary()).args(own).args(arguments))
}

#[test]
fn it_serves_on_the_sockets_that_systemd_has_opened_and_on_no_other() {
    let host = Host::new();
    let path = host.files.join("s").display().to_string();
    let mut process = activated(&host, &["127.0.0.1:9100", &path], &["--web.systemd-socket"]);
    // It is started by the first connection, which is answered too.
    wait_for(Duration::from_secs(10), "systemd-socket-activate listens", || {
        connect(&host.netns.path(), "127.0.0.1:9100".parse().unwrap()).map(drop)
    });
    let answer = curl(&host, "http://127.0.0.1:9100/metrics", &[]);
    assert!(answer.status == 200 && answer.body.contains("veth_exporter_build_info{"), "{answer:?}");
    assert_eq!(curl(&host, "http://localhost/metrics", &["--unix-socket", &path]).status, 200);
    let listening: Vec<String> =
        process.log().into_iter().filter(|line| line.contains("msg=listening")).collect();
    assert_eq!(listening.len(), 2, "{listening:#?}");
    assert_eq!(curl(&host, "http://127.0.0.1:10736/metrics", &[]).code, 7, "not on the default address");
    assert_eq!(process.terminate(Duration::from_secs(5)).code(), Some(0));
    assert!(std::path::Path::new(&path).exists(), "systemd's socket is not ours to remove");
}

#[test]
fn without_a_socket_from_systemd_it_says_so_and_ends() {
    let host = Host::new();
    let [flag, path] = host.names.arguments();
    let output = Exporter::command(&host.netns, &[flag, path, "--web.systemd-socket"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--web.systemd-socket: systemd has passed no socket to this process"), "{said}");
}

/// What the exporter tells its service manager, each with the time it came.
struct Manager {
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn new(host: &Host) -> Manager {
        let path = host.files.join("notify").display().to_string();
        Manager { socket: UnixDatagram::bind(&path).unwrap(), path }
    }

    /// The next message, if one comes in time.
    fn hears(&self, within: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(within)).unwrap();
        let mut buffer = [0; 1_024];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned())
    }
}

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn it_tells_when_it_is_ready_while_it_lives_and_that_it_stops() {
    let host = Host::new();
    let manager = Manager::new(&host);
    let variables =
        ["env", &format!("NOTIFY_SOCKET={}", manager.path), "WATCHDOG_USEC=1000000"].map(str::to_owned);
    let through: Vec<&str> = variables.iter().map(String::as_str).collect();
    let mut exporter = host.exporter_through(&through, &[]);
    assert_eq!(manager.hears(LIMIT).as_deref(), Some("READY=1"));
    assert_eq!(exporter.get("/-/ready").status, 200, "ready is said when it is so");
    let begin = Instant::now();
    for _ in 0..5 {
        assert_eq!(manager.hears(LIMIT).as_deref(), Some("WATCHDOG=1"));
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "twice a second, and 5 took {:?}", begin.elapsed());
    exporter.process().signal(Signal::SIGTERM);
    let stopping = wait_for(LIMIT, "it says that it stops", || match manager.hears(LIMIT) {
        Some(said) if said == "STOPPING=1" => Ok(said),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(stopping, "STOPPING=1");
}

#[test]
fn the_watchdog_hears_nothing_from_an_exporter_whose_collector_stands_still() {
    let host = Host::new();
    let manager = Manager::new(&host);
    let variables =
        ["env", &format!("NOTIFY_SOCKET={}", manager.path), "WATCHDOG_USEC=400000"].map(str::to_owned);
    let through: Vec<&str> = variables.iter().map(String::as_str).collect();
    let exporter = host.exporter_through(&through, &[]);
    assert_eq!(manager.hears(LIMIT).as_deref(), Some("READY=1"));
    assert_eq!(manager.hears(LIMIT).as_deref(), Some("WATCHDOG=1"));
    let frozen = Frozen::thread(exporter.pid(), "collector");
    wait_for(LIMIT, "the watchdog falls silent", || match manager.hears(Duration::from_secs(2)) {
        None => Ok(()),
        Some(said) => Err(said),
    });
    // The rest of the program runs.
    assert_eq!(exporter.get("/-/healthy").status, 200);
    drop(frozen);
    assert_eq!(manager.hears(LIMIT).as_deref(), Some("WATCHDOG=1"));
}
