//! The client's side around a client's side.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{header::CONTENT_LENGTH, request, response};
use tokio::time::sleep;
use towpath_raw::{Connect, ExchangeError};

use super::{
    FaultBody, FaultKind, Turn, Turns,
    body::{broken, whole},
};

/// A [`Connect`] with faults; see [`HttpPlan::connect`](crate::HttpPlan::connect).
#[derive(Debug)]
pub struct FaultConnect<C> {
    inner: C,
    turns: Turns,
}

impl<C> FaultConnect<C> {
    pub(super) fn new(inner: C, turns: Turns) -> Self {
        Self { inner, turns }
    }
}

impl<C: Connect> FaultConnect<C> {
    async fn run(
        &self,
        turn: Turn,
        mut head: request::Parts,
        mut body: Bytes,
    ) -> Result<(response::Parts, FaultBody<C::Body>), ExchangeError> {
        let peer: Arc<str> = format!("{} (with faults)", head.uri).into();
        let since = match turn.hold {
            Some(hold) => {
                let since = self.turns.gone();
                wait(hold).await;
                Some(since)
            }
            None => None,
        };
        if turn.lose_request {
            self.turns.count(FaultKind::LoseRequest);
            return Err(ExchangeError::NotConnected { peer, reason: "a planned fault".into() });
        }
        if let Some(tap) = turn.request {
            body = whole(tap, &body);
            // Whoever sends it declares what it sends.
            head.headers.remove(CONTENT_LENGTH);
        }
        self.turns.let_go(since);
        let (head, body) = if turn.twice {
            self.turns.count(FaultKind::Duplicate);
            let first = self.inner.exchange(head.clone(), body.clone());
            second(first, self.inner.exchange(head, body)).await?
        } else {
            self.inner.exchange(head, body).await?
        };
        if turn.lose_answer {
            self.turns.count(FaultKind::LoseAnswer);
            return Err(broken(&peer, "a planned fault: the answer got lost"));
        }
        if !turn.head_delay.is_zero() {
            self.turns.count(FaultKind::Delay);
            wait(turn.head_delay).await;
        }
        Ok((head, FaultBody::new(body, turn.response, peer)))
    }
}

impl<C: Connect> Connect for FaultConnect<C> {
    type Body = FaultBody<C::Body>;

    fn exchange(
        &self,
        head: request::Parts,
        body: Bytes,
    ) -> impl Future<Output = Result<(response::Parts, Self::Body), ExchangeError>> + Send {
        // Numbered when it is asked for, not when it is first polled.
        let turn = self.turns.next();
        self.run(turn, head, body)
    }
}

/// What the second gives, with the first beside it until then, and its answer unread.
async fn second<T>(first: impl Future<Output = T>, second: impl Future<Output = T>) -> T {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let mut unread = None;
    poll_fn(|cx| {
        if unread.is_none()
            && let Poll::Ready(answer) = first.as_mut().poll(cx)
        {
            unread = Some(answer);
        }
        second.as_mut().poll(cx)
    })
    .await
}

async fn wait(time: Duration) {
    // allowed: the time that it takes is the fault
    sleep(time).await;
}
