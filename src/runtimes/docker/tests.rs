//! Against engines that answer as the test says, on a unix socket; most of them are out to do harm.
//!
//! The fixtures are answers of Docker Engine 20.10.24 (API 1.41, Debian 12, overlay2), its folders renamed:
//! `web` on the networks shop_front and named (br-lab) with compose's labels, `plain`, `linked` with `--link
//! plain:alias`, `frozen` paused, `alone` on none, `onhost` on host, `logger` on container:web and `chain` on
//! container:logger.

mod damage;
mod following;
mod proxies;

use super::*;
use crate::model::workload::{Claim, Locator, Workload};
use rustix::net;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

const VERSION: &str = include_str!("fixtures/version.json");
const CONTAINERS: &str = include_str!("fixtures/containers.json");
const NETWORKS: &str = include_str!("fixtures/networks.json");
const INSPECTS: &str = include_str!("fixtures/inspects.json");

/// What an engine does with one request.
enum Answer {
    Json(u16, String),
    Raw(&'static [u8]),
    /// Keeps the connection and says nothing.
    Silence,
    /// A head, and then a body without end.
    Endless,
}

fn ok(json: impl Into<String>) -> Answer {
    Answer::Json(200, json.into())
}

/// A folder under /tmp with an engine's socket in it; a short path, for a socket's has 107 bytes at most.
struct Lab {
    folder: PathBuf,
    /// The paths that were asked for, in order.
    asked: Arc<Mutex<Vec<String>>>,
    /// Connections that the client has not closed.
    open: Arc<AtomicUsize>,
}

impl Lab {
    fn new() -> Lab {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(format!("/tmp/veth-exporter-docker-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Lab { folder, asked: Arc::default(), open: Arc::default() }
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("d.sock")
    }

    fn docker(&self) -> Docker {
        let mut docker = docker_at(DockerHost::Unix(self.socket()));
        (docker.deadline, docker.inspection) = (Duration::from_secs(60), Duration::from_secs(60));
        docker
    }

    /// Starts an engine. Its threads end with the test's process.
    fn engine(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Lab {
        let lab = Lab::new();
        let listener = UnixListener::bind(lab.socket()).unwrap();
        let (asked, open, answer) = (lab.asked.clone(), lab.open.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (asked, open, answer) = (asked.clone(), open.clone(), answer.clone());
                open.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    serve(stream.unwrap(), &asked, &*answer);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        lab
    }

    fn take_asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        // The requests of one moment come in any order.
        asked.sort();
        asked
    }
}

fn docker_at(host: DockerHost) -> Docker {
    let [docker, _] = EngineAddress::both(Some(host), None);
    Docker::new(docker.unwrap())
}

impl Drop for Lab {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn serve(mut stream: UnixStream, asked: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> Answer) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.contains("host: docker\r\n"), "{head}");
    let path = head.split(' ').nth(1).unwrap();
    asked.lock().unwrap().push(path.to_owned());
    // A client that has had enough closes; that is what some of these tests are about.
    let _closed = match answer(path) {
        Answer::Json(status, body) => write!(
            stream,
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
        Answer::Raw(bytes) => {
            stream.write_all(bytes).and_then(|()| stream.shutdown(std::net::Shutdown::Write))
        }
        Answer::Silence => Ok(()),
        Answer::Endless => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[";
            stream.write_all(head.as_bytes()).and_then(|()| {
                loop {
                    stream.write_all(&[b' '; 4096])?;
                }
            })
        }
    };
    let _end = stream.read(&mut byte);
}

/// The engine of the fixtures.
fn fixture(path: &str) -> Answer {
    match path {
        "/version" => ok(VERSION),
        _ if path.starts_with("/v1.41/containers/json?") => ok(CONTAINERS),
        "/v1.41/networks" => ok(NETWORKS),
        _ => inspect(path).map_or(Answer::Json(404, r#"{"message":"page not found"}"#.into()), ok),
    }
}

/// The fixtures have one container on each line.
fn inspect(path: &str) -> Option<&'static str> {
    let id = path.strip_prefix("/v1.41/containers/")?.strip_suffix("/json")?;
    let lines = INSPECTS.lines().map(|line| line.trim_matches(['[', ']', ',']));
    lines.into_iter().find(|line| line.starts_with(&format!("{{\"Id\":\"{id}\"")))
}

/// An engine that answers its version and no networks, and gives its list of containers as told.
fn listing(list: impl Fn() -> Answer + Send + Sync + 'static) -> Lab {
    Lab::engine(move |path| match path {
        "/v1.41/networks" => ok("[]"),
        _ if path.starts_with("/v1.41/containers/json?") => list(),
        _ => fixture(path),
    })
}

fn names(claims: &[Claim]) -> Vec<&str> {
    claims.iter().map(|claim| claim.owner.name.as_str()).collect()
}

fn claim<'a>(claims: &'a Claims, name: &str) -> &'a Claim {
    claims.claims.iter().find(|claim| claim.owner.name == name).unwrap()
}

fn endpoints(claim: &Claim) -> Vec<String> {
    let address = |mac: crate::model::link::Mac| format!("@{mac}");
    claim.endpoints.iter().map(|e| e.network.clone() + &e.address.map_or(String::new(), address)).collect()
}

#[tokio::test]
async fn every_container_with_a_namespace_of_its_own_is_a_claim() {
    let claims = Lab::engine(fixture).docker().refresh().await.unwrap();
    assert_eq!(names(&claims.claims), ["alone", "frozen", "linked", "plain", "web"]);
    let web = claim(&claims, "web");
    assert_eq!(web.owner.id, "5f9ceb1c3b4c6d6cd5b13d9908e0858735a91b8c36294f2d2c0d01fdfbf3d829");
    assert_eq!(web.owner.image, "lab/busybox:1");
    assert_eq!((web.owner.compose_project.as_str(), web.owner.compose_service.as_str()), ("shop", "web"));
    assert_eq!(web.locator, Locator::Pid(6998));
    assert_eq!(endpoints(web), ["named@02:42:ac:12:00:02", "shop_front@02:42:ac:13:00:02"]);
}

#[tokio::test]
async fn a_container_without_a_network_is_a_claim_without_an_address() {
    let claims = Lab::engine(fixture).docker().refresh().await.unwrap();
    assert_eq!(claim(&claims, "alone").endpoints, []);
}

#[tokio::test]
async fn a_member_is_with_its_owner_also_over_another_member() {
    let claims = Lab::engine(fixture).docker().refresh().await.unwrap();
    let members: Vec<_> = claim(&claims, "web").members.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(members, ["chain", "logger"]);
}

#[tokio::test]
async fn networks_have_the_bridge_that_the_host_has() {
    let claims = Lab::engine(fixture).docker().refresh().await.unwrap();
    let networks: Vec<_> =
        claims.networks.iter().map(|n| (n.name.as_str(), n.bridge.unwrap().to_string())).collect();
    let expected = [("bridge", "docker0"), ("named", "br-lab"), ("shop_front", "br-494109dfb4a7")];
    assert_eq!(networks, expected.map(|(name, bridge)| (name, bridge.to_owned())));
}

#[tokio::test]
async fn the_addresses_of_running_and_paused_containers_are_those_of_the_list() {
    let claims = Lab::engine(fixture).docker().refresh().await.unwrap();
    let given: Vec<String> =
        claims.given.iter().map(|given| format!("{} {}", given.network, given.address)).collect();
    let wanted = [
        "bridge 172.17.0.2",
        "bridge 172.17.0.3",
        "bridge 172.17.0.4",
        "named 172.18.0.2",
        "shop_front 172.19.0.2",
    ];
    assert_eq!(given, wanted);
    let pools = claims.networks.iter().flat_map(|network| &network.pools);
    let used = pools.map(|pool| pool.used(claims.given.iter().map(|given| given.address)));
    assert_eq!(used.collect::<Vec<_>>(), [4, 2, 2], "with the gateways");
}

#[tokio::test]
async fn while_nothing_changes_a_refresh_is_two_requests_in_the_engines_version() {
    let lab = Lab::engine(fixture);
    let mut docker = lab.docker();
    let first = docker.refresh().await.unwrap();
    assert_eq!(lab.take_asked().len(), 1 + 2 + 8);
    assert_eq!(docker.refresh().await.unwrap(), first);
    let asked = lab.take_asked();
    let [list, networks] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(networks, "/v1.41/networks");
    let states = "filters=%7B%22status%22%3A%5B%22running%22%2C%22paused%22%2C%22restarting%22%5D%7D";
    assert!(list.starts_with("/v1.41/containers/json?") && list.ends_with(states), "{list}");
}

#[tokio::test]
async fn a_rename_is_seen_without_another_inspection() {
    let renamed = Arc::new(Mutex::new(CONTAINERS.to_owned()));
    let lab = listing({
        let renamed = renamed.clone();
        move || ok(renamed.lock().unwrap().clone())
    });
    let mut docker = lab.docker();
    docker.refresh().await.unwrap();
    lab.take_asked();
    *renamed.lock().unwrap() = CONTAINERS.replace("/plain", "/simple").replace("\"paused\"", "\"running\"");
    let claims = docker.refresh().await.unwrap();
    assert_eq!(names(&claims.claims), ["alone", "frozen", "linked", "simple", "web"]);
    assert_eq!(lab.take_asked().len(), 2);
}

#[tokio::test]
async fn a_restart_shows_in_the_endpoints_id_and_is_inspected_again() {
    let list = Arc::new(Mutex::new(CONTAINERS.to_owned()));
    let lab = listing({
        let list = list.clone();
        move || ok(list.lock().unwrap().clone())
    });
    let mut docker = lab.docker();
    docker.refresh().await.unwrap();
    lab.take_asked();
    // The endpoint of `alone` on none, before and after.
    *list.lock().unwrap() = CONTAINERS.replace("290b892702ce", "4d671bcf0000");
    docker.refresh().await.unwrap();
    let inspected = lab.take_asked().into_iter().filter(|path| path.ends_with("/json")).collect::<Vec<_>>();
    let [path] = inspected.as_slice() else { panic!("{inspected:?}") };
    assert!(path.starts_with("/v1.41/containers/60bd4997a2ea"), "{path}");
}

#[tokio::test]
async fn a_container_that_is_gone_is_forgotten() {
    let list = Arc::new(Mutex::new(CONTAINERS));
    let lab = listing({
        let list = list.clone();
        move || ok(*list.lock().unwrap())
    });
    let mut docker = lab.docker();
    docker.refresh().await.unwrap();
    *list.lock().unwrap() = "[]";
    assert_eq!(docker.refresh().await.unwrap(), Claims::default());
    assert!(docker.inspected.is_empty());
}

#[tokio::test]
async fn a_container_that_vanishes_between_list_and_inspection_leaves_the_others() {
    let lab = Lab::engine(|path| match path {
        _ if path.starts_with("/v1.41/containers/47a3528f8f2e") => {
            Answer::Json(404, r#"{"message":"No such container"}"#.into())
        }
        _ if path.starts_with("/v1.41/containers/6708f098313e") => {
            Answer::Json(409, r#"{"message":"Container is not running"}"#.into())
        }
        _ if path.starts_with("/v1.41/containers/60bd4997a2ea") => ok(r#"{"State":{"Pid":0}}"#),
        _ if path.starts_with("/v1.41/containers/d43ac5864b56") => ok("garbage"),
        _ => fixture(path),
    });
    let mut docker = lab.docker();
    assert_eq!(names(&docker.refresh().await.unwrap().claims), ["web"]);
    lab.take_asked();
    docker.refresh().await.unwrap();
    assert_eq!(lab.take_asked().len(), 2 + 4, "the four are asked again, and the version is not");
}

#[tokio::test]
async fn a_member_whose_owner_is_not_known_is_left_out() {
    let lab = Lab::engine(|path| match path {
        _ if path.starts_with("/v1.41/containers/5f9ceb1c3b4c") => Answer::Json(404, String::new()),
        _ => fixture(path),
    });
    let claims = lab.docker().refresh().await.unwrap();
    assert_eq!(names(&claims.claims), ["alone", "frozen", "linked", "plain"]);
    assert!(claims.claims.iter().all(|claim| claim.members.is_empty()));
}

#[tokio::test]
async fn an_inspection_that_hangs_costs_a_deadline_of_its_own_and_only_its_own_claim() {
    let lab = Lab::engine(|path| match path {
        _ if path.starts_with("/v1.41/containers/47a3528f8f2e") => Answer::Silence,
        _ => fixture(path),
    });
    let mut docker = lab.docker();
    docker.inspection = Duration::from_millis(200);
    // The refresh has a minute; with that as the only limit it would take it.
    let claims =
        tokio::time::timeout(Duration::from_secs(30), docker.refresh()).await.unwrap().unwrap().claims;
    assert_eq!(names(&claims), ["alone", "frozen", "linked", "web"]);
}

#[tokio::test]
async fn a_container_that_cannot_be_inspected_anew_keeps_what_is_known_of_it() {
    let connected = Arc::new(AtomicUsize::new(0));
    let lab = Lab::engine({
        let connected = connected.clone();
        move |path| match (connected.load(Ordering::SeqCst), path) {
            (1, _) if path.starts_with("/v1.41/containers/json?") => {
                ok(CONTAINERS.replace("\"EndpointID\":\"", "\"EndpointID\":\"0"))
            }
            (1, _) if path.starts_with("/v1.41/containers/47a3528f8f2e") => Answer::Silence,
            _ => fixture(path),
        }
    });
    let mut docker = lab.docker();
    let before = docker.refresh().await.unwrap();
    connected.store(1, Ordering::SeqCst);
    docker.inspection = Duration::from_millis(200);
    assert_eq!(docker.refresh().await.unwrap(), before);
}

/// A list of `count` containers; their ids are their numbers.
fn crowd(count: usize) -> String {
    let entry = |n| {
        let networks = format!(r#"{{"Networks":{{"bridge":{{"EndpointID":"e{n}"}}}}}}"#);
        format!(r#"{{"Id":"{n:064}","Names":["/c{n}"],"State":"running","NetworkSettings":{networks}}}"#)
    };
    format!("[{}]", (1..=count).map(entry).collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn a_huge_list_is_inspected_eight_at_a_time() {
    let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let list = crowd(1_000);
    let lab = Lab::engine({
        let most = most.clone();
        move |path| match path {
            "/version" => ok(VERSION),
            "/v1.41/networks" => ok("[]"),
            _ if path.starts_with("/v1.41/containers/json?") => ok(list.clone()),
            _ => {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
                ok(r#"{"State":{"Pid":7}}"#)
            }
        }
    });
    let claims = lab.docker().refresh().await.unwrap();
    assert_eq!(claims.claims.len(), 1_000);
    assert_eq!(lab.take_asked().len(), 1 + 2 + 1_000);
    let most = most.load(Ordering::SeqCst);
    assert!(most <= INSPECTIONS, "{most} at once");
}

async fn failure(mut docker: Docker) -> Error {
    let error = docker.refresh().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&docker.host.to_string()) && !text.contains('\n'), "{text}");
    error
}

/// Asserts that this is a failure of an engine that is there, and that its message has this text.
#[track_caller]
fn says(error: &Error, text: &str) {
    let failed = !matches!(error, Error::NotThere(_) | Error::PassedOn(_));
    assert!(failed && error.to_string().contains(text), "{error}; wanted: {text}");
}

#[tokio::test]
async fn no_socket_is_no_engine() {
    let lab = Lab::new();
    let error = failure(lab.docker()).await;
    assert!(matches!(error, Error::NotThere(_)), "{error}");
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_no_engine() {
    let lab = Lab::new();
    drop(UnixListener::bind(lab.socket()).unwrap());
    let error = failure(lab.docker()).await;
    assert!(matches!(error, Error::NotThere(_)), "{error}");
}

#[tokio::test]
async fn a_tcp_port_that_nobody_listens_on_is_no_engine() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = failure(docker_at(DockerHost::Tcp(address.to_string()))).await;
    assert!(matches!(error, Error::NotThere(_)), "{error}");
}

#[test]
fn a_socket_that_may_not_be_written_to_is_denied() {
    // Root may everything, and tests may run as root: the kernel's word for it stands in for the dialling.
    let error = io::Error::from(io::ErrorKind::PermissionDenied);
    let error = Lab::new().docker().classify(bollard::errors::Error::IOError { err: error });
    says(&error, "permission denied at unix:///tmp/");
}

#[tokio::test]
async fn an_engine_that_never_answers_is_too_slow_and_is_left_no_connection() {
    let lab = Lab::engine(|_| Answer::Silence);
    let mut docker = lab.docker();
    docker.deadline = Duration::from_millis(200);
    let error = failure(docker).await;
    says(&error, "did not answer within 200ms");
    assert_eq!(lab.take_asked(), ["/version"]);
    closes_all(&lab).await;
}

async fn closes_all(lab: &Lab) {
    let closed = async {
        while lab.open.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), closed).await.expect("the client left a connection open");
}

#[tokio::test]
async fn a_queue_that_nobody_takes_connections_from_is_too_slow() {
    let lab = Lab::new();
    let listener = net::socket(net::AddressFamily::UNIX, net::SocketType::STREAM, None).unwrap();
    net::bind(&listener, &net::SocketAddrUnix::new(lab.socket()).unwrap()).unwrap();
    net::listen(&listener, 0).unwrap();
    let _queued = UnixStream::connect(lab.socket()).unwrap();
    let mut docker = lab.docker();
    docker.deadline = Duration::from_millis(200);
    let error = failure(docker).await;
    says(&error, "did not answer within 200ms");
}

#[tokio::test]
async fn bytes_that_are_not_http_are_garbage() {
    let lab = Lab::engine(|_| Answer::Raw(b"\x15\x03\x01\0\x02\x02\x16 SSH-2.0-OpenSSH\r\n\r\n"));
    let error = failure(lab.docker()).await;
    says(&error, "does not speak Docker's API");
}

#[tokio::test]
async fn a_chunk_of_no_length_is_garbage() {
    let lab = listing(|| Answer::Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"));
    let error = failure(lab.docker()).await;
    says(&error, "does not speak Docker's API");
}

#[tokio::test]
async fn an_answer_that_is_not_the_apis_json_is_garbage() {
    for body in ["<html>\n<b>hello</b>", "{}", "[{\"Id\":5}]", "[{\"Id\":", "", "[{\"State\":\"confused\"}]"]
    {
        let error = failure(listing(move || ok(body)).docker()).await;
        says(&error, "does not speak Docker's API");
    }
    let error = failure(Lab::engine(|_| ok(r#"{"ApiVersion":"new"}"#)).docker()).await;
    says(&error, "does not speak Docker's API");
}

#[tokio::test]
async fn an_endless_body_stops_at_the_limit() {
    let lab = listing(|| Answer::Endless);
    let mut docker = lab.docker();
    docker.limit = 1 << 20;
    let error = failure(docker).await;
    says(&error, "answered with more than 1048576 bytes");
    closes_all(&lab).await;
}

#[tokio::test]
async fn an_endless_inspection_costs_only_its_own_claim() {
    let lab = Lab::engine(|path| match path {
        _ if path.starts_with("/v1.41/containers/47a3528f8f2e") => Answer::Endless,
        _ => fixture(path),
    });
    let mut docker = lab.docker();
    docker.limit = 1 << 20;
    assert_eq!(names(&docker.refresh().await.unwrap().claims), ["alone", "frozen", "linked", "web"]);
}

#[tokio::test]
async fn a_connection_that_ends_early_is_broken() {
    for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]"] {
        let error = failure(listing(move || Answer::Raw(bytes)).docker()).await;
        says(&error, "the connection to unix:///tmp/");
    }
}

#[tokio::test]
async fn an_engine_in_trouble_is_quoted_in_one_line() {
    let lab = listing(|| Answer::Json(500, r#"{"message":"no space\nleft on device"}"#.into()));
    let error = failure(lab.docker()).await;
    says(&error, "d.sock refused with status 500: no space left on device");
}

/// Inspected, with this process and network mode.
fn inspected(pid: u32, mode: &str) -> Inspected {
    let answer = serde_json::json!({"State": {"Pid": pid}, "HostConfig": {"NetworkMode": mode}});
    Inspected::read(Object::new(&answer, &Damage::default())).unwrap()
}

fn container(number: u32) -> Workload {
    Workload { id: format!("{number:064x}"), ..Workload::named(Runtime::Docker, format!("c{number}")) }
}

#[test]
fn twenty_thousand_containers_that_join_each_other_in_turn_take_no_time_to_speak_of() {
    const MANY: u32 = 20_000;
    let mode = |number| match number {
        0 => "bridge".to_owned(),
        _ if number % 2 == 0 => format!("container:{}", container(number - 1).id),
        _ => format!("container:c{}", number - 1),
    };
    let all: Vec<_> =
        (0..MANY).map(|number| (container(number), inspected(number + 1, &mode(number)))).collect();
    let begin = std::time::Instant::now();
    let claims = containers::claims(all.iter().map(|(workload, inspected)| (workload, inspected)));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!((claims.len(), claims[0].members.len()), (1, MANY as usize - 1));
    assert!(matches!(claims[0].locator, Locator::Pid(1)));
}

#[test]
fn containers_that_join_each_other_in_a_circle_are_claimed_by_nobody() {
    let modes =
        ["container:c1", "container:c2", "container:c1", "container:c3", "bridge", "container:c9", "host"];
    let all: Vec<_> = modes
        .iter()
        .zip(0..)
        .map(|(mode, number)| (container(number), inspected(number + 1, mode)))
        .collect();
    let claims = containers::claims(all.iter().map(|(workload, inspected)| (workload, inspected)));
    assert_eq!(names(&claims), ["c4"]);
    assert!(claims[0].members.is_empty());
}

#[tokio::test]
async fn after_an_error_the_version_is_agreed_on_anew() {
    let upgraded = Arc::new(Mutex::new(false));
    let lab = Lab::engine({
        let upgraded = upgraded.clone();
        move |path| match (*upgraded.lock().unwrap(), path) {
            (true, "/version") => ok(VERSION.replace("1.41", "1.99")),
            (true, _) if path.starts_with("/v1.41") => {
                Answer::Json(400, r#"{"message":"client version 1.41 is too old"}"#.into())
            }
            (true, _) => ok("[]"),
            (false, _) => fixture(path),
        }
    });
    let mut docker = lab.docker();
    docker.refresh().await.unwrap();
    *upgraded.lock().unwrap() = true;
    let error = docker.refresh().await.unwrap_err();
    says(&error, "refused with status 400: client version 1.41 is too old");
    lab.take_asked();
    docker.refresh().await.unwrap();
    let newest = format!("/v{}/networks", *bollard::API_DEFAULT_VERSION);
    let asked = lab.take_asked();
    assert!(asked.contains(&newest) && asked.contains(&"/version".to_owned()), "{asked:?}");
}

#[test]
fn a_host_is_read_as_docker_host_is_written() {
    for (text, shown) in [
        ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
        ("unix:/run/d.sock", "unix:///run/d.sock"),
        ("unix:d.sock", "unix://d.sock"),
        ("tcp://10.0.0.1:2375", "tcp://10.0.0.1:2375"),
        ("http://engine.lan:2375/", "tcp://engine.lan:2375"),
        ("tcp://[::1]:2375", "tcp://[::1]:2375"),
    ] {
        let host: DockerHost = text.parse().unwrap();
        assert_eq!(host.to_string(), shown);
        assert_eq!(shown.parse(), Ok(host));
    }
    assert_eq!("unix:d.sock".parse(), Ok(DockerHost::Unix(Path::new("d.sock").to_owned())));
}

#[test]
fn what_is_no_host_is_named_in_the_error() {
    let bad = ["", "unix:", "unix://", "/run/d.sock", "ssh://me@h", "https://h:2376", "tcp://h", "tcp://h:0"];
    for text in
        bad.into_iter().chain(["tcp://:1", "tcp://h:99999", "tcp://h:1/api", "tcp://u@h:1", "tcp://a b:1"])
    {
        let error = text.parse::<DockerHost>().unwrap_err().to_string();
        assert!(error.contains(&format!("{text:?}")), "{error}");
    }
}

#[test]
fn a_swarm_task_is_called_by_service_and_slot_and_nobody_else_is() {
    let named = |task: &str, id: &str, service: &str| {
        let labels = [("task.name", task), ("task.id", id), ("service.name", service)];
        let labels = labels.map(|(key, value)| (format!("com.docker.swarm.{key}"), value.to_owned()));
        let labels = labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        containers::workload(Runtime::Docker, "id".into(), "own".into(), String::new(), &labels).name
    };
    // Labels as Docker 20.10 sets them, of a replicated service and of a global one (ids shortened).
    assert_eq!(named("shop_web.2.x9kq1", "x9kq1", "shop_web"), "shop_web.2");
    assert_eq!(named("agent.n0de7.x9kq1", "x9kq1", "agent"), "agent.n0de7");
    // Anybody can set such labels.
    for (task, id, service) in [
        ("", "", "web"),
        ("web.1.x", "x", ""),
        ("web.1.x", "", "web"),
        ("web.1.x", "y", "web"),
        ("other.1.x", "x", "web"),
        ("web..x", "x", "web"),
        ("web.x", "x", "web"),
        ("webx", "x", "web"),
    ] {
        assert_eq!(named(task, id, service), "own", "{task} {id} {service}");
    }
}

/// As Podman 4.3 answers (shortened).
const PODMAN: &str = r#"{"Components":[{"Name":"Podman Engine","Version":"4.3.1"}],"ApiVersion":"1.41"}"#;

#[tokio::test]
async fn podman_at_dockers_place_is_passed_on_and_not_asked_again() {
    let lab = Lab::engine(|_| ok(PODMAN));
    let absent = DockerHost::Unix(lab.folder.join("absent"));
    let [docker, podman] = EngineAddress::both(Some(DockerHost::Unix(lab.socket())), Some(absent.clone()));
    let (mut docker, podman) = (Docker::new(docker.unwrap()), podman.unwrap());
    assert_eq!(podman.host(), absent);
    for _ in 0..2 {
        assert!(matches!(docker.refresh().await, Err(Error::PassedOn(_))));
    }
    assert_eq!(lab.take_asked(), ["/version"]);
    assert_eq!(podman.host(), DockerHost::Unix(lab.socket()));
    // Docker takes its place: another socket.
    std::fs::rename(lab.socket(), lab.folder.join("old")).unwrap();
    let _listener = UnixListener::bind(lab.socket()).unwrap();
    assert!(!docker.address().is_passed_on());
}

#[tokio::test]
async fn a_second_podman_at_dockers_place_is_a_failure_that_says_how_to_ask_it() {
    let (lab, other) = (Lab::engine(|_| ok(PODMAN)), Lab::engine(|_| ok(PODMAN)));
    let [docker, _] =
        EngineAddress::both(Some(DockerHost::Unix(lab.socket())), Some(DockerHost::Unix(other.socket())));
    let error = Docker::new(docker.unwrap()).refresh().await.unwrap_err();
    says(&error, "is another Podman than the one that is asked: name it with --podman.host");
}

#[tokio::test]
async fn docker_at_podmans_place_is_a_failure_that_says_so() {
    let lab = Lab::engine(|_| ok(VERSION));
    let [_, podman] = EngineAddress::both(None, Some(DockerHost::Unix(lab.socket())));
    let error = Docker::new(podman.unwrap()).refresh().await.unwrap_err();
    says(&error, "d.sock is not Podman but Docker: name it with --docker.host");
}
