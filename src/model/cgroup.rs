//! Cgroup paths: the containers and machines that a path goes through, and the name that it gives a process.
//!
//! A path is a name: its innermost container or machine names a network namespace where no engine does. The
//! owner of a container or machine chooses everything below the container's own cgroup. So a container is
//! called by its id, and a machine inside another one by the names of both.

use super::label;
use super::text::Readable;
use super::workload::{Runtime, Workload};
use std::borrow::Cow;

/// The number of an id's digits that engines show.
const SHORT_ID: usize = 12;

/// The length of a container's complete id.
const LONG_ID: usize = 64;

/// The units of engines: a process in one of them is the engine's own.
const ENGINE_UNITS: [&str; 8] = [
    "containerd.service",
    "crio.service",
    "docker.service",
    "k0scontroller.service",
    "k3s.service",
    "podman.service",
    "snap.docker.dockerd.service",
    "snap.microk8s.daemon-containerd.service",
];

/// The commands of engines' helpers, which prepare or watch over a container and are never the container.
const HELPERS: [&str; 7] =
    ["conmon", "conmonrs", "containerd-shim", "crun", "runc", "systemd-nspawn", "youki"];

/// A container or machine that a cgroup path goes through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CgroupLayer<'a> {
    pub runtime: Runtime,
    /// The name in its own engine: the first 12 digits of an id, or the name of a machine.
    pub name: String,
    /// The complete id; empty for a machine, and for a container without an id.
    pub id: &'a str,
    /// The part of the path that ends with the cgroup of the container or machine.
    pub cgroup: &'a str,
}

impl CgroupLayer<'_> {
    /// Returns true for the cgroup of a process that is inside the container or machine. systemd-nspawn as a
    /// unit is itself in a cgroup beside that of its machine: `supervisor`, beside `payload`.
    pub(crate) fn has_inside(&self, path: &str) -> bool {
        let Some(below) = path.strip_prefix(self.cgroup) else { return false };
        let is_supervisor =
            || self.runtime == Runtime::Nspawn && below.split('/').nth(1) == Some("supervisor");
        below.is_empty() || below.starts_with('/') && !is_supervisor()
    }
}

/// Returns the name of the last of these layers; empty if there is none. A machine's name inside another
/// layer is chosen there, so it begins with that one's name.
fn full_name(layers: &[CgroupLayer<'_>]) -> String {
    let begin = layers.iter().rposition(|layer| !layer.id.is_empty()).unwrap_or(0);
    let names: Vec<&str> = layers[begin..].iter().map(|layer| layer.name.as_str()).collect();
    label::bounded(&names.join("/"))
}

/// Returns the path of a process's cgroup from /proc/PID/cgroup, which has a line
/// `hierarchy:controllers:path` for each hierarchy (cgroups(7)); `None` if the process is in no group.
///
/// Engines use the unified hierarchy where it is in use. In a hybrid setup anything may make groups in the
/// others: of those a path counts that has a container or machine, and only then the deepest.
pub(crate) fn path(lines: &[u8]) -> Option<String> {
    let mut unified = None;
    let mut others: Vec<String> = Vec::new();
    for line in lines.split(|&b| b == b'\n') {
        let mut fields = line.splitn(3, |&b| b == b':');
        let (Some(hierarchy), Some(_), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let path = Readable(path).to_string();
        if !path.starts_with('/') || depth(&path) == 0 {
            continue;
        }
        match hierarchy {
            b"0" => unified = unified.or(Some(path)),
            _ => others.push(path),
        }
    }
    // An old runc leaves the container's process in the unified group of its engine.
    if let Some(path) = unified.take_if(|path| !is_of_engine(path)) {
        return Some(path);
    }
    if let Some(shaped) = others.iter().position(|path| !layers(path).is_empty()) {
        return Some(others.swap_remove(shaped));
    }
    // Of equally deep paths the first counts, in the kernel's order.
    unified.or_else(|| others.into_iter().rev().max_by_key(|path| depth(path)))
}

/// Returns the number of a path's parts.
fn depth(path: &str) -> usize {
    path.split('/').filter(|part| !part.is_empty()).count()
}

fn is_of_engine(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|unit| ENGINE_UNITS.contains(&unit))
}

/// Returns the containers and machines that a path goes through, the outermost first.
pub(crate) fn layers(path: &str) -> Vec<CgroupLayer<'_>> {
    let mut layers: Vec<CgroupLayer<'_>> = Vec::new();
    let mut end = 0;
    // The parts above and since the last container or machine.
    let mut above: Vec<&str> = Vec::new();
    for part in path.split_inclusive('/') {
        let begin = end;
        end += part.len();
        let part = part.trim_end_matches('/');
        if part.is_empty() {
            continue;
        }
        let last = path[end..].is_empty();
        if let Some((runtime, name, id)) = layer(part, &above, last) {
            let cgroup = &path[..begin + part.len()];
            layers.push(CgroupLayer { runtime, name, id, cgroup });
            above.clear();
        } else {
            above.push(part);
        }
    }
    layers
}

/// Returns the runtime, name and id of the container or machine that has a cgroup with this name, below
/// these parts; `last` is true for the last part of a path.
fn layer<'a>(part: &'a str, above: &[&str], last: bool) -> Option<(Runtime, String, &'a str)> {
    container(part, above)
        .map(|(runtime, id)| (runtime, short(id).to_owned(), id))
        .or_else(|| machine(part, above).map(|(runtime, name)| (runtime, name, "")))
        .or_else(|| without_id(part, above, last).map(|name| (Runtime::Process, name, "")))
}

/// Returns the runtime and the id of a container's cgroup.
fn container<'a>(part: &'a str, above: &[&str]) -> Option<(Runtime, &'a str)> {
    // The slice of a pod, the group of Podman's pod, and the monitor of a container have ids too.
    if part.ends_with(".slice") || part.contains("conmon-") {
        return None;
    }
    let id = id_in(part)?;
    let parent = above.last().copied().unwrap_or_default();
    if part.len() == LONG_ID && parent == "libpod_parent" {
        return None;
    }
    let mut words = part[..part.find(id)?].split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let engine = words.rfind(|word| !word.is_empty()).unwrap_or_default().trim_end_matches('-');
    let in_pod = || above.iter().any(|part| part.starts_with("kubepods") || part.contains("-kubepods"));
    let runtime = match engine {
        "docker" => Runtime::Docker,
        "libpod" | "libpod-payload" => Runtime::Podman,
        "cri-containerd" | "crio" => Runtime::Cri,
        _ if in_pod() || matches!(parent, "k8s.io" | "kata_overhead") => Runtime::Cri,
        // The usual parent of Docker's containers, and those that LinuxKit, GitHub's runner and ECS set. The
        // group beside the exporter's own (`/../ID`) is that of another container of the same engine.
        _ if matches!(parent, "docker" | "moby" | "actions_job" | "..") || above.contains(&"ecs") => {
            Runtime::Docker
        }
        // A container of an engine without a source of its own.
        _ => Runtime::Process,
    };
    Some((runtime, id))
}

/// Returns the runtime and the name of a machine's cgroup.
fn machine(part: &str, above: &[&str]) -> Option<(Runtime, String)> {
    let parent = above.last().copied().unwrap_or_default();
    if let Some(name) = part.strip_prefix("lxc.payload.").filter(|name| !name.is_empty()) {
        return Some((Runtime::Lxc, name.to_owned()));
    }
    if matches!(parent, "lxc" | "lxc.payload") {
        return Some((Runtime::Lxc, part.to_owned()));
    }
    let unit = ["systemd-nspawn@", "container@"].iter().find_map(|prefix| part.strip_prefix(prefix));
    if let Some(name) = unit.and_then(|unit| unit.strip_suffix(".service")) {
        return Some((Runtime::Nspawn, unescape(name)));
    }
    let name = part.strip_prefix("machine-").filter(|_| parent == "machine.slice")?;
    let name = unescape(name.strip_suffix(".scope")?);
    // libvirt registers its machines in the same slice: `qemu-ID-NAME` and `lxc-ID-NAME`.
    if name.starts_with("qemu-") {
        return None;
    }
    let numbered = name.strip_prefix("lxc-").and_then(|rest| rest.split_once('-'));
    Some(match numbered.filter(|(number, _)| number.bytes().all(|b| b.is_ascii_digit())) {
        Some((_, name)) => (Runtime::Lxc, name.to_owned()),
        None => (Runtime::Nspawn, name),
    })
}

/// Returns the name of a container without an id of 64 digits.
fn without_id(part: &str, above: &[&str], last: bool) -> Option<String> {
    let parent = above.last().copied().unwrap_or_default();
    let unit = part.strip_suffix(".scope").unwrap_or(part);
    match parent {
        // The steps of all builds are one workload: each has an id of its own, for seconds.
        "buildkit" => Some("buildkit".to_owned()),
        _ if part.starts_with("buildkit-") && part.ends_with(".scope") => Some("buildkit".to_owned()),
        // Cloud Foundry's container handle.
        "garden" => Some(part.to_owned()),
        // `ctr run` in the namespaces that containerd has by default.
        "default" | "k8s.io" if above.len() == 1 && last => Some(part.to_owned()),
        // Nomad's own drivers: ALLOCATION-TASK, or ALLOCATION.TASK.scope.
        "nomad" | "share.slice" | "reserve.slice" | "nomad.slice" => {
            let allocation = unit.get(..36).filter(|id| is_uuid(id))?;
            Some(format!("{}{}", &allocation[..8], &unit[36..]))
        }
        // A task of ECS on Fargate: TASK-NUMBER.
        _ if above.contains(&"ecs") => {
            let (task, number) = part.split_once('-')?;
            let is_task = task.len() == 32 && task.bytes().all(|b| b.is_ascii_hexdigit());
            (is_task && number.bytes().all(|b| b.is_ascii_digit())).then(|| part.to_owned())
        }
        _ => None,
    }
}

/// Returns the beginning of an id that engines show.
pub(crate) fn short(id: &str) -> &str {
    id.get(..SHORT_ID).unwrap_or(id)
}

/// Returns true for a name that is the beginning of an id, as containers have that no engine names.
pub(crate) fn is_short_id(name: &str) -> bool {
    name.len() == SHORT_ID && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the container's id in one part of a path, in the forms of engines: `ID`, `docker-ID.scope`.
fn id_in(part: &str) -> Option<&str> {
    let is_id = |word: &&str| word.len() == LONG_ID && word.bytes().all(|b| b.is_ascii_hexdigit());
    part.split(|c: char| !c.is_ascii_alphanumeric()).find(is_id)
}

/// Returns true for the text form of a UUID.
pub(crate) fn is_uuid(text: &str) -> bool {
    let groups =
        text.split('-').map(|group| group.bytes().all(|b| b.is_ascii_hexdigit()).then_some(group.len()));
    groups.eq([8, 4, 4, 4, 12].map(Some))
}

/// Returns the innermost container that a path goes through, if the path ends with the container's own
/// cgroup. A cgroup below that one is made by the container, but for crun's `container`.
pub(crate) fn own_container(path: &str) -> Option<CgroupLayer<'_>> {
    let layer = layers(path).pop().filter(|layer| !layer.id.is_empty())?;
    matches!(&path[layer.cgroup.len()..], "" | "/" | "/container").then_some(layer)
}

/// Returns the ids of the containers that a path goes through, the innermost first.
pub(crate) fn ids(path: &str) -> impl Iterator<Item = &str> {
    layers(path).into_iter().rev().map(|layer| layer.id).filter(|id| !id.is_empty())
}

/// Returns the workload of a process in a namespace that no engine names; `None` for a helper of an engine,
/// which is no workload. `first` is true if the namespace is that of the first process of the path's
/// innermost container or machine: only that one has the name.
pub(crate) fn workload(command: &[u8], path: &str, first: bool) -> Option<Workload> {
    let layers = layers(path);
    let innermost = layers.last();
    if let Some(layer) = innermost.filter(|_| first) {
        return Some(Workload {
            id: layer.id.to_owned(),
            ..Workload::named(layer.runtime, full_name(&layers))
        });
    }
    if is_helper(command) {
        return None;
    }
    // A container chooses the names of units, and a machine's administrator those of the machine.
    let trusted = layers.iter().all(|layer| layer.id.is_empty());
    let unit = path.rsplit('/').next().and_then(|part| part.strip_suffix(".service"));
    let name = unit.filter(|_| trusted && !is_of_engine(path));
    Some(Workload::named(Runtime::Process, name.map_or_else(|| Readable(command).to_string(), str::to_owned)))
}

/// Returns true for the command of an engine's helper: `runc:[2:INIT]` is runc in a new container.
pub(crate) fn is_helper(command: &[u8]) -> bool {
    let name = command.split(|&b| b == b':').next().unwrap_or_default();
    HELPERS.iter().any(|helper| helper.as_bytes() == name)
}

/// Returns the number of layers from the outermost to that of a workload, if one is the workload's own.
fn own_layer(layers: &[CgroupLayer<'_>], owner: &Workload) -> Option<usize> {
    let is_own = |own: &usize| {
        let layer = &layers[own - 1];
        let is_named = || layer.runtime == owner.runtime && full_name(&layers[..*own]) == owner.name;
        layer.id == owner.id && (!layer.id.is_empty() || is_named())
    };
    (1..=layers.len()).rev().find(is_own)
}

/// Returns the cgroup of a workload itself, if a process with this cgroup is in it: the process may have a
/// cgroup of its own below that one.
pub(crate) fn own_path<'a>(path: &'a str, owner: &Workload) -> &'a str {
    let layers = layers(path);
    own_layer(&layers, owner).map_or(path, |own| layers[own - 1].cgroup)
}

/// Returns the name of the container or machine around a workload with a process that has this cgroup; empty
/// if there is none.
pub(crate) fn parent(path: &str, owner: &Workload) -> String {
    let layers = layers(path);
    // A process without a name of its own is in all of the layers, and any other workload is the last one.
    let of_process = owner.runtime == Runtime::Process && owner.id.is_empty();
    let own = own_layer(&layers, owner).unwrap_or(layers.len() + usize::from(of_process));
    full_name(&layers[..own.saturating_sub(1)])
}

/// Returns the path of a workload's cgroup as the host has it, as far as that is known. Seen from a cgroup
/// namespace, the paths of others begin above its root, and lack the part that both have in common.
pub(crate) fn from_root<'a>(path: &'a str, owner: &Workload) -> Cow<'a, str> {
    let mut below = path;
    while let Some(rest) = below.strip_prefix("/..").filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        below = rest;
    }
    if below.len() == path.len() {
        Cow::Borrowed(path)
    } else if owner.runtime == Runtime::Docker && below.matches('/').count() == 1 {
        Cow::Owned(format!("/docker/{}", owner.id))
    } else {
        Cow::Borrowed(below)
    }
}

/// Undoes systemd's escapes in the name of a unit: `\x2d` is a hyphen (systemd.unit(5)). [`Readable`] has
/// doubled the backslash.
fn unescape(name: &str) -> String {
    let mut parts = name.split(r"\\x");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code =
            part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(u8::is_ascii_graphic);
        match code {
            Some(code) => {
                plain.push(char::from(code));
                plain.push_str(&part[2..]);
            }
            None => {
                plain.push_str(r"\\x");
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests;
