//! The things that the decision about a namespace depends on, besides the namespace itself.

use crate::model::link::NetnsId;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A thing that a decision depends on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DependsOn {
    /// The namespaces of the owner with this id, and what a runtime reports of it.
    Owner(String),
    /// The host's link with this ifindex, and the switch that it is a port of.
    Port(u32),
}

/// The things that each decision depends on, and the inverse. A decision about a namespace that is gone
/// empties both.
#[derive(Debug, Default)]
pub(super) struct Dependencies {
    depends_on: HashMap<NetnsId, BTreeSet<DependsOn>>,
    depending: BTreeMap<DependsOn, BTreeSet<NetnsId>>,
}

impl Dependencies {
    /// Replaces the things that the decision about a namespace depends on.
    pub(super) fn set(&mut self, netns: NetnsId, things: BTreeSet<DependsOn>) {
        let before = match things.is_empty() {
            true => self.depends_on.remove(&netns),
            false => self.depends_on.insert(netns, things.clone()),
        };
        let before = before.unwrap_or_default();
        for thing in before.difference(&things) {
            if let Some(depending) = self.depending.get_mut(thing) {
                depending.remove(&netns);
                if depending.is_empty() {
                    self.depending.remove(thing);
                }
            }
        }
        for thing in things.difference(&before) {
            self.depending.entry(thing.clone()).or_default().insert(netns);
        }
    }

    /// Returns the namespaces with a decision that depends on a thing.
    pub(super) fn on(&self, thing: &DependsOn) -> impl Iterator<Item = NetnsId> {
        self.depending.get(thing).into_iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_depends_on_what_it_said_last() {
        let netns = |nsid| NetnsId::Other { nsid, generation: 0 };
        let [web, port] = [DependsOn::Owner("web".into()), DependsOn::Port(5)];
        let mut dependencies = Dependencies::default();
        dependencies.set(netns(1), BTreeSet::from([web.clone(), port.clone()]));
        dependencies.set(netns(2), BTreeSet::from([web.clone()]));
        assert!(dependencies.on(&web).eq([netns(1), netns(2)]));
        dependencies.set(netns(1), BTreeSet::from([port.clone()]));
        assert!(dependencies.on(&web).eq([netns(2)]) && dependencies.on(&port).eq([netns(1)]));
        dependencies.set(netns(1), BTreeSet::new());
        dependencies.set(netns(2), BTreeSet::new());
        assert!(dependencies.depends_on.is_empty() && dependencies.depending.is_empty());
    }
}
