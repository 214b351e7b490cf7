//! The pure half: what links, namespaces and workloads mean, and what is counted for whom.
//!
//! Nothing here reads a clock, a socket or a file. Time is a [`Duration`](std::time::Duration) since the
//! exporter's start and is always an argument.

#![deny(clippy::disallowed_types, clippy::disallowed_methods)] // clippy.toml has the list

pub mod event;
pub mod filter;
pub mod host;
pub mod label;
pub mod ledger;
pub mod link;
pub mod pairing;
pub mod peak;
pub mod series;
pub mod topology;
pub mod view;
pub mod workload;
