//! Ground truth for the ledger: what containers that live for a moment have sent and received, as they count it, against what the exporter
//! has booked. `VETH_LAB_LONG=1` takes as many of them as the design asks for.

pub(crate) mod brief;
mod prometheus;
mod short;
