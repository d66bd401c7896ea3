//! Why there is no socket.

use std::{io, path::PathBuf};

use towpath_raw::Timeout;

use super::SocketAddress;

/// Why a socket could not be opened, and what to try.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// Nobody could be reached there.
    #[error("cannot connect to {address}: {source}{}", on_connect(source))]
    Connect {
        /// Where to.
        address: SocketAddress,
        /// What the system said.
        source: io::Error,
    },
    /// It took too long. Setting: [`SocketTimeouts::connect`](crate::SocketTimeouts::connect).
    #[error("no connection to {address}: {source}; look whether the host is up and no firewall is between")]
    Timeout {
        /// Where to.
        address: SocketAddress,
        /// The deadline that passed.
        source: Timeout,
    },
    /// The name of the host leads nowhere.
    #[error("cannot find the host of {address}: {source} (look at its spelling, or write its number)")]
    Resolve {
        /// With the name.
        address: SocketAddress,
        /// What the system said.
        source: io::Error,
    },
    /// The system has room for [`SocketError::MAX_PATH_BYTES`] only.
    #[error(
        "{} cannot be the path of a socket: it has {length} bytes, and the system takes {} (take a shorter one, or a relative one)",
        path.display(), SocketError::MAX_PATH_BYTES
    )]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// Somebody listens there already.
    #[error("cannot listen on {address}: another process does (end it, or take another address)")]
    InUse {
        /// Where.
        address: SocketAddress,
    },
    /// There is a file that is no socket; it was not touched.
    #[error(
        "cannot listen on {}: there is a file that is no socket, which is left alone (remove it, or take another path)",
        path.display()
    )]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// A dead listener has left its file there, and the directory's lock, without which two newcomers could remove each
    /// other's file, cannot be had.
    #[error(
        "cannot listen on {}: a listener that is gone has left its file there, and its directory cannot be locked to \
         replace it: it is not readable, another process has the lock, or the file system has none (remove the file)",
        path.display()
    )]
    NotReplaced {
        /// The file.
        path: PathBuf,
    },
    /// The system refuses to listen there.
    #[error("cannot listen on {address}: {source}{}", on_listen(source))]
    Listen {
        /// Where.
        address: SocketAddress,
        /// What the system said.
        source: io::Error,
    },
}

impl SocketError {
    /// The longest path of a Unix socket, in bytes; an abstract name has as many.
    pub const MAX_PATH_BYTES: usize = 107;
}

/// What to try when connecting failed.
fn on_connect(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => " (start the server first, or look at the spelling of the path)",
        io::ErrorKind::ConnectionRefused => {
            " (nothing listens there: start the server, or look for its address)"
        }
        io::ErrorKind::PermissionDenied => {
            " (the socket is another user's: run as that user or ask for access)"
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            " (look at the network and at the address)"
        }
        _ => "",
    }
}

/// What to try when listening failed.
fn on_listen(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => " (make its directory first)",
        io::ErrorKind::PermissionDenied => " (take a directory of yours, or a port over 1023)",
        io::ErrorKind::AddrNotAvailable => " (this machine has no such address: try 127.0.0.1)",
        _ => "",
    }
}
