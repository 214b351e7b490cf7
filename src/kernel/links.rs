//! RTM_GETLINK: the links of a namespace.

use super::OwnNsid;
use super::answer::AnswerMessage;
use super::error::Error;
use super::socket::NetlinkSocket;
use super::wire;
use crate::model::host::{Links, LookFailure};
use crate::model::link::{DescribedLink, Errors, Link, PeerNetns};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use nix::errno::Errno;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

pub(super) const RTM_GETLINK: &str = "RTM_GETLINK";

/// A reader of links and namespaces. Its answers wait as long as another process holds the kernel's RTNL
/// lock.
pub struct Resolver {
    pub(super) socket: NetlinkSocket,
    pub(super) own_nsid: OwnNsid,
    behind_ports: BehindPorts,
}

/// The ifindices of the host's peers in each namespace, by nsid, as of the last dump of the host.
type BehindPorts = Arc<Mutex<HashMap<u32, Vec<u32>>>>;

/// The largest number of links missing from a dump that are requested one by one.
const ONE_BY_ONE: usize = 64;

impl Resolver {
    /// Opens the socket in the namespace of the calling thread.
    pub fn open(own_nsid: OwnNsid) -> Result<Resolver, Error> {
        Ok(Resolver { socket: NetlinkSocket::open()?, own_nsid, behind_ports: BehindPorts::default() })
    }

    /// Opens another reader, which does not wait behind this one. Both know the host's ports by the last dump
    /// of either.
    pub fn open_another(&self) -> Result<Resolver, Error> {
        let (own_nsid, behind_ports) = (self.own_nsid.clone(), Arc::clone(&self.behind_ports));
        Ok(Resolver { socket: NetlinkSocket::open()?, own_nsid, behind_ports })
    }

    /// Dumps the links of the host (`None`) or of the namespace with this nsid (IFLA_TARGET_NETNSID, which
    /// needs CAP_NET_ADMIN in that namespace). If changes interrupt every attempt, returns the union of all
    /// attempts.
    pub fn links(&mut self, nsid: Option<u32>) -> Result<Links, LookFailure> {
        let mut attempts = Attempts::default();
        let dumped = self.socket.dump(
            RTM_GETLINK,
            dump_of(nsid)?,
            &mut attempts,
            Attempts::begin,
            |attempts, message| match wire::link(message.payload) {
                Some(read) if message.kind == wire::RTM_NEWLINK && read.target == nsid => {
                    attempts.now.links.push(read.link);
                    if read.errors != Errors::default() {
                        attempts.now.errors.push((read.link.ifindex, read.errors));
                    }
                }
                _ => attempts.now.bad_messages += 1,
            },
        );
        let mut found = match dumped {
            Ok(()) => attempts.now,
            Err(Error::Interrupted(_)) => attempts.together(),
            Err(error) => return Err(look_failure(error)),
        };
        if let Some(nsid) = nsid {
            self.add_what_fits_no_dump(nsid, &mut found);
        }
        self.name_the_host(&mut found.links)?;
        if nsid.is_none() {
            let mut behind_ports = self.behind_ports.lock().unwrap_or_else(PoisonError::into_inner);
            behind_ports.clear();
            for link in &found.links {
                if let (PeerNetns::Nsid(nsid), Some(iflink)) = (link.peer_netns, link.iflink) {
                    behind_ports.entry(nsid).or_default().push(iflink);
                }
            }
        }
        Ok(found)
    }

    /// Dumps the links of the host (`None`) or of a namespace with all their names. A link with a message
    /// that is too long for a dump is left out.
    ///
    /// # Errors
    /// Fails as [`links`](Resolver::links) does.
    pub(crate) fn described_links(&mut self, nsid: Option<u32>) -> Result<Vec<DescribedLink>, LookFailure> {
        let mut found = Vec::new();
        let each = |found: &mut Vec<DescribedLink>, message: AnswerMessage<'_>| {
            let read = wire::described(message.payload).filter(|_| message.kind == wire::RTM_NEWLINK);
            found.extend(read.filter(|(_, target)| *target == nsid).map(|(link, _)| link));
        };
        self.socket.dump(RTM_GETLINK, dump_of(nsid)?, &mut found, Vec::clear, each).map_err(look_failure)?;
        Ok(found)
    }

    /// Adds the links that are missing from a dump because their message is too long for it.
    ///
    /// A dump of another namespace ends, without an error, before a link with a message of more than 32
    /// KiB: `rtnl_calcit` in net/core/rtnetlink.c computes the size from the links of the requester's
    /// namespace. Alternative names can make a message 64 KiB long. The known peers of ports are therefore
    /// requested one by one, so that no container can hide its links in this way.
    fn add_what_fits_no_dump(&mut self, nsid: u32, found: &mut Links) {
        let missing: Vec<u32> = {
            let behind_ports = self.behind_ports.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(peers) = behind_ports.get(&nsid) else { return };
            let there: HashSet<u32> = found.links.iter().map(|link| link.ifindex).collect();
            peers.iter().copied().filter(|ifindex| !there.contains(ifindex)).take(ONE_BY_ONE).collect()
        };
        // A link that cannot be read is deleted, or stays hidden.
        found.links.extend(missing.into_iter().filter_map(|ifindex| self.link(Some(nsid), ifindex).ok()));
    }

    /// Reads one link of the host.
    pub fn host_link(&mut self, ifindex: u32) -> Result<Link, LookFailure> {
        let mut link = self.link(None, ifindex).map_err(|error| match error.errno() {
            Some(Errno::ENODEV) => LookFailure::Gone,
            _ => look_failure(error),
        })?;
        self.name_the_host(std::slice::from_mut(&mut link))?;
        Ok(link)
    }

    fn link(&mut self, nsid: Option<u32>, ifindex: u32) -> Result<Link, Error> {
        let mut request = LinkMessage::default();
        request.header.index = ifindex;
        request.attributes.extend(nsid.map(|nsid| LinkAttribute::IfNetnsId(nsid.cast_signed())));
        self.socket.ask(RTM_GETLINK, RouteNetlinkMessage::GetLink(request), |message| {
            let read = wire::link(message.payload)?;
            (message.kind == wire::RTM_NEWLINK && read.target == nsid).then_some(read.link)
        })
    }

    /// Replaces the host's own nsid in the links by [`PeerNetns::Host`]. A dump assigns an id to the
    /// namespace of every peer, the host's own included.
    pub(super) fn name_the_host(&mut self, links: &mut [Link]) -> Result<(), LookFailure> {
        let foreign = |link: &Link| matches!(link.peer_netns, PeerNetns::Nsid(_));
        if self.own_nsid.get().is_none() && links.iter().any(foreign) {
            self.learn_own_nsid().map_err(look_failure)?;
        }
        if let Some(own) = self.own_nsid.get() {
            links.iter_mut().for_each(|link| wire::name_the_host(link, own));
        }
        Ok(())
    }
}

/// Returns the request for all links of the host (`None`) or of the namespace with this nsid.
pub(super) fn dump_of(nsid: Option<u32>) -> Result<RouteNetlinkMessage, LookFailure> {
    let mut request = LinkMessage::default();
    // `rtnl_get_net_ns_capable` in net/core/rtnetlink.c: EINVAL for an id that no namespace has.
    if let Some(nsid) = nsid {
        let id = i32::try_from(nsid).map_err(|_| LookFailure::Gone)?;
        request.attributes.push(LinkAttribute::IfNetnsId(id));
    }
    Ok(RouteNetlinkMessage::GetLink(request))
}

/// The attempts at a consistent dump. A process that makes and deletes links without pause can interrupt
/// every attempt; this must hide no other link.
#[derive(Default)]
struct Attempts {
    now: Links,
    /// Links of earlier attempts, by ifindex.
    before: BTreeMap<u32, Link>,
    errors_before: BTreeMap<u32, Errors>,
}

impl Attempts {
    fn begin(&mut self) {
        self.before.extend(self.now.links.drain(..).map(|link| (link.ifindex, link)));
        self.errors_before.extend(self.now.errors.drain(..));
        self.now.clear();
    }

    /// Returns the union of all attempts; of a link the newest state counts. The union contains every link
    /// that existed all the time. It may contain a link that was deleted meanwhile: the event of the
    /// deletion is trusted as ever and removes that link again.
    fn together(mut self) -> Links {
        self.begin();
        Links {
            links: self.before.into_values().collect(),
            errors: self.errors_before.into_iter().collect(),
            bad_messages: self.now.bad_messages,
        }
    }
}

/// Converts an error into the failure that the caller can act on.
pub(super) fn look_failure(error: Error) -> LookFailure {
    match error.errno() {
        Some(Errno::EPERM | Errno::EACCES) => LookFailure::Denied,
        Some(Errno::EINVAL | Errno::ENOENT) => LookFailure::Gone,
        _ => LookFailure::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(ifindex: u32, mtu: u32) -> Link {
        Link { ifindex, mtu, ..Link::default() }
    }

    #[test]
    fn what_interrupted_attempts_have_found_together_is_each_link_once_as_it_was_last_seen() {
        let mut attempts = Attempts::default();
        for found in [vec![link(1, 10), link(2, 10)], vec![link(2, 20), link(3, 20)], vec![link(1, 30)]] {
            attempts.begin();
            attempts.now.links = found;
        }
        let together = attempts.together();
        assert_eq!(together.links, [link(1, 30), link(2, 20), link(3, 20)]);
    }
}
