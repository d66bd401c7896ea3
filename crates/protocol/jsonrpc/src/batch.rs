//! Several messages in one text: protocol revision 2025-03-26 only.

use bytes::Bytes;

use crate::{EnvelopeError, EnvelopeLimits, Message, scan};

/// What a text holds.
#[derive(Debug, Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "the large variant is the common one; boxing it would be an allocation a message"
)]
pub enum Parsed {
    /// One message.
    Single(Message),
    /// A batch, message by message, in order; there is at least one. A bad one does not touch the others.
    Batch(Vec<Result<Message, EnvelopeError>>),
}

/// Parses one message or, where the text is an array, a batch of them.
///
/// # Errors
///
/// As [`Message::parse`]; for a batch, when the text is not JSON, when it is empty or longer than
/// [`EnvelopeLimits::max_batch`].
pub fn parse_any(bytes: Bytes, limits: &EnvelopeLimits) -> Result<Parsed, EnvelopeError> {
    let first = bytes.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    if first != Some(&b'[') {
        return Message::parse(bytes, limits).map(Parsed::Single);
    }
    let spans = scan::batch(&bytes, limits)?;
    let messages = spans.into_iter().map(|span| Message::parse(bytes.slice(span), limits)).collect();
    Ok(Parsed::Batch(messages))
}
