//! The rows of containers beside the pairs: those without a veth of their own, and those that were restarted.

use super::row::WorkloadRow;
use crate::model::lives::Restarts;
use crate::model::view::ShownVethless;
use crate::model::workload::{ContainerNetwork, ContainerState, Workload};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;

/// A container without a veth of its own.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct VethlessRow<'a> {
    #[serde(flatten)]
    pub workload: WorkloadRow<'a>,
    /// `running`, `restarting` or `stopped`.
    pub state: Cow<'a, str>,
    /// The reason why it has no veth, in a few words.
    pub text: Cow<'a, str>,
    /// The time since when it is stopped, in seconds since 1970 began.
    pub since: Option<f64>,
    /// The owner of the namespace that it shares, as `RUNTIME/NAME`; else empty.
    pub owner: Cow<'a, str>,
}

/// The restarts of a container.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct RestartsRow<'a> {
    pub runtime: Cow<'a, str>,
    /// The name of the workload in one word.
    pub workload: Cow<'a, str>,
    /// The runtime's id of the workload.
    pub id: Cow<'a, str>,
    pub count: u64,
    /// The time of the first restart that is counted, in seconds since 1970 began.
    pub since: Option<f64>,
}

impl<'a> VethlessRow<'a> {
    /// Returns the row of a container; `epoch` is the zero of the view's times since 1970 began, or `None`
    /// for a host that was read once.
    pub(crate) fn new(container: &'a ShownVethless, epoch: Option<Duration>) -> VethlessRow<'a> {
        let ShownVethless { workload, state, network, since } = container;
        let owner = match network {
            ContainerNetwork::Of(owner) => title(owner),
            _ => String::new(),
        };
        VethlessRow {
            workload: WorkloadRow::new(workload),
            state: match state {
                ContainerState::Running => "running",
                ContainerState::Restarting => "restarting",
                ContainerState::Stopped { .. } => "stopped",
            }
            .into(),
            text: reason(*state, network),
            since: since.zip(epoch).map(|(since, epoch)| (epoch + since).as_millis() as f64 / 1e3),
            owner: owner.into(),
        }
    }
}

fn reason(state: ContainerState, network: &ContainerNetwork) -> Cow<'static, str> {
    match (state, network) {
        (ContainerState::Restarting, _) => "restarting".into(),
        (ContainerState::Stopped { exit_code: Some(code) }, _) => {
            format!("ended with exit code {code}").into()
        }
        (ContainerState::Stopped { exit_code: None }, _) => "stopped".into(),
        (_, ContainerNetwork::Host) => "uses the host's network".into(),
        (_, ContainerNetwork::None) => "has no network".into(),
        (_, ContainerNetwork::Of(owner)) => format!("in {}'s network namespace", title(owner)).into(),
        (_, ContainerNetwork::Driver(driver)) => format!("on a {driver} network, which makes no veth").into(),
        (_, ContainerNetwork::Own) => "has no veth".into(),
    }
}

fn title(workload: &Workload) -> String {
    format!("{}/{}", workload.runtime.as_str(), workload.title())
}

impl<'a> RestartsRow<'a> {
    /// Returns the row of a container; `epoch` is as in [`VethlessRow::new`].
    pub(crate) fn new(restarts: &'a Restarts, epoch: Option<Duration>) -> RestartsRow<'a> {
        let Restarts { workload, count, since } = restarts;
        RestartsRow {
            runtime: workload.runtime.as_str().into(),
            workload: workload.title().into(),
            id: (&*workload.id).into(),
            count: *count,
            since: epoch.map(|epoch| (epoch + *since).as_millis() as f64 / 1e3),
        }
    }
}
