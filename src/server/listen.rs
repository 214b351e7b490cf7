//! Listeners: on addresses, on unix sockets, and sockets that systemd has opened.

use listenfd::ListenFd;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use rustix::process::umask;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use thiserror::Error;

/// The bits that a unix socket's mode lacks: the mode is 0660, for the owner and the group.
const SOCKET_UMASK: Mode = Mode::from_raw_mode(0o117);

/// The number of connections that may wait until they are accepted.
const BACKLOG: i32 = 128;

/// An address that the exporter serves on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// `HOST:PORT`, or `:PORT` for every address of the host.
    Inet {
        /// The address as it was typed.
        text: String,
        /// The addresses to bind, in the order of the attempts.
        candidates: Vec<SocketAddr>,
    },
    /// A unix socket: `unix:PATH` on the command line.
    Unix(PathBuf),
}

/// An open listener. A unix socket's file is removed with it.
pub struct Listener {
    pub(crate) socket: Socket,
    shown: String,
    _file: Option<SocketFile>,
}

pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The reason why a listener cannot be opened.
#[derive(Debug, Error)]
pub enum ListenError {
    /// An address that the user named cannot be bound.
    #[error("cannot listen on {address}: {}", advised(.reason, .address))]
    Address {
        /// The address as it was typed.
        address: ListenAddress,
        /// The error that the system gave.
        reason: io::Error,
    },
    /// systemd passed no socket, or one that is no listening stream.
    #[error("--web.systemd-socket: {0}")]
    Systemd(String),
}

/// The name of a unix socket in the file system.
struct SocketFile {
    path: PathBuf,
    /// The device and inode: a file that another process has put there since stays.
    identity: (u64, u64),
}

/// Returns the system's error in words, and what the user can do about it.
fn advised(reason: &io::Error, address: &ListenAddress) -> String {
    const ANOTHER: &str = "choose another with --web.listen-address";
    match (reason.kind(), address) {
        (ErrorKind::AddrInUse, _) => {
            format!("address already in use (is another veth-exporter running? {ANOTHER})")
        }
        (ErrorKind::AddrNotAvailable, _) => format!("no interface of this host has the address ({ANOTHER})"),
        (ErrorKind::PermissionDenied, ListenAddress::Inet { .. }) => {
            format!("permission denied (ports below 1024 take CAP_NET_BIND_SERVICE; {ANOTHER})")
        }
        (ErrorKind::PermissionDenied, ListenAddress::Unix(_)) => {
            format!(
                "permission denied (the user of the exporter may make no socket in this folder; {ANOTHER})"
            )
        }
        (ErrorKind::NotFound, ListenAddress::Unix(_)) => {
            format!("the folder of the socket does not exist (create the folder, or {ANOTHER})")
        }
        _ => reason.to_string(),
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenAddress, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: without a path".into()),
                path => Ok(ListenAddress::Unix(path.into())),
            };
        }
        let candidates: Vec<SocketAddr> = match text.strip_prefix(':') {
            Some(port) => {
                let port: u16 = port.parse().map_err(|_| format!("{port:?} is not a port"))?;
                vec![([0u16; 8], port).into(), ([0u8; 4], port).into()]
            }
            None => text.to_socket_addrs().map_err(|error| error.to_string())?.collect(),
        };
        Ok(ListenAddress::Inet { text: text.to_owned(), candidates })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Inet { text, .. } => f.write_str(text),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl ListenAddress {
    /// Returns the path of a unix socket's file.
    pub fn as_path(&self) -> Option<&Path> {
        match self {
            ListenAddress::Unix(path) => Some(path),
            ListenAddress::Inet { .. } => None,
        }
    }
}

impl Listener {
    /// Opens a listener. Must be called before the first thread starts: the mode of a unix socket comes from
    /// the process's umask.
    ///
    /// # Errors
    /// Fails with the address and the system's error, also if the address is in use.
    pub fn bind(address: &ListenAddress) -> Result<Listener, ListenError> {
        let bound = match address {
            ListenAddress::Inet { candidates, .. } => bind_first(candidates).and_then(Listener::of_tcp),
            ListenAddress::Unix(path) => bind_unix(path),
        };
        bound.map_err(|reason| ListenError::Address { address: address.clone(), reason })
    }

    /// Returns the sockets that systemd or systemd-socket-activate has passed (sd_listen_fds(3)).
    ///
    /// # Errors
    /// Fails if there is none, or one is no listening stream.
    pub fn from_systemd() -> Result<Vec<Listener>, ListenError> {
        let mut passed = ListenFd::from_env();
        if passed.len() == 0 {
            let reason = "systemd has passed no socket to this process (LISTEN_FDS, sd_listen_fds(3)): \
                          start the exporter by its socket unit, or leave the flag out";
            return Err(ListenError::Systemd(reason.into()));
        }
        (0..passed.len()).map(|at| take_listener(&mut passed, at).map_err(ListenError::Systemd)).collect()
    }

    /// Returns the address of a TCP listener.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    fn of_tcp(socket: TcpListener) -> io::Result<Listener> {
        let shown = socket.local_addr()?.to_string();
        Ok(Listener { socket: Socket::Tcp(socket), shown, _file: None })
    }
}

fn take_listener(passed: &mut ListenFd, at: usize) -> Result<Listener, String> {
    if let Ok(Some(socket)) = passed.take_tcp_listener(at) {
        return Listener::of_tcp(socket).map_err(|error| error.to_string());
    }
    match passed.take_unix_listener(at) {
        Ok(Some(socket)) => {
            let path = socket.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
            let shown = path.map_or_else(|| "unix:".to_owned(), |path| format!("unix:{}", path.display()));
            Ok(Listener { socket: Socket::Unix(socket), shown, _file: None })
        }
        _ => Err(format!("socket {at} of LISTEN_FDS is neither a TCP nor a unix stream")),
    }
}

fn bind_first(candidates: &[SocketAddr]) -> io::Result<TcpListener> {
    let mut bound = Err(io::Error::other("the name has no address"));
    for candidate in candidates {
        bound = bind_tcp(*candidate);
        match &bound {
            // The second candidate is for a host without IPv6, not for an address in use.
            Err(error) if error.kind() != ErrorKind::AddrInUse => {}
            _ => return bound,
        }
    }
    bound
}

/// Binds an address as Go's net.Listen does: `[::]` means IPv4 too, whatever net.ipv6.bindv6only says.
fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.is_ipv6() || !address.ip().is_unspecified() {
        return TcpListener::bind(address);
    }
    let socket = net::socket_with(AddressFamily::INET6, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_ipv6_v6only(&socket, false)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

fn bind_unix(path: &Path) -> io::Result<Listener> {
    remove_stale(path)?;
    let before = umask(SOCKET_UMASK);
    let bound = UnixListener::bind(path);
    umask(before);
    let socket = bound?;
    let seen = fs::symlink_metadata(path)?;
    let file = SocketFile { path: path.to_owned(), identity: (seen.dev(), seen.ino()) };
    Ok(Listener {
        socket: Socket::Unix(socket),
        shown: format!("unix:{}", path.display()),
        _file: Some(file),
    })
}

/// Removes a socket without a listener: an exporter that was killed leaves its own behind.
fn remove_stale(path: &Path) -> io::Result<()> {
    let seen = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        seen => seen?,
    };
    if !seen.file_type().is_socket() {
        return Err(io::Error::other("the path is a file that is no socket"));
    }
    // A blocking connect would wait until a full queue has room.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match net::connect(&socket, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path),
        Ok(()) | Err(Errno::AGAIN) => Err(ErrorKind::AddrInUse.into()),
        Err(error) => Err(error.into()),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let same = fs::symlink_metadata(&self.path)
            .is_ok_and(|seen| seen.file_type().is_socket() && (seen.dev(), seen.ino()) == self.identity);
        if same && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket's file stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_means_every_address() {
        let ListenAddress::Inet { candidates, .. } = ":10736".parse().unwrap() else { panic!("a path") };
        let shown: Vec<String> = candidates.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["[::]:10736", "0.0.0.0:10736"]);
    }

    #[test]
    fn addresses_are_read_and_shown_as_they_were_typed() {
        for text in ["127.0.0.1:1", "[::1]:10736", ":0", "unix:/run/veth.sock", "unix:relative"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for text in ["unix:", "127.0.0.1", ":port", "[::1]", ":65536"] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }
}
