//! A peer that has gone altogether, told from one that has closed its own direction.

use std::{
    io,
    os::{fd::AsFd, unix::net},
    task::{Context, Poll},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::{io::Interest, net::UnixStream};

/// Notices, once the end of a Unix socket has been read, that nobody is at the other side any more. To one who still
/// reads an answer is owed; to nobody, none is. (TCP tells the difference only to who writes.)
#[derive(Debug)]
pub(super) struct Hangup {
    /// A descriptor of its own: it forgets that it may write, to be woken when something else happens.
    watch: UnixStream,
}

impl Hangup {
    pub(super) fn new(socket: &UnixStream) -> io::Result<Self> {
        let watch = net::UnixStream::from(socket.as_fd().try_clone_to_owned()?);
        Ok(Self { watch: UnixStream::from_std(watch)? })
    }

    /// Ready when the peer has gone.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.has_happened() {
                return Poll::Ready(());
            }
            if self.watch.poll_write_ready(cx).is_pending() {
                return Poll::Pending;
            }
            // What happens after the next look makes it ready anew.
            let blocked = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            drop(self.watch.try_io(Interest::WRITABLE, blocked));
        }
    }

    fn has_happened(&self) -> bool {
        let mut socket = [PollFd::new(&self.watch, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut socket, Some(&now)).is_ok()
            && socket.iter().any(|one| one.revents().contains(PollFlags::HUP))
    }
}
