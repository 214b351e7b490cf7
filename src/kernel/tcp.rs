//! /proc/PID/net: the TCP figures of the namespace in which a process is. No capability is needed.
//!
//! An open file of that folder keeps the namespace alive, and with it the veths of a dead container: each
//! file is opened, read and closed at once. /proc/PID/net/tcp lists every socket, and is never read.

use super::links::Resolver;
use crate::model::host::LookFailure;
use crate::model::tcp::{TcpFigures, TcpReading, TcpTarget};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

pub(crate) mod text;

/// The limit of one file, in bytes: netstat has some 4 KiB.
const READ_AT_MOST: usize = 64 << 10;

/// Adds the figures of a text to those that are known.
type AddFigures = fn(&[u8], &mut TcpFigures);

/// The files of /proc/PID/net that are read, each with its parser. Those of a protocol that the kernel does
/// not have are absent.
const FILES: [(&str, AddFigures); 4] = [
    ("snmp", text::add_snmp),
    ("netstat", text::add_netstat),
    ("sockstat", text::add_sockstat),
    ("sockstat6", text::add_sockstat),
];

/// A reader of TCP figures.
pub struct TcpReader {
    resolver: Resolver,
    procfs: PathBuf,
    /// True if the procfs shows the pids that the kernel takes in requests; `None` before the first reading.
    shares_pids: Option<bool>,
    buffer: Box<[u8]>,
}

impl TcpReader {
    /// Creates a reader of this procfs, with a socket of its own to verify namespaces.
    pub fn new(resolver: Resolver, procfs: &Path) -> TcpReader {
        let buffer = vec![0; READ_AT_MOST].into_boxed_slice();
        TcpReader { resolver, procfs: procfs.to_owned(), shares_pids: None, buffer }
    }

    /// Reads the figures of these namespaces.
    pub fn read_all(&mut self, targets: Vec<TcpTarget>) -> Vec<TcpReading> {
        let read = |target| TcpReading { target, answer: self.read(target) };
        targets.into_iter().map(read).collect()
    }

    /// Reads the figures of a namespace by a process that was in it. The pid may be another process's by now,
    /// so the figures count only if the process is in the namespace after the reading.
    fn read(&mut self, target: TcpTarget) -> Result<TcpFigures, LookFailure> {
        if !*self.shares_pids.get_or_insert_with(|| shares_pids(&self.procfs)) {
            return Err(LookFailure::Gone);
        }
        let folder = self.procfs.join(target.pid.to_string()).join("net");
        let mut figures = TcpFigures::default();
        let mut failure = None;
        for (file, add) in FILES {
            match read_file(&folder.join(file), &mut self.buffer) {
                Ok(text) => add(text, &mut figures),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if figures.is_empty() {
            return Err(failure.map_or(LookFailure::Gone, |error| look_failure(&folder, &error)));
        }
        match self.resolver.nsid_of(target.pid) {
            Ok(Some(nsid)) if Some(nsid) == target.netns.nsid() => Ok(figures),
            Ok(_) => Err(LookFailure::Gone),
            Err(failure) => Err(failure),
        }
    }
}

/// Returns the whole lines of a file, as far as they fit the buffer.
fn read_file<'a>(path: &Path, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut file = File::open(path)?;
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let lines = buffer[..length].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    Ok(&buffer[..lines])
}

/// Returns the failure of a reading. A process that has ended has no folder, or an empty one (EINVAL from a
/// file that was opened before, `proc_net_d_revalidate` and `get_proc_task_net` in fs/proc/proc_net.c).
fn look_failure(folder: &Path, error: &io::Error) -> LookFailure {
    const ESRCH: i32 = 3;
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::InvalidInput => LookFailure::Gone,
        _ if error.raw_os_error() == Some(ESRCH) => LookFailure::Gone,
        ErrorKind::PermissionDenied => LookFailure::Denied,
        _ => LookFailure::Failed(format!("{}: {error}", folder.display())),
    }
}

/// Returns true if this procfs is of the exporter's own pid namespace.
pub(super) fn shares_pids(procfs: &Path) -> bool {
    let own = fs::read_link(procfs.join("self"));
    own.is_ok_and(|own| own.to_str() == Some(std::process::id().to_string().as_str()))
}
