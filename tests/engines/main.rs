//! Ring 3: the exporter beside real engines: Docker (Swarm included), Podman, containerd with CRI, LXC. A test belongs here if names or claims come
//! from an engine. The tests in `alone` need all processors: the lab runs them last, one at a time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy knows a test by its attribute, and not what only tests call"
)]

mod alone;
mod cadvisor;
mod condition;
mod cri;
mod docker;
mod engine;
mod explain;
mod filters;
mod find;
mod image;
mod lab_itself;
mod ledger;
mod names_elsewhere;
mod networks;
mod runtimes;
mod sandbox;
mod state;
mod topologies;
