//! The size of the head of a response.

use std::{error::Error, sync::Arc};

use http::response;
use towpath_raw::{ExchangeError, MessageTooLarge};

use super::limits::ConnectLimits;

/// Refuses a head that is too large.
pub(super) fn check(
    head: &response::Parts,
    peer: &Arc<str>,
    limits: &ConnectLimits,
) -> Result<(), ExchangeError> {
    let seen = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let limit = limits.max_head_bytes;
    if limit < seen {
        return Err(too_large(peer, MessageTooLarge { limit, seen, exact: true }));
    }
    Ok(())
}

/// What it is when the HTTP client gave up reading a head.
pub(super) fn unread(
    error: &(dyn Error + 'static),
    peer: &Arc<str>,
    limits: &ConnectLimits,
) -> Option<ExchangeError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse_too_large) {
            let limit = limits.max_head_bytes;
            let seen = limit.saturating_add(1);
            return Some(too_large(peer, MessageTooLarge { limit, seen, exact: false }));
        }
        cause = error.source();
    }
    None
}

/// The error has no place of its own for its setting: it is named with the peer.
fn too_large(peer: &Arc<str>, source: MessageTooLarge) -> ExchangeError {
    let peer = format!("{peer}: the head of its response is too large (setting: max_head_bytes)");
    ExchangeError::TooLarge { peer: peer.into(), source }
}
