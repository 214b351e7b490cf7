//! What the exporter says of network namespaces and veths that the test has made, compared with another implementation: `ip`,
//! sysfs, procfs, promtool. The exporter's host is a namespace of the test's own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy knows a test by its attribute, and not what only tests call"
)]

#[path = "../lab/mod.rs"]
mod lab;

mod counters;
mod descriptors;
mod http;
mod limits;
mod names;
mod pairs;
mod totals;
