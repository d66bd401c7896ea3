//! Values under sequential keys, each with a deadline: what both tables are made of.
//!
//! A key's slot is the key modulo the table's size, so there is nothing to hash, and a key is never used
//! twice, so a stale one finds nothing. A key whose slot is taken (by a request that has outlived a whole
//! lap) is passed over. There is no queue of deadlines, which would grow with the requests that ended before
//! theirs; instead, the table knows a time before which none passes, and looks at its slots once when that
//! time has come.

use std::{mem, time::Instant};

use super::InFlightLimit;

pub(super) struct Table<V> {
    limit: usize,
    /// Empty, or a power of two and at least twice `len`.
    slots: Vec<Option<Slot<V>>>,
    len: usize,
    next_key: u64,
    /// No deadline passes before this, those in `due` apart. Requests that end do not raise it: that would
    /// take a search, and a wake-up too many now and then is cheaper.
    next_check: Option<Instant>,
    /// What the last scan found, the earliest last. Entries may be stale: each is checked again.
    due: Vec<(Instant, u64)>,
    #[cfg(test)]
    pub(super) scans: usize,
}

struct Slot<V> {
    key: u64,
    deadline: Option<Instant>,
    value: V,
}

impl<V> Table<V> {
    /// Allocates nothing before the first insert.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            slots: Vec::new(),
            len: 0,
            next_key: 1,
            next_check: None,
            due: Vec::new(),
            #[cfg(test)]
            scans: 0,
        }
    }

    pub(super) fn insert(&mut self, deadline: Option<Instant>, value: V) -> Result<u64, InFlightLimit> {
        if self.len >= self.limit {
            return Err(InFlightLimit { limit: self.limit });
        }
        if self.len * 2 >= self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        // Half of the slots are free, so this ends; and a lap passes each taken slot once.
        let key = loop {
            let key = self.next_key;
            self.next_key += 1;
            let slot = &mut self.slots[key as usize & mask];
            if slot.is_none() {
                *slot = Some(Slot { key, deadline, value });
                break key;
            }
        };
        self.len += 1;
        self.check_by(deadline);
        Ok(key)
    }

    pub(super) fn get(&self, key: u64) -> Option<&V> {
        let slot = self.slots.get(self.index(key))?.as_ref()?;
        (slot.key == key).then_some(&slot.value)
    }

    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        Some(&mut self.slot_mut(key)?.value)
    }

    pub(super) fn remove(&mut self, key: u64) -> Option<V> {
        let index = self.index(key);
        let value = self.slots.get_mut(index)?.take_if(|slot| slot.key == key)?.value;
        self.len -= 1;
        Some(value)
    }

    pub(super) fn set_deadline(&mut self, key: u64, deadline: Option<Instant>) {
        if let Some(slot) = self.slot_mut(key) {
            slot.deadline = deadline;
            self.check_by(deadline);
        }
    }

    /// The next key whose deadline has passed, the earliest first, and that deadline. The value stays,
    /// without a deadline. A burst costs one scan of the table.
    pub(super) fn expire(&mut self, now: Instant) -> Option<(u64, Instant)> {
        loop {
            while let Some((_, key)) = self.due.pop() {
                let Some(slot) = self.slot_mut(key) else { continue };
                match slot.deadline {
                    Some(at) if at <= now => {
                        slot.deadline = None;
                        return Some((key, at));
                    }
                    // It was moved after the scan, which left it out of `next_check`; or the clock stepped
                    // back.
                    moved => self.check_by(moved),
                }
            }
            if self.next_check.is_none_or(|at| at > now) {
                return None;
            }
            self.scan(now);
        }
    }

    /// Never after the earliest deadline; `None` only when there is none.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        earlier(self.next_check, self.due.last().map(|(at, _)| *at))
    }

    /// Whether the key was given out at some time, or passed over.
    pub(super) fn is_spent(&self, key: u64) -> bool {
        (1..self.next_key).contains(&key)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Everything, and the memory with it; what the caller does not take is dropped.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (u64, V)> + use<V> {
        self.len = 0;
        self.next_check = None;
        self.due = Vec::new();
        mem::take(&mut self.slots).into_iter().flatten().map(|slot| (slot.key, slot.value))
    }

    fn slot_mut(&mut self, key: u64) -> Option<&mut Slot<V>> {
        let index = self.index(key);
        self.slots.get_mut(index)?.as_mut().filter(|slot| slot.key == key)
    }

    fn index(&self, key: u64) -> usize {
        key as usize & self.slots.len().saturating_sub(1)
    }

    fn check_by(&mut self, deadline: Option<Instant>) {
        self.next_check = earlier(self.next_check, deadline);
    }

    /// Doubles the table. Keys whose slots differ modulo a size differ modulo twice that size.
    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(FIRST_SLOTS);
        let mut slots = Vec::new();
        slots.resize_with(size, || None);
        for slot in mem::take(&mut self.slots).into_iter().flatten() {
            let index = slot.key as usize & (size - 1);
            slots[index] = Some(slot);
        }
        self.slots = slots;
    }

    fn scan(&mut self, now: Instant) {
        #[cfg(test)]
        {
            self.scans += 1;
        }
        self.next_check = None;
        if self.len == 0 {
            // A quiet moment: an owner that idles gives back what its busiest hour took.
            self.slots = Vec::new();
            self.due = Vec::new();
            return;
        }
        let mut rest = None;
        for slot in self.slots.iter().flatten() {
            match slot.deadline {
                Some(at) if at <= now => self.due.push((at, slot.key)),
                later => rest = earlier(rest, later),
            }
        }
        self.next_check = rest;
        self.due.sort_unstable_by(|one, other| other.cmp(one));
    }

    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }
}

/// The earlier of two times, where `None` is never.
pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (at, None) | (None, at) => at,
    }
}

const FIRST_SLOTS: usize = 64;
