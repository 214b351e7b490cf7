//! The containers that are shown beside the pairs: those without a veth of their own, and the restarts.

use super::knowledge::Knowledge;
use crate::model::filter::Filter;
use crate::model::lives::{Lives, Restarts};
use crate::model::view::ShownVethless;
use crate::model::workload::{ContainerNetwork, ContainerState, VethlessContainer};
use std::sync::Arc;

/// The containers that are shown beside the pairs; each list is the same allocation until it changes.
#[derive(Debug, Default)]
pub(super) struct ShownContainers {
    /// The versions of the evidence, of the lives and of the rows that the lists were built from.
    built_from: (u64, u64, u64),
    pub vethless: Arc<Vec<ShownVethless>>,
    pub restarts: Arc<Vec<Restarts>>,
}

impl ShownContainers {
    /// Builds the lists anew if something has changed that they show.
    pub(super) fn update(&mut self, known: &Knowledge, lives: &Lives, filter: &Filter) {
        // A veth may come to a container that was made without one.
        let depends_on_rows = self.vethless.iter().any(|container| may_get_a_veth(&container.network))
            || self.vethless.is_empty();
        let rows = if depends_on_rows { known.attribution.version() } else { self.built_from.2 };
        let version = (known.evidence.version(), lives.version(), rows);
        if std::mem::replace(&mut self.built_from, version) == version {
            return;
        }
        let reported = known.evidence.sources.values().flat_map(|source| &source.vethless);
        let is_shown = |network: &ContainerNetwork| match network {
            ContainerNetwork::Of(owner) => filter.shows_owner(owner),
            _ => true,
        };
        let without =
            reported.filter(|container| is_shown(&container.network) && !has_veth(container, known));
        let mut vethless: Vec<ShownVethless> = without
            .map(|VethlessContainer { workload, state, network }| ShownVethless {
                workload: workload.clone(),
                state: *state,
                network: network.clone(),
                since: None,
            })
            .collect();
        for stopped in lives.stopped() {
            // The engine says that it is about to start the container again.
            let known = vethless.iter().any(|container| container.workload.id == stopped.workload.id);
            if !known && filter.shows_owner(&stopped.workload) {
                vethless.push(ShownVethless {
                    state: stopped.state(),
                    network: ContainerNetwork::Own,
                    since: Some(stopped.since),
                    workload: stopped.workload,
                });
            }
        }
        replace(&mut self.vethless, vethless);
        replace(&mut self.restarts, lives.restarts());
    }
}

fn replace<T: PartialEq>(list: &mut Arc<Vec<T>>, new: Vec<T>) {
    if **list != new {
        *list = Arc::new(new);
    }
}

/// Returns true for a network that a veth may be added to by hand.
fn may_get_a_veth(network: &ContainerNetwork) -> bool {
    matches!(network, ContainerNetwork::None | ContainerNetwork::Driver(_))
}

/// Returns true if a container has a veth although its engine has made none.
fn has_veth(container: &VethlessContainer, known: &Knowledge) -> bool {
    let mut namespaces = known.owners.owned_by(&container.workload.id);
    container.state == ContainerState::Running
        && may_get_a_veth(&container.network)
        && namespaces.any(|netns| known.topology.pairing().paired_in(netns).next().is_some())
}
