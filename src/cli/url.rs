//! The flags of a connection to a running exporter, beside `--url`.

use crate::client::RemoteOptions;
use clap::Args;
use std::path::PathBuf;

/// Flags of the connection to the exporter of `--url`.
#[derive(Clone, Debug, Args)]
pub(crate) struct UrlFlags {
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
}

impl UrlFlags {
    /// Returns the options of the connection: the checks of the exporter's certificate, and the user's
    /// password.
    pub(crate) fn options(self) -> RemoteOptions {
        RemoteOptions {
            ca_file: self.ca_file,
            skip_verify: self.skip_verify,
            user: self.user,
            password_file: self.password_file,
        }
    }
}
