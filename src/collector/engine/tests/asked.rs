//! Tests of the number of requests to an engine, and of an engine that is slow or has stopped.

use super::*;
use crate::model::lack::LackReason;
use std::collections::BTreeSet;

const ONE: &str = r#"[{"Id":"c1aaaaaaaaaa","Names":["/web"],"NetworkSettings":{"Networks":{"bridge":{"EndpointID":"e"}}}}]"#;
const INSPECTED: &str = r#"{"Id":"c1aaaaaaaaaa","State":{"Pid":4711},"HostConfig":{"NetworkMode":"bridge"}}"#;
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";

/// The answer of an engine to a subscription to its events.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Events {
    Follow,
    Refuse,
    End,
}

/// An engine with one container.
struct OneContainer {
    /// The paths that were asked for, with the time of each.
    asked: Arc<Mutex<Vec<(Instant, String)>>>,
    streams: Arc<Mutex<Vec<UnixStream>>>,
    folder: SocketFolder,
}

impl OneContainer {
    /// Starts an engine that answers after this time. Its threads end with the test's process.
    fn start(events: Events, after: Duration) -> OneContainer {
        let folder = SocketFolder::new();
        let listener = UnixListener::bind(folder.socket()).unwrap();
        let (asked, streams) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let engine = OneContainer { asked: Arc::clone(&asked), streams: Arc::clone(&streams), folder };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (asked, streams) = (Arc::clone(&asked), Arc::clone(&streams));
                thread::spawn(move || serve(stream.unwrap(), events, after, &asked, &streams));
            }
        });
        engine
    }

    fn follow(&self) -> Followed {
        Followed::docker(self.folder.host(), true)
    }

    /// Returns the requests since the last call, without their versions.
    fn take_asked(&self) -> Vec<String> {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let bare = |path: &str| path.split('?').next().unwrap_or_default().replace("/v1.41", "");
        asked.into_iter().map(|(_, path)| bare(&path)).collect()
    }

    fn count(&self, call: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(_, path)| path.contains(call)).count()
    }

    /// Sends an event to each that follows.
    fn tell(&self, event: &str) {
        for stream in &mut *self.streams.lock().unwrap() {
            stream.write_all(format!("{event}\n").as_bytes()).unwrap();
        }
    }
}

fn serve(
    mut stream: UnixStream,
    events: Events,
    after: Duration,
    asked: &Mutex<Vec<(Instant, String)>>,
    streams: &Mutex<Vec<UnixStream>>,
) {
    let head = head(&mut stream);
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().unwrap().push((Instant::now(), path.clone()));
    thread::sleep(after);
    let body = match path.as_str() {
        "/version" => DOCKER,
        _ if path.contains("/containers/json") => ONE,
        _ if path.contains("/containers/") => INSPECTED,
        _ if path.contains("/networks") => "[]",
        _ if events == Events::Refuse => {
            let _closed = write!(stream, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        _ => {
            let _closed = write!(stream, "{HEAD}");
            if events == Events::Follow {
                streams.lock().unwrap().push(stream);
            }
            return;
        }
    };
    let head = HEAD.replacen("\r\n\r\n", "", 1);
    let _closed = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
}

impl Followed {
    /// Requests an answer as each tick does, until this is true.
    fn tick_until(&self, limit: Duration, mut done: impl FnMut(&Claimed) -> bool) {
        let begin = Instant::now();
        loop {
            assert!(begin.elapsed() < limit, "not within {limit:?}");
            self.handle.engines[&self.runtime].state.notify_one();
            if self.answer_within(Duration::from_millis(100)).is_some_and(|(answer, _)| done(&answer)) {
                return;
            }
        }
    }

    /// Requests answers as ticks do, for this time.
    fn tick_for(&self, span: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < span {
            self.handle.engines[&self.runtime].state.notify_one();
            self.answer_within(Duration::from_millis(100));
        }
    }
}

impl Followed {
    /// Requests answers as ticks do until the engine's events are followed and nothing more is asked for: the
    /// lists that follow the subscription come at once and 2 s later. Returns what was asked for.
    fn tick_until_rest(&self, engine: &OneContainer) -> BTreeSet<String> {
        let (mut asked, limit) = (BTreeSet::new(), Instant::now() + 3 * LIMIT);
        loop {
            self.tick_for(Duration::from_secs(3));
            let more = engine.take_asked();
            if more.is_empty() && !engine.streams.lock().unwrap().is_empty() {
                return asked;
            }
            asked.extend(more);
            assert!(Instant::now() < limit, "never at rest: {asked:?}");
        }
    }

    /// Requests answers as ticks do until each of these calls has been made.
    fn tick_until_asked(&self, engine: &OneContainer, calls: &[&str]) {
        let begin = Instant::now();
        while calls.iter().any(|call| engine.count(call) == 0) {
            assert!(begin.elapsed() < LIMIT, "not all of {calls:?} are made");
            self.tick_for(Duration::from_millis(100));
        }
    }
}

fn has_web(answer: &Claimed) -> bool {
    matches!(answer, Some(Ok(claims)) if claims.claims.len() == 1 && claims.claims[0].owner.name == "web")
}

#[test]
fn at_rest_ticks_ask_nothing_and_an_event_asks_for_what_it_may_have_changed() {
    let engine = OneContainer::start(Events::Follow, Duration::ZERO);
    let followed = engine.follow();
    followed.tick_until(LIMIT, has_web);
    let begun: Vec<String> = followed.tick_until_rest(&engine).into_iter().collect();
    let wanted = ["/containers/c1aaaaaaaaaa/json", "/containers/json", "/events", "/networks", "/version"];
    assert_eq!(begun, wanted);
    followed.tick_for(Duration::from_secs(4));
    assert_eq!(engine.take_asked(), Vec::<String>::new());
    for (event, wanted) in [
        (r#"{"Type":"container","Action":"start","Actor":{"ID":"c2"}}"#, &["/containers/json"][..]),
        (r#"{"Type":"container","Action":"die","Actor":{"ID":"c2"}}"#, &["/containers/json"]),
        (r#"{"Type":"network","Action":"create","Actor":{"ID":"n"}}"#, &["/containers/json", "/networks"]),
        (r#"{"Type":"container","Action":"exec_start: sh","Actor":{"ID":"c1"}}"#, &[]),
        (r#"{"Type":"container","Action":"health_status: healthy","Actor":{"ID":"c1"}}"#, &[]),
    ] {
        engine.tell(event);
        let (limit, mut asked) = (Instant::now() + LIMIT, Vec::new());
        while asked.len() < wanted.len() && Instant::now() < limit {
            followed.tick_for(Duration::from_millis(100));
            asked.extend(engine.take_asked());
        }
        followed.tick_for(Duration::from_millis(600));
        asked.extend(engine.take_asked());
        asked.sort();
        assert_eq!(asked, wanted, "{event}");
    }
}

#[test]
fn where_events_are_refused_or_end_at_once_the_list_is_asked_for_ever_less_often() {
    for events in [Events::Refuse, Events::End] {
        let engine = OneContainer::start(events, Duration::ZERO);
        let followed = engine.follow();
        followed.tick_until(LIMIT, has_web);
        followed.tick_for(Duration::from_secs(8));
        let (lists, streams) = (engine.count("/containers/json"), engine.count("/events"));
        // After 0, 1, 3 and 7 s, and because of a stream that may have ended.
        assert!((4..=14).contains(&lists), "{lists}");
        assert!((2..=5).contains(&streams), "{streams}");
        // What has no name is asked for at once.
        if events == Events::Refuse {
            engine.take_asked();
            followed.handle.engines[&followed.runtime].nameless.notify_one();
            followed.tick_for(Duration::from_millis(500));
            assert!(engine.count("/containers/json") > 0);
        }
    }
}

#[test]
fn an_engine_that_takes_six_seconds_is_reported_as_slow_and_its_answer_counts() {
    let engine = OneContainer::start(Events::Follow, Duration::from_secs(6));
    let followed = engine.follow();
    let mut slow = 0;
    followed.tick_until(Duration::from_secs(60), |answer| {
        if let Some(Err(lack)) = answer {
            assert_eq!(lack.reason, LackReason::Timeout);
            assert!(lack.what.ends_with("did not answer within 5s"), "{lack}");
            slow += 1;
        }
        has_web(answer)
    });
    assert!(slow > 0);
}

/// A folder that is a procfs with this process and these others, by their commands.
fn procfs(folder: &SocketFolder, processes: &[(u32, &str)]) -> PathBuf {
    let procfs = folder.0.join("proc");
    let own = std::process::id();
    let _there = std::fs::create_dir_all(&procfs);
    let _there = std::os::unix::fs::symlink(own.to_string(), procfs.join("self"));
    for (pid, command) in [&[(own, "systemd")], processes].concat() {
        let process = procfs.join(pid.to_string());
        std::fs::create_dir_all(&process).unwrap();
        std::fs::write(process.join("comm"), format!("{command}\n")).unwrap();
    }
    procfs
}

#[test]
fn an_engine_that_was_stopped_and_that_a_dial_would_start_is_not_dialled_until_something_starts_it() {
    // The listener, which is this process, stays; the engine's own process does not.
    let engine = OneContainer::start(Events::Follow, Duration::ZERO);
    let proc = procfs(&engine.folder, &[(700, "dockerd"), (701, "containerd")]);
    let [docker, _] = EngineAddress::both(Some(engine.folder.host()), None);
    let mut asker = Engine::docker(docker.unwrap(), true);
    asker.processes = Processes::new(&proc);
    let followed = Followed::new(asker);
    followed.tick_until(LIMIT, has_web);
    followed.tick_until_rest(&engine);
    std::fs::remove_dir_all(proc.join("700")).unwrap();
    engine.streams.lock().unwrap().clear();
    followed.tick_until(LIMIT, |answer| match answer {
        Some(Err(lack)) => lack.what.ends_with("it has ended, and a connection to its socket would start it"),
        _ => false,
    });
    followed.tick_for(Duration::from_secs(5));
    assert_eq!(engine.take_asked(), Vec::<String>::new());
    // Another program that is no engine changes nothing.
    procfs(&engine.folder, &[(702, "docker")]);
    followed.tick_for(Duration::from_secs(3));
    assert_eq!(engine.take_asked(), Vec::<String>::new());
    procfs(&engine.folder, &[(703, "dockerd")]);
    followed.tick_until(LIMIT, has_web);
    followed.tick_until_asked(&engine, &["/events"]);
}

#[test]
fn an_engine_that_listens_itself_is_dialled_again_when_its_events_end() {
    let engine = OneContainer::start(Events::Follow, Duration::ZERO);
    let proc = procfs(&engine.folder, &[(std::process::id(), "dockerd")]);
    let [docker, _] = EngineAddress::both(Some(engine.folder.host()), None);
    let mut asker = Engine::docker(docker.unwrap(), true);
    asker.processes = Processes::new(&proc);
    let followed = Followed::new(asker);
    followed.tick_until(LIMIT, has_web);
    followed.tick_until_rest(&engine);
    engine.streams.lock().unwrap().clear();
    followed.tick_until_asked(&engine, &["/events", "/containers/json"]);
}
