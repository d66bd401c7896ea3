//! The file of a Unix socket: whose it is, and when it goes.

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{FileType, FlockOperation, Mode, OFlags, fchmod, flock, open},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with},
};
use tokio::time::{Instant, sleep};

use super::{SocketAddress, SocketError};

/// The file of a socket that listens. Dropped, it is removed, unless another has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    /// From the root, since the process may change its directory.
    path: PathBuf,
    identity: (u64, u64),
}

/// Listens on a path, for the user of this process alone. A file that a dead listener has left there is replaced.
pub(super) async fn listen_on(path: &Path) -> Result<(OwnedFd, SocketFile), SocketError> {
    check_length(path)?;
    // Two listeners that find the same file left behind must not remove each other's. Between servers that take this
    // lock, nobody sees a socket that is bound and does not listen yet.
    let lock = lock_directory(path).await;
    for _ in 0..ATTEMPTS {
        match try_listen(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            listening => return listening.map_err(|source| cannot_listen(path, source)),
        }
        if !is_left_behind(path)? {
            return Err(SocketError::InUse { address: SocketAddress::Unix(path.to_owned()) });
        }
        if lock.is_none() {
            return Err(SocketError::NotReplaced { path: path.to_owned() });
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot_listen(path, error)),
            _ => {}
        }
    }
    // Each time, another one was quicker.
    Err(SocketError::InUse { address: SocketAddress::Unix(path.to_owned()) })
}

/// What the system would cut off, or refuse with less words.
pub(super) fn check_length(path: &Path) -> Result<(), SocketError> {
    let length = path.as_os_str().len();
    if length <= SocketError::MAX_PATH_BYTES {
        return Ok(());
    }
    Err(SocketError::PathTooLong { path: path.to_owned(), length })
}

fn cannot_listen(path: &Path, source: io::Error) -> SocketError {
    SocketError::Listen { address: SocketAddress::Unix(path.to_owned()), source }
}

fn unix_socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

fn try_listen(path: &Path) -> io::Result<(OwnedFd, SocketFile)> {
    let private = Mode::RUSR | Mode::WUSR;
    let socket = unix_socket()?;
    // The file is made with the mode that the socket has: there is no moment in which it has another.
    fchmod(&socket, private)?;
    let absolute = std::path::absolute(path)?;
    bind(&socket, &SocketAddrUnix::new(path.as_os_str().as_bytes())?)?;
    let found = fs::symlink_metadata(path)?;
    let file = SocketFile { path: absolute, identity: (found.dev(), found.ino()) };
    let others = found.mode() & 0o077;
    if others != 0 {
        // Nobody has connected: it does not listen yet.
        return Err(io::Error::other(format!("its file would be open to others (mode {others:03o})")));
    }
    listen(&socket, BACKLOG)?;
    Ok((socket, file))
}

/// Whether there is a socket on which nobody listens any more.
fn is_left_behind(path: &Path) -> Result<bool, SocketError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(cannot_listen(path, error)),
    };
    if FileType::from_raw_mode(found.mode()) != FileType::Socket {
        return Err(SocketError::NotASocket { path: path.to_owned() });
    }
    let probe = || connect(unix_socket()?, &SocketAddrUnix::new(path.as_os_str().as_bytes())?);
    // A listener with a full queue says that it would have to wait: it lives.
    Ok(matches!(probe(), Err(Errno::CONNREFUSED | Errno::NOENT)))
}

/// A lock of the directory in which the path is, or none if it cannot be had: then no file is replaced.
async fn lock_directory(path: &Path) -> Option<OwnedFd> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = open(directory, flags, Mode::empty()).ok()?;
    let start = Instant::now();
    loop {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(directory),
            Err(Errno::WOULDBLOCK) if start.elapsed() < LOCK_WAIT => {
                // allowed: nothing tells when another process gives a lock back.
                sleep(LOCK_PAUSE).await;
            }
            Err(_) => return None,
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours =
            fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(target: super::TARGET, path = %self.path.display(), %error, "a socket's file stays");
        }
    }
}

const ATTEMPTS: usize = 8;
const BACKLOG: i32 = 1024;
const LOCK_WAIT: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(5);
