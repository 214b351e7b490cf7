//! Events that the kernel sends unasked over rtnetlink.

use super::link::{Link, Name};

/// A change of a link or of a namespace id. Namespace ids are those that the host's namespace has assigned.
/// The ids within a link are the host's too if the event comes from the host; otherwise they belong to
/// another namespace's numbering ([`PeerNetns::Elsewhere`]).
///
/// [`PeerNetns::Elsewhere`]: super::link::PeerNetns::Elsewhere
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// RTM_NEWLINK: a link was created, or an attribute of a link has changed.
    Link {
        /// The id of the namespace that the link is in; `None` for the host.
        source: Option<u32>,
        /// The link with its counters at the time of the event.
        link: Link,
    },
    /// RTM_DELLINK: a link has left this namespace.
    Unlink {
        /// The id of the namespace that the link was in; `None` for the host.
        source: Option<u32>,
        /// The link with its last counters.
        link: Link,
        /// True if the message has IFLA_NEW_NETNSID: the link was moved to another namespace, not deleted.
        moved: bool,
    },
    /// RTM_NEWQDISC, RTM_DELQDISC: a link of the host has another root queue discipline, or one with other
    /// options.
    Qdisc {
        /// The ifindex of the link.
        ifindex: u32,
        /// The kind of the present one; `None` if one was deleted, and another event says which one took its
        /// place, or none does for the kernel's default.
        kind: Option<Name>,
    },
    /// RTM_NEWNSID: the kernel has assigned this id to a namespace.
    NewNsid(u32),
    /// RTM_DELNSID: the namespace with this id is gone; the kernel may assign the id to another one at
    /// once.
    DeletedNsid(u32),
    /// ENOBUFS: the socket's buffer was full, and the kernel has dropped events.
    Lost,
    /// A message that the exporter could not parse.
    Bad,
}
