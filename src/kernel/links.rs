//! RTM_GETLINK: the links of a namespace.

use super::OwnNsid;
use super::socket::{Error, Socket};
use super::wire;
use crate::model::host::{Links, LookFailure};
use crate::model::link::{Errors, PeerNetns};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};

const RTM_GETLINK: &str = "RTM_GETLINK";
const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;

/// Asks which links and namespaces there are. Its answers can take as long as the kernel's RTNL lock is held
/// by somebody else.
pub struct Resolver {
    pub(super) socket: Socket,
    pub(super) own_nsid: OwnNsid,
}

impl Resolver {
    /// Opens its socket in the namespace of the calling thread.
    pub fn open(own_nsid: OwnNsid) -> Result<Resolver, Error> {
        Ok(Resolver { socket: Socket::open()?, own_nsid })
    }

    /// Dumps the links of the host (`None`) or of the namespace with that nsid (IFLA_TARGET_NETNSID, which
    /// needs CAP_NET_ADMIN there).
    pub fn links(&mut self, nsid: Option<u32>) -> Result<Links, LookFailure> {
        let mut request = LinkMessage::default();
        // `rtnl_get_net_ns_capable` in net/core/rtnetlink.c: EINVAL for an id that nobody has.
        if let Some(nsid) = nsid {
            let id = i32::try_from(nsid).map_err(|_| LookFailure::Gone)?;
            request.attributes.push(LinkAttribute::IfNetnsId(id));
        }
        let mut found = Links::default();
        self.socket
            .dump(
                RTM_GETLINK,
                RouteNetlinkMessage::GetLink(request),
                &mut found,
                Links::clear,
                |found, message| match wire::link(message.payload) {
                    Some(read) if message.kind == wire::RTM_NEWLINK && read.target == nsid => {
                        if read.errors != Errors::default() {
                            found.errors.push((read.link.ifindex, read.errors));
                        }
                        found.links.push(read.link);
                    }
                    _ => found.bad_messages += 1,
                },
            )
            .map_err(look_failure)?;
        self.name_the_host(&mut found)?;
        Ok(found)
    }

    /// A dump hands an id to the namespace of every peer, the host's own included. Whatever points to it
    /// points to the host.
    fn name_the_host(&mut self, found: &mut Links) -> Result<(), LookFailure> {
        let foreign = |link: &crate::model::link::Link| matches!(link.peer_netns, PeerNetns::Nsid(_));
        if self.own_nsid.get().is_none() && found.links.iter().any(foreign) {
            self.learn_own_nsid().map_err(look_failure)?;
        }
        if let Some(own) = self.own_nsid.get() {
            found.links.iter_mut().for_each(|link| wire::name_the_host(link, own));
        }
        Ok(())
    }
}

/// What the caller can do about an error when it looked into a namespace.
pub(super) fn look_failure(error: Error) -> LookFailure {
    match error.errno() {
        Some(EPERM | EACCES) => LookFailure::Denied,
        Some(EINVAL | ENOENT) => LookFailure::Gone,
        _ => LookFailure::Failed(error.to_string()),
    }
}
