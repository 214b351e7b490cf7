//! Link and namespace events of all namespaces, and those of the host's queue disciplines, in the kernel's
//! order.
//!
//! One socket receives the events of every namespace that has an nsid (NETLINK_LISTEN_ALL_NSID).

use super::OwnNsid;
use super::error::Error;
use super::stats::Sampler;
use super::wire;
use crate::model::event::Event;
use libc::{RTNLGRP_LINK, RTNLGRP_NSID, RTNLGRP_TC};
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

/// The receive buffer's size in bytes. It holds the events of 1,000 namespaces that are made and deleted in
/// 2 s, with a reserve for a reader that does not run for a while. The default of 208 KiB loses events at
/// any pause of 20 ms.
const RECEIVE_BUFFER: usize = 8 << 20;

/// The longest datagram in bytes. One event has a few KB; the event of a link with the largest number of
/// alternative names has 64 KiB more.
const DATAGRAM: usize = 128 * 1024;

/// The socket that receives the kernel's events.
pub struct Events {
    socket: netlink_sys::Socket,
    wakeup: UnixStream,
    own_nsid: OwnNsid,
    buffer: Vec<u8>,
    control: Vec<u8>,
    /// True from the time that the kernel drops an event (ENOBUFS) until the socket is read to its end.
    overrun: bool,
    /// The netlink port of the sampler: the kernel sends every listener its answers about queue disciplines.
    sampler: Option<u32>,
    /// The namespaces from which events arrive.
    pub reach: Reach,
}

/// The namespaces from which events arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every namespace that has an id.
    All,
    /// The host alone: CAP_NET_BROADCAST was missing when the socket was opened.
    Host,
}

/// A handle that wakes the reader of events while it waits.
#[derive(Clone)]
pub struct Waker(Arc<UnixStream>);

impl Waker {
    /// Ends the reader's current wait, or else its next one.
    pub fn wake(&self) {
        // The pipe is full only if the reader is already awake.
        let _ = (&*self.0).write(&[0]);
    }
}

impl Events {
    /// Opens the socket in the namespace of the calling thread. Only this step needs CAP_NET_BROADCAST.
    ///
    /// # Errors
    /// If the socket cannot be opened.
    pub fn open(own_nsid: OwnNsid) -> Result<(Events, Waker), Error> {
        let failed = |doing| move |reason| Error::Socket { doing, reason };
        let mut socket = netlink_sys::Socket::new(NETLINK_ROUTE).map_err(failed("open a socket"))?;
        // The size must be set before the first event can arrive. Without CAP_NET_ADMIN net.core.rmem_max
        // limits it.
        if setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER).is_err() {
            socket.set_rx_buf_sz(RECEIVE_BUFFER as u32).map_err(failed("enlarge the receive buffer"))?;
        }
        let reach = match socket.set_listen_all_namespaces(true) {
            Ok(()) => Reach::All,
            Err(_) => Reach::Host,
        };
        socket.bind(&SocketAddr::new(0, 0)).map_err(failed("bind"))?;
        for group in [RTNLGRP_LINK, RTNLGRP_NSID, RTNLGRP_TC] {
            socket.add_membership(group).map_err(failed("join a group of events"))?;
        }
        let (waker, wakeup) = UnixStream::pair().map_err(failed("make a pipe"))?;
        for end in [&waker, &wakeup] {
            end.set_nonblocking(true).map_err(failed("make a pipe"))?;
        }
        let buffer = vec![0; DATAGRAM];
        let control = nix::cmsg_space!(i32, [i32; 4]);
        Ok((
            Events { socket, wakeup, own_nsid, buffer, control, overrun: false, sampler: None, reach },
            Waker(Arc::new(waker)),
        ))
    }

    /// Leaves out the notifications that the kernel sends when this sampler reads a queue discipline.
    pub fn ignore_readings_of(&mut self, sampler: &Sampler) {
        self.sampler = Some(sampler.socket.port());
    }

    /// Waits until an event arrives or a `Waker` ends the wait.
    pub fn wait(&mut self) {
        let mut ready = [
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.wakeup.as_fd(), PollFlags::POLLIN),
        ];
        // The result does not matter: the next step reads the socket in any case.
        let _ = poll(&mut ready, PollTimeout::NONE);
        let mut sink = [0; 64];
        while matches!((&self.wakeup).read(&mut sink), Ok(read) if read == sink.len()) {}
    }

    /// Reads the events that have arrived, in order, and stops after `most` of them. Returns true if there
    /// may be more.
    ///
    /// Events that the kernel dropped for lack of buffer space (ENOBUFS) are reported as [`Event::Lost`]
    /// twice: at once, and when the buffer is empty. An unreadable event is [`Event::Bad`].
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
                // The kernel reports the overrun once, ahead of the events that the buffer still holds.
                // Until all of these are read it drops further events without a report (netlink_overrun in
                // net/netlink/af_netlink.c).
                Err(Errno::ENOBUFS) => {
                    self.overrun = true;
                    events.push(Event::Lost);
                }
                Err(error) => {
                    return Err(Error::Socket { doing: "receive events", reason: io::Error::from(error) });
                }
                Ok(received) if received.address.is_some_and(|sender| sender.pid() != 0) => {} // not the kernel
                Ok(received) if received.flags.contains(MsgFlags::MSG_TRUNC) => events.push(Event::Bad),
                Ok(received) => {
                    let source = received.cmsgs().ok().and_then(|mut messages| messages.find_map(source));
                    let (length, own) = (received.bytes, self.own_nsid.get());
                    let source = source.filter(|&nsid| Some(nsid) != own);
                    let datagram = &self.buffer[..length];
                    let is_reading = |port| source.is_none() && wire::is_reading_by(datagram, port);
                    if !self.sampler.is_some_and(is_reading) {
                        wire::datagram(datagram, source, own, events);
                    }
                }
            }
        }
        Ok(true)
    }
}

/// Returns the namespace that an event comes from; `None` for the host.
fn source(message: ControlMessageOwned) -> Option<u32> {
    let ControlMessageOwned::Unknown(message) = message else { return None };
    let header = message.cmsg_header;
    wire::source(header.cmsg_level, header.cmsg_type, &message.data_bytes)
}
