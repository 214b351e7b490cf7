//! Every topology: hosts on which a pair is not simply a device and a container's eth0, and what changes while they live.
//!
//! The truth comes from `ip -j` in each namespace, from /proc, and from a real Docker engine. The exporter's host is a namespace
//! of the test's own, or the engine's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy knows a test by its attribute, and not what only tests call"
)]

#[path = "../lab/mod.rs"]
mod lab;

mod changes;
mod churn;
mod engine;
mod identity;
mod inhabitants;
mod nested;
mod numbers;
mod pairs;
mod scene;
mod swarm;
