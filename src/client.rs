//! Edge: requests to an exporter, on this host or another.

mod any_certificate;
mod healthy;
mod remote;

pub(crate) use healthy::check_health;
pub(crate) use remote::{Remote, RemoteOptions, RemoteUrl};
