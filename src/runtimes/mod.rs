//! Edge: who owns a namespace, asked of those who know. Each source yields
//! [`Claims`](crate::model::workload::Claims).

pub mod docker;
