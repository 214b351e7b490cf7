//! The links of a namespace, with the ports of each master found at once: a host has thousands of links, and
//! everything that is explained asks for those of a bridge.

use super::facts::LinkFacts;
use crate::model::link::LinkKind;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

/// The links of a namespace, in ascending order of their ifindex.
#[derive(Clone, Debug, Default)]
pub struct NetnsLinks {
    links: Vec<LinkFacts>,
    /// Made at the first question, and again after a change.
    positions: OnceLock<LinkPositions>,
}

/// Positions in the list of links.
#[derive(Clone, Debug, Default)]
struct LinkPositions {
    /// The links with a master, by the master's ifindex.
    by_master: BTreeMap<u32, Vec<usize>>,
    vxlans: Vec<usize>,
}

impl NetnsLinks {
    /// Returns the link with this ifindex.
    pub(super) fn find(&self, ifindex: u32) -> Option<&LinkFacts> {
        let at = self.links.binary_search_by_key(&ifindex, |link| link.link.ifindex).ok()?;
        self.links.get(at)
    }

    /// Returns the links with this master (IFLA_MASTER).
    pub(super) fn ports_of(&self, master: u32) -> impl Iterator<Item = &LinkFacts> {
        let positions = self.positions().by_master.get(&master);
        positions.into_iter().flatten().filter_map(|at| self.links.get(*at))
    }

    /// Returns the VXLANs of the namespace, each of which may be on any of its links.
    pub(super) fn vxlans(&self) -> impl Iterator<Item = &LinkFacts> {
        self.positions().vxlans.iter().filter_map(|at| self.links.get(*at))
    }

    fn positions(&self) -> &LinkPositions {
        self.positions.get_or_init(|| {
            let mut positions = LinkPositions::default();
            for (at, link) in self.links.iter().enumerate() {
                if let Some(master) = link.link.master {
                    positions.by_master.entry(master).or_default().push(at);
                }
                if link.link.kind == LinkKind::Vxlan {
                    positions.vxlans.push(at);
                }
            }
            positions
        })
    }
}

impl From<Vec<LinkFacts>> for NetnsLinks {
    fn from(links: Vec<LinkFacts>) -> NetnsLinks {
        NetnsLinks { links, positions: OnceLock::new() }
    }
}

impl PartialEq for NetnsLinks {
    fn eq(&self, other: &NetnsLinks) -> bool {
        self.links == other.links
    }
}

impl Deref for NetnsLinks {
    type Target = Vec<LinkFacts>;

    fn deref(&self) -> &Vec<LinkFacts> {
        &self.links
    }
}

impl DerefMut for NetnsLinks {
    fn deref_mut(&mut self) -> &mut Vec<LinkFacts> {
        self.positions.take();
        &mut self.links
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::link::Link;

    #[test]
    fn ports_and_tunnels_are_those_of_now() {
        let link = |ifindex, master, kind| LinkFacts {
            link: Link { ifindex, master, kind, ..Link::default() },
            ..LinkFacts::default()
        };
        let mut links = NetnsLinks::from(vec![
            link(2, None, LinkKind::Bridge),
            link(5, Some(2), LinkKind::Veth),
            link(9, Some(2), LinkKind::Vxlan),
        ]);
        let ports = |links: &NetnsLinks, master| -> Vec<u32> {
            links.ports_of(master).map(|link| link.link.ifindex).collect()
        };
        assert_eq!((ports(&links, 2), ports(&links, 5)), (vec![5, 9], vec![]));
        assert_eq!(links.vxlans().map(|link| link.link.ifindex).collect::<Vec<_>>(), [9]);
        assert_eq!(links.find(9), links.get(2));
        assert_eq!(links.find(3), None);
        // A change is seen at the next question.
        links[1].link.master = None;
        links.push(link(11, Some(2), LinkKind::Veth));
        assert_eq!(ports(&links, 2), [9, 11]);
        let again = links.clone();
        links.clear();
        assert_eq!((ports(&links, 2), ports(&again, 2)), (vec![], vec![9, 11]));
        assert!(links != again);
    }
}
