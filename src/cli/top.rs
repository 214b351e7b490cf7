//! The flags of the command `top`.

use super::{CommonFlags, UrlFlags, interval};
use crate::client::RemoteUrl;
use clap::Args;
use std::time::Duration;

#[derive(Clone, Debug, Args)]
pub(crate) struct Top {
    /// Exporter to show: HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:PATH [default: none, reads
    /// this host directly]
    #[arg(long, env = "VETH_EXPORTER_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) url: Option<RemoteUrl>,
    /// Flags of the connection to that exporter.
    #[command(flatten)]
    pub(crate) connection: UrlFlags,
    /// Interval at which the numbers are read
    #[arg(long, env = "VETH_EXPORTER_INTERVAL", value_name = "DURATION", default_value = "1s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// Flags of the sources and of the process.
    #[command(flatten)]
    pub(crate) sources: CommonFlags,
}
