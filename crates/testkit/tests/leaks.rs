//! What is left behind is found, and named; each test in a process of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, reason = "to panic is how a test reports")]

use std::{
    fs::File,
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, Stdio},
    time::Duration,
};

use towpath_testkit::{
    leak::{Baseline, CountingAllocator, is_isolated, isolated, isolated_for},
    memory_pair, within,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn block_on(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(within(future));
}

fn hasty() -> Baseline {
    Baseline::take().settling_within(Duration::from_millis(50))
}

/// What a panic of `failing` says.
fn complaint(failing: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(failing)).expect_err("nothing was found");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn nothing_left_is_nothing_found() {
    isolated("nothing_left_is_nothing_found", || {
        block_on(async {
            let baseline = Baseline::take().and_threads().and_live_bytes(16 << 10);
            let (left, right) = memory_pair(Default::default(), Default::default());
            let held = vec![0_u8; 1 << 20];
            let file = File::open("/dev/null").expect("it is there");
            let mut child = Command::new("true").spawn().expect("it is there");
            // A task that ends after the check has begun.
            tokio::spawn(async move {
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
                drop((left, right, held, file));
            });
            child.wait().expect("it is ours");
            baseline.check().await;
        });
    });
}

#[test]
fn a_task_that_lives_on_is_found() {
    isolated("a_task_that_lives_on_is_found", || {
        block_on(async {
            let baseline = hasty();
            tokio::spawn(pending::<()>());
            let leaks = baseline.compare();
            assert_eq!(leaks.tasks, 1);
            assert!(leaks.to_string().contains("1 tasks"), "{leaks}");
        });
    });
}

#[test]
fn a_descriptor_is_found_with_what_it_is_of() {
    isolated("a_descriptor_is_found_with_what_it_is_of", || {
        let baseline = hasty();
        let file = File::open("/dev/null").expect("it is there");
        let text = complaint(|| baseline.check_blocking());
        assert!(text.contains("descriptor") && text.contains("/dev/null"), "{text}");
        drop(file);
        baseline.check_blocking();
    });
}

#[test]
fn a_child_is_found_with_its_command_line_and_so_is_its_zombie() {
    isolated("a_child_is_found_with_its_command_line_and_so_is_its_zombie", || {
        let baseline = hasty();
        let mut child = Command::new("sleep").arg("1234").spawn().expect("it is there");
        let text = complaint(|| baseline.check_blocking());
        assert!(text.contains("sleep 1234"), "{text}");
        child.kill().expect("it is ours");
        let text = complaint(|| baseline.check_blocking());
        assert!(text.contains("zombie"), "{text}");
        child.wait().expect("it is ours");
        baseline.check_blocking();
    });
}

#[test]
fn a_grandchild_without_its_parent_is_found() {
    isolated("a_grandchild_without_its_parent_is_found", || {
        let baseline = hasty();
        let mut shell = Command::new("sh");
        shell.args(["-c", "setsid sleep 4321 &"]).stdout(Stdio::null());
        assert!(shell.status().expect("it is there").success());
        let text = complaint(|| baseline.check_blocking());
        assert!(text.contains("sleep 4321"), "{text}");
    });
}

#[test]
fn an_orphan_that_has_nothing_of_the_environment_is_found() {
    isolated("an_orphan_that_has_nothing_of_the_environment_is_found", || {
        let baseline = hasty();
        let mut shell = Command::new("sh");
        shell.args(["-c", "env -i sleep 4322 &"]).stdout(Stdio::null());
        assert!(shell.status().expect("it is there").success());
        let text = complaint(|| baseline.check_blocking());
        assert!(text.contains("sleep 4322"), "{text}");
    });
}

#[test]
fn threads_and_memory_are_found_where_they_are_counted() {
    isolated("threads_and_memory_are_found_where_they_are_counted", || {
        let baseline = hasty().and_threads().and_live_bytes(16 << 10);
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (named, when_named) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("left-over".into())
            .spawn(move || {
                // A thread gives itself its name.
                named.send(()).expect("the test waits");
                released.recv().is_ok()
            })
            .expect("one more thread");
        when_named.recv().expect("the thread runs");
        let held = vec![1_u8; 100_000];
        // Not by a panic: with a backtrace it would itself take memory for good.
        let leaks = baseline.compare();
        let text = leaks.to_string();
        assert!(text.contains("left-over") && text.contains("bytes of memory"), "{text}");
        assert!(leaks.live_bytes >= 100_000 && leaks.threads.len() == 1, "{text}");
        assert!(CountingAllocator::peak_bytes() >= 100_000);
        drop((release, held));
        thread.join().expect("no panic");
        baseline.check_blocking();
    });
}

#[test]
fn a_body_that_panics_fails_with_what_it_said() {
    let name = "a_body_that_panics_fails_with_what_it_said";
    if is_isolated() {
        return isolated(name, || panic!("its last words"));
    }
    let text = complaint(|| isolated(name, || ()));
    assert!(text.contains("` failed; it said") && text.contains("its last words"), "{text}");
}

/// Tells the sleepers of this run from those of another one.
fn long_time(run: u32) -> u64 {
    10_000_000_000 + u64::from(run)
}

#[test]
fn a_body_that_hangs_is_killed_with_everything_it_started() {
    let name = "a_body_that_hangs_is_killed_with_everything_it_started";
    let limit = Duration::from_secs(2);
    if is_isolated() {
        return isolated(name, || {
            let time = long_time(std::os::unix::process::parent_id());
            let _ = Command::new("sh").args(["-c", &format!("setsid sleep {time} & sleep {time}")]).status();
        });
    }
    let text = complaint(|| isolated_for(limit, name, || ()));
    assert!(text.contains("killed"), "{text}");
    let ours = format!("sleep\0{}", long_time(std::process::id()));
    let left: Vec<_> = std::fs::read_dir("/proc")
        .expect("it is there")
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| line.starts_with(ours.as_bytes()))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_name_that_no_test_has_fails() {
    let text = complaint(|| isolated("no_such_test", || ()));
    assert!(text.contains("no test is called `no_such_test`"), "{text}");
}
