//! What confines the exporter: what it shows of that, what is then refused, and that its work goes on. Every other test target runs
//! the exporter with its sandbox too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy knows a test by its attribute, and not what only tests call"
)]

#[path = "../lab/mod.rs"]
mod lab;

mod container;
mod refused;
mod shown;
mod works;
