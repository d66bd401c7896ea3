//! The labelled mutex in every interleaving of two threads:
//! `RUSTFLAGS="--cfg towpath_loom" cargo test -p towpath-raw --test model`.
#![cfg(towpath_loom)]
#![allow(clippy::expect_used, reason = "a model that cannot go on says why")]

use loom::{sync::Arc, thread};
use towpath_raw::{Level, Mutex};

#[test]
fn no_update_is_lost_and_each_thread_has_its_own_order() {
    loom::model(|| {
        let outer = Arc::new(Mutex::new(Level::SessionRegistry, "outer", 0));
        let inner = Arc::new(Mutex::new(Level::Session, "inner", 0));
        let other = {
            let (outer, inner) = (Arc::clone(&outer), Arc::clone(&inner));
            thread::spawn(move || {
                let mut counted = outer.lock();
                *counted += 1;
                *inner.lock() += 1;
            })
        };
        // While the other thread holds both, this one may take the outer lock: levels are of the thread.
        *inner.lock() += 1;
        *outer.lock() += 1;
        other.join().expect("no panic");
        let counted = (*outer.lock(), *inner.lock());
        assert_eq!(counted, (2, 2));
    });
}

#[test]
fn a_lock_that_is_held_is_not_to_be_had() {
    loom::model(|| {
        let lock = Arc::new(Mutex::new(Level::Session, "lock", ()));
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || lock.try_lock().is_some())
        };
        let had_it = lock.try_lock().is_some();
        let other_had_it = other.join().expect("no panic");
        assert!(had_it || other_had_it, "nobody had it");
        assert!(lock.try_lock().is_some());
    });
}
