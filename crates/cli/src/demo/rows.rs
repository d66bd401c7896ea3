//! The rows of the demonstration: one connection each, many calls, and a look at what is left.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::{
    task::JoinSet,
    time::{timeout, timeout_at},
};
use towpath::{Client, Era, client::CallOptions};

use super::{
    leftover::{Baseline, Leftover},
    paths::{PATHS, Path, Reached},
    payload::{Payloads, is_unchanged},
};

const ERAS: &[Era] = &[Era::Modern, Era::Legacy];
const PAYLOADS: &[usize] = &[100, 64 << 10, 1 << 20];
const IN_FLIGHT: &[usize] = &[1, 64];

/// How much is done for a row: what comes first ends it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    pub(super) time: Duration,
    pub(super) calls: u64,
}

impl Effort {
    pub(super) const FULL: Self = Self { time: Duration::from_millis(300), calls: 100_000 };
    pub(super) const QUICK: Self = Self { time: Duration::from_millis(100), calls: 2_000 };
}

/// What a row is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) path: Path,
    pub(super) era: Era,
    pub(super) payload_bytes: usize,
    pub(super) in_flight: usize,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) case: Case,
    pub(super) calls: u64,
    /// In nanoseconds.
    pub(super) latencies: Histogram<u64>,
    pub(super) bytes_per_second: f64,
    pub(super) lost: u64,
    pub(super) changed: u64,
    pub(super) left: Leftover,
    /// The first thing that went wrong.
    pub(super) why: Option<String>,
}

/// Why a row could not be made at all.
#[derive(Debug)]
pub(super) struct NoRow(pub(super) String);

/// Every case, in the order in which they are shown.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for &path in PATHS {
        for &era in ERAS {
            for &payload_bytes in PAYLOADS {
                for &in_flight in IN_FLIGHT {
                    cases.push(Case { path, era, payload_bytes, in_flight });
                }
            }
        }
    }
    cases
}

/// What is there before the first row: after every path was used once, since what a process needs for all of its
/// connections stays.
pub(super) async fn warm_up() -> Result<Baseline, NoRow> {
    let effort = Effort { time: Duration::ZERO, calls: 1 };
    for &path in PATHS {
        run(Case { path, era: Era::Modern, payload_bytes: 100, in_flight: 1 }, effort, Baseline::now())
            .await?;
    }
    Ok(Baseline::now())
}

/// Connects, calls, closes, and looks at what is left. It ends by [`DEADLINE`] and a few seconds.
pub(super) async fn run(case: Case, effort: Effort, baseline: Baseline) -> Result<Row, NoRow> {
    let reached = timeout(DEADLINE, case.path.connect(case.era)).await;
    let Reached { client, server } =
        reached.map_err(|_| NoRow(format!("no connection within {DEADLINE:?}")))??;
    let run = Arc::new(Run {
        client: client.clone(),
        payloads: Payloads::new(case.payload_bytes),
        begun: AtomicU64::new(0),
        lost: AtomicU64::new(0),
        most: effort.calls,
        until: Instant::now() + effort.time,
    });
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..case.in_flight {
        callers.spawn(Arc::clone(&run).call());
    }
    let mut row = Row {
        case,
        calls: 0,
        latencies: histogram()?,
        bytes_per_second: 0.0,
        lost: 0,
        changed: 0,
        left: Leftover::default(),
        why: None,
    };
    let mut answered = 0;
    let deadline = tokio::time::Instant::from_std(start + DEADLINE);
    while let Ok(Some(done)) = timeout_at(deadline, callers.join_next()).await {
        match done {
            Ok(tally) => {
                tally.nanos.iter().for_each(|nanos| row.latencies.saturating_record(*nanos));
                answered += tally.nanos.len() as u64;
                row.changed += tally.changed;
                row.why = row.why.or(tally.why);
            }
            Err(error) => row.why = row.why.or(Some(error.to_string())),
        }
    }
    row.bytes_per_second = answered as f64 * case.payload_bytes as f64 / start.elapsed().as_secs_f64();
    if !callers.is_empty() {
        row.why = row.why.or(Some(format!("calls without an answer after {DEADLINE:?}")));
        callers.shutdown().await;
    }
    row.calls = run.begun.load(Relaxed);
    row.lost = row.calls.saturating_sub(answered);
    drop((run, callers));
    if timeout(DEADLINE, client.close()).await.is_err() {
        row.why = row.why.or(Some(format!("the connection was not closed within {DEADLINE:?}")));
    }
    drop((client, server));
    row.left = baseline.compare().await;
    Ok(row)
}

/// What the callers of a row share.
struct Run {
    client: Client,
    payloads: Payloads,
    begun: AtomicU64,
    lost: AtomicU64,
    most: u64,
    until: Instant,
}

/// What one caller has seen.
#[derive(Default)]
struct Tally {
    /// How long each answered call took.
    nanos: Vec<u64>,
    changed: u64,
    why: Option<String>,
}

impl Run {
    /// One call after another, until there were enough, or time is up; each row has at least one.
    async fn call(self: Arc<Self>) -> Tally {
        let mut tally = Tally::default();
        loop {
            let nonce = self.begun.fetch_add(1, Relaxed);
            if nonce >= self.most || (nonce > 0 && Instant::now() >= self.until) {
                self.begun.fetch_sub(1, Relaxed);
                return tally;
            }
            let text = self.payloads.text(nonce);
            let params = Payloads::params(&text);
            let start = Instant::now();
            let answer = self.client.call_with("tools/call", Some(params), CallOptions::default());
            match answer.with_total(Some(DEADLINE)).await {
                Ok(result) => {
                    tally.nanos.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
                    if !is_unchanged(&result, &text) {
                        tally.changed += 1;
                        tally.why.get_or_insert_with(|| format!("payload {nonce} came back changed"));
                    }
                }
                Err(error) => {
                    tally.why.get_or_insert_with(|| error.to_string());
                    // A few may be bad luck; a thousand are the same news again and again.
                    if self.lost.fetch_add(1, Relaxed) >= MAX_LOST {
                        return tally;
                    }
                }
            }
        }
    }
}

fn histogram() -> Result<Histogram<u64>, NoRow> {
    let longest = u64::try_from(DEADLINE.as_nanos()).unwrap_or(u64::MAX);
    Histogram::new_with_bounds(1, longest, 3).map_err(|error| NoRow(error.to_string()))
}

/// After so long without an answer a call is lost.
const DEADLINE: Duration = Duration::from_secs(5);
const MAX_LOST: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_shown_in_both_eras_with_every_payload() {
        let cases = cases();
        assert_eq!(cases.len(), PATHS.len() * ERAS.len() * PAYLOADS.len() * IN_FLIGHT.len());
        assert_eq!(cases.iter().filter(|case| case.era == Era::Legacy).count(), cases.len() / 2);
        assert!(histogram().unwrap().high() >= DEADLINE.as_nanos() as u64);
    }
}
