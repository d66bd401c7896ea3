//! Leak checks: what was there before is there afterwards, and nothing else.
//!
//! The counts are those of a whole process, so each check runs in a process of its own: [`isolated`] has the test
//! binary run that one test again.
//!
//! ```no_run
//! use towpath_testkit::leak::{Baseline, isolated};
//!
//! #[test]
//! fn a_closed_lane_leaves_nothing() {
//!     isolated("a_closed_lane_leaves_nothing", || {
//!         let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//!         runtime.block_on(async {
//!             let baseline = Baseline::take();
//!             // … open, use, close …
//!             baseline.check().await;
//!         });
//!     });
//! }
//! ```
//!
//! Descriptors, child processes and threads are counted on Linux. Elsewhere a [`Baseline`] leaves them out, and
//! its `Debug` output says `None`.

mod allocator;
mod baseline;
mod isolated;
#[cfg(target_os = "linux")]
mod procfs;

pub use allocator::CountingAllocator;
pub use baseline::{Baseline, Leaks};
pub use isolated::{DEFAULT_LIMIT, is_isolated, isolated, isolated_for};

/// Without `/proc` there is nothing to count.
#[cfg(not(target_os = "linux"))]
mod procfs {
    use std::collections::BTreeMap;

    pub(super) fn descriptors() -> Option<BTreeMap<i32, String>> {
        None
    }

    pub(super) fn processes(_: Option<&str>) -> Option<BTreeMap<i32, String>> {
        None
    }

    pub(super) fn threads() -> Option<BTreeMap<i32, String>> {
        None
    }
}
