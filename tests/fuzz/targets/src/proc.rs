//! Texts of procfs: the name and the cgroups of a process, the counters of links, and the TCP figures of a namespace.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use veth_exporter::testing::kernel::TableReader;
use veth_exporter::testing::kernel::tcp::{add_netstat, add_snmp, add_sockstat};
use veth_exporter::testing::model::link::{Counters, Name};
use veth_exporter::testing::model::tcp::{TcpCounter, TcpFigures};
use veth_exporter::testing::model::text::Readable;
use veth_exporter::testing::runtimes::process::Processes;

use super::{ALWAYS, in_memory_of, parts, scratch};

/// `comm`, `cgroup` and `net/dev` of a process; `net/snmp` or `net/netstat`, and `net/sockstat`.
pub fn texts(input: &[u8]) {
    let [comm, cgroup, devices, counted, sockets] = parts(input);
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
    tcp(counted, sockets);
}

/// A figure is that of a second reader, which takes the text apart by lines and words as strings.
fn tcp(counted: &[u8], sockets: &[u8]) {
    let mut figures = TcpFigures::default();
    in_memory_of(ALWAYS, || {
        add_snmp(counted, &mut figures);
        add_netstat(counted, &mut figures);
        add_sockstat(sockets, &mut figures);
    });
    for (counter, section, column) in [
        (TcpCounter::SegmentsSent, "Tcp:", "OutSegs"),
        (TcpCounter::SegmentsRetransmitted, "Tcp:", "RetransSegs"),
        (TcpCounter::ListenDrops, "TcpExt:", "ListenDrops"),
    ] {
        assert_eq!(figures.counter(counter), column_of(counted, section, column), "{section} {column}");
    }
    if figures.sockets().is_some() {
        assert!(sockets.windows(5).any(|window| window == b"inuse"));
    }
}

/// The last value of a column in the first two lines of a section, which are one below the other.
fn column_of(text: &[u8], section: &str, column: &str) -> Option<u64> {
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let at = lines.iter().position(|line| line.starts_with(section.as_bytes()))?;
    let words = |line: &[u8]| -> Option<Vec<String>> {
        let rest = line.strip_prefix(section.as_bytes())?;
        let words = rest.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        Some(words.map(|word| word.escape_ascii().to_string()).collect())
    };
    let (names, values) = (words(lines[at])?, words(lines.get(at + 1)?)?);
    let found = names.iter().zip(&values).filter(|(name, _)| *name == column);
    let number = |value: &str| value.parse().ok().filter(|_| !value.starts_with('+'));
    found.filter_map(|(_, value)| number(value)).next_back()
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
