//! Capabilities: all are given up but the one that is needed for longer than a moment.

use super::Part;
use caps::{CapSet, Capability, CapsHashSet};
use std::collections::BTreeSet;

/// What is needed for longer than a moment: to look inside other network namespaces.
const NEEDED: Capability = Capability::CAP_NET_ADMIN;

/// How many privileges the user lets the process keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privileges {
    /// CAP_NET_ADMIN, if it is there.
    #[default]
    Full,
    /// None.
    Minimal,
}

/// What the process may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The host's links, and which container is behind each.
    HostOnly,
    /// Besides, the inside of every namespace: names, addresses, pairs between containers.
    AllNamespaces,
}

/// Gives up every capability but CAP_NET_ADMIN, if there is that and `privileges` lets us keep it; none if the part is disabled.
/// Must be called before the first thread starts: capabilities belong to threads.
///
/// # Errors
/// What the system said.
pub fn drop_privileges(privileges: Privileges, disabled: &BTreeSet<Part>) -> Result<Tier, String> {
    let all = |set| caps::read(None, set).map_err(|error| format!("cannot read capabilities: {error}"));
    let permitted = all(CapSet::Permitted)?;
    if disabled.contains(&Part::Capabilities) {
        return Ok(if permitted.contains(&NEEDED) { Tier::AllNamespaces } else { Tier::HostOnly });
    }
    let keep = privileges == Privileges::Full && permitted.contains(&NEEDED);
    let kept: CapsHashSet = keep.then_some(NEEDED).into_iter().collect();
    let failed = |error| format!("cannot give up capabilities: {error}");
    // The bounding set is what a program that we executed could get back; without CAP_SETPCAP it stays.
    if all(CapSet::Effective)?.contains(&Capability::CAP_SETPCAP) {
        for &capability in all(CapSet::Bounding)?.difference(&kept) {
            caps::drop(None, CapSet::Bounding, capability).map_err(failed)?;
        }
    }
    // Nothing is executed, so nothing has to be passed on.
    for set in [CapSet::Ambient, CapSet::Inheritable] {
        caps::clear(None, set).map_err(failed)?;
    }
    for set in [CapSet::Effective, CapSet::Permitted] {
        let narrowed: CapsHashSet = all(set)?.intersection(&kept).copied().collect();
        caps::set(None, set, &narrowed).map_err(failed)?;
    }
    Ok(if kept.is_empty() { Tier::HostOnly } else { Tier::AllNamespaces })
}

/// What the user has chosen to do without.
const MINIMAL: &str = "--privileges minimal: the names and addresses of interfaces inside containers, and pairs between \
                       containers, cannot be seen; --privileges full shows them to who has CAP_NET_ADMIN";
const MINIMAL_WITHOUT_EVENTS: &str = "--privileges minimal, and no CAP_NET_BROADCAST at the start: the names and \
                                      addresses of interfaces inside containers, and pairs between containers, cannot \
                                      be seen, and all is read again at each tick; --privileges full and \
                                      CAP_NET_ADMIN show the former, CAP_NET_BROADCAST changes the latter";

impl Tier {
    /// The capabilities that are missing, as capabilities(7) names them; none if [`lacks`](Tier::lacks) has nothing to say.
    pub fn missing(self, all_events: bool) -> Vec<&'static str> {
        let needed = (self == Tier::HostOnly).then_some("CAP_NET_ADMIN");
        let at_the_start = (!all_events || self == Tier::HostOnly).then_some("CAP_NET_BROADCAST");
        needed.into_iter().chain(at_the_start).collect()
    }

    /// What is missing, and what would give it; `None` if nothing is. `all_events` says that the events of every
    /// namespace arrive.
    pub fn lacks(self, all_events: bool, privileges: Privileges) -> Option<&'static str> {
        if privileges == Privileges::Minimal {
            return Some(if all_events { MINIMAL } else { MINIMAL_WITHOUT_EVENTS });
        }
        match (self, all_events) {
            (Tier::AllNamespaces, true) => None,
            (Tier::AllNamespaces, false) => Some(
                "no CAP_NET_BROADCAST at the start: only the events of the host arrive, so all is read again at each \
                 tick, and what dies in between is counted less exactly; give it with --cap-add NET_BROADCAST, \
                 AmbientCapabilities=CAP_NET_BROADCAST, or run as root",
            ),
            (Tier::HostOnly, _) => Some(
                "no CAP_NET_ADMIN: the names and addresses of interfaces inside containers, and pairs between \
                 containers, cannot be seen, and all is read again at each tick; give it and CAP_NET_BROADCAST with \
                 --cap-add NET_ADMIN --cap-add NET_BROADCAST, AmbientCapabilities=CAP_NET_ADMIN CAP_NET_BROADCAST in \
                 systemd, or run as root",
            ),
        }
    }
}

/// The effective capabilities of the calling thread, as in systemd's units but short: `net_admin`, several with commas; `none`.
pub(super) fn effective() -> String {
    let Ok(now) = caps::read(None, CapSet::Effective) else { return "unknown".into() };
    let mut names: Vec<String> = now
        .iter()
        .map(|capability| capability.to_string().trim_start_matches("CAP_").to_lowercase())
        .collect();
    names.sort();
    if names.is_empty() { "none".into() } else { names.join(",") }
}
