//! The protocol's own notifications, as whole messages.

use std::fmt::Write as _;

use bytes::BytesMut;
use towpath_jsonrpc::encode::{TAIL, notification, notification_head};
use towpath_jsonrpc::{Id, RawJson};

use super::EncodeError;
use super::members::{Members, Target, only_meta};
use crate::filter::Filter;
use crate::level::LogLevel;
use crate::token::ProgressToken;
use crate::{meta, method};

/// `notifications/cancelled`.
pub fn cancelled(out: &mut BytesMut, request_id: &Id, reason: Option<&str>) {
    object(out, method::CANCELLED, |members| {
        request_id.write(members.key("requestId"));
        if let Some(reason) = reason {
            members.string("reason", reason);
        }
    });
}

/// `notifications/progress`. Leave `message` out where the revision has none (`Rules::progress_message`).
///
/// # Errors
///
/// A number is not finite. Nothing is written then.
pub fn progress(
    out: &mut BytesMut,
    token: &ProgressToken,
    progress: f64,
    total: Option<f64>,
    message: Option<&str>,
) -> Result<(), EncodeError> {
    if !progress.is_finite() || total.is_some_and(|total| !total.is_finite()) {
        return Err(EncodeError::NotFinite);
    }
    object(out, method::PROGRESS, |members| {
        token.write(members.key("progressToken"));
        number(members.key("progress"), progress);
        if let Some(total) = total {
            number(members.key("total"), total);
        }
        if let Some(message) = message {
            members.string("message", message);
        }
    });
    Ok(())
}

/// `notifications/message`: a log message.
pub fn message(out: &mut BytesMut, level: LogLevel, logger: Option<&str>, data: &RawJson) {
    object(out, method::MESSAGE, |members| {
        members.string("level", level.as_str());
        if let Some(logger) = logger {
            members.string("logger", logger);
        }
        members.raw("data", data.as_bytes());
    });
}

/// `notifications/initialized`.
pub fn initialized(out: &mut BytesMut) {
    notification(out, method::INITIALIZED, None);
}

/// `notifications/subscriptions/acknowledged`, with what the server honours.
pub fn acknowledged(out: &mut BytesMut, subscription: &Id, honoured: &Filter) {
    object(out, method::SUBSCRIPTIONS_ACKNOWLEDGED, |members| {
        in_subscription(members, subscription);
        honoured.write(members.key("notifications"));
    });
}

/// One of the `list_changed` notifications; in a subscription (modern) or by itself (legacy).
pub fn list_changed(out: &mut BytesMut, method: &str, subscription: Option<&Id>) {
    match subscription {
        None => notification(out, method, None),
        Some(id) => object(out, method, |members| in_subscription(members, id)),
    }
}

/// `notifications/resources/updated`; in a subscription (modern) or by itself (legacy).
pub fn resource_updated(out: &mut BytesMut, uri: &str, subscription: Option<&Id>) {
    object(out, method::RESOURCES_UPDATED, |members| {
        if let Some(id) = subscription {
            in_subscription(members, id);
        }
        members.string("uri", uri);
    });
}

/// Any notification of a subscription, with the caller's params: the id is spliced into their `_meta`.
///
/// # Errors
///
/// The params are not an object, their `_meta` is not, or it names a subscription itself.
pub fn subscribed(
    out: &mut BytesMut,
    method: &str,
    params: Option<&RawJson>,
    subscription: &Id,
) -> Result<(), EncodeError> {
    let id = |members: &mut Members<'_>| subscription.write(members.key(meta::SUBSCRIPTION_ID));
    let Some(params) = params else {
        notification_head(out, method, true);
        only_meta(out, id);
        out.extend_from_slice(TAIL);
        return Ok(());
    };
    let text = params.as_bytes();
    let mut named = false;
    let target = Target::scan(
        "`params`",
        text,
        |_| {},
        |key, _| named |= crate::scan::key_is(key, meta::SUBSCRIPTION_ID),
    )?;
    if named {
        return Err(EncodeError::ReservedMeta { key: meta::SUBSCRIPTION_ID });
    }
    notification_head(out, method, true);
    let rest = target.extend(out, text, |_| {}, id);
    out.extend_from_slice(text.get(rest..).unwrap_or_default());
    out.extend_from_slice(TAIL);
    Ok(())
}

fn object(out: &mut BytesMut, method: &str, params: impl FnOnce(&mut Members<'_>)) {
    notification_head(out, method, true);
    out.extend_from_slice(b"{");
    params(&mut Members::new(out));
    out.extend_from_slice(b"}");
    out.extend_from_slice(TAIL);
}

fn in_subscription(members: &mut Members<'_>, id: &Id) {
    let out = members.key("_meta");
    out.extend_from_slice(b"{");
    id.write(Members::new(out).key(meta::SUBSCRIPTION_ID));
    out.extend_from_slice(b"}");
}

fn number(out: &mut BytesMut, value: f64) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        #[allow(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else if (1e-6..1e15).contains(&value.abs()) {
        // Writing into a buffer that grows cannot fail.
        let _ = write!(out, "{value}");
    } else {
        let _ = write!(out, "{value:e}");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::{message as parsed, raw};

    fn text(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        let text = String::from_utf8(out.to_vec()).unwrap();
        parsed(&text);
        text
    }

    #[test]
    fn notifications_look_as_in_the_specification() {
        let (one, name) = (Id::from(1u64), Id::from("a\"b"));
        let token = ProgressToken::from(9);
        let data = raw(r#"{"e":[1]}"#);
        let filter = Filter { tools: true, uris: BTreeSet::from(["file:///x".into()]), ..Filter::default() };
        let table = [
            (
                text(|o| cancelled(o, &name, None)),
                r#""method":"notifications/cancelled","params":{"requestId":"a\"b"}}"#,
            ),
            (
                text(|o| cancelled(o, &one, Some("a\nb"))),
                r#""method":"notifications/cancelled","params":{"requestId":1,"reason":"a\nb"}}"#,
            ),
            (
                text(|o| progress(o, &token, 50.0, Some(100.0), Some("m")).unwrap()),
                r#""method":"notifications/progress","params":{"progressToken":9,"progress":50,"total":100,"message":"m"}}"#,
            ),
            (
                text(|o| progress(o, &token, 0.25, None, None).unwrap()),
                r#""method":"notifications/progress","params":{"progressToken":9,"progress":0.25}}"#,
            ),
            (
                text(|o| message(o, LogLevel::Error, Some("db"), &data)),
                r#""method":"notifications/message","params":{"level":"error","logger":"db","data":{"e":[1]}}}"#,
            ),
            (text(initialized), r#""method":"notifications/initialized"}"#),
            (
                text(|o| acknowledged(o, &one, &filter)),
                r#""method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1},"notifications":{"toolsListChanged":true,"resourceSubscriptions":["file:///x"]}}}"#,
            ),
            (
                text(|o| list_changed(o, method::TOOLS_LIST_CHANGED, None)),
                r#""method":"notifications/tools/list_changed"}"#,
            ),
            (
                text(|o| list_changed(o, method::TOOLS_LIST_CHANGED, Some(&one))),
                r#""method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#,
            ),
            (
                text(|o| resource_updated(o, "file:///x", None)),
                r#""method":"notifications/resources/updated","params":{"uri":"file:///x"}}"#,
            ),
            (
                text(|o| resource_updated(o, "file:///x", Some(&one))),
                r#""method":"notifications/resources/updated","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1},"uri":"file:///x"}}"#,
            ),
            (
                text(|o| subscribed(o, "x/y", None, &one).unwrap()),
                r#""method":"x/y","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#,
            ),
            (
                text(|o| subscribed(o, "x/y", Some(&raw(r#"{"n":1e400,"_meta":{"k":0}}"#)), &one).unwrap()),
                r#""method":"x/y","params":{"n":1e400,"_meta":{"io.modelcontextprotocol/subscriptionId":1,"k":0}}}"#,
            ),
        ];
        for (written, expected) in table {
            assert_eq!(written, format!("{{\"jsonrpc\":\"2.0\",{expected}"));
        }
    }

    #[test]
    fn numbers_survive_and_what_json_has_no_number_for_is_refused() {
        for value in [0.0, -0.0, 0.1, 1.0 / 3.0, 9_007_199_254_740_993.0, 1e300, 5e-324, -2.5, f64::MAX] {
            let mut out = BytesMut::new();
            number(&mut out, value);
            assert!(out.len() < 32, "{out:?}");
            let read: f64 = serde_json::from_slice(&out).unwrap();
            assert!((read - value).abs() <= value.abs() * f64::EPSILON, "{value} became {read}");
        }
        let token = ProgressToken::from(1);
        let mut out = BytesMut::new();
        assert_eq!(progress(&mut out, &token, f64::NAN, None, None), Err(EncodeError::NotFinite));
        assert_eq!(progress(&mut out, &token, 1.0, Some(f64::INFINITY), None), Err(EncodeError::NotFinite));
        assert!(out.is_empty());
    }

    #[test]
    fn a_notification_that_names_a_subscription_itself_is_refused() {
        let named = raw(r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}"#);
        let mut out = BytesMut::new();
        let refused = subscribed(&mut out, "x/y", Some(&named), &Id::from(1u64));
        assert_eq!(refused, Err(EncodeError::ReservedMeta { key: meta::SUBSCRIPTION_ID }));
        let refused = subscribed(&mut out, "x/y", Some(&raw("[]")), &Id::from(1u64));
        assert_eq!(refused, Err(EncodeError::NotAnObject { what: "`params`" }));
        assert!(out.is_empty());
    }
}
