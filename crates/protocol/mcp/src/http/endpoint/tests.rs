use http::{HeaderName, HeaderValue};

use super::*;
use crate::testing::{message, raw};

const ID: &str = "Mcp-Session-Id";
const VERSION: &str = "MCP-Protocol-Version";
const METHOD: &str = "Mcp-Method";
const NAME: &str = "Mcp-Name";

const BOTH: &[Revision] = &Revision::ALL;
const LEGACY: &[Revision] = &[Revision::V2025_03_26, Revision::V2025_06_18, Revision::V2025_11_25];
const MODERN: &[Revision] = &[Revision::V2026_07_28];

/// Headers as they are written.
type Lines<'a> = &'a [(&'a str, &'a str)];

fn endpoint(supported: &[Revision]) -> HttpEndpoint {
    let server = ServerIdentity {
        supported: supported.to_vec(),
        ..ServerIdentity::new(raw(r#"{"name":"s","version":"1"}"#), raw("{}"))
    };
    HttpEndpoint::new(Arc::new(server))
}

fn headers(lines: Lines<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost:3000"));
    for (name, value) in lines {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn check(endpoint: &HttpEndpoint, method: &str, lines: Lines<'_>) -> Result<HeadInfo, Rejection> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    endpoint.check_head(&method, &Uri::from_static("/mcp"), &headers(lines))
}

/// What becomes of a POST, in a few words: for a rejection its status, its code, the word for programs, and whether it
/// names the revisions.
fn post(supported: &[Revision], lines: Lines<'_>, body: &str) -> String {
    let endpoint = endpoint(supported);
    let head = check(&endpoint, "POST", lines).unwrap();
    match endpoint.admit(&head, &message(body)) {
        HttpAdmit::Modern(request) => format!("modern {}", request.revision),
        HttpAdmit::Discover(result) => {
            assert!(result.as_str().contains("supportedVersions"));
            "discover".into()
        }
        HttpAdmit::ModernNotification => "notification".into(),
        HttpAdmit::Initialize => "initialize".into(),
        HttpAdmit::InSession { session } => format!("in {}", session.as_str()),
        HttpAdmit::Reject(rejection) => shown(&rejection),
    }
}

fn shown(rejection: &Rejection) -> String {
    let reply = rejection.reply();
    let data: serde_json::Value = reply.data.unwrap().deserialize().unwrap();
    let named = if data["supported"].is_array() { " naming versions" } else { "" };
    format!("{} {} {}{named}", reply.http_status, reply.code, data["reason"].as_str().unwrap())
}

/// A request whose `_meta` names this revision.
fn request(method: &str, params: &str, version: &str) -> String {
    let separator = if params.is_empty() { "" } else { "," };
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{separator}"_meta":{{"io.modelcontextprotocol/protocolVersion":"{version}","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

fn bare(method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{}}}}"#)
}

fn notification(method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#)
}

/// The headers of a modern request of this method.
fn dressed(method: &str) -> Vec<(&'static str, &str)> {
    vec![(VERSION, "2026-07-28"), (METHOD, method)]
}

#[test]
fn a_message_belongs_to_the_era_that_it_names() {
    let listed = request("tools/list", "", "2026-07-28");
    let discover = request("server/discover", "", "2026-07-28");
    let modern_hello = request("initialize", "", "2026-07-28");
    let (hello, list, ping) = (bare("initialize"), bare("tools/list"), bare("ping"));
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned();
    let (initialized, own) = (notification("notifications/initialized"), notification("notifications/own"));
    let new = (VERSION, "2026-07-28");
    let old = (VERSION, "2025-11-25");
    let next = (VERSION, "2099-01-01");
    let id = (ID, "abc");
    let list_dress = dressed("tools/list");
    let with_id = [dressed("tools/list"), vec![id]].concat();
    let bad_id = [dressed("tools/list"), vec![(ID, "no such")]].concat();
    let discover_dress = dressed("server/discover");
    let hello_dress = dressed("initialize");
    let missing_meta = "400 -32602 missing_meta";
    let mismatch = "400 -32020 header_mismatch";
    let no_session = "400 -32600 session_required";
    let not_spoken = "400 -32600 era_not_spoken naming versions";
    let no_handshake = "400 -32602 no_handshake naming versions";
    let version = "400 -32600 version_header naming versions";
    let response = "400 -32600 unexpected_response";
    let lost = "404 -32600 session_unknown";
    // The server's revisions; the headers; the message; what becomes of it.
    let table: &[(&[Revision], Lines<'_>, &String, &str)] = &[
        // Modern, whatever else the head says.
        (BOTH, &list_dress, &listed, "modern 2026-07-28"),
        (MODERN, &list_dress, &listed, "modern 2026-07-28"),
        (BOTH, &with_id, &listed, "modern 2026-07-28"),
        (MODERN, &with_id, &listed, "modern 2026-07-28"),
        (MODERN, &bad_id, &listed, "modern 2026-07-28"),
        (BOTH, &discover_dress, &discover, "discover"),
        (MODERN, &discover_dress, &discover, "discover"),
        (BOTH, &hello_dress, &modern_hello, "404 -32601 method_not_found naming versions"),
        (MODERN, &hello_dress, &modern_hello, "404 -32601 method_not_found naming versions"),
        // By the header alone.
        (BOTH, &[new], &list, missing_meta),
        (BOTH, &[next], &list, missing_meta),
        (BOTH, &[new], &hello, missing_meta),
        (BOTH, &[new, new], &list, mismatch),
        (BOTH, &[], &bare("server/discover"), mismatch),
        // By the metadata alone.
        (BOTH, &[], &listed, mismatch),
        (BOTH, &[old], &listed, mismatch),
        (BOTH, &[id], &listed, mismatch),
        // A server of the modern era only.
        (MODERN, &[], &list, mismatch),
        (MODERN, &[], &ping, mismatch),
        (MODERN, &[old], &list, missing_meta),
        (MODERN, &[old, id], &list, missing_meta),
        (MODERN, &[], &hello, no_handshake),
        (MODERN, &[old], &hello, no_handshake),
        (MODERN, &[new], &hello, no_handshake),
        (MODERN, &[id], &initialized, mismatch),
        // Sessions.
        (BOTH, &[], &hello, "initialize"),
        (BOTH, &[old], &hello, "initialize"),
        (LEGACY, &[], &hello, "initialize"),
        (LEGACY, &[(VERSION, "2024-11-05")], &hello, "initialize"),
        (BOTH, &[id], &hello, "in abc"),
        (BOTH, &[id], &list, "in abc"),
        (BOTH, &[id, old], &list, "in abc"),
        (BOTH, &[id, old], &initialized, "in abc"),
        (BOTH, &[id, old], &result, "in abc"),
        (BOTH, &[id, old], &bare("server/discover"), "in abc"),
        (BOTH, &[], &list, no_session),
        (BOTH, &[old], &list, no_session),
        (BOTH, &[old], &ping, no_session),
        (BOTH, &[], &initialized, no_session),
        (BOTH, &[], &result, no_session),
        (BOTH, &[old], &notification("initialize"), no_session),
        (LEGACY, &[], &list, no_session),
        (BOTH, &[(ID, "no such")], &list, lost),
        (BOTH, &[id, id], &list, lost),
        // The version header of a session.
        (BOTH, &[id, new], &list, version),
        (BOTH, &[id, next], &list, version),
        (BOTH, &[id, old, old], &list, version),
        (LEGACY, &[id, (VERSION, "2024-11-05")], &list, version),
        (LEGACY, &[id, new], &listed, version),
        // A server of the legacy era only.
        (LEGACY, &list_dress, &listed, not_spoken),
        (LEGACY, &discover_dress, &discover, not_spoken),
        (LEGACY, &[], &listed, not_spoken),
        (LEGACY, &[new], &list, not_spoken),
        (LEGACY, &[new], &hello, not_spoken),
        (LEGACY, &[next], &hello, not_spoken),
        (LEGACY, &[new], &own, not_spoken),
        (LEGACY, &[], &modern_hello, "initialize"),
        (LEGACY, &[id, old], &listed, "in abc"),
        // Modern messages without an answer.
        (BOTH, &[new], &own, "notification"),
        (MODERN, &[new], &own, "notification"),
        (BOTH, &[new], &result, response),
        (MODERN, &[id, old], &result, response),
    ];
    for (supported, lines, body, expected) in table {
        assert_eq!(post(supported, lines, body), *expected, "{supported:?} {lines:?} {body}");
    }
}

#[test]
fn a_modern_request_is_refused_for_the_first_thing_that_is_wrong_with_it() {
    let call = |name: &str| request("tools/call", &format!(r#""name":{name}"#), "2026-07-28");
    let read = |uri: &str| request("resources/read", &format!(r#""uri":{uri},"name":"n""#), "2026-07-28");
    let no_capabilities = |version: &str| {
        request("tools/list", "", version).replace(r#","io.modelcontextprotocol/clientCapabilities":{}"#, "")
    };
    let get = request("prompts/get", r#""name":"greet""#, "2026-07-28");
    let complete = request("completion/complete", r#""name":"x""#, "2026-07-28");
    let (version, list) = ((VERSION, "2026-07-28"), (METHOD, "tools/list"));
    let (tool, resource) = ((METHOD, "tools/call"), (METHOD, "resources/read"));
    let modern = "modern 2026-07-28";
    let mismatch = "400 -32020 header_mismatch";
    let unsupported = "400 -32022 unsupported_version naming versions";
    let missing_meta = "400 -32602 missing_meta";
    let invalid_meta = "400 -32602 invalid_meta";
    let no_method = "404 -32601 method_not_found";
    let listed = |version: &str| request("tools/list", "", version);
    let table: &[(Lines<'_>, String, &str)] = &[
        // The version header, then the metadata, then both of them together, then whether it is supported.
        (&[], no_capabilities("2099-01-01"), mismatch),
        (&[version], no_capabilities("2099-01-01"), missing_meta),
        (&[version], no_capabilities("2026-07-28"), missing_meta),
        (&[version], listed("2026-07-28").replace("\":{}", "\":[]"), invalid_meta),
        (&[version], listed("2099-01-01"), mismatch),
        (&[(VERSION, "2099-01-01")], listed("2026-07-28"), mismatch),
        (&[(VERSION, "2025-11-25")], listed("2026-07-28"), mismatch),
        (&[(VERSION, "2099-01-01")], listed("2099-01-01"), unsupported),
        (&[(VERSION, "2025-11-25")], listed("2025-11-25"), unsupported),
        (&[version, version, list], listed("2026-07-28"), mismatch),
        (&[(VERSION, " 2026-07-28\t"), list], listed("2026-07-28"), modern),
        // The method.
        (&[version], listed("2026-07-28"), mismatch),
        (&[version, tool], listed("2026-07-28"), mismatch),
        (&[version, (METHOD, "Tools/List")], listed("2026-07-28"), mismatch),
        (&[version, (METHOD, "=?base64?dG9vbHMvbGlzdA==?=")], listed("2026-07-28"), mismatch),
        (&[version, (METHOD, "tools/l\u{ef}st")], listed("2026-07-28"), mismatch),
        (&[version, list, list], listed("2026-07-28"), mismatch),
        (&[version, (METHOD, "  tools/list\t")], listed("2026-07-28"), modern),
        (&[version, ("mcp-METHOD", "tools/list")], listed("2026-07-28"), modern),
        // The name.
        (&[version, tool], call(r#""add""#), mismatch),
        (&[version, tool, (NAME, "sub")], call(r#""add""#), mismatch),
        (&[version, tool, (NAME, "ADD")], call(r#""add""#), mismatch),
        (&[version, tool, (NAME, "add"), (NAME, "add")], call(r#""add""#), mismatch),
        (&[version, tool, (NAME, " add ")], call(r#""add""#), modern),
        (&[version, tool, (NAME, "add")], call(r#""\u0061dd""#), modern),
        (&[version, tool, (NAME, "=?base64?YWRk?=")], call(r#""add""#), modern),
        (&[version, tool, (NAME, "=?base64?w6k=?=")], call(r#""\u00e9""#), modern),
        (&[version, tool, (NAME, "\u{e9}")], call(r#""\u00e9""#), mismatch),
        (&[version, tool, (NAME, "=?base64?YWRk?=")], call(r#""=?base64?YWRk?=""#), mismatch),
        (&[version, tool, (NAME, "=?BASE64?YWRk?=")], call(r#""add""#), mismatch),
        (&[version, tool, (NAME, "=?base64?YQ?=")], call(r#""a""#), mismatch),
        (&[version, tool, (NAME, "=?base64?w6k?=")], call(r#""\u00e9""#), mismatch),
        (&[version, tool, (NAME, "7")], call("7"), mismatch),
        (&[version, tool], call("7"), modern),
        (&[version, (METHOD, "prompts/get")], get.clone(), mismatch),
        (&[version, (METHOD, "prompts/get"), (NAME, "greet")], get, modern),
        (&[version, resource, (NAME, "n")], read(r#""test://a""#), mismatch),
        (&[version, resource, (NAME, "test://a")], read(r#""test://a""#), modern),
        (&[version, (METHOD, "completion/complete"), (NAME, "y")], complete, modern),
        // The method exists, but only after the headers are known to be right.
        (&[version, list], request("ping", "", "2026-07-28"), mismatch),
        (&[version, (METHOD, "ping")], request("ping", "", "2026-07-28"), no_method),
        (
            &[version, (METHOD, "resources/subscribe")],
            request("resources/subscribe", r#""uri":"a""#, "2026-07-28"),
            no_method,
        ),
        (&[version, (METHOD, "x/own")], request("x/own", "", "2026-07-28"), modern),
    ];
    for (lines, body, expected) in table {
        for supported in [BOTH, MODERN] {
            assert_eq!(post(supported, lines, body), *expected, "{lines:?} {body}");
        }
    }
}

#[test]
fn a_modern_notification_may_leave_out_but_must_not_contradict() {
    let new = (VERSION, "2026-07-28");
    let with_meta = |version: &str| request("notifications/own", "", version).replace(r#""id":1,"#, "");
    let mismatch = "400 -32020 header_mismatch";
    let unsupported = "400 -32022 unsupported_version naming versions";
    let own = notification("notifications/own");
    let table: &[(Lines<'_>, String, &str)] = &[
        (&[new], own.clone(), "notification"),
        (&[new], with_meta("2026-07-28"), "notification"),
        (&[new, (METHOD, "notifications/own")], own.clone(), "notification"),
        (&[new, (METHOD, "notifications/other")], own.clone(), mismatch),
        (&[new, new], own.clone(), mismatch),
        (&[(VERSION, "2099-01-01")], own, unsupported),
        (&[new], with_meta("2099-01-01"), mismatch),
        (&[], with_meta("2026-07-28"), mismatch),
        (&[(VERSION, "2025-11-25")], with_meta("2025-11-25"), unsupported),
    ];
    for (lines, body, expected) in table {
        assert_eq!(post(BOTH, lines, body), *expected, "{lines:?} {body}");
    }
}

#[test]
fn a_head_is_refused_before_its_body_is_read() {
    let evil = [("origin", "https://evil.example.com")];
    let html = [("accept", "text/html")];
    let text = [("content-type", "text/plain")];
    let json = [("accept", "application/json")];
    // The server's revisions; whether it is strict; method; headers; status, and what is allowed instead.
    type Line<'a> = (&'a [Revision], bool, &'a str, Lines<'a>, Option<(u16, Option<&'a str>)>);
    let table: &[Line<'_>] = &[
        (BOTH, false, "POST", &[], None),
        (BOTH, false, "GET", &[], None),
        (BOTH, false, "DELETE", &[], None),
        (BOTH, false, "PUT", &[], Some((405, Some("GET, POST, DELETE")))),
        (BOTH, false, "OPTIONS", &[], Some((405, Some("GET, POST, DELETE")))),
        (BOTH, false, "HEAD", &[], Some((405, Some("GET, POST, DELETE")))),
        (MODERN, false, "PUT", &[], Some((405, Some("POST")))),
        (BOTH, false, "POST", &evil, Some((403, None))),
        (BOTH, false, "GET", &evil, Some((403, None))),
        (BOTH, false, "DELETE", &evil, Some((403, None))),
        (BOTH, false, "PUT", &evil, Some((403, None))),
        (BOTH, false, "POST", &html, Some((406, None))),
        (BOTH, false, "POST", &text, Some((415, None))),
        (BOTH, false, "POST", &json, None),
        (BOTH, true, "POST", &json, Some((406, None))),
        (BOTH, true, "POST", &[], Some((406, None))),
        // A second `Host`.
        (BOTH, false, "POST", &[("host", "localhost")], Some((403, None))),
    ];
    for (supported, strict, method, lines, expected) in table {
        let checked = check(&endpoint(supported).with_strict_media_types(*strict), method, lines);
        let refused = checked.err().map(|rejection| {
            let reply = rejection.reply();
            (reply.http_status, reply.allow)
        });
        assert_eq!(refused, *expected, "{method} {lines:?}");
    }
    let public = HttpGate { hosts: super::super::HostPolicy::any(), ..HttpGate::default() };
    let public = endpoint(BOTH).with_gate(public);
    assert!(check(&public, "POST", &[("host", "localhost")]).is_ok());
    assert!(check(&public, "POST", &evil).is_err());
}

#[test]
fn only_a_session_has_a_stream_an_end_and_batches() {
    let id = (ID, "abc");
    let new = (VERSION, "2026-07-28");
    let next = (VERSION, "2099-01-01");
    let no_get = "405 -32600 http, POST";
    let no_session = "400 -32600 session_required";
    let version = "400 -32600 version_header naming versions";
    let lost = "404 -32600 session_unknown";
    let no_batch = "400 -32600 batch_not_allowed";
    // The server's revisions; the headers; GET, DELETE and a batch.
    let table: &[(&[Revision], Lines<'_>, [&str; 3])] = &[
        (BOTH, &[id], ["abc"; 3]),
        (LEGACY, &[id, (VERSION, "2025-03-26")], ["abc"; 3]),
        (BOTH, &[id, ("accept", "text/event-stream")], ["abc"; 3]),
        (BOTH, &[id, ("accept", "application/json")], ["406 -32600 http", "abc", "abc"]),
        (BOTH, &[], [no_session, no_session, no_batch]),
        (LEGACY, &[], [no_session, no_session, no_batch]),
        (BOTH, &[(ID, "no such")], [lost; 3]),
        (BOTH, &[id, new], [no_get, no_get, version]),
        (BOTH, &[new], [no_get, no_get, no_batch]),
        (BOTH, &[next], [no_get, no_get, no_batch]),
        (BOTH, &[id, next], [version; 3]),
        (LEGACY, &[id, (VERSION, "2024-11-05")], [version; 3]),
        (MODERN, &[id], [no_get, no_get, no_batch]),
        (MODERN, &[], [no_get, no_get, no_batch]),
    ];
    for (supported, lines, expected) in table {
        let endpoint = endpoint(supported);
        let head = |method| check(&endpoint, method, lines).unwrap();
        let admitted = [
            endpoint.admit_get(&head("GET")),
            endpoint.admit_delete(&head("DELETE")),
            endpoint.admit_batch(&head("POST")),
        ];
        let words = admitted.map(|admitted| match admitted {
            Ok(session) => session.as_str().to_owned(),
            Err(rejection) => match rejection.reply().allow {
                Some(allow) => format!("{}, {allow}", shown(&rejection)),
                None => shown(&rejection),
            },
        });
        assert_eq!(words, *expected, "{supported:?} {lines:?}");
    }
}

#[test]
fn a_refusal_says_which_header_and_repeats_little_of_it() {
    let long = "x".repeat(10_000);
    let body = request("tools/call", &format!(r#""name":"{long}""#), "2026-07-28");
    let endpoint = endpoint(BOTH);
    let lines = [(VERSION, "2026-07-28"), (METHOD, "tools/call"), (NAME, &long[1..])];
    let head = check(&endpoint, "POST", &lines).unwrap();
    let HttpAdmit::Reject(rejection) = endpoint.admit(&head, &message(&body)) else { panic!() };
    let text = rejection.to_string();
    assert!(text.contains("Mcp-Name") && text.len() < 1024, "{text}");
}
