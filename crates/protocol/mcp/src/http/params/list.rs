//! A `tools/list` result without the tools whose annotations break the rules.

use bytes::BytesMut;
use towpath_jsonrpc::RawJson;

use super::schema::{self, may_be_annotated};
use super::{HeaderParams, HeaderParamsError};
use crate::fault::clip;
use crate::scan;

/// Takes the tools whose `x-mcp-header` annotations break the rules out of the result of a `tools/list`. Every other
/// byte stays: the other tools, their order, the cursor, the blanks. Returns the result; which tools were taken out
/// and why (a name cut at [`MAX_ECHO_BYTES`](crate::MAX_ECHO_BYTES), empty for a tool without one); and the parameters
/// of those that stay and have some. A tool that is in neither list mirrors nothing.
///
/// Without annotations it looks at the text once and copies nothing.
#[must_use]
#[allow(clippy::type_complexity, reason = "three lists that the caller takes apart at once")]
pub fn without_bad_tools(
    result: &RawJson,
) -> (RawJson, Vec<(String, HeaderParamsError)>, Vec<(String, HeaderParams)>) {
    let (mut bad, mut good) = (Vec::new(), Vec::new());
    let text = result.as_bytes();
    if !may_be_annotated(text) {
        return (result.clone(), bad, good);
    }
    let mut out = BytesMut::new();
    let mut copied = 0;
    // A result that is no object, and a list that is none, are not for this function to judge.
    let _ = scan::object(text, |key, span| {
        if !scan::key_is(key, "tools") {
            return;
        }
        let from = span.start;
        let Some(list) = text.get(span) else { return };
        let mut kept_one = false;
        let mut taken_one = false;
        let mut rest = 0;
        let mut kept = BytesMut::new();
        let _ = scan::array(list, |segment, element| {
            rest = segment.end;
            let (Some(bytes), Some(around)) = (list.get(element), list.get(segment)) else { return };
            match tool(bytes) {
                (name, Err(why)) => {
                    bad.push((name.map(|name| clip(&name)).unwrap_or_default(), why));
                    taken_one = true;
                }
                (name, Ok(params)) => {
                    if let Some(name) = name.filter(|_| !params.is_empty()) {
                        good.push((name, params));
                    }
                    if kept_one {
                        kept.extend_from_slice(b",");
                    }
                    kept.extend_from_slice(around);
                    kept_one = true;
                }
            }
        });
        if taken_one {
            // Up to the bracket, then what is kept, then from the other bracket on.
            out.extend_from_slice(text.get(copied..=from).unwrap_or_default());
            out.extend_from_slice(&kept);
            copied = from + rest;
        }
    });
    if copied == 0 {
        return (result.clone(), bad, good);
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    (RawJson::from_validated(out.freeze()), bad, good)
}

/// The name of a tool, and its parameters.
pub(super) fn tool(text: &[u8]) -> (Option<String>, Result<HeaderParams, HeaderParamsError>) {
    let (mut name, mut schema) = (None, None);
    let (mut names, mut schemas) = (0, 0);
    let _ = scan::object(text, |key, span| {
        if scan::key_is(key, "name") {
            name = text.get(span).and_then(|name| serde_json::from_slice::<String>(name).ok());
            names += 1;
        } else if scan::key_is(key, "inputSchema") {
            schema = text.get(span);
            schemas += 1;
        }
    });
    let params = match schema {
        // Another reader could find another name, or another schema.
        Some(_) if (names > 1 || schemas > 1) && may_be_annotated(text) => {
            Err(HeaderParamsError::Ambiguous { place: "the tool".to_owned() })
        }
        Some(schema) => schema::read(schema),
        None => Ok(HeaderParams::default()),
    };
    (name, params)
}
