//! Edge: the view as Prometheus reads it.
//!
//! [`families`] is the one table of what is said, [`encode`] writes it in a [`mod@format`], [`telemetry`]
//! is what the exporter says of itself (`process` is the operating system's part of it), [`cadvisor`] says
//! some of it in cAdvisor's words. [`pieces`] is the memory that it is written into.

pub(crate) mod cadvisor;
pub(crate) mod encode;
pub(crate) mod families;
pub(crate) mod format;
pub(crate) mod pieces;
mod process;
pub(crate) mod telemetry;
