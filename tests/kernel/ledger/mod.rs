//! Ground truth for the ledger: what namespaces that live for a moment have sent and received, as they count it or as it was sent, against what
//! the exporter has booked. `VETH_LAB_LONG=1` takes as many of them as the design asks for.

mod churn;
pub(crate) mod netns;
mod past_the_port;
mod processes;
