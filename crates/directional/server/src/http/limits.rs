//! Limits and timeouts of the HTTP face.

use std::time::Duration;

use towpath_jsonrpc::EnvelopeLimits;

/// What clients over HTTP may make a service hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointLimits {
    /// How many requests may be in flight in all, sessions and modern exchanges together. Unit: requests; default
    /// 4,096.
    ///
    /// At the limit a further one gets 503 with `Retry-After` (−32603, `data.reason` = `"overloaded"`). Worst case: so
    /// many handlers, each with its request and `max_unread_event_bytes`.
    pub max_requests: usize,
    /// How many streams may be open that wait for changes: `subscriptions/listen` and the GET streams of sessions.
    /// Unit: streams; default 20,000.
    ///
    /// At the limit as with `max_requests`.
    pub max_streams: usize,
    /// How many legacy sessions may be open. Unit: sessions; default 10,000.
    ///
    /// At the limit `initialize` gets 503 with `Retry-After`. Worst case: a few KiB for each quiet session, beside what
    /// `SessionLimits` allows.
    pub max_sessions: usize,
    /// How many sessions of one [`Principal`](super::Principal) may be open. Unit: sessions; default 1,000. Sessions of
    /// nobody in particular are not counted here.
    ///
    /// At the limit as with `max_sessions`.
    pub max_sessions_per_principal: usize,
    /// How many requests of one session may be in flight. Unit: requests, those of a batch counted one by one; default
    /// 64.
    ///
    /// At the limit a further one gets 429 (−32600, `data.reason` = `"too_many_requests"`).
    pub max_requests_per_session: usize,
    /// How many bytes of messages may wait for a session to take them in. Unit: bytes; default 64 MiB: a mebibyte for
    /// each request that it may have in flight.
    ///
    /// At the limit a POST gets 503 with `Retry-After`; an empty queue takes any message.
    pub max_session_inbox_bytes: usize,
    /// How many bytes of events before the answer may wait for the reader of one response. Unit: bytes; default
    /// 256 KiB.
    ///
    /// At the limit a handler's notification waits; one notification may go over it. In a session, whose streams share
    /// one order, the wait ends after [`EndpointTimeouts::reader_stall`]: the notifications of a response whose reader
    /// takes nothing for so long are dropped and counted. The answer always has room.
    pub max_unread_event_bytes: usize,
    /// How many bytes of messages that belong to no request may wait for a session's GET stream. Unit: bytes; default
    /// 64 KiB.
    ///
    /// At the limit the oldest are dropped and counted, and the next stream begins with an event of type `gap`; the
    /// newest one may go over it. While a stream is open that can be resumed they are kept with what was sent, up to
    /// [`ReplayLimits`](super::ReplayLimits): its reader, if it comes to itself too late for that, is told of the gap and
    /// sent away for a moment.
    pub max_session_queue_bytes: usize,
    /// The limits of one message's envelope. Its `max_message_bytes` bounds the body of a POST, and a notification.
    pub envelope: EnvelopeLimits,
}

impl Default for EndpointLimits {
    fn default() -> Self {
        Self {
            max_requests: 4096,
            max_streams: 20_000,
            max_sessions: 10_000,
            max_sessions_per_principal: 1000,
            max_requests_per_session: 64,
            max_session_inbox_bytes: 64 << 20,
            max_unread_event_bytes: 256 << 10,
            max_session_queue_bytes: 64 << 10,
            envelope: EnvelopeLimits::default(),
        }
    }
}

/// How long a service waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointTimeouts {
    /// How long the body of a POST may take to arrive. Default: 30 s. `None`: for ever.
    ///
    /// At the limit 408, and the connection is closed.
    pub body_read: Option<Duration>,
    /// How long a request may go without a word before its response becomes an event stream. Default: 10 s. `None`:
    /// for ever.
    ///
    /// Then the head and a comment go out at once, so that no proxy cuts a silent call; an error after that is an
    /// event, with status 200.
    pub stream_after: Option<Duration>,
    /// How often a comment goes out on an event stream that has nothing else to say. Default: 15 s. `None`: never,
    /// and proxies cut quiet streams.
    pub sse_comment: Option<Duration>,
    /// How long a handler may take for one modern request; in a session, the link's timeouts count. Default: 10 min.
    /// `None`: for ever.
    ///
    /// At the limit the handler is dropped, and its request answered with −32603, `data.reason` = `"timed_out"`. While
    /// the client does not read its event stream, the handler rests, and so does this limit: the HTTP server's limit
    /// for a peer that takes nothing ends both.
    pub handler: Option<Duration>,
    /// How long a session may be idle: no request in flight, no stream open, nothing sent by the client. Default:
    /// 30 min. `None`: for ever, and abandoned sessions are kept until `max_sessions` is reached.
    ///
    /// At the limit the session ends; its id is unknown then (404).
    pub session_idle: Option<Duration>,
    /// How long the request of a session goes on after its client has lost the response and has not come back for it.
    /// Default: `None`, to its end: a lost connection cancels nothing (2025-11-25, basic/transports).
    ///
    /// At the limit the request is cancelled as if the client had said so; one whose id another request in flight has
    /// is not. After a response that was closed early the time that the client was told to stay away does not count.
    pub cancel_after_disconnect: Option<Duration>,
    /// What a client is told to wait before it goes on with an event stream of a session that broke off (`retry`).
    /// Default: 1 s.
    ///
    /// Only clients of revisions that poll are told (2025-11-25).
    pub stream_retry: Duration,
    /// How long a session waits for the reader of one response that has `max_unread_event_bytes` waiting. Default: 1 s.
    ///
    /// At the limit further notifications on that response are dropped and counted, so that it does not hold up what
    /// else the session has to say. On an event stream that can be resumed they are kept with what was sent, up to
    /// [`ReplayLimits`](super::ReplayLimits): a reader that comes to itself still gets them.
    pub reader_stall: Duration,
    /// What a client that is turned away for lack of room is told to wait (`Retry-After`, in whole seconds, rounded
    /// up). Default: 1 s.
    pub retry_after: Duration,
}

impl Default for EndpointTimeouts {
    fn default() -> Self {
        Self {
            body_read: Some(Duration::from_secs(30)),
            stream_after: Some(Duration::from_secs(10)),
            sse_comment: Some(Duration::from_secs(15)),
            handler: Some(Duration::from_secs(600)),
            session_idle: Some(Duration::from_secs(30 * 60)),
            cancel_after_disconnect: None,
            stream_retry: Duration::from_secs(1),
            reader_stall: Duration::from_secs(1),
            retry_after: Duration::from_secs(1),
        }
    }
}
