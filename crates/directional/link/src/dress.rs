//! What the era of a peer adds to messages on the way out.

use bytes::{Bytes, BytesMut};
use towpath_jsonrpc::{Id, RawJson, encode};
use towpath_mcp::{
    CacheHint, LogLevel, ProgressToken, Revision,
    encode::{EncodeError, RequestParams, ResultAdditions, write_modern_result_head},
};

/// What is added to the requests of this side. The default, for legacy peers, is nothing.
#[derive(Clone, Debug, Default)]
pub struct CallDress {
    /// For modern peers: what each request carries in `_meta`
    /// (2026-07-28, basic/index, "Per-request protocol fields").
    pub modern: Option<ModernDress>,
}

/// The protocol fields of a modern request.
#[derive(Clone, Debug)]
pub struct ModernDress {
    /// The revision that the request is made in.
    pub revision: Revision,
    /// The capabilities of the client: an object.
    pub capabilities: RawJson,
    /// Who the client is: an object.
    pub client_info: RawJson,
}

/// What is added to a result. The default, for legacy peers, is nothing.
#[derive(Clone, Debug, Default)]
pub struct ResultDress {
    /// For modern peers: `resultType` and `_meta` members where the result has none.
    pub modern: Option<ModernResult>,
}

/// The protocol fields of a modern result.
#[derive(Clone, Debug, Default)]
pub struct ModernResult {
    /// Who answers.
    pub server_info: Option<RawJson>,
    /// The subscription that the result ends.
    pub subscription: Option<Id>,
    /// For results that may be cached.
    pub cache: Option<CacheHint>,
}

impl CallDress {
    /// Writes a request up to a body that is not copied, and gives that body and the caller's own progress
    /// token.
    pub(crate) fn write_request(
        &self,
        out: &mut BytesMut,
        id: u64,
        method: &str,
        params: Option<&RawJson>,
        progress: Option<&ProgressToken>,
        log_level: Option<LogLevel>,
    ) -> Result<(Bytes, Option<ProgressToken>), EncodeError> {
        let mut writer = RequestParams::new(params);
        if let Some(token) = progress {
            writer = writer.progress_token(token);
        }
        if let Some(modern) = &self.modern {
            writer = writer.modern(modern.revision, &modern.capabilities).client_info(&modern.client_info);
            // Legacy peers have `logging/setLevel` for that.
            if let Some(level) = log_level {
                writer = writer.log_level(level);
            }
        }
        let has_params = writer.has_params();
        encode::request_head(out, &Id::from(id), method, has_params);
        if !has_params {
            return Ok((Bytes::new(), None));
        }
        let (body, written) = writer.write_head(out)?;
        Ok((body, written.callers_token))
    }
}

impl ResultDress {
    /// Writes a result up to a body that is not copied, and gives that body.
    pub(crate) fn write_result(
        &self,
        out: &mut BytesMut,
        id: &Id,
        result: RawJson,
    ) -> Result<Bytes, EncodeError> {
        encode::result_head(out, id);
        let Some(modern) = &self.modern else { return Ok(result.into_bytes()) };
        let additions = ResultAdditions {
            server_info: modern.server_info.as_ref(),
            subscription_id: modern.subscription.as_ref(),
            cache: modern.cache,
        };
        write_modern_result_head(out, &result, &additions)
    }
}
