//! Edge: the view as Prometheus reads it.
//!
//! [`families`] is the one table of metric families. For each scene [`encode`] formats their [`labels`]
//! once, into [`tables`]; [`cadvisor`] does so in cAdvisor's vocabulary. [`text`] writes such a layout with
//! the numbers of a view in a [`mod@format`], [`packed`] writes the same as gzip. Both write piece by piece:
//! no whole text is in memory, and [`pieces`] uses the memory of a piece again. [`telemetry`] has the
//! exporter's own metrics, `process` those of its process, and [`json`] the pairs as rows.

pub(crate) mod cadvisor;
mod deflate;
mod drops;
pub(crate) mod encode;
pub(crate) mod families;
pub(crate) mod format;
pub(crate) mod json;
mod labels;
mod lives;
mod network_labels;
pub(crate) mod packed;
pub(crate) mod pieces;
mod process;
mod tables;
pub(crate) mod telemetry;
pub(crate) mod text;
