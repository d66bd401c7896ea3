//! Reading the body of a response: what it is, and all of it within a limit.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header::CONTENT_LENGTH, header::CONTENT_TYPE};
use towpath_mcp::{BodyKind, sniff};
use towpath_raw::{Chunks, ChunksExt, ExchangeError, MessageTooLarge};

/// A body of which the beginning has been looked at.
pub(super) struct Peeked<B> {
    beginning: Bytes,
    rest: B,
}

impl<B: Chunks> Peeked<B> {
    /// Reads as much of a body as it takes to say what it is: an event stream, or something whole. Some servers send one
    /// kind under the name of the other.
    pub(super) async fn look(head: &HeaderMap, mut rest: B) -> Result<(BodyKind, Self), ExchangeError> {
        let named = head.get(CONTENT_TYPE);
        let declared = named.and_then(BodyKind::of);
        let mut beginning = Bytes::new();
        let found = loop {
            if let Some(found) = sniff(&beginning) {
                break Some(found);
            }
            // Blank lines without end are the keep-alive of some streams.
            if beginning.len() >= ENOUGH_BYTES
                || (declared == Some(BodyKind::Events) && !beginning.is_empty())
            {
                break declared;
            }
            match rest.chunk().await? {
                None => break declared,
                Some(chunk) if beginning.is_empty() => beginning = chunk,
                Some(chunk) => beginning = [beginning, chunk].concat().into(),
            }
        };
        let kind = match found {
            // What is neither is a page for people, most likely, and is read as a whole.
            Some(BodyKind::Events) if declared.is_none() && named.is_some() => BodyKind::Json,
            Some(found) => found,
            None => BodyKind::Json,
        };
        Ok((kind, Self { beginning, rest }))
    }

    /// The whole body.
    pub(super) async fn whole(
        mut self,
        head: &HeaderMap,
        limit: usize,
        peer: &Arc<str>,
    ) -> Result<Bytes, ExchangeError> {
        let declared = head.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        let too_large = |seen, exact| ExchangeError::TooLarge {
            peer: Arc::clone(peer),
            source: MessageTooLarge { limit, seen, exact },
        };
        if let Some(declared) = declared.filter(|declared| *declared > limit) {
            return Err(too_large(declared, true));
        }
        match read(&mut self, limit).await? {
            (whole, None) => Ok(whole),
            (_, Some(seen)) => Err(too_large(seen, false)),
        }
    }
}

/// The body up to a limit, whatever follows: for what is shown to people, or to nobody.
pub(super) async fn beginning(body: &mut impl Chunks, limit: usize) -> Result<Bytes, ExchangeError> {
    read(body, limit).await.map(|(bytes, _)| bytes)
}

/// Reads up to a limit. With more than that, gives how many bytes were seen.
async fn read(body: &mut impl Chunks, limit: usize) -> Result<(Bytes, Option<usize>), ExchangeError> {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(chunk) = body.chunk().await? {
        let held = first.len() + more.len();
        if chunk.len() > limit - held {
            more.extend_from_slice(&first);
            more.extend_from_slice(chunk.get(..limit - held).unwrap_or_default());
            return Ok((more.freeze(), Some(held + chunk.len())));
        }
        if held == 0 {
            first = chunk;
            continue;
        }
        if more.is_empty() {
            more.extend_from_slice(&std::mem::take(&mut first));
        }
        more.extend_from_slice(&chunk);
    }
    Ok((if more.is_empty() { first } else { more.freeze() }, None))
}

impl<B: Chunks> Chunks for Peeked<B> {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        if self.beginning.is_empty() {
            return self.rest.poll_chunk(cx);
        }
        Poll::Ready(Ok(Some(std::mem::take(&mut self.beginning))))
    }
}

/// After so many blanks a body is what its head says.
const ENOUGH_BYTES: usize = 4 << 10;
