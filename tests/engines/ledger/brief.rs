//! Containers that live for a moment: each takes so many bytes from a server on the host, sends it so many, takes its interface
//! down, says what that has counted, and is gone.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lab::{Counters, DockerEngine, Netns, Traffic, describe, within_netns};

/// What the last answer of a container begins with.
const ADDRESS: &str = "address ";

/// A container that has been.
#[derive(Clone, Debug)]
pub(crate) struct Brief {
    pub name: String,
    /// Its eth0's.
    pub address: String,
    /// What its eth0 had counted when it was down: exact, as then nothing comes late.
    pub truth: Traffic,
}

/// Gives and takes bytes at an engine's host, until the tests' process ends.
pub(crate) struct Server {
    port: u16,
}

impl Server {
    pub(crate) fn start(netns: &Netns) -> Server {
        let listener = within_netns(&netns.path(), || TcpListener::bind("0.0.0.0:0").unwrap());
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || serve(stream));
            }
        });
        Server { port }
    }

    /// Runs a container on the engine's own bridge to its end: it receives and sends at least so many bytes.
    pub(crate) fn run(&self, engine: &DockerEngine, name: &str, [down, up]: [u64; 2]) -> Brief {
        let port = self.port;
        // The server hangs up when it has all, and by that ends nc.
        let script = format!(
            "set -e; gateway=$(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p'); \
             (echo {down} {up}; head -c {up} /dev/zero) | nc $gateway {port} | wc -c; \
             echo {ADDRESS}$(cat /sys/class/net/eth0/address); ip link set eth0 down; cat /proc/net/dev"
        );
        let output = engine.try_docker(&[
            "run",
            "--rm",
            "--name",
            name,
            "--cap-add",
            "NET_ADMIN",
            lab::IMAGE,
            "sh",
            "-c",
            &script,
        ]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {}", describe(&output));
        assert_eq!(said.lines().next(), Some(&*down.to_string()), "bytes from the server, of {name}: {said}");
        let address = said.lines().find_map(|line| line.strip_prefix(ADDRESS)).unwrap().to_owned();
        let counted = Counters::of(&said, "eth0").unwrap_or_else(|| panic!("no eth0 in\n{said}"));
        let truth = Traffic::from(&counted);
        assert!(truth.receive_bytes > down && truth.transmit_bytes > up, "{truth:?} of {down} and {up}");
        Brief { name: name.to_owned(), address, truth }
    }

    /// Runs `count` of them, `parallel` at a time.
    pub(crate) fn run_many(
        &self,
        engine: &DockerEngine,
        prefix: &str,
        [count, parallel]: [usize; 2],
        bytes: impl FnMut() -> [u64; 2] + Send,
    ) -> Vec<Brief> {
        let (next, bytes, done) = (AtomicUsize::new(0), Mutex::new(bytes), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..parallel {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return;
                        }
                        let bytes = bytes.lock().unwrap()();
                        let brief = self.run(engine, &format!("{prefix}-{number}"), bytes);
                        done.lock().unwrap().push(brief);
                    }
                });
            }
        });
        done.into_inner().unwrap()
    }
}

/// Reads `DOWN UP`, then UP bytes; sends DOWN bytes.
fn serve(stream: TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let stream = Arc::new(stream);
    let mut reader = BufReader::new(&*stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let numbers: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [down, up] = numbers[..] else { panic!("{line:?}") };
    let read = std::io::copy(&mut reader.by_ref().take(up), &mut std::io::sink()).unwrap();
    assert_eq!(read, up);
    (&*stream).write_all(&vec![0x5a; down as usize]).unwrap();
}
