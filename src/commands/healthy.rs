//! `veth-exporter healthy`: whether the exporter that serves here is well.

use crate::cli::Healthy;
use crate::http::{Unhealthy, check_health};
use anyhow::anyhow;

/// Asks the exporter that was started with the same addresses; the first of them counts.
///
/// # Errors
/// If it does not say that it is healthy.
pub fn run(flags: &Healthy) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut seen = Err(anyhow!("it means no address"));
        for &candidate in flags.listen.iter().take(1).flat_map(|address| address.candidates()) {
            match check_health(candidate).await {
                Ok(()) => return Ok(()),
                // The second candidate is that of a host without IPv6.
                Err(error @ Unhealthy::NotThere { .. }) => seen = Err(error.into()),
                Err(error) => return Err(error.into()),
            }
        }
        seen
    })
}
