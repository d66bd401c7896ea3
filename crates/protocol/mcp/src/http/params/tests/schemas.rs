//! Which annotations a schema may have.

use super::*;

fn read(schema: &str) -> Result<Vec<(String, String)>, HeaderParamsError> {
    let params = HeaderParams::of_schema(&raw(schema))?;
    Ok(params.params.iter().map(|param| (param.path.join("."), param.header.to_string())).collect())
}

fn in_property(members: &str) -> Result<Vec<(String, String)>, HeaderParamsError> {
    read(&format!(r#"{{"type":"object","properties":{{"p":{{{members}}}}}}}"#))
}

#[test]
fn an_annotation_is_found_wherever_only_properties_lead() {
    let deep = r#"{"properties":{"a":{"properties":{"b":{"properties":{"c":{"type":"boolean","x-mcp-header":"C"}}}}},
        "d":{"x-mcp-header":"D","type":"integer"}}}"#;
    let table: [(&str, &[(&str, &str)]); 9] = [
        (deep, &[("a.b.c", "mcp-param-c"), ("d", "mcp-param-d")]),
        (r#"{"properties":{"a":{"type":"string","x-mcp-\u0068eader":"A"}}}"#, &[("a", "mcp-param-a")]),
        (
            r#"{"properties":{"properties":{"type":"string","x-mcp-header":"A"}}}"#,
            &[("properties", "mcp-param-a")],
        ),
        (
            r#"{"properties":{"items":{"properties":{"oneOf":{"type":"string","x-mcp-header":"A"}}}}}"#,
            &[("items.oneOf", "mcp-param-a")],
        ),
        // A property that is called so, and data, are no annotations.
        (r#"{"properties":{"x-mcp-header":{"type":"string"}}}"#, &[]),
        (r#"{"$defs":{"x-mcp-header":{"type":"string"}},"dependentRequired":{"x-mcp-header":["a"]}}"#, &[]),
        (
            r#"{"properties":{"a":{"default":{"x-mcp-header":"A"},"const":{"x-mcp-header":1},"enum":[{"x-mcp-header":""}],
            "examples":[{"x-mcp-header":"A"}],"maximum":1e999,"title":"\ud800"}}}"#,
            &[],
        ),
        // Schemas without, or that are none.
        (r#"{"type":"object","properties":true,"items":false,"x":"\u0041"}"#, &[]),
        (r#"["\u0041"]"#, &[]),
    ];
    for (schema, expected) in table {
        let expected: Vec<(String, String)> =
            expected.iter().map(|(path, header)| ((*path).to_owned(), (*header).to_owned())).collect();
        assert_eq!(read(schema), Ok(expected), "{schema}");
    }
}

#[test]
fn a_name_is_a_token_and_no_other_text() {
    use HeaderParamsError::{Empty, NotText, NotToken, TooLong};
    let place = || "p".to_owned();
    let annotated = |name: &str| in_property(&format!(r#""type":"string","x-mcp-header":{name}"#));
    assert_eq!(annotated(r#""""#), Err(Empty { place: place() }));
    for no_text in ["7", "null", "true", "[]", r#"["A"]"#, "{}", r#""\ud800""#] {
        assert_eq!(annotated(no_text), Err(NotText { place: place() }), "{no_text}");
    }
    let refused = "()<>@,;:\\\"/[]?={} \t\r\n\0\u{7f}\u{80}\u{e9}\u{4e16}";
    for bad in refused.chars() {
        for name in [format!("{bad}"), format!("A{bad}"), format!("{bad}A"), format!("A{bad}B")] {
            let text = serde_json::to_string(&name).unwrap();
            assert_eq!(annotated(&text), Err(NotToken { place: place(), name }), "{text}");
        }
    }
    for good in "!#$%&'*+-.^_`|~09azAZ".chars() {
        let expected = format!("mcp-param-{}", good.to_ascii_lowercase());
        assert_eq!(annotated(&format!("\"{good}\"")), Ok(vec![(place(), expected)]));
    }
    let longest = "n".repeat(MAX_HEADER_PARAM_NAME_BYTES);
    assert!(annotated(&format!("\"{longest}\"")).is_ok());
    let len = MAX_HEADER_PARAM_NAME_BYTES + 1;
    assert_eq!(annotated(&format!("\"{longest}n\"")), Err(TooLong { place: place(), len }));
}

#[test]
fn a_name_is_unique_whatever_its_case_and_wherever_it_is() {
    let twice = |one: &str, other: &str| {
        let inner = format!(r#""properties":{{"b":{{"type":"string","x-mcp-header":"{other}"}}}}"#);
        read(&format!(
            r#"{{"properties":{{"a":{{"type":"string","x-mcp-header":"{one}"}},"o":{{{inner}}}}}}}"#
        ))
    };
    for (one, other) in [("Region", "Region"), ("MyField", "myfield"), ("A-B", "a-b")] {
        assert_eq!(twice(one, other), Err(HeaderParamsError::Repeated { name: other.into() }), "{one}");
    }
    assert_eq!(twice("Region", "Region2").map(|found| found.len()), Ok(2));
}

#[test]
fn only_strings_integers_and_booleans_are_mirrored() {
    let of_type = |kind: &str| in_property(&format!(r#"{kind}"x-mcp-header":"A""#)).map(|found| found.len());
    for kind in [
        "\"string\"",
        "\"integer\"",
        "\"boolean\"",
        "[\"string\"]",
        "[\"integer\",\"null\"]",
        "[\"null\",\"boolean\"]",
    ] {
        assert_eq!(of_type(&format!(r#""type":{kind},"#)), Ok(1), "{kind}");
    }
    for kind in [
        "\"number\"",
        "\"object\"",
        "\"array\"",
        "\"null\"",
        "\"String\"",
        "7",
        "{}",
        "[]",
        "[\"null\"]",
        "[\"null\",\"null\"]",
        "[\"string\",\"integer\"]",
        "[\"number\",\"null\"]",
        "[\"string\",\"null\",\"integer\"]",
    ] {
        let refused = Err(HeaderParamsError::NotPrimitive { place: "p".into() });
        assert_eq!(of_type(&format!(r#""type":{kind},"#)), refused, "{kind}");
    }
    // Whatever else it says, a schema without `type` may be of any.
    for kind in ["", r##""$ref":"#/$defs/a","##, r#""const":"a","#, r#""anyOf":[{"type":"string"}],"#] {
        assert_eq!(of_type(kind), Err(HeaderParamsError::NotPrimitive { place: "p".into() }), "{kind}");
    }
}

#[test]
fn an_annotation_where_anything_else_leads_makes_the_tool_bad() {
    let annotated = r#"{"type":"string","x-mcp-header":"A"}"#;
    let below = format!(r#"{{"properties":{{"q":{annotated}}}}}"#);
    let mut ways: Vec<(String, String)> = Vec::new();
    for keyword in [
        "items",
        "contains",
        "unevaluatedItems",
        "additionalItems",
        "not",
        "if",
        "then",
        "else",
        "additionalProperties",
        "unevaluatedProperties",
        "propertyNames",
        "contentSchema",
        "$ref",
        "x-unknown",
    ] {
        ways.push((keyword.into(), format!(r#""{keyword}":{annotated}"#)));
        ways.push((keyword.into(), format!(r#""{keyword}":{below}"#)));
    }
    for keyword in ["oneOf", "anyOf", "allOf", "prefixItems", "items", "x-unknown"] {
        ways.push((keyword.into(), format!(r#""{keyword}":[{{}},{annotated}]"#)));
        ways.push((keyword.into(), format!(r#""{keyword}":[[{below}]]"#)));
    }
    for keyword in ["$defs", "definitions", "patternProperties", "dependentSchemas", "dependencies"] {
        ways.push((keyword.into(), format!(r#""{keyword}":{{"type":{annotated}}}"#)));
        ways.push((keyword.into(), format!(r#""{keyword}":{{"const":{below}}}"#)));
    }
    ways.push((
        "properties.oneOf".into(),
        format!(r#""properties":{{"properties":{{"oneOf":[{annotated}]}}}}"#),
    ));
    for (place, way) in ways {
        // At the root, and in a property.
        let at_root = HeaderParamsError::NotReachable { place: place.clone() };
        assert_eq!(read(&format!("{{{way}}}")), Err(at_root), "{way}");
        let in_it = HeaderParamsError::NotReachable { place: format!("p.{place}") };
        assert_eq!(in_property(&way), Err(in_it), "{way}");
    }
    let root = HeaderParamsError::NotReachable { place: "inputSchema".into() };
    assert_eq!(read(r#"{"type":"string","x-mcp-header":"A"}"#), Err(root));
    let list = HeaderParamsError::NotReachable { place: "p".into() };
    assert_eq!(read(&format!(r#"{{"properties":{{"p":[{annotated}]}}}}"#)), Err(list));
}

#[test]
fn a_schema_that_readers_understand_differently_is_bad() {
    let annotated = r#"{"type":"string","x-mcp-header":"A"}"#;
    let table = [
        (format!(r#"{{"properties":{{"p":{annotated},"p":{{}}}}}}"#), "inputSchema"),
        (format!(r#"{{"properties":{{"p":{{}},"\u0070":{annotated}}}}}"#), "inputSchema"),
        (format!(r#"{{"properties":{{}},"properties":{{"p":{annotated}}}}}"#), "inputSchema"),
        (r#"{"properties":{"p":{"type":"string","x-mcp-header":"A","x-mcp-header":"B"}}}"#.into(), "p"),
        (r#"{"properties":{"p":{"type":"string","x-mcp-header":"A","type":"array"}}}"#.into(), "p"),
        (format!(r#"{{"properties":{{"o":{{"properties":{{"p":{annotated}}},"properties":{{}}}}}}}}"#), "o"),
    ];
    for (schema, place) in table {
        assert_eq!(read(&schema), Err(HeaderParamsError::Ambiguous { place: place.into() }), "{schema}");
    }
    // Where nothing is annotated, duplicates are not looked for.
    let plain = r#"{"properties":{"p":{"type":"a","type":"b"},"p":{}},"properties":{},"x":"\u0041"}"#;
    assert_eq!(read(plain), Ok(vec![]));
}

#[test]
fn max_header_params_bounds_the_headers_of_a_call() {
    let schema = |count: usize| {
        let members: Vec<String> =
            (0..count).map(|n| format!(r#""p{n}":{{"type":"string","x-mcp-header":"H{n}"}}"#)).collect();
        HeaderParams::of_schema(&properties(&members.join(",")))
    };
    let most = schema(MAX_HEADER_PARAMS).unwrap();
    assert_eq!(schema(MAX_HEADER_PARAMS + 1), Err(HeaderParamsError::TooMany));
    let members: Vec<String> = (0..MAX_HEADER_PARAMS).map(|n| format!(r#""p{n}":"v""#)).collect();
    let arguments = raw(&format!("{{{}}}", members.join(",")));
    let mut written = HeaderMap::new();
    most.write(Some(&arguments), &mut written);
    assert_eq!((written.len(), most.len()), (MAX_HEADER_PARAMS, MAX_HEADER_PARAMS));
    assert_eq!(most.check(&written, Some(&arguments)), Ok(()));
    written.insert("mcp-param-h63", HeaderValue::from_static("w"));
    assert!(most.check(&written, Some(&arguments)).is_err());
}

#[test]
fn a_schema_of_any_depth_is_read_or_refused() {
    let nested = |depth: usize| {
        format!(
            r#"{}{{"type":"string","x-mcp-header":"A"}}{}"#,
            r#"{"properties":{"p":"#.repeat(depth),
            "}}".repeat(depth)
        )
    };
    assert_eq!(read(&nested(60)).map(|found| found[0].0.len()), Ok(119));
    assert_eq!(read(&nested(100_000)), Err(HeaderParamsError::Unreadable));
    // Without an annotation it is nobody's business.
    assert_eq!(read(&nested(100_000).replace("x-mcp-header", "x")), Ok(vec![]));
    assert_eq!(
        in_property(r#""\ud800":1,"type":"string","x-mcp-header":"A""#),
        Err(HeaderParamsError::Unreadable)
    );
}

#[test]
fn an_error_names_the_place_and_cuts_what_is_long() {
    let long = "p".repeat(1 << 20);
    let schema = format!(r#"{{"properties":{{"{long}":{{"x-mcp-header":"A"}}}}}}"#);
    let error = read(&schema).unwrap_err().to_string();
    assert!(error.len() < 2 * crate::MAX_ECHO_BYTES && error.contains("ppp…"), "{error}");
}
