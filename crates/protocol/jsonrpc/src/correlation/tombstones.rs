//! The ids of requests that were given up, so that their late answers are known for what they are.

use std::collections::VecDeque;

pub(super) struct Tombstones {
    limit: usize,
    ids: VecDeque<u64>,
}

impl Tombstones {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, ids: VecDeque::new() }
    }

    /// Remembers an id. False when that cost the oldest one, or when nothing may be remembered.
    pub(super) fn bury(&mut self, id: u64) -> bool {
        if self.limit == 0 {
            return false;
        }
        let room = self.ids.len() < self.limit;
        if !room {
            self.ids.pop_front();
        }
        self.ids.push_back(id);
        room
    }

    /// Whether the id is remembered; it is forgotten by that, since an answer is late only once.
    pub(super) fn unearth(&mut self, id: u64) -> bool {
        // The quick search first: a peer may answer as often as it likes, and most such answers are not here.
        if !self.ids.contains(&id) {
            return false;
        }
        let at = self.ids.iter().position(|buried| *buried == id);
        at.is_some_and(|at| self.ids.remove(at).is_some())
    }
}
