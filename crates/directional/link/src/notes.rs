//! The notifications that wait for the caller of a call.

use std::collections::VecDeque;

use towpath_jsonrpc::{Member, Message};
use towpath_mcp::method;

use crate::{LinkLimits, driver::DETACHED_BYTES};

/// A bounded queue of the notifications before an answer. When it is full, the newest progress replaces the
/// one before it, and everything else is dropped and counted; or, where all are to be kept, the call fails.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    waiting: VecDeque<Message>,
    bytes: usize,
    dropped: u64,
    /// All are kept, up to so many bytes.
    keep: Option<usize>,
}

/// One notification too many, where all are to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overflow {
    pub(crate) limit: usize,
}

impl Notes {
    pub(crate) fn new(keep: Option<usize>) -> Self {
        Self { keep, ..Self::default() }
    }

    /// Whether all of them are kept.
    pub(crate) fn keeps_all(&self) -> bool {
        self.keep.is_some()
    }

    pub(crate) fn push(&mut self, note: Message, limits: &LinkLimits) -> Result<(), Overflow> {
        let size = note.bytes().len();
        if let Some(limit) = self.keep {
            if !self.waiting.is_empty() && self.bytes + size > limit {
                return Err(Overflow { limit });
            }
            self.bytes += size;
            self.waiting.push_back(note.detached(DETACHED_BYTES));
            return Ok(());
        }
        let room = self.waiting.len() < limits.max_call_notifications
            && self.bytes + size <= limits.max_call_notification_bytes;
        // A note may wait long, and must not keep the buffer that it was read into.
        let note = note.detached(DETACHED_BYTES);
        if room {
            self.bytes += size;
            self.waiting.push_back(note);
            return Ok(());
        }
        self.dropped += 1;
        if note.method() != method::PROGRESS {
            return Ok(());
        }
        // The newest progress is the one worth knowing: it takes the place of the last one that waits.
        if let Some(last) = self.waiting.iter_mut().rev().find(|waits| waits.method() == method::PROGRESS) {
            let fits = self.bytes - last.bytes().len() + size <= limits.max_call_notification_bytes;
            if fits {
                self.bytes = self.bytes - last.bytes().len() + size;
                *last = note;
            }
        }
        Ok(())
    }

    /// Adds a notification of a subscription, unless one that says the same waits already.
    pub(crate) fn push_coalesced(&mut self, note: Message, limits: &LinkLimits) -> Result<(), Overflow> {
        let same = |waits: &Message| {
            let about_the_same = waits.raw(Member::Uri) == note.raw(Member::Uri);
            // Where all are to be kept, only what says just the same is left out.
            waits.method() == note.method()
                && about_the_same
                && (self.keep.is_none() || waits.params() == note.params())
        };
        if self.waiting.iter().any(same) { Ok(()) } else { self.push(note, limits) }
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let note = self.waiting.pop_front()?;
        self.bytes -= note.bytes().len();
        Some(note)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use towpath_jsonrpc::EnvelopeLimits;

    use super::*;

    fn note(text: String) -> Message {
        Message::parse(text.into(), &EnvelopeLimits::default()).expect("a notification")
    }

    fn progress(n: u32) -> Message {
        note(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":1,"progress":{n}}}}}"#
        ))
    }

    fn log(n: u32) -> Message {
        note(format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"data":{n}}}}}"#))
    }

    fn taken(notes: &mut Notes) -> Vec<String> {
        std::iter::from_fn(|| notes.pop()).map(|n| n.params().expect("params").as_str().to_owned()).collect()
    }

    #[test]
    fn a_full_queue_keeps_the_newest_progress_and_drops_logs() {
        let limits = LinkLimits { max_call_notifications: 2, ..LinkLimits::default() };
        let mut notes = Notes::default();
        for note in [log(1), progress(1), progress(2), log(2), progress(3)] {
            notes.push(note, &limits).expect("never too many");
        }
        assert_eq!(notes.dropped(), 3);
        assert_eq!(taken(&mut notes), [r#"{"data":1}"#, r#"{"progressToken":1,"progress":3}"#]);
    }

    #[test]
    fn the_bytes_are_bounded_too() {
        let limits =
            LinkLimits { max_call_notification_bytes: log(1).bytes().len(), ..LinkLimits::default() };
        let mut notes = Notes::default();
        notes.push(log(1), &limits).expect("never too many");
        notes.push(log(2), &limits).expect("never too many");
        assert_eq!((notes.dropped(), taken(&mut notes).len()), (1, 1));
        notes.push(log(3), &limits).expect("never too many");
        assert_eq!(taken(&mut notes), [r#"{"data":3}"#], "room that was given back is room again");
    }

    #[test]
    fn the_newest_progress_takes_no_more_room_than_there_is() {
        let limits =
            LinkLimits { max_call_notification_bytes: progress(1).bytes().len(), ..LinkLimits::default() };
        let mut notes = Notes::default();
        for value in [1, 2, 1_000] {
            notes.push(progress(value), &limits).expect("never too many");
        }
        assert_eq!((notes.dropped(), notes.bytes), (2, limits.max_call_notification_bytes));
        assert_eq!(taken(&mut notes), [r#"{"progressToken":1,"progress":2}"#]);
    }

    #[test]
    fn where_all_are_kept_one_too_many_is_told_and_none_replaced() {
        let limit = progress(1).bytes().len() * 2;
        // Few, and not what counts here.
        let limits = LinkLimits { max_call_notifications: 1, ..LinkLimits::default() };
        let mut notes = Notes::new(Some(limit));
        for value in [1, 2] {
            assert_eq!(notes.push(progress(value), &limits), Ok(()));
        }
        assert_eq!(notes.push(progress(3), &limits), Err(Overflow { limit }));
        assert_eq!(taken(&mut notes).len(), 2);
        let large = note(format!(r#"{{"jsonrpc":"2.0","method":"{}"}}"#, "m".repeat(limit)));
        assert!(large.bytes().len() > limit);
        assert_eq!(notes.push(large, &limits), Ok(()), "one alone always has room");
    }
}
