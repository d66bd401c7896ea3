//! What an asker is told when the other side gave no answer.

use bytes::BytesMut;
use towpath_jsonrpc::{ErrorObject, RawJson, encode::write_string};
use towpath_link::{CallError, LinkEnd, Phase};
use towpath_mcp::{Fault, Revision, method, wire_reply};
use towpath_raw::ExchangeError;

use crate::Explain;

/// The error of a request whose call has failed. An error that the other side answered with passes as it came.
pub(crate) fn error(error: CallError, explain: &Explain) -> ErrorObject {
    let phase = error.phase();
    let fault = match error {
        CallError::Answered { error, .. } => return error,
        CallError::Closed { end, .. } => return lost(&end, phase, explain),
        CallError::Exchange { source, .. } => {
            return upstream("upstream_exchange", &exchange(&source), phase);
        }
        CallError::Timeout { source, method, .. } => {
            let setting = if *method == *method::INITIALIZE { "initialize" } else { "request" };
            Fault::TimedOut { limit: source.after, setting }
        }
        CallError::TooLarge { source, .. } => {
            Fault::TooLarge { what: "the request", limit_bytes: source.limit, setting: "max_message_bytes" }
        }
        CallError::AnswerTooLarge { source, .. } => {
            Fault::TooLarge { what: "the answer", limit_bytes: source.limit, setting: "max_message_bytes" }
        }
        CallError::TooManyNotes { limit, .. } => return too_many_notes(limit),
        CallError::Malformed { .. } => {
            return upstream("upstream_malformed", "its answer is no JSON-RPC message", phase);
        }
        CallError::Unsendable { reason, .. } => return upstream("upstream_unsendable", &reason, phase),
        _ => Fault::Internal,
    };
    reply(&fault)
}

/// The error of a request whose upstream is lost, with the explanation of how.
pub(crate) fn lost(end: &LinkEnd, phase: Phase, explain: &Explain) -> ErrorObject {
    upstream("upstream_closed", &explain(end), phase)
}

/// The error of a request about which more was told than its asker has read.
fn too_many_notes(limit: usize) -> ErrorObject {
    reply(&Fault::LimitReached {
        what: "bytes of notifications wait to be read before the answer",
        limit,
        setting: "max_waiting_note_bytes",
    })
}

/// An error about the server behind, that says what happened to it and how far the request got.
pub(crate) fn upstream(reason: &'static str, explanation: &str, phase: Phase) -> ErrorObject {
    let mut error = reply(&Fault::Upstream { reason });
    error.message = format!("the upstream server failed: {explanation}").into();
    let mut data = BytesMut::with_capacity(64 + explanation.len());
    data.extend_from_slice(br#"{"reason":"#);
    write_string(&mut data, reason);
    data.extend_from_slice(br#","explanation":"#);
    write_string(&mut data, explanation);
    data.extend_from_slice(br#","request":"#);
    write_string(
        &mut data,
        match phase {
            Phase::NotSent => "not_sent",
            Phase::OutcomeUnknown => "outcome_unknown",
            Phase::Answered => "answered",
        },
    );
    data.extend_from_slice(b"}");
    error.with_data(RawJson::from_validated(data.freeze()))
}

/// The reply to what is wrong on the level of a link. The two eras differ only in codes that no relay uses.
pub(crate) fn reply(fault: &Fault) -> ErrorObject {
    wire_reply(fault, Revision::LATEST_LEGACY.rules()).into_error()
}

/// What became of an HTTP exchange: without addresses and bodies, which may hold what the asker must not see.
fn exchange(error: &ExchangeError) -> String {
    match error {
        ExchangeError::NotConnected { .. } => "it could not be reached".to_owned(),
        ExchangeError::Refused { status, .. } => format!("it answered with HTTP status {status}"),
        ExchangeError::TooLarge { source, .. } => source.to_string(),
        ExchangeError::Timeout { source, .. } => source.to_string(),
        _ => "the exchange with it broke off".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;

    fn told(error: CallError) -> (i64, String) {
        let explain: Explain = Arc::new(|end| end.to_string());
        let error = super::error(error, &explain);
        (error.code, error.data.map(|data| data.as_str().to_owned()).unwrap_or_default())
    }

    #[test]
    fn a_failed_exchange_is_told_without_addresses_and_bodies() {
        let source = ExchangeError::Refused {
            peer: "https://user:secret@peer/".into(),
            status: 502,
            body: "token=secret".into(),
            retry_after: Some(Duration::from_secs(1)),
        };
        let (peer, method) = ("https://user:secret@peer/".into(), "tools/call".into());
        let (code, data) = told(CallError::Exchange { peer, method, source, phase: Phase::Answered });
        assert_eq!(code, -32603);
        assert_eq!(
            data,
            r#"{"reason":"upstream_exchange","explanation":"it answered with HTTP status 502","request":"answered"}"#
        );
    }
}
