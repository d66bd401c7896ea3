//! Why there is no socket, and what to try.

use std::io::{self, ErrorKind};

use towpath::stdio::SocketError;

use crate::exit::{Failure, Status};

/// Why a socket cannot be connected to, or listened on.
pub(crate) fn socket(error: &SocketError) -> Failure {
    let (cause, hint) = match error {
        SocketError::Connect { address, source } => {
            (format!("cannot connect to `{address}`: {source}"), not_connected(source))
        }
        SocketError::Timeout { address, source } => (
            format!("no connection to `{address}`: {source}"),
            "is the host up, and is there no firewall in between?",
        ),
        SocketError::Resolve { address, source } => (
            format!("cannot find the host of `{address}`: {source}"),
            "is the name right? Its number would do, too",
        ),
        SocketError::PathTooLong { path, length } => (
            format!(
                "`{}` cannot be the path of a socket: it has {length} bytes, and the system takes {}",
                path.display(),
                SocketError::MAX_PATH_BYTES,
            ),
            "take a shorter one, or a relative one",
        ),
        SocketError::InUse { address } => (
            format!("cannot listen on `{address}`: another process does"),
            "end that process, or take another address (--listen)",
        ),
        SocketError::NotASocket { path } => (
            format!("cannot listen on `unix:{}`: there is a file that is no socket", path.display()),
            "it was not touched: remove it, or take another path (--listen)",
        ),
        SocketError::Listen { address, source } => {
            (format!("cannot listen on `{address}`: {source}"), not_listening(source))
        }
        other => (other.to_string(), "-v shows more"),
    };
    Failure::new(Status::NotConnected, cause).with_hint(hint)
}

fn not_connected(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "is the path right, and was the server started?",
        ErrorKind::ConnectionRefused => {
            "nobody listens there: is the address right, and does the server run?"
        }
        ErrorKind::PermissionDenied => "it is another user's: only that user may connect",
        _ => "is the address right, and the network up?",
    }
}

fn not_listening(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "its directory is not there: make it first",
        ErrorKind::PermissionDenied => "take a directory of yours, or a port over 1023",
        ErrorKind::AddrNotAvailable => "this machine has no such address: 127.0.0.1 is always there",
        _ => "try another address (--listen)",
    }
}
