//! Against servers that answer as the test says, by real gRPC on a unix socket; most of them are out to do
//! harm.

use super::messages::*;
use super::*;
use crate::model::workload::{Claim, Locator, Runtime};
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use std::convert::Infallible;
use std::io::Write;
use std::os::unix::net::UnixListener as BlockingListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::UnixListener;
use tokio::sync::mpsc;

type Chunks = mpsc::Sender<Result<Frame<Bytes>, Infallible>>;

/// What a server does with one question.
#[derive(Clone)]
enum Answer {
    Message(Vec<u8>),
    /// A status of gRPC, as a number, and its text.
    Status(u8, &'static str),
    /// The head of a message with so many bytes, and then these.
    Begun(u32, Vec<u8>),
    /// The head of such a message, and then blanks without end.
    Endless(u32),
    Silence,
}

fn message(message: &impl Message) -> Answer {
    Answer::Message(message.encode_to_vec())
}

/// A folder under /tmp with a server's socket in it; a short path, for a socket's has 107 bytes at most.
struct Lab {
    folder: PathBuf,
    /// The methods that were asked, in order.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Lab {
    fn new() -> Lab {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(format!("/tmp/veth-exporter-cri-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Lab { folder, asked: Arc::default() }
    }

    fn endpoint(&self) -> CriEndpoint {
        CriEndpoint(self.folder.join("c.sock"))
    }

    fn cri(&self) -> Cri {
        let mut cri = Cri::new(self.endpoint());
        (cri.question, cri.refresh) = (Duration::from_secs(60), Duration::from_secs(60));
        cri
    }

    /// Starts a server that answers each method, and the sandbox that is asked about, in this way.
    fn server(answer: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Lab {
        let lab = Lab::new();
        let listener = UnixListener::bind(lab.endpoint().path()).unwrap();
        let (asked, answer) = (lab.asked.clone(), Arc::new(answer));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (asked, answer) = (asked.clone(), answer.clone());
                let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                    let (asked, answer) = (asked.clone(), answer.clone());
                    async move { Ok::<_, Infallible>(serve(request, &asked, &*answer).await) }
                });
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
        lab
    }

    /// Starts what listens and is no server of gRPC. Its thread ends with the test's process.
    fn stranger(act: impl Fn(std::os::unix::net::UnixStream) + Send + 'static) -> Lab {
        let lab = Lab::new();
        let listener = BlockingListener::bind(lab.endpoint().path()).unwrap();
        std::thread::spawn(move || listener.incoming().for_each(|stream| act(stream.unwrap())));
        lab
    }

    fn take_asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort();
        asked
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

async fn serve(
    request: Request<Incoming>,
    asked: &Mutex<Vec<String>>,
    answer: &(dyn Fn(&str, &str) -> Answer + Send + Sync),
) -> Response<impl hyper::body::Body<Data = Bytes, Error = Infallible> + use<>> {
    let method = request.uri().path().trim_start_matches("/runtime.v1.RuntimeService/").to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    // Behind the head of gRPC's message.
    let sandbox = match method.as_str() {
        "PodSandboxStatus" => PodSandboxStatusRequest::decode(&body[5..]).unwrap().pod_sandbox_id,
        _ => String::new(),
    };
    asked.lock().unwrap().push(format!("{method} {sandbox}").trim_end().to_owned());
    let (chunks, receiver) = mpsc::channel(8);
    tokio::spawn(say(answer(&method, &sandbox), chunks));
    let frames = futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|frame| (frame, receiver))
    });
    Response::builder().header("content-type", "application/grpc").body(StreamBody::new(frames)).unwrap()
}

/// Says it; nothing more once the client has had enough.
async fn say(answer: Answer, chunks: Chunks) {
    let head = |length: u32| Frame::data([&[0][..], &length.to_be_bytes()].concat().into());
    let status = |code: u8, text: &'static str| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from(u16::from(code)));
        trailers.insert("grpc-message", HeaderValue::from_static(text));
        Frame::trailers(trailers)
    };
    let frames = match answer {
        Answer::Message(bytes) => {
            vec![head(bytes.len().try_into().unwrap()), Frame::data(bytes.into()), status(0, "")]
        }
        Answer::Status(code, text) => vec![status(code, text)],
        Answer::Begun(length, bytes) => vec![head(length), Frame::data(bytes.into())],
        Answer::Endless(length) => {
            let _ = chunks.send(Ok(head(length))).await;
            while chunks.send(Ok(Frame::data(Bytes::from_static(&[b' '; 65_536])))).await.is_ok() {}
            return;
        }
        Answer::Silence => return chunks.closed().await,
    };
    for frame in frames {
        if chunks.send(Ok(frame)).await.is_err() {
            return;
        }
    }
}

fn metadata(namespace: &str, name: &str) -> Option<PodSandboxMetadata> {
    Some(PodSandboxMetadata { name: name.into(), namespace: namespace.into(), ..Default::default() })
}

fn sandbox(id: &str, namespace: &str, name: &str) -> PodSandbox {
    let labels = HashMap::from([("app".to_owned(), name.to_owned())]);
    PodSandbox { id: id.into(), metadata: metadata(namespace, name), labels, ..Default::default() }
}

fn container(id: &str, sandbox: &str, name: &str) -> CriContainer {
    let image = ImageSpec { image: format!("shop/{name}:1"), ..Default::default() };
    CriContainer {
        id: id.into(),
        pod_sandbox_id: sandbox.into(),
        metadata: Some(ContainerMetadata { name: name.into(), attempt: 0 }),
        image: Some(image),
        state: CONTAINER_RUNNING,
        ..Default::default()
    }
}

fn status(info: &str) -> PodSandboxStatusResponse {
    PodSandboxStatusResponse { info: HashMap::from([("info".to_owned(), info.to_owned())]), status: None }
}

/// Two pods called web in two namespaces; that in `shop` has two containers.
fn node(method: &str, sandbox_id: &str) -> Answer {
    match method {
        "Version" => message(&VersionResponse { runtime_name: "containerd".into(), ..Default::default() }),
        "ListPodSandbox" => message(&ListPodSandboxResponse {
            items: vec![sandbox("aaaa", "shop", "web"), sandbox("bbbb", "test", "web")],
        }),
        "ListContainers" => message(&ListContainersResponse {
            containers: vec![
                container("c2", "aaaa", "nginx"),
                container("c1", "aaaa", "log"),
                container("c3", "gone", "x"),
            ],
        }),
        "PodSandboxStatus" if sandbox_id == "aaaa" => message(&status(r#"{"pid": 4711, "image": "pause"}"#)),
        "PodSandboxStatus" => message(&status(r#"{"pid": 4712}"#)),
        _ => Answer::Status(12, "unknown method"),
    }
}

fn titles(claims: &[Claim]) -> Vec<String> {
    claims.iter().map(|claim| claim.owner.title()).collect()
}

#[tokio::test]
async fn a_sandbox_owns_its_namespace_and_its_containers_are_members() {
    let lab = Lab::server(node);
    let claims = lab.cri().refresh().await.unwrap().claims;
    assert_eq!(titles(&claims), ["shop/web", "test/web"]);
    let [shop, test] = &claims[..] else { panic!("{claims:#?}") };
    assert_eq!(
        (shop.owner.runtime, shop.owner.name.as_str(), shop.owner.id.as_str()),
        (Runtime::Cri, "", "aaaa")
    );
    assert_eq!(shop.owner.labels["app"], "web");
    assert_eq!((&shop.locator, &test.locator), (&Locator::Pid(4711), &Locator::Pid(4712)));
    let members: Vec<[&str; 5]> = shop
        .members
        .iter()
        .map(|member| [&*member.namespace, &*member.pod, &*member.name, &*member.id, &*member.image])
        .collect();
    assert_eq!(
        members,
        [["shop", "web", "log", "c1", "shop/log:1"], ["shop", "web", "nginx", "c2", "shop/nginx:1"]]
    );
    assert!(test.members.is_empty());
}

#[tokio::test]
async fn containers_that_have_ended_are_no_members_and_show_how_often_each_was_started() {
    let lab = Lab::server(|method, id| match method {
        "ListPodSandbox" => {
            let mut kept = sandbox("aaaa", "shop", "web");
            kept.metadata =
                kept.metadata.map(|metadata| PodSandboxMetadata { uid: "uid-1".into(), ..metadata });
            message(&ListPodSandboxResponse { items: vec![kept, sandbox("bbbb", "test", "web")] })
        }
        "ListContainers" => {
            let attempt = |id: &str, sandbox: &str, attempt, state| CriContainer {
                metadata: Some(ContainerMetadata { name: "app".into(), attempt }),
                state,
                created_at: 7,
                ..container(id, sandbox, "app")
            };
            let containers = vec![
                attempt("c1", "aaaa", 1, CONTAINER_EXITED),
                attempt("c2", "aaaa", 2, CONTAINER_RUNNING),
                // Created and not started, and of a sandbox that is not ready.
                attempt("c3", "bbbb", 0, 0),
                attempt("c4", "gone", 0, CONTAINER_RUNNING),
            ];
            message(&ListContainersResponse { containers })
        }
        _ => node(method, id),
    });
    let claims = lab.cri().refresh().await.unwrap();
    let members = claims.claims.iter().flat_map(|claim| &claim.members);
    assert_eq!(members.map(|member| &*member.id).collect::<Vec<_>>(), ["c2"]);
    let list = claims.pod_containers.unwrap();
    assert_eq!(list.pods.iter().map(String::as_str).collect::<Vec<_>>(), ["bbbb", "uid-1"]);
    let seen =
        list.containers.iter().map(|one| (&*one.pod_id, &*one.workload.id, one.attempt, one.is_running));
    assert_eq!(seen.collect::<Vec<_>>(), [("uid-1", "c1", 1, false), ("uid-1", "c2", 2, true)]);
    assert_eq!(list.containers[1].workload.title(), "shop/web/app");
}

#[tokio::test]
async fn while_nothing_changes_two_lists_are_asked_for_and_no_pod() {
    let lab = Lab::server(node);
    let mut cri = lab.cri();
    let first = cri.refresh().await.unwrap();
    let lists = ["ListContainers", "ListPodSandbox"];
    let pods = ["PodSandboxStatus aaaa", "PodSandboxStatus bbbb", "Version"];
    assert_eq!(lab.take_asked(), [&lists[..], &pods[..]].concat());
    assert_eq!(cri.refresh().await.unwrap(), first);
    assert_eq!(lab.take_asked(), lists);
}

#[test]
fn a_pod_is_where_its_process_is_else_where_the_file_of_its_namespace_is() {
    let spec = |path: &str| {
        format!(
            r#"{{"runtimeSpec":{{"linux":{{"namespaces":[{{"type":"pid"}},{{"type":"network","path":"{path}"}}]}}}}}}"#
        )
    };
    let own = |locator| PodNetns::Own { locator, image: String::new() };
    for (info, wanted) in [
        (r#"{"pid":4711}"#.to_owned(), own(Locator::Pid(4711))),
        (spec("/var/run/netns/0ba0"), own(Locator::Path(Path::new("/run/netns/0ba0").into()))),
        (spec("/variable/netns"), own(Locator::Path(Path::new("/variable/netns").into()))),
        (spec(""), PodNetns::Unknown),
        (r#"{"pid":0}"#.to_owned(), PodNetns::Unknown),
        (r#"{"pid":-1}"#.to_owned(), PodNetns::Unknown),
        (r#"{"pid":4294967296}"#.to_owned(), PodNetns::Unknown),
        (r#"{"pid":"4711"}"#.to_owned(), PodNetns::Unknown),
        (r#"{"runtimeSpec":[7]}"#.to_owned(), PodNetns::Unknown),
        ("[".repeat(100_000), PodNetns::Unknown),
        ("\u{7}".to_owned(), PodNetns::Unknown),
        (String::new(), PodNetns::Unknown),
    ] {
        let shown: String = info.chars().take(60).collect();
        assert_eq!(pods::pod_netns(&status(&info)), wanted, "{shown}");
    }
    assert_eq!(pods::pod_netns(&PodSandboxStatusResponse::default()), PodNetns::Unknown);
}

#[test]
fn a_pod_on_the_hosts_network_has_no_place_of_its_own() {
    let options = Some(NamespaceOption { network: NAMESPACE_NODE });
    let linux = Some(LinuxPodSandboxStatus { namespaces: Some(PodNamespaces { options }) });
    let answer = PodSandboxStatusResponse {
        status: Some(PodSandboxStatus { linux, network: None }),
        ..status(r#"{"pid":4711}"#)
    };
    assert_eq!(pods::pod_netns(&answer), PodNetns::Host);
}

#[tokio::test]
async fn names_and_labels_from_hell_are_taken_as_they_are() {
    let lab = Lab::server(|method, id| match method {
        "ListPodSandbox" => {
            let labels = HashMap::from([("a\u{0}\n\"".to_owned(), "\u{1b}[2J".repeat(2_500))]);
            let nameless = PodSandbox { metadata: None, ..sandbox(&"a".repeat(64), "", "") };
            let items = vec![PodSandbox { labels, ..sandbox("bbbb", "n\ns", "p\u{7}\"\\") }, nameless];
            message(&ListPodSandboxResponse { items })
        }
        "ListContainers" => message(&ListContainersResponse {
            containers: vec![CriContainer { metadata: None, image: None, ..container("cccc", "bbbb", "") }],
        }),
        _ => node(method, id),
    });
    let claims = lab.cri().refresh().await.unwrap().claims;
    assert_eq!(titles(&claims), ["aaaaaaaaaaaa", "n\ns/p\u{7}\"\\"]);
    let [_, odd] = &claims[..] else { panic!("{claims:#?}") };
    assert_eq!(odd.owner.labels["a\u{0}\n\""].len(), 10_000);
    assert_eq!((odd.members[0].name.as_str(), odd.members[0].image.as_str()), ("cccc", ""));
}

#[tokio::test]
async fn a_damaged_entry_costs_itself_and_not_the_list() {
    let entry = |pod: &PodSandbox| pod.encode_to_vec();
    // A name that is not UTF-8: Protobuf forbids it.
    let mut not_utf8 = entry(&sandbox("eeee", "shop", "XXXX"));
    let at = not_utf8.windows(4).position(|bytes| bytes == b"XXXX").unwrap();
    not_utf8[at] = 0xff;
    let web = entry(&sandbox("aaaa", "shop", "web"));
    for (name, entries, wanted) in [
        ("whole", vec![web.clone()], Some(1)),
        ("a name that is not UTF-8", vec![not_utf8.clone(), web.clone()], Some(1)),
        ("an entry that ends early", vec![web[..web.len() - 3].to_vec(), web.clone()], Some(1)),
        ("no id", vec![entry(&sandbox("", "shop", "x")), web.clone()], Some(1)),
        ("nothing", vec![Vec::new(), web.clone()], Some(1)),
        ("twice", vec![web.clone(), web.clone()], Some(1)),
        ("a field of another type", vec![[&[0x0d, 1, 2, 3, 4][..], &web].concat(), web.clone()], Some(1)),
        ("all of them", vec![not_utf8.clone(), Vec::new()], None),
        ("none", vec![], Some(0)),
    ] {
        let list = RawList { entries };
        let lab = Lab::server(move |method, id| match method {
            "ListPodSandbox" => message(&list),
            _ => node(method, id),
        });
        let claims = lab.cri().refresh().await.map(|claims| titles(&claims.claims));
        match wanted {
            Some(0) => assert_eq!(claims.unwrap(), [""; 0], "{name}"),
            Some(_) => assert_eq!(claims.unwrap(), ["shop/web"], "{name}"),
            None => assert!(matches!(claims, Err(Error::Failed(_))), "{name}: {claims:?}"),
        }
    }
}

#[tokio::test]
async fn the_addresses_that_the_server_has_given_to_pods_are_in_its_inventory_if_they_are_wanted() {
    let lab = Lab::server(|method, id| match (method, id) {
        ("PodSandboxStatus", "bbbb") => {
            let further = vec![PodIp { ip: "fd00:0::9".into() }, PodIp { ip: "nonsense".into() }];
            let network = Some(PodNetworkStatus { ip: "10.244.0.9".into(), additional_ips: further });
            let status = Some(PodSandboxStatus { linux: None, network });
            message(&PodSandboxStatusResponse { status, info: HashMap::new() })
        }
        ("PodSandboxStatus", _) => Answer::Status(5, "no such sandbox"),
        ("ListPodSandbox", _) => {
            let gone = PodSandbox { state: SANDBOX_READY + 1, ..sandbox("cccc", "shop", "gone") };
            let items = vec![sandbox("aaaa", "shop", "web"), sandbox("bbbb", "test", "web"), gone];
            message(&ListPodSandboxResponse { items })
        }
        _ => node(method, id),
    });
    let mut cri = lab.cri();
    let inventory = cri.inventory(true).await.unwrap();
    let addresses: Vec<(&str, Vec<String>)> = inventory
        .containers
        .iter()
        .map(|pod| {
            let addresses = pod.addresses.iter().map(|(network, address)| format!("{network}{address}"));
            (pod.workload.id.as_str(), addresses.collect())
        })
        .collect();
    let of_test = vec!["10.244.0.9".to_owned(), "fd00::9".to_owned()];
    assert_eq!(addresses, [("aaaa", vec![]), ("bbbb", of_test), ("cccc", vec![])]);
    let lists = ["ListContainers", "ListPodSandbox"];
    let pods = ["PodSandboxStatus aaaa", "PodSandboxStatus bbbb", "Version"];
    assert_eq!(lab.take_asked(), [&lists[..], &pods[..]].concat(), "no pod that is not ready");
    let without = cri.inventory(false).await.unwrap();
    assert!(without.containers.iter().all(|pod| pod.addresses.is_empty()));
    assert_eq!(lab.take_asked(), lists);
}

#[tokio::test]
async fn a_server_that_is_silent_about_pods_costs_their_addresses_alone() {
    let lab = Lab::server(|method, id| match (method, id) {
        ("PodSandboxStatus", "aaaa") => Answer::Silence,
        _ => node(method, id),
    });
    let mut cri = lab.cri();
    cri.question = Duration::from_millis(500);
    assert_eq!(cri.inventory(true).await.unwrap().containers.len(), 2);
}

#[tokio::test]
async fn the_networks_of_a_pods_further_interfaces_are_endpoints_of_its_claim() {
    let lab = Lab::server(|method, id| match method {
        "ListPodSandbox" => {
            let wanted = ("k8s.v1.cni.cncf.io/networks".to_owned(), "storage".to_owned());
            let annotations = HashMap::from([wanted]);
            message(&ListPodSandboxResponse {
                items: vec![PodSandbox { annotations, ..sandbox("aaaa", "shop", "web") }],
            })
        }
        _ => node(method, id),
    });
    let claims = lab.cri().refresh().await.unwrap().claims;
    let [endpoint] = claims[0].endpoints.as_slice() else { panic!("{claims:?}") };
    assert_eq!((endpoint.network.as_str(), endpoint.interface.as_str()), ("storage", "net1"));
}

#[tokio::test]
async fn pods_of_a_server_that_takes_its_time_are_located_later() {
    let lab = Lab::server(|method, id| {
        if method == "PodSandboxStatus" {
            std::thread::sleep(Duration::from_millis(300));
        }
        node(method, id)
    });
    let mut cri = lab.cri();
    cri.refresh = Duration::from_millis(50);
    assert!(cri.refresh().await.unwrap().claims.is_empty() && cri.is_complete());
    while cri.claims().claims.len() < 2 {
        tokio::time::timeout(Duration::from_secs(30), cri.located_later()).await.unwrap();
        cri.locate_for(Duration::ZERO).await;
    }
    let totals: Vec<(&str, u64)> = cri.calls().totals().into_iter().collect();
    assert_eq!(
        totals,
        [("ListContainers", 1), ("ListPodSandbox", 1), ("PodSandboxStatus", 2), ("Version", 1)]
    );
}

#[tokio::test]
async fn the_image_is_what_the_pods_author_wrote_where_kubelet_tells_it() {
    let lab = Lab::server(|method, id| match method {
        "ListContainers" => {
            let image = ImageSpec { image: "sha256:0123".into(), user_specified_image: "shop/log:1".into() };
            let containers = vec![CriContainer { image: Some(image), ..container("c1", "aaaa", "log") }];
            message(&ListContainersResponse { containers })
        }
        _ => node(method, id),
    });
    let claims = lab.cri().refresh().await.unwrap().claims;
    assert_eq!(claims[0].members[0].image, "shop/log:1");
}

#[tokio::test]
async fn a_pod_that_cannot_be_asked_about_takes_no_other_with_it() {
    for trouble in [Answer::Status(5, "no such sandbox"), Answer::Silence, Answer::Begun(1_000, vec![7])] {
        let lab = Lab::server(move |method, id| match (method, id) {
            ("PodSandboxStatus", "aaaa") => trouble.clone(),
            _ => node(method, id),
        });
        let mut cri = lab.cri();
        cri.question = Duration::from_millis(500);
        assert_eq!(titles(&cri.refresh().await.unwrap().claims), ["test/web"]);
        lab.take_asked();
        cri.refresh().await.unwrap();
        assert_eq!(
            lab.take_asked(),
            ["ListContainers", "ListPodSandbox", "PodSandboxStatus aaaa"],
            "asked about again"
        );
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_about_any_pod_is_broken() {
    let lab = Lab::server(|method, id| match method {
        "PodSandboxStatus" => Answer::Status(13, "shim is gone"),
        _ => node(method, id),
    });
    let error = lab.cri().refresh().await.unwrap_err().to_string();
    assert!(error.contains("shim is gone"), "{error}");
}

#[tokio::test]
async fn a_broken_list_is_an_error_that_says_how_and_the_next_refresh_begins_anew() {
    let hundred_megabytes = 100 << 20;
    let cases: [(Answer, &str); 7] = [
        (Answer::Begun(1_000, vec![10, 4]), "EOF"),
        (Answer::Begun(hundred_megabytes, Vec::new()), "more than 16777216 bytes"),
        (Answer::Endless(hundred_megabytes), "more than 16777216 bytes"),
        (Answer::Endless(1_000), "failed"),
        (Answer::Message(vec![0xff; 100]), "failed"),
        (Answer::Silence, "did not answer within"),
        (Answer::Status(14, "server is not initialized yet"), "not initialized yet"),
    ];
    for (trouble, wanted) in cases {
        let healthy = Arc::new(Mutex::new(false));
        let now = healthy.clone();
        let lab = Lab::server(move |method, id| match method {
            "ListContainers" if !*now.lock().unwrap() => trouble.clone(),
            _ => node(method, id),
        });
        let mut cri = lab.cri();
        cri.question = Duration::from_secs(if wanted.starts_with("did") { 1 } else { 60 });
        let error = cri.refresh().await.unwrap_err().to_string();
        assert!(error.contains(wanted) && error.contains("c.sock"), "{error}; wanted: {wanted}");
        *healthy.lock().unwrap() = true;
        assert_eq!(titles(&cri.refresh().await.unwrap().claims), ["shop/web", "test/web"]);
    }
}

#[track_caller]
fn says_too_slow(error: &Error) {
    let says =
        matches!(error, Error::TooSlow(message) if message.contains("c.sock did not answer within 200ms"));
    assert!(says, "{error}");
}

#[tokio::test]
async fn what_does_not_speak_grpc_is_an_error_that_names_the_socket() {
    let junk = |mut stream: std::os::unix::net::UnixStream| {
        let _closed = stream.write_all(&b"HTTP/1.1 400 Bad Request\r\n\r\n".repeat(1_000));
    };
    for lab in [Lab::stranger(junk), Lab::stranger(drop)] {
        let error = lab.cri().refresh().await.unwrap_err();
        assert!(matches!(&error, Error::Failed(_)), "{error}");
        assert!(error.to_string().contains("c.sock"), "{error}");
    }
    let lab = Lab::new();
    let held = BlockingListener::bind(lab.endpoint().path()).unwrap();
    let mut cri = lab.cri();
    cri.question = Duration::from_millis(200);
    says_too_slow(&cri.refresh().await.unwrap_err());
    drop(held);
    // The file is still there.
    let error = cri.refresh().await.unwrap_err();
    assert!(matches!(error, Error::NotThere(_)), "{error}");
    let wanted = format!("no CRI server listens at {}: Connection refused", lab.endpoint());
    assert!(error.to_string().starts_with(&wanted), "{error}");
}

#[tokio::test]
async fn a_server_without_cri_is_not_there_unless_the_user_named_it() {
    let lab = Lab::server(|_, _| Answer::Status(12, "unknown service runtime.v1.RuntimeService"));
    let error = lab.cri().refresh().await.unwrap_err();
    assert_eq!(error, Error::Unserved(format!("{} does not serve CRI's runtime.v1", lab.endpoint())));
    lab.take_asked();
    let mut looking = Cri::looking_at(vec![CriEndpoint("/nonexistent".into()), lab.endpoint()]);
    assert!(!looking.find().await);
    assert!(!looking.find().await);
    assert_eq!(lab.take_asked(), ["Version"], "asked once, and not at every tick");
    assert_eq!(looking.endpoint(), None);
}

#[tokio::test]
async fn the_first_server_that_has_cri_is_found_behind_stale_and_foreign_sockets() {
    let (stale, foreign) = (Lab::new(), Lab::server(|_, _| Answer::Status(12, "")));
    drop(BlockingListener::bind(stale.endpoint().path()).unwrap());
    let lab = Lab::server(node);
    let mut looking = Cri::looking_at(vec![stale.endpoint(), foreign.endpoint(), lab.endpoint()]);
    assert!(looking.find().await);
    assert_eq!(looking.endpoint(), Some(&lab.endpoint()));
    assert_eq!(looking.refresh().await.unwrap().claims.len(), 2);
}

#[tokio::test]
async fn somebody_who_listens_and_hangs_is_there_and_broken() {
    let lab = Lab::server(|_, _| Answer::Silence);
    let mut looking = Cri::looking_at(vec![lab.endpoint()]);
    looking.question = Duration::from_millis(200);
    assert!(looking.find().await);
    says_too_slow(&looking.refresh().await.unwrap_err());
    assert_eq!(looking.endpoint(), None, "it may be somebody else");
}

#[tokio::test]
async fn a_pod_is_looked_up_by_name_namespace_and_name_or_the_beginning_of_its_id() {
    let lab = Lab::server(node);
    for (query, wanted) in [
        ("test/web", Some("test")),
        ("bbbb", Some("test")),
        ("aaa", None),
        ("shop/db", None),
        ("shop", None),
        ("", None),
    ] {
        let seen = lab.cri().look_up(query).await.unwrap();
        assert_eq!(seen.map(|pod| pod.namespace).as_deref(), wanted, "{query}");
    }
}

#[tokio::test]
async fn events_are_news_and_a_server_without_them_says_so() {
    let lab = Lab::server(|method, id| match method {
        "GetContainerEvents" => message(&PodSandboxMetadata { name: "c1".into(), ..Default::default() }),
        _ => node(method, id),
    });
    let mut watch = CriWatch::begin(&lab.endpoint(), Calls::default()).await.unwrap();
    watch.news().await.unwrap();
    assert!(matches!(watch.news().await.unwrap_err(), Error::Failed(_)), "the stream has ended");
    let old = Lab::server(node);
    let mut watch = CriWatch::begin(&old.endpoint(), Calls::default()).await.unwrap();
    assert!(matches!(watch.news().await.unwrap_err(), Error::Unserved(_)));
}

#[test]
fn an_endpoint_is_a_unix_socket() {
    for (text, wanted) in [
        ("unix:///run/a.sock", Some("unix:///run/a.sock")),
        ("unix:/run/a.sock", Some("unix:///run/a.sock")),
        ("/run/a.sock", Some("unix:///run/a.sock")),
        ("run/a.sock", None),
        ("unix://run/a.sock", None),
        ("tcp://127.0.0.1:1", None),
        ("", None),
    ] {
        let read = text.parse::<CriEndpoint>().map(|endpoint| endpoint.to_string());
        assert_eq!(read.ok().as_deref(), wanted, "{text}");
    }
}
