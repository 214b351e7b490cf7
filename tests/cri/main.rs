//! Kubernetes' pods: those of a real containerd, of a Docker engine with kubelet's labels, and what broken servers do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy knows a test by its attribute, and not what only tests call"
)]

#[path = "../lab/mod.rs"]
mod lab;

mod broken;
mod cadvisor;
mod commands;
mod docker;
mod pods;
mod prometheus;
mod restart;
