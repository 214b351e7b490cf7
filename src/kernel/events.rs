//! Link and namespace events of all namespaces, in the kernel's order.
//!

use super::OwnNsid;
use super::error::Error;
use super::wire;
use crate::model::event::Event;
use libc::{RTNLGRP_LINK, RTNLGRP_NSID};
use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, NetlinkAddr, recvmsg, setsockopt};
use std::io::{self, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Holds the events of 1,000 namespaces that are made and killed in 2 s, with room to spare for a reader
/// that is kept from running for a while; the default of 208 KiB loses some at any pause of 20 ms.
const RECEIVE_BUFFER: usize = 8 << 20;

/// One event is a few KB; that of a link with as many alternative names as there can be, 64 KiB more.
const DATAGRAM: usize = 128 * 1024;

/// The socket that receives the kernel's events.
pub struct Events {
    socket: netlink_sys::Socket,
    wakeup: UnixStream,
    own_nsid: OwnNsid,
    buffer: Vec<u8>,
    control: Vec<u8>,
    /// The kernel had no room, and what it had has not been read to its end since.
    overrun: bool,
    /// How far the reader sees.
    pub reach: Reach,
}

/// Which namespaces' events arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every one that has an id.
    All,
    /// The host's alone: CAP_NET_BROADCAST was missing when the socket was opened.
    Host,
}

/// Wakes the reader while it waits.
#[derive(Clone)]
pub struct Waker(Arc<UnixStream>);

impl Waker {
    /// The next wait ends at once.
    pub fn wake(&self) {
        // A full pipe is a reader that is already awake.
        let _ = (&*self.0).write(&[0]);
    }
}

impl Events {
    /// Opens the socket in the namespace of the calling thread; CAP_NET_BROADCAST is needed only for this.
    ///
    /// # Errors
    /// If there can be no socket.
    pub fn open(own_nsid: OwnNsid) -> Result<(Events, Waker), Error> {
        let failed = |doing| move |source| Error::Socket { doing, source };
        let mut socket = netlink_sys::Socket::new(NETLINK_ROUTE).map_err(failed("open a socket"))?;
        // Before the first event can arrive. Without the privilege the size is what net.core.rmem_max allows.
        if setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER).is_err() {
            socket.set_rx_buf_sz(RECEIVE_BUFFER as u32).map_err(failed("enlarge the receive buffer"))?;
        }
        let reach = match socket.set_listen_all_namespaces(true) {
            Ok(()) => Reach::All,
            Err(_) => Reach::Host,
        };
        socket.bind(&SocketAddr::new(0, 0)).map_err(failed("bind"))?;
        for group in [RTNLGRP_LINK, RTNLGRP_NSID] {
            socket.add_membership(group).map_err(failed("join a group of events"))?;
        }
        let (waker, wakeup) = UnixStream::pair().map_err(failed("make a pipe"))?;
        for end in [&waker, &wakeup] {
            end.set_nonblocking(true).map_err(failed("make a pipe"))?;
        }
        let buffer = vec![0; DATAGRAM];
        let control = nix::cmsg_space!(i32, [i32; 4]);
        Ok((
            Events { socket, wakeup, own_nsid, buffer, control, overrun: false, reach },
            Waker(Arc::new(waker)),
        ))
    }

    /// Waits until there is an event or somebody wakes us.
    pub fn wait(&mut self) {
        let mut ready = [
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.wakeup.as_fd(), PollFlags::POLLIN),
        ];
        // Interrupted or not: what is there is read next.
        let _ = poll(&mut ready, PollTimeout::NONE);
        let mut sink = [0; 64];
        while matches!((&self.wakeup).read(&mut sink), Ok(read) if read == sink.len()) {}
    }

    /// Reads all that has arrived by now, in order; at most `most` events at a time. True if there may be
    /// more.
    ///
    /// Events that the kernel had no room for (ENOBUFS) are [`Event::Lost`], at once and when all that it
    /// had room for is read; what cannot be read [`Event::Bad`].
    ///
    /// # Errors
    /// If the socket fails otherwise.
    pub fn read(&mut self, most: usize, events: &mut Vec<Event>) -> Result<bool, Error> {
        while events.len() < most {
            let mut parts = [IoSliceMut::new(&mut self.buffer)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let fd = self.socket.as_raw_fd();
            match recvmsg::<NetlinkAddr>(fd, &mut parts, Some(&mut self.control), flags) {
                Err(Errno::EAGAIN) => {
                    if std::mem::take(&mut self.overrun) {
                        events.push(Event::Lost);
                    }
                    return Ok(false);
                }
                Err(Errno::EINTR) => {}
                // It is told once, and before what was there; until all of that is read the kernel goes on
                // dropping without a word (netlink_overrun in net/netlink/af_netlink.c).
                Err(Errno::ENOBUFS) => {
                    self.overrun = true;
                    events.push(Event::Lost);
                }
                Err(error) => {
                    return Err(Error::Socket { doing: "receive events", source: io::Error::from(error) });
                }
                Ok(received) if received.address.is_some_and(|sender| sender.pid() != 0) => {} // not the kernel
                Ok(received) if received.flags.contains(MsgFlags::MSG_TRUNC) => events.push(Event::Bad),
                Ok(received) => {
                    let source = received.cmsgs().ok().and_then(|mut messages| messages.find_map(source));
                    let (length, own) = (received.bytes, self.own_nsid.get());
                    let source = source.filter(|&nsid| Some(nsid) != own);
                    wire::datagram(&self.buffer[..length], source, own, events);
                }
            }
        }
        Ok(true)
    }
}

/// The namespace that an event comes from; `None` for the host.
fn source(message: ControlMessageOwned) -> Option<u32> {
    let ControlMessageOwned::Unknown(message) = message else { return None };
    let header = message.cmsg_header;
    wire::source(header.cmsg_level, header.cmsg_type, &message.data_bytes)
}
