//! VRFs of the host: each has a table of routes of its own.

use super::reason;
use crate::model::explain::Finding;
use crate::model::explain::facts::LookupFailure;
use crate::model::explain::way::{Hop, Way, WaySide, vrf};

/// Finds that the two sides are in different VRFs of the host, and that no route leads from one to the other.
pub(super) fn apart(way: &Way<'_>) -> Vec<Finding> {
    for (sender, receiver, to) in way.directions() {
        let Some((inside, outside)) = receiver.and_then(|receiver| across(way, sender, receiver)) else {
            continue;
        };
        let own = sender.vrf();
        let index = own.map(|vrf| vrf.link.link.ifindex);
        let mut lookups = way.facts.lookups.iter();
        let Some(lookup) = lookups.find(|lookup| lookup.destination == to && lookup.vrf == index) else {
            continue;
        };
        if !matches!(lookup.answer, Err(LookupFailure::None | LookupFailure::Unreachable)) {
            continue;
        }
        let table =
            own.map_or_else(|| "no route".to_owned(), |own| format!("no route in the VRF {}", own.name()));
        let Some(master) = vrf(inside) else { continue };
        let text = format!(
            "the host has {table} to {to}: {} is in the VRF {}, and {} is not",
            inside.name(),
            master.name(),
            outside.name()
        );
        let line = format!("ip link set dev {} master {}", outside.word(), master.word());
        let finding =
            reason("vrf", &inside, text).seen_by(&master, &format!("ip vrf show {}", master.word()));
        return vec![finding.mended_by(&outside, &line)];
    }
    Vec::new()
}

/// Returns true if the host routes between two VRFs, or between one and none. [`apart`] finds it if there is
/// no route.
pub(super) fn is_across(way: &Way<'_>, sender: &WaySide<'_>, receiver: &WaySide<'_>) -> bool {
    across(way, sender, receiver).is_some()
}

/// Returns the link of the host that is in a VRF, and the one of the other side that is not in it; `None` if
/// the host does not route between the sides, or both are in one VRF or in none.
fn across<'a>(way: &Way<'a>, one: &WaySide<'a>, other: &WaySide<'a>) -> Option<(Hop<'a>, Hop<'a>)> {
    let router = way.router().filter(|router| router.nsid.is_none())?;
    let at = |side: &WaySide<'a>| side.ingress().filter(|hop| std::ptr::eq(hop.netns, router));
    let (one, other) = (at(one)?, at(other)?);
    let index = |hop| vrf(hop).map(|vrf| vrf.link.link.ifindex);
    match (index(one), index(other)) {
        (mine, others) if mine == others => None,
        (Some(_), _) => Some((one, other)),
        (None, _) => Some((other, one)),
    }
}
