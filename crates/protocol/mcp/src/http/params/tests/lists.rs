//! Lists of tools.

use proptest::prelude::*;

use super::*;

const GOOD: &str = r#"{ "name":"good","x":9223372036854775808,"inputSchema":{"properties":{"r":{"type":"string","x-mcp-header":"R"}}} }"#;
const PLAIN: &str = r#"{"name":"pl\u0061in", "inputSchema" : {"type":"object"}}"#;
const BAD: &str = r#"{"name":"bad","inputSchema":{"properties":{"r":{"type":"number","x-mcp-header":"R"}}}}"#;

fn bad_names(bad: &[(String, HeaderParamsError)]) -> Vec<&str> {
    bad.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn a_tool_is_read_with_its_name() {
    let (name, params) = HeaderParams::of_tool(&raw(GOOD)).unwrap();
    assert_eq!((name.as_str(), params.len()), ("good", 1));
    let (name, params) = HeaderParams::of_tool(&raw(PLAIN)).unwrap();
    assert_eq!((name.as_str(), params.is_empty()), ("plain", true));
    assert!(HeaderParams::of_tool(&raw(r#"{"name":"a"}"#)).unwrap().1.is_empty());
    let ambiguous = HeaderParamsError::Ambiguous { place: "the tool".into() };
    let table = [
        (r#"{"name":7}"#.to_owned(), HeaderParamsError::NoTool),
        ("[]".to_owned(), HeaderParamsError::NoTool),
        (BAD.to_owned(), HeaderParamsError::NotPrimitive { place: "r".into() }),
        (GOOD.replace("\"x\":", "\"name\":"), HeaderParamsError::NoTool),
        (GOOD.replace("\"x\":9223372036854775808", "\"name\":\"other\""), ambiguous.clone()),
        (GOOD.replace("\"x\":9223372036854775808", "\"inputSchema\":{}"), ambiguous),
    ];
    for (tool, error) in table {
        let found = HeaderParams::of_tool(&raw(&tool)).map(|(name, _)| name);
        assert_eq!(found, Err(error), "{tool}");
    }
}

#[test]
fn only_the_bad_tools_go_and_every_other_byte_stays() {
    let around = |tools: &str| {
        format!(
            r#"{{ "resultType":"complete","tools" : [{tools}], "nextCursor":"a\u0062", "n":1e999,"_meta":{{}} }}"#
        )
    };
    let table = [
        (format!("{GOOD},{PLAIN}"), format!("{GOOD},{PLAIN}"), 0),
        (format!("{BAD},{GOOD},{PLAIN}"), format!("{GOOD},{PLAIN}"), 1),
        (format!(" {GOOD} ,\n{BAD} , {PLAIN} "), format!(" {GOOD} , {PLAIN} "), 1),
        (format!("{GOOD}\n,{BAD},{BAD}"), format!("{GOOD}\n"), 2),
        (format!(" {BAD} "), String::new(), 1),
        (format!("{BAD},7,\"x\",[]"), "7,\"x\",[]".to_owned(), 1),
        (String::new(), String::new(), 0),
    ];
    for (tools, kept, taken) in table {
        let (result, bad, good) = without_bad_tools(&raw(&around(&tools)));
        assert_eq!(result.as_str(), around(&kept).trim(), "{tools}");
        assert_eq!(bad_names(&bad), vec!["bad"; taken], "{tools}");
        let goods = good.iter().map(|(name, params)| (name.as_str(), params.len())).collect::<Vec<_>>();
        assert_eq!(goods, if kept.contains("good") { vec![("good", 1)] } else { vec![] }, "{tools}");
    }
}

#[test]
fn a_result_of_another_shape_stays_as_it_is() {
    for result in ["{}", "[]", "7", r#"{"tools":{"x-mcp-header":1}}"#, r#"{"tools":"x-mcp-header"}"#] {
        let (same, bad, good) = without_bad_tools(&raw(result));
        assert_eq!((same.as_str(), bad.len(), good.len()), (result, 0, 0));
    }
    // A tool without a name is not for this to judge, but its annotations are.
    let unnamed = |tool: &str| format!(r#"{{"tools":[{}]}}"#, tool.replace("\"name\"", "\"n\""));
    let (same, bad, good) = without_bad_tools(&raw(&unnamed(GOOD)));
    assert_eq!((same.as_str(), bad.len(), good.len()), (unnamed(GOOD).as_str(), 0, 0));
    let (none, bad, _) = without_bad_tools(&raw(&unnamed(BAD)));
    assert_eq!((none.as_str(), bad_names(&bad)), (r#"{"tools":[]}"#, vec![""]));
}

#[test]
fn bad_tools_do_not_hide_in_a_second_list() {
    let result = format!(r#"{{"tools":[{BAD}],"x":[{BAD}],"t\u006fols":[{BAD},{GOOD}]}}"#);
    let (result, bad, good) = without_bad_tools(&raw(&result));
    assert_eq!(result.as_str(), format!(r#"{{"tools":[],"x":[{BAD}],"t\u006fols":[{GOOD}]}}"#));
    assert_eq!((bad.len(), good.len()), (2, 1));
}

#[test]
fn a_result_that_stays_is_not_copied() {
    for tools in [PLAIN.to_owned(), format!("{GOOD},{PLAIN}")] {
        let result = raw(&format!(r#"{{"tools":[{tools}]}}"#));
        let (same, ..) = without_bad_tools(&result);
        assert_eq!(same.as_bytes().as_ptr(), result.as_bytes().as_ptr());
    }
}

proptest! {
    #[test]
    fn the_others_keep_their_order_and_their_bytes(
        tools in proptest::collection::vec((prop_oneof![Just(GOOD), Just(PLAIN), Just(BAD)], "[ \n]{0,2}"), 0..8),
        cursor in proptest::option::of("[a-z]{1,4}"),
    ) {
        let list = |wanted: &dyn Fn(&str) -> bool| {
            let kept: Vec<String> = tools.iter().filter(|(tool, _)| wanted(tool))
                .map(|(tool, blank)| format!("{blank}{tool}{blank}")).collect();
            let cursor = cursor.as_ref().map(|cursor| format!(r#","nextCursor":"{cursor}""#)).unwrap_or_default();
            format!(r#"{{"tools":[{}]{cursor}}}"#, kept.join(","))
        };
        let all = raw(&list(&|_| true));
        let (result, bad, _) = without_bad_tools(&all);
        if bad.is_empty() {
            prop_assert_eq!(&result, &all);
        } else {
            prop_assert_eq!(result.as_str(), list(&|tool| tool != BAD));
        }
        prop_assert_eq!(bad.len(), tools.iter().filter(|(tool, _)| *tool == BAD).count());
        let (again, none, _) = without_bad_tools(&result);
        prop_assert_eq!((again, none), (result, vec![]));
    }
}
