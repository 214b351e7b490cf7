//! CRI servers that fail: a real containerd that is killed, and servers of real gRPC that answer as none does.

use std::convert::Infallible;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use veth_exporter::testing::runtimes::cri::messages::{
    ListContainersResponse, ListPodSandboxResponse, PodSandbox, PodSandboxMetadata, PodSandboxStatusRequest,
    PodSandboxStatusResponse, VersionResponse,
};

use crate::campaign::note;
use crate::impostor::{Beside, DEVICE, Impostor};
use crate::{SOON, Used, said_of, timed};
use lab::book::size;
use lab::{Containerd, empty_folder, needs_engine, ping, unique_name, wait_for};

/// What must hold while the server fails, until that was seen again and again.
fn assert_others_go_on(beside: &Beside, words: &[&str]) {
    let exporter = &beside.exporter;
    exporter.wait_for(SOON, "the source has failed", |m| m.collector_success("cri").filter(|works| !works));
    let begin = Instant::now();
    let mut slowest = Duration::ZERO;
    while begin.elapsed() < Duration::from_secs(3) {
        let (metrics, took) = timed(exporter);
        slowest = slowest.max(took);
        assert_eq!(metrics.value("veth_device_up", &DEVICE), Some(1.0), "{}", metrics.text);
        assert_eq!(metrics.collector_success("cri"), Some(false), "{}", metrics.text);
        std::thread::sleep(Duration::from_millis(50));
    }
    let said = said_of(exporter, "cri");
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(words.iter().all(|word| said[0].contains(word)), "{said:#?}");
    let used = Used::by(exporter);
    assert!(used.resident < 128 << 20, "{used:?}");
    note(&format!("{} MiB resident, slowest scrape {} ms", used.resident >> 20, slowest.as_millis()));
}

fn assert_fails(act: fn(&mut UnixStream) -> std::io::Result<()>, words: &[&str]) {
    let impostor = Impostor::listen(act);
    assert_others_go_on(&Beside::start(&["--cri.endpoint", &impostor.path()]), words);
}

#[test]
fn a_cri_server_that_closes_every_connection_at_once_is_a_failed_source() {
    assert_fails(|stream| stream.shutdown(std::net::Shutdown::Both), &["failed"]);
}

#[test]
fn a_cri_server_that_says_its_settings_byte_by_byte_and_nothing_else_is_given_up() {
    let drops = |stream: &mut UnixStream| {
        for byte in [0, 0, 0, 4, 0, 0, 0, 0, 0].into_iter().cycle() {
            stream.write_all(&[byte])?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    };
    assert_fails(drops, &["did not answer within 2s"]);
}

/// A server of real gRPC, in a thread of its own until the test process ends: answers each method (and the sandbox that is
/// asked about) with a message.
fn serve(answer: fn(&str, &str) -> Vec<u8>) -> String {
    let socket = empty_folder("g").join("g.sock");
    let path = socket.display().to_string();
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.unwrap().block_on(async move {
            let listener = tokio::net::UnixListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service =
                    hyper::service::service_fn(move |request: Request<Incoming>| reply(request, answer));
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(async move {
                    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
                        println!("a connection of the server ended: {error:?}");
                    }
                });
            }
        });
    });
    path
}

type Frames = futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;

async fn reply(
    request: Request<Incoming>,
    answer: fn(&str, &str) -> Vec<u8>,
) -> Result<Response<StreamBody<Frames>>, Infallible> {
    let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    // Behind the head of gRPC's message.
    let sandbox = match method.as_str() {
        "PodSandboxStatus" => PodSandboxStatusRequest::decode(&body[5..]).unwrap().pod_sandbox_id,
        _ => String::new(),
    };
    let mut trailers = HeaderMap::new();
    // 12 is UNIMPLEMENTED: no events here.
    let status = if method == "GetContainerEvents" { 12 } else { 0 };
    trailers.insert("grpc-status", HeaderValue::from(status));
    let mut frames = Vec::new();
    if status == 0 {
        let message = answer(&method, &sandbox);
        let head = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes()].concat();
        frames.push(Ok(Frame::data([head, message].concat().into())));
    }
    frames.push(Ok(Frame::trailers(trailers)));
    let body = StreamBody::new(futures_util::stream::iter(frames));
    Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
}

#[test]
fn a_cri_server_that_answers_with_wrong_types_is_a_failed_source() {
    // Field 1 as a number where a message or a text belongs.
    let server = serve(|method, _| match method {
        "Version" => VersionResponse::default().encode_to_vec(),
        _ => vec![0x08, 0x07],
    });
    assert_others_go_on(&Beside::start(&["--cri.endpoint", &server]), &["failed"]);
}

fn ten_thousand_pods(method: &str, _: &str) -> Vec<u8> {
    let pod = |number: usize| PodSandbox {
        id: format!("{number:064x}"),
        metadata: Some(PodSandboxMetadata {
            name: format!("pod-{number}"),
            namespace: "big".into(),
            uid: format!("uid-{number}"),
            attempt: 0,
        }),
        ..PodSandbox::default()
    };
    match method {
        "Version" => VersionResponse::default().encode_to_vec(),
        "ListPodSandbox" => ListPodSandboxResponse { items: (0..10_000).map(pod).collect() }.encode_to_vec(),
        "ListContainers" => ListContainersResponse::default().encode_to_vec(),
        _ => PodSandboxStatusResponse::default().encode_to_vec(),
    }
}

#[test]
fn a_cri_server_with_ten_thousand_pods_works_and_delays_no_scrape() {
    let server = serve(ten_thousand_pods);
    let beside = Beside::start(&["--cri.endpoint", &server]);
    let exporter = &beside.exporter;
    exporter.wait_for(SOON, "the source works", |m| m.collector_success("cri").filter(|works| *works));
    let (begin, mut took) = (Instant::now(), Vec::new());
    while begin.elapsed() < Duration::from_secs(size(8, 60) as u64) {
        let (metrics, time) = timed(exporter);
        assert_eq!(metrics.value("veth_device_up", &DEVICE), Some(1.0), "{}", metrics.text);
        assert_eq!(metrics.collector_success("cri"), Some(true), "{}", metrics.text);
        took.push(time);
        std::thread::sleep(Duration::from_millis(50));
    }
    took.sort();
    let (used, p99) = (Used::by(exporter), took[took.len() * 99 / 100]);
    assert!(p99 < Duration::from_secs(2) && used.resident < 256 << 20, "{p99:?} {used:?}");
    assert_eq!(said_of(exporter, "cri"), Vec::<String>::new());
    note(&format!("{} MiB resident, scrape p99 {} ms", used.resident >> 20, p99.as_millis()));
}

#[test]
fn a_containerd_that_is_killed_takes_no_pod_and_no_byte() {
    needs_engine!();
    let engine = Containerd::start();
    let exporter = engine.exporter(&[]);
    let pods = ["web", "db"].map(|name| engine.run("shop", &unique_name(name), &["main"]));
    let interfaces = pods.each_ref().map(|pod| pod.interface());
    let address = pods[1].address();
    for interface in &interfaces {
        exporter.wait_for(SOON, "it has its name", |m| m.value("veth_device_up", &interface.labels()));
    }
    let exact = |what: &str| {
        let before = interfaces.each_ref().map(|interface| interface.at_rest(&exporter));
        ping(&interfaces[0].netns_path(), address, 10, 1_000);
        for (interface, (first, own_first)) in interfaces.iter().zip(before) {
            let (last, own_last) = interface.at_rest(&exporter);
            assert_eq!(last - first, own_last - own_first, "{what}");
        }
    };
    engine.kill();
    exporter.wait_for(SOON, "the source has failed", |m| m.collector_success("cri").filter(|works| !works));
    exact("containerd is dead");
    engine.restart();
    exporter.wait_for(SOON, "it works again", |m| m.collector_success("cri").filter(|works| *works));
    exact("containerd is back");
    let said = wait_for(SOON, "the log tells both changes", || match said_of(&exporter, "cri") {
        said if said.len() == 2 => Ok(said),
        said => Err(format!("{said:#?}")),
    });
    assert!(said[1].contains("works again"), "{said:#?}");
}
