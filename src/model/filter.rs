//! The user's choice of what is shown. Sides are hidden where pairs get their names (`host::attribution`),
//! so no scene contains a hidden pair. The ledger still books its traffic, so that the totals of networks
//! are complete; only namespaces that would be read for hidden pairs on no network are not read.

use super::label;
use super::ledger::LabelSet;
use super::link::Name;
use super::naming::Naming;
use super::pairing::Role;
use super::view::{ShownPair, ShownSide};
use super::workload::{Claims, ContainerNetwork, Network, Runtime, Workload};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Returns true for a name that the user's pattern matches.
pub(crate) type Matches = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// The names that are shown.
#[derive(Clone, Default)]
pub enum Choice {
    /// Every name is shown (the default).
    #[default]
    All,
    /// Only the matching names are shown.
    Only(Matches),
    /// Every name except the matching ones is shown.
    AllBut(Matches),
    /// No name is shown at all.
    Nothing,
}

impl Choice {
    fn shows<N: ToString>(&self, name: impl FnOnce() -> N) -> bool {
        match self {
            Choice::All => true,
            Choice::Only(matches) => matches(&name().to_string()),
            Choice::AllBut(matches) => !matches(&name().to_string()),
            Choice::Nothing => false,
        }
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Choice::All => "All",
            Choice::Only(_) => "Only",
            Choice::AllBut(_) => "AllBut",
            Choice::Nothing => "Nothing",
        })
    }
}

/// The user's selection of ports, workloads and labels.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The ports to show, by the name of the device.
    pub devices: Choice,
    /// True if only the state of ports is shown, without their counters.
    pub no_device_counters: bool,
    /// The workloads to show, by the name of the container; a pod's name is `namespace/pod`.
    pub containers: Choice,
    /// The names of the runtimes' labels to keep on workloads.
    pub labels: BTreeSet<String>,
    /// The labels that containers are named by.
    pub naming: Naming,
}

/// Replaces a character that Prometheus does not allow in a label's name (`[a-zA-Z0-9_]`) with `_`.
pub(crate) fn cleaned(letter: char) -> char {
    if letter.is_ascii_alphanumeric() { letter } else { '_' }
}

/// The labels of Swarm's tasks in dashboards for cAdvisor.
const SWARM_LABELS: [&str; 4] = [
    "com.docker.stack.namespace",
    "com.docker.swarm.node.id",
    "com.docker.swarm.service.name",
    "com.docker.swarm.task.name",
];

impl Filter {
    /// Names containers by the labels that the user chose, removes every label of a runtime that the user did
    /// not ask for, and [shortens](label::bound) all values that are shown.
    pub fn strip(&self, claims: &mut Claims) {
        for claim in &mut claims.claims {
            self.strip_workload(&mut claim.owner);
            claim.members.iter_mut().for_each(|member| self.strip_workload(member));
            Naming::name_owner(claim);
            claim.endpoints.iter_mut().for_each(|endpoint| label::bound(&mut endpoint.network));
        }
        for container in claims.pod_containers.iter_mut().flat_map(|list| &mut list.containers) {
            self.strip_workload(&mut container.workload);
        }
        for joined in &mut claims.joined {
            self.strip_workload(&mut joined.member);
            self.strip_workload(&mut joined.target);
        }
        for container in &mut claims.vethless {
            self.strip_workload(&mut container.workload);
            if let ContainerNetwork::Of(owner) = &mut container.network {
                self.strip_workload(owner);
            }
        }
        claims.vethless.retain(|container| self.shows_owner(&container.workload));
        claims.networks.iter_mut().for_each(|network| {
            let Network { name, id, driver, ipv6_subnets, .. } = network;
            [name, id, driver].into_iter().chain(ipv6_subnets).for_each(label::bound);
        });
        for given in &mut claims.given {
            label::bound(&mut given.network);
            label::bound(&mut given.container);
        }
        claims.own.iter_mut().for_each(|backroom| label::bound(&mut backroom.name));
    }

    /// Does as [`strip`](Filter::strip) for one workload. The labels of Swarm
    /// are kept apart from the labels that the user asked for.
    pub fn strip_workload(&self, workload: &mut Workload) {
        self.naming.name(workload);
        let swarm = SWARM_LABELS.iter().filter_map(|name| workload.labels.remove_entry(*name));
        workload.swarm.extend(swarm.collect::<Vec<_>>());
        let wanted = workload.swarm.iter().filter(|(name, _)| self.labels.contains(*name));
        workload.labels.extend(wanted.map(|(name, value)| (name.clone(), value.clone())));
        workload.labels.retain(|name, _| self.labels.contains(name));
        workload.labels.values_mut().chain(workload.swarm.values_mut()).for_each(label::bound);
        let Workload { name, namespace, pod, id, image, compose_project, compose_service, .. } = workload;
        for value in [name, namespace, pod, id, image, compose_project, compose_service] {
            label::bound(value);
        }
    }

    /// Returns true if the total with these labels is shown. Traffic without an owner belongs to no
    /// container and is always shown; so is the overflow, except that of hidden workloads.
    pub fn shows(&self, labels: &LabelSet) -> bool {
        if labels.is_overflow() {
            return !labels.is_hidden_overflow();
        }
        labels.runtime == Runtime::Unknown
            || self.shows_container(&labels.container, &labels.namespace, &labels.pod)
    }

    /// Returns true if this owner of a namespace and its members are shown.
    pub fn shows_owner(&self, owner: &Workload) -> bool {
        self.shows_container(&owner.name, &owner.namespace, &owner.pod)
    }

    fn shows_container(&self, name: &str, namespace: &str, pod: &str) -> bool {
        self.containers.shows(|| match (namespace, pod) {
            (_, "") => name.to_owned(),
            // Podman's pods are in no namespace.
            ("", pod) => pod.to_owned(),
            _ => format!("{namespace}/{pod}"),
        })
    }

    /// Sets `hidden` on each side of a pair: an interface is hidden with its workload, a port with that
    /// workload or by its own name.
    pub(super) fn hide(&self, pair: &mut ShownPair) {
        let unwanted =
            pair.sides.each_ref().map(|side| side.labels.as_ref().is_some_and(|labels| !self.shows(labels)));
        for (index, side) in pair.sides.iter_mut().enumerate() {
            side.hidden = match side.role {
                Role::Interface => unwanted[index],
                Role::Port => unwanted[1 - index] || !self.shows_device(side.link.map(|link| link.name)),
            };
        }
    }

    /// Sets `hidden` on an end without a pair: it is hidden with its namespace's owner, or by its own name if
    /// there is none.
    pub(super) fn hide_single(&self, side: &mut ShownSide) {
        side.hidden = match &side.ownership {
            Some(ownership) => !self.shows_owner(&ownership.owner),
            None => !self.shows_device(side.link.map(|link| link.name)),
        };
    }

    fn shows_device(&self, name: Option<Name>) -> bool {
        self.devices.shows(|| name.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::workload::{Claim, Locator};

    fn only(wanted: &'static str) -> Choice {
        Choice::Only(Arc::new(move |name| name == wanted))
    }

    fn labels(owner: &Workload) -> LabelSet {
        LabelSet::of(owner, "eth0".into(), String::new())
    }

    #[test]
    fn a_pod_is_called_by_its_namespace_and_its_name_and_what_is_nobodys_is_always_shown() {
        let pod =
            Workload { namespace: "shop".into(), pod: "web".into(), ..Workload::named(Runtime::Cri, "") };
        let of_podman = Workload { pod: "web".into(), ..Workload::named(Runtime::Podman, "") };
        let container = Workload::named(Runtime::Docker, "web");
        let nobody = Workload::named(Runtime::Unknown, "");
        for (choice, shown) in [
            (only("shop/web"), [true, false, false, true]),
            (only("web"), [false, true, true, true]),
            (Choice::AllBut(Arc::new(|name| name.is_empty())), [true, true, true, true]),
            (Choice::Nothing, [false, false, false, true]),
            (Choice::All, [true, true, true, true]),
        ] {
            let filter = Filter { containers: choice, ..Filter::default() };
            assert_eq!(
                [&pod, &of_podman, &container, &nobody].map(|owner| filter.shows(&labels(owner))),
                shown,
                "{filter:?}"
            );
        }
    }

    #[test]
    fn only_wanted_labels_are_kept_and_nothing_is_longer_than_a_label_may_be() {
        let value = "é".repeat(10_000);
        let told = [("app", "web"), ("", "nameless"), ("long", value.as_str()), ("secret", "x")];
        let labels = told.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let owner = Workload { labels, ..Workload::named(Runtime::Docker, value.as_str()) };
        let members = vec![owner.clone()];
        let claim = Claim {
            owner,
            locator: Locator::Pid(7),
            endpoints: Vec::new(),
            members,
            started: Default::default(),
        };
        let mut claims = Claims { claims: vec![claim], ..Claims::default() };
        let filter =
            Filter { labels: ["app", "long", "none"].map(str::to_owned).into(), ..Filter::default() };
        filter.strip(&mut claims);
        let Claim { owner, members, .. } = &claims.claims[0];
        let cut = label::bounded(&value);
        assert!(cut.len() <= label::LONGEST);
        let kept = [("app", "web"), ("long", cut.as_str())].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(owner.labels, kept.into());
        assert_eq!((&members[0], &owner.name), (owner, &cut));
    }
}
