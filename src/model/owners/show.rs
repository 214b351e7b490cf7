//! Labels, roles and names of pairs and ends, derived from their owners.

use super::{Owner, Owners};
use crate::model::cgroup::is_uuid;
use crate::model::ledger::LabelSet;
use crate::model::link::{End, Link, Name, NetnsId};
use crate::model::pairing::{self, Inside, OwnerKind, Pair, Role, Side};
use crate::model::policy::{UNFINISHED, UNNAMED_BY_ENGINE};
use crate::model::topology::Topology;
use crate::model::view::{OtherLink, ShownPair, ShownSide};
use crate::model::workload::{Endpoint, Runtime, Workload};
use std::sync::Arc;
use std::time::Duration;

/// The loopback's ifindex in every namespace (include/net/flow.h).
const LOOPBACK_IFINDEX: u32 = 1;

impl Owners {
    /// Returns the namespaces without an owner that have an end of this pair.
    pub(crate) fn unclaimed(&self, pair: &ShownPair) -> Vec<NetnsId> {
        let namespaces = pair.sides.iter().map(|side| side.end.netns);
        namespaces.filter(|&netns| self.owner_kind(netns) == OwnerKind::Unclaimed).collect()
    }

    /// Returns how long to wait for an interface of the pair without a final name: an engine moves the
    /// interface in under another name, renames it, and sets it up last. Until then its carrier has changed
    /// once, at its creation.
    pub(crate) fn unfinished(&self, pair: &ShownPair) -> Option<Duration> {
        let interfaces = pair.sides.iter().filter(|side| side.role == Role::Interface);
        let patience = interfaces.filter_map(|side| {
            let of_engine =
                side.ownership.as_ref().is_some_and(|ownership| ownership.owner.runtime == Runtime::Docker);
            let link = side.link.filter(|link| of_engine && !link.up && link.carrier_changes == 1)?;
            Some(if is_made_by_docker(link.name) { UNNAMED_BY_ENGINE } else { UNFINISHED })
        });
        patience.max()
    }

    /// Returns the namespaces of a pair with an owner that is known by a generated name or by a cgroup alone:
    /// its runtime may still report it.
    pub(crate) fn provisional(&self, pair: &ShownPair) -> Vec<NetnsId> {
        let is_provisional = |netns: &NetnsId| {
            let owner = self.owners.get(netns);
            owner.is_some_and(|owner| owner.is_by_cgroup() || owner.is_generated())
        };
        pair.sides.iter().map(|side| side.end.netns).filter(is_provisional).collect()
    }

    /// Returns true if a generated name is all that is known of a namespace.
    pub(crate) fn is_generated(&self, netns: NetnsId) -> bool {
        self.owners.get(&netns).is_some_and(Owner::is_generated)
    }

    /// Returns true if a runtime or a name in /run/netns vouches for the owner of a namespace.
    pub(crate) fn is_vouched_for(&self, netns: NetnsId) -> bool {
        self.owners.get(&netns).is_some_and(Owner::is_vouched_for)
    }

    /// Returns a pair with its roles, its owners and its labels.
    pub(crate) fn show(&self, pair: &Pair, topology: &Topology) -> ShownPair {
        let owner_kinds = pair.sides.map(|side| self.owner_kind(side.end.netns));
        let outer = self.outer(pair.sides.map(|side| side.end.netns));
        let switched =
            pair.sides.map(|side| topology.master_of(&side).is_some_and(|master| master.kind.is_switch()));
        let roles = pairing::roles(pair, owner_kinds, outer, switched);
        let [mut a, mut b] = [0, 1].map(|side| self.side(&pair.sides[side], roles[side], topology));
        a.labels = self.labels(&a, &b);
        b.labels = self.labels(&b, &a);
        ShownPair { sides: [a, b], state: pair.state() }
    }

    /// Returns an end without a pair: it is no workload's interface.
    pub(crate) fn show_single(&self, side: &Side, topology: &Topology) -> ShownSide {
        self.side(side, Role::Port, topology)
    }

    /// Returns which of two namespaces' workloads holds the other one, directly or through others.
    fn outer(&self, netns: [NetnsId; 2]) -> Option<usize> {
        let holders = |inner: NetnsId| {
            std::iter::successors(Some(inner), |netns| self.owners.get(netns)?.outer)
                .skip(1)
                .take(self.owners.len())
        };
        let [a, b] = netns;
        if holders(b).any(|outer| outer == a) {
            Some(0)
        } else if holders(a).any(|outer| outer == b) {
            Some(1)
        } else {
            None
        }
    }

    fn owner_kind(&self, netns: NetnsId) -> OwnerKind {
        match netns {
            NetnsId::Host => OwnerKind::Host,
            _ if self.owners.contains_key(&netns) => OwnerKind::Workload,
            _ => OwnerKind::Unclaimed,
        }
    }

    fn side(&self, side: &Side, role: Role, topology: &Topology) -> ShownSide {
        let netns = side.end.netns;
        ShownSide {
            end: side.end,
            link: side.link.map(|link| Link { counters: Default::default(), ..link }),
            role,
            netns: self.names.get(netns).cloned().unwrap_or_default(),
            master: topology.master_of(side),
            ownership: self.owners.get(&netns).map(|owner| Arc::clone(&owner.ownership)),
            labels: None,
            hidden: false,
        }
    }

    /// Returns the links of a namespace that are no ends of pairs, if a container or pod owns it.
    pub(crate) fn others(&self, netns: NetnsId, topology: &Topology) -> Vec<OtherLink> {
        let ownership = self.owners.get(&netns).map(|owner| &owner.ownership);
        let Some((ownership, Inside::Seen(links))) =
            ownership.filter(|ownership| ownership.is_container()).zip(topology.namespaces().get(&netns))
        else {
            return Vec::new();
        };
        let others =
            links.values().filter(|link| !link.kind.is_pair_end() && link.ifindex != LOOPBACK_IFINDEX);
        let other = |link: &Link| OtherLink {
            end: End { netns, ifindex: link.ifindex },
            name: link.name,
            ownership: Arc::clone(ownership),
        };
        others.map(|link| other(link)).collect()
    }

    /// Returns the labels under which an interface's traffic is booked. The bridge of its port identifies the
    /// network on the host only: in a container that runs containers another bridge may have the same name.
    fn labels(&self, side: &ShownSide, port: &ShownSide) -> Option<LabelSet> {
        if side.role == Role::Port {
            return None;
        }
        let owner = self.owners.get(&side.end.netns);
        let address = side.link.and_then(|link| link.address);
        let interface = side.link.map_or_else(String::new, |link| link.name.to_string());
        let endpoint = owner.and_then(|owner| {
            let by_address = |endpoint: &&Endpoint| address.is_some() && endpoint.address == address;
            let by_name = |endpoint: &&Endpoint| {
                endpoint.address.is_none() && !interface.is_empty() && endpoint.interface == interface
            };
            let endpoints = || owner.endpoints.iter();
            endpoints().find(by_address).or_else(|| endpoints().find(by_name))
        });
        let bridge = port.bridge().filter(|_| port.end.netns == NetnsId::Host);
        let network = match endpoint {
            Some(endpoint) => endpoint.network.clone(),
            None => bridge.and_then(|bridge| self.bridges.get(&bridge)).cloned().unwrap_or_default(),
        };
        Some(match owner {
            Some(owner) => LabelSet::of(&owner.ownership.owner, interface, network),
            None => LabelSet::of(&Workload::named(Runtime::Unknown, ""), interface, network),
        })
    }
}

/// Returns true for a name that Docker makes up for an interface before it renames that: `veth` and seven
/// digits (`netutils.GenerateIfaceName`).
fn is_made_by_docker(name: Name) -> bool {
    let digits = name.as_bytes().strip_prefix(b"veth").unwrap_or_default();
    digits.len() == 7 && digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns true for a generated name in /run/netns: Podman calls its namespaces `netns-UUID` there,
/// containerd `cni-UUID`, and CRI-O `UUID`. Such a name names a namespace only if no other source does.
pub(crate) fn is_generated_name(runtime: Runtime, name: &str) -> bool {
    let rest = name.strip_prefix("netns-").or_else(|| name.strip_prefix("cni-"));
    runtime == Runtime::Named && is_uuid(rest.unwrap_or(name))
}

/// Returns the runtime that generates names of this form; `None` for a name that can be of several.
pub(crate) fn generator(name: &str) -> Option<Runtime> {
    let by_prefix = [("netns-", Runtime::Podman), ("cni-", Runtime::Cri)];
    let found = by_prefix.into_iter().find(|(prefix, _)| name.strip_prefix(prefix).is_some_and(is_uuid));
    found.map(|(_, runtime)| runtime)
}
