//! Edge: the view as Prometheus reads it.
//!
//! [`families`] is the one table of metric families, [`encode`] writes it in a [`mod@format`], [`telemetry`]
//! has the exporter's own metrics (`process` is the operating system's part of them), [`cadvisor`] writes a
//! part of the view in cAdvisor's vocabulary. [`pieces`] is the memory of the written texts.

pub(crate) mod cadvisor;
mod deflate;
pub(crate) mod encode;
pub(crate) mod families;
pub(crate) mod format;
pub(crate) mod json;
mod labels;
pub(crate) mod packed;
pub(crate) mod pieces;
mod process;
mod tables;
pub(crate) mod telemetry;
pub(crate) mod text;
