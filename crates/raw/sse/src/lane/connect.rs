//! The GET, and the event that says where messages go.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri,
    header::{ACCEPT, CONTENT_TYPE},
};
use tokio::time::timeout;
use towpath_raw::{Connect, ExchangeError, LaneLimits, Operation, Timeout};

use super::{
    SseLane,
    endpoint::{EndpointError, named, resolve},
    post::{printable, refused},
    shared::Shared,
    sink::{SseSink, Target},
    source::SseSource,
};
use crate::{EventStream, EventStreamError, SseError, SseLaneTimeouts, SseLimits, SseTimeouts};

/// Why there is no lane over HTTP+SSE.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SseConnectError {
    /// The GET failed, was refused, or did not lead to an endpoint within [`SseLaneTimeouts::handshake`].
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The answer to the GET is no stream of events.
    #[error("{peer} answered with {content_type:?} instead of a stream of events")]
    NotAnEventStream {
        /// Who answered.
        peer: Arc<str>,
        /// The `Content-Type` of the answer; empty if it had none.
        content_type: Arc<str>,
    },
    /// The stream did not begin with an `endpoint` event.
    #[error("{peer} did not begin its stream with an `endpoint` event, but with {got}")]
    NoEndpoint {
        /// Whose stream.
        peer: Arc<str>,
        /// What came instead.
        got: Arc<str>,
    },
    /// The first event could not be taken.
    #[error("from {peer}: {source}")]
    Event {
        /// Who sent it.
        peer: Arc<str>,
        /// What was wrong with it.
        source: SseError,
    },
    /// The endpoint cannot be used.
    #[error("the endpoint that {peer} named cannot be used: {source}")]
    Endpoint {
        /// Who named it.
        peer: Arc<str>,
        /// Why not.
        source: EndpointError,
    },
}

pub(super) async fn connect<C: Connect>(
    connect: Arc<C>,
    url: Uri,
    headers: HeaderMap,
    limits: &LaneLimits,
    timeouts: &SseLaneTimeouts,
) -> Result<SseLane<C>, SseConnectError> {
    let peer = named(&url);
    let opening = open(&*connect, &url, &headers, &peer, limits, timeouts);
    let (events, endpoint) = match timeouts.handshake {
        Some(after) => timeout(after, opening).await.unwrap_or_else(|_| Err(late(&peer, after)))?,
        None => opening.await?,
    };
    let shared = Arc::new(Shared::new());
    let source = SseSource::new(events, Arc::clone(&shared));
    let target = Target { connect, endpoint, headers, peer, write_stall: timeouts.write_stall };
    Ok(SseLane { source, sink: SseSink::new(target, limits.clone(), shared) })
}

async fn open<C: Connect>(
    connect: &C,
    url: &Uri,
    headers: &HeaderMap,
    peer: &Arc<str>,
    limits: &LaneLimits,
    timeouts: &SseLaneTimeouts,
) -> Result<(EventStream<C::Body>, Uri), SseConnectError> {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = Method::GET;
    head.uri = url.clone();
    head.headers = headers.clone();
    head.headers.insert(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
    let (head, mut body) = connect.exchange(head, Bytes::new()).await?;
    if !head.status.is_success() {
        return Err(refused(peer, &head, &mut body).await.into());
    }
    let content_type = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !is_event_stream(content_type) {
        let content_type = printable(content_type).into();
        return Err(SseConnectError::NotAnEventStream { peer: Arc::clone(peer), content_type });
    }
    let sse = SseLimits::default().with_max_event_bytes(limits.max_message_bytes);
    let idle = SseTimeouts::default().with_idle(timeouts.idle);
    let mut events = EventStream::new(body, Arc::clone(peer), &sse, &idle);
    let endpoint = endpoint(&mut events, url).await?;
    Ok((events, endpoint))
}

async fn endpoint<B: towpath_raw::Chunks>(
    events: &mut EventStream<B>,
    url: &Uri,
) -> Result<Uri, SseConnectError> {
    let peer = Arc::clone(events.peer());
    let got = match events.event().await {
        Ok(Some(event)) if event.name == "endpoint" => {
            return resolve(url, &event.data).map_err(|source| SseConnectError::Endpoint { peer, source });
        }
        Ok(Some(event)) => format!("one of type `{}`", printable(&event.name)).into(),
        Ok(None) => "its end".into(),
        Err(EventStreamError::Event { peer, source }) => return Err(SseConnectError::Event { peer, source }),
        Err(EventStreamError::Body(error)) => return Err(error.into()),
    };
    Err(SseConnectError::NoEndpoint { peer, got })
}

fn is_event_stream(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(EVENT_STREAM.as_bytes())
}

fn late(peer: &Arc<str>, after: Duration) -> SseConnectError {
    let source = Timeout { operation: Operation::Handshake, after };
    ExchangeError::Timeout { peer: Arc::clone(peer), source }.into()
}

const EVENT_STREAM: &str = "text/event-stream";
