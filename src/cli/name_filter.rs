//! The flags of the command `name-filter`.

use super::{CommonFlags, UrlFlags};
use crate::client::RemoteUrl;
use clap::Args;

#[derive(Clone, Debug, Args)]
pub(crate) struct NameFilterFlags {
    /// Exporter that knows the names: HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:PATH
    /// [default: localhost:10736; if none answers there, this host is read directly]
    #[arg(long, env = "VETH_EXPORTER_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) url: Option<RemoteUrl>,
    /// Flags of the connection to that exporter.
    #[command(flatten)]
    pub(crate) connection: UrlFlags,
    /// Flags of the sources and of the process.
    #[command(flatten)]
    pub(crate) sources: CommonFlags,
}
