//! veth-exporter: every veth pair on a Linux host, who is at each end, and exactly how much went through.
//!
//! ```text
//!   kernel ──events, links────┐                       ┌── exposition ── site ── Prometheus
//!                             ├─▶ collector ─▶ model ─┤
//!   runtimes ──claims─────────┘   (the loop)  (pure)  └── commands (list, find, top)
//! ```
//!
//! ARCHITECTURE.md has the map of the code, the ways of a byte, an event, a claim and a scrape, and the
//! invariants. The documentation of each module explains its part.

mod bpf;
pub mod cli;
mod client;
mod collector;
pub mod commands;
mod exposition;
mod find;
mod kernel;
mod list;
mod model;
mod runtimes;
mod sandbox;
mod server;
mod settings;
mod site;
#[doc(hidden)]
pub mod testing;
mod top;
mod web_config;
