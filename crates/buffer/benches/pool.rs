//! The pool against plain allocation: `cargo bench -p towpath-buffer`.
//!
//! Both sides run in turns, in many short rounds. The figures are nanoseconds an operation in the fastest round:
//! whatever else the machine does only adds to it.

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use towpath_buffer::{BufferPool, PoolLimits};

const ROUNDS: usize = 100;
const ROUND: Duration = Duration::from_millis(1);
const KIB: usize = 1024;
const SIZES: [usize; 4] = [128, 8 * KIB, 64 * KIB, 1024 * KIB];

fn main() {
    let source = vec![b'x'; 1024 * KIB];
    println!("{:<46} {:>9} {:>10} {:>10} {:>8}", "case", "bytes", "plain ns", "pool ns", "ratio");
    for size in SIZES {
        let text = &source[..size];
        let pool = pool(size);
        let with_pool = || {
            let mut buffer = pool.take();
            buffer.put_slice(black_box(text));
            black_box(&mut *buffer);
        };
        compare("write, known size", size, || plain(size, text), with_pool);
    }
    for size in SIZES {
        // Nobody knows the size beforehand: both start small, the pool only once.
        let pool = pool(KIB.min(size));
        let without_pool = || {
            let mut buffer = BytesMut::with_capacity(KIB.min(size));
            write_in_pieces(&mut buffer, &source[..size]);
            black_box(&mut buffer);
        };
        let with_pool = || {
            let mut buffer = pool.take();
            write_in_pieces(&mut buffer, &source[..size]);
            black_box(&mut *buffer);
        };
        compare("write, unknown size, in pieces of 64 B", size, without_pool, with_pool);
    }
    for size in SIZES {
        let text = &source[..size];
        let pool = pool(size);
        let without_pool = || {
            let mut buffer = BytesMut::with_capacity(size);
            buffer.put_slice(black_box(text));
            drop(black_box(buffer.freeze()));
        };
        let with_pool = || {
            let mut buffer = pool.take();
            buffer.put_slice(black_box(text));
            drop(black_box(buffer.freeze()));
        };
        compare("write, freeze (never comes back)", size, without_pool, with_pool);
    }
    {
        let pool = BufferPool::new(PoolLimits::stdio());
        let text = &source[..128];
        let with_pool = || {
            let mut buffer = pool.take_sized(128);
            buffer.put_slice(black_box(text));
            black_box(&mut *buffer);
        };
        compare("write, take_sized goes past an 8 KiB pool", 128, || plain(128, text), with_pool);
        let with_pool = || {
            let mut buffer = pool.take();
            buffer.put_slice(black_box(text));
            black_box(&mut *buffer);
        };
        compare("write, take from an 8 KiB pool", 128, || plain(128, text), with_pool);
    }
    let frames = 32;
    for size in [128, KIB] {
        let text = &source[..size];
        let pool = BufferPool::new(PoolLimits::stdio());
        let mut queue: Vec<Bytes> = Vec::with_capacity(frames);
        let mut other_queue: Vec<Bytes> = Vec::with_capacity(frames);
        let without_pool = || {
            for _ in 0..frames {
                let mut buffer = BytesMut::with_capacity(size);
                buffer.put_slice(black_box(text));
                queue.push(buffer.freeze());
            }
            black_box(&queue);
            queue.clear();
        };
        let mut buffer = pool.take();
        let with_pool = || {
            for _ in 0..frames {
                buffer.put_slice(black_box(text));
                other_queue.push(buffer.split_frozen());
            }
            black_box(&other_queue);
            other_queue.clear();
        };
        compare("32 frames queued, then written (split_frozen)", size, without_pool, with_pool);
    }
    for size in [128, 8 * KIB, 64 * KIB] {
        let text = &source[..size];
        let pool = pool(size);
        let with_pool = || {
            let mut buffer = pool.take();
            buffer.put_slice(black_box(text));
            black_box(&mut *buffer);
        };
        let plain = both_threads(&|| plain(size, text));
        let pooled = both_threads(&with_pool);
        row("write, known size, two threads on one pool", size, plain, pooled);
    }
}

fn pool(initial_bytes: usize) -> BufferPool {
    BufferPool::new(PoolLimits {
        initial_bytes,
        max_pooled_buffer_bytes: 2 * 1024 * KIB,
        max_pooled_bytes: 8 * 1024 * KIB,
    })
}

fn plain(size: usize, text: &[u8]) {
    let mut buffer = BytesMut::with_capacity(size);
    buffer.put_slice(black_box(text));
    black_box(&mut buffer);
}

fn write_in_pieces(buffer: &mut BytesMut, text: &[u8]) {
    for piece in black_box(text).chunks(64) {
        buffer.put_slice(piece);
    }
}

fn compare(case: &str, size: usize, mut without_pool: impl FnMut(), mut with_pool: impl FnMut()) {
    let turns = [turns_in_a_round(&mut without_pool), turns_in_a_round(&mut with_pool)];
    let mut plain = Vec::new();
    let mut pooled = Vec::new();
    for _ in 0..ROUNDS {
        plain.push(time(turns[0], &mut without_pool));
        pooled.push(time(turns[1], &mut with_pool));
    }
    row(case, size, fastest(plain), fastest(pooled));
}

/// The time of one operation when two threads do it at once.
fn both_threads(operation: &(impl Fn() + Sync)) -> f64 {
    let turns = turns_in_a_round(&mut &*operation);
    let rounds = (0..ROUNDS).map(|_| {
        let barrier = Barrier::new(2);
        let run = || {
            barrier.wait();
            time(turns, &mut &*operation)
        };
        thread::scope(|scope| {
            let other = scope.spawn(run);
            run().max(other.join().unwrap_or(f64::NAN))
        })
    });
    fastest(rounds.collect())
}

fn turns_in_a_round(operation: &mut impl FnMut()) -> u32 {
    let mut turns = 1;
    loop {
        let start = Instant::now();
        for _ in 0..turns {
            operation();
        }
        if start.elapsed() >= ROUND {
            return turns;
        }
        turns *= 2;
    }
}

fn time(turns: u32, operation: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..turns {
        operation();
    }
    start.elapsed().as_nanos() as f64 / f64::from(turns)
}

fn fastest(values: Vec<f64>) -> f64 {
    values.into_iter().fold(f64::INFINITY, f64::min)
}

fn row(case: &str, size: usize, plain: f64, pooled: f64) {
    println!("{case:<46} {size:>9} {plain:>10.1} {pooled:>10.1} {:>8.2}", pooled / plain);
}
