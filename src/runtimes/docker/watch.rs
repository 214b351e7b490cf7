//! The engine's events, and what they announce before a container has its interface.
//!
//! A container is connected to its networks some 200 ms before Docker moves its interface into its
//! namespace. From then on the network's inspection has the container's name and the MAC address that the
//! interface will have. An inspection of the container would wait for a lock that is held until the
//! container has started, which is too late for a short-lived one. Podman makes the interfaces before the
//! process, and reports a container when it starts.

use super::containers::{bridge_of, workload};
use super::transport::Limit;
use super::{Docker, EngineAddress, Error, Trouble};
use crate::model::link::Mac;
use crate::model::workload::{Expected, Runtime, Workload};
use bollard::models::{EventMessage, EventMessageTypeEnum, NetworkInspect};
use bollard::query_parameters::{EventsOptions, InspectNetworkOptions};
use futures_util::{FutureExt, Stream, StreamExt};
use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The time for which an expected interface is kept after the engine reports its end: links are read later
/// than the engine's events.
const KEPT: Duration = Duration::from_secs(10);

/// The time limit of one network's inspection.
const DEADLINE: Duration = Duration::from_secs(1);

/// The bytes that may arrive without a complete event. An event has one or two thousand bytes, and an
/// incomplete event is parsed anew with each piece that arrives.
const LIMIT: u64 = 1 << 20;

/// The most events that are handled together, if they have already arrived.
const AT_A_TIME: usize = 256;

type EngineEvents = Pin<Box<dyn Stream<Item = Result<EventMessage, bollard::errors::Error>> + Send>>;

/// A follower of the events of one engine.
pub struct DockerWatch {
    docker: Docker,
    engine: bollard::Docker,
    events: EngineEvents,
    /// The bytes that may arrive until the next event.
    left: Arc<AtomicU64>,
    /// Workloads from `create` events, by the container's id, each with the time when it is forgotten.
    created: HashMap<String, (Workload, Option<Instant>)>,
    /// Expected interfaces, by the ids of container and network, each with the time when it is forgotten.
    expected: HashMap<(String, String), (Expected, Option<Instant>)>,
}

/// The joint effect of some events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// True if the result of [`DockerWatch::expected`] or [`DockerWatch::containers`] may have changed, or
    /// may have got more meaning.
    pub expected: bool,
    /// True if the list of containers may have changed.
    pub containers: bool,
    /// The ids of containers with a first process that has ended.
    pub dying: Vec<String>,
    /// The ids of networks that containers were connected to: see [`DockerWatch::learn`].
    networks: BTreeSet<String>,
}

impl DockerWatch {
    /// Connects to the engine and subscribes to its events.
    ///
    /// # Errors
    /// If the engine cannot be asked.
    pub async fn begin(address: EngineAddress) -> Result<DockerWatch, Error> {
        let docker = Docker::new(address);
        let engine = match timeout(DEADLINE, docker.connect()).await {
            Ok(Ok(engine)) => engine,
            Ok(Err(Trouble::OtherKind)) => return Err(docker.other_kind()),
            Ok(Err(Trouble::Of(error))) => return Err(docker.classify(error)),
            Err(_) => return Err(docker.too_slow(DEADLINE)),
        };
        let kinds = vec!["container".to_owned(), "network".to_owned()];
        let options = EventsOptions {
            filters: Some(HashMap::from([("type".to_owned(), kinds)])),
            ..EventsOptions::default()
        };
        let left = Arc::new(AtomicU64::new(LIMIT));
        let listener = docker.listener(&engine, Limit::UntilNext(Arc::clone(&left)))?;
        let events = Box::pin(listener.events(Some(options)));
        Ok(DockerWatch { docker, engine, events, left, created: HashMap::new(), expected: HashMap::new() })
    }

    /// Waits for events; returns `None` when the engine has ended the stream.
    pub async fn news(&mut self) -> Option<News> {
        let mut events = vec![self.events.next().await?];
        while events.len() < AT_A_TIME
            && let Some(Some(event)) = self.events.next().now_or_never()
        {
            events.push(event);
        }
        self.left.store(LIMIT, Ordering::Relaxed);
        let mut news = News::default();
        let mut networks = BTreeSet::new();
        for event in events {
            match event {
                Ok(event) => self.handle_event(event, &mut networks, &mut news),
                Err(error) => {
                    let error = self.docker.classify(error);
                    tracing::debug!(%error, "the stream of Docker's events ended");
                    return None;
                }
            }
        }
        news.networks = networks;
        let now = Instant::now();
        self.expected.retain(|_, (_, end)| end.is_none_or(|end| now < end));
        self.created.retain(|_, (_, end)| end.is_none_or(|end| now < end));
        Some(news)
    }

    /// Inspects the networks to which containers were connected.
    pub async fn learn(&mut self, news: &mut News) {
        for network in std::mem::take(&mut news.networks) {
            self.inspect_network(&network).await;
            news.expected = true;
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

    fn handle_event(&mut self, event: EventMessage, networks: &mut BTreeSet<String>, news: &mut News) {
        let Some(actor) = event.actor else { return };
        let (id, attributes) = (actor.id.unwrap_or_default(), actor.attributes.unwrap_or_default());
        let container = attributes.get("container").cloned().unwrap_or_default();
        match (event.typ, event.action.as_deref().unwrap_or_default()) {
            (Some(EventMessageTypeEnum::NETWORK), "connect") => {
                networks.insert(id);
                // Podman's list of containers has this connection, and no other answer has it.
                news.containers |= self.docker.runtime() == Runtime::Podman;
            }
            (Some(EventMessageTypeEnum::NETWORK), "disconnect") => {
                self.forget(|key| *key == (container.clone(), id.clone()))
            }
            (Some(EventMessageTypeEnum::CONTAINER), "create") => {
                // The attributes without name and image are the container's labels.
                let mut labels = attributes;
                let mut take_attribute = |name| labels.remove(name).unwrap_or_default();
                let (name, image) = (take_attribute("name"), take_attribute("image"));
                let workload = workload(self.docker.runtime(), id.clone(), name, image, &labels);
                self.created.insert(id, (workload, None));
                news.expected = true;
            }
            (Some(EventMessageTypeEnum::CONTAINER), "die" | "died") => {
                news.dying.push(id);
                news.containers = true;
            }
            // Docker's action is `destroy`, Podman's is `remove`.
            (Some(EventMessageTypeEnum::CONTAINER), "destroy" | "remove") => {
                if let Some((_, end)) = self.created.get_mut(&id) {
                    end.get_or_insert(Instant::now() + KEPT);
                }
                self.forget(|(container, _)| *container == id);
                news.containers = true;
            }
            (Some(EventMessageTypeEnum::CONTAINER), "rename") => {
                if let (Some((workload, _)), Some(name)) = (self.created.get_mut(&id), attributes.get("name"))
                {
                    workload.name.clone_from(name);
                }
                news.containers = true;
            }
            // An exec or a health check changes nothing here.
            (Some(EventMessageTypeEnum::CONTAINER), action)
                if action.starts_with("exec") || action.starts_with("health_") => {}
            (_, action) => {
                news.containers = true;
                // Podman makes a container's interfaces before its process. Now the process exists, and the
                // container can be recognised by it.
                news.expected |=
                    self.docker.runtime() == Runtime::Podman && matches!(action, "init" | "start");
            }
        }
    }

    fn forget(&mut self, which: impl Fn(&(String, String)) -> bool) {
        let end = Instant::now() + KEPT;
        for (_, (_, kept)) in self.expected.iter_mut().filter(|(key, _)| which(key)) {
            kept.get_or_insert(end);
        }
    }

    /// Inspects a network for its containers.
    async fn inspect_network(&mut self, id: &str) {
        let asked = self.engine.inspect_network(id, None::<InspectNetworkOptions>);
        match timeout(DEADLINE, asked).await {
            Ok(Ok(network)) => self.record_network(id, network),
            // The network was removed meanwhile, or the engine failed: the list of containers gives the
            // names a little later.
            Ok(Err(error)) => {
                let error = self.docker.classify(error);
                tracing::debug!(network = id, %error, "a network could not be asked for its containers");
            }
            Err(_) => tracing::debug!(network = id, "a network did not tell its containers in time"),
        }
    }

    fn record_network(&mut self, id: &str, network: NetworkInspect) {
        let bridge = bridge_of(network.options.as_ref(), network.driver.as_deref(), network.id.as_deref());
        let name = network.name.unwrap_or_default();
        let containers = network.containers.unwrap_or_default();
        // An engine reuses an address as soon as it is free: the address no longer belongs to its earlier
        // container.
        let given: HashMap<Mac, &String> = containers
            .iter()
            .filter_map(|(container, endpoint)| {
                Some((Mac::parse(endpoint.mac_address.as_deref()?)?, container))
            })
            .collect();
        self.expected.retain(|(other, network), (earlier, _)| {
            network != id || given.get(&earlier.address).is_none_or(|container| *container == other)
        });
        for (container, endpoint) in containers {
            let Some(address) = endpoint.mac_address.as_deref().and_then(Mac::parse) else { continue };
            let known = self.created.get(&container).map(|(workload, _)| workload.clone());
            let workload = known.unwrap_or_else(|| {
                let name = endpoint.name.unwrap_or_default();
                workload(self.docker.runtime(), container.clone(), name, String::new(), &HashMap::new())
            });
            let expected = Expected { workload, network: name.clone(), address, bridge };
            self.expected.insert((container, id.to_owned()), (expected, None));
        }
    }
}
