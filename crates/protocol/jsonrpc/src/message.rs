//! A message: its bytes, and where in them the members are.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::member::Index;
use crate::{EnvelopeError, ErrorObject, Id, Member, RawJson, code, scan, text};

/// The most bytes that a method may take on the wire, without its quotes.
pub const MAX_METHOD_BYTES: usize = 1024;

/// How large a message may be, and how much is remembered while it is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvelopeLimits {
    /// The largest message or batch, in bytes. Default 16 MiB; values above 4 GiB count as 4 GiB. A longer one is
    /// refused before it is looked at. Worst case: the message itself, a bit for each level of nesting (an eighth
    /// of its size), and time in proportion to its size; [`Scan`](crate::Scan) spreads the time.
    pub max_message_bytes: usize,
    /// The most members of `params._meta`. Default 256. One more and the message is refused. Worst case: 24 bytes
    /// for each, and comparisons of a hash that grow with the square of the number.
    pub max_meta_members: usize,
    /// The most members of the message itself. Default 64. One more and the message is refused. Worst case as for
    /// `max_meta_members`.
    pub max_envelope_members: usize,
    /// The most messages in a batch. Default 100. One more and the whole batch is refused. Worst case: about 400
    /// bytes for each beside the batch itself.
    pub max_batch: usize,
}

impl Default for EnvelopeLimits {
    fn default() -> Self {
        Self {
            max_message_bytes: 16 * 1024 * 1024,
            max_meta_members: 256,
            max_envelope_members: 64,
            max_batch: 100,
        }
    }
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `method` and `id`.
    Request,
    /// `method` without `id`.
    Notification,
    /// A response with `result`.
    Result,
    /// A response with `error`.
    Error,
}

/// A valid JSON-RPC 2.0 message as the bytes that came in, with an index of its members.
///
/// Whatever it is asked for is a slice of those bytes. A clone shares them. A value taken from it keeps the whole
/// message in memory; an [`Id`] does not.
#[derive(Clone)]
pub struct Message {
    /// Behind a pointer: the index is large, and a message changes hands a dozen times on its way.
    parsed: Arc<Parsed>,
}

/// What is known of a message.
#[derive(Clone)]
pub(crate) struct Parsed {
    pub(crate) bytes: Bytes,
    pub(crate) index: Index,
    pub(crate) kind: Kind,
    pub(crate) id: Option<Id>,
    /// Only when it has escapes; else it is a slice of `bytes`.
    pub(crate) decoded_method: Option<Box<str>>,
}

impl From<Parsed> for Message {
    #[inline]
    fn from(parsed: Parsed) -> Self {
        Self { parsed: Arc::new(parsed) }
    }
}

impl Message {
    /// Parses and validates one message.
    ///
    /// Takes time in proportion to its length, without a pause; [`Scan`](crate::Scan) does the same in slices.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`], with the message's id where it could be read.
    pub fn parse(bytes: Bytes, limits: &EnvelopeLimits) -> Result<Self, EnvelopeError> {
        scan::message(bytes, limits)
    }

    /// The same message in memory of its own, if it is no larger than `most_bytes`: a small message that is kept must not
    /// keep the large buffer that it was read into.
    #[must_use]
    pub fn detached(mut self, most_bytes: usize) -> Self {
        if self.parsed.bytes.len() <= most_bytes {
            let parsed = Arc::make_mut(&mut self.parsed);
            parsed.bytes = Bytes::copy_from_slice(&parsed.bytes);
        }
        self
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.parsed.kind
    }

    /// The bytes that came in.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.parsed.bytes
    }

    /// The id; `None` for a notification, and for an error response whose id is absent or null.
    #[must_use]
    pub fn id(&self) -> Option<&Id> {
        self.parsed.id.as_ref()
    }

    /// The method, its escapes decoded; empty for responses.
    #[must_use]
    pub fn method(&self) -> &str {
        if let Some(method) = &self.parsed.decoded_method {
            return method;
        }
        self.raw(Member::Method)
            .and_then(text::unquoted)
            .and_then(|inner| std::str::from_utf8(inner).ok())
            .unwrap_or_default()
    }

    /// `params`, without a copy.
    #[must_use]
    pub fn params(&self) -> Option<RawJson> {
        self.value(Member::Params)
    }

    /// `result`, without a copy. A `result` of null is present.
    #[must_use]
    pub fn result(&self) -> Option<RawJson> {
        self.value(Member::Result)
    }

    /// `error`, for an error response. One without an integer `code` and a string `message` becomes an internal
    /// error that has the whole of it as `data`.
    #[must_use]
    pub fn error(&self) -> Option<ErrorObject> {
        let raw = self.value(Member::Error)?.into_bytes();
        Some(ErrorObject::parse_shared(&raw).unwrap_or_else(|_| {
            ErrorObject::new(code::INTERNAL_ERROR, "the peer sent an error that is not one")
                .with_data(RawJson::from_validated(raw))
        }))
    }

    /// Any member's value, without a copy.
    #[must_use]
    pub fn value(&self, member: Member) -> Option<RawJson> {
        Some(RawJson::from_validated(self.parsed.bytes.slice(self.span(member)?)))
    }

    /// Where in [`bytes`](Self::bytes) a member's value is.
    #[must_use]
    pub fn span(&self, member: Member) -> Option<Range<usize>> {
        self.parsed.index.span(member)
    }

    /// The text of a member's value.
    #[must_use]
    pub fn raw(&self, member: Member) -> Option<&[u8]> {
        self.parsed.index.raw(&self.parsed.bytes, member)
    }

    /// A member's value if it is a string, decoded. Surrogate escapes without their other half become U+FFFD.
    #[must_use]
    pub fn string(&self, member: Member) -> Option<Cow<'_, str>> {
        self.raw(member).and_then(text::unquoted).map(text::decoded)
    }
}

/// What it is and how long, never what it carries: logs are not the place for a peer's data.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("kind", &self.parsed.kind)
            .field("id", &self.parsed.id)
            .field("method", &self.method())
            .field("bytes", &self.parsed.bytes.len())
            .finish()
    }
}
