//! Requests that go out as they came in, but for what must be the link's own.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use towpath_jsonrpc::{EnvelopeError, EnvelopeLimits, Id, Member, Message, RawJson, encode};

/// Where in the params the value of `_meta.progressToken` is.
pub(crate) fn progress_token(
    params: &RawJson,
    limits: &EnvelopeLimits,
) -> Result<Option<Range<usize>>, EnvelopeError> {
    // The scanner knows messages. Whether this one is too large is asked when it has its id.
    let limits = EnvelopeLimits { max_message_bytes: usize::MAX, ..*limits };
    let mut text = BytesMut::new();
    encode::request_head(&mut text, &Id::from(0_u64), "", true);
    let start = text.len();
    text.extend_from_slice(params.as_bytes());
    text.extend_from_slice(encode::TAIL);
    let message = Message::parse(text.freeze(), &limits)?;
    let span = message.span(Member::MetaProgressToken);
    Ok(span.map(|span| span.start - start..span.end - start))
}

/// Writes a request up to a body that is not copied, and gives that body. The number of the call takes the place of the
/// progress token.
pub(crate) fn write_request(
    out: &mut BytesMut,
    id: u64,
    method: &str,
    params: Option<&RawJson>,
    token: Option<Range<usize>>,
) -> Bytes {
    let own = Id::from(id);
    encode::request_head(out, &own, method, params.is_some());
    let Some(params) = params else { return Bytes::new() };
    let params = params.clone().into_bytes();
    let Some(token) = token else { return params };
    out.extend_from_slice(params.get(..token.start).unwrap_or_default());
    own.write(out);
    params.slice(token.end..)
}
