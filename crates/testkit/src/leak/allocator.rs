//! An allocator that counts.
#![allow(
    unsafe_code,
    reason = "a global allocator is an unsafe trait; every call goes to the system's unchanged"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

/// The system's allocator with counters, for test and benchmark binaries that install it:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: towpath_testkit::leak::CountingAllocator = towpath_testkit::leak::CountingAllocator;
/// # use towpath_testkit::leak::CountingAllocator;
/// # let before = CountingAllocator::allocations();
/// # let kept = vec![1_u8; 100];
/// # assert!(CountingAllocator::allocations() > before && CountingAllocator::live_bytes() >= 100);
/// # drop(kept);
/// ```
///
/// The counters belong to the process. They stay zero where it is not installed.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

impl CountingAllocator {
    /// Whether anything was ever allocated through it.
    pub fn is_installed() -> bool {
        Self::allocations() > 0
    }

    /// How many bytes are allocated now.
    pub fn live_bytes() -> usize {
        LIVE.load(Relaxed)
    }

    /// The most bytes that were allocated at one time, since the last [`CountingAllocator::reset_peak`].
    pub fn peak_bytes() -> usize {
        PEAK.load(Relaxed)
    }

    /// Lowers the peak to what is allocated now.
    pub fn reset_peak() {
        PEAK.store(LIVE.load(Relaxed), Relaxed);
    }

    /// How often memory was allocated, or was made larger or smaller.
    pub fn allocations() -> u64 {
        ALLOCATIONS.load(Relaxed)
    }

    fn took(bytes: usize) {
        ALLOCATIONS.fetch_add(1, Relaxed);
        let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
        if live > PEAK.load(Relaxed) {
            PEAK.fetch_max(live, Relaxed);
        }
    }

    fn gave_back(bytes: usize) {
        LIVE.fetch_sub(bytes, Relaxed);
    }
}

// SAFETY: every method passes its arguments to `System` and its answer back unchanged, so the promises of the
// caller and those of `System` hold for each other. The counting allocates nothing and cannot unwind.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a layout of non-zero size.
        let memory = unsafe { System.alloc(layout) };
        if !memory.is_null() {
            Self::took(layout.size());
        }
        memory
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a layout of non-zero size.
        let memory = unsafe { System.alloc_zeroed(layout) };
        if !memory.is_null() {
            Self::took(layout.size());
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller promises that the memory came from here with this layout, so it came from `System`.
        unsafe { System.dealloc(memory, layout) };
        Self::gave_back(layout.size());
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the memory came from here with this layout, so it came from `System`,
        // and that the new size is not zero and does not overflow.
        let moved = unsafe { System.realloc(memory, layout, new_size) };
        if !moved.is_null() {
            Self::took(new_size);
            Self::gave_back(layout.size());
        }
        moved
    }
}
