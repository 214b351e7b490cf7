//! The name of each namespace: no two alike.

use crate::model::label;
use crate::model::link::NetnsId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The names, and what each namespace would be called if it were alone.
#[derive(Debug, Default)]
pub(super) struct NetnsNames {
    names: HashMap<NetnsId, Arc<str>>,
    /// Whether the name was chosen by somebody, and the name.
    bases: HashMap<NetnsId, (bool, Arc<str>)>,
    /// The namespaces that would have the same name, those first for which it was chosen.
    same: BTreeMap<Arc<str>, Vec<(bool, NetnsId)>>,
    /// The names that were made longer, and of which namespace each is.
    longer: HashMap<Arc<str>, NetnsId>,
    changed: BTreeSet<NetnsId>,
}

impl NetnsNames {
    /// Returns the name of a namespace.
    pub(super) fn get(&self, netns: NetnsId) -> Option<&Arc<str>> {
        self.names.get(&netns)
    }

    /// Says what a namespace would be called if it were alone, and whether that was chosen; `None` if it is
    /// gone.
    pub(super) fn set(&mut self, netns: NetnsId, base: Option<(bool, String)>) {
        let base = base.map(|(chosen, mut name)| {
            label::bound(&mut name);
            // Its name mostly is this one: they share it.
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
                    // What was made longer because of this name need not be any more.
                    if let Some((shorter, _)) = name.rsplit_once('~') {
                        let others = self.same.get(shorter).into_iter().flatten();
                        self.changed.extend(others.map(|(_, netns)| *netns));
                    }
                }
            }
            // The next of those that would have the name may have it now.
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

    /// Who has a name may be another when somebody comes or goes that would have it too.
    fn mark(&mut self, name: &str) {
        let first = self.same.get(name).and_then(|same| same.first());
        self.changed.extend(first.map(|(_, netns)| *netns));
    }

    /// Gives the namespaces their names for which something has changed. Returns those that have another.
    pub(super) fn settle(&mut self) -> Vec<NetnsId> {
        let mut changed = std::mem::take(&mut self.changed);
        // Where the first of those with one name has changed, the next is first.
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
