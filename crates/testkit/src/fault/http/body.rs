//! The body around a body.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use towpath_raw::{Chunks, ExchangeError};

use crate::fault::{
    Cut,
    common::planned,
    tap::{Tap, Way},
};

/// A body with faults; see [`HttpPlan::response`](crate::HttpPlan::response).
#[derive(Debug)]
pub struct FaultBody<B> {
    /// Let go at its end.
    inner: Option<B>,
    taps: Taps,
}

impl<B> FaultBody<B> {
    pub(super) fn new(inner: B, tap: Option<Tap>, peer: Arc<str>) -> Self {
        Self { inner: Some(inner), taps: Taps::new(tap, peer) }
    }
}

impl<B: Chunks> Chunks for FaultBody<B> {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        let inner = &mut self.inner;
        let chunk = self.taps.poll_chunk(cx, |cx| match inner {
            Some(inner) => inner.poll_chunk(cx),
            None => Poll::Ready(Ok(None)),
        });
        if matches!(chunk, Poll::Ready(Ok(None) | Err(_))) {
            self.inner = None;
        }
        chunk
    }
}

/// What a body passes through.
#[derive(Debug)]
pub(super) struct Taps {
    tap: Option<Tap>,
    peer: Arc<str>,
    held: Bytes,
    inner_ended: Option<Result<(), ExchangeError>>,
    ended: Option<Result<(), ExchangeError>>,
}

impl Taps {
    pub(super) fn new(tap: Option<Tap>, peer: Arc<str>) -> Self {
        Self { tap, peer, held: Bytes::new(), inner_ended: None, ended: None }
    }

    /// The next chunk of the body that `next` gives.
    pub(super) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        mut next: impl FnMut(&mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>>,
    ) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        let Some(tap) = &mut self.tap else { return next(cx) };
        for _ in 0..DISCARDED_IN_A_ROW {
            if let Some(ended) = &self.ended {
                return Poll::Ready(ended.clone().map(|()| None));
            }
            let way = ready!(tap.poll_way(cx));
            if let Way::Cut(how) = way {
                let reason = match how {
                    Cut::End => None,
                    Cut::MidFrame => Some(planned(std::io::ErrorKind::UnexpectedEof)),
                    Cut::Error(kind) => Some(planned(kind)),
                };
                self.ended = Some(match reason {
                    None => Ok(()),
                    Some(reason) => Err(broken(&self.peer, &format!("{} ({})", reason, reason.kind()))),
                });
                continue;
            }
            if self.held.is_empty() {
                match (&self.inner_ended, way) {
                    (Some(_), Way::Nowhere) => return Poll::Pending,
                    (Some(ended), _) => {
                        self.ended = Some(ended.clone());
                        continue;
                    }
                    (None, _) => {}
                }
                match ready!(next(cx)) {
                    Ok(Some(chunk)) => self.held = chunk,
                    Ok(None) => self.inner_ended = Some(Ok(())),
                    Err(error) => self.inner_ended = Some(Err(error)),
                }
                continue;
            }
            if way == Way::Nowhere {
                tap.lost();
                self.held.clear();
                continue;
            }
            let wanted = self.held.len();
            let most = tap.most(wanted);
            ready!(tap.poll_pass(cx));
            let Some(first) = self.held.first().copied() else { continue };
            match tap.corrupted(first) {
                Some(corrupted) => {
                    tap.passed(&[first], 1);
                    self.held.advance(1);
                    if !corrupted.bytes().is_empty() {
                        return Poll::Ready(Ok(Some(Bytes::copy_from_slice(corrupted.bytes()))));
                    }
                }
                None => {
                    let chunk = self.held.split_to(most);
                    tap.passed(&chunk, wanted);
                    return Poll::Ready(Ok(Some(chunk)));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A body that is there whole, as it comes out: what takes time takes none.
pub(super) fn whole(mut tap: Tap, body: &Bytes) -> Bytes {
    let mut out = Vec::with_capacity(body.len());
    let mut left = body.clone();
    while let Some(first) = left.first().copied() {
        if tap.cut().is_some() {
            break;
        }
        let most = tap.most(left.len());
        match tap.corrupted(first) {
            Some(corrupted) => {
                tap.passed(&[first], 1);
                left.advance(1);
                out.extend_from_slice(corrupted.bytes());
            }
            None => {
                let chunk = left.split_to(most);
                tap.passed(&chunk, most);
                out.extend_from_slice(&chunk);
            }
        }
    }
    out.into()
}

pub(super) fn broken(peer: &Arc<str>, reason: &str) -> ExchangeError {
    ExchangeError::Broken { peer: Arc::clone(peer), reason: reason.into() }
}

/// How often something is thrown away before others get their turn.
const DISCARDED_IN_A_ROW: usize = 32;
