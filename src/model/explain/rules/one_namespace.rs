//! Two ends in one namespace: what arrives at one of them comes from an address of the namespace itself.
//!
//! The kernel drops such a packet, and an ARP request from such an address, unless `accept_local` is set at
//! the receiving end or for all (`fib_validate_source` in net/ipv4/fib_frontend.c). With a strict rp_filter
//! it drops the packet too, as the way back to a local address is `lo`; the larger value of the end and of
//! `all` counts. The answer goes by `lo` and never crosses the pair, so only the receiving end counts.

use super::{found, setting};
use crate::model::explain::way::{Meeting, Way, WaySide};
use crate::model::explain::{Finding, Grade};

/// Finds the settings of the receiving end that refuse packets from its own namespace.
pub(super) fn refusals(way: &Way<'_>) -> Vec<Finding> {
    let (Meeting::OneNamespace, Some(to)) = (way.meeting, &way.to) else { return Vec::new() };
    let Some([from, address]) = way.addresses().filter(|[from, _]| from.is_ipv4()) else { return Vec::new() };
    if std::ptr::eq(way.from.end.link, to.end.link) || from == address {
        return Vec::new();
    }
    [accept_local(to, from), reverse_path(to, from)].into_iter().flatten().collect()
}

fn accept_local(to: &WaySide<'_>, from: std::net::IpAddr) -> Option<Finding> {
    let end = &to.end;
    let all = end.netns.all;
    if end.link.ipv4.accept_local != 0 || all.is_some_and(|all| all.accept_local != 0) {
        return None;
    }
    let (grade, unless) = match all {
        Some(_) => (Grade::Reason, ""),
        None => (Grade::Possibility, " unless net.ipv4.conf.all.accept_local is 1"),
    };
    let text = format!(
        "{} drops what comes from {from}, an address of its own namespace, ARP requests included{unless}: accept_local is 0",
        end.describe()
    );
    let finding = found("accept_local", grade, end, text)
        .seen_by(end, &format!("sysctl net.ipv4.conf.all.accept_local {}", setting(end, "accept_local")))
        .mended_by(end, &format!("sysctl -w {}=1", setting(end, "accept_local")));
    Some(finding)
}

fn reverse_path(to: &WaySide<'_>, from: std::net::IpAddr) -> Option<Finding> {
    let end = &to.end;
    let value = end.link.ipv4.rp_filter.max(end.netns.all.map_or(0, |all| all.rp_filter));
    if value != 1 {
        return None;
    }
    let text = format!(
        "{} drops what comes from {from}: rp_filter is strict, and the way back to {from} is lo",
        end.describe()
    );
    // Loose counts more than the strict value of `all`.
    let finding = found("rp_filter", Grade::Reason, end, text)
        .seen_by(end, &format!("sysctl net.ipv4.conf.all.rp_filter {}", setting(end, "rp_filter")))
        .mended_by(end, &format!("sysctl -w {}=2", setting(end, "rp_filter")));
    Some(finding)
}
