//! libFuzzer around one of the targets: `VETH_FUZZ_TARGET` says which. Its arguments are libFuzzer's.
//!
//! The entry point that the macro makes for libFuzzer takes a pointer and a length: the only `unsafe` code is that of the macro.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("VETH_FUZZ_TARGET").unwrap_or_default();
    let target = fuzz_targets::TARGETS.iter().find(|target| target.name == name);
    target.unwrap_or_else(|| panic!("VETH_FUZZ_TARGET={name:?} is no target")).run
});

fuzz_target!(|input: &[u8]| TARGET(input));
