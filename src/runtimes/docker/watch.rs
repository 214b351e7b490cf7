//! The engine's events, and what follows from them before a container has its interface.
//!
//! A container is connected to its networks some 200 ms before its interface is moved in, and from then on
//! the network tells its name and the MAC address that the interface will have. Inspecting the container
//! would wait for a lock that is held until it has started, which for a short one is too late.

use super::containers::{bridge_of, workload};
use super::transport::Limit;
use super::{Docker, Error, Place, Trouble};
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

/// What was expected is kept for so long after the engine says that it is over: links are read later than
/// it tells.
const KEPT: Duration = Duration::from_secs(10);

/// For one network's containers.
const DEADLINE: Duration = Duration::from_secs(1);

/// So many bytes may come without an event in them: an event has one or two thousand, and what is no event
/// yet is looked at again with each piece that comes.
const LIMIT: u64 = 1 << 20;

/// Events that are taken together, if they are there.
const AT_A_TIME: usize = 256;

type Events = Pin<Box<dyn Stream<Item = Result<EventMessage, bollard::errors::Error>> + Send>>;

/// Follows the events of one engine.
pub struct Watch {
    docker: Docker,
    engine: bollard::Docker,
    events: Events,
    /// What may come until the next event.
    left: Arc<AtomicU64>,
    /// By the container's id: what its creation told; with the time when it is forgotten.
    created: HashMap<String, (Workload, Option<Instant>)>,
    /// By the ids of container and network; with the time when it is forgotten.
    expected: HashMap<(String, String), (Expected, Option<Instant>)>,
}

/// What some events mean together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// [`Watch::expected`] or [`Watch::containers`] may be another, or mean more than it did.
    pub expected: bool,
    /// The list of containers may be.
    pub containers: bool,
    /// The ids of containers whose first process has ended.
    pub dying: Vec<String>,
    /// Those to which containers were connected: see [`Watch::learn`].
    networks: BTreeSet<String>,
}

impl Watch {
    /// Connects to the engine and begins to listen.
    ///
    /// # Errors
    /// If the engine cannot be asked.
    pub async fn begin(place: Place) -> Result<Watch, Error> {
        let docker = Docker::new(place);
        let engine = match timeout(DEADLINE, docker.connect()).await {
            Ok(Ok(engine)) => engine,
            Ok(Err(Trouble::OtherKind)) => return Err(docker.other_kind()),
            Ok(Err(Trouble::Of(error))) => return Err(docker.classify(error)),
            Err(_) => return Err(Error::TooSlow { host: docker.host, deadline: DEADLINE }),
        };
        let kinds = vec!["container".to_owned(), "network".to_owned()];
        let options = EventsOptions {
            filters: Some(HashMap::from([("type".to_owned(), kinds)])),
            ..EventsOptions::default()
        };
        let left = Arc::new(AtomicU64::new(LIMIT));
        let listener = docker.listener(&engine, Limit::UntilNext(Arc::clone(&left)))?;
        let events = Box::pin(listener.events(Some(options)));
        Ok(Watch { docker, engine, events, left, created: HashMap::new(), expected: HashMap::new() })
    }

    /// Waits for events. `None` when the engine has ended the stream.
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
                Ok(event) => self.take(event, &mut networks, &mut news),
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

    /// Asks what these news make necessary.
    pub async fn learn(&mut self, news: &mut News) {
        for network in std::mem::take(&mut news.networks) {
            self.ask(&network).await;
            news.expected = true;
        }
    }

    /// Who is about to have an interface with which address.
    pub fn expected(&self) -> Vec<Expected> {
        let mut expected: Vec<Expected> =
            self.expected.values().map(|(expected, _)| expected.clone()).collect();
        expected.sort();
        expected
    }

    /// The containers that were seen to be created or connected to a network and that exist, or have until
    /// a moment ago.
    pub fn containers(&self) -> Vec<Workload> {
        let connected = self.expected.values().map(|(expected, _)| &expected.workload);
        let mut containers: Vec<Workload> =
            self.created.values().map(|(workload, _)| workload).chain(connected).cloned().collect();
        containers.sort();
        containers.dedup_by(|a, b| a.id == b.id);
        containers
    }

    fn take(&mut self, event: EventMessage, networks: &mut BTreeSet<String>, news: &mut News) {
        let Some(actor) = event.actor else { return };
        let (id, attributes) = (actor.id.unwrap_or_default(), actor.attributes.unwrap_or_default());
        let container = attributes.get("container").cloned().unwrap_or_default();
        match (event.typ, event.action.as_deref().unwrap_or_default()) {
            (Some(EventMessageTypeEnum::NETWORK), "connect") => {
                networks.insert(id);
                // Podman's list tells it, and nothing else does.
                news.containers |= self.docker.runtime() == Runtime::Podman;
            }
            (Some(EventMessageTypeEnum::NETWORK), "disconnect") => {
                self.forget(|key| *key == (container.clone(), id.clone()))
            }
            (Some(EventMessageTypeEnum::CONTAINER), "create") => {
                // What is left are its labels.
                let mut labels = attributes;
                let mut told = |name| labels.remove(name).unwrap_or_default();
                let (name, image) = (told("name"), told("image"));
                let workload = workload(self.docker.runtime(), id.clone(), name, image, &labels);
                self.created.insert(id, (workload, None));
                news.expected = true;
            }
            (Some(EventMessageTypeEnum::CONTAINER), "die" | "died") => {
                news.dying.push(id);
                news.containers = true;
            }
            // Podman's word is the second.
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
            // Whatever an exec or a health check does changes nothing here.
            (Some(EventMessageTypeEnum::CONTAINER), action)
                if action.starts_with("exec") || action.starts_with("health_") => {}
            (_, action) => {
                news.containers = true;
                // Podman makes a container's interfaces first: now there is a process, too, by which it can
                // be known.
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

    /// Asks a network for its containers.
    async fn ask(&mut self, id: &str) {
        let asked = self.engine.inspect_network(id, None::<InspectNetworkOptions>);
        match timeout(DEADLINE, asked).await {
            Ok(Ok(network)) => self.note(id, network),
            // It was removed meanwhile, or is in trouble: the list of containers tells their names a little
            // later.
            Ok(Err(error)) => {
                let error = self.docker.classify(error);
                tracing::debug!(network = id, %error, "a network could not be asked for its containers");
            }
            Err(_) => tracing::debug!(network = id, "a network did not tell its containers in time"),
        }
    }

    fn note(&mut self, id: &str, network: NetworkInspect) {
        let bridge = bridge_of(network.options.as_ref(), network.driver.as_deref(), network.id.as_deref());
        let name = network.name.unwrap_or_default();
        let containers = network.containers.unwrap_or_default();
        // An engine gives an address again as soon as it is free: it is no longer that of whoever had it
        // before.
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
