//! What the system is told about TCP connections: how to notice a peer that is gone without a word.

use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// When the system asks whether a silent peer is still there, and when it gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Silence {
    /// After how much of it, and how long from one question to the next.
    pub(crate) questions: Option<(Duration, Duration)>,
    /// How long nothing may be acknowledged.
    pub(crate) unacknowledged: Option<Duration>,
}

impl Silence {
    pub(crate) fn new(keep_alive: Option<Duration>, unacknowledged: Option<Duration>) -> Self {
        let questions = keep_alive.map(|idle| {
            let idle = idle.clamp(SHORTEST, LONGEST);
            let left = unacknowledged.map(|all| all.saturating_sub(idle)).filter(|left| !left.is_zero());
            (idle, (left.unwrap_or(idle) / QUESTIONS).clamp(SHORTEST, LONGEST))
        });
        // Zero would be the system's own.
        let unacknowledged =
            unacknowledged.map(|after| after.clamp(Duration::from_millis(1), MOST_MILLISECONDS));
        Self { questions, unacknowledged }
    }

    /// Tells the system.
    pub(crate) fn configure(&self, stream: &TcpStream) -> io::Result<()> {
        let socket = SockRef::from(stream);
        if let Some((idle, interval)) = self.questions {
            let keep_alive = TcpKeepalive::new().with_time(idle).with_interval(interval);
            socket.set_tcp_keepalive(&keep_alive.with_retries(QUESTIONS))?;
        }
        #[cfg(any(target_os = "android", target_os = "linux"))]
        if let Some(after) = self.unacknowledged {
            socket.set_tcp_user_timeout(Some(after))?;
        }
        Ok(())
    }
}

/// How often the system asks before it gives up.
pub(crate) const QUESTIONS: u32 = 3;
const SHORTEST: Duration = Duration::from_secs(1);
/// The most that Linux takes.
const LONGEST: Duration = Duration::from_secs(32_767);
/// The most that fits what the system takes.
const MOST_MILLISECONDS: Duration = Duration::from_millis(i32::MAX as u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_spread_over_what_is_left() {
        let seconds = |time: Option<u64>| time.map(Duration::from_secs);
        let silence = |keep_alive, unacknowledged| {
            let silence = Silence::new(seconds(keep_alive), seconds(unacknowledged));
            let (idle, interval) = silence.questions?;
            Some((idle.as_secs(), interval.as_secs(), silence.unacknowledged?.as_millis()))
        };
        assert_eq!(silence(Some(60), Some(90)), Some((60, 10, 90_000)));
        assert_eq!(silence(Some(60), Some(30)), Some((60, 20, 30_000)));
        assert_eq!(silence(Some(0), Some(0)), Some((1, 1, 1)));
        assert_eq!(silence(Some(1 << 40), Some(1 << 40)), Some((32_767, 32_767, i32::MAX as u128)));
        assert_eq!(Silence::new(None, None), Silence { questions: None, unacknowledged: None });
        assert_eq!(
            Silence::new(seconds(Some(60)), None).questions,
            Some((60, 20)).map(|(a, b)| (Duration::from_secs(a), Duration::from_secs(b)))
        );
    }
}
