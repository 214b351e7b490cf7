//! Checks of a netlink answer: its sequence number and port, its end, its refusal. Pure.

use super::error::Error;
use netlink_packet_core::{
    NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer,
};
use std::io;

/// The length of a netlink message's header, in bytes.
pub(super) const HEADER: usize = size_of::<libc::nlmsghdr>();

/// The message that ends an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Until {
    /// The message NLMSG_DONE ends it.
    Done,
    /// The first message is the whole reply.
    First,
    /// The kernel's acknowledgement (NLMSG_ERROR with 0) ends the reply.
    Ack,
}

/// One message of an answer.
pub struct AnswerMessage<'a> {
    /// The type of the message: one of RTM_*.
    pub kind: u16,
    /// The bytes after the netlink header.
    pub payload: &'a [u8],
}

/// An answer that arrives datagram by datagram. Its checks need no socket.
pub struct NetlinkAnswer {
    /// The request's name in rtnetlink(7).
    pub request: &'static str,
    /// The sequence number of every message that belongs to the answer.
    pub sequence: u32,
    /// The netlink port of every message that belongs to the answer: that of the asking socket.
    pub port: u32,
    /// The message that ends the reply.
    pub until: Until,
    /// True once a message of the answer carried NLM_F_DUMP_INTR.
    pub interrupted: bool,
}

impl NetlinkAnswer {
    /// Reads one datagram, and passes each message that belongs to the answer to `each`. Returns true when
    /// the answer is complete.
    ///
    /// # Errors
    /// If the kernel refuses the request, or the datagram is not what the protocol promises.
    pub fn read(&mut self, datagram: &[u8], each: &mut impl FnMut(AnswerMessage<'_>)) -> Result<bool, Error> {
        let malformed = |what| Error::Malformed { request: self.request, what };
        let mut rest = datagram;
        while !rest.is_empty() {
            let buffer =
                NetlinkBuffer::new_checked(rest).map_err(|_| malformed("a length beyond its datagram"))?;
            let whole = buffer.length() as usize;
            if whole < HEADER {
                return Err(malformed("a length below that of its header"));
            }
            let (kind, payload) = (buffer.message_type(), &rest[HEADER..whole]);
            let ours = buffer.sequence_number() == self.sequence && buffer.port_number() == self.port;
            self.interrupted |= ours && buffer.flags() & NLM_F_DUMP_INTR != 0;
            rest = rest.get(whole.next_multiple_of(4)..).unwrap_or_default();
            if !ours {
                continue; // an answer that an earlier, failed exchange left behind
            }
            match kind {
                NLMSG_ERROR | NLMSG_DONE => {
                    let errno = payload.first_chunk().map_or(0, |b| i32::from_ne_bytes(*b));
                    return match (errno, kind == NLMSG_DONE || self.until == Until::Ack) {
                        (0, true) => Ok(true),
                        (0, false) => Err(malformed("an acknowledgement in place of an answer")),
                        _ => Err(Error::Refused {
                            request: self.request,
                            reason: io::Error::from_raw_os_error(errno.saturating_neg()),
                            message: explanation(kind, buffer.flags(), payload).unwrap_or_default(),
                        }),
                    };
                }
                _ => each(AnswerMessage { kind, payload }),
            }
            if self.until == Until::First {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The attribute with the kernel's explanation of a refusal (include/uapi/linux/netlink.h).
const NLMSGERR_ATTR_MSG: u16 = 1;

/// Returns the kernel's explanation of a refusal, if there is one. It stands behind the errno of an
/// NLMSG_DONE, and behind the refused request of an NLMSG_ERROR. A capped NLMSG_ERROR repeats only the
/// header of the request.
fn explanation(kind: u16, flags: u16, payload: &[u8]) -> Option<String> {
    if flags & NLM_F_ACK_TLVS == 0 {
        return None;
    }
    let behind_errno = payload.get(size_of::<i32>()..)?;
    let request = match kind {
        NLMSG_DONE => 0,
        _ if flags & NLM_F_CAPPED != 0 => HEADER,
        _ => u32::from_ne_bytes(*behind_errno.first_chunk()?) as usize,
    };
    let mut attributes = behind_errno.get(request.checked_next_multiple_of(4)?..)?;
    while let Some((length, rest)) = attributes.split_first_chunk() {
        let length = usize::from(u16::from_ne_bytes(*length));
        let kind = u16::from_ne_bytes(*rest.first_chunk()?);
        if kind == NLMSGERR_ATTR_MSG {
            let text = attributes.get(4..length)?;
            let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests;
