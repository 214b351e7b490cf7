//! Ground truth for the ledger: what containers and namespaces that live for a moment have sent and received, as themselves
//! count it or as was sent, against what the exporter has booked. `VETH_LAB_LONG=1` takes as many of them as the design asks for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy knows a test by its attribute, and not what only tests call"
)]

#[path = "../lab/mod.rs"]
mod lab;

mod book;
mod brief;
mod churn;
mod crowd;
mod naming;
mod netns;
mod past_the_port;
mod prometheus;
mod short;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Held by who measures time: the others make thousands of links, and would take the processors.
static PROCESSORS: RwLock<()> = RwLock::new(());

/// A turn beside other tests, for as long as it is held.
fn beside_others() -> RwLockReadGuard<'static, ()> {
    PROCESSORS.read().unwrap_or_else(PoisonError::into_inner)
}

/// A turn without any other test of this target.
fn alone() -> RwLockWriteGuard<'static, ()> {
    PROCESSORS.write().unwrap_or_else(PoisonError::into_inner)
}
