//! The sentence about a thing that is there without a veth: what it is, and why it has none.

use super::catalog::{Catalog, FindTarget, NetnsText};
use crate::model::inventory::InventoryNetwork;
use crate::model::link::DescribedLink;
use crate::model::text::printable;
use crate::model::workload::Runtime;

/// A link that is no end of a pair.
#[derive(Clone, Debug)]
pub(crate) struct KnownLink {
    pub(super) netns: NetnsText,
    pub(super) link: DescribedLink,
    /// The number of pairs with an end that is attached to it.
    pub(super) attached: usize,
}

/// The namespace that a process, a file or a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownPlace {
    /// The thing that leads there: `process 1234 (nginx)`.
    pub(crate) thing: String,
    /// `None` for the host, and for a namespace without an id.
    pub(crate) nsid: Option<u32>,
    pub(crate) is_host: bool,
    /// The id of the container that the process's cgroup belongs to.
    pub(crate) container: Option<String>,
}

/// A namespace with a name in /run/netns.
#[derive(Clone, Debug)]
pub(crate) struct KnownNetns {
    pub(super) name: String,
    pub(super) place: KnownPlace,
}

impl Catalog {
    /// Returns what a thing without a veth is, and why it has none. `None` for a pair, and for a container:
    /// its engine has the reason.
    pub(crate) fn absence(&self, target: FindTarget) -> Option<String> {
        match target {
            FindTarget::Row(_) | FindTarget::Container(_) => None,
            FindTarget::Link(at) => self.links.get(at).map(KnownLink::absence),
            FindTarget::Network(at) => {
                self.networks.get(at).map(|(runtime, network)| of_network(*runtime, network))
            }
            FindTarget::Netns(at) => self.namespaces.get(at).map(|netns| self.of_netns(netns)),
            FindTarget::Place => self.place().map(|place| self.of_place(place)),
        }
    }

    /// Returns the runtime and the id of a container without a veth.
    pub(crate) fn container(&self, target: FindTarget) -> Option<(Runtime, &str)> {
        let FindTarget::Container(at) = target else { return None };
        let workload = &self.containers.get(at)?.workload;
        Some((workload.runtime, &workload.id))
    }

    fn of_netns(&self, KnownNetns { name, place }: &KnownNetns) -> String {
        let title = format!("{}/{}", Runtime::Named.as_str(), printable(name));
        match place.is_host {
            true => format!("{title} is there: it is the host's own network namespace"),
            false => format!("{title} is there: a network namespace without a veth{}", self.inside(place)),
        }
    }

    fn of_place(&self, place: &KnownPlace) -> String {
        let thing = printable(&place.thing);
        match place.is_host {
            true => format!("{thing} has no veth: it is in the host's network namespace"),
            false => format!("{thing} is in a network namespace without a veth{}", self.inside(place)),
        }
    }

    /// Returns the links of a namespace, or the reason why none is known.
    fn inside(&self, place: &KnownPlace) -> String {
        let here = |link: &&KnownLink| place.nsid.is_some() && link.netns.nsid == place.nsid;
        let links: Vec<String> = self.links.iter().filter(here).map(KnownLink::short).collect();
        match (place.nsid, links.is_empty()) {
            (None, _) => " that leads to the host".to_owned(),
            (Some(nsid), true) => format!(" (nsid {nsid}); its links cannot be read"),
            (Some(nsid), false) => format!(" (nsid {nsid}); it has {}", links.join(", ")),
        }
    }
}

impl KnownLink {
    /// Returns the name with the kind: `wg0 (wireguard)`.
    fn short(&self) -> String {
        match kind(&self.link) {
            _ if self.link.loopback => printable(&self.link.name.to_string()),
            (what, _) => format!("{} ({what})", printable(&self.link.name.to_string())),
        }
    }

    fn absence(&self) -> String {
        let KnownLink { netns, link, attached } = self;
        let name = printable(&link.name.to_string());
        let place = match netns.nsid {
            None => "on the host".to_owned(),
            Some(nsid) => format!("in {} (nsid {nsid})", printable(&netns.label)),
        };
        let (what, why) = kind(link);
        match attached {
            0 => format!("{name} {place} is no veth but {what}: {why}"),
            1 => format!(
                "{name} {place} is no veth but {what}; find {name} shows the pair that is attached to it"
            ),
            n => format!(
                "{name} {place} is no veth but {what}; find {name} shows the {n} pairs that are attached to it"
            ),
        }
    }
}

fn of_network(runtime: Runtime, InventoryNetwork { name, driver, .. }: &InventoryNetwork) -> String {
    let name = format!("{} is a network of {}", printable(name), runtime.as_str());
    match driver.as_str() {
        "host" => format!("{name}: its containers use the host's own interfaces and have no veth"),
        "null" => format!("{name}: its containers have no interface but the loopback"),
        "bridge" | "overlay" => format!("{name} (driver {driver}), and no container on it has a veth"),
        driver => format!("{name}: its driver {} makes no veth", printable(driver)),
    }
}

/// Returns what a link is by its driver, with an article, and why it has no other end.
fn kind(link: &DescribedLink) -> (String, &'static str) {
    const ALONE: &str = "nothing in another namespace is at its other end";
    let (what, why) = match link.driver.as_str() {
        _ if link.loopback => ("the loopback", "each namespace has one, and it leads nowhere else"),
        "" => ("a network card", "it leads out of the host"),
        "veth" => ("a veth without a pair", "it was made or deleted while the host was read: try again"),
        "bridge" => ("a bridge", "no veth is attached to it"),
        "openvswitch" => ("an interface of Open vSwitch", "no veth is attached to it"),
        "bond" => ("a bond", "it joins cards of the host"),
        "team" => ("a team", "it joins cards of the host"),
        "vlan" => ("a VLAN", "it is a part of the link that it is made on"),
        "macvlan" | "macvtap" => ("a macvlan", "it sends through the link that it is made on, past the host"),
        "ipvlan" | "ipvtap" => ("an ipvlan", "it sends through the link that it is made on, past the host"),
        "netkit" if link.single => {
            ("a netkit without a peer", "it was made in single mode and has no other end")
        }
        "netkit" => ("a netkit without a pair", "it was made or deleted while the host was read: try again"),
        "vrf" => ("a VRF", "it is a routing table"),
        "dummy" => ("a dummy", "it discards what is sent"),
        "ifb" => ("an ifb", "it only shapes the traffic of other links"),
        "tun" => (
            "a TUN or TAP device",
            "a process is at its other end: a virtual machine, a VPN, slirp4netns or pasta",
        ),
        "wireguard" => ("a WireGuard tunnel", "its other end is another host"),
        "vxlan" => ("a VXLAN", "its other ends are other hosts"),
        "geneve" => ("a Geneve tunnel", "its other ends are other hosts"),
        "gre" | "gretap" | "ip6gre" | "ip6gretap" | "erspan" | "ip6erspan" | "ipip" | "sit" | "ip6tnl"
        | "vti" | "vti6" | "xfrm" | "l2tp" | "ppp" | "bareudp" | "macsec" | "gtp" => {
            ("a tunnel", "its other end is another host")
        }
        driver => return (format!("of the driver {}", printable(driver)), ALONE),
    };
    (what.to_owned(), why)
}
