//! A terminal, opened anew: it gives a line at a time.

use std::{
    io,
    os::fd::OwnedFd,
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustix::io::Errno;
use tokio::io::{AsyncRead, Interest, ReadBuf};

use super::registered::Registered;

/// Stdin as a terminal; its file description must be ours, and non-blocking.
///
/// What reads pipes takes a read that fills less than its buffer for the last one, and waits for news. A terminal gives
/// less than that while it has more: the next line.
#[derive(Debug)]
pub(super) struct TerminalReader(Registered);

impl TerminalReader {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self(Registered::Idle(fd))
    }
}

impl AsyncRead for TerminalReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let terminal = self.get_mut().0.live(Interest::READABLE)?;
        loop {
            let mut ready = ready!(terminal.poll_read_ready(cx))?;
            let room = buf.initialize_unfilled();
            match rustix::io::read(ready.get_inner(), &mut *room) {
                Ok(bytes) => {
                    buf.advance(bytes);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                // So a terminal says, in the moment in which it hangs up, that its other side has gone: an end, like
                // that of a pipe.
                Err(Errno::IO) => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::{
        fs::{Mode, OFlags, fcntl_setfl, open},
        pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    };
    use tokio::io::AsyncReadExt;
    use towpath_testkit::within;

    use super::*;

    #[tokio::test]
    async fn a_terminal_that_says_that_its_other_side_has_gone_has_ended() {
        let one = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&one).expect("ours");
        unlockpt(&one).expect("ours");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let other =
            open(ptsname(&one, Vec::new()).expect("a name"), flags, Mode::empty()).expect("it is there");
        fcntl_setfl(&one, OFlags::NONBLOCK).expect("ours");
        rustix::io::write(&other, b"last words").expect("it has room");
        drop(other);
        let mut reader = TerminalReader::new(one);
        let mut text = String::new();
        within(reader.read_to_string(&mut text)).await.expect("an end is no error");
        assert_eq!(text, "last words");
    }
}
