//! `veth-exporter check-web-config`: checks a file for `--web.config.file`.

use super::oneshot::print;
use crate::model::text::printable;
use crate::web_config::WebConfig;
use std::path::Path;

/// Reads the file as `serve` would, certificates included.
///
/// # Errors
/// Fails with one line that names the file and its error.
pub(super) fn run(file: &Path) -> anyhow::Result<()> {
    WebConfig::load(file)?;
    print(&format!("{}: good\n", printable(&file.display().to_string())))
}
