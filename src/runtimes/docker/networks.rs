//! Networks, and the addresses that the engine can give out in their subnets.

use super::answers::Object;
use crate::model::link::Name;
use crate::model::pools::{AddressPool, Subnet, SubnetGateway};
use crate::model::workload::Network;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The bridge that Swarm gives containers of overlay networks a way out by. Their interfaces on it are in no
/// list of containers.
const SWARM_BRIDGE: &str = "docker_gwbridge";

/// Reads a network of Docker's API. Returns `None` for one that has no subnet and no interface of its own:
/// `host` and `none`.
pub(super) fn network(entry: Object<'_>) -> Option<Network> {
    let name = Some(entry.text("Name")).filter(|name| !name.is_empty())?;
    let driver = entry.text("Driver");
    if matches!(driver.as_str(), "host" | "null") {
        return None;
    }
    // An overlay network's addresses are given out on other hosts too, and its load balancers take some.
    let is_counted = matches!(driver.as_str(), "bridge" | "macvlan" | "ipvlan") && name != SWARM_BRIDGE;
    let ipam = entry.object("IPAM");
    // Other drivers of addresses have rules of their own.
    let has_pools = matches!(ipam.text("Driver").as_str(), "" | "default");
    let chosen = match entry.object("Options").text("com.docker.network.bridge.gateway_mode_ipv4").as_str() {
        "isolated" => SubnetGateway::None,
        _ => SubnetGateway::First,
    };
    let configured = ipam.list("Config").into_iter();
    let configured: Vec<(String, Object<'_>)> =
        configured.map(|config| (config.text("Subnet"), config)).collect();
    let pools = configured.iter().filter(|_| has_pools);
    let pools = pools.filter_map(|(subnet, config)| pool(subnet, *config, chosen)).collect();
    let subnets = configured.into_iter().map(|(subnet, _)| subnet);
    Some(Network {
        bridge: bridge_of(entry),
        id: entry.text("Id"),
        internal: entry.flag("Internal"),
        ipv6: entry.flag("EnableIPv6"),
        pools,
        ipv6_subnets: subnets.filter(|subnet| is_ipv6(subnet)).collect(),
        is_counted,
        name,
        driver,
    })
}

/// Reads an IPv4 subnet; `None` for any other. Without a gateway of the user's choice the engine takes the
/// first address that is free (`chosen`), and does not report it.
fn pool(subnet: &str, config: Object<'_>, chosen: SubnetGateway) -> Option<AddressPool> {
    let subnet = Subnet::parse(subnet)?;
    let range = match config.text("IPRange").as_str() {
        "" => None,
        range => Some(Subnet::parse(range)?.range()),
    };
    let gateway = match config.text("Gateway").as_str() {
        "" => chosen,
        gateway => address(gateway).map_or(SubnetGateway::None, SubnetGateway::At),
    };
    let auxiliary = config.text_map("AuxiliaryAddresses").into_values();
    let mut auxiliary: Vec<Ipv4Addr> = auxiliary.filter_map(|text| address(&text)).collect();
    auxiliary.sort();
    Some(AddressPool { subnet, range, gateway, auxiliary })
}

/// Reads an address, behind which the length of its subnet's prefix may be.
fn address(text: &str) -> Option<Ipv4Addr> {
    text.split('/').next()?.parse().ok()
}

/// Returns true for the text of an IPv6 subnet.
pub(super) fn is_ipv6(subnet: &str) -> bool {
    subnet.split_once('/').is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok())
}

/// Reads a subnet of Podman's API; `None` for any other than an IPv4 one. Without a gateway, as on an
/// internal network, no address is taken for one.
pub(super) fn pool_of_podman(subnet: Object<'_>) -> Option<AddressPool> {
    let [from, to] = ["start_ip", "end_ip"].map(|name| subnet.object("lease_range").text(name));
    let gateway = address(&subnet.text("gateway")).map_or(SubnetGateway::None, SubnetGateway::At);
    let subnet = Subnet::parse(&subnet.text("subnet"))?;
    let (first, last) = subnet.range();
    let end = |text: &str, otherwise| if text.is_empty() { Some(otherwise) } else { text.parse().ok() };
    let range = (end(&from, first)?, end(&to, last)?);
    let range = Some(range).filter(|range| *range != (first, last));
    Some(AddressPool { subnet, range, gateway, auxiliary: Vec::new() })
}

/// Returns the host's bridge of a network.
pub(super) fn bridge_of(network: Object<'_>) -> Option<Name> {
    let chosen = network.object("Options").text("com.docker.network.bridge.name");
    match chosen.as_str() {
        // The engine's bridge driver derives the name like this if the user chose none.
        "" if network.text("Driver") == "bridge" => {
            Name::from_bytes(format!("br-{}", network.text("Id").get(..12)?).as_bytes())
        }
        "" => None,
        name => Name::from_bytes(name.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::answers::Damage;
    use super::super::podman;
    use super::*;
    use serde_json::{Value, json};

    /// Reads a network, and writes each pool as subnet, size and gateway.
    fn pools(read: fn(Object<'_>) -> Option<Network>, entry: &Value) -> (String, usize) {
        let damage = Damage::default();
        let network = read(Object::new(entry, &damage)).unwrap();
        let pools = network.pools.iter().map(|pool| {
            let gateway = pool.gateway().map_or_else(|| "none".to_owned(), |gateway| gateway.to_string());
            format!("{} {} {gateway} {}", pool.subnet, pool.size(), pool.used([]))
        });
        (pools.collect::<Vec<_>>().join(", "), damage.found().map_or(0, |(count, _)| count))
    }

    fn of_docker(config: &Value) -> (String, usize) {
        pools(network, &json!({"Name": "n", "Id": "1", "Driver": "bridge", "IPAM": {"Config": config}}))
    }

    #[test]
    fn a_network_has_what_docker_reports_of_it() {
        let entry = json!({
            "Name": "shop", "Id": "de401e2ce889e2ae17022f56", "Driver": "bridge", "EnableIPv6": true,
            "Internal": true, "IPAM": {"Driver": "default", "Options": {}, "Config": [
                {"Subnet": "172.20.0.0/16", "Gateway": "172.20.0.1"}, {"Subnet": "fd00:1::/64"},
            ]}, "Options": {}, "Containers": {},
        });
        let damage = Damage::default();
        let read = network(Object::new(&entry, &damage)).unwrap();
        assert!(read.internal && read.ipv6 && read.is_counted, "{read:?}");
        assert_eq!(
            (read.id.as_str(), read.bridge.unwrap().to_string()),
            ("de401e2ce889e2ae17022f56", "br-de401e2ce889".to_owned(),)
        );
        assert_eq!(read.ipv6_subnets, ["fd00:1::/64"]);
        assert_eq!(read.pools.len(), 1);
        assert!(damage.found().is_none());
        for driver in ["host", "null"] {
            assert_eq!(network(Object::new(&json!({"Name": "n", "Driver": driver}), &damage)), None);
        }
    }

    #[test]
    fn the_addresses_of_subnets_are_read_as_docker_writes_them() {
        for (config, wanted) in [
            (json!([{"Subnet": "10.5.0.0/29"}]), "10.5.0.0/29 6 10.5.0.1 1"),
            (json!([{"Subnet": "10.5.0.0/29", "Gateway": "10.5.0.6"}]), "10.5.0.0/29 6 10.5.0.6 1"),
            (json!([{"Subnet": "10.5.0.0/29", "Gateway": "10.5.0.6/29"}]), "10.5.0.0/29 6 10.5.0.6 1"),
            (
                json!([{"Subnet": "10.5.0.0/24", "IPRange": "10.5.0.64/26", "Gateway": "10.5.0.1",
                    "AuxiliaryAddresses": {"a": "10.5.0.65", "b": "10.5.0.2"}}]),
                "10.5.0.0/24 64 10.5.0.1 1",
            ),
            (
                json!([{"Subnet": "10.5.0.0/29"}, {"Subnet": "10.6.0.0/30", "Gateway": ""}, {"Subnet": "fd00::/8"}]),
                "10.5.0.0/29 6 10.5.0.1 1, 10.6.0.0/30 2 10.6.0.1 1",
            ),
            (json!([]), ""),
            (json!(null), ""),
        ] {
            assert_eq!(of_docker(&config), (wanted.to_owned(), 0), "{config}");
        }
    }

    #[test]
    fn a_damaged_subnet_loses_itself_alone() {
        for (config, faults) in [
            (json!({"Subnet": 7}), 1),
            (json!({"Subnet": "ten"}), 0),
            (json!({"Subnet": "10.5.0.0/33"}), 0),
            (json!({"Subnet": "10.5.0.0/24", "IPRange": "x"}), 0),
            (json!(5), 1),
            (json!(null), 1),
        ] {
            let all = json!([config, {"Subnet": "10.6.0.0/30"}]);
            assert_eq!(of_docker(&all), ("10.6.0.0/30 2 10.6.0.1 1".to_owned(), faults), "{config}");
        }
        let gateway =
            json!([{"Subnet": "10.6.0.0/30", "Gateway": "x", "AuxiliaryAddresses": {"a": 5, "b": "y"}}]);
        assert_eq!(of_docker(&gateway), ("10.6.0.0/30 2 none 0".to_owned(), 1));
    }

    #[test]
    fn addresses_that_no_list_has_are_not_counted() {
        let config =
            json!({"Driver": "default", "Config": [{"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}]});
        for (name, driver, counted) in [
            ("shop", "overlay", false),
            ("shop", "weave", false),
            ("docker_gwbridge", "bridge", false),
            ("shop", "macvlan", true),
            ("shop", "bridge", true),
        ] {
            let entry = json!({"Name": name, "Id": "1", "Driver": driver, "IPAM": config});
            let damage = Damage::default();
            let read = network(Object::new(&entry, &damage)).unwrap();
            assert_eq!((read.is_counted, read.pools.len()), (counted, 1), "{name} {driver}");
        }
        let other = json!({"Name": "n", "Driver": "bridge", "IPAM":
            {"Driver": "dhcp", "Config": [{"Subnet": "10.0.1.0/24"}]}});
        assert_eq!(pools(network, &other).0, "");
        let isolated = json!({"Name": "n", "Id": "1", "Driver": "bridge",
            "Options": {"com.docker.network.bridge.gateway_mode_ipv4": "isolated"},
            "IPAM": {"Config": [{"Subnet": "10.0.1.0/24"}]}});
        assert_eq!(pools(network, &isolated).0, "10.0.1.0/24 254 none 0");
    }

    #[test]
    fn the_addresses_of_subnets_are_read_as_podman_writes_them() {
        for (subnet, wanted) in [
            (json!({"subnet": "10.88.0.0/16", "gateway": "10.88.0.1"}), "10.88.0.0/16 65534 10.88.0.1 1"),
            (json!({"subnet": "10.89.0.0/24"}), "10.89.0.0/24 254 none 0"),
            (
                json!({"subnet": "10.89.0.0/24", "gateway": "10.89.0.1",
                    "lease_range": {"start_ip": "10.89.0.10", "end_ip": "10.89.0.12"}}),
                "10.89.0.0/24 3 10.89.0.1 0",
            ),
            (
                json!({"subnet": "10.89.0.0/24", "gateway": "10.89.0.1", "lease_range": {"end_ip": "10.89.0.12"}}),
                "10.89.0.0/24 12 10.89.0.1 1",
            ),
            (json!({"subnet": "10.89.0.0/24", "lease_range": {"start_ip": "x"}}), ""),
            (json!({"subnet": "fd00::/64", "gateway": "fd00::1"}), ""),
        ] {
            let entry = json!({"name": "n", "id": "1", "driver": "bridge", "subnets": [subnet]});
            assert_eq!(pools(podman::network, &entry), (wanted.to_owned(), 0), "{subnet}");
        }
        let entry = json!({"name": "n", "driver": "macvlan", "ipam_options": {"driver": "dhcp"},
            "subnets": [{"subnet": "10.89.0.0/24"}]});
        assert_eq!(pools(podman::network, &entry).0, "");
    }
}
