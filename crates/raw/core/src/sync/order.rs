//! The lock order, checked per thread in debug and test builds.

/// Where a lock stands in the order: a thread takes locks from the first level towards the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What the whole process shares.
    Global,
    /// The tables of sessions.
    SessionRegistry,
    /// One session, or one lane.
    Session,
    /// What belongs to one request or one transport, and calls nothing while it is held.
    Handler,
}

#[cfg(debug_assertions)]
mod checked {
    use std::{cell::RefCell, marker::PhantomData};

    use super::Level;

    #[cfg(not(towpath_loom))]
    thread_local! {
        static HELD: RefCell<Vec<(Level, &'static str)>> = const { RefCell::new(Vec::new()) };
    }

    // A model's threads share one of the system's, so theirs are loom's own.
    #[cfg(towpath_loom)]
    loom::thread_local! {
        static HELD: RefCell<Vec<(Level, &'static str)>> = RefCell::new(Vec::new());
    }

    /// The entry of a lock that this thread holds.
    pub(crate) struct Held {
        level: Level,
        label: &'static str,
        // The entry is on this thread's list, so a guard must not be given to another one.
        _of_this_thread: PhantomData<*const ()>,
    }

    pub(crate) fn enter(level: Level, label: &'static str) -> Held {
        HELD.with(|held| {
            let mut held = held.borrow_mut();
            if let Some((above, name)) = held.iter().find(|(above, _)| *above >= level) {
                let order = "Global < SessionRegistry < Session < Handler";
                let all: Vec<_> = held.iter().map(|(level, name)| format!("`{name}` ({level:?})")).collect();
                panic!(
                    "lock order violated: `{label}` ({level:?}) was asked for while this thread holds `{name}` \
                     ({above:?}); the order is {order}; held, oldest first: {}",
                    all.join(", ")
                );
            }
            held.push((level, label));
        });
        Held { level, label, _of_this_thread: PhantomData }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            // Guards may be dropped in any order, so the entry is looked for from the end. At the end of a
            // thread its list can be gone before its last guard; then there is nothing to keep in order.
            let _ = HELD.try_with(|held| {
                let mut held = held.borrow_mut();
                if let Some(at) = held.iter().rposition(|entry| *entry == (self.level, self.label)) {
                    held.remove(at);
                }
            });
        }
    }
}

#[cfg(not(debug_assertions))]
mod checked {
    use super::Level;

    pub(crate) struct Held;

    #[inline]
    pub(crate) fn enter(_: Level, _: &'static str) -> Held {
        Held
    }
}

pub(crate) use checked::{Held, enter};
