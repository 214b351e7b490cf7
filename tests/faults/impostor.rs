//! Who listens where an engine should, and answers as no engine does.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::OFTEN;
use lab::{Exporter, Netns, NetnsFolder, empty_folder};

/// Which engine is played, by its API's shape and the exporter's flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Docker,
    Podman,
}

impl Kind {
    pub(crate) fn source(self) -> &'static str {
        match self {
            Kind::Docker => "docker",
            Kind::Podman => "podman",
        }
    }

    /// What it says of itself: as Docker 20.10 and Podman 4.3 do, the parts that are read.
    fn version(self) -> &'static str {
        match self {
            Kind::Docker => r#"{"Components":[{"Name":"Engine","Version":"20.10"}],"ApiVersion":"1.41"}"#,
            Kind::Podman => {
                r#"{"Components":[{"Name":"Podman Engine","Version":"4.3"}],"ApiVersion":"1.41"}"#
            }
        }
    }
}

/// How it answers a request for this path.
pub(crate) type Answer = fn(&str, &mut UnixStream) -> std::io::Result<()>;

/// A socket on which somebody answers so, until the test process ends.
pub(crate) struct Impostor {
    socket: PathBuf,
    asked: Arc<AtomicUsize>,
}

impl Impostor {
    /// It tells truly who it is; all else it answers in this way.
    pub(crate) fn start(kind: Kind, answer: Answer) -> Impostor {
        Impostor::listen(move |stream| {
            let path = read_request(stream)?;
            if path.ends_with("/version") { json(stream, kind.version()) } else { answer(&path, stream) }
        })
    }

    /// It does this with each connection.
    pub(crate) fn listen(
        act: impl Fn(&mut UnixStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Impostor {
        let socket = empty_folder("i").join("i.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (asked, act) = (Arc::new(AtomicUsize::new(0)), Arc::new(act));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (act, count) = (Arc::clone(&act), Arc::clone(&count));
                // Whoever asked may go away at any time.
                std::thread::spawn(move || {
                    let _ = act(&mut stream.unwrap());
                    count.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        Impostor { socket, asked }
    }

    /// Its path.
    pub(crate) fn path(&self) -> String {
        self.socket.display().to_string()
    }

    /// As the flags for Docker and Podman take it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.path())
    }

    /// How many connections have ended.
    pub(crate) fn answered(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Reads the head of a request, and says its path.
pub(crate) fn read_request(stream: &mut UnixStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default();
    Ok(target.split('?').next().unwrap_or_default().to_owned())
}

/// A good answer with this body.
pub(crate) fn json(stream: &mut UnixStream, body: &str) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())
}

/// A host with the container `web`, which has a name whatever engines do; and an exporter that looks often.
pub(crate) struct Beside {
    pub exporter: Exporter,
    _host: Netns,
    _web: Netns,
    _folder: NetnsFolder,
}

/// The labels of its device.
pub(crate) const DEVICE: [(&str, &str); 2] = [("device", "veth-web"), ("container", "web")];

impl Beside {
    pub(crate) fn start(flags: &[&str]) -> Beside {
        Beside::start_through(|_| (), &[], flags).0
    }

    /// The same, after something was done with the host's network namespace, and through another program.
    pub(crate) fn start_through<T>(
        first: impl FnOnce(&Netns) -> T,
        through: &[&str],
        flags: &[&str],
    ) -> (Beside, T) {
        let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
        folder.name("web", &web);
        host.veth("veth-web", &web, "eth0");
        let done = first(&host);
        let own = folder.arguments();
        let exporter = Exporter::start_through(&host, through, &[&own, &OFTEN[..], flags].concat());
        exporter.wait_ready();
        // The kernel may say up to a second late that a carrier is there.
        exporter.wait_for(crate::SOON, "the pair has its name and is up", |metrics| {
            metrics.value("veth_device_up", &DEVICE).filter(|up| *up == 1.0)
        });
        (Beside { exporter, _host: host, _web: web, _folder: folder }, done)
    }
}
