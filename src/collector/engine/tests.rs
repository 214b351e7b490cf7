//! Engines that come, go and come back on a unix socket, followed as the program follows them.

mod asked;

use super::super::handle::{Handle, Message};
use super::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// The longest wait for an answer: less than the pause after which a watched path is dialled in any case.
const LIMIT: Duration = Duration::from_secs(20);

/// The answer of an engine: `None` for one that is not expected.
type Claimed = Option<Result<Claims, Lack>>;

const DOCKER: &str = r#"{"ApiVersion":"1.41"}"#;
const PODMAN: &str = r#"{"Components":[{"Name":"Podman Engine","Version":"4.3.1"}],"ApiVersion":"1.41"}"#;

/// A folder under /tmp: a socket's path has 107 bytes at most.
struct SocketFolder(PathBuf);

impl SocketFolder {
    fn new() -> SocketFolder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(format!("/tmp/veth-exporter-absent-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        SocketFolder(folder)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("d.sock")
    }

    fn host(&self) -> DockerHost {
        DockerHost::Unix(self.socket())
    }
}

impl Drop for SocketFolder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// An engine without containers, which keeps the streams of events that are subscribed to.
struct TestEngine {
    events: Arc<Mutex<Vec<UnixStream>>>,
    path: PathBuf,
}

impl TestEngine {
    fn start(path: PathBuf, version: &'static str) -> TestEngine {
        let listener = UnixListener::bind(&path).unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let streams = Arc::clone(&events);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = head(&mut stream);
                if head.contains("STOP") {
                    return;
                }
                if head.contains("/events") {
                    streams.lock().unwrap().push(stream);
                    continue;
                }
                let body = if head.contains("/version") { version } else { "[]" };
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
                let _closed = write!(stream, "{head} {}\r\n\r\n{body}", body.len());
            }
        });
        TestEngine { events, path }
    }

    /// Closes the listener and the streams of events, and removes the socket.
    fn stop(self) {
        UnixStream::connect(&self.path).unwrap().write_all(b"STOP\r\n\r\n").unwrap();
        while UnixStream::connect(&self.path).is_ok() {
            thread::yield_now();
        }
        self.events.lock().unwrap().clear();
        std::fs::remove_file(&self.path).unwrap();
    }

    fn wait_for_subscription(&self) {
        let begin = Instant::now();
        while self.events.lock().unwrap().is_empty() {
            assert!(begin.elapsed() < LIMIT, "the events of the engine are not subscribed to");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn head(stream: &mut UnixStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// An engine that is followed by a thread, and the collector's side of it.
struct Followed {
    handle: Handle,
    inbox: Receiver<Message>,
    runtime: Runtime,
    /// The claims of the last good answer.
    claims: RefCell<Claims>,
}

impl Followed {
    fn new(engine: Engine) -> Followed {
        let (sender, inbox) = channel();
        let runtime = engine.runtime();
        let engines = Arc::new(BTreeMap::from([(runtime, Arc::default())]));
        let handle = Handle { inbox: sender, ready: Arc::default(), engines };
        let collector = handle.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(engine.follow(collector));
        });
        Followed { handle, inbox, runtime, claims: RefCell::default() }
    }

    fn docker(host: DockerHost, configured: bool) -> Followed {
        let [docker, _] = EngineAddress::both(Some(host), None);
        Followed::new(Engine::docker(docker.unwrap(), configured))
    }

    /// Returns the next answer within this time, and the time that its dial took.
    fn answer_within(&self, limit: Duration) -> Option<(Claimed, Duration)> {
        match self.inbox.recv_timeout(limit) {
            Ok(Message::Input(Input::Claims { answer, took, .. }, _)) => {
                if let Some(Ok(claims)) = &answer {
                    *self.claims.borrow_mut() = claims.clone();
                }
                Some((answer, took))
            }
            Ok(Message::Input(Input::SameClaims { took, .. }, _)) => {
                Some((Some(Ok(self.claims.borrow().clone())), took))
            }
            Ok(Message::Input(Input::Dying { .. } | Input::Lives(_) | Input::LivesFollowed { .. }, _)) => {
                self.answer_within(limit)
            }
            Ok(_) => panic!("no answer of an engine"),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the engine is not followed any more"),
        }
    }

    /// Requests an answer, as each tick does.
    fn ask(&self) -> (Claimed, Duration) {
        self.handle.engines[&self.runtime].state.notify_one();
        self.answer_within(LIMIT).expect("no answer to a request")
    }

    /// Waits for an answer that nothing has requested.
    fn unasked(&self) -> Claimed {
        self.answer_within(LIMIT).expect("the engine is not dialled").0
    }

    /// Waits until the engine is dialled without a request and answers. A dial between bind(2) and listen(2) of
    /// the engine is refused.
    #[track_caller]
    fn wait_for_claims(&self, limit: Duration) {
        let begin = Instant::now();
        let mut answer = None;
        while answer != Some(Ok(Claims::default())) {
            let left = limit.saturating_sub(begin.elapsed());
            answer = self.answer_within(left).expect("the engine is not dialled").0;
        }
    }

    /// Requests an answer some more times: each is the first one again, and nothing is dialled for it. Two
    /// dials never take the same time to the nanosecond.
    fn assert_repeats(&self, first: &(Claimed, Duration)) {
        for _ in 0..5 {
            assert_eq!(self.ask(), *first);
        }
    }
}

fn reason(answer: &Claimed) -> &str {
    &answer.as_ref().expect("a failure").as_ref().expect_err("a failure").what
}

#[test]
fn an_engine_that_is_missed_fails_at_each_request_and_is_dialled_when_its_socket_comes() {
    let folder = SocketFolder::new();
    let followed = Followed::docker(folder.host(), true);
    let first = followed.ask();
    let wanted = format!("no engine at {}: No such file or directory (os error 2)", folder.host());
    assert_eq!(reason(&first.0), wanted);
    followed.assert_repeats(&first);
    let engine = TestEngine::start(folder.socket(), DOCKER);
    followed.wait_for_claims(LIMIT);
    engine.wait_for_subscription();
    // It goes away, and comes back.
    engine.stop();
    let mut gone = followed.ask();
    while !gone.0.as_ref().unwrap().is_err() {
        gone = followed.ask();
    }
    assert_eq!(reason(&gone.0), wanted);
    let engine = TestEngine::start(folder.socket(), DOCKER);
    followed.wait_for_claims(LIMIT);
    engine.wait_for_subscription();
}

#[test]
fn an_engine_that_nothing_expects_is_no_failure_until_its_folder_and_socket_come() {
    let folder = SocketFolder::new();
    let later = folder.0.join("later");
    let followed = Followed::docker(DockerHost::Unix(later.join("d.sock")), false);
    let first = followed.ask();
    assert_eq!(first.0, None);
    followed.assert_repeats(&first);
    std::fs::create_dir(&later).unwrap();
    let _engine = TestEngine::start(later.join("d.sock"), DOCKER);
    followed.wait_for_claims(LIMIT);
}

#[test]
fn a_socket_without_a_listener_is_dialled_ever_less_often_until_another_takes_its_path() {
    let folder = SocketFolder::new();
    drop(UnixListener::bind(folder.socket()).unwrap());
    let followed = Followed::docker(folder.host(), true);
    assert!(reason(&followed.ask().0).ends_with("Connection refused (os error 111)"));
    let begin = Instant::now();
    for _ in 0..5 {
        assert!(reason(&followed.unasked()).ends_with("Connection refused (os error 111)"));
    }
    // 125, 250, 500, 1,000 and 2,000 ms.
    assert!(begin.elapsed() >= Duration::from_millis(3_875), "{:?}", begin.elapsed());
    // The next dial without an event would be after 4 s.
    std::fs::remove_file(folder.socket()).unwrap();
    let _engine = TestEngine::start(folder.socket(), DOCKER);
    followed.wait_for_claims(Duration::from_millis(3_500));
}

#[test]
fn a_tcp_address_without_a_listener_is_dialled_again_without_an_event() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let followed = Followed::docker(DockerHost::Tcp(free.to_string()), true);
    assert!(reason(&followed.ask().0).contains("Connection refused"));
    for _ in 0..3 {
        assert!(reason(&followed.unasked()).contains("Connection refused"));
    }
}

#[test]
fn a_missing_cri_socket_is_dialled_only_when_something_comes_to_its_path() {
    let folder = SocketFolder::new();
    let endpoint: CriEndpoint = folder.socket().to_str().unwrap().parse().unwrap();
    let followed = Followed::new(Engine::cri(Some(endpoint)));
    let first = followed.ask();
    assert!(reason(&first.0).starts_with("no CRI server listens at unix:///tmp/"), "{first:?}");
    assert!(reason(&first.0).ends_with("No such file or directory (os error 2)"), "{first:?}");
    followed.assert_repeats(&first);
    std::fs::write(folder.socket(), "").unwrap();
    assert!(reason(&followed.unasked()).ends_with("Connection refused (os error 111)"));
}

#[test]
fn an_address_that_is_passed_on_ends_the_absence_of_podman() {
    let folder = SocketFolder::new();
    let absent = DockerHost::Unix(folder.0.join("podman.sock"));
    let [docker, podman] = EngineAddress::both(Some(folder.host()), Some(absent)).map(Option::unwrap);
    let followed = Followed::new(Engine::docker(podman, false));
    let first = followed.ask();
    assert_eq!(first.0, None);
    followed.assert_repeats(&first);
    let _engine = TestEngine::start(folder.socket(), PODMAN);
    let docker = Followed::new(Engine::docker(docker, true));
    assert_eq!(docker.ask().0, None);
    followed.wait_for_claims(LIMIT);
}
