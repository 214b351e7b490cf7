//! Macvlans, and the links that they are on.

use super::{found, reason};
use crate::model::explain::facts::MacvlanMode;
use crate::model::explain::way::{Hop, Meeting, Way, WaySide};
use crate::model::explain::{Finding, Grade};
use crate::model::link::Mac;

/// The name of the macvlan that the remedy makes beside the link.
const BESIDE: &str = "macvlan0";

/// Finds a macvlan that is to speak with the link that it is on, and two macvlans of one link that the driver
/// keeps apart (`macvlan_queue_xmit` in drivers/net/macvlan.c).
pub(super) fn apart(way: &Way<'_>) -> Vec<Finding> {
    let (Meeting::OneSegment, Some(to)) = (way.meeting, &way.to) else { return Vec::new() };
    match (way.from.parent, to.parent) {
        (Some(_), Some(parent)) => modes(&way.from, to, &parent),
        (Some(parent), None) => from_parent(&way.from, &parent),
        (None, Some(parent)) => from_parent(to, &parent),
        (None, None) => Vec::new(),
    }
}

/// Returns true if the MAC address is that of a macvlan on this link, in the link's own namespace: it answers
/// for the link's addresses.
pub(super) fn is_beside(parent: &Hop<'_>, mac: Mac) -> bool {
    beside(parent).any(|hop| hop.link.link.address == Some(mac))
}

/// Returns the macvlans on a link in the link's own namespace.
fn beside<'a>(parent: &Hop<'a>) -> impl Iterator<Item = Hop<'a>> {
    let (parent, index) = (*parent, parent.link.link.ifindex);
    let links = parent.netns.links.iter();
    let on = links.filter(move |link| link.macvlan.is_some() && link.link.iflink == Some(index));
    on.map(move |link| Hop { link, ..parent })
}

/// Finds that the side's macvlan and the link that it is on are to speak with each other. They do by another
/// macvlan on that link, if the route leads there.
fn from_parent(side: &WaySide<'_>, parent: &Hop<'_>) -> Vec<Finding> {
    let end = &side.end;
    let address = side.address.map(|own| own.address);
    let route = address.and_then(|address| parent.netns.route(address));
    let is_way = |hop: &Hop<'_>| {
        let is_open = hop.link.link.enabled && hop.link.macvlan == Some(MacvlanMode::Bridge);
        is_open && route.is_some_and(|route| route.device == hop.name())
    };
    if end.link.macvlan == Some(MacvlanMode::Bridge) && beside(parent).any(|hop| is_way(&hop)) {
        return Vec::new();
    }
    let (device, below) = (end.word(), parent.word());
    let text = format!(
        "{} is a macvlan on {}: no frame passes between a macvlan and the link that it is on",
        end.describe(),
        parent.describe()
    );
    let mut finding =
        reason("macvlan_parent", end, text).seen_by(end, &format!("ip -d link show dev {device}"));
    let Some(address) = address.filter(|_| end.link.macvlan != Some(MacvlanMode::Further)) else {
        return vec![finding];
    };
    if end.link.macvlan != Some(MacvlanMode::Bridge) {
        finding = finding.mended_by(end, &format!("ip link set dev {device} type macvlan mode bridge"));
    }
    let open = beside(parent).find(|hop| hop.link.macvlan == Some(MacvlanMode::Bridge));
    let way = open.map_or_else(|| BESIDE.to_owned(), |hop| hop.word());
    if open.is_none() {
        let line = format!("ip link add link {below} name {way} type macvlan mode bridge");
        finding = finding.mended_by(parent, &line);
    }
    let family = if address.is_ipv4() { "" } else { "-6 " };
    finding = finding
        .mended_by(parent, &format!("ip link set dev {way} up"))
        .mended_by(parent, &format!("ip {family}route replace {address} dev {way}"));
    // A neighbour keeps the MAC address that answered first, or that none did.
    finding = finding.mended_by(end, &format!("ip neigh flush dev {device}"));
    vec![finding]
}

/// Finds two macvlans of which one has another mode than `bridge`. One of the mode `vepa` depends on a switch
/// that sends its frames back.
fn modes(from: &WaySide<'_>, to: &WaySide<'_>, parent: &Hop<'_>) -> Vec<Finding> {
    let ends = [&from.end, &to.end];
    let closed = ends.iter().find(|end| end.link.macvlan != Some(MacvlanMode::Bridge));
    let Some(closed) = closed else { return Vec::new() };
    let is_private = ends.iter().any(|end| end.link.macvlan == Some(MacvlanMode::Private));
    let (grade, text) = if is_private {
        let private = ends.iter().find(|end| end.link.macvlan == Some(MacvlanMode::Private));
        let end = private.unwrap_or(closed).describe();
        let text = format!("{end} is a macvlan of the mode private: no frame passes to another macvlan");
        (Grade::Reason, text)
    } else {
        let text = format!(
            "{} is no macvlan of the mode bridge: frames pass to another macvlan only if the switch behind {} sends them back",
            closed.describe(),
            parent.describe()
        );
        (Grade::Possibility, text)
    };
    let see = format!("ip -d link show dev {}", closed.word());
    let mut finding = found("macvlan_mode", grade, closed, text).seen_by(closed, &see);
    if ends.iter().any(|end| end.link.macvlan == Some(MacvlanMode::Further)) {
        return vec![finding];
    }
    for end in ends.iter().filter(|end| end.link.macvlan != Some(MacvlanMode::Bridge)) {
        finding = finding.mended_by(end, &format!("ip link set dev {} type macvlan mode bridge", end.word()));
    }
    vec![finding]
}
