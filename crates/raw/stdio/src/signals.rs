//! The signals that ask a process to end.

use std::{
    fmt, fs,
    future::poll_fn,
    io,
    task::{Context, Poll},
};

use tokio::signal::unix::{SignalKind, signal};

/// A signal that asks a process to end: this one ([`Termination`]), or a child
/// ([`ChildCommand::ends_with`](crate::ChildCommand::ends_with)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// SIGINT: somebody pressed Ctrl-C. Some programs clean up at nothing else; what a shell script starts in the
    /// background ignores it.
    Interrupt,
    /// SIGTERM: a supervisor, or an MCP client whose server did not end with its stdin. Every service expects it.
    Terminate,
    /// SIGHUP: the terminal has gone.
    HangUp,
}

impl Signal {
    /// Its number; a shell takes an exit code of 128 and that for a process which the signal has ended.
    pub fn number(self) -> i32 {
        self.kind().as_raw_value()
    }

    pub(crate) fn to_send(self) -> rustix::process::Signal {
        match self {
            Signal::Interrupt => rustix::process::Signal::INT,
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::HangUp => rustix::process::Signal::HUP,
        }
    }

    fn kind(self) -> SignalKind {
        match self {
            Signal::Interrupt => SignalKind::interrupt(),
            Signal::Terminate => SignalKind::terminate(),
            Signal::HangUp => SignalKind::hangup(),
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
            Signal::HangUp => "SIGHUP",
        })
    }
}

/// Listens to SIGINT, SIGTERM and SIGHUP, so that a process can end politely.
///
/// A signal that this process was started to ignore stays ignored: `nohup` does that, and a shell for what runs in the
/// background.
///
/// # What it changes
///
/// From [`Termination::listen`] on these signals end this process no more, not even when the value is dropped: the
/// operating system has no way back that is safe beside other threads. So listen where the process goes on to its end,
/// and keep a task free to hear it. Nothing hears a signal while all threads of the runtime are kept busy; work that
/// computes for long belongs elsewhere, or this does, into a runtime on a thread of its own.
///
/// # Example
///
/// ```
/// use towpath_stdio::Termination;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let mut termination = Termination::listen()?;
/// let work = async { /* … */ };
/// tokio::select! {
///     () = work => {}
///     signal = termination.received() => eprintln!("{signal}: ending"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Termination(Vec<(Signal, tokio::signal::unix::Signal)>);

impl Termination {
    /// Begins to listen: a signal that comes from here on is heard, however late it is waited for.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime whose I/O is enabled.
    pub fn listen() -> io::Result<Self> {
        let ignored = ignored();
        let mut listening = Vec::new();
        for asks in [Signal::Interrupt, Signal::Terminate, Signal::HangUp] {
            if !is_set(ignored, asks) {
                listening.push((asks, signal(asks.kind())?));
            }
        }
        Ok(Self(listening))
    }

    /// The next signal; for ever if there is none. It can be waited for again: who sends a second one is impatient.
    ///
    /// Signals of one kind that come before the first of them was waited for are one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped wait takes no signal.
    pub async fn received(&mut self) -> Signal {
        poll_fn(|cx| self.poll_received(cx)).await
    }

    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        for (signal, stream) in &mut self.0 {
            if stream.poll_recv(cx).is_ready() {
                return Poll::Ready(*signal);
            }
        }
        Poll::Pending
    }
}

/// The signals that this process ignores: a bit for each. None, where the system does not tell.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn is_set(mask: u64, signal: Signal) -> bool {
    let bit = u32::try_from(signal.number() - 1).ok().and_then(|shift| 1_u64.checked_shl(shift));
    bit.is_some_and(|bit| mask & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_the_bit_of_its_number_less_one() {
        // `nohup`: SIGHUP is 1; a background job: SIGINT is 2.
        for (mask, set) in [(0b1, Signal::HangUp), (0b10, Signal::Interrupt), (1 << 14, Signal::Terminate)] {
            for signal in [Signal::Interrupt, Signal::Terminate, Signal::HangUp] {
                assert_eq!(is_set(mask, signal), signal == set, "{signal} in {mask:b}");
            }
        }
    }
}
