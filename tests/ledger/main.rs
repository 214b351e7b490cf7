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
