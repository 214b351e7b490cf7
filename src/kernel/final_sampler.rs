//! Final samples: the last counters of a link before the deletion of its peer takes it away.
//!
//! RTM_GETSTATS waits for the RTNL lock, which the kernel holds while it deletes the links of a dead
//! namespace: its answer can come too late. Two kinds of files are read without that lock:
//! /sys/class/net/NAME/statistics of one link (`netstat_show` in net/core/net-sysfs.c) and /proc/net/dev of
//! all links (`dev_seq_show` in net/core/net-procfs.c). /proc/net/dev is read only while it is short; the
//! newest links come last in it.

use super::Sampler;
use crate::model::device_table::DeviceTable;
use crate::model::link::{Counters, Name};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The limit of one read of the table, in bytes: some 300 links, in half a millisecond.
const READ_AT_MOST: u64 = 64 << 10;

/// The room for what a text is longer than the last one, in bytes: some 40 links.
const LONGER: usize = 4 << 10;

/// The number of reads that are left out after the table was too long.
const TOO_LONG_FOR: u32 = 256;

/// The sysfs folder of links. It shows the links of the namespace in which sysfs was mounted.
pub(crate) const SYSFS_NET: &str = "/sys/class/net";

/// A reader of /proc/net/dev of the exporter's own namespace.
#[derive(Clone)]
pub struct TableReader {
    path: PathBuf,
    /// The length of the last text, in bytes: the next is about as long.
    length: usize,
    /// The number of reads that are still to be left out because the table was too long.
    skip: u32,
}

impl TableReader {
    /// Returns a reader of the table of this procfs.
    pub fn new(procfs: &Path) -> TableReader {
        TableReader { path: procfs.join("self/net/dev"), length: 0, skip: 0 }
    }

    /// Returns the present table. Returns `None` if it cannot be read, or is too long to be read in half a
    /// millisecond: the caller then reads single links.
    pub fn read(&mut self) -> Option<DeviceTable> {
        if let Some(left) = self.skip.checked_sub(1) {
            self.skip = left;
            return None;
        }
        let mut text = Vec::with_capacity(self.length + LONGER);
        let read = File::open(&self.path).ok()?.take(READ_AT_MOST).read_to_end(&mut text).ok()?;
        if read as u64 == READ_AT_MOST {
            self.skip = TOO_LONG_FOR;
            return None;
        }
        self.length = read;
        Some(DeviceTable::new(text))
    }
}

/// Reads the counters of a link from sysfs. Returns `None` if the link is not there, or if sysfs shows
/// another namespace (`nsenter` leaves /sys as it was): the link of this name then has another index.
fn statistics(folder: &Path, ifindex: u32, name: &Name) -> Option<Counters> {
    let link = folder.join(OsStr::from_bytes(name.as_bytes()));
    let number = |file: &str| -> Option<u64> {
        let mut text = [0; 24];
        let read = File::open(link.join(file)).ok()?.read(&mut text).ok()?;
        std::str::from_utf8(&text[..read]).ok()?.trim_end().parse().ok()
    };
    if number("ifindex") != Some(u64::from(ifindex)) {
        return None;
    }
    Some(Counters {
        receive_bytes: number("statistics/rx_bytes")?,
        receive_packets: number("statistics/rx_packets")?,
        receive_dropped: number("statistics/rx_dropped")?,
        transmit_bytes: number("statistics/tx_bytes")?,
        transmit_packets: number("statistics/tx_packets")?,
        transmit_dropped: number("statistics/tx_dropped")?,
    })
}

/// The time within which a link that was read in sysfs, and is not there any more, is gone: the next sign of
/// the same end comes so soon.
const READ_BEFORE: Duration = Duration::from_secs(1);

/// A reader of final samples, with a socket of its own.
pub struct FinalSampler {
    sampler: Sampler,
    table: TableReader,
    /// The sysfs folder of links.
    sysfs: PathBuf,
    /// The links that were read in sysfs within [`READ_BEFORE`], with the time of the last reading.
    read: HashMap<u32, Instant>,
}

impl FinalSampler {
    /// Creates a sampler that reads sysfs first, then the table, and asks `sampler` for links that neither
    /// has.
    pub fn new(table: TableReader, sampler: Sampler) -> FinalSampler {
        FinalSampler { sampler, table, sysfs: SYSFS_NET.into(), read: HashMap::new() }
    }

    /// Returns the counters of these links of the host. Links that are already deleted are left out.
    pub fn last(&mut self, links: Vec<(u32, Name)>) -> Vec<(u32, Counters)> {
        self.last_at(links, Instant::now())
    }

    fn last_at(&mut self, links: Vec<(u32, Name)>, now: Instant) -> Vec<(u32, Counters)> {
        self.read.retain(|_, read| now.duration_since(*read) < READ_BEFORE);
        let mut table = None;
        let last = |(ifindex, name)| Some((ifindex, self.last_of(ifindex, &name, now, &mut table)?));
        links.into_iter().filter_map(last).collect()
    }

    fn last_of(
        &mut self,
        ifindex: u32,
        name: &Name,
        now: Instant,
        table: &mut Option<DeviceTable>,
    ) -> Option<Counters> {
        if let Some(counters) = statistics(&self.sysfs, ifindex, name) {
            self.read.insert(ifindex, now);
            return Some(counters);
        }
        // A request for a link that is gone waits for the lock too, and is answered by an error.
        if self.read.contains_key(&ifindex) {
            return None;
        }
        let table = table.get_or_insert_with(|| self.table.read().unwrap_or_default());
        table.get(name).or_else(|| self.sampler.sample_link(ifindex).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sysfs folder that has one link, veth1. It is removed when this goes.
    struct Sysfs(PathBuf);

    impl Sysfs {
        fn with_veth1(test: &str, ifindex: u32) -> Sysfs {
            let folder = std::env::temp_dir().join(format!("veth-exporter-{test}-{}", std::process::id()));
            let statistics = folder.join("veth1/statistics");
            std::fs::create_dir_all(&statistics).unwrap();
            std::fs::write(folder.join("veth1/ifindex"), format!("{ifindex}\n")).unwrap();
            let files = ["rx_bytes", "rx_packets", "rx_dropped", "tx_bytes", "tx_packets", "tx_dropped"];
            for (number, file) in (u64::MAX - 5..=u64::MAX).zip(files) {
                std::fs::write(statistics.join(file), format!("{number}\n")).unwrap();
            }
            Sysfs(folder)
        }
    }

    impl Drop for Sysfs {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_link_of_sysfs_is_read_only_if_it_has_the_index() {
        let sysfs = Sysfs::with_veth1("index", 7);
        let name = Name::from_bytes(b"veth1").unwrap();
        let counters = statistics(&sysfs.0, 7, &name).unwrap();
        assert_eq!((counters.receive_bytes, counters.transmit_dropped), (u64::MAX - 5, u64::MAX));
        assert_eq!(statistics(&sysfs.0, 8, &name), None);
        assert_eq!(statistics(&sysfs.0, 7, &Name::from_bytes(b"veth2").unwrap()), None);
    }

    #[test]
    fn the_kernel_is_not_asked_for_a_link_that_was_read_a_moment_ago_and_is_gone() {
        // The index of every namespace's loopback: the kernel answers a request for it.
        const LOOPBACK: u32 = 1;
        let sysfs = Sysfs::with_veth1("again", LOOPBACK);
        let mut sampler = FinalSampler {
            sampler: Sampler::open().unwrap(),
            table: TableReader::new(Path::new("/nonexistent")),
            sysfs: sysfs.0.clone(),
            read: HashMap::new(),
        };
        let mut sample = |now| {
            let last = sampler.last_at(vec![(LOOPBACK, Name::from_bytes(b"veth1").unwrap())], now);
            last.len()
        };
        let begin = Instant::now();
        assert_eq!(sample(begin), 1, "read in sysfs");
        drop(sysfs);
        let moment = Duration::from_millis(1);
        assert_eq!(sample(begin + READ_BEFORE - moment), 0, "the kernel was asked");
        assert_eq!(sample(begin + READ_BEFORE), 1, "a link that was not read needs the kernel");
    }
}
