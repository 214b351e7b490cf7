//! Ring 2: the exporter in real network namespaces with real veths that the test makes, without any engine. Another implementation (`ip -j`,
//! sysfs, procfs, promtool) or arithmetic gives the expected values. A test belongs here if the kernel alone is its peer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy knows a test by its attribute, and not what only tests call"
)]

mod alone;
mod bad_input;
mod commands;
mod counters;
mod descriptors;
mod drops;
mod explain;
mod facts;
mod field;
mod http;
mod ledger;
mod limits;
mod lives;
mod names;
mod names_elsewhere;
mod pairs;
mod privileges;
mod problems;
mod queues;
mod sandbox;
mod state;
mod steady;
mod tcp;
mod topologies;
mod totals;
