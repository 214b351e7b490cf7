//! RTM_SETLINK with IFLA_IFALIAS: the aliases of the host's links.

use super::error::Error;
use super::{OwnNsid, Resolver};
use crate::model::alias::Aliases;
use crate::model::host::LookFailure;
use netlink_packet_core::DefaultNla;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use nix::errno::Errno;

/// A reader and writer of aliases. The only part of the program that changes anything in the kernel.
pub(crate) struct AliasWriter {
    resolver: Resolver,
}

impl AliasWriter {
    /// Opens a socket of its own in the namespace of the calling thread.
    ///
    /// # Errors
    /// Fails if the system permits no netlink socket.
    pub(crate) fn open() -> Result<AliasWriter, Error> {
        Ok(AliasWriter { resolver: Resolver::open(OwnNsid::default())? })
    }

    /// Returns the alias of each link of the host; of a link without one, an empty text.
    ///
    /// # Errors
    /// Fails if the links cannot be read, or change all the time.
    pub(crate) fn read(&mut self) -> Result<Aliases, LookFailure> {
        let links = self.resolver.described_links(None)?;
        Ok(links.into_iter().map(|link| (link.ifindex, link.alias)).collect())
    }

    /// Sets the alias of a link of the host; an empty one removes it. A link that is deleted meanwhile is no
    /// error.
    ///
    /// # Errors
    /// Fails without CAP_NET_ADMIN in the user namespace that owns the network namespace.
    pub(crate) fn write(&mut self, ifindex: u32, alias: &str) -> Result<(), Error> {
        let mut request = LinkMessage::default();
        // With no flag in the header and no name no other attribute of the link is changed (`do_setlink` in
        // net/core/rtnetlink.c).
        request.header.index = ifindex;
        // The crate's own attribute ends with NUL, which the kernel would keep as a part of the alias.
        let attribute = DefaultNla::new(libc::IFLA_IFALIAS, alias.as_bytes().to_vec());
        request.attributes.push(LinkAttribute::Other(attribute));
        match self.resolver.socket.change("RTM_SETLINK", RouteNetlinkMessage::SetLink(request)) {
            Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(()),
            written => written,
        }
    }
}
