//! What a client can do about the errors of a modern server.

use std::borrow::Cow;

use serde::Deserialize;
use towpath_jsonrpc::{ErrorObject, RawJson};

use crate::advertised::Versions;
use crate::code;
use crate::fault::clip;
use crate::http::header::PARAM_PREFIX;
use crate::request::is_object;
use crate::revision::{Era, Revision};

/// What a client can do about an error of a modern server, so that the same request may succeed. Each is worth one
/// more try and no more: the server's word is no proof.
///
/// ```
/// use towpath_jsonrpc::{ErrorObject, RawJson};
/// use towpath_mcp::{Recovery, Revision};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let data = RawJson::parse(r#"{"supported":["2025-11-25","2026-07-28"],"requested":"2099-01-01"}"#)?;
/// let error = ErrorObject::new(-32022, "unsupported protocol version").with_data(data);
/// let Some(Recovery::ChangeRevision(unsupported)) = Recovery::of(&error) else { panic!() };
/// assert_eq!(unsupported.choose(&Revision::ALL), Some(Revision::V2026_07_28));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovery {
    /// −32020: a header and the body disagree. If it may be an `Mcp-Param-*` header, the tool's schema changed since it
    /// was listed: ask for `tools/list` again, then call with the headers that the new schema asks for.
    RefetchTools {
        /// The header, if the server's `data` names it, cut at [`MAX_ECHO_BYTES`](crate::MAX_ECHO_BYTES).
        header: Option<String>,
    },
    /// −32020 because of another header, which the schema of no tool changes: the same headers will fail again.
    RepairHeader {
        /// The header, as above.
        header: String,
    },
    /// −32022: the server does not speak the revision of the request.
    ChangeRevision(Unsupported),
    /// −32021: the server needs capabilities that the client did not declare. A client that has them may declare them
    /// and ask again.
    DeclareCapabilities {
        /// The capabilities, a JSON object like the one that declares them, if the server names them.
        required: Option<RawJson>,
    },
}

/// The data of −32022: what the server speaks instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsupported {
    /// The revisions that this crate knows, in the server's order.
    pub supported: Vec<Revision>,
    /// The first 16 names of all, known or not, for people.
    pub named: Vec<String>,
}

impl Recovery {
    /// Reads an error. `None` for any other code. Data that is missing or malformed is no data: the code alone says
    /// what to do.
    #[must_use]
    pub fn of(error: &ErrorObject) -> Option<Recovery> {
        match error.code {
            code::HEADER_MISMATCH => Some(header_mismatch(error)),
            code::UNSUPPORTED_VERSION => Some(Recovery::ChangeRevision(Unsupported::read(error))),
            code::MISSING_CAPABILITY => {
                #[derive(Deserialize)]
                #[serde(rename_all = "camelCase")]
                struct Data {
                    required_capabilities: Option<RawJson>,
                }
                let required = data::<Data>(error).and_then(|data| data.required_capabilities);
                let required = required.filter(|required| is_object(required.as_bytes()));
                Some(Recovery::DeclareCapabilities { required })
            }
            _ => None,
        }
    }
}

impl Unsupported {
    /// The newest revision that both speak, modern ones first. `None` if there is none: then no request can succeed.
    #[must_use]
    pub fn choose(&self, spoken: &[Revision]) -> Option<Revision> {
        let both: Vec<Revision> =
            spoken.iter().copied().filter(|revision| self.supported.contains(revision)).collect();
        Revision::latest_in(Era::Modern, &both).or_else(|| Revision::latest_in(Era::Legacy, &both))
    }

    fn read(error: &ErrorObject) -> Unsupported {
        let listed = data::<Versions>(error).and_then(|versions| versions.supported).unwrap_or_default();
        Unsupported { supported: listed.known, named: listed.shown }
    }
}

fn header_mismatch(error: &ErrorObject) -> Recovery {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        header: Option<Cow<'a, str>>,
    }
    let header = data::<Data<'_>>(error).and_then(|data| data.header).map(|header| clip(&header));
    let is_param = |header: &str| {
        header.get(..PARAM_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PARAM_PREFIX))
    };
    match header {
        Some(header) if !is_param(&header) => Recovery::RepairHeader { header },
        header => Recovery::RefetchTools { header },
    }
}

fn data<'a, T: Deserialize<'a>>(error: &'a ErrorObject) -> Option<T> {
    error.data.as_ref().and_then(|data| data.deserialize().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::raw;
    use crate::{Fault, MAX_ECHO_BYTES, wire_reply};

    fn error(code: i64, data: &str) -> ErrorObject {
        let error = ErrorObject::new(code, "Header mismatch: Mcp-Param-Region");
        if data.is_empty() { error } else { error.with_data(raw(data)) }
    }

    fn refetch(header: Option<&str>) -> Option<Recovery> {
        Some(Recovery::RefetchTools { header: header.map(str::to_owned) })
    }

    fn declare(required: Option<&str>) -> Option<Recovery> {
        Some(Recovery::DeclareCapabilities { required: required.map(raw) })
    }

    #[test]
    fn an_error_says_what_may_help() {
        let repair = |header: &str| Some(Recovery::RepairHeader { header: header.to_owned() });
        let sampling = r#"{"sampling":{"x":9223372036854775808}}"#;
        let table = [
            (-32020, "", refetch(None)),
            (-32020, "null", refetch(None)),
            (-32020, "[1]", refetch(None)),
            (-32020, r#"{"header":7}"#, refetch(None)),
            (-32020, r#"{"header":null}"#, refetch(None)),
            (-32020, r#"{"header":"mcp-PARAM-Region"}"#, refetch(Some("mcp-PARAM-Region"))),
            (-32020, r#"{"header":"Mcp\u002dParam-A"}"#, refetch(Some("Mcp-Param-A"))),
            (-32020, r#"{"header":"Mcp-Name"}"#, repair("Mcp-Name")),
            (-32020, r#"{"header":"Mcp-Para"}"#, repair("Mcp-Para")),
            (-32021, "", declare(None)),
            (-32021, r#"{"requiredCapabilities":["sampling"]}"#, declare(None)),
            (-32021, &format!(r#"{{"requiredCapabilities": {sampling} }}"#), declare(Some(sampling))),
            (-32602, r#"{"header":"Mcp-Name","supported":["2026-07-28"]}"#, None),
            (-32000, "", None),
        ];
        for (code, data, expected) in table {
            assert_eq!(Recovery::of(&error(code, data)), expected, "{code} {data}");
        }
    }

    #[test]
    fn a_revision_that_both_speak_is_chosen_a_modern_one_first() {
        use Revision as R;
        let newest = Some(R::V2026_07_28);
        let only_legacy: &[R] = &[R::V2025_06_18, R::V2025_11_25];
        let table: [(&str, &[R], Option<R>, usize); 8] = [
            (r#"{"supported":["2026-07-28"],"requested":"x"}"#, &R::ALL, newest, 1),
            (r#"{"supported":["2025-11-25","2026-07-28","2099-01-01"]}"#, &R::ALL, newest, 3),
            (r#"{"supported":["2025-06-18","2025-11-25"]}"#, &R::ALL, Some(R::V2025_11_25), 2),
            (r#"{"supported":["2026-07-28","2025-06-18"]}"#, only_legacy, Some(R::V2025_06_18), 2),
            (r#"{"supported":["2026-07-28"]}"#, only_legacy, None, 1),
            (r#"{"supported":["2099-01-01"]}"#, &R::ALL, None, 1),
            (r#"{"supported":"2026-07-28"}"#, &R::ALL, None, 0),
            ("", &R::ALL, None, 0),
        ];
        for (data, spoken, chosen, named) in table {
            let Some(Recovery::ChangeRevision(unsupported)) = Recovery::of(&error(-32022, data)) else {
                panic!("{data}")
            };
            assert_eq!((unsupported.choose(spoken), unsupported.named.len()), (chosen, named), "{data}");
        }
    }

    #[test]
    fn what_a_server_here_says_is_what_a_client_here_reads() {
        let rules = Revision::LATEST.rules();
        let read = |fault: Fault| Recovery::of(&wire_reply(&fault, rules).into_error());
        let mismatch = |header: &str| Fault::HeaderMismatch { header: header.into(), detail: "d".into() };
        assert_eq!(read(mismatch("Mcp-Param-Region")), refetch(Some("Mcp-Param-Region")));
        assert!(matches!(read(mismatch("Mcp-Method")), Some(Recovery::RepairHeader { .. })));
        let required = raw(r#"{"roots":{}}"#);
        assert_eq!(read(Fault::MissingCapability { required }), declare(Some(r#"{"roots":{}}"#)));
        let unsupported = Fault::unsupported_version("1900-01-01", &[Revision::V2026_07_28]);
        let Some(Recovery::ChangeRevision(unsupported)) = read(unsupported) else { panic!() };
        assert_eq!(unsupported.supported, [Revision::V2026_07_28]);
    }

    #[test]
    fn of_a_long_answer_only_a_part_is_kept() {
        let long = format!(r#"{{"header":"{}"}}"#, "h".repeat(1 << 20));
        let Some(Recovery::RepairHeader { header }) = Recovery::of(&error(-32020, &long)) else { panic!() };
        assert!(header.len() <= MAX_ECHO_BYTES + '…'.len_utf8());
        let many = format!(r#"{{"supported":[{}]}}"#, vec![r#""2026-07-28""#; 1000].join(","));
        let Some(Recovery::ChangeRevision(kept)) = Recovery::of(&error(-32022, &many)) else { panic!() };
        assert_eq!((kept.supported.len(), kept.named.len()), (1, 16));
    }
}
