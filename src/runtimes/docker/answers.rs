//! The fields that are read of an engine's answers. Every enumeration is a text. A field that is not of the
//! expected type counts as absent, an entry without an id is left out, and of a list that ends early what
//! comes before its end counts: what is damaged costs only what it would have reported.

use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;

/// The damage that was found in one answer.
#[derive(Debug, Default)]
pub(super) struct Damage {
    count: Cell<usize>,
    first: RefCell<String>,
}

impl Damage {
    pub(super) fn add(&self, reason: impl FnOnce() -> String) {
        if self.count.replace(self.count.get() + 1) == 0 {
            self.first.replace(reason());
        }
    }

    /// Returns the number of faults and the first of them; `None` if there is none.
    pub(super) fn found(&self) -> Option<(usize, String)> {
        Some((self.count.get(), self.first.borrow().clone())).filter(|(count, _)| *count > 0)
    }
}

/// A JSON object that is read field by field; one that is absent has no fields.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    fields: Option<&'a Map<String, Value>>,
    damage: &'a Damage,
}

impl<'a> Object<'a> {
    /// Returns the object of a value; one without fields if the value is no object.
    pub(super) fn new(value: &'a Value, damage: &'a Damage) -> Object<'a> {
        if !value.is_object() {
            damage.add(|| format!("an object was expected, not {}", kind(value)));
        }
        Object { fields: value.as_object(), damage }
    }

    fn get<T>(&self, name: &str, wanted: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Option<T> {
        let value = self.fields?.get(name).filter(|value| !value.is_null())?;
        let read = read(value);
        if read.is_none() {
            self.damage.add(|| format!("{name}: {wanted} was expected, not {}", kind(value)));
        }
        read
    }

    /// Returns a text; an empty one if the field is absent.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name, "text", Value::as_str).unwrap_or_default().to_owned()
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.get(name, "a number", Value::as_i64)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name, "true or false", Value::as_bool).unwrap_or_default()
    }

    pub(super) fn object(&self, name: &str) -> Object<'a> {
        Object { fields: self.get(name, "an object", Value::as_object), damage: self.damage }
    }

    /// Returns the texts of a list.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let list = self.get(name, "a list", Value::as_array).map_or(&[][..], Vec::as_slice);
        let read = |value: &Value| {
            let text = value.as_str();
            if text.is_none() {
                self.damage.add(|| format!("{name}: text was expected in the list, not {}", kind(value)));
            }
            text.map(str::to_owned)
        };
        list.iter().filter_map(read).collect()
    }

    /// Returns the objects of a list.
    pub(super) fn list(&self, name: &str) -> Vec<Object<'a>> {
        let list = self.get(name, "a list", Value::as_array).map_or(&[][..], Vec::as_slice);
        list.iter().map(|value| Object::new(value, self.damage)).collect()
    }

    /// Returns the texts of an object, by their names.
    pub(super) fn text_map(&self, name: &str) -> HashMap<String, String> {
        let object = self.object(name);
        let names = object.fields.into_iter().flat_map(Map::keys);
        let there = names.filter(|name| object.get(name, "text", Value::as_str).is_some());
        there.map(|name| (name.clone(), object.text(name))).collect()
    }

    /// Returns the objects of an object, by their names.
    pub(super) fn objects(&self, name: &str) -> Vec<(&'a str, Object<'a>)> {
        let object = self.object(name);
        let fields = object.fields.into_iter().flatten();
        let objects = fields.map(|(name, _)| (name.as_str(), object.object(name)));
        objects.collect()
    }
}

/// Returns what a value is, in words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The entries of a list, and whether the list is whole.
#[derive(Debug)]
pub(super) struct EntryList<T> {
    pub(super) entries: Vec<T>,
    /// False if the list ended early: other entries may exist.
    pub(super) whole: bool,
}

/// Reads the entries of a list. An entry that `read` makes nothing of is left out.
///
/// # Errors
/// If the body is no list, or nothing of it can be read.
pub(super) fn list<T>(
    body: &[u8],
    damage: &Damage,
    mut read: impl FnMut(Object<'_>) -> Option<T>,
) -> Result<EntryList<T>, String> {
    // Go can write an empty list like this.
    if body.trim_ascii() == b"null" {
        return Ok(EntryList { entries: Vec::new(), whole: true });
    }
    let (mut entries, mut count) = (Vec::new(), 0);
    let take = |value: Value| {
        count += 1;
        entries.extend(read(Object::new(&value, damage)));
    };
    let mut json = serde_json::Deserializer::from_slice(body);
    let ended = EntryVisitor(take).deserialize(&mut json).and_then(|()| json.end());
    match ended {
        Err(error) if entries.is_empty() => Err(error.to_string()),
        Ok(()) if entries.is_empty() && count > 0 => {
            let found = damage.found().map(|(_, first)| first);
            Err(format!("none of {count} entries can be read: {}", found.unwrap_or_default()))
        }
        Err(error) => {
            damage.add(|| format!("the list ends early: {error}"));
            Ok(EntryList { entries, whole: false })
        }
        Ok(()) => Ok(EntryList { entries, whole: true }),
    }
}

/// Hands on the entries of a list one by one: one that cannot be parsed leaves those before it.
struct EntryVisitor<F>(F);

impl<'de, F: FnMut(Value)> DeserializeSeed<'de> for EntryVisitor<F> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Value)> Visitor<'de> for EntryVisitor<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        while let Some(entry) = entries.next_element()? {
            (self.0)(entry);
        }
        Ok(())
    }
}
