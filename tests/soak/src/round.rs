//! Rounds of lives: some at a time, and then nothing may be left.

use std::{
    error::Error,
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;

use towpath::wait_for_children;

use crate::{
    client::{Wrong, spawn},
    count::Counts,
    left::Leftovers,
    life::{Life, Start, all, live, program, runtime},
};

/// Runs rounds for so long, and judges.
pub(crate) fn run(seed: u64, during: Duration) -> Result<(), Box<dyn Error>> {
    println!("seed: {seed}");
    let counts = Counts::default();
    let start = Instant::now();
    round(seed, 0, &counts)?;
    crowd(&counts)?;
    let mut left = Leftovers::new()?;
    let mut number = 1;
    while start.elapsed() < during || number <= LEAST_ROUNDS {
        round(seed, number, &counts)?;
        left.look(counts.spawned.get()).map_err(|left| format!("round {number}, seed {seed}: {left}"))?;
        number += 1;
    }
    println!("{number} rounds in {:?}: {counts}", start.elapsed());
    let memory = left.memory().map_err(|grown| format!("it grows: {grown}"))?;
    println!("{memory}");
    let missing = counts.missing();
    if !missing.is_empty() {
        return Err(format!("has never happened: {missing:?}").into());
    }
    match counts.calls_without_one_end() {
        0 => Ok(()),
        calls => Err(format!("{calls} calls have not ended exactly once").into()),
    }
}

/// More children at once than a round can have: what is kept for each of them does not grow later, when the machine
/// happens to be slow to end them.
fn crowd(counts: &Counts) -> Result<(), Wrong> {
    let program = program()?;
    let children = 0..2 * all().len();
    let lanes = runtime()?.block_on(async {
        children.map(|_| spawn(Start::Mute, &program, counts)).collect::<Result<Vec<_>, Wrong>>()
    })?;
    drop(lanes);
    match wait_for_children(CROWD_ENDS).as_slice() {
        [] => Ok(()),
        left => Err(format!("{} children are not gone after {CROWD_ENDS:?}", left.len())),
    }
}

/// Every life once, in an order that follows from the seed.
fn round(seed: u64, number: u64, counts: &Counts) -> Result<(), Wrong> {
    let mut rng = Rng::with_seed(seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let mut lives = all();
    rng.shuffle(&mut lives);
    let shares: Vec<Vec<(Life, Rng)>> = lives
        .chunks(lives.len().div_ceil(AT_ONCE))
        .map(|share| share.iter().map(|life| (*life, rng.fork())).collect())
        .collect();
    thread::scope(|scope| {
        let workers: Vec<_> =
            shares.into_iter().map(|share| scope.spawn(move || work(share, counts))).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(done) => done.map_err(|wrong| format!("round {number}, seed {seed}: {wrong}")),
            Err(_) => Err(format!("round {number}, seed {seed}: a panic")),
        })
    })
}

fn work(share: Vec<(Life, Rng)>, counts: &Counts) -> Result<(), Wrong> {
    let runtime = runtime()?;
    for (life, mut rng) in share {
        live(life, &runtime, &mut rng, counts).map_err(|wrong| format!("{life:?}: {wrong}"))?;
    }
    runtime.block_on(async {
        let start = Instant::now();
        loop {
            match tokio::runtime::Handle::current().metrics().num_alive_tasks() {
                0 => return Ok(()),
                tasks if start.elapsed() > TASKS_END => return Err(format!("{tasks} tasks have not ended")),
                _ => tokio::task::yield_now().await,
            }
        }
    })
}

/// How many children live at once.
const AT_ONCE: usize = 6;
/// The fewest rounds beside the warm-up: so memory can be compared.
const LEAST_ROUNDS: u64 = 6;
/// How long the crowd may take to end.
const CROWD_ENDS: Duration = Duration::from_secs(60);
/// How long tasks may take to end, once nothing holds them.
const TASKS_END: Duration = Duration::from_secs(10);
