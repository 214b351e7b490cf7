//! The meaning of a text that a user pastes: the pairs that it names, or the thing that is there without a
//! veth, or the names that are near. Pure: `commands/find` reads the host into a [`Catalog`].

mod absent;
mod catalog;
mod ends;
mod keys;
mod pasted;
#[cfg(test)]
mod tests;

pub(crate) use absent::KnownPlace;
pub(crate) use catalog::{Catalog, FindTarget, NetnsText};
pub(crate) use ends::EndText;
pub(crate) use pasted::{Pasted, PastedPlace};

use catalog::CatalogEntry;
use std::collections::{BTreeMap, BTreeSet};

/// The least similarity of a name that is near (1 is equality).
const ALIKE: f64 = 0.6;

/// The length in bytes above which a text is compared with no name: no name that is typed by hand is so long.
const LONGEST_TYPED: usize = 128;

/// The result of a search in a [`Catalog`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FindAnswer {
    /// The pairs that are meant, or else the things without a veth.
    Found(BTreeSet<FindTarget>),
    /// Nothing has this name, and this name alone is near.
    Nearest(String, BTreeSet<FindTarget>),
    /// Nothing has this name, and these names are near; the nearest comes first.
    Near(Vec<String>),
    Nothing,
}

impl Catalog {
    /// Returns the pairs that a form of the text identifies as it stands: by name, id, address or index.
    pub(crate) fn identify(&self, pasted: &Pasted) -> BTreeSet<FindTarget> {
        let mut forms = pasted.forms.iter().map(|form| self.identified(form, false));
        forms.find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// Returns true if this very text identifies something.
    pub(crate) fn has(&self, text: &str) -> bool {
        !self.identified(text, false).is_empty()
    }

    /// Returns the meaning of the text: of its forms the first that means anything.
    pub(crate) fn find(&self, pasted: &Pasted) -> FindAnswer {
        match pasted.forms.iter().map(|form| self.meant(form)).find(|found| !found.is_empty()) {
            Some(found) => FindAnswer::Found(pairs_first(found)),
            None => self.nearest(pasted),
        }
    }

    /// Returns everything that one form means: an identity before a group, the same case before another.
    fn meant(&self, form: &str) -> BTreeSet<FindTarget> {
        for fold in [false, true] {
            let identified = self.identified(form, fold);
            // A network without a pair is less likely meant than a service of that name.
            if identified.iter().any(|target| !matches!(target, FindTarget::Network(_))) {
                return identified;
            }
            let grouped = self.matching(|entry| entry.is_in_group(form, fold));
            let found = if grouped.is_empty() { identified } else { grouped };
            if !found.is_empty() {
                return found;
            }
        }
        self.at_place(form)
    }

    fn identified(&self, form: &str, fold: bool) -> BTreeSet<FindTarget> {
        let named = self.matching(|entry| entry.is_identified_by(form, fold));
        if named.is_empty() { self.at_device(form) } else { named }
    }

    fn at_device(&self, form: &str) -> BTreeSet<FindTarget> {
        let Some(device) = pasted::DeviceText::read(form) else { return BTreeSet::new() };
        // An index may be older than the name beside it.
        let loosened = device.loosened().into_iter();
        let mut found = loosened.map(|device| self.matching(|entry| entry.is_device(&device)));
        found.find(|found| !found.is_empty()).unwrap_or_default()
    }

    fn matching(&self, is_meant: impl Fn(&CatalogEntry) -> bool) -> BTreeSet<FindTarget> {
        self.entries().iter().filter(|entry| is_meant(entry)).map(|entry| entry.target).collect()
    }

    /// Returns the answer for a text that means nothing as it stands.
    fn nearest(&self, pasted: &Pasted) -> FindAnswer {
        let is_word = |form: &&String| {
            (1..=LONGEST_TYPED).contains(&form.trim().len())
                && form.parse::<u64>().is_err()
                && pasted::address(form).is_none()
                && pasted::mac(form).is_none()
        };
        let words: Vec<&String> = pasted.forms.iter().filter(is_word).collect();
        let parts = words.iter().map(|word| self.with_part(word)).find(|near| !near.is_empty());
        let (near, is_part) = match parts {
            Some(near) => (near, true),
            None => (words.last().map(|word| self.alike(word)).unwrap_or_default(), false),
        };
        let typed = words.last().map(|word| word.as_str()).unwrap_or_default();
        let mut near: Vec<(String, BTreeSet<FindTarget>)> = by_meaning(near, typed);
        near.sort_by(|(a, _), (b, _)| {
            likeness(typed, b).total_cmp(&likeness(typed, a)).then_with(|| a.cmp(b))
        });
        match near.pop() {
            None => FindAnswer::Nothing,
            // Another number is another thing, not a slip of the finger.
            Some((name, found)) if near.is_empty() && (is_part || !differs_in_digits(typed, &name)) => {
                FindAnswer::Nearest(name, found)
            }
            Some(last) => FindAnswer::Near(near.into_iter().chain([last]).map(|(name, _)| name).collect()),
        }
    }

    /// Returns the names that contain this word.
    fn with_part(&self, word: &str) -> Near {
        let word = word.to_lowercase();
        self.names(|name| name.to_lowercase().contains(&word))
    }

    /// Returns the names that are spelled like this word.
    fn alike(&self, word: &str) -> Near {
        self.names(|name| likeness(word, name) >= ALIKE)
    }

    fn names(&self, is_near: impl Fn(&str) -> bool) -> Near {
        let mut near = Near::new();
        for entry in self.entries() {
            for name in entry.names.iter().chain(&entry.groups).filter(|name| is_near(name)) {
                near.entry(name.clone()).or_default().insert(entry.target);
            }
        }
        near
    }
}

/// Names, each with all that it means.
type Near = BTreeMap<String, BTreeSet<FindTarget>>;

/// Returns one name of each meaning: the one that is most like the typed text, of two the shorter one.
fn by_meaning(near: Near, typed: &str) -> Vec<(String, BTreeSet<FindTarget>)> {
    let mut meanings: BTreeMap<BTreeSet<FindTarget>, String> = BTreeMap::new();
    for (name, found) in near {
        let best = meanings.entry(pairs_first(found)).or_insert_with(|| name.clone());
        let liker = likeness(typed, &name).total_cmp(&likeness(typed, best));
        if liker.then(best.len().cmp(&name.len())).is_gt() {
            *best = name;
        }
    }
    meanings.into_iter().map(|(found, name)| (name, found)).collect()
}

/// Returns the pairs of a set; all of it if it has none.
fn pairs_first(found: BTreeSet<FindTarget>) -> BTreeSet<FindTarget> {
    let pairs: BTreeSet<FindTarget> =
        found.iter().copied().filter(|target| matches!(target, FindTarget::Row(_))).collect();
    if pairs.is_empty() { found } else { pairs }
}

fn likeness(typed: &str, name: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(&typed.to_lowercase(), &name.to_lowercase())
}

fn differs_in_digits(one: &str, another: &str) -> bool {
    let letters = |text: &str| text.to_lowercase().replace(|c: char| c.is_ascii_digit(), "");
    let digits = |text: &str| text.replace(|c: char| !c.is_ascii_digit(), "");
    letters(one) == letters(another) && digits(one) != digits(another)
}
