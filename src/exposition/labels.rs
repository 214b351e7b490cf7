//! Label blocks: `{name="value",...}` with the escapes of both formats.

use crate::model::filter::cleaned;
use crate::model::workload::WorkloadName;
use std::fmt::{self, Display, Write};

/// The labels that identify a container or pod.
#[derive(Clone, Copy)]
pub(super) struct Names {
    /// True if the labels of pods are written even if empty: see
    /// [`Scene::pods`](crate::model::view::Scene::pods).
    pub pods: bool,
}

impl Names {
    /// Writes the labels that name a workload.
    pub(super) fn write_workload(self, block: &mut LabelBlock<'_>, name: &WorkloadName) {
        block.label("runtime", name.runtime.as_str());
        self.write(block, &name.container, &name.namespace, &name.pod);
    }

    pub(super) fn write(self, block: &mut LabelBlock<'_>, container: &str, namespace: &str, pod: &str) {
        for (name, value) in [("container", container), ("namespace", namespace), ("pod", pod)] {
            if self.pods { block.label_even_if_empty(name, value) } else { block.label(name, value) }
        }
    }
}

/// Returns a label's name as Prometheus accepts it, behind a prefix.
pub(super) fn label_of(prefix: &str, name: &str) -> String {
    prefix.chars().chain(name.chars().map(cleaned)).collect()
}

/// A value that displays as nothing if it is absent.
pub(super) struct Maybe<T>(pub Option<T>);

impl<T: Display> Display for Maybe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |value| value.fmt(f))
    }
}

/// A label block that is being written at the end of a text.
pub(super) struct LabelBlock<'a> {
    text: &'a mut String,
    empty: bool,
}

impl<'a> LabelBlock<'a> {
    /// Begins a block; without labels it stays empty.
    pub(super) fn begin(text: &'a mut String) -> LabelBlock<'a> {
        LabelBlock { text, empty: true }
    }

    pub(super) fn finish(self) {
        if !self.empty {
            self.text.push('}');
        }
    }

    /// Adds a label; an empty value is left out.
    pub(super) fn label(&mut self, name: &str, value: impl Display) {
        self.add(name, value, false);
    }

    /// Adds a label, whatever its value is.
    pub(super) fn label_even_if_empty(&mut self, name: &str, value: impl Display) {
        self.add(name, value, true);
    }

    fn add(&mut self, name: &str, value: impl Display, even_if_empty: bool) {
        let start = self.text.len();
        self.text.push(if self.empty { '{' } else { ',' });
        self.text.push_str(name);
        self.text.push_str("=\"");
        let before = self.text.len();
        // Writing to a string cannot fail; a Display that fails leaves a shorter value.
        let _ = write!(Escaped(self.text), "{value}");
        if self.text.len() == before && !even_if_empty {
            self.text.truncate(start);
        } else {
            self.text.push('"');
            self.empty = false;
        }
    }
}

/// A text that escapes what a label's value must escape: `\\`, `\"` and `\n`.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(['\\', '"', '\n']) {
            let plain = part.trim_end_matches(['\\', '"', '\n']);
            self.0.push_str(plain);
            match part.as_bytes().get(plain.len()) {
                Some(b'\n') => self.0.push_str("\\n"),
                Some(&special) => self.0.extend(['\\', char::from(special)]),
                None => {}
            }
        }
        Ok(())
    }
}
