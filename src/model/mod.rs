//! The pure half.

pub mod link;
pub mod workload;
