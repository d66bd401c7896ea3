//! Parsing in slices, and the rules of the envelope.

use std::fmt;
use std::ops::Range;
use std::task::Poll;

use bytes::Bytes;

use crate::lexer::{Fault, Lexer};
use crate::member::{Member, Role};
use crate::message::{MAX_METHOD_BYTES, Parsed};
use crate::text::plain_run;
use crate::violation::{About, EnvelopeError, Violation};
use crate::{EnvelopeLimits, Id, IdError, Kind, Message, text};

/// UTF-8 is checked this far ahead of the lexer, so that the second look finds the bytes in the cache.
const CHUNK_BYTES: usize = 16 * 1024;

/// A parse that can pause: the work of [`Message::parse`] in slices, for messages so large that whoever else waits
/// for the same thread would notice.
///
/// The outcome is the same however the work is sliced. Dropping it frees everything.
pub struct Scan {
    bytes: Bytes,
    pass: Pass,
    outcome: Option<Result<Message, EnvelopeError>>,
}

impl Scan {
    /// Begins; looks at nothing but the length.
    #[must_use]
    pub fn new(bytes: Bytes, limits: &EnvelopeLimits) -> Self {
        let outcome = check_length(&bytes, limits).err().map(Err);
        Self { bytes, pass: Pass::new(Role::Top, limits), outcome }
    }

    /// Goes on for about `budget_bytes` (at least one). Once it is ready it stays so, with the same outcome.
    pub fn advance(&mut self, budget_bytes: usize) -> Poll<Result<Message, EnvelopeError>> {
        if let Some(outcome) = &self.outcome {
            return Poll::Ready(outcome.clone());
        }
        let outcome = match self.pass.advance(&self.bytes, budget_bytes) {
            Ok(false) => return Poll::Pending,
            Ok(true) => finish(self.bytes.clone(), &self.pass.lexer),
            Err(error) => Err(error),
        };
        self.outcome = Some(outcome.clone());
        Poll::Ready(outcome)
    }

    /// How many bytes are left to look at.
    #[must_use]
    pub fn remaining_bytes(&self) -> usize {
        if self.outcome.is_some() { 0 } else { self.bytes.len().saturating_sub(self.pass.utf8) }
    }
}

/// How far it is, never what it carries.
impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan")
            .field("bytes", &self.bytes.len())
            .field("remaining_bytes", &self.remaining_bytes())
            .finish()
    }
}

/// [`Message::parse`].
pub(crate) fn message(bytes: Bytes, limits: &EnvelopeLimits) -> Result<Message, EnvelopeError> {
    check_length(&bytes, limits)?;
    let mut pass = Pass::new(Role::Top, limits);
    pass.advance(&bytes, usize::MAX)?;
    finish(bytes, &pass.lexer)
}

/// Validates a value of any type and finds where it begins and ends.
pub(crate) fn value(bytes: &Bytes, limits: &EnvelopeLimits) -> Result<Range<usize>, EnvelopeError> {
    check_length(bytes, limits)?;
    let mut pass = Pass::new(Role::Other, limits);
    pass.advance(bytes, usize::MAX)?;
    Ok(pass.lexer.top.range().unwrap_or(0..bytes.len()))
}

/// Validates an array and finds where its elements begin and end.
pub(crate) fn batch(bytes: &Bytes, limits: &EnvelopeLimits) -> Result<Vec<Range<usize>>, EnvelopeError> {
    check_length(bytes, limits)?;
    let mut pass = Pass::new(Role::Batch, limits);
    pass.advance(bytes, usize::MAX)?;
    let lexer = pass.lexer;
    let violation = match lexer.violation {
        Some(violation) => violation,
        None if lexer.elements.is_empty() => Violation::EmptyBatch,
        None => return Ok(lexer.elements.into_iter().filter_map(|span| span.range()).collect()),
    };
    Err(EnvelopeError::Invalid { violation, about: About::default() })
}

fn check_length(bytes: &Bytes, limits: &EnvelopeLimits) -> Result<(), EnvelopeError> {
    let max = limits.max_message_bytes.min(u32::MAX as usize);
    if bytes.len() > max { Err(EnvelopeError::TooLarge { len: bytes.len(), max }) } else { Ok(()) }
}

/// One pass over the bytes.
#[derive(Debug)]
struct Pass {
    lexer: Lexer,
    /// How far the budgets reach so far.
    target: usize,
    /// How far the text is known to be UTF-8. Up to three bytes behind a target inside a character.
    utf8: usize,
    /// Nothing beyond `utf8` can be: the lexer has the first word on what is before.
    bad_utf8: bool,
}

impl Pass {
    #[inline]
    fn new(top: Role, limits: &EnvelopeLimits) -> Self {
        Self { lexer: Lexer::new(top, limits), target: 0, utf8: 0, bad_utf8: false }
    }

    /// Whether the end was reached.
    fn advance(&mut self, bytes: &[u8], budget_bytes: usize) -> Result<bool, EnvelopeError> {
        let stop = self.target.saturating_add(budget_bytes.max(1)).min(bytes.len());
        loop {
            self.target = self.target.saturating_add(CHUNK_BYTES).min(stop);
            self.check_utf8(bytes);
            if let Err(Fault { at, expected }) = self.lexer.run(bytes, self.utf8) {
                return Err(EnvelopeError::NotJson { at, expected, about: about(&self.lexer, bytes) });
            }
            if self.bad_utf8 {
                return Err(EnvelopeError::NotUtf8 { at: self.utf8, about: about(&self.lexer, bytes) });
            }
            if self.target == stop {
                break;
            }
        }
        if self.target < bytes.len() {
            return Ok(false);
        }
        match self.lexer.end(bytes.len()) {
            Ok(()) => Ok(true),
            Err(Fault { at, expected }) => {
                Err(EnvelopeError::NotJson { at, expected, about: about(&self.lexer, bytes) })
            }
        }
    }

    fn check_utf8(&mut self, bytes: &[u8]) {
        let chunk = bytes.get(self.utf8..self.target).unwrap_or_default();
        // Vector code; `from_utf8` takes over where it must.
        if chunk.is_ascii() {
            self.utf8 = self.target;
        } else if let Err(error) = std::str::from_utf8(chunk) {
            self.utf8 += error.valid_up_to();
            self.bad_utf8 = error.error_len().is_some() || self.target == bytes.len();
        } else {
            self.utf8 = self.target;
        }
    }
}

/// What is known of a message that is refused.
#[cold]
fn about(lexer: &Lexer, bytes: &[u8]) -> About {
    let index = &lexer.index;
    About {
        id: if lexer.id_twice {
            None
        } else {
            index.raw(bytes, Member::Id).and_then(|token| Id::parse_token(token).ok())
        },
        method: lexer.has_seen(Member::Method),
        outcome: lexer.has_seen(Member::Result) || lexer.has_seen(Member::Error),
    }
}

/// Applies the rules of the envelope to what one pass found.
#[inline]
fn finish(bytes: Bytes, lexer: &Lexer) -> Result<Message, EnvelopeError> {
    let refuse = |violation| EnvelopeError::Invalid { violation, about: about(lexer, &bytes) };
    let mut kind = judge(&bytes, lexer).map_err(refuse)?;
    let id = match lexer.index.raw(&bytes, Member::Id).map(Id::parse_token) {
        Some(Ok(id)) => Some(id),
        Some(Err(IdError::Null)) if kind == Kind::Error => None,
        Some(Err(error)) => return Err(refuse(Violation::Id(error))),
        None => {
            kind = match kind {
                Kind::Request => Kind::Notification,
                Kind::Result => return Err(refuse(Violation::NoId)),
                kind => kind,
            };
            None
        }
    };
    let mut index = lexer.index.clone();
    let mut decoded_method = None;
    if matches!(kind, Kind::Result | Kind::Error) {
        // An unknown member of a response, and not what readers of `params` look for.
        index.clear_params();
    } else if let Some(inner) = index.raw(&bytes, Member::Method).and_then(text::unquoted)
        && plain_run(inner, 0, inner.len()) != inner.len()
    {
        decoded_method = Some(Box::from(text::decoded(inner)));
    }
    Ok(Parsed { bytes, index, kind, id, decoded_method }.into())
}

/// What a message is, but for its id: a notification is a request here.
#[inline]
fn judge(bytes: &[u8], lexer: &Lexer) -> Result<Kind, Violation> {
    let index = &lexer.index;
    match lexer.top.range().and_then(|top| bytes.get(top.start)) {
        Some(b'{') => {}
        Some(b'[') => return Err(Violation::Batch),
        _ => return Err(Violation::NotAnObject),
    }
    if let Some(violation) = lexer.violation {
        return Err(violation);
    }
    let version = index.raw(bytes, Member::Jsonrpc).and_then(text::unquoted);
    // Three characters are at most 18 bytes; a longer text is not worth decoding.
    let escaped = |inner: &[u8]| inner.len() <= 18 && text::decoded(inner) == "2.0";
    if version != Some(b"2.0") && !version.is_some_and(escaped) {
        return Err(Violation::Version);
    }
    if let Some(method) = index.span(Member::Method)
        && method.len() > MAX_METHOD_BYTES + 2
    {
        return Err(Violation::MethodTooLong { len: method.len() - 2 });
    }
    let first_byte = |member| index.raw(bytes, member).and_then(|value| value.first());
    match (first_byte(Member::Method), first_byte(Member::Result), first_byte(Member::Error)) {
        (Some(b'"'), None, None) => match first_byte(Member::Params) {
            None | Some(b'{' | b'[') => Ok(Kind::Request),
            Some(_) => Err(Violation::ParamsNotStructured),
        },
        (Some(_), None, None) => Err(Violation::MethodNotString),
        (None, Some(_), None) => Ok(Kind::Result),
        (None, None, Some(b'{')) => Ok(Kind::Error),
        (None, None, Some(_)) => Err(Violation::ErrorNotObject),
        (None, None, None) => Err(Violation::Shapeless),
        _ => Err(Violation::Mixed),
    }
}
