//! RTM_GETNSID and RTM_NEWNSID: the nsid of the namespace of a process or a file.

use super::error::Error;
use super::links::{Resolver, look_failure};
use super::wire;
use crate::model::host::{Located, LookFailure};
use crate::model::workload::Locator;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use nix::errno::Errno;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

impl Resolver {
    /// Finds the namespace of a claim, and assigns an nsid if the namespace has none (which needs
    /// CAP_NET_ADMIN).
    ///
    /// The file of a path is open only for the time of the call: an open descriptor would keep the network
    /// of a dead container alive.
    pub fn locate(&mut self, locator: &Locator) -> Result<Located, LookFailure> {
        match locator {
            Locator::Pid(pid) => self.locate_by(NsidAttribute::Pid(*pid)),
            // The kernel knows no containers.
            Locator::Container(_) => Err(LookFailure::Gone),
            Locator::Path(path) => match open_namespace(path) {
                Ok(file) => self.locate_by(NsidAttribute::Fd(file.as_raw_fd().unsigned_abs())),
                Err(error) => Err(match error.kind() {
                    io::ErrorKind::NotFound => LookFailure::Gone,
                    io::ErrorKind::PermissionDenied => LookFailure::Denied,
                    _ => LookFailure::Failed(format!("cannot open {}: {error}", path.display())),
                }),
            },
        }
    }

    /// Returns the nsid of the namespace of a process, if it has one; never assigns one.
    pub fn nsid_of(&mut self, pid: u32) -> Result<Option<u32>, LookFailure> {
        self.nsid(NsidAttribute::Pid(pid)).map_err(|error| match error.errno() {
            Some(Errno::ESRCH) => LookFailure::Gone,
            _ => look_failure(error),
        })
    }

    fn locate_by(&mut self, which: NsidAttribute) -> Result<Located, LookFailure> {
        let failure = |error: Error| match error.errno() {
            Some(Errno::ESRCH) => LookFailure::Gone,
            _ => look_failure(error),
        };
        let mut nsid = self.nsid(which.clone()).map_err(failure)?;
        if nsid.is_none() && self.assign(which.clone()).is_ok() {
            nsid = self.nsid(which).map_err(failure)?;
            // The namespace that just got an id may be the exporter's own.
            self.learn_own_nsid().map_err(failure)?;
        }
        Ok(match nsid {
            None => Located::WithoutId,
            Some(nsid) if Some(nsid) == self.own_nsid.get() => Located::Host,
            Some(nsid) => Located::Nsid(nsid),
        })
    }

    pub(super) fn learn_own_nsid(&mut self) -> Result<(), Error> {
        let own = self.nsid(NsidAttribute::Pid(std::process::id()))?;
        self.own_nsid.set(own);
        Ok(())
    }

    fn nsid(&mut self, which: NsidAttribute) -> Result<Option<u32>, Error> {
        let request = RouteNetlinkMessage::GetNsId(message(vec![which]));
        self.socket.ask("RTM_GETNSID", request, |answer| {
            (answer.kind == wire::RTM_NEWNSID).then(|| wire::nsid(answer.payload)).flatten()
        })
    }

    fn assign(&mut self, which: NsidAttribute) -> Result<(), Error> {
        const ANY: i32 = -1;
        let request = RouteNetlinkMessage::NewNsId(message(vec![NsidAttribute::Id(ANY), which]));
        self.socket.change("RTM_NEWNSID", request)
    }
}

fn message(attributes: Vec<NsidAttribute>) -> NsidMessage {
    let mut message = NsidMessage::default();
    message.attributes = attributes;
    message
}

/// Opens a namespace's file. A file that is certainly of another kind is not even opened.
fn open_namespace(path: &Path) -> io::Result<File> {
    let not_one = || io::Error::new(io::ErrorKind::InvalidInput, "not a network namespace");
    if !fs::metadata(path)?.is_file() {
        return Err(not_one());
    }
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    // All namespace files are on one file system: a namespace's file has the same device as the exporter's
    // own.
    let own = fs::metadata("/proc/self/ns/net")?;
    if file.metadata()?.dev() != own.dev() { Err(not_one()) } else { Ok(file) }
}
