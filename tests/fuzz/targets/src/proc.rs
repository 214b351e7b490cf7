//! Texts of procfs: the name and the cgroups of a process, the counters of links, and the TCP figures of a namespace.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use veth_exporter::testing::kernel::tcp::{add_netstat, add_snmp, add_sockstat};
use veth_exporter::testing::kernel::{TableReader, facts as kernel};
use veth_exporter::testing::model::link::{Counters, Name};
use veth_exporter::testing::model::tcp::{TcpCounter, TcpFigures};
use veth_exporter::testing::model::text::Readable;
use veth_exporter::testing::runtimes::process::Processes;

use super::{ALWAYS, in_memory_of, parts, scratch};

/// `comm`, `cgroup` and `net/dev` of a process; `net/snmp` or `net/netstat`, and `net/sockstat`; another file
/// of `net`.
pub fn texts(input: &[u8]) {
    let [comm, cgroup, devices, counted, sockets, network] = parts(input);
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
    in_memory_of(ALWAYS + 64 * network.len(), || facts(network));
}

/// The text is tried as every file of `net`; a second reader, by words as strings, says what each line is.
fn facts(text: &[u8]) {
    let lines = || text.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let mut of_lines = lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let is_unreadable = std::str::from_utf8(text).is_err();
    for route in kernel::routes(text).into_iter().chain(kernel::ipv6_routes(text)) {
        let longest = if route.destination.is_ipv4() { 32 } else { 128 };
        assert!(route.prefix <= longest && route.device != "lo", "{route:?}");
        assert!(
            !route.device.contains(char::is_control) && route.refuses == route.device.is_empty(),
            "{route:?}"
        );
        assert!(
            route
                .gateway
                .is_none_or(|hop| hop.is_unspecified() || hop.is_ipv4() == route.destination.is_ipv4()),
            "{route:?}"
        );
    }
    for neighbour in kernel::neighbours(text) {
        let address = neighbour.address.to_string();
        let is_there = of_lines.any(|words| words.first() == Some(&address.as_str()));
        assert!(is_unreadable || is_there, "{neighbour:?}");
    }
    let listening = lines().filter_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (address, port) = words.get(1)?.split_once(':').filter(|_| words.get(3) == Some(&"0A"))?;
        let digits = [address, port].concat();
        let is_one = digits.bytes().all(|byte| byte.is_ascii_hexdigit()) && [8, 32].contains(&address.len());
        u16::from_str_radix(port, 16).ok().filter(|_| is_one)
    });
    let ours = kernel::listening(text);
    if !is_unreadable {
        assert_eq!(ours.iter().map(|end| end.port()).collect::<Vec<_>>(), listening.collect::<Vec<_>>());
    }
    kernel::stack(text, text);
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
