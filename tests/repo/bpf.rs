//! bpf/: the committed object is what the committed source makes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use lab::{checkout, empty_folder, succeed};

/// The sections of an ELF file of 64 bits, by name. That of names itself and the symbols are with them.
fn sections(file: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(file).unwrap();
    assert!(bytes.starts_with(b"\x7fELF\x02\x01"), "{} is no little-endian ELF file", file.display());
    let number = |at: usize, length: usize| {
        bytes[at..at + length].iter().rev().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (table, size, count, of_names) = (number(40, 8), number(58, 2), number(60, 2), number(62, 2));
    let header = |index: usize| table + size * index;
    let content = |index: usize| {
        let begin = number(header(index) + 24, 8);
        &bytes[begin..begin + number(header(index) + 32, 8)]
    };
    let name = |index: usize| {
        let rest = &content(of_names)[number(header(index), 4)..];
        let end = rest.iter().position(|byte| *byte == 0).unwrap();
        String::from_utf8(rest[..end].to_vec()).unwrap()
    };
    (1..count).map(|index| (name(index), content(index).to_vec())).collect()
}

#[test]
fn the_object_is_what_its_source_makes_and_carries_no_dwarf() {
    let committed = sections(&checkout().join("bpf/drops.bpf.o"));
    for section in ["tp_btf/kfree_skb", "iter/task", ".maps", ".rodata", "license", ".BTF", ".BTF.ext"] {
        assert!(committed.contains_key(section), "no {section} in {:?}", committed.keys());
    }
    let dwarf: Vec<&String> = committed.keys().filter(|name| name.contains("debug")).collect();
    assert!(dwarf.is_empty(), "{dwarf:?}");
    let version = succeed(Command::new("clang").arg("--version"));
    assert!(version.contains("version 14."), "other versions write other code: {version}");
    let made = empty_folder("bpf").join("drops.bpf.o");
    let out = format!("OUT={}", made.display());
    succeed(Command::new("make").arg("-B").arg("-C").arg(checkout().join("bpf")).arg(out));
    let made = sections(&made);
    let differing: Vec<&String> =
        made.keys().filter(|name| committed.get(*name) != made.get(*name)).collect();
    assert!(differing.is_empty(), "make -C bpf would write others: {differing:?}");
    assert_eq!(made.len(), committed.len(), "{:?} and {:?}", made.keys(), committed.keys());
}

#[test]
fn each_source_says_under_which_licenses_it_is() {
    let files = fs::read_dir(checkout().join("bpf")).unwrap().map(|entry| entry.unwrap().path());
    let sources: Vec<_> = files.filter(|file| file.extension().is_none_or(|ending| ending != "o")).collect();
    assert!(sources.len() >= 3, "{sources:?}");
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        let first = text.lines().next().unwrap();
        assert!(
            first.contains("SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0"),
            "{}",
            source.display()
        );
    }
    let manifest = fs::read_to_string(checkout().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("license = \"Apache-2.0 AND (GPL-2.0-only OR Apache-2.0)\""));
}
