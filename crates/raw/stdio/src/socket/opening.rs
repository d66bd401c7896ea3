//! What a connection that comes in over TCP begins with, and by when.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// Until the first message of a connection is whole.
///
/// A web page may have its reader's browser post any text to any local port. The lines of its head would be passed over
/// as what is no message, and a line of its body would be one. So a connection that comes in over TCP begins with a
/// message, and not with a method of HTTP. Nor may it hold its place without saying anything, as port scanners and
/// browsers that connect in advance do.
#[derive(Debug)]
pub(super) struct Opening {
    has_begun: bool,
    deadline: Option<(Pin<Box<Sleep>>, Duration)>,
}

impl Opening {
    /// Begins now; it may take so long.
    pub(super) fn new(within: Option<Duration>) -> Self {
        // allowed: the deadline of the first message, not a wait for something else.
        let deadline = within.map(|after| (Box::pin(sleep(after)), after));
        Self { has_begun: false, deadline }
    }

    /// Looks at what has come: whether the first message is whole, or why it will never be.
    pub(super) fn look(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let bytes = if self.has_begun { bytes } else { bytes.trim_ascii_start() };
        if !self.has_begun {
            self.has_begun = check_start(bytes)?;
        }
        if bytes.contains(&b'\n') {
            return Ok(true);
        }
        // Here too, since a peer that never pauses leaves no time to wait in.
        match &self.deadline {
            Some((timer, after)) if timer.deadline() <= Instant::now() => Err(late(*after)),
            _ => Ok(false),
        }
    }

    /// Ready when it has taken too long.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some((timer, after)) = &mut self.deadline else { return Poll::Pending };
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(late(*after))
    }
}

fn late(after: Duration) -> io::Error {
    let what = format!("the peer's first message was not whole after {after:?} (setting: first_message)");
    io::Error::new(io::ErrorKind::TimedOut, what)
}

/// Whether there is a start, and an error if it is that of no message.
fn check_start(text: &[u8]) -> io::Result<bool> {
    match text.first() {
        None => Ok(false),
        // The last is how a byte order mark begins.
        Some(b'{' | b'[' | 0xEF) => Ok(true),
        Some(_) => {
            let start = text.get(..text.len().min(16)).unwrap_or(text).escape_ascii();
            let what = format!("the peer does not speak JSON-RPC: it began with \"{start}\"");
            Err(io::Error::new(io::ErrorKind::InvalidData, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_begins_with_a_message() {
        for (pieces, is_whole) in [
            (&["", " \r\n", "{", "}\n"][..], true),
            (&["\n\n", "[{}]"], false),
            (&["\u{feff}{}\n"], true),
            (&["{\"POST\":", " 1"], false),
        ] {
            let mut opening = Opening::new(None);
            let (last, first) = pieces.split_last().expect("pieces");
            for piece in first {
                assert!(!opening.look(piece.as_bytes()).expect("may pass"), "{pieces:?}");
            }
            assert_eq!(opening.look(last.as_bytes()).expect("may pass"), is_whole, "{pieces:?}");
        }
        for bytes in ["POST / HTTP/1.1\r\n\r\n{}", "\u{16}\u{3}", "hello"] {
            let error = Opening::new(None).look(bytes.as_bytes()).expect_err(bytes);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        let error =
            Opening::new(None).look(b"POST / HTTP/1.1\r\nhost: a").expect_err("no message").to_string();
        assert!(error.ends_with("\"POST / HTTP/1.1\\r\""), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_pauses_is_late_as_well() {
        towpath_testkit::within(async {
            let mut opening = Opening::new(Some(Duration::from_secs(3)));
            assert!(!opening.look(b"{").expect("in time"));
            tokio::time::advance(Duration::from_secs(3)).await;
            let error = opening.look(b"\"a\":").expect_err("late");
            assert!(error.to_string().contains("after 3s (setting: first_message)"), "{error}");
        })
        .await;
    }
}
