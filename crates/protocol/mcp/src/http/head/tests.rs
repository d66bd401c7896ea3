use super::*;

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

#[test]
fn a_post_is_taken_unless_it_rules_out_both_kinds_of_answer() {
    // The values of `Accept`; JSON, events; whether a lax and a strict server take it.
    let table: [(&[&str], [bool; 2], [bool; 2]); 18] = [
        (&[], [true, true], [true, false]),
        (&[""], [true, true], [true, false]),
        (&["application/json, text/event-stream"], [true, true], [true, true]),
        (&["text/event-stream;q=0.5 , Application/JSON ; charset=utf-8"], [true, true], [true, true]),
        (&["application/json", "text/event-stream"], [true, true], [true, true]),
        (&["*/*"], [true, true], [true, false]),
        (&["text/html, */*;q=0.8"], [true, true], [true, false]),
        (&["*/*, application/json"], [true, true], [true, false]),
        (&["application/json"], [true, false], [true, false]),
        (&["application/*"], [true, false], [true, false]),
        (&["TEXT/*"], [false, true], [true, false]),
        (&["text/event-stream"], [false, true], [true, false]),
        (&["application/json, text/event-stream;q=0"], [true, false], [true, false]),
        (&["application/json;q=0.000, text/event-stream; Q=0"], [false, false], [false, false]),
        (&["text/html"], [false, false], [false, false]),
        (&["application/jsonx"], [false, false], [false, false]),
        (&["caf\u{e9}"], [false, false], [false, false]),
        (&["image/*"], [false, false], [false, false]),
    ];
    for (accept, accepts, taken) in table {
        let mut lines: Vec<(&str, &str)> = accept.iter().map(|value| ("accept", *value)).collect();
        lines.push(("content-type", "application/json"));
        let headers = headers(&lines);
        let head = HeadInfo::read(Verb::Post, &headers);
        assert_eq!([head.accepts_json, head.accepts_events], accepts, "{accept:?}");
        for (strict, taken) in [false, true].into_iter().zip(taken) {
            match head.check_media(&headers, strict) {
                Ok(()) => assert!(taken, "{accept:?}"),
                Err(fault) => {
                    assert!(matches!(fault, Fault::HttpShape { status: 406, .. }) && !taken, "{accept:?}");
                }
            }
        }
    }
}

#[test]
fn a_post_is_json_or_does_not_say() {
    // `Content-Type`; whether a lax and a strict server take it.
    let table = [
        (None, [true, false]),
        (Some("application/json"), [true, true]),
        (Some("application/json; charset=utf-8"), [true, true]),
        (Some("Application/JSON;charset=utf-8"), [true, true]),
        (Some("application/json-rpc"), [false, false]),
        (Some("text/plain"), [false, false]),
        (Some("application/x-www-form-urlencoded"), [false, false]),
        (Some(""), [false, false]),
        (Some("caf\u{e9}"), [false, false]),
    ];
    for (sent, taken) in table {
        let mut lines = vec![("accept", "application/json, text/event-stream")];
        lines.extend(sent.map(|sent| ("content-type", sent)));
        let headers = headers(&lines);
        for (strict, taken) in [false, true].into_iter().zip(taken) {
            let checked = HeadInfo::read(Verb::Post, &headers).check_media(&headers, strict);
            match checked {
                Ok(()) => assert!(taken, "{sent:?}"),
                Err(fault) => {
                    assert!(matches!(fault, Fault::HttpShape { status: 415, .. }) && !taken, "{sent:?}");
                }
            }
            for verb in [Verb::Get, Verb::Delete] {
                assert_eq!(HeadInfo::read(verb, &headers).check_media(&headers, strict), Ok(()));
            }
        }
    }
}

#[test]
fn the_version_header_names_one_revision_or_none() {
    let unknown = |text: &str| VersionHeader::Unknown(text.into());
    // The values; what they mean; whether that is of the modern era.
    let table: [(&[&str], VersionHeader, bool); 10] = [
        (&[], VersionHeader::Absent, false),
        (&["2024-11-05"], VersionHeader::Known(Revision::V2024_11_05), false),
        (&["2025-11-25"], VersionHeader::Known(Revision::V2025_11_25), false),
        (&[" \t2026-07-28 "], VersionHeader::Known(Revision::V2026_07_28), true),
        (&["2099-01-01"], unknown("2099-01-01"), true),
        (&["2025-11-25, 2026-07-28"], unknown("2025-11-25, 2026-07-28"), true),
        (&[""], unknown(""), true),
        (&["caf\u{e9}"], unknown("caf\u{e9}"), true),
        (&["2025-11-25", "2025-11-25"], VersionHeader::Repeated, true),
        (&["2025-11-25", "2026-07-28"], VersionHeader::Repeated, true),
    ];
    for (values, expected, modern) in table {
        let lines: Vec<(&str, &str)> = values.iter().map(|value| ("Mcp-Protocol-Version", *value)).collect();
        let head = HeadInfo::read(Verb::Post, &headers(&lines));
        assert_eq!(head.version, expected, "{values:?}");
        assert_eq!(head.version.is_modern(), modern, "{values:?}");
    }
    let long = "9".repeat(10_000);
    let head = HeadInfo::read(Verb::Post, &headers(&[("mcp-protocol-version", &long)]));
    assert!(head.version.shown().len() < 300);
}

#[test]
fn the_session_header_names_one_session_or_none() {
    let longest = "x".repeat(MAX_OWN_SESSION_ID_BYTES);
    let too_long = "x".repeat(MAX_OWN_SESSION_ID_BYTES + 1);
    let table: [(&[&str], Option<&str>, bool); 8] = [
        (&[], None, false),
        (&["abc-123"], Some("abc-123"), false),
        (&[&longest], Some(&longest), false),
        (&[&too_long], None, true),
        (&[""], None, true),
        (&["two words"], None, true),
        (&["caf\u{e9}"], None, true),
        (&["abc", "abc"], None, true),
    ];
    for (values, id, impossible) in table {
        let lines: Vec<(&str, &str)> = values.iter().map(|value| ("MCP-Session-Id", *value)).collect();
        let head = HeadInfo::read(Verb::Post, &headers(&lines));
        assert_eq!(head.session().map(SessionId::as_str), id, "{values:?}");
        assert_eq!(head.session == SessionHeader::Impossible, impossible, "{values:?}");
    }
}
