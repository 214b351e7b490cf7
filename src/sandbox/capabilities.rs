//! Capabilities: all are given up but the one that is needed for longer than a moment.

use super::Part;
use rustix::io;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};
use std::collections::BTreeSet;

/// The capability that is needed for longer than a moment: to look inside other network namespaces.
const NEEDED: CapabilitySet = CapabilitySet::NET_ADMIN;

/// The privileges that the user lets the process keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Privileges {
    /// CAP_NET_ADMIN, if the process has it.
    #[default]
    Full,
    Minimal,
}

/// The view that the remaining privileges permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// The host's links, and the container behind each.
    HostOnly,
    /// Additionally the inside of every namespace: names, addresses, pairs between containers.
    AllNamespaces,
}

/// Gives up every capability but CAP_NET_ADMIN, if the process has that one and `privileges` permits to keep
/// it; gives up none if the part is disabled. Must be called before the first thread starts: capabilities
/// belong to threads.
///
/// # Errors
/// Returns the system's error.
pub(crate) fn drop_privileges(privileges: Privileges, disabled: &BTreeSet<Part>) -> Result<Tier, String> {
    let now = capabilities(None).map_err(|error| format!("cannot read capabilities: {error}"))?;
    let available = now.permitted.contains(NEEDED);
    if disabled.contains(&Part::Capabilities) {
        return Ok(if available { Tier::AllNamespaces } else { Tier::HostOnly });
    }
    let keep = privileges == Privileges::Full && available;
    let kept = if keep { NEEDED } else { CapabilitySet::empty() };
    drop_all_but(kept, now).map_err(|error| format!("cannot give up capabilities: {error}"))?;
    Ok(if keep { Tier::AllNamespaces } else { Tier::HostOnly })
}

/// Removes every capability but `kept` from all five sets of the calling thread, which has `now`.
fn drop_all_but(kept: CapabilitySet, now: CapabilitySets) -> io::Result<()> {
    // The bounding set limits the capabilities of an executed program; without CAP_SETPCAP the set stays.
    if now.effective.contains(CapabilitySet::SETPCAP) {
        for capability in (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit)) {
            match capability_is_in_bounding_set(capability) {
                Ok(true) if !kept.contains(capability) => remove_capability_from_bounding_set(capability)?,
                Ok(_) => {}
                // This kernel's last capability is below.
                Err(io::Errno::INVAL) => break,
                Err(error) => return Err(error),
            }
        }
    }
    // The process executes no program, so it has no capability to pass on.
    clear_ambient_capability_set()?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: now.effective & kept,
            permitted: now.permitted & kept,
            inheritable: CapabilitySet::empty(),
        },
    )
}

/// The messages about the abilities that the user has chosen to do without.
const MINIMAL: &str = "--privileges minimal: the names and addresses of interfaces inside containers, and pairs between \
                       containers, cannot be seen; --privileges full shows them to who has CAP_NET_ADMIN";
const MINIMAL_WITHOUT_EVENTS: &str = "--privileges minimal, and no CAP_NET_BROADCAST at the start: the names and \
                                      addresses of interfaces inside containers, and pairs between containers, cannot \
                                      be seen, and all is read again at each tick; --privileges full and \
                                      CAP_NET_ADMIN show the former, CAP_NET_BROADCAST changes the latter";

impl Tier {
    /// Returns the missing capabilities, as capabilities(7) names them; none if [`lacks`](Tier::lacks)
    /// returns `None`.
    pub(crate) fn missing(self, all_events: bool) -> Vec<&'static str> {
        let needed = (self == Tier::HostOnly).then_some("CAP_NET_ADMIN");
        let at_the_start = (!all_events || self == Tier::HostOnly).then_some("CAP_NET_BROADCAST");
        needed.into_iter().chain(at_the_start).collect()
    }

    /// Returns the missing abilities with their remedy; `None` if nothing is missing. `all_events` is true if
    /// the events of every namespace arrive.
    pub(crate) fn lacks(self, all_events: bool, privileges: Privileges) -> Option<&'static str> {
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

/// Returns the effective capabilities of the calling thread, as in systemd's units but short: `net_admin`,
/// several with commas; `none`.
pub(super) fn effective() -> String {
    let Ok(now) = capabilities(None) else { return "unknown".into() };
    let mut names: Vec<String> = now.effective.iter_names().map(|(name, _)| name.to_lowercase()).collect();
    names.sort();
    if names.is_empty() { "none".into() } else { names.join(",") }
}
