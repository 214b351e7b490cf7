//! Edge: rtnetlink, the only place that knows `netlink-*`.
//!
//! Three nouns: a [`Resolver`] asks which links and namespaces there are, a [`Sampler`] reads the counters,
//! [`Events`] tells what changes, and each has a socket of its own so that the fast ones never wait behind
//! the slow one. [`wire`] turns bytes into the model's types, [`answer`] checks what belongs together; both
//! do no I/O.
//!
//! No namespace is ever entered: other namespaces are asked about from here, by their nsid.

mod addresses;
pub(crate) mod answer;
mod error;
mod events;
mod final_sampler;
mod links;
mod nsids;
mod socket;
mod stats;
pub(crate) mod wire;

pub use events::Events;
pub(crate) use events::{Reach, Waker};
pub(crate) use final_sampler::SYSFS_NET;
pub use final_sampler::{DeviceTable, FinalSampler};
pub use links::Resolver;
pub use stats::Sampler;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The id that the host's namespace has for itself, once it has one: our own dumps give it one. Whatever
/// carries it is about the host. It never changes while the namespace lives.
#[derive(Clone, Debug)]
pub struct OwnNsid(Arc<AtomicI64>);

impl Default for OwnNsid {
    fn default() -> OwnNsid {
        OwnNsid(Arc::new(AtomicI64::new(-1)))
    }
}

impl OwnNsid {
    fn get(&self) -> Option<u32> {
        u32::try_from(self.0.load(Ordering::Relaxed)).ok()
    }

    fn set(&self, nsid: Option<u32>) {
        self.0.store(nsid.map_or(-1, i64::from), Ordering::Relaxed);
    }
}
