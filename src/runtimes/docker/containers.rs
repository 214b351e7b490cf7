//! Conversion of the engine's answers into claims, without I/O.

mod joined;
mod vethless;

use super::answers::Object;
use crate::model::link::Mac;
use crate::model::workload::{Claim, Endpoint, Locator, Runtime, RuntimeNetns, Started, Workload};
use crate::runtimes::named;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::ops::Bound;
use std::path::{Path, PathBuf};

pub(super) use joined::joined;
pub(super) use vethless::{restarting, vethless};

/// An entry of the list of containers: the fields that may change without a restart, and those that reveal
/// a restart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ListedContainer {
    pub(super) workload: Workload,
    pub(super) attachments: Attachments,
    /// The IPv4 address on each network, by the network's name.
    pub(super) given: Vec<(String, Ipv4Addr)>,
    /// `None` if the list does not tell it.
    pub(super) netns: Option<NetnsOrigin>,
    /// True if the engine is about to start the container again: it has no process.
    pub(super) restarting: bool,
}

/// The network id, endpoint id and MAC address of each attachment, by the network's name. The engine makes
/// a new endpoint id at every start, also for the network `none`, and this id is the only mark of a restart
/// in the list. Pausing and renaming keep the endpoint id, as they keep the pid.
pub(super) type Attachments = BTreeMap<String, [String; 3]>;

/// The facts that the inspection of a container gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Inspected {
    /// The container's first process; the container itself if its inspection is refused.
    locator: Locator,
    netns: NetnsOrigin,
    endpoints: Vec<Endpoint>,
    /// The IPv4 address on each network, by the network's name.
    pub(super) given: Vec<(String, Ipv4Addr)>,
    /// The file on which the engine mounts the container's namespace (SandboxKey).
    sandbox: Option<PathBuf>,
    started: Started,
    /// The image as the container was created from it: a list has the image's id once its name belongs to
    /// another image. Empty if the engine does not report it.
    image: String,
}

/// The origin of a container's network namespace.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NetnsOrigin {
    Own,
    Host,
    /// The namespace is shared with the container with this id, beginning of an id, or name.
    Of(String),
}

impl NetnsOrigin {
    /// Reads a network mode.
    fn read(mode: &str) -> NetnsOrigin {
        match mode.strip_prefix("container:") {
            Some(owner) => NetnsOrigin::Of(owner.to_owned()),
            None if mode == "host" => NetnsOrigin::Host,
            None => NetnsOrigin::Own,
        }
    }
}

impl ListedContainer {
    /// Converts an entry of the list. Returns `None` for an entry without an id: it cannot be inspected.
    pub(super) fn read(entry: Object<'_>) -> Option<ListedContainer> {
        let id = Some(entry.text("Id")).filter(|id| !id.is_empty())?;
        let name = own_name(&entry.texts("Names")).unwrap_or_else(|| short(&id));
        let workload = workload(Runtime::Docker, id, name, entry.text("Image"), &entry.text_map("Labels"));
        let networks = entry.object("NetworkSettings").objects("Networks");
        let given = given(&networks);
        let attachments =
            networks.into_iter().map(|(name, endpoint)| (name.to_owned(), marks(endpoint))).collect();
        // Some proxies leave the configuration out.
        let mode = entry.object("HostConfig").text("NetworkMode");
        let netns = Some(NetnsOrigin::read(&mode)).filter(|_| !mode.is_empty());
        let restarting = entry.text("State") == "restarting";
        Some(ListedContainer { workload, attachments, given, netns, restarting })
    }
}

/// Returns a container as a workload, from the labels of Compose, Swarm and Kubernetes. The container that
/// holds a Kubernetes pod's namespaces stands for the pod.
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
pub(super) fn own_name(names: &[String]) -> Option<String> {
    let mut bare = names.iter().filter_map(|name| name.strip_prefix('/'));
    bare.find(|name| !name.is_empty() && !name.contains('/')).map(str::to_owned)
}

/// Returns the beginning of an id that users know it by.
pub(super) fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

/// Returns the IPv4 address on each network. An engine takes the addresses of a container back when it stops.
fn given(networks: &[(&str, Object<'_>)]) -> Vec<(String, Ipv4Addr)> {
    let address = |endpoint: &Object<'_>| endpoint.text("IPAddress").parse().ok();
    let given = networks.iter().filter_map(|(name, endpoint)| Some(((*name).to_owned(), address(endpoint)?)));
    given.collect()
}

fn marks(endpoint: Object<'_>) -> [String; 3] {
    ["NetworkID", "EndpointID", "MacAddress"].map(|name| endpoint.text(name))
}

impl Inspected {
    /// Reads an inspection. Returns `None` while the container has no process: it is about to start, or has
    /// just ended.
    pub(super) fn read(answer: Object<'_>) -> Option<Inspected> {
        let state = answer.object("State");
        let started = Started::parse(&state.text("StartedAt"));
        let pid = state.number("Pid").and_then(|pid| u32::try_from(pid).ok()).filter(|&pid| pid != 0)?;
        let netns = NetnsOrigin::read(&answer.object("HostConfig").text("NetworkMode"));
        let settings = answer.object("NetworkSettings");
        let sandbox = Some(settings.text("SandboxKey")).filter(|path| !path.is_empty()).map(|path| {
            // The exporter's own container may have no link from /var/run to /run.
            PathBuf::from(path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(&path))
        });
        let networks = settings.objects("Networks");
        let given = given(&networks);
        let mut endpoints: Vec<Endpoint> = networks
            .into_iter()
            .filter(|(network, _)| *network != "none")
            .map(|(network, endpoint)| Endpoint {
                network: network.to_owned(),
                address: Mac::parse(&endpoint.text("MacAddress")),
                interface: String::new(),
            })
            .collect();
        endpoints.sort();
        let image = answer.object("Config").text("Image");
        Some(Inspected { locator: Locator::Pid(pid), netns, endpoints, given, sandbox, started, image })
    }

    /// Returns what the list tells of a container that may not be inspected: a cgroup with its id leads to
    /// its namespace. `None` if the list does not tell which namespace that is.
    pub(super) fn of_list(listed: &ListedContainer) -> Option<Inspected> {
        let attachments = listed.attachments.iter();
        let endpoints = attachments.filter(|(network, _)| !matches!(network.as_str(), "" | "none"));
        let endpoints = endpoints.map(|(network, [.., address])| Endpoint {
            network: network.clone(),
            address: Mac::parse(address),
            interface: String::new(),
        });
        Some(Inspected {
            locator: Locator::Container(listed.workload.id.as_str().into()),
            netns: listed.netns.clone()?,
            endpoints: endpoints.collect(),
            given: Vec::new(),
            sandbox: None,
            started: Started::default(),
            image: String::new(),
        })
    }

    /// Returns the workload with the image that it was created from.
    fn name_image(&self, workload: &Workload) -> Workload {
        let image = if self.image.is_empty() { &workload.image } else { &self.image };
        Workload { image: image.clone(), ..workload.clone() }
    }

    /// Returns true if the container was to share the namespace of the one with this id or name.
    pub(super) fn is_joined_to(&self, target: &Workload) -> bool {
        let of = |reference: &str| target.id.starts_with(reference) || target.name == reference;
        matches!(&self.netns, NetnsOrigin::Of(reference) if of(reference))
    }

    /// Returns true if both inspections are of one process.
    pub(super) fn is_same_process(&self, other: &Inspected) -> bool {
        self.locator == other.locator && self.started == other.started
    }

    /// Returns true if the inspection stays valid as long as the list has the same `attachments`. Without
    /// an endpoint id a restart would go unnoticed. A container without a namespace of its own needs no
    /// endpoint id, as its pid is not used.
    pub(super) fn holds_for(&self, attachments: &Attachments) -> bool {
        self.netns != NetnsOrigin::Own || attachments.values().any(|[_, endpoint, _]| !endpoint.is_empty())
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

    /// Reads an inspection; `drivers` has the driver of each network.
    pub(super) fn read(answer: Object<'_>, drivers: &HashMap<String, String>) -> Option<Seen> {
        let name = answer.text("Name").trim_start_matches('/').to_owned();
        let mode = answer.object("HostConfig").text("NetworkMode");
        let attachment = match (mode.as_str(), mode.strip_prefix("container:")) {
            ("host", _) => Attachment::Host,
            ("none", _) => Attachment::None,
            (_, Some(owner)) => Attachment::MemberOf(owner.to_owned()),
            _ => {
                let attached = answer.object("NetworkSettings").objects("Networks").into_iter();
                let driver = |name: &str| drivers.get(name).cloned().unwrap_or_default();
                let mut attached: Vec<(String, String)> =
                    attached.map(|(name, _)| (name.to_owned(), driver(name))).collect();
                attached.sort();
                Attachment::Networks(attached)
            }
        };
        let id = Some(answer.text("Id")).filter(|id| !id.is_empty())?;
        Some(Seen { name, id, state: answer.object("State").text("Status"), attachment })
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
            owner: lives.name_image(owner),
            locator: lives.locator.clone(),
            endpoints: lives.endpoints.clone(),
            members: Vec::new(),
            started: lives.started,
        });
        if inspected.netns != NetnsOrigin::Own {
            claim.members.push(inspected.name_image(workload));
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
        let named = by_id.values().filter(|container| !container.0.name.is_empty());
        let by_name = named.map(|&container| (container.0.name.as_str(), container)).collect();
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
                    NetnsOrigin::Own => break next,
                    NetnsOrigin::Host => None,
                    NetnsOrigin::Of(reference) => self.find(reference),
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
