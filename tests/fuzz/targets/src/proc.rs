//! Texts of procfs: the name and the cgroups of a process, and the counters of links.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use veth_exporter::testing::kernel::TableReader;
use veth_exporter::testing::model::link::{Counters, Name};
use veth_exporter::testing::model::text::Readable;
use veth_exporter::testing::runtimes::process::Processes;

use super::{ALWAYS, in_memory_of, parts, scratch};

/// `comm`, `cgroup` and `net/dev` of a process.
pub fn texts(input: &[u8]) {
    let [comm, cgroup, devices] = parts(input);
    let procfs = procfs();
    for (file, text) in [("7/comm", comm), ("7/cgroup", cgroup)] {
        fs::write(procfs.join(file), text).expect("a file");
    }
    let processes = Processes::new(&procfs);
    in_memory_of(ALWAYS + 32 * input.len(), || {
        let path = processes.cgroup(7);
        let workload = processes.workload(7, path.as_deref(), true);
        let name = workload.map(|workload| workload.name).unwrap_or_default();
        for shown in [&name, path.as_ref().unwrap_or(&String::new())] {
            assert!(!shown.contains(char::is_control), "{shown:?}");
        }
        if let Some(path) = path {
            let lines = cgroup.split(|byte| *byte == b'\n');
            let mut paths = lines.filter_map(|line| line.splitn(3, |byte| *byte == b':').nth(2));
            assert!(paths.any(|line| Readable(line).to_string() == path), "{path:?}");
        }
    });
    in_memory_of(ALWAYS + 64 * input.len(), || counters(devices));
}

/// A table is read again as it was read, when it is written as the kernel writes it.
fn counters(devices: &[u8]) {
    let procfs = procfs();
    let read = |text: &[u8]| -> HashMap<Name, Counters> {
        fs::write(procfs.join("self/net/dev"), text).expect("a file");
        let table = TableReader::new(&procfs).read().expect("it is there");
        let names = text
            .split(|&b| b == b'\n')
            .filter_map(|line| line.trim_ascii_start().split(|&b| b == b':').next());
        let names = names.filter_map(Name::from_bytes);
        names.filter_map(|name| Some((name, table.get(&name)?))).collect()
    };
    let first = read(devices);
    let mut again = b"Inter-|   Receive\n face |bytes    packets\n".to_vec();
    for (name, counters) in &first {
        again.extend_from_slice(b"  ");
        again.extend_from_slice(name.as_bytes());
        let Counters { receive_bytes, receive_packets, receive_dropped, .. } = counters;
        let Counters { transmit_bytes, transmit_packets, transmit_dropped, .. } = counters;
        let receive = format!(
            ": {receive_bytes:7} {receive_packets:7}    1 {receive_dropped:4}    2     3          4         5"
        );
        let transmit = format!(
            " {transmit_bytes:8} {transmit_packets:7}    6 {transmit_dropped:4}    7     8       9          0\n"
        );
        again.extend_from_slice(receive.as_bytes());
        again.extend_from_slice(transmit.as_bytes());
    }
    assert_eq!(read(&again), first);
}

fn procfs() -> PathBuf {
    static PROCFS: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let procfs = scratch().join("proc");
        for folder in ["7", "self/net"] {
            fs::create_dir_all(procfs.join(folder)).expect("a folder");
        }
        procfs
    };
    PROCFS.get_or_init(make).clone()
}
