use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use super::*;

fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn locks_taken_in_order_pass() {
    let global = Mutex::new(Level::Global, "global", 1);
    let session = Mutex::new(Level::Session, "session", 2);
    let one = global.lock();
    let two = session.lock();
    assert_eq!(*one + *two, 3);
    // Out of order on the way back is fine: only taking is ordered.
    drop(one);
    drop(two);
    drop(global.lock());
}

#[test]
fn a_lock_out_of_order_is_reported_with_both_names() {
    let registry = Mutex::new(Level::SessionRegistry, "Registry::sessions", ());
    let session = Mutex::new(Level::Session, "Session::state", ());
    let held = session.lock();
    let panic = catch_unwind(AssertUnwindSafe(|| drop(registry.lock()))).expect_err("it was allowed");
    let text = message(panic);
    for part in ["Registry::sessions", "Session::state", "Global < SessionRegistry < Session < Handler"] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    drop(held);
    drop(registry.lock());
}

#[test]
fn two_locks_of_one_level_are_out_of_order() {
    let one = Mutex::new(Level::Session, "one", ());
    let two = Mutex::new(Level::Session, "two", ());
    let _held = one.lock();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(two.lock()))).is_err());
}

#[test]
fn levels_are_of_the_thread_and_are_lowered_again() {
    let handler = Arc::new(Mutex::new(Level::Handler, "handler", ()));
    let global = Arc::new(Mutex::new(Level::Global, "global", ()));
    let held = handler.lock();
    let elsewhere = Arc::clone(&global);
    thread::spawn(move || drop(elsewhere.lock())).join().expect("another thread's lock was held against it");
    drop(held);
    drop(global.lock());
}

/// The wrong design: one level for all threads, which nobody lowers. It must fail where ours passes.
mod negative_control {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    static HIGHEST: AtomicU8 = AtomicU8::new(0);

    fn enter(level: Level) -> bool {
        HIGHEST.fetch_max(level as u8, Ordering::SeqCst) <= level as u8
    }

    #[test]
    fn one_level_for_all_threads_refuses_what_is_in_order() {
        assert!(enter(Level::Handler));
        // Nothing is held any more, and it is another thread's first lock; yet it is refused.
        assert!(!thread::spawn(|| enter(Level::Global)).join().expect("no panic"));
    }
}

#[test]
fn a_lock_that_is_held_times_out_with_its_name() {
    let lock = Arc::new(Mutex::new(Level::Session, "Session::state", ()));
    let (held, when_held) = mpsc::channel();
    let (release, when_released) = mpsc::channel::<()>();
    let holder = Arc::clone(&lock);
    let thread = thread::spawn(move || {
        let guard = holder.lock();
        held.send(()).expect("the test is waiting");
        let _ = when_released.recv();
        drop(guard);
    });
    when_held.recv_timeout(Duration::from_secs(10)).expect("the other thread did not lock");
    let after = Duration::from_millis(20);
    let error = lock.lock_for(after).expect_err("the lock is held");
    assert_eq!((error.label, error.timeout.after), ("Session::state", after));
    assert!(lock.try_lock().is_none());
    let stats = lock.stats();
    assert_eq!((stats.timed_out, stats.contended), (1, 1));
    assert!(stats.longest_wait >= after && stats.waited >= after);
    release.send(()).expect("the other thread is waiting");
    thread.join().expect("no panic");
    assert!(lock.lock_for(Duration::from_secs(10)).is_ok());
}
