//! Edge: rtnetlink, the only place that knows `netlink-*`.
//!
//! Three nouns: a [`Resolver`] asks which links and namespaces there are, a [`Sampler`] reads the counters,
//! and each has a socket of its own so that the fast one never waits behind the slow one. `wire` turns bytes
//! into the model's types and does no I/O.
//!
//! No namespace is ever entered: other namespaces are asked about from here, by their nsid.

mod addresses;
mod links;
mod nsids;
mod socket;
mod stats;
mod wire;

pub use links::Resolver;
pub use socket::Error;
pub use stats::Sampler;
