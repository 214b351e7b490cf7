//! Errors of requests to the kernel.

use crate::model::text::one_line;
use nix::errno::Errno;
use std::io;

/// An error of a request to the kernel. The text has the reason, so no error is its source: a chain of errors
/// would say it twice.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket could not be opened, written or read.
    #[error("netlink: cannot {doing}: {reason}")]
    Socket {
        /// The step that failed.
        doing: &'static str,
        /// The errno of the system call.
        reason: io::Error,
    },
    /// The kernel answered with an errno (NLMSG_ERROR, or NLMSG_DONE that carries one).
    #[error("netlink: the kernel refused {request}: {reason}{}", in_brackets(.message))]
    Refused {
        /// The request's name in rtnetlink(7).
        request: &'static str,
        /// The error that the kernel gave.
        reason: io::Error,
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
            Error::Refused { reason, .. } => reason.raw_os_error().map(Errno::from_raw),
            _ => None,
        }
    }
}

fn in_brackets(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" ({})", one_line(message)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_errors_has_the_reason_once() {
        let reason = || io::Error::from_raw_os_error(libc::EPERM);
        for error in [
            Error::Socket { doing: "open", reason: reason() },
            Error::Refused { request: "RTM_GETLINK", reason: reason(), message: String::new() },
        ] {
            let text = format!("{:#}", anyhow::Error::from(error));
            assert_eq!(text.matches("Operation not permitted").count(), 1, "{text}");
        }
    }
}
