//! Edge: the dialer of all connections, and requests to an exporter on this host or another.

mod certificates;
mod dialer;
mod healthy;
mod local;
mod remote;

pub(crate) use dialer::{DialAddress, begin_http, dial, dial_unix};
pub(crate) use healthy::check_health;
pub(crate) use local::request_local;
pub(crate) use remote::{Remote, RemoteOptions, RemoteUrl};
