use std::thread;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::*;

const KIB: usize = 1024;

fn pool(initial_bytes: usize, max_pooled_buffer_bytes: usize, max_pooled_bytes: usize) -> BufferPool {
    BufferPool::new(PoolLimits { initial_bytes, max_pooled_buffer_bytes, max_pooled_bytes })
}

/// What lies in the pool, counted by taking it out.
fn real_bytes(pool: &BufferPool) -> usize {
    (0..pool.stats().pooled_buffers).map(|_| pool.take().freeze().try_into_mut().unwrap().capacity()).sum()
}

#[test]
fn a_new_buffer_has_the_initial_capacity() {
    assert_eq!(pool(3000, 64 * KIB, 4096 * KIB).take().capacity(), 3000);
    let sizes = [PoolLimits::stdio(), PoolLimits::http(), PoolLimits::json(), PoolLimits::default()]
        .map(|limits| BufferPool::new(limits).take().capacity());
    assert_eq!(sizes, [8 * KIB, 16 * KIB, KIB, 8 * KIB]);
    assert_eq!(pool(0, 64 * KIB, 4096 * KIB).take().capacity(), 64);
}

#[test]
fn a_buffer_that_is_dropped_is_lent_again_and_empty() {
    let pool = BufferPool::new(PoolLimits::stdio());
    let mut buffer = pool.take();
    buffer.put_slice(b"secret");
    let at = buffer.as_ptr();
    drop(buffer);
    assert_eq!(pool.stats().pooled_bytes, 8 * KIB);
    let buffer = pool.take();
    assert_eq!((buffer.as_ptr(), buffer.len(), buffer.capacity()), (at, 0, 8 * KIB));
    let stats = pool.stats();
    assert_eq!((stats.hits, stats.misses, stats.pooled_bytes, stats.pooled_buffers), (1, 1, 0, 0));
}

#[test]
fn a_buffer_that_has_grown_keeps_its_size_up_to_the_largest_that_is_kept() {
    let pool = pool(KIB, 16 * KIB, 4096 * KIB);
    let mut buffer = pool.take();
    buffer.put_bytes(b'x', 16 * KIB);
    drop(buffer);
    let mut buffer = pool.take();
    assert_eq!(buffer.capacity(), 16 * KIB);
    buffer.reserve(16 * KIB + 1);
    drop(buffer);
    let stats = pool.stats();
    assert_eq!((stats.discarded_oversized, stats.pooled_buffers), (1, 0));
}

#[test]
fn by_default_buffers_above_64_kib_are_not_kept() {
    let pool = BufferPool::new(PoolLimits::json());
    drop(pool.take_sized(64 * KIB));
    assert_eq!(pool.stats().pooled_bytes, 64 * KIB);
    drop(pool.take_sized(64 * KIB + 1));
    assert_eq!((pool.stats().pooled_bytes, pool.stats().discarded_oversized), (0, 1));
}

#[test]
fn an_oversized_allocation_is_not_kept_for_showing_little() {
    let pool = pool(KIB, 16 * KIB, 4096 * KIB);
    let mut buffer = pool.take_sized(32 * KIB);
    buffer.put_bytes(b'x', 30 * KIB);
    buffer.advance(30 * KIB);
    assert_eq!(buffer.capacity(), 2 * KIB);
    drop(buffer);
    assert_eq!((pool.stats().pooled_buffers, pool.stats().discarded_oversized), (0, 1));
}

#[test]
fn what_does_not_fit_into_the_byte_budget_is_freed() {
    let pool = pool(KIB, 64 * KIB, 3 * KIB);
    let buffers: Vec<_> = (0..5).map(|_| pool.take()).collect();
    drop(buffers);
    let stats = pool.stats();
    assert_eq!((stats.pooled_buffers, stats.pooled_bytes), (3, 3 * KIB));
    assert_eq!(stats.discarded_over_budget, 2);
    // The budget counts what lies in the pool, not what is lent.
    drop(pool.take());
    assert_eq!(pool.stats().pooled_buffers, 3);
}

#[test]
fn by_default_4_mib_lie_in_a_pool_at_most() {
    let pool = BufferPool::new(PoolLimits::http());
    let buffers: Vec<_> = (0..257).map(|_| pool.take()).collect();
    drop(buffers);
    let stats = pool.stats();
    assert_eq!((stats.pooled_bytes, stats.discarded_over_budget), (4096 * KIB, 1));
}

#[test]
fn a_budget_of_nothing_keeps_nothing() {
    for pool in [pool(KIB, 0, 4096 * KIB), pool(KIB, 64 * KIB, 0)] {
        drop(pool.take());
        assert_eq!(pool.stats().pooled_buffers, 0);
    }
}

#[test]
fn freezing_copies_nothing_and_takes_the_memory_out_of_the_pool() {
    let pool = BufferPool::new(PoolLimits::stdio());
    drop(pool.take());
    let mut buffer = pool.take();
    buffer.put_slice(b"frozen");
    let at = buffer.as_ptr();
    let frozen = buffer.freeze();
    assert_eq!((frozen.as_ptr(), &frozen[..]), (at, &b"frozen"[..]));
    // An owner wrapped by `Bytes::from_owner` could not be taken back.
    assert!(frozen.is_unique());
    assert_eq!(frozen.try_into_mut().unwrap().capacity(), 8 * KIB);
    let stats = pool.stats();
    let discarded = stats.discarded_shared + stats.discarded_undersized;
    assert_eq!((stats.pooled_buffers, discarded), (0, 0));
}

#[test]
fn frozen_frames_share_one_allocation_which_is_taken_again_when_they_are_gone() {
    let pool = BufferPool::new(PoolLimits::json());
    let mut buffer = pool.take();
    let start = buffer.as_ptr() as usize;
    let frames: Vec<Bytes> = (0..10_u8)
        .map(|n| {
            buffer.put_bytes(n, 100);
            buffer.split_frozen()
        })
        .collect();
    for (n, frame) in frames.iter().enumerate() {
        assert_eq!(frame.as_ptr() as usize, start + 100 * n);
        assert_eq!(frame[..], [n as u8; 100]);
    }
    assert_eq!(buffer.capacity(), KIB - 1000);
    drop(frames);
    buffer.reserve(KIB);
    assert_eq!((buffer.as_ptr() as usize, buffer.capacity()), (start, KIB));
}

#[test]
fn a_split_buffer_comes_back_whole() {
    let pool = BufferPool::new(PoolLimits::json());
    let mut buffer = pool.take();
    let at = buffer.as_ptr();
    buffer.put_bytes(b'x', KIB);
    drop(buffer.split_frozen());
    assert_eq!(buffer.capacity(), 0);
    drop(buffer);
    let buffer = pool.take();
    assert_eq!((pool.stats().hits, buffer.as_ptr(), buffer.capacity()), (1, at, KIB));
}

#[test]
fn a_buffer_is_not_kept_while_a_part_of_it_is_in_use() {
    let pool = pool(KIB, 64 * KIB, 4096 * KIB);
    let mut buffer = pool.take();
    // Grown and split, it still shows more than a new one has.
    buffer.put_bytes(b'x', 8 * KIB);
    let frame = buffer.split_frozen();
    buffer.reserve(4 * KIB);
    buffer.put_bytes(b'y', KIB);
    let other = buffer.split_frozen();
    assert!(buffer.capacity() >= KIB);
    drop(buffer);
    assert_eq!((pool.stats().pooled_buffers, pool.stats().discarded_shared), (0, 1));
    pool.take().put_bytes(b'z', 64 * KIB);
    assert!(frame.iter().all(|byte| *byte == b'x') && other.iter().all(|byte| *byte == b'y'));
}

#[test]
fn a_buffer_that_was_swapped_for_a_small_one_is_not_kept() {
    let pool = BufferPool::new(PoolLimits::json());
    let mut buffer = pool.take();
    let taken: BytesMut = std::mem::replace(&mut *buffer, BytesMut::with_capacity(100));
    drop(buffer);
    assert_eq!((pool.stats().pooled_buffers, pool.stats().discarded_undersized), (0, 1));
    drop(taken);
}

#[test]
fn small_buffers_of_known_size_go_past_the_pool() {
    let pool = BufferPool::new(PoolLimits::stdio());
    drop(pool.take());
    let small = pool.take_sized(128);
    assert_eq!(small.capacity(), 128);
    drop(small);
    let large = pool.take_sized(10 * KIB);
    assert!(large.capacity() >= 10 * KIB);
    drop(large);
    let stats = pool.stats();
    assert_eq!((stats.hits, stats.misses, stats.pooled_buffers, stats.discarded_undersized), (1, 1, 1, 0));
}

#[test]
fn clearing_frees_what_lies_in_the_pool_and_nothing_else() {
    let pool = BufferPool::new(PoolLimits::json());
    let lent = pool.take();
    drop(pool.take());
    pool.clear();
    assert_eq!((pool.stats().pooled_bytes, pool.stats().pooled_buffers), (0, 0));
    drop(lent);
    assert_eq!(pool.stats().pooled_bytes, KIB);
}

#[test]
fn threads_can_share_a_pool() {
    let pool = pool(KIB, 64 * KIB, 2 * KIB);
    thread::scope(|scope| {
        for n in 0..4_u8 {
            let pool = pool.clone();
            scope.spawn(move || {
                for _ in 0..1000 {
                    let mut buffer = pool.take();
                    assert!(buffer.is_empty());
                    buffer.put_bytes(n, 100);
                    assert!(buffer.split_frozen().iter().all(|byte| *byte == n));
                }
            });
        }
    });
    let stats = pool.stats();
    assert_eq!(stats.hits + stats.misses, 4000);
    assert_eq!(stats.misses, stats.pooled_buffers as u64 + stats.discarded_over_budget);
    assert!(stats.pooled_bytes <= 2 * KIB);
}

#[derive(Clone, Debug)]
enum Step {
    Take,
    Write(usize),
    Freeze,
    SplitFrozen,
    SplitEnd,
    Advance,
    GiveBack,
    DropParts,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Take),
        4 => (0..3000_usize).prop_map(Step::Write),
        1 => Just(Step::Freeze),
        2 => Just(Step::SplitFrozen),
        1 => Just(Step::SplitEnd),
        1 => Just(Step::Advance),
        4 => Just(Step::GiveBack),
        2 => Just(Step::DropParts),
    ]
}

proptest! {
    #[test]
    fn the_pool_never_holds_more_than_its_budget(steps in prop::collection::vec(step(), 0..200)) {
        const BUDGET: usize = 5000;
        let pool = pool(256, 2048, BUDGET);
        let mut lent: Vec<PooledBuffer> = Vec::new();
        let mut parts: Vec<Bytes> = Vec::new();
        let mut ends: Vec<BytesMut> = Vec::new();
        for step in steps {
            match (step, lent.last_mut()) {
                (Step::Take, _) => {
                    let buffer = pool.take();
                    prop_assert!(buffer.is_empty() && (256..=2048).contains(&buffer.capacity()));
                    lent.push(buffer);
                }
                (Step::Write(bytes), Some(buffer)) => buffer.put_bytes(b'x', bytes),
                (Step::Freeze, Some(_)) => parts.extend(lent.pop().map(PooledBuffer::freeze)),
                (Step::SplitFrozen, Some(buffer)) => parts.push(buffer.split_frozen()),
                (Step::SplitEnd, Some(buffer)) => {
                    let middle = buffer.capacity() / 2;
                    ends.push(buffer.split_off(middle));
                }
                (Step::Advance, Some(buffer)) => {
                    let half = buffer.len() / 2;
                    buffer.advance(half);
                }
                (Step::GiveBack, _) => drop(lent.pop()),
                (Step::DropParts, _) => {
                    parts.clear();
                    ends.clear();
                }
                _ => {}
            }
            prop_assert!(pool.stats().pooled_bytes <= BUDGET);
        }
        let counted = pool.stats().pooled_bytes;
        // Each is the only handle of its memory, and holds as much as was counted.
        prop_assert_eq!(real_bytes(&pool), counted);
    }
}
