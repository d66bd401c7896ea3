//! What has happened, to prove that it has.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often each thing has happened.
        #[derive(Default)]
        pub(crate) struct Counts {
            $($(#[$doc])* pub(crate) $name: Count,)*
        }

        impl Counts {
            fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.0.load(Relaxed)),)*]
            }
        }
    };
}

counts! {
    /// Children that were started, wrappers counted once.
    spawned,
    /// Connections that were made.
    connected_legacy,
    connected_modern,
    /// How the children were started.
    plain,
    behind_a_background_shell,
    behind_a_foreground_shell,
    ignoring_sigterm,
    flooding_stderr,
    mute,
    /// How their lives ended.
    closed,
    dropped_idle,
    dropped_in_a_call,
    dropped_in_the_handshake,
    killed_in_a_call,
    killed_in_the_handshake,
    died_in_a_call,
    outlived_their_runtime,
    /// Calls that were made, and how they ended: the rest of the counts add up to the first.
    calls,
    answered,
    answered_with_an_error,
    ended_by_a_closed_connection,
    ended_by_a_deadline,
    dropped_calls,
    /// Handshakes that failed, by the kind of the error.
    handshake_timeouts,
    handshakes_lost,
}

/// One of them.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counts {
    /// What has never happened.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        self.all().into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
    }

    /// Calls of which no end was seen, or more than one.
    pub(crate) fn calls_without_one_end(&self) -> u64 {
        let ends = [
            &self.answered,
            &self.answered_with_an_error,
            &self.ended_by_a_closed_connection,
            &self.ended_by_a_deadline,
            &self.dropped_calls,
        ];
        ends.map(Count::get).into_iter().sum::<u64>().abs_diff(self.calls.get())
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> =
            self.all().into_iter().map(|(name, count)| format!("{name} {count}")).collect();
        f.write_str(&all.join(", "))
    }
}
