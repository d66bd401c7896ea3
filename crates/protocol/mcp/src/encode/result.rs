//! Results of modern requests: what every result must carry is added where it is absent.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use towpath_jsonrpc::{Id, RawJson};

use super::EncodeError;
use super::members::{Members, Target};
use crate::meta;
use crate::scan;

/// What a modern result may lack.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResultAdditions<'a> {
    /// Who answers.
    pub server_info: Option<&'a RawJson>,
    /// The subscription that this result ends. A result that already names one is refused.
    pub subscription_id: Option<&'a Id>,
    /// For results that clients may cache (see [`method::is_cacheable`](crate::method::is_cacheable)).
    pub cache: Option<CacheHint>,
}

/// How long a result may be cached, and by whom. The default is not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheHint {
    /// For how long; sent in whole milliseconds.
    pub ttl: Duration,
    /// By whom.
    pub scope: CacheScope,
}

/// Who may share a cached result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheScope {
    /// Anybody.
    Public,
    /// The same authorization context only.
    Private,
}

impl Default for CacheHint {
    fn default() -> Self {
        CacheHint { ttl: Duration::ZERO, scope: CacheScope::Private }
    }
}

/// Appends a result with `resultType` ("complete" when absent) and the additions, each only where absent.
///
/// # Errors
///
/// The result is not an object, its `_meta` is not, or it names a subscription itself. Nothing is written then.
pub fn write_modern_result(
    out: &mut BytesMut,
    result: &RawJson,
    additions: &ResultAdditions<'_>,
) -> Result<(), EncodeError> {
    let rest = start(out, result, additions)?;
    out.extend_from_slice(result.as_bytes().get(rest..).unwrap_or_default());
    Ok(())
}

/// Like [`write_modern_result`], but the rest of the result is returned as a slice of it, uncopied. Where the
/// result has a `_meta` that gets additions, what stands before it is copied.
///
/// # Errors
///
/// As for [`write_modern_result`].
pub fn write_modern_result_head(
    out: &mut BytesMut,
    result: &RawJson,
    additions: &ResultAdditions<'_>,
) -> Result<Bytes, EncodeError> {
    let rest = start(out, result, additions)?;
    Ok(result.clone().into_bytes().slice(rest..))
}

fn start(
    out: &mut BytesMut,
    result: &RawJson,
    additions: &ResultAdditions<'_>,
) -> Result<usize, EncodeError> {
    let text = result.as_bytes();
    let (mut has_type, mut has_ttl, mut has_scope) = (0u32, false, false);
    let (mut has_info, mut has_subscription) = (false, false);
    let target = Target::scan(
        "a result",
        text,
        |key| {
            has_type += u32::from(scan::key_is(key, "resultType"));
            has_ttl |= scan::key_is(key, "ttlMs");
            has_scope |= scan::key_is(key, "cacheScope");
        },
        |key, _| {
            has_info |= scan::key_is(key, meta::SERVER_INFO);
            has_subscription |= scan::key_is(key, meta::SUBSCRIPTION_ID);
        },
    )?;
    if has_type > 1 {
        return Err(EncodeError::DuplicateMember { key: "resultType" });
    }
    if has_subscription && additions.subscription_id.is_some() {
        return Err(EncodeError::ReservedMeta { key: meta::SUBSCRIPTION_ID });
    }
    let front = |members: &mut Members<'_>| {
        if has_type == 0 {
            members.raw("resultType", b"\"complete\"");
        }
        if let Some(cache) = additions.cache {
            write_cache(members, cache, has_ttl, has_scope);
        }
    };
    let inner = |members: &mut Members<'_>| {
        if let Some(info) = additions.server_info.filter(|_| !has_info) {
            members.raw(meta::SERVER_INFO, info.as_bytes());
        }
        if let Some(id) = additions.subscription_id {
            id.write(members.key(meta::SUBSCRIPTION_ID));
        }
    };
    Ok(target.extend(out, text, front, inner))
}

pub(crate) fn write_cache(members: &mut Members<'_>, cache: CacheHint, has_ttl: bool, has_scope: bool) {
    if !has_ttl {
        let millis = u64::try_from(cache.ttl.as_millis()).unwrap_or(u64::MAX);
        members.raw("ttlMs", itoa::Buffer::new().format(millis).as_bytes());
    }
    if !has_scope {
        let scope: &[u8] = match cache.scope {
            CacheScope::Public => b"\"public\"",
            CacheScope::Private => b"\"private\"",
        };
        members.raw("cacheScope", scope);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{members, object_with_meta, raw};

    fn written(result: &str, additions: &ResultAdditions<'_>) -> Result<String, EncodeError> {
        let mut out = BytesMut::new();
        write_modern_result(&mut out, &raw(result), additions)?;
        Ok(String::from_utf8(out.to_vec()).unwrap())
    }

    #[test]
    fn a_result_gets_what_it_lacks_and_keeps_what_it_has() {
        let info = raw(r#"{"name":"s"}"#);
        let id = Id::from("l");
        let none = ResultAdditions::default();
        let with_info = ResultAdditions { server_info: Some(&info), ..none };
        let with_id = ResultAdditions { subscription_id: Some(&id), ..none };
        let cached = ResultAdditions {
            cache: Some(CacheHint { ttl: std::time::Duration::from_secs(2), scope: CacheScope::Public }),
            ..none
        };
        let table = [
            ("{}", none, r#"{"resultType":"complete"}"#),
            (r#"{"a":1}"#, none, r#"{"resultType":"complete","a":1}"#),
            (r#"{"resultType":"input_required"}"#, none, r#"{"resultType":"input_required"}"#),
            (r#"{"result\u0054ype":"x"}"#, none, r#"{"result\u0054ype":"x"}"#),
            (
                "{}",
                with_info,
                r#"{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}}}"#,
            ),
            (
                r#"{"a":1,"_meta":{"k":2}}"#,
                with_info,
                r#"{"resultType":"complete","a":1,"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"},"k":2}}"#,
            ),
            (
                r#"{"_meta":{"io.modelcontextprotocol/serverInfo":1},"resultType":"complete"}"#,
                with_info,
                r#"{"_meta":{"io.modelcontextprotocol/serverInfo":1},"resultType":"complete"}"#,
            ),
            (
                r#"{"_meta":{}}"#,
                with_id,
                r#"{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":"l"}}"#,
            ),
            ("{}", cached, r#"{"resultType":"complete","ttlMs":2000,"cacheScope":"public"}"#),
            (r#"{"ttlMs":5}"#, cached, r#"{"resultType":"complete","cacheScope":"public","ttlMs":5}"#),
        ];
        for (result, additions, expected) in table {
            assert_eq!(written(result, &additions).as_deref(), Ok(expected), "{result}");
        }
        assert_eq!(CacheHint::default(), CacheHint { ttl: Duration::ZERO, scope: CacheScope::Private });
    }

    #[test]
    fn a_result_that_cannot_be_extended_is_refused() {
        let id = Id::from(1u64);
        let additions = ResultAdditions { subscription_id: Some(&id), ..ResultAdditions::default() };
        let table = [
            ("[]", EncodeError::NotAnObject { what: "a result" }),
            (r#"{"_meta":1}"#, EncodeError::MetaNotAnObject),
            (
                r#"{"resultType":"complete","resultType":"input_required"}"#,
                EncodeError::DuplicateMember { key: "resultType" },
            ),
            (
                r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":2}}"#,
                EncodeError::ReservedMeta { key: meta::SUBSCRIPTION_ID },
            ),
        ];
        for (result, error) in table {
            assert_eq!(written(result, &additions), Err(error), "{result}");
        }
    }

    proptest! {
        #[test]
        fn splicing_changes_no_byte_of_the_results_values(result in object_with_meta()) {
            let result = raw(&result);
            let info = raw("{\"name\":\"s\"}");
            let id = Id::from(5u64);
            let additions =
                ResultAdditions { server_info: Some(&info), subscription_id: Some(&id), cache: None };
            let mut whole = BytesMut::new();
            write_modern_result(&mut whole, &result, &additions).unwrap();
            let mut head = BytesMut::new();
            let body = write_modern_result_head(&mut head, &result, &additions).unwrap();
            head.extend_from_slice(&body);
            prop_assert_eq!(&head, &whole);

            let before = members(result.as_bytes());
            let mut after = members(&whole);
            let result_type = after.remove("resultType").unwrap();
            prop_assert_eq!(result_type.get(), "\"complete\"");
            let meta = members(after.remove("_meta").unwrap().get().as_bytes());
            prop_assert_eq!(meta[meta::SERVER_INFO].get(), info.as_str());
            prop_assert_eq!(meta[meta::SUBSCRIPTION_ID].get(), "5");
            let meta_before = before.get("_meta").map(|meta| members(meta.get().as_bytes())).unwrap_or_default();
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
