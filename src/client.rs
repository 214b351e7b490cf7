//! Edge: requests to an exporter, this host's or another's.

mod any_certificate;
mod healthy;
mod remote;

pub(crate) use healthy::check_health;
pub(crate) use remote::{Remote, RemoteOptions, RemoteUrl};
