//! EDGE: programs that the kernel runs (eBPF), only with `--bpf.drops`. docs/drops.md says what they cost.
//!
//! `bpf/` has them in C, and the object that is embedded here. Loading needs CAP_BPF and CAP_PERFMON, reading
//! none. Nothing is attached to a device: a program is called beside a tracepoint of the kernel. All of it
//! goes when the process ends.

pub(crate) mod btf;
mod drops;

pub use drops::DropReader;
