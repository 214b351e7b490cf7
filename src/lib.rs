//! veth-exporter: every veth pair on a Linux host, who is at each end, and exactly how much went through.

pub mod cli;
pub mod collector;
pub mod commands;
pub mod exposition;
pub mod http;
pub mod kernel;
pub mod model;
pub mod runtimes;
pub mod sandbox;
