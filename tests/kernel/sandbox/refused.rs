//! What is refused, tried in a thread that is confined as the exporter confines itself.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use rustix::net::{AddressFamily, Protocol, SocketType, netlink, socket};
use veth_exporter::testing::bpf::DropReader;
use veth_exporter::testing::sandbox::{Needs, Part, confine};

use lab::empty_folder;

/// Does this in a thread of its own that has all parts of the sandbox but these.
fn confined<T: Send>(needs: &Needs, disabled: &[Part], act: impl FnOnce() -> T + Send) -> T {
    let disabled: BTreeSet<Part> = disabled.iter().copied().collect();
    let in_thread = || {
        let sandbox = confine(needs, &disabled);
        assert_eq!(sandbox.missing, Vec::<String>::new(), "this kernel has all parts");
        act()
    };
    std::thread::scope(|scope| scope.spawn(in_thread).join().unwrap())
}

/// The parts that only one of the two mechanisms would be.
const NO_LANDLOCK: &[Part] = &[Part::Landlock];
const NO_SECCOMP: &[Part] = &[Part::Seccomp];

fn reading(path: &Path) -> Needs {
    Needs { read: vec![path.to_owned()], ..Needs::default() }
}

fn errno<T>(result: io::Result<T>) -> Result<(), Errno> {
    result.map(drop).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap()))
}

/// A folder with a file in it.
fn folder_with_file() -> (PathBuf, PathBuf) {
    let folder = empty_folder("sandbox");
    let file = folder.join("file");
    std::fs::write(&file, "text").unwrap();
    (folder, file)
}

#[test]
fn no_program_can_be_executed_and_no_process_made() {
    // Were it not refused, this process would become that one, and its test end as failed.
    let (becomes, starts) = confined(&Needs::default(), NO_LANDLOCK, || {
        (errno(Err::<(), _>(Command::new("/bin/false").exec())), errno(Command::new("/bin/true").spawn()))
    });
    assert_eq!((becomes, starts.is_err()), (Err(Errno::EPERM), true));
}

#[test]
fn a_program_in_the_kernel_is_neither_listed_nor_loaded_even_by_a_process_that_reads_maps() {
    let list = || {
        let first = aya::programs::loaded_programs().next().map(|program| program.map(drop));
        first.map_or(Ok(()), |first| first.map_err(|error| error.to_string()))
    };
    assert_eq!(list(), Ok(()), "without the sandbox root may");
    for maps in [false, true] {
        let needs = Needs { maps, ..Needs::default() };
        let (listed, loaded) = confined(&needs, NO_LANDLOCK, || (list(), DropReader::load().map(drop)));
        let listed = listed.unwrap_err();
        assert!(listed.contains("bpf_prog_get_next_id"), "maps: {maps}: {listed}");
        let loaded = loaded.unwrap_err();
        assert!(loaded.what.contains("os error 1"), "maps: {maps}: {loaded}");
    }
}

#[test]
fn landlock_alone_lets_no_program_be_executed_either() {
    let needs = reading(Path::new("/bin"));
    let becomes = confined(&needs, NO_SECCOMP, || Command::new("/bin/false").exec().kind());
    assert_eq!(becomes, ErrorKind::PermissionDenied);
}

#[test]
fn sockets_are_unix_ip_or_rtnetlink() {
    let try_all = || {
        let of = |family, protocol| socket(family, SocketType::RAW, protocol).map(drop);
        let stream = |family| socket(family, SocketType::STREAM, None).map(drop);
        let good = [stream(AddressFamily::UNIX), stream(AddressFamily::INET), stream(AddressFamily::INET6)];
        let refused = [
            of(AddressFamily::PACKET, None),
            stream(AddressFamily::VSOCK),
            stream(AddressFamily::BLUETOOTH),
            of(AddressFamily::KEY, None),
            of(AddressFamily::NETLINK, Some(netlink::NETFILTER)),
            of(AddressFamily::NETLINK, Some(netlink::KOBJECT_UEVENT)),
        ];
        (good, of(AddressFamily::NETLINK, None::<Protocol>), refused)
    };
    let (good, rtnetlink, refused) = confined(&Needs::default(), NO_LANDLOCK, try_all);
    assert_eq!((good, rtnetlink), ([Ok(()); 3], Ok(())));
    assert_eq!(refused, [Err(rustix::io::Errno::PERM); 6]);
    // The test is one only if it can be had without.
    assert_eq!(socket(AddressFamily::PACKET, SocketType::RAW, None).map(drop), Ok(()));
}

#[test]
fn namespaces_mounts_and_other_processes_are_out_of_reach() {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, setns, unshare};
    use nix::sys::signal::kill;
    use nix::unistd::Pid;
    let own = File::open("/proc/self/ns/net").unwrap();
    let none = None::<&str>;
    let refused = confined(&Needs::default(), NO_LANDLOCK, || {
        [
            unshare(CloneFlags::CLONE_NEWNET),
            unshare(CloneFlags::CLONE_NEWUSER),
            setns(&own, CloneFlags::CLONE_NEWNET),
            mount(Some("none"), "/nowhere", Some("tmpfs"), MsFlags::empty(), none),
            kill(Pid::this(), None),
            rustix::process::chdir("/").map_err(|error| Errno::from_raw(error.raw_os_error())),
        ]
    });
    let perm = Err(Errno::EPERM);
    // The last is not on the list of what is refused: it is only not on that of what is needed.
    assert_eq!(refused, [perm, perm, perm, perm, perm, Err(Errno::ENOSYS)]);
}

#[test]
fn threads_sockets_and_timers_go_on() {
    let did = confined(&Needs::default(), &[], || {
        let thread = std::thread::Builder::new().name("inner".into()).spawn(|| 7).unwrap().join().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let slept = runtime.block_on(async {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            tokio::task::spawn_blocking(|| 8).await.unwrap()
        });
        let status = std::fs::read_to_string("/proc/thread-self/status");
        (thread, slept, status.map_err(|error| error.kind()))
    });
    assert_eq!(did, (7, 8, Err(ErrorKind::PermissionDenied)), "even /proc must be asked for");
}

#[test]
fn only_named_folders_can_be_read() {
    let (folder, file) = folder_with_file();
    let read = |path: &Path| std::fs::read(path).map_err(|error| error.kind());
    let (inside, shadow, above, root) = confined(&reading(&folder), NO_SECCOMP, || {
        let list = |path: &str| std::fs::read_dir(path).map(drop).map_err(|error| error.kind());
        (read(&file), read(Path::new("/etc/shadow")), list("/tmp"), list("/"))
    });
    assert_eq!(inside, Ok(b"text".to_vec()));
    let denied = Err(ErrorKind::PermissionDenied);
    assert_eq!((shadow, above, root), (Err(ErrorKind::PermissionDenied), denied, denied));
    assert!(read(Path::new("/etc/shadow")).is_ok(), "else this would be no test");
}

#[test]
fn a_folder_that_is_not_there_yet_can_be_read_once_it_is_but_never_all_files() {
    let (folder, _) = folder_with_file();
    let later = folder.join("later/still");
    let nowhere = PathBuf::from("/nowhere-at-all/deep");
    let needs = Needs { read: vec![later.clone(), nowhere], ..Needs::default() };
    let (ready, begin) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    let (read, passwd) = std::thread::scope(|scope| {
        scope.spawn(|| {
            ready.wait();
            std::fs::create_dir_all(&later).unwrap();
            std::fs::write(later.join("file"), "text").unwrap();
            begin.wait();
        });
        confined(&needs, NO_SECCOMP, || {
            ready.wait();
            begin.wait();
            (std::fs::read(later.join("file")).ok(), errno(File::open("/etc/passwd")))
        })
    });
    assert_eq!((read, passwd), (Some(b"text".to_vec()), Err(Errno::EACCES)));
}

/// Tries to change files in every way.
fn write_everywhere(folder: &Path, file: &Path) -> [Result<(), Errno>; 7] {
    [
        errno(std::fs::write(file, "other")),
        errno(File::options().append(true).open(file)),
        errno(File::create(folder.join("new"))),
        errno(std::fs::create_dir(folder.join("folder"))),
        errno(std::fs::rename(file, folder.join("renamed"))),
        errno(std::fs::remove_file(file)),
        errno(UnixListener::bind(folder.join("socket"))),
    ]
}

#[test]
fn no_file_can_be_written_made_renamed_or_removed() {
    let (folder, file) = folder_with_file();
    let by_landlock = confined(&reading(&folder), NO_SECCOMP, || write_everywhere(&folder, &file));
    assert_eq!(by_landlock, [Err(Errno::EACCES); 7]);
    let by_seccomp = confined(&reading(&folder), NO_LANDLOCK, || write_everywhere(&folder, &file));
    assert!(by_seccomp[..6].iter().all(Result::is_err), "{by_seccomp:?}");
    assert_eq!(by_seccomp[..4], [Err(Errno::EPERM); 4]);
    assert_eq!(std::fs::read(&file).unwrap(), b"text");
}

#[test]
fn a_file_can_be_removed_where_a_unix_socket_has_to_go_and_nowhere_else() {
    let ((folder, file), (_, other)) = (folder_with_file(), folder_with_file());
    let needs = Needs { remove: vec![folder], ..Needs::default() };
    let removed = confined(&needs, &[], || [&file, &other].map(|file| errno(std::fs::remove_file(file))));
    assert_eq!(removed, [Ok(()), Err(Errno::EACCES)]);
    assert!(!file.exists() && other.exists());
}

#[test]
fn tcp_goes_to_an_engines_port_alone_and_no_port_is_opened() {
    let [engine, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [engine, other] = [&engine, &other].map(|listener| listener.local_addr().unwrap());
    let needs = Needs { ports: vec![engine.port()], ..Needs::default() };
    let tried = confined(&needs, NO_SECCOMP, || {
        [
            errno(TcpStream::connect(engine)),
            errno(TcpStream::connect(other)),
            errno(TcpListener::bind("127.0.0.1:0")),
        ]
    });
    assert_eq!(tried, [Ok(()), Err(Errno::EACCES), Err(Errno::EACCES)]);
    let listens = confined(&needs, NO_LANDLOCK, || errno(TcpListener::bind("127.0.0.1:0")));
    assert_eq!(listens, Err(Errno::EPERM));
}

#[test]
fn files_are_made_and_renamed_in_the_folder_that_may_be_written_and_nowhere_else() {
    let ((folder, file), (elsewhere, other)) = (folder_with_file(), folder_with_file());
    let needs = Needs { read: vec![elsewhere.clone()], write: vec![folder.clone()], ..Needs::default() };
    let made = folder.join("made");
    let (inside, outside, refused) = confined(&needs, &[], || {
        let create = |path: &Path| errno(File::create(path).and_then(|file| file.sync_all()));
        let rename = |to: &Path| {
            rustix::fs::renameat(rustix::fs::CWD, &made, rustix::fs::CWD, to)
                .map_err(|error| Errno::from_raw(error.raw_os_error()))
        };
        let inside = [create(&made), rename(&file), create(&made), errno(std::fs::remove_file(&file))];
        let outside = [create(&other), create(&elsewhere.join("made")), rename(&elsewhere.join("moved"))];
        let both = File::options().read(true).write(true).open(&made);
        (inside, outside, [errno(both), errno(std::fs::create_dir(folder.join("deep")))])
    });
    assert_eq!(inside, [Ok(()); 4]);
    assert_eq!(outside[..2], [Err(Errno::EACCES); 2]);
    assert!(matches!(outside[2], Err(Errno::EACCES | Errno::EXDEV)), "{outside:?}");
    assert_eq!(refused, [Err(Errno::EPERM); 2]);
}
