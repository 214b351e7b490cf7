use super::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::timeout;

/// The longest wait for an event; nothing but an event ends it earlier.
const LIMIT: Duration = Duration::from_secs(20);

/// The time in which an event would have come.
const QUIET: Duration = Duration::from_millis(300);

/// A folder under /tmp: a socket's path has 107 bytes at most.
struct TestFolder(PathBuf);

impl TestFolder {
    fn new() -> TestFolder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(format!("/tmp/veth-exporter-way-{}-{number}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        TestFolder(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A watch of one path.
struct Way {
    path: PathBuf,
    watch: SocketWatch,
}

impl Way {
    /// Watches a path at which nothing exists.
    fn to(path: PathBuf) -> Way {
        let mut way = Way { path, watch: SocketWatch::new() };
        assert_eq!(way.look(), Presence::Awaited);
        way
    }

    fn look(&mut self) -> Presence {
        self.watch.set_paths(std::slice::from_ref(&self.path))
    }

    /// Asserts that no event has come, or comes soon.
    async fn is_quiet(&self) {
        assert!(timeout(QUIET, self.watch.changed()).await.is_err(), "an event of another entry counts");
    }

    async fn event(&self) {
        timeout(LIMIT, self.watch.changed()).await.expect("no event");
    }

    /// Follows the events until something exists at the path.
    async fn arrives(&mut self) {
        loop {
            self.event().await;
            if self.look() == Presence::Exists {
                return;
            }
        }
    }

    /// Returns the number of watches that the kernel holds.
    fn watches(&self) -> usize {
        let descriptor = self.watch.inotify.as_ref().unwrap().as_raw_fd();
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).unwrap();
        info.lines().filter(|line| line.starts_with("inotify wd:")).count()
    }
}

#[tokio::test]
async fn a_socket_that_is_created_is_an_event_and_another_file_is_none() {
    let folder = TestFolder::new();
    let mut way = Way::to(folder.path("d.sock"));
    way.is_quiet().await;
    for name in ["d.sock.tmp", "other", "sock"] {
        fs::write(folder.path(name), "").unwrap();
    }
    fs::remove_file(folder.path("other")).unwrap();
    way.is_quiet().await;
    let _listener = UnixListener::bind(&way.path).unwrap();
    way.arrives().await;
}

#[tokio::test]
async fn a_socket_that_is_moved_to_its_path_is_an_event() {
    let folder = TestFolder::new();
    let mut way = Way::to(folder.path("d.sock"));
    let _listener = UnixListener::bind(folder.path("new")).unwrap();
    way.is_quiet().await;
    fs::rename(folder.path("new"), &way.path).unwrap();
    way.arrives().await;
}

#[tokio::test]
async fn folders_that_are_created_later_lead_to_the_socket() {
    let folder = TestFolder::new();
    let mut way = Way::to(folder.path("run/podman/p.sock"));
    for name in ["run", "run/podman"] {
        way.is_quiet().await;
        fs::create_dir(folder.path(name)).unwrap();
        way.event().await;
        assert_eq!(way.look(), Presence::Awaited);
    }
    let _listener = UnixListener::bind(&way.path).unwrap();
    way.arrives().await;
}

#[tokio::test]
async fn folders_and_socket_that_come_at_once_are_not_missed() {
    let folder = TestFolder::new();
    let mut way = Way::to(folder.path("a/b/c/d.sock"));
    fs::create_dir_all(folder.path("a/b/c")).unwrap();
    let _listener = UnixListener::bind(&way.path).unwrap();
    way.arrives().await;
}

#[tokio::test]
async fn a_socket_that_replaces_a_stale_one_is_an_event() {
    let folder = TestFolder::new();
    let path = folder.path("d.sock");
    drop(UnixListener::bind(&path).unwrap());
    let mut way = Way { path, watch: SocketWatch::new() };
    assert_eq!(way.look(), Presence::Exists);
    way.is_quiet().await;
    fs::remove_file(&way.path).unwrap();
    way.is_quiet().await;
    let _listener = UnixListener::bind(&way.path).unwrap();
    way.arrives().await;
}

#[tokio::test]
async fn links_are_followed_and_what_they_lead_to_is_watched() {
    let folder = TestFolder::new();
    fs::create_dir_all(folder.path("run")).unwrap();
    symlink(folder.path("run"), folder.path("absolute")).unwrap();
    fs::create_dir(folder.path("var")).unwrap();
    symlink("../run", folder.path("var/run")).unwrap();
    // As Debian's podman-docker has it: Docker's socket is a link to a socket that may not exist.
    symlink("podman/podman.sock", folder.path("run/docker.sock")).unwrap();
    let ways = ["absolute/e.sock", "var/run/e.sock", "var/run/docker.sock"];
    let mut ways = ways.map(|path| Way::to(folder.path(path)));
    for way in &ways {
        way.is_quiet().await;
    }
    let _listener = UnixListener::bind(folder.path("run/e.sock")).unwrap();
    fs::create_dir(folder.path("run/podman")).unwrap();
    let _podman = UnixListener::bind(folder.path("run/podman/podman.sock")).unwrap();
    for way in &mut ways {
        way.arrives().await;
    }
}

#[tokio::test]
async fn a_link_that_gets_another_target_is_an_event() {
    let folder = TestFolder::new();
    fs::create_dir(folder.path("old")).unwrap();
    fs::create_dir(folder.path("new")).unwrap();
    let _listener = UnixListener::bind(folder.path("new/d.sock")).unwrap();
    symlink("old", folder.path("run")).unwrap();
    let mut way = Way::to(folder.path("run/d.sock"));
    symlink("new", folder.path("run.next")).unwrap();
    way.is_quiet().await;
    fs::rename(folder.path("run.next"), folder.path("run")).unwrap();
    way.arrives().await;
}

#[tokio::test]
async fn a_folder_that_is_removed_or_moved_away_and_made_again_is_watched_again() {
    let folder = TestFolder::new();
    fs::create_dir_all(folder.path("run/engine")).unwrap();
    let mut way = Way::to(folder.path("run/engine/d.sock"));
    let before = way.watches();
    for round in 0..5 {
        if round % 2 == 0 {
            fs::remove_dir_all(folder.path("run")).unwrap();
        } else {
            fs::rename(folder.path("run"), folder.path(&format!("run{round}"))).unwrap();
        }
        way.is_quiet().await;
        fs::create_dir_all(folder.path("run/engine")).unwrap();
        way.event().await;
        assert_eq!(way.look(), Presence::Awaited);
        assert_eq!(way.watches(), before, "one for each folder on the way, and none for one that is not");
    }
    // /, /tmp, the test's folder, run and engine.
    assert!(before <= 5 && before > 0, "{before}");
    let _listener = UnixListener::bind(&way.path).unwrap();
    way.arrives().await;
}

#[tokio::test]
async fn a_file_where_a_folder_should_be_is_replaced_and_noticed() {
    let folder = TestFolder::new();
    fs::write(folder.path("run"), "").unwrap();
    let mut way = Way::to(folder.path("run/d.sock"));
    fs::remove_file(folder.path("run")).unwrap();
    fs::create_dir(folder.path("run")).unwrap();
    let _listener = UnixListener::bind(&way.path).unwrap();
    way.arrives().await;
}

#[tokio::test]
async fn several_paths_share_one_watch_and_an_event_of_any_counts() {
    let folder = TestFolder::new();
    let paths = ["a/a.sock", "b/b.sock", "c.sock"].map(|name| folder.path(name));
    let mut watch = SocketWatch::new();
    assert_eq!(watch.set_paths(&paths), Presence::Awaited);
    assert!(timeout(QUIET, watch.changed()).await.is_err());
    fs::create_dir(folder.path("b")).unwrap();
    timeout(LIMIT, watch.changed()).await.unwrap();
    assert_eq!(watch.set_paths(&paths), Presence::Awaited);
    fs::write(folder.path("b/b.sock"), "").unwrap();
    timeout(LIMIT, watch.changed()).await.unwrap();
    assert_eq!(watch.set_paths(&paths), Presence::Exists);
}

#[tokio::test]
async fn what_cannot_be_watched_is_unnoticed_and_a_circle_of_links_ends() {
    let folder = TestFolder::new();
    let path = folder.path("d.sock");
    let mut without = SocketWatch::new();
    assert_eq!(without.walk(&path), Presence::Unnoticed);
    assert!(timeout(QUIET, without.changed()).await.is_err());
    symlink("d.sock", &path).unwrap();
    assert_eq!(SocketWatch::new().set_paths(&[path]), Presence::Unnoticed);
}

#[tokio::test]
async fn a_relative_path_begins_in_the_working_folder() {
    let presence = |path: &str| SocketWatch::new().set_paths(&[PathBuf::from(path)]);
    assert_eq!(presence("Cargo.toml"), Presence::Exists);
    assert_eq!(presence("src/../Cargo.toml"), Presence::Exists);
    assert_eq!(presence("src/no-such.sock"), Presence::Awaited);
}
