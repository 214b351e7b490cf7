//! The real Alertmanager, and who is told by it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use super::{Netns, Process, empty_folder};

/// A receiver of notifications, in a network namespace: what it was told comes out in order. Its thread ends with the test's process.
pub struct Webhook {
    address: SocketAddr,
    told: Receiver<Value>,
}

impl Webhook {
    /// Begins to listen on a port of 127.0.0.1 that the kernel chooses.
    pub fn start(netns: &Netns) -> Webhook {
        let listener = netns.within(|| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let address = listener.local_addr().expect("a bound socket");
        let (sender, told) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let notification = answer(stream.expect("a connection"));
                if sender.send(notification).is_err() {
                    return;
                }
            }
        });
        Webhook { address, told }
    }

    /// The next alert that it is told of, as Alertmanager's webhook format has it (`status`, `labels`, `annotations`); panics if
    /// none comes in time.
    pub fn next(&self, within: Duration) -> Value {
        let mut notification = self.told.recv_timeout(within).expect("a notification in time");
        notification["alerts"][0].take()
    }
}

/// Reads one POST with a body of JSON, and says that all is well.
fn answer(stream: TcpStream) -> Value {
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line of the request's head");
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the whole body");
    let said = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    reader.into_inner().write_all(said).expect("a reader of the answer");
    serde_json::from_slice(&body).expect("a notification in JSON")
}

/// An Alertmanager that tells a webhook of each alert by itself, at once. It is killed, and its storage removed, when this goes.
pub struct Alertmanager {
    process: Process,
    address: SocketAddr,
    folder: PathBuf,
}

impl Alertmanager {
    /// Starts one in a network namespace, alone, and waits until it listens.
    pub fn start(netns: &Netns, webhook: &Webhook) -> Alertmanager {
        let folder = empty_folder("alertmanager");
        let configuration = format!(
            "route: {{receiver: test, group_by: ['...'], group_wait: 0s, group_interval: 500ms, repeat_interval: 1h}}\n\
             receivers: [{{name: test, webhook_configs: [{{url: 'http://{}/', send_resolved: true}}]}}]\n",
            webhook.address
        );
        std::fs::write(folder.join("alertmanager.yml"), configuration).expect("its configuration");
        let mut command = netns.command("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", folder.join("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", folder.join("storage").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="]);
        let mut process = Process::start("alertmanager", &mut command);
        let limit = Duration::from_secs(30);
        let address = process.wait_for_listener(limit);
        Alertmanager { process, address, folder }
    }

    /// Where it listens, inside its network namespace.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        self.process.kill();
        std::fs::remove_dir_all(&self.folder)
            .unwrap_or_else(|error| eprintln!("{}: {error}", self.folder.display()));
    }
}
