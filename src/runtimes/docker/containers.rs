//! Conversion of the engine's answers into claims, without I/O.

use crate::model::link::{Mac, Name};
use crate::model::workload::{Claim, Endpoint, Locator, Network, Runtime, RuntimeNetns, Started, Workload};
use crate::runtimes::named;
use bollard::models::{ContainerInspectResponse, ContainerSummary, EndpointSettings};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};

/// An entry of the list of containers: the fields that may change without a restart, and those that reveal
/// a restart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ListedContainer {
    pub(super) workload: Workload,
    pub(super) attachments: Attachments,
}

/// The network id, endpoint id and MAC address of each attachment, by the network's name. The engine makes
/// a new endpoint id at every start, also for the network `none`, and this id is the only mark of a restart
/// in the list. Pausing and renaming keep the endpoint id, as they keep the pid.
pub(super) type Attachments = BTreeMap<String, [String; 3]>;

/// The facts that only the inspection of a container gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Inspected {
    pid: u32,
    netns: Netns,
    endpoints: Vec<Endpoint>,
    /// The file on which the engine mounts the container's namespace (SandboxKey).
    sandbox: Option<PathBuf>,
    started: Started,
}

/// The origin of a container's network namespace.
#[derive(Clone, Debug, PartialEq)]
enum Netns {
    Own,
    Host,
    /// The namespace is shared with the container with this id, beginning of an id, or name.
    Of(String),
}

impl ListedContainer {
    /// Converts an entry of the list. Returns `None` for an entry without an id: it cannot be inspected.
    pub(super) fn read(entry: ContainerSummary) -> Option<ListedContainer> {
        let id = entry.id.filter(|id| !id.is_empty())?;
        let name =
            own_name(&entry.names.unwrap_or_default()).unwrap_or_else(|| id.chars().take(12).collect());
        let labels = entry.labels.unwrap_or_default();
        let workload = workload(Runtime::Docker, id, name, entry.image.unwrap_or_default(), &labels);
        let networks = entry.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        let attachments = networks.into_iter().map(|(name, endpoint)| (name, marks(endpoint))).collect();
        Some(ListedContainer { workload, attachments })
    }
}

/// Returns a container as a workload, from the labels of Compose, Swarm and Kubernetes. The container that
/// holds a pod's namespaces stands for the pod.
pub(super) fn workload(
    runtime: Runtime,
    id: String,
    name: String,
    image: String,
    labels: &HashMap<String, String>,
) -> Workload {
    let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
    let pod = label("io.kubernetes.pod.name");
    let of_pod =
        Some(label("io.kubernetes.container.name")).filter(|name| !pod.is_empty() && !name.is_empty());
    let is_sandbox = !pod.is_empty() && label("io.kubernetes.docker.type") == "podsandbox";
    let name = match of_pod {
        _ if is_sandbox => String::new(),
        Some(of_pod) => of_pod,
        None => task(labels).map_or(name, str::to_owned),
    };
    Workload {
        runtime,
        name,
        namespace: if pod.is_empty() { pod.clone() } else { label("io.kubernetes.pod.namespace") },
        pod,
        id,
        image,
        compose_project: label("com.docker.compose.project"),
        compose_service: label("com.docker.compose.service"),
        labels: labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        swarm: BTreeMap::new(),
    }
}

/// Returns the name that a Swarm task has as long as its service has that slot: `service.slot`, and
/// `service.node` where the service is global. The task's own name, `service.slot.task`, changes with each
/// restart.
fn task(labels: &HashMap<String, String>) -> Option<&str> {
    let label = |name: &str| Some(labels.get(name)?.as_str()).filter(|text| !text.is_empty());
    let name = label("com.docker.swarm.task.name")?.strip_suffix(label("com.docker.swarm.task.id")?)?;
    let slot = name.strip_prefix(label("com.docker.swarm.service.name")?)?;
    let slot = slot.strip_prefix('.')?.strip_suffix('.')?;
    (!slot.is_empty()).then(|| name.trim_end_matches('.'))
}

/// Returns the container's own name. A legacy link gives its target further names, `/other/alias`: the own
/// name has no second slash.
fn own_name(names: &[String]) -> Option<String> {
    let mut bare = names.iter().filter_map(|name| name.strip_prefix('/'));
    bare.find(|name| !name.is_empty() && !name.contains('/')).map(str::to_owned)
}

fn marks(endpoint: EndpointSettings) -> [String; 3] {
    [endpoint.network_id, endpoint.endpoint_id, endpoint.mac_address].map(Option::unwrap_or_default)
}

impl Inspected {
    /// Reads an inspection. Returns `None` while the container has no process: it is about to start, or has
    /// just ended.
    pub(super) fn read(answer: ContainerInspectResponse) -> Option<Inspected> {
        let state = answer.state?;
        let started = Started::parse(state.started_at.as_deref().unwrap_or_default());
        let pid = state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|&pid| pid != 0)?;
        // The list cannot be used for this: Podman's list always says `host`.
        let mode = answer.host_config.and_then(|host| host.network_mode).unwrap_or_default();
        let netns = match mode.strip_prefix("container:") {
            Some(owner) => Netns::Of(owner.to_owned()),
            None if mode == "host" => Netns::Host,
            None => Netns::Own,
        };
        let settings = answer.network_settings.unwrap_or_default();
        let sandbox = settings.sandbox_key.filter(|path| !path.is_empty()).map(|path| {
            // The exporter's own container may have no link from /var/run to /run.
            PathBuf::from(path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(&path))
        });
        let networks = settings.networks.unwrap_or_default();
        let mut endpoints: Vec<Endpoint> = networks
            .into_iter()
            .filter(|(network, _)| network != "none")
            .map(|(network, endpoint)| Endpoint {
                network,
                address: endpoint.mac_address.as_deref().and_then(Mac::parse),
            })
            .collect();
        endpoints.sort();
        Some(Inspected { pid, netns, endpoints, sandbox, started })
    }

    /// Returns true if the inspection stays valid as long as the list has the same `attachments`. Without
    /// an endpoint id a restart would go unnoticed. A container without a namespace of its own needs no
    /// endpoint id, as its pid is not used.
    pub(super) fn holds_for(&self, attachments: &Attachments) -> bool {
        self.netns != Netns::Own || attachments.values().any(|[_, endpoint, _]| !endpoint.is_empty())
    }
}

/// A container as the answer to a user's query for its veth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub name: String,
    pub id: String,
    /// The engine's name of the state: `running`, `exited` ...
    pub state: String,
    pub attachment: Attachment,
}

/// The way in which a container reaches the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// The container uses the host's own interfaces.
    Host,
    None,
    /// The container shares the namespace of the container with this id or name.
    MemberOf(String),
    /// The container is on these networks: name and driver of each.
    Networks(Vec<(String, String)>),
}

impl Seen {
    /// Returns the drivers of the container's networks.
    pub fn drivers(&self) -> impl Iterator<Item = &str> {
        let networks = match &self.attachment {
            Attachment::Networks(networks) => networks.as_slice(),
            _ => &[],
        };
        networks.iter().map(|(_, driver)| driver.as_str())
    }

    pub(super) fn read(
        answer: ContainerInspectResponse,
        networks: &[bollard::models::Network],
    ) -> Option<Seen> {
        let name = answer.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned();
        let mode = answer.host_config.and_then(|host| host.network_mode).unwrap_or_default();
        let driver_of = |name: &str| {
            let network = networks.iter().find(|network| network.name.as_deref() == Some(name));
            network.and_then(|network| network.driver.clone()).unwrap_or_default()
        };
        let attachment = match (mode.as_str(), mode.strip_prefix("container:")) {
            ("host", _) => Attachment::Host,
            ("none", _) => Attachment::None,
            (_, Some(owner)) => Attachment::MemberOf(owner.to_owned()),
            _ => {
                let attached =
                    answer.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
                let mut attached: Vec<(String, String)> =
                    attached.into_keys().map(|name| (driver_of(&name), name)).map(|(d, n)| (n, d)).collect();
                attached.sort();
                Attachment::Networks(attached)
            }
        };
        let state =
            answer.state.and_then(|state| state.status).map(|status| status.to_string()).unwrap_or_default();
        Some(Seen { name, id: answer.id?, state, attachment })
    }
}

/// Returns the claims of all containers that are listed and inspected, sorted.
pub(super) fn claims<'a>(containers: impl Iterator<Item = (&'a Workload, &'a Inspected)>) -> Vec<Claim> {
    let known = Known::new(containers);
    let owners = known.owners();
    let mut claims: HashMap<&str, Claim> = HashMap::new();
    for (id, &(workload, inspected)) in &known.by_id {
        let Some((owner, lives)) = owners.get(id).copied().flatten() else { continue };
        let claim = claims.entry(&owner.id).or_insert_with(|| Claim {
            owner: owner.clone(),
            locator: Locator::Pid(lives.pid),
            endpoints: lives.endpoints.clone(),
            members: Vec::new(),
            started: lives.started.clone(),
        });
        if inspected.netns != Netns::Own {
            claim.members.push(workload.clone());
        }
    }
    let mut claims: Vec<Claim> = claims.into_values().collect();
    claims.iter_mut().for_each(|claim| claim.members.sort());
    claims.sort();
    claims
}

type InspectedWorkload<'a> = (&'a Workload, &'a Inspected);

/// An index of all containers that resolves references between them.
struct Known<'a> {
    by_id: BTreeMap<&'a str, InspectedWorkload<'a>>,
    by_name: HashMap<&'a str, InspectedWorkload<'a>>,
}

impl<'a> Known<'a> {
    fn new(containers: impl Iterator<Item = InspectedWorkload<'a>>) -> Known<'a> {
        let by_id: BTreeMap<_, _> =
            containers.map(|container| (container.0.id.as_str(), container)).collect();
        let by_name = by_id.values().map(|&container| (container.0.name.as_str(), container)).collect();
        Known { by_id, by_name }
    }

    /// Finds a container by its id, by its name, or by the beginning of its id if only one id begins so:
    /// the engine's own order.
    fn find(&self, reference: &str) -> Option<InspectedWorkload<'a>> {
        let begun = || {
            let from = (Bound::Included(reference), Bound::Unbounded);
            let mut found = self.by_id.range::<str, _>(from).take_while(|(id, _)| id.starts_with(reference));
            found.next().filter(|_| found.next().is_none()).map(|(_, container)| container)
        };
        self.by_id.get(reference).or_else(|| self.by_name.get(reference)).or_else(begun).copied()
    }

    /// Returns, by container id, the container that the namespace was made for. References of the form
    /// `container:` are followed: the engine lets a container share the namespace of a container that
    /// shares another's. The result is `None` if the namespace is the host's, if its owner is not running,
    /// or if the references form a circle.
    fn owners(&self) -> HashMap<&'a str, Option<InspectedWorkload<'a>>> {
        let mut owners: HashMap<&str, Option<InspectedWorkload<'a>>> = HashMap::new();
        for &id in self.by_id.keys() {
            let (mut followed, mut next) = (Vec::new(), self.by_id.get(id).copied());
            let owner = loop {
                let Some((workload, inspected)) = next else { break None };
                if let Some(&owner) = owners.get(workload.id.as_str()) {
                    break owner;
                }
                // A container that is reached a second time is in a circle.
                owners.insert(&workload.id, None);
                followed.push(workload.id.as_str());
                next = match &inspected.netns {
                    Netns::Own => break next,
                    Netns::Host => None,
                    Netns::Of(reference) => self.find(reference),
                };
            };
            owners.extend(followed.into_iter().map(|id| (id, owner)));
        }
        owners
    }
}

/// Returns the engine's own namespaces, as far as its folder can be read: those of overlay networks, of the
/// swarm's ingress and of its load balancers. The file `default` is the host's namespace.
pub(super) fn own<'a>(containers: impl Iterator<Item = &'a Inspected>) -> Vec<RuntimeNetns> {
    let sandboxes: HashSet<&Path> = containers.filter_map(|container| container.sandbox.as_deref()).collect();
    let folders: BTreeSet<&Path> = sandboxes.iter().filter_map(|sandbox| sandbox.parent()).collect();
    let files = folders.into_iter().flat_map(|folder| named::files(folder).unwrap_or_default());
    let own = files.filter(|(name, path)| name != "default" && !sandboxes.contains(path.as_path()));
    own.map(|(name, path)| RuntimeNetns { name, locator: Locator::Path(path.into()) }).collect()
}

/// Returns the networks that can have a veth, sorted.
pub(super) fn networks(listed: Vec<bollard::models::Network>) -> Vec<Network> {
    let mut networks: Vec<Network> = listed
        .into_iter()
        .filter(|network| !matches!(network.driver.as_deref(), Some("host" | "null")))
        .filter_map(|network| {
            let bridge =
                bridge_of(network.options.as_ref(), network.driver.as_deref(), network.id.as_deref());
            Some(Network { name: network.name?, bridge })
        })
        .collect();
    networks.sort();
    networks
}

/// Returns the host's bridge of a network with these options, driver and id.
pub(super) fn bridge_of(
    options: Option<&HashMap<String, String>>,
    driver: Option<&str>,
    id: Option<&str>,
) -> Option<Name> {
    match options.and_then(|options| options.get("com.docker.network.bridge.name")) {
        Some(name) => Name::from_bytes(name.as_bytes()),
        // The engine's bridge driver derives the name like this if the user chose none.
        None if driver == Some("bridge") => Name::from_bytes(format!("br-{}", id?.get(..12)?).as_bytes()),
        None => None,
    }
}
