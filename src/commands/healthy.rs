//! `veth-exporter healthy`: checks the exporter that serves on this host.

use crate::cli::Healthy;
use crate::client::check_health;
use crate::server::ListenAddress;
use crate::site::Routes;
use anyhow::Context;

/// Sends a request to the exporter that was started with the same flags; the first of its addresses counts.
///
/// # Errors
/// Fails if the exporter is not healthy, or cannot be reached.
pub(super) fn run(flags: &Healthy) -> anyhow::Result<()> {
    let routes = Routes::new(flags.external_url.as_ref(), flags.route_prefix.as_deref(), "/metrics");
    let first: &ListenAddress = flags.listen.first().context("--web.listen-address is empty")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(check_health(first, &routes))?)
}
