//! Why bytes are not a JSON-RPC message.

use crate::Id;
use crate::error::code;
use crate::id::IdError;

/// Why bytes were refused.
///
/// Where the message got far enough, the error knows the message's id, wherever in the message the fault is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Not JSON text.
    #[error("not JSON: {expected} expected at byte {at}")]
    NotJson {
        /// The offset of the first byte that does not fit; the length where the text ends too early.
        at: usize,
        /// What the grammar asks for there.
        expected: &'static str,
        /// What could be read.
        about: About,
    },
    /// Not UTF-8.
    #[error("not UTF-8 at byte {at}")]
    NotUtf8 {
        /// The offset of the first byte that is not UTF-8.
        at: usize,
        /// What could be read.
        about: About,
    },
    /// Longer than [`EnvelopeLimits::max_message_bytes`](crate::EnvelopeLimits::max_message_bytes). Nothing was read.
    #[error("the message has {len} bytes, `max_message_bytes` is {max}")]
    TooLarge {
        /// The length in bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// JSON, but not a JSON-RPC message.
    #[error("not a JSON-RPC message: {violation}")]
    Invalid {
        /// The rule that was broken first.
        violation: Violation,
        /// What could be read.
        about: About,
    },
}

/// The rule of JSON-RPC, or the limit, that a message breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Not an object.
    #[error("it is not an object")]
    NotAnObject,
    /// An array where single messages are taken: use [`parse_any`](crate::parse_any) where batches are allowed.
    #[error("it is a batch, where a single message is expected")]
    Batch,
    /// `[]`.
    #[error("the batch is empty")]
    EmptyBatch,
    /// More messages than [`EnvelopeLimits::max_batch`](crate::EnvelopeLimits::max_batch).
    #[error("the batch has more messages than `max_batch`, {max}")]
    BatchTooLong {
        /// The limit.
        max: usize,
    },
    /// `jsonrpc` is absent, or not `"2.0"`.
    #[error("`jsonrpc` is not \"2.0\"")]
    Version,
    /// None of `method`, `result` and `error`.
    #[error("it has neither `method` nor `result` nor `error`")]
    Shapeless,
    /// `method` beside `result` or `error`, or `result` beside `error`.
    #[error("it has more than one of `method`, `result` and `error`")]
    Mixed,
    /// `method` is not a string.
    #[error("`method` is not a string")]
    MethodNotString,
    /// `method` is longer than [`MAX_METHOD_BYTES`](crate::MAX_METHOD_BYTES), which no setting changes.
    #[error("`method` takes {len} bytes, the most is {max}", max = crate::MAX_METHOD_BYTES)]
    MethodTooLong {
        /// Its length on the wire.
        len: usize,
    },
    /// `params` is neither an object nor an array.
    #[error("`params` is neither an object nor an array")]
    ParamsNotStructured,
    /// `error` is not an object.
    #[error("`error` is not an object")]
    ErrorNotObject,
    /// A result without `id`.
    #[error("a result without `id`")]
    NoId,
    /// The `id` cannot be one.
    #[error("{0}")]
    Id(IdError),
    /// A key that must be unique occurs twice: readers would differ in which value counts.
    #[error("a key occurs twice in {place}")]
    DuplicateKey {
        /// Where.
        place: Place,
    },
    /// More members than [`EnvelopeLimits`](crate::EnvelopeLimits) allows there: `max_envelope_members` for the
    /// message, `max_meta_members` for `params._meta`.
    #[error("{place} has more than {max} members")]
    TooManyMembers {
        /// Where.
        place: Place,
        /// The limit.
        max: usize,
    },
    /// A key, in a place where keys must be unique, is longer than 1,024 bytes, which no setting changes.
    #[error("a key in {place} takes {len} bytes")]
    KeyTooLong {
        /// Where.
        place: Place,
        /// Its length on the wire.
        len: usize,
    },
}

/// An object of the message in which keys must be unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The message itself.
    Envelope,
    /// `params`; only the members of [`Member`](crate::Member) must be unique.
    Params,
    /// `params._meta`.
    Meta,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Envelope => "the message",
            Self::Params => "`params`",
            Self::Meta => "`params._meta`",
        })
    }
}

/// What could be read of a message that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct About {
    /// Its id. Not known when the id occurs twice or is itself the fault.
    pub id: Option<Id>,
    /// It has a `method`.
    pub method: bool,
    /// It has a `result` or an `error`.
    pub outcome: bool,
}

impl EnvelopeError {
    /// The JSON-RPC code for the reply: −32700 where the text is not JSON, −32600 for the rest.
    #[must_use]
    pub fn code(&self) -> i64 {
        match self {
            Self::NotJson { .. } | Self::NotUtf8 { .. } => code::PARSE_ERROR,
            Self::TooLarge { .. } | Self::Invalid { .. } => code::INVALID_REQUEST,
        }
    }

    /// The cause in one word, for `data.reason`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "not_json",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::TooLarge { .. } => "message_too_large",
            Self::Invalid { violation, .. } => violation.reason(),
        }
    }

    /// The id of the message, where it could be read. The message may be a request or a response;
    /// [`reply_id`](Self::reply_id) is what a reply may name.
    #[must_use]
    pub fn id(&self) -> Option<&Id> {
        self.about().and_then(|about| about.id.as_ref())
    }

    /// The id that a reply may name: only of a message that is a request as far as it could be read. The same id
    /// on a response is one of the receiver's own, and a reply that names it would end another request.
    #[must_use]
    pub fn reply_id(&self) -> Option<&Id> {
        self.about().filter(|about| about.method && !about.outcome).and_then(|about| about.id.as_ref())
    }

    /// Whether the message is a response as far as it could be read; those get no reply.
    #[must_use]
    pub fn is_response(&self) -> bool {
        self.about().is_some_and(|about| about.outcome && !about.method)
    }

    fn about(&self) -> Option<&About> {
        match self {
            Self::NotJson { about, .. } | Self::NotUtf8 { about, .. } | Self::Invalid { about, .. } => {
                Some(about)
            }
            Self::TooLarge { .. } => None,
        }
    }
}

impl Violation {
    /// The cause in one word, for `data.reason`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotAnObject => "not_an_object",
            Self::Batch => "batch",
            Self::EmptyBatch => "empty_batch",
            Self::BatchTooLong { .. } => "batch_too_long",
            Self::Version => "jsonrpc_version",
            Self::Shapeless => "no_method",
            Self::Mixed => "mixed_message",
            Self::MethodNotString => "method_not_string",
            Self::MethodTooLong { .. } => "method_too_long",
            Self::ParamsNotStructured => "params_not_structured",
            Self::ErrorNotObject => "error_not_object",
            Self::NoId => "no_id",
            Self::Id(IdError::Null) => "id_null",
            Self::Id(IdError::TooLong { .. }) => "id_too_long",
            Self::Id(_) => "id_type",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::TooManyMembers { .. } => "too_many_members",
            Self::KeyTooLong { .. } => "key_too_long",
        }
    }
}
