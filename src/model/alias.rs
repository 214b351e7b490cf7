//! The aliases of ports (IFLA_IFALIAS), in which other tools show the names of workloads.
//!
//! An alias of the exporter ends with a marker. An alias without it belongs to another program or to
//! the user, and is never changed.

use super::end_names::{EndNames, harmless, joined};
use super::view::{Scene, ShownSide};
use super::workload::Runtime;
use std::collections::BTreeMap;

/// The end of each alias of the exporter.
const MARKER: &str = " [veth-exporter]";

/// The longest alias, in bytes (IFALIASZ of linux/if.h, without the terminating NUL).
const LONGEST: usize = 255;

/// The aliases of the host's links, by ifindex.
pub(crate) type Aliases = BTreeMap<u32, String>;

impl EndNames<'_> {
    /// Returns workload, interface and network as an alias with the marker, of at most 255 bytes. `None`
    /// without a workload.
    fn alias(&self) -> Option<String> {
        if self.workload.is_empty() {
            return None;
        }
        let mut text = joined(&[self.workload, self.interface, self.network].map(harmless));
        text.truncate(text.floor_char_boundary(LONGEST - MARKER.len()));
        text.push_str(MARKER);
        Some(text)
    }
}

/// Returns the alias that each port of the host should have: of each shown pair that has an owner at
/// the other end.
pub(crate) fn wanted(scene: &Scene) -> Aliases {
    let pairs = scene.pairs.iter().map(|pair| &pair.sides);
    let both = pairs.flat_map(|[first, second]| [(first, second), (second, first)]);
    let ports = both.filter(|(port, _)| port.end.netns.nsid().is_none());
    ports.filter_map(|(port, other)| Some((port.end.ifindex, of_pair(port, other)?))).collect()
}

fn of_pair(port: &ShownSide, other: &ShownSide) -> Option<String> {
    let owner = other.ownership.as_ref().map(|ownership| &ownership.owner)?;
    if port.hidden || other.hidden || owner.runtime == Runtime::Unknown {
        return None;
    }
    let labels = other.labels.as_ref()?;
    EndNames { workload: &owner.title(), interface: &labels.interface, network: &labels.network }.alias()
}

/// Returns the aliases to write so that the links have the wanted ones; an empty one removes the link's. A
/// link with an alias of another is left alone, and one that is not wanted any more loses the exporter's.
pub(crate) fn changes(wanted: &Aliases, present: &Aliases) -> Aliases {
    let change = |(ifindex, alias): (&u32, &String)| {
        let is_ours = alias.ends_with(MARKER);
        let wanted = wanted.get(ifindex).map_or("", String::as_str);
        let is_due = wanted != alias && (is_ours || alias.is_empty());
        is_due.then(|| (*ifindex, wanted.to_owned()))
    };
    present.iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ledger::LabelSet;
    use crate::model::link::{End, Link, NetnsId};
    use crate::model::pairing::{EndState, Role};
    use crate::model::text::misleads;
    use crate::model::view::{Ownership, ShownPair};
    use crate::model::workload::Workload;
    use std::sync::Arc;

    fn side(netns: NetnsId, ifindex: u32, role: Role) -> ShownSide {
        ShownSide {
            end: End { netns, ifindex },
            link: Some(Link { ifindex, ..Link::default() }),
            role,
            netns: "".into(),
            master: None,
            ownership: None,
            labels: None,
            hidden: false,
        }
    }

    /// Returns the pair of the host's port with this ifindex and the interface of an owner.
    fn pair(ifindex: u32, owner: Workload) -> [ShownSide; 2] {
        let inside = NetnsId::Other { nsid: ifindex, generation: 0 };
        let interface = ShownSide {
            labels: Some(LabelSet::of(&owner, "eth0".into(), "front".into())),
            ownership: Some(Arc::new(Ownership::alone(owner, None))),
            ..side(inside, 2, Role::Interface)
        };
        [side(NetnsId::Host, ifindex, Role::Port), interface]
    }

    #[test]
    fn each_port_of_the_host_with_an_owner_behind_it_is_to_have_an_alias() {
        let named = |name: &str| Workload::named(Runtime::Docker, name);
        let pod = Workload { namespace: "shop".into(), pod: "web-0".into(), ..named("") };
        let swapped = |[port, interface]: [ShownSide; 2]| [interface, port];
        let hidden = |side: usize, mut pair: [ShownSide; 2]| {
            pair[side].hidden = true;
            pair
        };
        let mut unclaimed = pair(6, named("x"));
        unclaimed[1].ownership = None;
        let mut elsewhere = pair(7, named("x"));
        elsewhere[0].end.netns = NetnsId::Other { nsid: 99, generation: 0 };
        let pairs = [
            pair(1, named("web")),
            swapped(pair(2, pod)),
            pair(3, Workload::named(Runtime::Unknown, "x")),
            hidden(0, pair(4, named("x"))),
            hidden(1, pair(5, named("x"))),
            unclaimed,
            elsewhere,
            [8, 9].map(|ifindex| side(NetnsId::Host, ifindex, Role::Port)),
        ];
        let pairs = pairs.map(|sides| Arc::new(ShownPair { sides, state: EndState::Paired }));
        let found = wanted(&Scene { pairs: pairs.into(), ..Scene::default() });
        let expected = [(1, "web eth0 front [veth-exporter]"), (2, "shop/web-0 eth0 front [veth-exporter]")];
        assert_eq!(found, expected.map(|(ifindex, alias)| (ifindex, alias.to_owned())).into());
    }

    fn alias(workload: &str, interface: &str, network: &str) -> Option<String> {
        EndNames { workload, interface, network }.alias()
    }

    #[test]
    fn an_alias_has_what_is_known_and_the_marker() {
        for (names, wanted) in [
            (["web", "eth0", "shop_front"], Some("web eth0 shop_front [veth-exporter]")),
            (["web", "eth0", ""], Some("web eth0 [veth-exporter]")),
            (["shop/web-0", "", ""], Some("shop/web-0 [veth-exporter]")),
            (["", "eth0", "shop_front"], None),
        ] {
            assert_eq!(alias(names[0], names[1], names[2]).as_deref(), wanted, "{names:?}");
        }
    }

    #[test]
    fn an_alias_fits_into_the_kernel_and_obeys_no_terminal() {
        for length in 0..600 {
            for letter in ["a", "é", "語", "😀"] {
                let long = format!("x{}", letter.repeat(length));
                let text = alias(&long, "eth0", "net").unwrap();
                assert!(text.len() <= LONGEST && text.ends_with(MARKER), "{text}");
                assert!(text.len() > LONGEST - 4 || text.starts_with(&format!("{long} eth0 net")), "{text}");
            }
        }
        for hostile in
            ["a\nb", "a\0b", "\u{202e}a", "\x1b[2J", "a\tb", "a\"b", " [veth-exporter]", "a\u{85}b"]
        {
            let text = alias(hostile, hostile, hostile).unwrap();
            assert!(!text.chars().any(misleads), "{text:?}");
            let words = text.strip_suffix(MARKER).unwrap();
            assert_eq!((words.matches(' ').count(), words.contains('[')), (2, false), "{text:?}");
        }
    }

    #[test]
    fn only_a_link_without_an_alias_or_with_one_of_ours_is_written() {
        let (web, db) = ("web eth0 [veth-exporter]", "db eth0 [veth-exporter]");
        for (wanted, present, change) in [
            // what is wanted, what the link has, what is written
            (Some(web), "", Some(web)),
            (Some(web), web, None),
            (Some(web), db, Some(web)),
            (Some(web), "uplink", None),
            (Some(web), "[veth-exporter] uplink", None),
            (Some(web), "web eth0", None),
            (None, web, Some("")),
            (None, "uplink", None),
            (None, "", None),
        ] {
            let one = |alias: &str| Aliases::from([(7, alias.to_owned())]);
            let found = changes(&wanted.map(one).unwrap_or_default(), &one(present));
            assert_eq!(found.get(&7).map(String::as_str), change, "{wanted:?} {present:?}");
        }
        let gone = changes(&Aliases::from([(8, web.to_owned())]), &Aliases::new());
        assert!(gone.is_empty(), "a link that is not there is not written");
    }
}
