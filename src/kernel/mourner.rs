//! The last counters of links whose peers are about to go.
//!
//! RTM_GETSTATS waits for the RTNL lock, which the kernel holds while it takes a dead namespace's links
//! down: an answer can come too late. /proc/net/dev is written without it (`dev_seq_show` in
//! net/core/net-procfs.c), so it is read first, as far as it is short: a host with very many links is asked
//! about each.

use super::Sampler;
use crate::model::link::{Counters, Name};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// So many bytes are read of the table: 500 links, in a millisecond.
const READ_AT_MOST: u64 = 128 << 10;

/// Reads /proc/net/dev of its own namespace.
#[derive(Clone)]
pub struct DeviceTable {
    path: PathBuf,
    text: Vec<u8>,
}

impl DeviceTable {
    /// That of this procfs.
    pub fn new(procfs: &Path) -> DeviceTable {
        DeviceTable { path: procfs.join("self/net/dev"), text: Vec::new() }
    }

    /// The counters of the first links in it, of as many as can be read in a millisecond; `None` if it
    /// cannot be read.
    pub fn read(&mut self) -> Option<HashMap<Name, Counters>> {
        self.text.clear();
        File::open(&self.path).ok()?.take(READ_AT_MOST).read_to_end(&mut self.text).ok()?;
        Some(counters(&self.text).collect())
    }
}

/// Reads last counters, on a socket of its own.
pub struct Mourner {
    sampler: Sampler,
    table: DeviceTable,
}

impl Mourner {
    /// One that reads this table, and asks this sampler for what is not in it.
    pub fn new(table: DeviceTable, sampler: Sampler) -> Mourner {
        Mourner { sampler, table }
    }

    /// The counters of these links of the host, as far as they are still there.
    pub fn last(&mut self, links: Vec<(u32, Name)>) -> Vec<(u32, Counters)> {
        // What is not in the table is asked for: so it may not be there, without harm.
        let table = self.table.read().unwrap_or_default();
        let mut last = |(ifindex, name): (u32, Name)| {
            let counters = table.get(&name).copied().or_else(|| self.sampler.sample_link(ifindex).ok()?)?;
            Some((ifindex, counters))
        };
        links.into_iter().filter_map(&mut last).collect()
    }
}

/// The lines of /proc/net/dev (proc(5)): `name:`, then eight numbers received and eight sent, of each
/// bytes, packets, errors and drops first. A name has neither blanks nor colons. A line that was cut off is
/// none.
fn counters(table: &[u8]) -> impl Iterator<Item = (Name, Counters)> {
    let whole = table.split_inclusive(|&b| b == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    whole.filter_map(|line| {
        let colon = line.iter().position(|&b| b == b':')?;
        let (name, numbers) = (line[..colon].trim_ascii_start(), &line[colon + 1..]);
        let numbers = numbers.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let mut numbers = numbers.map(|word| std::str::from_utf8(word).ok()?.parse::<u64>().ok());
        let mut four = || Some([numbers.next()??, numbers.next()??, numbers.next()??, numbers.next()??]);
        let [receive_bytes, receive_packets, _, receive_dropped] = four()?;
        four()?;
        let [transmit_bytes, transmit_packets, _, transmit_dropped] = four()?;
        let counters = Counters {
            receive_bytes,
            receive_packets,
            receive_dropped,
            transmit_bytes,
            transmit_packets,
            transmit_dropped,
        };
        Some((Name::from_bytes(name)?, counters))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.18 writes it.
    const TABLE: &[u8] = b"Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
 veth1:    1146      13    0    1    0     0          0         0      810       9    0    2    0     0       0          0
veth12:       7       1    0    0    0     0          0         0        8       1    0    0    0     0       0          0
veth2:        9       1    0    0";

    fn of(name: &str) -> Option<Counters> {
        counters(TABLE).find(|(link, _)| link.as_bytes() == name.as_bytes()).map(|(_, counters)| counters)
    }

    #[test]
    fn a_links_line_is_found_by_its_whole_name() {
        let veth1 = Counters {
            receive_bytes: 1146,
            receive_packets: 13,
            receive_dropped: 1,
            transmit_bytes: 810,
            transmit_packets: 9,
            transmit_dropped: 2,
        };
        assert_eq!(of("veth1"), Some(veth1));
        assert_eq!(of("veth12").map(|counters| counters.transmit_bytes), Some(8));
        assert_eq!(of("veth"), None);
        assert_eq!(of(" face |bytes"), None);
    }

    #[test]
    fn a_line_that_was_cut_off_is_no_line() {
        assert_eq!(of("veth2"), None);
    }
}
