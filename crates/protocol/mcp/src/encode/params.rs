//! The `params` of a request: the caller's own, with the connection's members added to `_meta`.

use bytes::{Bytes, BytesMut};
use towpath_jsonrpc::RawJson;

use super::EncodeError;
use super::members::{Target, only_meta};
use crate::level::LogLevel;
use crate::meta;
use crate::revision::Revision;
use crate::scan;
use crate::token::ProgressToken;
use crate::trace::TraceContext;

/// What goes into the `params` of one request.
///
/// Members are added to `_meta` in front of the caller's. A member that the caller set is kept and ours is
/// left out, except `protocolVersion` and `clientCapabilities`: those state what the *connection* speaks, and a
/// caller that sets them gets [`EncodeError::ReservedMeta`]. Trace context is taken whole: ours is left out when
/// the caller set `traceparent` or `tracestate`, since the two belong together.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestParams<'a> {
    user: Option<&'a RawJson>,
    progress_token: Option<&'a ProgressToken>,
    modern: Option<(Revision, &'a RawJson)>,
    client_info: Option<&'a RawJson>,
    log_level: Option<LogLevel>,
    trace: Option<&'a TraceContext>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrittenParams {
    /// The progress token that the caller had set himself: progress will come for this one, not for ours.
    pub callers_token: Option<ProgressToken>,
}

impl<'a> RequestParams<'a> {
    /// Starts from the caller's params, which must be a JSON object.
    #[must_use]
    pub fn new(user: Option<&'a RawJson>) -> Self {
        RequestParams { user, ..RequestParams::default() }
    }

    /// Asks for progress under this token.
    #[must_use]
    pub fn progress_token(mut self, token: &'a ProgressToken) -> Self {
        self.progress_token = Some(token);
        self
    }

    /// Makes it a modern request: its revision, and what the client can do (a JSON object).
    #[must_use]
    pub fn modern(mut self, revision: Revision, capabilities: &'a RawJson) -> Self {
        self.modern = Some((revision, capabilities));
        self
    }

    /// Says who sends it (modern).
    #[must_use]
    pub fn client_info(mut self, info: &'a RawJson) -> Self {
        self.client_info = Some(info);
        self
    }

    /// Asks for log messages (modern).
    #[must_use]
    pub fn log_level(mut self, level: LogLevel) -> Self {
        self.log_level = Some(level);
        self
    }

    /// Passes trace context on.
    #[must_use]
    pub fn trace(mut self, trace: &'a TraceContext) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Whether there is anything to write; where not, the request has no `params`.
    #[must_use]
    pub fn has_params(&self) -> bool {
        self.user.is_some()
            || self.progress_token.is_some()
            || self.modern.is_some()
            || self.client_info.is_some()
            || self.log_level.is_some()
            || self.trace.is_some_and(|trace| !trace.is_empty())
    }

    /// Appends the whole object, as it follows `"params":`.
    ///
    /// # Errors
    ///
    /// See [`EncodeError`]. Nothing is written then.
    pub fn write(&self, out: &mut BytesMut) -> Result<WrittenParams, EncodeError> {
        let (rest, written) = self.start(out)?;
        if let Some(user) = self.user {
            out.extend_from_slice(user.as_bytes().get(rest..).unwrap_or_default());
        }
        Ok(written)
    }

    /// Appends the object's beginning, and returns the rest of it as a slice of the caller's params, uncopied.
    /// Where the caller has a `_meta` of his own, what stands before it is copied.
    ///
    /// # Errors
    ///
    /// See [`EncodeError`]. Nothing is written then.
    pub fn write_head(&self, out: &mut BytesMut) -> Result<(Bytes, WrittenParams), EncodeError> {
        let (rest, written) = self.start(out)?;
        let body = self.user.map_or_else(Bytes::new, |user| user.clone().into_bytes().slice(rest..));
        Ok((body, written))
    }

    fn start(&self, out: &mut BytesMut) -> Result<(usize, WrittenParams), EncodeError> {
        let mut present = Present::default();
        let Some(user) = self.user else {
            only_meta(out, |members| self.additions(members, &present));
            return Ok((0, WrittenParams { callers_token: None }));
        };
        let text = user.as_bytes();
        let target = Target::scan("`params`", text, |_| {}, |key, value| present.note(key, value))?;
        if let Some(key) = present.reserved {
            return Err(EncodeError::ReservedMeta { key });
        }
        let rest = target.extend(out, text, |_| {}, |members| self.additions(members, &present));
        Ok((rest, WrittenParams { callers_token: present.token }))
    }

    fn additions(&self, members: &mut super::members::Members<'_>, present: &Present) {
        if let Some((revision, capabilities)) = self.modern {
            members.string(meta::PROTOCOL_VERSION, revision.as_str());
            members.raw(meta::CLIENT_CAPABILITIES, capabilities.as_bytes());
        }
        if let Some(info) = self.client_info.filter(|_| !present.client_info) {
            members.raw(meta::CLIENT_INFO, info.as_bytes());
        }
        if let Some(level) = self.log_level.filter(|_| !present.log_level) {
            members.string(meta::LOG_LEVEL, level.as_str());
        }
        if let Some(token) = self.progress_token.filter(|_| !present.progress_token) {
            token.write(members.key(meta::PROGRESS_TOKEN));
        }
        if let Some(trace) = self.trace {
            if !present.trace {
                if let Some(value) = trace.traceparent() {
                    members.string(meta::TRACEPARENT, value);
                }
                if let Some(value) = trace.tracestate() {
                    members.string(meta::TRACESTATE, value);
                }
            }
            if let Some(value) = trace.baggage().filter(|_| !present.baggage) {
                members.string(meta::BAGGAGE, value);
            }
        }
    }
}

/// What the caller's `_meta` has.
#[derive(Default)]
struct Present {
    reserved: Option<&'static str>,
    token: Option<ProgressToken>,
    progress_token: bool,
    client_info: bool,
    log_level: bool,
    trace: bool,
    baggage: bool,
}

impl Present {
    fn note(&mut self, key: &[u8], value: &[u8]) {
        let is = |name| scan::key_is(key, name);
        if let Some(name) =
            [meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES].into_iter().find(|name| is(name))
        {
            self.reserved = Some(name);
        }
        if is(meta::PROGRESS_TOKEN) {
            self.progress_token = true;
            self.token = ProgressToken::parse(value).ok();
        }
        self.client_info |= is(meta::CLIENT_INFO);
        self.log_level |= is(meta::LOG_LEVEL);
        self.trace |= is(meta::TRACEPARENT) || is(meta::TRACESTATE);
        self.baggage |= is(meta::BAGGAGE);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{json_object, members, object_with_meta, raw};

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";

    fn written(params: &RequestParams<'_>) -> Result<String, EncodeError> {
        let mut out = BytesMut::new();
        params.write(&mut out)?;
        Ok(String::from_utf8(out.to_vec()).unwrap())
    }

    #[test]
    fn the_additions_go_in_front_of_the_callers_members() {
        let token = ProgressToken::from(7);
        let caps = raw("{}");
        let info = raw(r#"{"name":"c","version":"1"}"#);
        let ours = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/logLevel":"info","progressToken":7"#;
        let table = [
            (None, format!("{{\"_meta\":{{{ours}}}}}")),
            (Some("{}"), format!("{{\"_meta\":{{{ours}}}}}")),
            (Some(r#"{"a":1}"#), format!("{{\"_meta\":{{{ours}}},\"a\":1}}")),
            (Some(r#"{"a":1,"_meta":{}}"#), format!("{{\"a\":1,\"_meta\":{{{ours}}}}}")),
            (Some(r#"{"_meta":{"k":2},"a":1}"#), format!("{{\"_meta\":{{{ours},\"k\":2}},\"a\":1}}")),
        ];
        for (user, expected) in table {
            let user = user.map(raw);
            let params = RequestParams::new(user.as_ref())
                .modern(Revision::LATEST, &caps)
                .client_info(&info)
                .log_level(LogLevel::Info)
                .progress_token(&token);
            assert!(params.has_params());
            assert_eq!(written(&params), Ok(expected));
        }
        assert!(!RequestParams::new(None).has_params());
    }

    #[test]
    fn what_the_caller_set_is_kept_and_ours_left_out() {
        let token = ProgressToken::from(7);
        let info = raw("{}");
        let trace = TraceContext::new(Some(PARENT), Some("a=1"), Some("b=2"));
        let table = [
            (r#""progressToken":"mine""#, "progressToken", r#""mine""#),
            (r#""progress\u0054oken":9223372036854775808"#, "progressToken", "9223372036854775808"),
            (r#""io.modelcontextprotocol/clientInfo":null"#, "io.modelcontextprotocol/clientInfo", "null"),
            (
                r#""io.modelcontextprotocol/logLevel":"error""#,
                "io.modelcontextprotocol/logLevel",
                r#""error""#,
            ),
            (r#""baggage":"x=y""#, "baggage", r#""x=y""#),
            (r#""traceparent":"x""#, "traceparent", r#""x""#),
        ];
        for (member, key, kept) in table {
            let user = raw(&format!("{{\"_meta\":{{{member}}}}}"));
            let params = RequestParams::new(Some(&user))
                .client_info(&info)
                .log_level(LogLevel::Info)
                .progress_token(&token)
                .trace(&trace);
            let text = written(&params).unwrap();
            let meta = members(members(text.as_bytes())["_meta"].get().as_bytes());
            assert_eq!(meta[key].get(), kept, "{text}");
            assert_eq!(
                text.matches(&format!("\"{key}\"")).count(),
                usize::from(!member.contains('\\')),
                "{text}"
            );
            assert_eq!(meta.contains_key("tracestate"), key != "traceparent", "half a trace context: {text}");
        }
    }

    #[test]
    fn the_caller_hears_which_token_progress_comes_for() {
        let token = ProgressToken::from(7);
        let mut out = BytesMut::new();
        let user = raw(r#"{"_meta":{"progressToken":"mine"}}"#);
        let theirs = RequestParams::new(Some(&user)).progress_token(&token).write(&mut out).unwrap();
        assert_eq!(theirs.callers_token, ProgressToken::parse(b"\"mine\"").ok());
        let ours = RequestParams::new(None).progress_token(&token).write(&mut out).unwrap();
        assert_eq!(ours.callers_token, None);
    }

    #[test]
    fn params_that_cannot_be_extended_are_refused_and_nothing_is_written() {
        let not_object = EncodeError::NotAnObject { what: "`params`" };
        let table = [
            ("[1]", not_object.clone()),
            ("null", not_object),
            (r#"{"_meta":[]}"#, EncodeError::MetaNotAnObject),
            (r#"{"_meta":{},"\u005fmeta":{}}"#, EncodeError::DuplicateMember { key: "_meta" }),
            (
                r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"x"}}"#,
                EncodeError::ReservedMeta { key: meta::PROTOCOL_VERSION },
            ),
            (
                r#"{"_meta":{"io.modelcontextprotocol\/clientCapabilities":{}}}"#,
                EncodeError::ReservedMeta { key: meta::CLIENT_CAPABILITIES },
            ),
        ];
        for (user, error) in table {
            let user = raw(user);
            let mut out = BytesMut::new();
            assert_eq!(RequestParams::new(Some(&user)).write(&mut out), Err(error));
            assert!(out.is_empty());
        }
    }

    #[test]
    fn a_large_argument_is_not_copied_into_the_head() {
        let user = raw(&format!("{{\"data\":\"{}\"}}", "x".repeat(1 << 20)));
        let token = ProgressToken::from(1);
        let mut head = BytesMut::new();
        let (body, _) = RequestParams::new(Some(&user)).progress_token(&token).write_head(&mut head).unwrap();
        assert!(head.len() < 64);
        let original = user.as_bytes().as_ptr_range();
        assert!(original.contains(&body.as_ptr()));
    }

    proptest! {
        #[test]
        fn splicing_adds_ours_and_changes_no_byte_of_the_callers(
            user in object_with_meta(), caps in json_object(), token in any::<u64>(),
        ) {
            let (user, caps, token) = (raw(&user), raw(&caps), ProgressToken::from(token));
            let params = RequestParams::new(Some(&user)).modern(Revision::LATEST, &caps).progress_token(&token);
            let mut whole = BytesMut::new();
            params.write(&mut whole).unwrap();
            let mut head = BytesMut::new();
            let (body, _) = params.write_head(&mut head).unwrap();
            head.extend_from_slice(&body);
            prop_assert_eq!(&head, &whole);

            let before = members(user.as_bytes());
            let mut after = members(&whole);
            let meta = members(after.remove("_meta").unwrap().get().as_bytes());
            prop_assert_eq!(meta[meta::CLIENT_CAPABILITIES].get(), caps.as_str());
            prop_assert_eq!(meta[meta::PROTOCOL_VERSION].get(), "\"2026-07-28\"");
            prop_assert_eq!(meta[meta::PROGRESS_TOKEN].get(), token.to_string());
            let meta_before = before.get("_meta").map(|meta| members(meta.get().as_bytes())).unwrap_or_default();
            prop_assert_eq!(meta.len(), meta_before.len() + 3);
            for (key, value) in &meta_before {
                prop_assert_eq!(meta[key].get(), value.get());
            }
            prop_assert_eq!(after.len(), before.keys().filter(|key| *key != "_meta").count());
            for (key, value) in &after {
                prop_assert_eq!(value.get(), before[key].get());
            }
        }
    }
}
