//! `veth-exporter check-web-config`: checks a file for `--web.config.file`.

use crate::cli::CheckWebConfig;
use crate::web_config::WebConfig;

/// Reads the file as `serve` would, certificates included.
///
/// # Errors
/// Fails with one line that names the file and its error.
pub(super) fn run(flags: &CheckWebConfig) -> anyhow::Result<()> {
    WebConfig::load(&flags.file)?;
    println!("{}: good", flags.file.display());
    Ok(())
}
