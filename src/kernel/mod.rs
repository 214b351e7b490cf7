//! Edge: netlink. No other module uses the `netlink-*` crates.
//!
//! Seven types do the I/O: a [`Resolver`] reads links and namespaces, a [`Sampler`] reads counters, a
//! [`FinalSampler`] reads the last ones of links that are about to be deleted, a [`TcpReader`] reads the TCP
//! figures of namespaces, a [`FactsReader`] reads what decides whether two ends can talk, [`Events`] reports
//! changes, an [`AliasWriter`] writes the aliases of ports if the user wants it.
//! Each has a socket of its own, so that the fast ones never wait behind the slow one. [`wire`] converts
//! bytes into the model's types and [`answer`] checks which messages belong together; both do no I/O.
//!
//! The exporter never enters a namespace: it requests the links of another namespace from its own, by nsid.

mod addresses;
mod aliases;
pub(crate) mod answer;
mod error;
mod events;
pub(crate) mod facts;
mod final_sampler;
mod links;
mod nsids;
mod qdiscs;
mod socket;
mod stats;
pub(crate) mod tcp;
pub(crate) mod wire;

pub(crate) use aliases::AliasWriter;
pub use events::Events;
pub(crate) use events::{Reach, Waker};
pub(crate) use facts::SYSCTL;
pub use facts::{FactsReader, Wants};
pub(crate) use final_sampler::SYSFS_NET;
pub use final_sampler::{FinalSampler, TableReader};
pub use links::Resolver;
pub use stats::Sampler;
pub use tcp::TcpReader;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The nsid that the host's namespace has for itself, once it has one: the exporter's own dumps assign it.
/// A link, peer or event with this id belongs to the host's namespace. The id never changes while the
/// namespace lives.
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
