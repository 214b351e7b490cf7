//! The pure half of the program: the meaning of links, namespaces and workloads, and the totals counted for
//! each workload.
//!
//! Nothing here reads a clock, a socket or a file. Time is a [`Duration`](std::time::Duration) since the
//! exporter's start and is always an argument.

#![deny(clippy::disallowed_types, clippy::disallowed_methods)] // clippy.toml has the list

pub(crate) mod alias;
pub(crate) mod cgroup;
pub(crate) mod checks;
pub(crate) mod counts;
pub(crate) mod device_table;
pub(crate) mod drops;
pub(crate) mod end_names;
pub(crate) mod event;
pub(crate) mod explain;
pub(crate) mod filter;
pub(crate) mod host;
pub(crate) mod inventory;
pub(crate) mod label;
pub(crate) mod lack;
pub(crate) mod ledger;
pub(crate) mod link;
mod link_faults;
pub(crate) mod lives;
pub(crate) mod name_filter;
pub(crate) mod naming;
pub(crate) mod owners;
pub(crate) mod pairing;
pub(crate) mod peak;
pub(crate) mod periods;
pub(crate) mod pod_containers;
pub(crate) mod policy;
pub(crate) mod pools;
pub(crate) mod problems;
pub(crate) mod queues;
pub(crate) mod recent_events;
pub(crate) mod series;
pub(crate) mod slab;
pub(crate) mod starts;
pub(crate) mod state;
pub(crate) mod subnets;
pub(crate) mod tcp;
pub(crate) mod text;
pub(crate) mod topology;
pub(crate) mod units;
pub(crate) mod view;
pub(crate) mod workload;
