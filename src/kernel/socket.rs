//! A synchronous netlink socket that checks every message before it is used.

use super::answer::{AnswerMessage, NetlinkAnswer, Until};
use super::error::Error;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_ECHO, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::SocketAddr;
use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use std::io;
use std::thread;
use std::time::Duration;

pub(super) struct NetlinkSocket {
    inner: netlink_sys::Socket,
    port: u32,
    sequence: u32,
    buffer: Vec<u8>,
}

/// The buffer's size in bytes, above that of any datagram. The kernel fills at most 32 KiB of a dump
/// (`netlink_dump` in net/netlink/af_netlink.c), and the message of a single link has up to 64 KiB of
/// alternative names and some KiB more.
const BUFFER: usize = 128 * 1024;

/// The pauses before the attempts at a consistent dump, in milliseconds. A dump that is interrupted in
/// every attempt fails. Changes come in bursts: a start of twenty containers at once interrupts every dump
/// for some 10 ms.
const PAUSES: [u64; 8] = [0, 1, 2, 4, 8, 16, 32, 64];

/// The time limit of one read. No request takes the kernel this long; a lost answer must not block the
/// thread for ever.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A request that no crate encodes.
#[derive(Clone, Debug)]
pub(super) struct RawRequest {
    /// The type of the message.
    pub(super) kind: u16,
    /// The bytes after the netlink header.
    pub(super) payload: Vec<u8>,
}

impl NetlinkSerializable for RawRequest {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.payload.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.payload);
    }
}

impl NetlinkSocket {
    /// Opens a socket of rtnetlink.
    pub(super) fn open() -> Result<NetlinkSocket, Error> {
        NetlinkSocket::of(NETLINK_ROUTE)
    }

    /// Opens a socket of nfnetlink, which reads packet filters.
    pub(super) fn open_netfilter() -> Result<NetlinkSocket, Error> {
        NetlinkSocket::of(NETLINK_NETFILTER)
    }

    fn of(protocol: isize) -> Result<NetlinkSocket, Error> {
        let failed = |doing| move |reason| Error::Socket { doing, reason };
        let mut inner = netlink_sys::Socket::new(protocol).map_err(failed("open a socket"))?;
        let address = inner.bind_auto().map_err(failed("bind"))?;
        set_socket_timeout(&inner, Timeout::Recv, Some(TIMEOUT))
            .map_err(|error| failed("set a time limit")(error.into()))?;
        // NETLINK_EXT_ACK adds the kernel's explanation to a refusal (Linux 4.12); without it the errno is
        // all there is.
        let _ = inner.set_ext_ack(true);
        // Without strict checking a kernel without IFLA_TARGET_NETNSID ignores the attribute and answers
        // about the host.
        inner.set_netlink_get_strict_chk(true).map_err(failed("ask for strict checking (Linux 4.20)"))?;
        Ok(NetlinkSocket {
            inner,
            port: address.port_number(),
            sequence: 0,
            buffer: Vec::with_capacity(BUFFER),
        })
    }

    /// Returns the netlink port of the socket, which the kernel's answers carry.
    pub(super) fn port(&self) -> u32 {
        self.port
    }

    /// Dumps until an answer is consistent. Calls `begin` before each attempt and `each` for each message.
    pub(super) fn dump<C>(
        &mut self,
        name: &'static str,
        request: impl NetlinkSerializable + Clone,
        collected: &mut C,
        begin: impl Fn(&mut C),
        mut each: impl FnMut(&mut C, AnswerMessage<'_>),
    ) -> Result<(), Error> {
        for pause in PAUSES {
            thread::sleep(Duration::from_millis(pause));
            begin(collected);
            let each = &mut each;
            if !self.exchange(name, request.clone(), Until::Done, |message| each(collected, message))? {
                return Ok(());
            }
        }
        Err(Error::Interrupted(name))
    }

    /// Dumps once, and accepts an interrupted dump.
    pub(super) fn dump_once(
        &mut self,
        name: &'static str,
        request: RouteNetlinkMessage,
        each: impl FnMut(AnswerMessage<'_>),
    ) -> Result<(), Error> {
        self.exchange(name, request, Until::Done, each).map(|_| ())
    }

    /// Requests one message, which `parse` reads.
    pub(super) fn ask<T>(
        &mut self,
        name: &'static str,
        request: RouteNetlinkMessage,
        parse: impl Fn(AnswerMessage<'_>) -> Option<T>,
    ) -> Result<T, Error> {
        let mut answer = None;
        self.exchange(name, request, Until::First, |message| answer = parse(message))?;
        answer.ok_or(Error::Malformed { request: name, what: "unreadable message" })
    }

    /// Requests a change, and waits for its acknowledgement.
    pub(super) fn change(&mut self, name: &'static str, request: RouteNetlinkMessage) -> Result<(), Error> {
        self.exchange(name, request, Until::Ack, |_| ()).map(|_| ())
    }

    /// Requests at most one message, which `parse` reads, and its acknowledgement; returns `None` if only the
    /// acknowledgement comes.
    pub(super) fn ask_for_any<T>(
        &mut self,
        name: &'static str,
        request: RouteNetlinkMessage,
        parse: impl Fn(AnswerMessage<'_>) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let mut answer = None;
        self.exchange(name, request, Until::Ack, |message| answer = Some(parse(message)))?;
        match answer {
            Some(None) => Err(Error::Malformed { request: name, what: "unreadable message" }),
            answer => Ok(answer.flatten()),
        }
    }

    /// Sends a request and reads its whole answer. Returns true if the dump was interrupted
    /// (NLM_F_DUMP_INTR).
    fn exchange(
        &mut self,
        name: &'static str,
        request: impl NetlinkSerializable,
        until: Until,
        mut each: impl FnMut(AnswerMessage<'_>),
    ) -> Result<bool, Error> {
        self.send(request, until)?;
        let mut answer = NetlinkAnswer {
            request: name,
            sequence: self.sequence,
            port: self.port,
            until,
            interrupted: false,
        };
        loop {
            self.receive(name)?;
            if answer.read(&self.buffer, &mut each)? {
                return Ok(answer.interrupted);
            }
        }
    }

    fn send(&mut self, request: impl NetlinkSerializable, until: Until) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.sequence_number = self.sequence;
        header.flags = NLM_F_REQUEST
            | match until {
                Until::Done => NLM_F_DUMP,
                Until::First => 0,
                // The answer to RTM_GETQDISC is a notification to all listeners, which comes to the requester
                // only with this flag (qdisc_notify in net/sched/sch_api.c).
                Until::Ack if request.message_type() == libc::RTM_GETQDISC => NLM_F_ACK | NLM_F_ECHO,
                Until::Ack => NLM_F_ACK,
            };
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
        message.finalize();
        self.buffer.clear();
        self.buffer.resize(message.buffer_len(), 0);
        message.serialize(&mut self.buffer);
        let sent = self.inner.send_to(&self.buffer, &SocketAddr::new(0, 0), 0);
        sent.map(|_| ()).map_err(|reason| Error::Socket { doing: "send", reason })
    }

    /// Reads one datagram of the kernel into the buffer.
    fn receive(&mut self, name: &'static str) -> Result<(), Error> {
        loop {
            self.buffer.clear();
            self.buffer.reserve_exact(BUFFER);
            // With MSG_TRUNC the length is that of the datagram, even if the datagram did not fit.
            let mut room = bytes::BufMut::limit(&mut self.buffer, BUFFER);
            match self.inner.recv_from(&mut room, libc::MSG_TRUNC) {
                Err(source) if source.kind() == io::ErrorKind::Interrupted => {}
                Err(reason) => return Err(Error::Socket { doing: "receive", reason }),
                Ok((_, sender)) if sender.port_number() != 0 => {} // not the kernel
                Ok((length, _)) if length > self.buffer.len() => {
                    return Err(Error::Malformed { request: name, what: "a truncated datagram" });
                }
                Ok(_) => return Ok(()),
            }
        }
    }
}
