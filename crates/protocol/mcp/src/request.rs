//! The metadata of a modern request.

use std::borrow::Cow;

use towpath_jsonrpc::{Member, Message, RawJson};

use crate::fault::{Fault, Rejection};
use crate::level::LogLevel;
use crate::meta;
use crate::revision::{Era, Revision};
use crate::token::ProgressToken;
use crate::trace::TraceContext;

/// The metadata of a modern request, validated. The raw parts are slices of the message.
///
/// Required are `_meta`, the revision and the client's capabilities (an object). A progress token that is
/// neither a string nor an integer, and a log level that does not exist, are refused: silence would leave the
/// client waiting for notifications that never come. A name card that is not an object and malformed trace
/// context are ignored: nothing may be decided by them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ModernRequest {
    /// The revision of this request.
    pub revision: Revision,
    /// What the client can do: a JSON object.
    pub client_capabilities: RawJson,
    /// Who the client says it is: a JSON object.
    pub client_info: Option<RawJson>,
    /// Under which token it wants progress.
    pub progress_token: Option<ProgressToken>,
    /// The least level to log at; without it, nothing may be logged for this request.
    pub log_level: Option<LogLevel>,
    /// The trace that the request belongs to.
    pub trace: TraceContext,
}

impl ModernRequest {
    /// Validates the metadata of a request. Of `supported`, only the modern revisions can be asked for.
    ///
    /// # Errors
    ///
    /// −32602 for missing or malformed metadata, −32022 for a revision that is not supported.
    pub fn validate(message: &Message, supported: &[Revision]) -> Result<ModernRequest, Rejection> {
        let rules = Revision::latest_in(Era::Modern, supported).unwrap_or(Revision::LATEST).rules();
        check(message, supported).map_err(|fault| fault.under(rules))
    }

    /// Whether a log message of this level may be sent for this request.
    #[must_use]
    pub fn allows_log(&self, level: LogLevel) -> bool {
        self.log_level.is_some_and(|least| level >= least)
    }
}

/// Whether a message says that it is a modern request: its `_meta` names a revision.
#[must_use]
pub fn is_modern(message: &Message) -> bool {
    message.raw(Member::MetaProtocolVersion).is_some()
}

fn check(message: &Message, supported: &[Revision]) -> Result<ModernRequest, Fault> {
    let requested = requested(message)?;
    let revision = Revision::parse(&requested)
        .filter(|revision| revision.era() == Era::Modern && supported.contains(revision))
        .ok_or_else(|| Fault::unsupported_version(&requested, supported))?;
    let client_capabilities = client_capabilities(message)?;
    let progress_token = message
        .raw(Member::MetaProgressToken)
        .map(ProgressToken::parse)
        .transpose()
        .map_err(|_| Fault::InvalidMeta { key: meta::PROGRESS_TOKEN, expected: TOKEN_EXPECTED })?;
    let log_level = match message.raw(Member::MetaLogLevel) {
        None => None,
        Some(_) => Some(
            message
                .string(Member::MetaLogLevel)
                .and_then(|name| LogLevel::parse(&name))
                .ok_or(Fault::InvalidMeta { key: meta::LOG_LEVEL, expected: LEVEL_EXPECTED })?,
        ),
    };
    Ok(ModernRequest {
        revision,
        client_capabilities,
        client_info: message.value(Member::MetaClientInfo).filter(|info| is_object(info.as_bytes())),
        progress_token,
        log_level,
        trace: trace_context(message),
    })
}

/// The required metadata, whatever it says: the name of the revision.
pub(crate) fn required(message: &Message) -> Result<Cow<'_, str>, Fault> {
    let requested = requested(message)?;
    client_capabilities(message)?;
    Ok(requested)
}

fn requested(message: &Message) -> Result<Cow<'_, str>, Fault> {
    if !message.raw(Member::Meta).is_some_and(is_object) {
        return Err(Fault::MissingMeta { key: "_meta" });
    }
    if message.raw(Member::MetaProtocolVersion).is_none() {
        return Err(Fault::MissingMeta { key: meta::PROTOCOL_VERSION });
    }
    message
        .string(Member::MetaProtocolVersion)
        .ok_or(Fault::InvalidMeta { key: meta::PROTOCOL_VERSION, expected: "a string" })
}

fn client_capabilities(message: &Message) -> Result<RawJson, Fault> {
    let capabilities = message
        .value(Member::MetaClientCapabilities)
        .ok_or(Fault::MissingMeta { key: meta::CLIENT_CAPABILITIES })?;
    if is_object(capabilities.as_bytes()) {
        Ok(capabilities)
    } else {
        Err(Fault::InvalidMeta { key: meta::CLIENT_CAPABILITIES, expected: "an object" })
    }
}

/// The trace context of a message of either era, as far as it is well-formed.
#[must_use]
pub fn trace_context(message: &Message) -> TraceContext {
    let [parent, state, baggage] = [Member::MetaTraceparent, Member::MetaTracestate, Member::MetaBaggage]
        .map(|member| message.string(member));
    TraceContext::new(parent.as_deref(), state.as_deref(), baggage.as_deref())
}

pub(crate) fn is_object(text: &[u8]) -> bool {
    text.first() == Some(&b'{')
}

pub(crate) const LEVEL_EXPECTED: &str =
    "one of debug, info, notice, warning, error, critical, alert, emergency";
const TOKEN_EXPECTED: &str = "a string or an integer of at most 1,024 bytes";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::message;

    const VERSION: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
    const CAPS: &str = r#""io.modelcontextprotocol/clientCapabilities":{"roots":{}}"#;

    fn with_meta(members: &str) -> Message {
        message(&format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{{{members}}}}}}}"#
        ))
    }

    #[test]
    fn metadata_is_validated_member_by_member() {
        let missing = |key| Some(Fault::MissingMeta { key });
        let invalid = |key, expected| Some(Fault::InvalidMeta { key, expected });
        let unsupported = |requested: &str| Some(Fault::unsupported_version(requested, &Revision::ALL));
        let (token, level) = (meta::PROGRESS_TOKEN, meta::LOG_LEVEL);
        let both = format!("{VERSION},{CAPS}");
        let table = [
            (both.clone(), None),
            (format!("{both},\"progressToken\":\"t\""), None),
            (format!("{both},\"progressToken\":9223372036854775808"), None),
            (format!("{both},\"{}\":\"alert\"", meta::LOG_LEVEL), None),
            (format!("{both},\"{}\":7", meta::CLIENT_INFO), None),
            (format!("{both},\"traceparent\":\"nonsense\",\"baggage\":1"), None),
            (CAPS.to_owned(), missing(meta::PROTOCOL_VERSION)),
            (VERSION.to_owned(), missing(meta::CLIENT_CAPABILITIES)),
            (VERSION.replace("\"2026-07-28\"", "2026"), invalid(meta::PROTOCOL_VERSION, "a string")),
            (VERSION.replace("2026-07-28", "1900-01-01"), unsupported("1900-01-01")),
            (VERSION.replace("2026-07-28", "2025-11-25"), unsupported("2025-11-25")),
            (
                format!("{VERSION},{}", CAPS.replace("{\"roots\":{}}", "[]")),
                invalid(meta::CLIENT_CAPABILITIES, "an object"),
            ),
            (format!("{both},\"progressToken\":1.5"), invalid(token, TOKEN_EXPECTED)),
            (format!("{both},\"progressToken\":null"), invalid(token, TOKEN_EXPECTED)),
            (format!("{both},\"{level}\":\"loud\""), invalid(level, LEVEL_EXPECTED)),
            (format!("{both},\"{level}\":3"), invalid(level, LEVEL_EXPECTED)),
        ];
        for (members, fault) in table {
            let validated = ModernRequest::validate(&with_meta(&members), &Revision::ALL);
            assert_eq!(validated.err().map(|rejection| rejection.fault), fault, "{members}");
        }
        for params in ["", r#","params":{}"#, r#","params":{"_meta":[]}"#] {
            let request = message(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m"{params}}}"#));
            let fault =
                ModernRequest::validate(&request, &Revision::ALL).err().map(|rejection| rejection.fault);
            assert_eq!(fault, missing("_meta"), "{params}");
            assert!(!is_modern(&request));
        }
    }

    #[test]
    fn a_revision_must_be_supported_not_only_known() {
        let request = with_meta(&format!("{VERSION},{CAPS}"));
        assert!(is_modern(&request));
        let rejection = ModernRequest::validate(&request, &[Revision::V2025_11_25]).unwrap_err();
        assert_eq!(rejection.reply().code, -32022);
        assert_eq!(
            rejection.reply().data.unwrap().as_str(),
            r#"{"reason":"unsupported_version","supported":["2025-11-25"],"requested":"2026-07-28"}"#
        );
    }

    #[test]
    fn the_metadata_of_a_good_request_is_at_hand() {
        let request = with_meta(&format!(
            "{VERSION},{CAPS},\"{}\":{{\"name\":\"c\"}},\"progressToken\":\"t\",\"{}\":\"error\",\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01\",\"tracestate\":\"a=1\",\"baggage\":\"b=2\"",
            meta::CLIENT_INFO,
            meta::LOG_LEVEL,
        ));
        let found = ModernRequest::validate(&request, &Revision::ALL).unwrap();
        assert_eq!(found.revision, Revision::V2026_07_28);
        assert_eq!(found.client_capabilities.as_str(), r#"{"roots":{}}"#);
        assert_eq!(found.client_info.as_ref().map(RawJson::as_str), Some(r#"{"name":"c"}"#));
        assert_eq!(found.progress_token, ProgressToken::parse(b"\"t\"").ok());
        assert_eq!((found.trace.tracestate(), found.trace.baggage()), (Some("a=1"), Some("b=2")));
        assert!(found.allows_log(LogLevel::Error) && !found.allows_log(LogLevel::Warning));
        let quiet =
            ModernRequest::validate(&with_meta(&format!("{VERSION},{CAPS}")), &Revision::ALL).unwrap();
        assert!(!quiet.allows_log(LogLevel::Emergency));
    }
}
