//! Errors of requests to the kernel.

use crate::model::text::one_line;
use nix::errno::Errno;
use std::io;

/// An error of a request to the kernel.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket could not be opened, written or read.
    #[error("netlink: cannot {doing}: {source}")]
    Socket {
        /// The step that failed.
        doing: &'static str,
        /// The errno of the system call.
        source: io::Error,
    },
    /// The kernel answered with an errno (NLMSG_ERROR, or NLMSG_DONE that carries one).
    #[error("netlink: the kernel refused {request}: {source}{}", in_brackets(.message))]
    Refused {
        /// The request's name in rtnetlink(7).
        request: &'static str,
        /// The error that the kernel gave.
        source: io::Error,
        /// The kernel's explanation (NLMSGERR_ATTR_MSG); empty if there is none.
        message: String,
    },
    /// The links changed during each of several dumps (NLM_F_DUMP_INTR): the kernel has no consistent
    /// answer now.
    #[error("netlink: {0} was interrupted by changes each time")]
    Interrupted(&'static str),
    /// The answer is not what the protocol promises.
    #[error("netlink: bad answer to {request}: {what}")]
    Malformed {
        /// The request's name in rtnetlink(7).
        request: &'static str,
        /// The part of the protocol that it breaks.
        what: &'static str,
    },
}

impl Error {
    /// Returns the errno of a refusal.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Error::Refused { source, .. } => source.raw_os_error().map(Errno::from_raw),
            _ => None,
        }
    }
}

fn in_brackets(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" ({})", one_line(message)) }
}
