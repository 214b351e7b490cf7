//! veth-exporter: every veth pair on a Linux host, who is at each end, and exactly how much went through.

pub mod exposition;
pub mod kernel;
pub mod model;
pub mod runtimes;
