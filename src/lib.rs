//! veth-exporter: every veth pair on a Linux host, who is at each end, and exactly how much went through.
//!
//! # The map of the code
//!
//! ```text
//!   kernel ──events, links────┐                       ┌── exposition ── site ── Prometheus
//!                             ├─▶ collector ─▶ model ─┤
//!   runtimes ──claims─────────┘   (the loop)  (pure)  └── commands (list, find, top)
//! ```
//!
//! - `model` decides everything and does no I/O: links become pairs (`model::pairing`), counters become
//!   totals (`model::ledger`), claims become names, and `model::host` is the state machine that takes one
//!   input at a time and says what to ask next. `model::view` is what is shown.
//! - `kernel` speaks rtnetlink, `runtimes` ask who owns a namespace, `exposition` writes what Prometheus
//!   reads, `site` answers each path of the `server`. They are edges: none imports another, and no foreign
//!   crate's type leaves them.
//! - `top` is the terminal view: it knows nothing but the answer of the API, its own or another exporter's.
//! - `find` says what a text means that a user pastes.
//! - `collector` is the loop between them, `sandbox` gives up privileges.
//! - [`cli`] parses the flags, `settings` resolves them, and [`commands`] run the program.
//!
//! The way of one byte count: `kernel::stats` (bytes) -> `model::ledger` (totals) -> `model::view` ->
//! `exposition::encode` -> `site`. ARCHITECTURE.md has the reasons and the invariants.

pub mod cli;
mod client;
mod collector;
pub mod commands;
mod exposition;
mod find;
mod kernel;
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
