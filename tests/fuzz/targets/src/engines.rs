//! What engines answer, over a socket as in earnest: Docker and Podman, and servers of CRI.
//!
//! The first part says how: `docker`, `podman` or `cri` for good HTTP around the parts that follow, `raw` for a part that is all that is
//! sent on each connection.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use veth_exporter::testing::model::workload::{Claim, Claims, Locator};
use veth_exporter::testing::runtimes::cri::messages::{
    ListContainersResponse, ListPodSandboxResponse, PodSandboxStatusResponse, VersionResponse,
};
use veth_exporter::testing::runtimes::cri::{Cri, CriEndpoint};
use veth_exporter::testing::runtimes::docker::{Docker, DockerHost, DockerWatch, EngineAddress};

use super::{ALWAYS, in_memory_of, parts, scratch};

/// The parts of an input that a server sends.
type Answers = Rc<RefCell<[Bytes; 6]>>;

/// A server of this thread, and its socket; what it answers is said anew for each input.
struct Engine {
    runtime: Runtime,
    tasks: LocalSet,
    socket: PathBuf,
    answers: Answers,
}

impl Engine {
    fn start(name: &str, serve: fn(UnixStream, Answers)) -> Engine {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (tasks, answers) = (LocalSet::new(), Answers::default());
        let socket = scratch().join(format!("{name}-{:?}.sock", std::thread::current().id()));
        let _none_before = fs::remove_file(&socket);
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(&socket).expect("a socket")
        };
        let all = Rc::clone(&answers);
        tasks.spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, Rc::clone(&all));
            }
        });
        Engine { runtime, tasks, socket, answers }
    }

    /// Runs what asks this engine, which answers with the parts of this input.
    fn asked<T>(&self, input: &[u8], ask: impl AsyncFnOnce(&Path) -> T) -> T {
        *self.answers.borrow_mut() = parts(input).map(Bytes::copy_from_slice);
        // An answer is limited to 16 MiB, and this is far below: what counts is what is made of each byte.
        in_memory_of(ALWAYS + 1_024 * input.len(), || self.tasks.block_on(&self.runtime, ask(&self.socket)))
    }
}

/// What is claimed is in order, and by processes that there can be; and asked again the engine says the same.
fn are_good<E: Debug>(first: Result<Claims, E>, again: Result<Claims, E>) {
    let (Ok(first), Ok(again)) = (first, again) else { return };
    assert!(first.claims.is_sorted() && first.networks.is_sorted(), "{first:?}");
    for Claim { owner, locator, endpoints, members, .. } in &first.claims {
        assert!(*locator != Locator::Pid(0) && !owner.id.is_empty(), "{owner:?} {locator:?}");
        assert!(endpoints.is_sorted() && members.is_sorted(), "{endpoints:?} {members:?}");
    }
    assert!(first.given.is_sorted(), "{:?}", first.given);
    for pool in first.networks.iter().flat_map(|network| &network.pools) {
        let used = pool.used(first.given.iter().map(|given| given.address));
        assert!(used <= pool.size(), "{used} of {pool:?}");
    }
    assert_eq!((first.claims, first.given), (again.claims, again.given));
}

// ---------------------------------------------------------------- Docker and Podman

/// The version, the list of containers, the networks, an inspection of whichever container, and events.
pub fn docker(input: &[u8]) {
    thread_local!(static ENGINE: Engine = Engine::start("docker", serve_http));
    ENGINE.with(|engine| {
        engine.asked(input, async |socket| {
            let podman = input.starts_with(b"podman");
            let address = || {
                let host = DockerHost::Unix(socket.to_owned());
                let [docker, podman] = if podman {
                    EngineAddress::both(None, Some(host))
                } else {
                    EngineAddress::both(Some(host), None)
                };
                docker.or(podman).expect("one of both")
            };
            let mut docker = Docker::new(address());
            let first = docker.refresh().await;
            if let Err(error) = &first {
                let said = error.to_string();
                assert!(!said.contains(char::is_control) && said.len() < 2_048, "{said:?}");
            }
            are_good(first, docker.refresh().await);
            let _told = docker.look_up("web").await;
            let Ok(mut watch) = DockerWatch::begin(address()).await else { return };
            while watch.news().await.is_some() {
                assert!(watch.expected().is_sorted(), "{:?}", watch.expected());
                assert!(watch.containers().is_sorted(), "{:?}", watch.containers());
            }
        })
    });
}

fn serve_http(mut stream: UnixStream, answers: Answers) {
    tokio::task::spawn_local(async move {
        let mut head = Vec::new();
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let [mode, version, containers, networks, inspection, events] = answers.borrow().clone();
        let path = std::str::from_utf8(&head).ok().and_then(|head| head.split(' ').nth(1)).expect("a path");
        let body = match path.split('?').next().unwrap_or_default() {
            "/version" => version,
            path if path.ends_with("/containers/json") => containers,
            path if path.ends_with("/networks") || path.ends_with("/networks/json") => networks,
            path if path.ends_with("/events") => events,
            // Of a network it is the first of the list.
            path if path.contains("/networks/") => first_of(&networks),
            _ => inspection,
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        // The client may have had enough.
        if mode != "raw" {
            let _ = stream.write_all(head.as_bytes()).await;
        }
        let _ = stream.write_all(&body).await;
        let _ = stream.shutdown().await;
    });
}

fn first_of(list: &Bytes) -> Bytes {
    let list: Vec<serde_json::Value> = serde_json::from_slice(list).unwrap_or_default();
    list.first().map(|first| first.to_string().into()).unwrap_or_default()
}

// ---------------------------------------------------------------- CRI

/// The messages Version, ListPodSandbox, PodSandboxStatus of whichever pod, and ListContainers.
pub fn cri(input: &[u8]) {
    thread_local!(static ENGINE: Engine = Engine::start("cri", serve_grpc));
    let [_, version, sandboxes, status, containers] = parts(input);
    in_memory_of(ALWAYS + 512 * input.len(), || {
        is_read_again::<VersionResponse>(version);
        is_read_again::<ListPodSandboxResponse>(sandboxes);
        is_read_again::<PodSandboxStatusResponse>(status);
        is_read_again::<ListContainersResponse>(containers);
    });
    ENGINE.with(|engine| {
        engine.asked(input, async |socket| {
            let endpoint: CriEndpoint = socket.to_str().expect("UTF-8").parse().expect("a path");
            let mut cri = Cri::new(endpoint);
            let first = cri.refresh().await;
            if let Err(error) = &first {
                let said = error.to_string();
                assert!(!said.contains(char::is_control) && said.len() < 2_048, "{said:?}");
            }
            are_good(first, cri.refresh().await);
            let _told = cri.look_up("shop/web").await;
        })
    });
}

/// A message that is read, is the same when it is written and read again.
fn is_read_again<M: Message + Default + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(message) = M::decode(bytes) {
        let again = M::decode(&message.encode_to_vec()[..]).expect("it was written by us");
        assert!(message == again, "{message:?} {again:?}");
    }
}

fn serve_grpc(mut stream: UnixStream, answers: Answers) {
    tokio::task::spawn_local(async move {
        let raw = {
            let answers = answers.borrow();
            (answers[0] == "raw").then(|| answers[1].clone())
        };
        if let Some(raw) = raw {
            let _ = stream.write_all(&raw).await;
            let _ = stream.shutdown().await;
            return;
        }
        let service = service_fn(|request: Request<hyper::body::Incoming>| {
            let answer = grpc(request.uri().path(), &answers.borrow());
            async move { Ok::<_, Infallible>(answer) }
        });
        // The client closes when it has had enough.
        let _ = hyper::server::conn::http2::Builder::new(OnThisThread)
            .serve_connection(TokioIo::new(stream), service)
            .await;
    });
}

fn grpc(
    path: &str,
    answers: &[Bytes; 6],
) -> Response<impl hyper::body::Body<Data = Bytes, Error = Infallible> + use<>> {
    let [_, version, sandboxes, status, containers, _] = answers;
    let message = match path.rsplit('/').next().unwrap_or_default() {
        "Version" => version,
        "ListPodSandbox" => sandboxes,
        "PodSandboxStatus" => status,
        _ => containers,
    };
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("a short one"));
    frame.extend_from_slice(message);
    let trailers =
        HeaderMap::from_iter([("grpc-status".parse().expect("a name"), HeaderValue::from_static("0"))]);
    let mut response = Response::new(Full::new(frame.freeze()).with_trailers(async { Some(Ok(trailers)) }));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Runs what HTTP/2 has to do beside an answer.
#[derive(Clone)]
struct OnThisThread;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}
