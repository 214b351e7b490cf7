//! The containers without a veth of their own: those on the host's network, on none, in another container's
//! namespace or on networks that make no veth, and those that are about to be started again.

use super::{InspectedWorkload, Known, ListedContainer, NetnsOrigin};
use crate::model::workload::{
    ContainerNetwork, ContainerState, Network, Runtime, VethlessContainer, Workload,
};

/// Returns the containers that run without a veth of their own; `networks` are those of the engine.
pub(in crate::runtimes::docker) fn vethless<'a>(
    containers: impl Iterator<Item = InspectedWorkload<'a>>,
    networks: &[Network],
) -> Vec<VethlessContainer> {
    let known = Known::new(containers);
    let owners = known.owners();
    let vethless = known.by_id.iter().filter_map(|(id, (workload, inspected))| {
        let network = match &inspected.netns {
            NetnsOrigin::Host => ContainerNetwork::Host,
            NetnsOrigin::Of(reference) => {
                let owner = owners.get(id).copied().flatten().or_else(|| known.find(reference));
                let owner = owner.map(|(owner, _)| (*owner).clone());
                ContainerNetwork::Of(Box::new(owner.unwrap_or_else(|| named(workload.runtime, reference))))
            }
            NetnsOrigin::Own => {
                let attached = inspected.endpoints.iter().map(|endpoint| endpoint.network.as_str());
                without_veth(attached.collect(), networks)?
            }
        };
        Some(VethlessContainer { workload: (*workload).clone(), state: ContainerState::Running, network })
    });
    vethless.collect()
}

/// Returns the containers that their engine is about to start again.
pub(in crate::runtimes::docker) fn restarting<'a>(
    containers: impl Iterator<Item = &'a ListedContainer>,
) -> Vec<VethlessContainer> {
    let restarting = containers.map(|container| VethlessContainer {
        workload: container.workload.clone(),
        state: ContainerState::Restarting,
        network: ContainerNetwork::Own,
    });
    restarting.collect()
}

/// Returns a container that is known by a reference to it alone.
fn named(runtime: Runtime, reference: &str) -> Workload {
    let short: String = reference.chars().take(12).collect();
    Workload { id: reference.to_owned(), ..Workload::named(runtime, short) }
}

/// Returns the network of a container that is attached to these and has no veth; `None` if it has one.
fn without_veth(attached: Vec<&str>, networks: &[Network]) -> Option<ContainerNetwork> {
    let driver = |name: &str| {
        networks.iter().find(|network| network.name == name).map_or("", |network| network.driver.as_str())
    };
    match attached.first() {
        None => Some(ContainerNetwork::None),
        Some(first) => {
            let makes_none = |name: &&str| matches!(driver(name), "macvlan" | "ipvlan");
            attached.iter().all(makes_none).then(|| ContainerNetwork::Driver(driver(first).to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Inspected;
    use super::*;
    use crate::model::workload::{Endpoint, Locator, Started};

    fn container(name: &str, netns: NetnsOrigin, networks: &[&str]) -> (Workload, Inspected) {
        let workload = Workload { id: format!("id-{name}"), ..Workload::named(Runtime::Docker, name) };
        let endpoint = |network: &&str| Endpoint {
            network: (*network).to_owned(),
            address: None,
            interface: String::new(),
        };
        let inspected = Inspected {
            locator: Locator::Pid(7),
            netns,
            endpoints: networks.iter().map(endpoint).collect(),
            given: Vec::new(),
            sandbox: None,
            started: Started::default(),
            image: String::new(),
        };
        (workload, inspected)
    }

    #[test]
    fn each_container_without_a_veth_is_told_with_its_network() {
        let network = |name: &str, driver: &str| Network {
            name: name.to_owned(),
            driver: driver.to_owned(),
            ..Network::default()
        };
        let networks = [network("front", "bridge"), network("lan", "macvlan"), network("l3", "ipvlan")];
        let of = |reference: &str| NetnsOrigin::Of(reference.to_owned());
        let containers = [
            container("web", NetnsOrigin::Own, &["front"]),
            container("both", NetnsOrigin::Own, &["front", "lan"]),
            container("swarm", NetnsOrigin::Own, &["an overlay that is not listed"]),
            container("bare", NetnsOrigin::Own, &[]),
            container("printer", NetnsOrigin::Own, &["lan", "l3"]),
            container("agent", NetnsOrigin::Host, &["host"]),
            container("torrent", of("id-web"), &[]),
            container("second", of("torrent"), &[]),
            container("lost", of("0123456789abcdef"), &[]),
        ];
        let known = containers.iter().map(|(workload, inspected)| (workload, inspected));
        let told: Vec<String> = vethless(known, &networks)
            .into_iter()
            .map(|VethlessContainer { workload, network, .. }| match network {
                ContainerNetwork::Of(owner) => format!("{} of {}", workload.name, owner.name),
                network => format!("{} {network:?}", workload.name),
            })
            .collect();
        let expected = [
            "agent Host",
            "bare None",
            "lost of 0123456789ab",
            "printer Driver(\"macvlan\")",
            "second of web",
            "torrent of web",
        ];
        assert_eq!(told, expected);
    }
}
