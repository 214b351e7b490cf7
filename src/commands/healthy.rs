//! `veth-exporter healthy`: checks the exporter that serves on this host.

use crate::client::check_health;
use crate::server::ListenAddress;
use crate::settings::HealthySettings;
use anyhow::Context;

/// Sends a request to the exporter that was started with the same flags; the first of its addresses counts.
///
/// # Errors
/// Fails if the exporter is not healthy, or cannot be reached.
pub(super) fn run(settings: &HealthySettings) -> anyhow::Result<()> {
    let first: &ListenAddress = settings.listen.first().context("--web.listen-address is empty")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(check_health(first, &settings.routes.health_path()))?)
}
