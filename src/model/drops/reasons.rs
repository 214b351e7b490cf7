//! The reasons for which the kernel drops packets: their names, and which are left out.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The reasons that are left out, as the kernel names them: packets that were used, and what a protocol or
/// the end of a socket throws away without a loss.
const LEFT_OUT: [&str; 14] = [
    "NOT_DROPPED_YET",
    "CONSUMED",
    "QUEUE_PURGE",
    "SOCKET_CLOSE",
    "TCP_CLOSE",
    "TCP_OLD_ACK",
    "TCP_OLD_DATA",
    "TCP_OFOMERGE",
    "TCP_RESET",
    "UNIX_DISCONNECT",
    "UNIX_SKIP_OOB",
    "OTHERHOST",
    "OTHERHOST_ONLY",
    "MAX",
];

/// The reason of the kernel that says nothing.
const UNSPECIFIED: &str = "NOT_SPECIFIED";

/// The name under which reasons beyond the limit of a workload are summed.
const OTHER: &str = "other";

/// The reasons that the program does not look up in its list of those that are left out.
const LISTED: u32 = 256;

/// The reasons of the running kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DropReasons {
    names: BTreeMap<u32, Arc<str>>,
    left_out: Vec<u32>,
    unspecified: u32,
}

impl DropReasons {
    /// Takes the values of the kernel's `enum skb_drop_reason`.
    pub fn new(kernel: &BTreeMap<u32, String>) -> DropReasons {
        let short = |name: &str| {
            let name = name.strip_prefix("SKB_DROP_REASON_").or_else(|| name.strip_prefix("SKB_"));
            name.map(str::to_owned)
        };
        let mut reasons = DropReasons::default();
        for (&number, name) in kernel {
            let name = short(name).unwrap_or_else(|| name.clone());
            if LEFT_OUT.contains(&name.as_str()) && number < LISTED {
                reasons.left_out.push(number);
            }
            if name == UNSPECIFIED {
                reasons.unspecified = number;
            }
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.chars().all(is_plain) {
                reasons.names.insert(number, name.to_ascii_lowercase().into());
            }
        }
        reasons
    }

    /// Returns the number of the reason that says nothing.
    pub fn unspecified(&self) -> u32 {
        self.unspecified
    }

    /// Returns 1 at the number of each reason that is not counted.
    pub fn left_out(&self) -> [u8; LISTED as usize] {
        let mut list = [0; LISTED as usize];
        for &number in &self.left_out {
            if let Some(entry) = list.get_mut(number as usize) {
                *entry = 1;
            }
        }
        list
    }

    /// Returns the name of a reason in lower case. Above 0xffff a reason is of a subsystem, and has its own
    /// number there (`SKB_DROP_REASON_SUBSYS_SHIFT` of net/dropreason-core.h).
    pub(super) fn name(&self, number: u32) -> Arc<str> {
        match self.names.get(&number) {
            Some(name) => Arc::clone(name),
            None if number > 0xffff => format!("subsystem_{}_{}", number >> 16, number & 0xffff).into(),
            None => format!("reason_{number}").into(),
        }
    }

    /// Returns the name of the reasons beyond the limit.
    pub(super) fn other() -> Arc<str> {
        OTHER.into()
    }
}
