//! The engine's events, and what they announce before a container has its interface.
//!
//! A container is connected to its networks some 200 ms before Docker moves its interface into its
//! namespace. From then on the network's inspection has the container's name and the MAC address that the
//! interface will have. An inspection of the container would wait for a lock that is held until the
//! container has started, which is too late for a short-lived one. Podman makes the interfaces before the
//! process, and reports a container when it starts.

use super::answers::{Damage, Object};
use super::calls::{Caller, EVENTS, NETWORK, NETWORKS, Trouble};
use super::containers::{short, workload};
use super::networks::bridge_of;
use super::{Docker, EngineAddress, Error, podman};
use crate::model::link::Mac;
use crate::model::workload::{Expected, LifeAction, LifeChange, Runtime, Workload};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// The time for which an expected interface is kept after the engine reports its end: links are read later
/// than the engine's events.
const KEPT: Duration = Duration::from_secs(10);

/// The time limit of the connection, and that of one network's inspection.
const DEADLINE: Duration = Duration::from_secs(15);

/// The number of networks that are inspected at a time.
const INSPECTIONS: usize = 8;

/// The longest event in bytes. Most have one or two thousand.
const LIMIT: usize = 1 << 20;

/// The most events that are handled together, if they have already arrived.
const AT_A_TIME: usize = 256;

/// The path of the events of containers and networks.
const PATH: &str = "/events?filters=%7B%22type%22%3A%5B%22container%22%2C%22network%22%5D%7D";

type OpeningStream = Pin<Box<dyn Future<Output = Result<Response<Incoming>, Trouble>> + Send>>;

/// The stream of events: its head, then its bytes.
enum EventStream {
    Opening(OpeningStream),
    Open(Incoming),
}

/// A follower of the events of one engine.
pub struct DockerWatch {
    docker: Docker,
    caller: Caller,
    /// The prefix of paths for the negotiated version.
    version: String,
    events: EventStream,
    /// The bytes of an event that has not arrived as a whole.
    begun: BytesMut,
    /// Workloads from `create` events, by the container's id, each with the time when it is forgotten.
    created: HashMap<String, (Workload, Option<Instant>)>,
    /// Expected interfaces, by the ids of container and network, each with the time when it is forgotten.
    expected: HashMap<(String, String), (Expected, Option<Instant>)>,
    /// The networks to inspect: containers were connected to them.
    wanted: BTreeSet<String>,
    inspections: JoinSet<(String, Result<Value, Trouble>)>,
}

/// The joint effect of some events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// True if the result of [`DockerWatch::expected`] or [`DockerWatch::containers`] may have changed, or
    /// may have got more meaning.
    pub expected: bool,
    /// True if the list of containers may have changed.
    pub containers: bool,
    /// True if the list of networks may have changed.
    pub networks: bool,
    /// The ids of containers with a first process that has ended.
    pub dying: Vec<String>,
    /// The starts and ends of containers, in the order of the engine.
    pub lives: Vec<LifeChange>,
}

impl DockerWatch {
    /// Connects to the engine and asks for its events.
    ///
    /// # Errors
    /// If the engine cannot be asked.
    pub async fn begin(address: EngineAddress) -> Result<DockerWatch, Error> {
        let docker = Docker::new(address);
        let version = match timeout(DEADLINE, docker.connect()).await {
            Ok(version) => version.map_err(|trouble| docker.error(trouble))?,
            Err(_) => return Err(docker.too_slow(DEADLINE)),
        };
        // The stream has no end.
        let listener = docker.caller_within(u64::MAX);
        let path = format!("{}{PATH}", version.docker);
        let opening = async move { listener.open(EVENTS, &path).await };
        Ok(DockerWatch {
            caller: docker.caller(),
            docker,
            version: version.docker,
            events: EventStream::Opening(Box::pin(opening)),
            begun: BytesMut::new(),
            created: HashMap::new(),
            expected: HashMap::new(),
            wanted: BTreeSet::new(),
            inspections: JoinSet::new(),
        })
    }

    /// Waits until the engine has accepted the subscription: every later change is in the events. May be
    /// dropped at any time.
    ///
    /// # Errors
    /// If the engine does not report events.
    pub async fn subscribed(&mut self) -> Result<(), Error> {
        let EventStream::Opening(opening) = &mut self.events else { return Ok(()) };
        match opening.await {
            Ok(answer) => {
                self.caller.note_refused(EVENTS, None);
                self.events = EventStream::Open(answer.into_body());
                Ok(())
            }
            Err(trouble) => {
                if let Trouble::Refused { status, .. } = trouble {
                    self.caller.note_refused(EVENTS, Some(status));
                }
                self.events = EventStream::Opening(Box::pin(std::future::pending()));
                Err(self.docker.error(trouble))
            }
        }
    }

    /// Returns true once the engine has accepted the subscription.
    pub(crate) fn is_subscribed(&self) -> bool {
        matches!(self.events, EventStream::Open(_))
    }

    /// Waits for events, or for the inspection of a network; returns `None` when the engine has ended the
    /// stream. May be dropped at any time.
    pub async fn news(&mut self) -> Option<News> {
        self.subscribed().await.ok()?;
        self.inspect_networks();
        let mut news = News::default();
        let first = {
            let EventStream::Open(events) = &mut self.events else { return None };
            tokio::select! {
                bytes = next(events) => Some(bytes?),
                Some(inspection) = self.inspections.join_next() => {
                    if let Ok((id, answer)) = inspection {
                        self.take_network(&id, answer);
                        news.expected = true;
                    }
                    None
                }
            }
        };
        if let Some(first) = first {
            self.begun.extend_from_slice(&first);
            let mut count = self.take_events(&mut news);
            while count < AT_A_TIME
                && let EventStream::Open(events) = &mut self.events
                && let Some(Some(bytes)) = next(events).now_or_never()
            {
                self.begun.extend_from_slice(&bytes);
                count += 1 + self.take_events(&mut news);
            }
        }
        if self.begun.len() > LIMIT {
            tracing::debug!("the stream of events ended: an event has more than {LIMIT} bytes");
            return None;
        }
        self.inspect_networks();
        let now = Instant::now();
        self.expected.retain(|_, (_, end)| end.is_none_or(|end| now < end));
        self.created.retain(|_, (_, end)| end.is_none_or(|end| now < end));
        Some(news)
    }

    /// Handles the events that have arrived as a whole, one on each line. Returns how many there were.
    fn take_events(&mut self, news: &mut News) -> usize {
        let Some(end) = self.begun.iter().rposition(|&b| b == b'\n') else { return 0 };
        let whole = self.begun.split_to(end + 1);
        let damage = Damage::default();
        let lines = whole.as_ref().split(|&b| b == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let mut count = 0;
        for line in lines {
            count += 1;
            match serde_json::from_slice::<Value>(line) {
                Ok(event) => self.handle_event(Object::new(&event, &damage), news),
                Err(error) => {
                    damage.add(|| error.to_string());
                    // It may have been any event.
                    (news.containers, news.networks) = (true, true);
                }
            }
        }
        self.caller.note_damage(EVENTS, &damage);
        count
    }

    /// Begins to inspect the networks that are wanted, as many at a time as there may be.
    fn inspect_networks(&mut self) {
        // A proxy that refuses the list refuses a single network too.
        if self.caller.calls.is_refused(NETWORKS) {
            self.wanted.clear();
        }
        while self.inspections.len() < INSPECTIONS
            && let Some(id) = self.wanted.pop_first()
        {
            let (caller, path) = (self.caller.clone(), format!("{}/networks/{id}", self.version));
            self.inspections.spawn(async move {
                let answer = timeout(DEADLINE, caller.get_json(NETWORK, &path)).await;
                (id, answer.unwrap_or(Err(Trouble::TooSlow)))
            });
        }
    }

    /// Returns the expected interfaces: the workload, the network and the MAC address of each.
    pub fn expected(&self) -> Vec<Expected> {
        let mut expected: Vec<Expected> =
            self.expected.values().map(|(expected, _)| expected.clone()).collect();
        expected.sort();
        expected
    }

    /// Returns the containers that were created or connected to a network while the watch ran, and that
    /// exist or have existed until a moment ago.
    pub fn containers(&self) -> Vec<Workload> {
        let connected = self.expected.values().map(|(expected, _)| &expected.workload);
        let mut containers: Vec<Workload> =
            self.created.values().map(|(workload, _)| workload).chain(connected).cloned().collect();
        containers.sort();
        containers.dedup_by(|a, b| a.id == b.id);
        containers
    }

    fn handle_event(&mut self, event: Object<'_>, news: &mut News) {
        let actor = event.object("Actor");
        let (id, attributes) = (actor.text("ID"), actor.text_map("Attributes"));
        let container = attributes.get("container").cloned().unwrap_or_default();
        let of_podman = self.docker.runtime() == Runtime::Podman;
        if event.text("Type") == "container" {
            news.lives.extend(life_change(self.docker.runtime(), &event.text("Action"), &id, &attributes));
        }
        match (event.text("Type").as_str(), event.text("Action").as_str()) {
            ("network", "connect") => {
                // The id becomes a part of a path.
                if id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) {
                    self.wanted.insert(id);
                }
                news.containers = true;
            }
            ("network", "disconnect") => {
                self.forget(|key| *key == (container.clone(), id.clone()));
                news.containers = true;
            }
            ("network", _) => news.networks = true,
            ("container", "create") => {
                // The attributes without name and image are the container's labels.
                let mut labels = attributes;
                let mut take_attribute = |name| labels.remove(name).unwrap_or_default();
                let (name, image) = (take_attribute("name"), take_attribute("image"));
                // A container of a pod does not own its namespace, and only the list has the name of the pod.
                let of_pod = of_podman && (!take_attribute("podId").is_empty() || podman::is_infra(&name));
                if id.is_empty() || of_pod {
                    return;
                }
                let workload = workload(self.docker.runtime(), id.clone(), name, image, &labels);
                self.created.insert(id, (workload, None));
                news.expected = true;
            }
            ("container", "die" | "died") => {
                news.dying.push(id);
                news.containers = true;
            }
            // Docker's action is `destroy`, Podman's is `remove`.
            ("container", "destroy" | "remove") => {
                if let Some((_, end)) = self.created.get_mut(&id) {
                    end.get_or_insert(Instant::now() + KEPT);
                }
                self.forget(|(container, _)| *container == id);
                news.containers = true;
            }
            ("container", "rename") => {
                if let Some(name) = attributes.get("name") {
                    self.rename(&id, name);
                    news.expected = true;
                }
                news.containers = true;
            }
            // These change nothing here.
            ("container", action) if is_of_no_interest(action) => {}
            (_, action) => {
                news.containers = true;
                // Podman makes a container's interfaces before its process. Now the process exists, and the
                // container can be recognised by it.
                news.expected |= of_podman && matches!(action, "init" | "start");
            }
        }
    }

    /// Gives a container another name wherever it is known.
    fn rename(&mut self, id: &str, name: &str) {
        let created = self.created.get_mut(id).map(|(workload, _)| workload);
        let expected = self.expected.values_mut().map(|(expected, _)| &mut expected.workload);
        for workload in created.into_iter().chain(expected.filter(|workload| workload.id == id)) {
            name.clone_into(&mut workload.name);
        }
    }

    fn forget(&mut self, which: impl Fn(&(String, String)) -> bool) {
        let end = Instant::now() + KEPT;
        for (_, (_, kept)) in self.expected.iter_mut().filter(|(key, _)| which(key)) {
            kept.get_or_insert(end);
        }
    }

    fn take_network(&mut self, id: &str, answer: Result<Value, Trouble>) {
        match answer {
            Ok(network) => {
                self.caller.note_refused(NETWORK, None);
                let damage = Damage::default();
                self.record_network(id, Object::new(&network, &damage));
                self.caller.note_damage(NETWORK, &damage);
            }
            Err(Trouble::Refused { status, .. }) => self.caller.note_refused(NETWORK, Some(status)),
            // The network was removed meanwhile, or the engine failed: the list of containers gives the
            // names a little later.
            Err(trouble) => {
                let error = self.docker.error(trouble);
                tracing::debug!(network = id, %error, "a network could not be asked for its containers");
            }
        }
    }

    fn record_network(&mut self, id: &str, network: Object<'_>) {
        let (bridge, name) = (bridge_of(network), network.text("Name"));
        let containers = network.objects("Containers");
        let address = |endpoint: &Object<'_>| Mac::parse(&endpoint.text("MacAddress"));
        // An engine reuses an address as soon as it is free: the address no longer belongs to its earlier
        // container.
        let given: HashMap<Mac, &str> = containers
            .iter()
            .filter_map(|(container, endpoint)| Some((address(endpoint)?, *container)))
            .collect();
        self.expected.retain(|(other, network), (earlier, _)| {
            network != id || given.get(&earlier.address).is_none_or(|container| *container == other)
        });
        for (container, endpoint) in &containers {
            let Some(address) = address(endpoint) else { continue };
            let known = self.created.get(*container).map(|(workload, _)| workload.clone());
            let workload = known.unwrap_or_else(|| {
                let (name, container) = (endpoint.text("Name"), (*container).to_owned());
                workload(self.docker.runtime(), container, name, String::new(), &HashMap::new())
            });
            let expected = Expected { workload, network: name.clone(), address, bridge };
            self.expected.insert(((*container).to_owned(), id.to_owned()), (expected, None));
        }
    }
}

/// Returns what an event reports about the life of a container. Its attributes are the name, the image and
/// the labels of the container, and those of the event.
fn life_change(
    runtime: Runtime,
    action: &str,
    id: &str,
    attributes: &HashMap<String, String>,
) -> Option<LifeChange> {
    let action = match action {
        "start" => LifeAction::Started,
        // Docker reports any signal that a user sends; one that reloads a configuration is no request to end.
        // A container that a signal of its own (STOPSIGNAL) has stopped has the event `stop` besides.
        "kill" if !attributes.get("signal").is_none_or(|signal| ends_a_process(signal)) => return None,
        "kill" | "stop" => LifeAction::StopRequested,
        "die" | "died" => {
            // Podman has names of its own.
            let code = ["exitCode", "containerExitCode"].iter().find_map(|name| attributes.get(*name));
            LifeAction::Ended { exit_code: code.and_then(|code| code.parse().ok()) }
        }
        "destroy" | "remove" => LifeAction::Removed,
        _ => return None,
    };
    let name = attributes.get("name").filter(|name| !name.is_empty());
    let name = name.cloned().unwrap_or_else(|| short(id));
    if id.is_empty() || runtime == Runtime::Podman && podman::is_infra(&name) {
        return None;
    }
    let image = attributes.get("image").cloned().unwrap_or_default();
    Some(LifeChange { workload: workload(runtime, id.to_owned(), name, image, attributes), action })
}

/// Returns true for the number of a signal that ends a process: SIGINT, SIGQUIT, SIGKILL, SIGTERM.
fn ends_a_process(signal: &str) -> bool {
    matches!(signal, "2" | "3" | "9" | "15")
}

/// Returns true for a container's event after which the same containers run on the same networks.
fn is_of_no_interest(action: &str) -> bool {
    const NAMES: [&str; 18] = [
        "archive-path",
        "attach",
        "checkpoint",
        "cleanup",
        "commit",
        "copy",
        "detach",
        "export",
        "extract-to-dir",
        "kill",
        "mount",
        "oom",
        "resize",
        "stop",
        "sync",
        "top",
        "unmount",
        "update",
    ];
    // These two have more after their names.
    action.starts_with("exec") || action.starts_with("health_") || NAMES.contains(&action)
}

/// Returns the next bytes of a stream; `None` at its end.
async fn next(events: &mut Incoming) -> Option<Bytes> {
    loop {
        match events.frame().await {
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Some(bytes);
                }
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "the stream of events ended");
                return None;
            }
            None => return None,
        }
    }
}
