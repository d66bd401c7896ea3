//! The server's side around a server's side.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{request, response};
use tokio::time::{Instant, sleep_until, timeout_at};
use towpath_raw::{Accept, Arrival, Chunks, ExchangeError};

use super::{FaultBody, FaultKind, Turn, Turns, body::Taps};
use crate::fault::{stats::Counters, tap::Tap};

/// An [`Accept`] with faults; see [`HttpPlan::accept`](crate::HttpPlan::accept).
#[derive(Debug)]
pub struct FaultAccept<A: Accept> {
    inner: A,
    turns: Turns,
    /// Arrived, and held back: at most 64 at once.
    held: Vec<Held<A::Arrival>>,
    ended: bool,
}

#[derive(Debug)]
struct Held<R> {
    until: Instant,
    since: Option<u64>,
    arrival: FaultArrival<R>,
}

impl<A: Accept> FaultAccept<A> {
    pub(super) fn new(inner: A, turns: Turns) -> Self {
        Self { inner, turns, held: Vec::new(), ended: false }
    }

    fn hold(&mut self, arrival: A::Arrival) {
        let turn = self.turns.next();
        if turn.lose_request {
            self.turns.count(FaultKind::LoseRequest);
            return;
        }
        if !turn.head_delay.is_zero() {
            self.turns.count(FaultKind::Delay);
        }
        let since = turn.hold.map(|_| self.turns.gone());
        let until = Instant::now() + turn.head_delay + turn.hold.unwrap_or_default();
        let counters = Arc::clone(&self.turns.plan.counters);
        self.held.push(Held { until, since, arrival: FaultArrival::new(arrival, turn, counters) });
    }

    /// The one whose time has come first, of several the one that came first.
    fn take_due(&mut self) -> Option<FaultArrival<A::Arrival>> {
        let now = Instant::now();
        let due = self.held.iter().enumerate().filter(|(_, held)| held.until <= now);
        let (index, _) = due.min_by_key(|(index, held)| (held.until, *index))?;
        let held = self.held.remove(index);
        self.turns.let_go(held.since);
        Some(held.arrival)
    }
}

impl<A: Accept> Accept for FaultAccept<A> {
    type Arrival = FaultArrival<A::Arrival>;

    async fn accept(&mut self) -> Option<Self::Arrival> {
        loop {
            if let Some(arrival) = self.take_due() {
                return Some(arrival);
            }
            let earliest = self.held.iter().map(|held| held.until).min();
            let waits = self.ended || self.held.len() >= MOST_HELD;
            let arrival = match earliest {
                None if self.ended => return None,
                None => self.inner.accept().await,
                Some(at) if waits => {
                    // allowed: the time that it takes is the fault
                    sleep_until(at).await;
                    continue;
                }
                Some(at) => match timeout_at(at, self.inner.accept()).await {
                    Ok(arrival) => arrival,
                    Err(_) => continue,
                },
            };
            match arrival {
                Some(arrival) => self.hold(arrival),
                None => self.ended = true,
            }
        }
    }
}

/// One exchange with faults.
#[derive(Debug)]
pub struct FaultArrival<R> {
    body: FaultRequestBody<R>,
    lose_answer: bool,
    response: Option<Tap>,
    counters: Arc<Counters>,
}

impl<R: Arrival> FaultArrival<R> {
    fn new(arrival: R, turn: Turn, counters: Arc<Counters>) -> Self {
        let taps = Taps::new(turn.request, PEER.into());
        let body = FaultRequestBody { arrival, taps };
        Self { body, lose_answer: turn.lose_answer, response: turn.response, counters }
    }
}

impl<R: Arrival> Arrival for FaultArrival<R> {
    type Body = FaultRequestBody<R>;

    fn head(&self) -> &request::Parts {
        self.body.arrival.head()
    }

    fn body(&mut self) -> &mut FaultRequestBody<R> {
        &mut self.body
    }

    fn respond(self, head: response::Parts, body: impl Chunks + 'static) {
        if self.lose_answer {
            self.counters.count(FaultKind::LoseAnswer);
            return;
        }
        self.body.arrival.respond(head, FaultBody::new(body, self.response, PEER.into()));
    }
}

/// The body of the request of a [`FaultArrival`].
#[derive(Debug)]
pub struct FaultRequestBody<R> {
    arrival: R,
    taps: Taps,
}

impl<R: Arrival> Chunks for FaultRequestBody<R> {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        let arrival = &mut self.arrival;
        self.taps.poll_chunk(cx, |cx| arrival.body().poll_chunk(cx))
    }
}

const PEER: &str = "the client (with faults)";

/// How many exchanges are held back at once.
const MOST_HELD: usize = 64;
