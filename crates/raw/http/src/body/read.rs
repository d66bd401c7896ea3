//! A body, read to its end.

use std::{
    error::Error,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::Body;
use tokio::time::{Sleep, sleep};
use towpath_raw::{MessageTooLarge, Operation, Timeout};

use crate::reason::chain;

use super::{budget::BodyBudget, error::BodyError, limits::BodyTimeouts};

/// Reads a body to its end, within the budget and the deadline.
///
/// `content_length` is what the head declares; without it, what the body knows of itself. A body that comes in one chunk
/// is given as it came, and is never counted; of more chunks one copy is made, in room for at most twice what has come,
/// whatever was declared.
///
/// ```
/// use towpath_http::{BodyBudget, BodyError, BodyLimits, BodyTimeouts, read_body};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let budget = BodyBudget::new(BodyLimits::default().with_max_body_bytes(8))?;
/// let timeouts = BodyTimeouts::default();
/// let body = http_body_util::Full::new(bytes::Bytes::from_static(b"hello"));
/// assert_eq!(read_body(body, None, &budget, &timeouts).await?, "hello");
///
/// let body = http_body_util::Full::new(bytes::Bytes::from_static(b"hello, world"));
/// let error = read_body(body, None, &budget, &timeouts).await.unwrap_err();
/// assert!(matches!(error, BodyError::TooLarge(_)));
/// assert_eq!(error.status(), 413);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`BodyError`]. The rest of the body is not read.
///
/// # Cancel safety
///
/// Not cancel safe: dropped, it drops the body and what it has read of it, and the budget has that back.
pub async fn read_body<B>(
    body: B,
    content_length: Option<u64>,
    budget: &BodyBudget,
    timeouts: &BodyTimeouts,
) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let limit = budget.limits().max_body_bytes;
    let declared = content_length.or_else(|| body.size_hint().exact());
    let declared = declared.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if let Some(seen) = declared.filter(|declared| *declared > limit) {
        return Err(BodyError::TooLarge(MessageTooLarge { limit, seen, exact: true }));
    }

    let mut body = pin!(body);
    let mut deadline = Deadline { after: timeouts.body_read, timer: None };
    let first = poll_fn(|cx| deadline.bound(cx, |cx| poll_chunk(body.as_mut(), cx))).await?;
    let Some(first) = first else { return Ok(Bytes::new()) };
    within_limit(first.len(), limit)?;
    if body.is_end_stream() {
        return Ok(first);
    }
    // Without a declared length, the end may lie right behind it.
    let mut next = poll_fn(|cx| Poll::Ready(poll_chunk(body.as_mut(), cx))).await;
    if let Poll::Ready(Ok(None)) = next {
        return Ok(first);
    }

    let mut reading = budget.open(first, declared)?;
    loop {
        let chunk = match std::mem::replace(&mut next, Poll::Pending) {
            Poll::Ready(chunk) => chunk?,
            Poll::Pending => {
                let mut watched = |cx: &mut Context<'_>| {
                    reading.watch(cx)?;
                    poll_chunk(body.as_mut(), cx)
                };
                poll_fn(|cx| deadline.bound(cx, &mut watched)).await?
            }
        };
        let Some(chunk) = chunk else { return reading.finish() };
        within_limit(reading.len() + chunk.len(), limit)?;
        reading.push(chunk)?;
    }
}

fn within_limit(seen: usize, limit: usize) -> Result<(), BodyError> {
    if seen > limit {
        return Err(BodyError::TooLarge(MessageTooLarge { limit, seen, exact: false }));
    }
    Ok(())
}

/// The next chunk with something in it.
fn poll_chunk<B>(mut body: Pin<&mut B>, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    loop {
        match ready!(body.as_mut().poll_frame(cx)) {
            None => return Poll::Ready(Ok(None)),
            Some(Err(error)) => return Poll::Ready(Err(BodyError::Broken(chain(&*error.into())))),
            // Trailers say nothing that is asked for here.
            Some(Ok(frame)) => match frame.into_data() {
                Ok(chunk) if !chunk.is_empty() => return Poll::Ready(Ok(Some(chunk))),
                _ => {}
            },
        }
    }
}

/// Made when there is something to wait for: most bodies are there already.
struct Deadline {
    after: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    fn bound<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<Result<T, BodyError>>,
    ) -> Poll<Result<T, BodyError>> {
        if let Poll::Ready(result) = poll(cx) {
            return Poll::Ready(result);
        }
        let Some(after) = self.after else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(after)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(BodyError::Timeout(Timeout { operation: Operation::Body, after })))
    }
}

#[cfg(test)]
mod tests;
