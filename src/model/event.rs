//! What the kernel tells unasked.

use super::link::Link;

/// Something that happened in a namespace. Ids are those of the host; within a link they are if the event
/// comes from the host, and of another namespace's numbering otherwise ([`PeerNetns::Elsewhere`]).
///
/// [`PeerNetns::Elsewhere`]: super::link::PeerNetns::Elsewhere
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// RTM_NEWLINK: a link is new, or something about it has changed.
    Link {
        /// In which namespace; `None` for the host.
        source: Option<u32>,
        /// The link with its counters of that moment.
        link: Link,
    },
    /// RTM_DELLINK: a link is not in this namespace any more.
    Unlink {
        /// In which namespace; `None` for the host.
        source: Option<u32>,
        /// The link with its last counters.
        link: Link,
        /// IFLA_NEW_NETNSID: it lives on elsewhere.
        moved: bool,
    },
    /// RTM_NEWNSID: a namespace has got this id.
    NewNsid(u32),
    /// RTM_DELNSID: the namespace with this id is gone; the id may be given to another at once.
    DeletedNsid(u32),
    /// The kernel had no room for events (ENOBUFS).
    Lost,
    /// A message that could not be read.
    Bad,
}
