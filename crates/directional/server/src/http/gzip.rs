//! Bodies that travel compressed, in both directions.

use std::error::Error;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{
    Response,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH},
    request::Parts,
};
use towpath_http::{decode_body, encode_body};
use towpath_mcp::HeadInfo;

use super::{
    HttpApp, ResponseBody,
    caller::Caller,
    post,
    service::{Shared, unreadable},
};

/// A POST whose body may be compressed, and whose answer then may be, too.
pub(super) async fn serve<A, B>(
    shared: Arc<Shared<A>>,
    mut parts: Parts,
    head: &HeadInfo,
    caller: Caller,
    body: B,
) -> Response<ResponseBody>
where
    A: HttpApp,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let Ok(body) = decode_body(&parts.headers, Box::pin(body)) else { return unreadable("gzip, identity") };
    if parts.headers.contains_key(CONTENT_ENCODING) {
        // It says how much comes, not how much that is.
        parts.headers.remove(CONTENT_LENGTH);
    }
    let response = post::serve(shared, &parts.headers, head, caller, body).await;
    if !parts.headers.contains_key(ACCEPT_ENCODING) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let body = match body.into_whole(MAX_ENCODED_BYTES) {
        Ok(whole) => ResponseBody::from(encode_body(&parts.headers, &mut head, joined(whole))),
        Err(body) => body,
    };
    Response::from_parts(head, body)
}

fn joined(segments: [Bytes; 3]) -> Bytes {
    let [first, rest @ ..] = segments;
    if rest.iter().all(Bytes::is_empty) {
        return first;
    }
    let mut whole = BytesMut::from(first);
    rest.iter().for_each(|segment| whole.extend_from_slice(segment));
    whole.freeze()
}

/// Larger answers go as they are: to compress them would hold up what shares the thread.
const MAX_ENCODED_BYTES: usize = 1 << 20;
