//! Pairs as rows of the output of `list` and `find`, and their JSON.

use crate::model::link::{Counters, Name};
use crate::model::pairing::Role;
use crate::model::view::{Ownership, ShownSide, View};
use crate::model::workload::Workload;
use serde::Serialize;

/// A pair, or an end without a pair.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ListedPair {
    pub state: &'static str,
    pub ends: Vec<ListedEnd>,
}

/// One end of a pair.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ListedEnd {
    pub role: &'static str,
    /// Empty for the host.
    pub netns: String,
    pub nsid: Option<u32>,
    pub ifindex: u32,
    /// The fields below are absent for a namespace that may not be read.
    pub device: Option<String>,
    pub address: Option<String>,
    pub mtu: Option<u32>,
    pub up: Option<bool>,
    pub bridge: Option<String>,
    pub runtime: Option<&'static str>,
    pub container: Option<String>,
    pub namespace: Option<String>,
    pub pod: Option<String>,
    pub container_id: Option<String>,
    pub image: Option<String>,
    pub members: Vec<String>,
    pub parent: Option<String>,
    pub network: Option<String>,
    pub counters: Option<ListedCounters>,
    /// Each with the prefix's length; only `find` requests addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ip_addresses: Vec<String>,
    /// The owner's title: the container's name, `namespace/pod` for a pod.
    #[serde(skip)]
    pub title: Option<String>,
    /// The ids of the members.
    #[serde(skip)]
    pub member_ids: Vec<String>,
    /// The name in the kernel's bytes.
    #[serde(skip)]
    pub raw_device: Option<Name>,
}

impl ListedEnd {
    /// Returns `runtime/container` or `runtime/namespace/pod`, if the end's namespace has an owner.
    pub(super) fn owner(&self) -> Option<String> {
        Some(format!("{}/{}", self.runtime?, self.title.as_deref()?))
    }
}

/// The end's own view, named as in /proc/net/dev.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ListedCounters {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_dropped: u64,
}

/// Returns every pair, and every end without a pair.
pub(super) fn rows(view: &View) -> Vec<ListedPair> {
    let pairs = view.scene.pairs.iter().zip(&view.samples).map(|(pair, samples)| {
        let mut ends: Vec<ListedEnd> =
            pair.sides.iter().zip(samples).map(|(side, counters)| end(side, counters)).collect();
        // The port is first.
        ends.sort_by_key(|end| end.role != role(Role::Port));
        ListedPair { state: pair.state.as_str(), ends }
    });
    let single = view.scene.single.iter().map(|(side, why)| ListedPair {
        state: why.as_str(),
        ends: vec![ListedEnd { counters: None, ..end(side, &Counters::default()) }],
    });
    pairs.chain(single).collect()
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Port => "port",
        Role::Interface => "interface",
    }
}

fn end(side: &ShownSide, counters: &Counters) -> ListedEnd {
    let owner = side.ownership.as_deref().map(|Ownership { owner, .. }| owner);
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    ListedEnd {
        role: role(side.role),
        netns: side.netns.to_string(),
        nsid: side.end.netns.nsid(),
        ifindex: side.end.ifindex,
        device: side.link.map(|link| link.name.to_string()),
        address: side.link.and_then(|link| link.address).map(|address| address.to_string()),
        mtu: side.link.map(|link| link.mtu),
        up: side.link.map(|link| link.up),
        bridge: side.bridge.map(|bridge| bridge.to_string()),
        runtime: owner.map(|owner| owner.runtime.as_str()),
        container: owner.and_then(|owner| given(&owner.name)),
        namespace: owner.and_then(|owner| given(&owner.namespace)),
        pod: owner.and_then(|owner| given(&owner.pod)),
        title: owner.map(Workload::title),
        container_id: owner.and_then(|owner| given(&owner.id)),
        image: owner.and_then(|owner| given(owner.own_image())),
        members: side
            .ownership
            .iter()
            .flat_map(|ownership| &ownership.members)
            .map(|member| member.name.clone())
            .collect(),
        parent: side.ownership.as_deref().and_then(|ownership| given(&ownership.parent)),
        network: side.labels.as_ref().and_then(|labels| given(&labels.network)),
        ip_addresses: Vec::new(),
        member_ids: side
            .ownership
            .iter()
            .flat_map(|ownership| &ownership.members)
            .map(|member| member.id.clone())
            .collect(),
        raw_device: side.link.map(|link| link.name),
        counters: side.link.map(|_| ListedCounters {
            rx_bytes: counters.receive_bytes,
            rx_packets: counters.receive_packets,
            rx_dropped: counters.receive_dropped,
            tx_bytes: counters.transmit_bytes,
            tx_packets: counters.transmit_packets,
            tx_dropped: counters.transmit_dropped,
        }),
    }
}
