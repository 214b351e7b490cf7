//! What the repository holds besides the program: documentation, deploy files, dashboards, rules, the packages, and the rules that the source keeps.
//! A test belongs here if a file of the repository is its subject.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy knows a test by its attribute, and not what only tests call"
)]

mod architecture;
mod bpf;
mod dashboards;
mod deploy;
mod docs;
mod door;
mod language;
mod package;
mod readme;
mod rules;
