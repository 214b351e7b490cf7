//! The flags of the command `top`.

use super::{CommonFlags, interval};
use crate::client::{RemoteOptions, RemoteUrl};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug, Args)]
pub(crate) struct Top {
    /// Exporter to show: HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:PATH [default: none, reads
    /// this host directly]
    #[arg(long, env = "VETH_EXPORTER_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) url: Option<RemoteUrl>,
    /// PEM file of the authorities that may sign the exporter's certificate [default: the system's]
    #[arg(long = "url.ca-file", env = "VETH_EXPORTER_URL_CA_FILE", value_name = "FILE", requires = "url")]
    ca_file: Option<PathBuf>,
    /// Accept any certificate of the exporter
    #[arg(
        long = "url.insecure-skip-verify",
        env = "VETH_EXPORTER_URL_INSECURE_SKIP_VERIFY",
        requires = "url",
        conflicts_with = "ca_file"
    )]
    skip_verify: bool,
    /// User name, in place of http://USER@HOST
    #[arg(long = "url.user", env = "VETH_EXPORTER_URL_USER", value_name = "NAME", requires = "url")]
    user: Option<String>,
    /// File with the user's password, in place of http://USER:PASSWORD@HOST, which other users can read
    #[arg(
        long = "url.password-file",
        env = "VETH_EXPORTER_URL_PASSWORD_FILE",
        value_name = "FILE",
        requires = "url"
    )]
    password_file: Option<PathBuf>,
    /// Interval at which the numbers are read
    #[arg(long, env = "VETH_EXPORTER_INTERVAL", value_name = "DURATION", default_value = "1s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// Flags of the sources and of the process.
    #[command(flatten)]
    pub(crate) sources: CommonFlags,
}

impl Top {
    /// Returns the options of the connection: the checks of the exporter's certificate, and the user's
    /// password.
    pub(crate) fn remote_options(&self) -> RemoteOptions {
        RemoteOptions {
            ca_file: self.ca_file.clone(),
            skip_verify: self.skip_verify,
            user: self.user.clone(),
            password_file: self.password_file.clone(),
        }
    }
}
