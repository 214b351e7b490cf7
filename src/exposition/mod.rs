//! Edge: the view as Prometheus reads it.
//!
//! [`families`] is the one table of what is said, [`encode`] writes it in a [`format`], [`telemetry`] is what the exporter says
//! of itself, [`cadvisor`] says some of it in cAdvisor's words. [`pieces`] is the memory that it is written into.

pub mod cadvisor;
pub mod encode;
pub mod families;
pub mod format;
pub mod pieces;
pub mod telemetry;
