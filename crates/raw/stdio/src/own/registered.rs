//! A descriptor that is registered with the runtime only when it is first polled.

use std::{io, os::fd::OwnedFd};

use tokio::io::{Interest, unix::AsyncFd};

/// A descriptor that is registered with the runtime when it is first polled.
#[derive(Debug)]
pub(super) enum Registered {
    Idle(OwnedFd),
    Live(AsyncFd<OwnedFd>),
    Failed,
}

impl Registered {
    #[allow(unsafe_code)]
    pub(super) fn live(&mut self, interest: Interest) -> io::Result<&mut AsyncFd<OwnedFd>> {
        if matches!(self, Registered::Idle(_))
            && let Registered::Idle(fd) = std::mem::replace(self, Registered::Failed)
        {
            // SAFETY: an `OwnedFd` gives the same open descriptor for as long as it lives, and it lives in the
            // `AsyncFd`, which never gives it away here.
            let live = unsafe { AsyncFd::register_with_interest(fd, interest) };
            *self = Registered::Live(live?);
        }
        match self {
            Registered::Live(live) => Ok(live),
            Registered::Idle(_) | Registered::Failed => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}
