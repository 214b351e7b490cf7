//! `veth-exporter check-web-config`: whether a file for `--web.config.file` would be taken.

use crate::cli::CheckWebConfig;
use crate::http::WebConfig;

/// Reads it as `serve` would, certificates included.
///
/// # Errors
/// What is wrong with it: one line that names the file.
pub(super) fn run(flags: &CheckWebConfig) -> anyhow::Result<()> {
    WebConfig::load(&flags.file)?;
    println!("{}: good", flags.file.display());
    Ok(())
}
