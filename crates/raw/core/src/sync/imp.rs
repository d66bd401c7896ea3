//! The lock underneath: parking_lot's, or loom's under `--cfg towpath_loom`.
//!
//! The flag is our own, because plain `--cfg loom` also takes tokio's networking away.

#[cfg(not(towpath_loom))]
mod real {
    use std::time::Duration;

    pub(crate) type Guard<'a, T> = parking_lot::MutexGuard<'a, T>;

    pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(parking_lot::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            self.0.lock()
        }

        pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
            self.0.try_lock()
        }

        pub(crate) fn try_lock_for(&self, after: Duration) -> Option<Guard<'_, T>> {
            self.0.try_lock_for(after)
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut()
        }
    }
}

#[cfg(towpath_loom)]
mod real {
    use std::time::Duration;

    pub(crate) type Guard<'a, T> = loom::sync::MutexGuard<'a, T>;

    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            // A poisoned lock is a model that has already failed.
            self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
        }

        pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
            self.0.try_lock().ok()
        }

        /// Time does not pass in a model: the lock is free, or it is not to be had.
        pub(crate) fn try_lock_for(&self, _: Duration) -> Option<Guard<'_, T>> {
            self.try_lock()
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner())
        }
    }
}

pub(crate) use real::{Guard, Mutex};
