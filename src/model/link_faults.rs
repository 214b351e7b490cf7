//! The faults of links by themselves, judged in one place: for the problems of each tick, and for the
//! explanation why two ends cannot talk.

use super::explain::facts::Carrier;
use super::link::LinkKind;

/// The reason why a link passes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkFault {
    /// The link is switched off: `dev_queue_xmit` and `netif_receive_skb` pass no packet by it.
    Off,
    /// The link is switched on and has no carrier: its other end is switched off, or gone (`veth_open` in
    /// drivers/net/veth.c).
    NoCarrier,
    /// The link is switched on, and a program has taken its carrier away: see [`Carrier::ProtoDown`].
    ProtoDown,
}

/// Returns why a link of this kind passes nothing; `None` if it passes packets. A bridge has the carrier of
/// its ports.
pub(super) fn fault(kind: LinkKind, enabled: bool, carrier: Carrier) -> Option<LinkFault> {
    match (enabled, carrier) {
        (false, _) => Some(LinkFault::Off),
        (true, Carrier::ProtoDown) => Some(LinkFault::ProtoDown),
        (true, Carrier::Absent) if kind != LinkKind::Bridge => Some(LinkFault::NoCarrier),
        (true, Carrier::Absent | Carrier::Present) => None,
    }
}

impl LinkFault {
    /// Returns the sentence about the link with this description.
    pub(super) fn text(self, link: &str) -> String {
        match self {
            LinkFault::Off => format!("{link} is switched off"),
            LinkFault::NoCarrier => format!("{link} has no carrier: its other end is switched off, or gone"),
            LinkFault::ProtoDown => format!("{link} has no carrier: its protodown is on"),
        }
    }
}

/// Returns the command that switches a device on.
pub(super) fn switch_on(device: &str) -> String {
    format!("ip link set dev {device} up")
}

/// Two MTUs of one segment that are not equal: no router there answers that a packet is too long, and the
/// receiving side of a veth and the port of a bridge drop it (`is_skb_forwardable` in net/core/dev.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnequalMtus {
    /// The position of the first link with the lowest MTU.
    pub lowest: usize,
    /// The position of the first link with the highest MTU.
    pub highest: usize,
}

/// Returns the lowest and the highest of these MTUs if they differ.
pub(super) fn unequal_mtus(mtus: &[u32]) -> Option<UnequalMtus> {
    let position = |wanted: u32| mtus.iter().position(|mtu| *mtu == wanted);
    let (lowest, highest) = (*mtus.iter().min()?, *mtus.iter().max()?);
    (lowest != highest).then_some(UnequalMtus { lowest: position(lowest)?, highest: position(highest)? })
}

/// Returns the sentence about two links by their descriptions and MTUs, in the order of the reader's choice.
pub(super) fn unequal_text(links: [(&str, u32); 2]) -> String {
    let [(one, mtu), (other, other_mtu)] = links;
    format!(
        "{one} has an MTU of {mtu} bytes and {other} one of {other_mtu}: longer frames than {} bytes are dropped",
        mtu.min(other_mtu)
    )
}

/// Returns the command that gives a device this MTU.
pub(super) fn set_mtu(device: &str, mtu: u32) -> String {
    format!("ip link set dev {device} mtu {mtu}")
}

/// Returns the sentence about links with one MAC address, by their descriptions: a bridge learns it at the
/// port that has sent last.
pub(super) fn same_mac_text(own: &str, others: &str, mac: impl std::fmt::Display, segment: &str) -> String {
    format!("{own} and {others} have the same MAC address {mac} on {segment}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_passes_packets_if_it_is_on_and_has_a_carrier() {
        let cases = [
            (LinkKind::Veth, true, Carrier::Present, None),
            (LinkKind::Veth, true, Carrier::Absent, Some(LinkFault::NoCarrier)),
            (LinkKind::Veth, false, Carrier::Present, Some(LinkFault::Off)),
            (LinkKind::Veth, false, Carrier::Absent, Some(LinkFault::Off)),
            (LinkKind::Bridge, true, Carrier::Absent, None),
            (LinkKind::Bridge, false, Carrier::Absent, Some(LinkFault::Off)),
            (LinkKind::Vxlan, true, Carrier::Present, None),
            (LinkKind::Vxlan, true, Carrier::Absent, Some(LinkFault::NoCarrier)),
            (LinkKind::Vxlan, true, Carrier::ProtoDown, Some(LinkFault::ProtoDown)),
            (LinkKind::Vxlan, false, Carrier::ProtoDown, Some(LinkFault::Off)),
        ];
        for (kind, enabled, carrier, wanted) in cases {
            assert_eq!(fault(kind, enabled, carrier), wanted, "{kind:?} {enabled} {carrier:?}");
        }
    }

    #[test]
    fn the_first_lowest_and_the_first_highest_mtu_are_named() {
        let found = |mtus: &[u32]| unequal_mtus(mtus).map(|of| (of.lowest, of.highest));
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[1500]), None);
        assert_eq!(found(&[1500, 1500, 1500]), None);
        assert_eq!(found(&[1500, 1400, 9000, 1400, 9000]), Some((1, 2)));
    }
}
