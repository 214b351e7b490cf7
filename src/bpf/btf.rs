//! The kernel's type information (BTF, Documentation/bpf/btf.rst): the few types that programs need. Pure.
//!
//! A kernel has some 150,000 types, and a parser that keeps all of them keeps 20 MB. What is left out here is
//! replaced by a type without a name or content, so that each type keeps its number.

use std::collections::{BTreeMap, BTreeSet};

/// `BTF_MAGIC` of linux/btf.h, in the byte order of the machine.
const MAGIC: u16 = 0xeb9f;

/// The length of `struct btf_header`.
const HEADER: usize = 24;

/// The length of `struct btf_type`.
const HEAD: usize = 12;

/// The kinds of types that matter here: `BTF_KIND_*` of linux/btf.h.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const PTR: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const FWD: u32 = 7;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const FLOAT: u32 = 16;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// The type information of a kernel could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BtfError {
    /// The bytes do not begin as type information of this machine does.
    #[error("no type information of this machine")]
    Header,
    /// A type or a name is beyond the end.
    #[error("the type information ends too early")]
    Short,
    /// A type is of a kind that was not known when this was written.
    #[error("type {0} is of the unknown kind {1}")]
    Kind(u32, u32),
}

/// The type information of a kernel: borrowed bytes and where each type begins.
pub(crate) struct KernelTypes<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// The offset of each type in `types`; the type with the number 1 comes first.
    offsets: Vec<u32>,
}

impl<'a> KernelTypes<'a> {
    /// Finds the types in the content of /sys/kernel/btf/vmlinux.
    ///
    /// # Errors
    /// The bytes are no type information that is known here.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<KernelTypes<'a>, BtfError> {
        let magic = bytes.get(..2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
        if magic != Some(MAGIC) || bytes.get(2) != Some(&1) {
            return Err(BtfError::Header);
        }
        let word = |at| word(bytes, at).map(|word| word as usize);
        let begin = word(4)?;
        let part = |offset: usize, length: usize| {
            let from = begin.checked_add(offset).ok_or(BtfError::Short)?;
            let to = from.checked_add(length).ok_or(BtfError::Short)?;
            bytes.get(from..to).ok_or(BtfError::Short)
        };
        let (types, strings) = (part(word(8)?, word(12)?)?, part(word(16)?, word(20)?)?);
        let mut offsets = Vec::with_capacity(types.len() / 32);
        let mut at = 0;
        while at < types.len() {
            offsets.push(at as u32);
            let length = length(types, at).map_err(|error| match error {
                BtfError::Kind(_, kind) => BtfError::Kind(offsets.len() as u32, kind),
                error => error,
            })?;
            at += length;
        }
        if at > types.len() { Err(BtfError::Short) } else { Ok(KernelTypes { types, strings, offsets }) }
    }

    /// Returns the values of an enumeration by number, with the kernel's names; `None` if there is none.
    pub(crate) fn enumeration(&self, name: &str) -> Option<BTreeMap<u32, String>> {
        let at = self.each().find(|(_, at)| self.kind(*at) == kind::ENUM && self.is_named(*at, name))?.1;
        let value = |index: usize| {
            let at = at + HEAD + 8 * index;
            let name = String::from_utf8_lossy(self.name(word(self.types, at).ok()?)?).into_owned();
            Some((word(self.types, at + 4).ok()?, name))
        };
        Some((0..self.members(at)).filter_map(value).collect())
    }

    /// Returns type information with the named structures, functions and other types, as far as a program
    /// that names their fields needs them; all types keep their numbers.
    pub(crate) fn only(&self, names: &[&str]) -> Vec<u8> {
        let wanted: BTreeSet<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
        let named = |at: usize| self.name(self.word(at)).is_some_and(|name| wanted.contains(name));
        let mut kept = BTreeSet::new();
        let mut waiting: Vec<u32> = self.each().filter(|(_, at)| named(*at)).map(|(id, _)| id).collect();
        while let Some(id) = waiting.pop() {
            let Some(at) = self.at(id).filter(|_| !kept.contains(&id)) else { continue };
            match self.kind(at) {
                kind::STRUCT | kind::UNION => {
                    // A member of a named structure is wanted by that name, or not at all.
                    if self.word(at) != 0 && !named(at) {
                        continue;
                    }
                    waiting.extend((0..self.members(at)).map(|index| self.word(at + HEAD + 12 * index + 4)));
                }
                kind::PTR
                | kind::TYPEDEF
                | kind::VOLATILE
                | kind::CONST
                | kind::RESTRICT
                | kind::TYPE_TAG => {
                    waiting.push(self.word(at + 8));
                }
                kind::ARRAY => waiting.extend([self.word(at + HEAD), self.word(at + HEAD + 4)]),
                kind::INT | kind::FUNC => {}
                _ => continue,
            }
            kept.insert(id);
        }
        self.copy(&kept)
    }

    /// Writes these types, and in place of all others before the last of them one without a name.
    fn copy(&self, kept: &BTreeSet<u32>) -> Vec<u8> {
        let last = kept.last().copied().unwrap_or(0);
        let mut bytes = Vec::with_capacity(HEADER + HEAD * last as usize + (64 << 10) + self.strings.len());
        bytes.resize(HEADER, 0);
        for (id, at) in self.each().take(last as usize) {
            match kept.contains(&id) {
                true => {
                    let length = length(self.types, at).unwrap_or(HEAD);
                    bytes.extend_from_slice(self.types.get(at..at + length).unwrap_or_default());
                }
                false => [0, kind::FWD << 24, 0].iter().for_each(|word| bytes.extend(word.to_ne_bytes())),
            }
        }
        let length = bytes.len() - HEADER;
        bytes.extend_from_slice(self.strings);
        let words = [HEADER, 0, length, length, self.strings.len()];
        let words = words.iter().flat_map(|word| (*word as u32).to_ne_bytes());
        let header = MAGIC.to_ne_bytes().into_iter().chain([1, 0]).chain(words);
        bytes.iter_mut().zip(header).for_each(|(byte, new)| *byte = new);
        bytes
    }

    fn each(&self) -> impl Iterator<Item = (u32, usize)> {
        (1..).zip(self.offsets.iter().map(|at| *at as usize))
    }

    /// Returns where a type begins; the type 0 is `void`.
    fn at(&self, id: u32) -> Option<usize> {
        self.offsets.get((id as usize).checked_sub(1)?).map(|at| *at as usize)
    }

    /// Returns a word of a type; all of them were found inside the types.
    fn word(&self, at: usize) -> u32 {
        word(self.types, at).unwrap_or(0)
    }

    fn kind(&self, at: usize) -> u32 {
        kind_of(self.word(at + 4))
    }

    fn members(&self, at: usize) -> usize {
        (self.word(at + 4) & 0xffff) as usize
    }

    fn is_named(&self, at: usize, name: &str) -> bool {
        self.name(self.word(at)) == Some(name.as_bytes())
    }

    fn name(&self, offset: u32) -> Option<&'a [u8]> {
        let rest = self.strings.get(offset as usize..)?;
        rest.iter().position(|byte| *byte == 0).map(|end| &rest[..end])
    }
}

fn word(bytes: &[u8], at: usize) -> Result<u32, BtfError> {
    let end = at.checked_add(4).ok_or(BtfError::Short)?;
    let word = bytes.get(at..end).and_then(|bytes| bytes.try_into().ok());
    word.map(u32::from_ne_bytes).ok_or(BtfError::Short)
}

fn kind_of(info: u32) -> u32 {
    info >> 24 & 0x1f
}

/// Returns the length of the type that begins here.
fn length(types: &[u8], at: usize) -> Result<usize, BtfError> {
    let info = word(types, at + 4)?;
    word(types, at + 8)?;
    let count = (info & 0xffff) as usize;
    Ok(HEAD
        + match kind_of(info) {
            kind::INT | kind::VAR | kind::DECL_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * count,
            kind::ENUM | kind::FUNC_PROTO => 8 * count,
            kind::PTR
            | kind::FWD
            | kind::TYPEDEF
            | kind::VOLATILE
            | kind::CONST
            | kind::RESTRICT
            | kind::FUNC
            | kind::FLOAT
            | kind::TYPE_TAG => 0,
            other => return Err(BtfError::Kind(0, other)),
        })
}

#[cfg(test)]
mod tests;
