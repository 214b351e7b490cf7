//! Ring 3: the programs that read the exporter: Prometheus, curl, a browser, a terminal, health checks. A test belongs here if it is about what
//! a client sends, receives or sees.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy knows a test by its attribute, and not what only tests call"
)]

mod alerts;
mod api;
mod certificates;
mod compression;
mod exposition;
mod healthy;
mod openmetrics;
mod page;
mod prometheus;
mod state;
mod top;
mod web;
