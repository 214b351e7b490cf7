//! Bridges that filter by VLAN.

use super::segment::ports;
use super::{found, reason};
use crate::model::explain::facts::UntaggedVlans;
use crate::model::explain::way::{Hop, Meeting, Way};
use crate::model::explain::{Finding, Grade};
use crate::model::link::LinkKind;

/// Finds two ports of a bridge, or a port and the bridge itself, that have no VLAN in common for frames
/// without a tag (`__allowed_ingress` and `br_handle_vlan` in net/bridge/br_vlan.c). Where the VLANs were not
/// read, it is a possibility.
pub(super) fn untagged(way: &Way<'_>) -> Vec<Finding> {
    let ports = ports(way);
    let Some((_, bridge)) = ports.first() else { return Vec::new() };
    let filters = bridge.link.bridge.is_some_and(|bridge| bridge.vlan_filtering);
    let ends = [Some(way.from.end), way.to.as_ref().map(|to| to.end)].into_iter().flatten();
    let itself = ends.filter(|end| end.link.link.kind == LinkKind::Bridge);
    let mut on_bridge: Vec<Hop<'_>> = ports.iter().map(|(port, _)| *port).chain(itself).collect();
    on_bridge.sort_by_key(|hop| hop.position);
    let [one, other] = on_bridge.as_slice() else { return Vec::new() };
    // Frames between two bridges that a pair joins pass two filters, of which none sees both ends.
    let is_one = ports.iter().all(|(_, of)| of.is(bridge)) && way.from.onward.is_empty();
    if way.meeting != Meeting::OneSegment || !filters || !is_one {
        return Vec::new();
    }
    let (Some(from), Some(to)) = (&one.link.vlans, &other.link.vlans) else {
        let text = format!("{} drops it unless both ports have the same VLAN untagged", bridge.describe());
        return vec![found("port_vlan", Grade::Possibility, one, text).seen_by(bridge, "bridge vlan show")];
    };
    let Some(why) = refusal(one, from, other, to).or_else(|| refusal(other, to, one, from)) else {
        return Vec::new();
    };
    let text = format!("{} filters by VLAN and drops it: {why}", bridge.describe());
    let mut finding = reason("port_vlan", one, text).seen_by(bridge, "bridge vlan show");
    let vid = from.pvid.or(to.pvid).unwrap_or(1);
    for (hop, vlans) in [(other, to), (one, from)] {
        if vlans.pvid != Some(vid) || !vlans.leaving.contains(&vid) {
            let itself = if hop.link.link.kind == LinkKind::Bridge { " self" } else { "" };
            let line = format!("bridge vlan add dev {} vid {vid} pvid untagged{itself}", hop.word());
            finding = finding.mended_by(hop, &line);
        }
    }
    vec![finding]
}

/// Returns why no frame without a tag passes from one port to another; `None` if it does.
fn refusal(one: &Hop<'_>, from: &UntaggedVlans, other: &Hop<'_>, to: &UntaggedVlans) -> Option<String> {
    match from.pvid {
        None => Some(format!("{} has no VLAN for frames without a tag", one.name())),
        Some(vid) if to.leaving.contains(&vid) => None,
        Some(vid) => Some(format!(
            "{} puts frames without a tag into VLAN {vid}, which {} does not send without a tag",
            one.name(),
            other.name()
        )),
    }
}
