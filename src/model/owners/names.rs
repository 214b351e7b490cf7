//! A unique name for each namespace.

use crate::model::label;
use crate::model::link::NetnsId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The names, and the name that each namespace would have if it were unique (its base).
#[derive(Debug, Default)]
pub(super) struct NetnsNames {
    names: HashMap<NetnsId, Arc<str>>,
    /// The base of each namespace; true if a user or an engine chose it.
    bases: HashMap<NetnsId, (bool, Arc<str>)>,
    /// The namespaces with the same base; namespaces with a chosen name come first.
    same: BTreeMap<Arc<str>, Vec<(bool, NetnsId)>>,
    /// The names that were extended, and the namespace of each.
    longer: HashMap<Arc<str>, NetnsId>,
    changed: BTreeSet<NetnsId>,
}

impl NetnsNames {
    /// Returns the name of a namespace.
    pub(super) fn get(&self, netns: NetnsId) -> Option<&Arc<str>> {
        self.names.get(&netns)
    }

    /// Sets the base of a namespace and whether it was chosen; `None` if the namespace is gone.
    pub(super) fn set(&mut self, netns: NetnsId, base: Option<(bool, String)>) {
        let base = base.map(|(chosen, mut name)| {
            label::bound(&mut name);
            // The name and the base are mostly equal: they share one allocation.
            let known = self.names.get(&netns).filter(|known| ***known == *name);
            (chosen, known.cloned().unwrap_or_else(|| name.into()))
        });
        if self.bases.get(&netns) == base.as_ref() {
            return;
        }
        if let Some((chosen, name)) = self.bases.remove(&netns) {
            if let Some(same) = self.same.get_mut(&name) {
                same.retain(|entry| *entry != (!chosen, netns));
                if same.is_empty() {
                    self.same.remove(&name);
                    // Names that were extended because of this one need no extension any more.
                    if let Some((shorter, _)) = name.rsplit_once('~') {
                        let others = self.same.get(shorter).into_iter().flatten();
                        self.changed.extend(others.map(|(_, netns)| *netns));
                    }
                }
            }
            // The next namespace with this base may now have it as its name.
            self.mark(&name);
        }
        if let Some((chosen, name)) = base {
            self.mark(&name);
            self.changed.extend(self.longer.get(&name));
            let same = self.same.entry(Arc::clone(&name)).or_insert_with(|| Vec::with_capacity(1));
            let place = same.partition_point(|entry| *entry < (!chosen, netns));
            same.insert(place, (!chosen, netns));
            self.bases.insert(netns, (chosen, name));
        }
        self.changed.insert(netns);
    }

    /// Marks the first namespace with this base: it may lose or gain the plain name when another one comes or
    /// goes.
    fn mark(&mut self, name: &str) {
        let first = self.same.get(name).and_then(|same| same.first());
        self.changed.extend(first.map(|(_, netns)| *netns));
    }

    /// Names the namespaces with changed inputs. Returns the namespaces that have a new name.
    pub(super) fn assign_names(&mut self) -> Vec<NetnsId> {
        let mut changed = std::mem::take(&mut self.changed);
        // If the first namespace of a base has changed, the next one becomes the first.
        for netns in changed.clone() {
            let same = self.bases.get(&netns).and_then(|(_, name)| self.same.get(name));
            changed.extend(same.and_then(|same| same.first()).map(|(_, netns)| *netns));
        }
        let mut renamed = Vec::new();
        for netns in changed {
            let name = self.resolve(netns);
            if self.names.get(&netns) == name.as_ref() {
                continue;
            }
            if let Some(before) = self.names.remove(&netns)
                && self.longer.get(&before) == Some(&netns)
            {
                self.longer.remove(&before);
            }
            if let Some(name) = name {
                if self.bases.get(&netns).is_some_and(|(_, base)| *base != name) {
                    self.longer.insert(Arc::clone(&name), netns);
                }
                self.names.insert(netns, name);
            }
            renamed.push(netns);
        }
        renamed
    }

    fn resolve(&self, netns: NetnsId) -> Option<Arc<str>> {
        let (_, base) = self.bases.get(&netns)?;
        if self.same.get(base).and_then(|same| same.first()).is_some_and(|(_, first)| *first == netns) {
            return Some(Arc::clone(base));
        }
        let mut name = format!("{base}~{}", netns.nsid()?);
        while self.same.contains_key(name.as_str()) {
            name.push_str(&format!("~{}", netns.nsid()?));
        }
        Some(name.into())
    }
}
