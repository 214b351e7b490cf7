//! Every topology: hosts on which a pair is not simply a device and a container's eth0, and what changes while they live.
//!
//! The truth comes from `ip -j` in each namespace, from /proc, and from a real Docker engine. The exporter's host is a namespace
//! of the test's own, or the engine's.

mod changes;
mod churn;
mod identity;
mod inhabitants;
mod moves;
mod numbers;
mod pairs;
mod sequences;
