//! The arguments of a tool that its `inputSchema` wants in headers as well: `Mcp-Param-*`.

mod list;
mod schema;
mod value;

use http::{HeaderMap, HeaderName, HeaderValue};
use towpath_jsonrpc::{Member, Message, RawJson, code};

use super::head::Mirrored;
use super::mirror::{differs, mirrors_nothing, mismatch, missing, repeated, unreadable};
use super::value::{decode_header_value, encode_header_value};
use crate::fault::{Fault, clip};
use crate::scan;

pub use list::without_bad_tools;
pub use schema::{HeaderParamsError, MAX_HEADER_PARAM_NAME_BYTES, MAX_HEADER_PARAMS};
use value::{Mirror, safe_integer};

/// The arguments of one tool that are mirrored into `Mcp-Param-*` headers, as the `x-mcp-header` annotations of its
/// `inputSchema` ask for. A client writes the headers, a server compares them with the arguments: who routes by the
/// one must not be fooled by the other.
///
/// A value is read at the exact path of the annotated property. A string stands in the header as it is, or encoded
/// as [`encode_header_value`] does; an integer in decimal; a boolean as `true` or `false`. `null`
/// and no value mean no header. Nothing else can be mirrored: a fraction, an integer beyond ±(2^53−1), an
/// array, an object, a string that is not Unicode. A client leaves their headers out, and a server refuses them.
///
/// ```
/// use http::HeaderMap;
/// use towpath_jsonrpc::RawJson;
/// use towpath_mcp::HeaderParams;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let schema = RawJson::parse(
///     r#"{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}"#,
/// )?;
/// let params = HeaderParams::of_schema(&schema)?;
/// let arguments = RawJson::parse(r#"{"region":"us-west1","query":"SELECT 1"}"#)?;
///
/// let mut headers = HeaderMap::new();
/// params.write(Some(&arguments), &mut headers);
/// assert_eq!(headers["Mcp-Param-Region"], "us-west1");
/// assert!(params.check(&headers, Some(&arguments)).is_ok());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderParams {
    /// At most [`MAX_HEADER_PARAMS`], so that a set of them fits into a `u64`.
    params: Vec<HeaderParam>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HeaderParam {
    header: HeaderName,
    /// The header's name as the schema writes it.
    shown: String,
    /// The keys that lead to the value. Never empty.
    path: Vec<String>,
}

/// What stands at the path of a parameter.
#[derive(Clone, Copy, Debug)]
enum Found<'a> {
    Nothing,
    Value(&'a [u8]),
    /// A key on the way occurs twice.
    Ambiguous,
}

impl HeaderParams {
    /// Reads a tool's `inputSchema`.
    ///
    /// # Errors
    ///
    /// An annotation breaks one of the rules of the specification, or a limit; see [`HeaderParamsError`].
    pub fn of_schema(input_schema: &RawJson) -> Result<HeaderParams, HeaderParamsError> {
        schema::read(input_schema.as_bytes())
    }

    /// Reads a tool as it stands in `tools/list`: its name, and its parameters. A tool without an `inputSchema` has
    /// none.
    ///
    /// # Errors
    ///
    /// As [`of_schema`](Self::of_schema); [`HeaderParamsError::NoTool`] when it has no name.
    pub fn of_tool(tool: &RawJson) -> Result<(String, HeaderParams), HeaderParamsError> {
        let (name, params) = list::tool(tool.as_bytes());
        Ok((name.ok_or(HeaderParamsError::NoTool)?, params?))
    }

    /// Whether no argument is mirrored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.params.is_empty()
    }

    /// How many arguments are mirrored.
    #[must_use]
    pub fn len(&self) -> usize {
        self.params.len()
    }

    /// The names of the headers, in the order of the schema.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.params.iter().map(|param| &param.header)
    }

    /// Writes the headers of a call with these `arguments`; what was there under their names goes. A long argument makes
    /// a long header, which the server may refuse: there is no other way to call such a tool.
    pub fn write(&self, arguments: Option<&RawJson>, headers: &mut HeaderMap) {
        for (param, found) in self.params.iter().zip(self.find(arguments)) {
            let value = match found {
                Found::Nothing | Found::Ambiguous => None,
                Found::Value(text) => Mirror::read(text).and_then(|value| match value {
                    Mirror::Text(text) => Some(encode_header_value(&text)),
                    Mirror::Integer(integer) => Some(HeaderValue::from(integer)),
                    Mirror::Boolean(boolean) => Some(HeaderValue::from_static(spelled(boolean))),
                    Mirror::Impossible => None,
                }),
            };
            match value {
                Some(value) => headers.insert(param.header.clone(), value),
                None => headers.remove(&param.header),
            };
        }
    }

    /// Compares the headers of a call with its `arguments`, see [`tool_arguments`]. Strings and booleans must be the
    /// same, case included; integers are compared as numbers, so `42.0` is `42`. Headers that the schema does not name
    /// are not looked at.
    ///
    /// # Errors
    ///
    /// −32600 when a key on the way to a mirrored value occurs twice: readers would differ in which value counts.
    /// [`Fault::HeaderMismatch`], −32020 and status 400, when a header is missing, occurs twice, has nothing to
    /// mirror, says something else than the argument, or has characters or Base64 that no header may have; and when
    /// the argument is nothing that can be mirrored.
    pub fn check(&self, headers: &HeaderMap, arguments: Option<&RawJson>) -> Result<(), Fault> {
        let found = self.find(arguments);
        let mut pairs = self.params.iter().zip(&found);
        if let Some((param, _)) = pairs.find(|(_, found)| matches!(found, Found::Ambiguous)) {
            return Err(param.ambiguous());
        }
        self.params.iter().zip(found).try_for_each(|(param, found)| param.check(headers, found))
    }

    fn find<'a>(&self, arguments: Option<&'a RawJson>) -> Vec<Found<'a>> {
        let mut found = vec![Found::Nothing; self.params.len()];
        if let Some(arguments) = arguments.filter(|_| !self.is_empty()) {
            let all = u64::MAX >> (MAX_HEADER_PARAMS - self.params.len().min(MAX_HEADER_PARAMS));
            self.descend(arguments.as_bytes(), 0, all, &mut found);
        }
        found
    }

    /// Looks through one object for the keys at `depth` of the parameters in `wanted`. Every byte is looked at once a
    /// level of the longest path.
    fn descend<'a>(&self, text: &'a [u8], depth: usize, wanted: u64, found: &mut [Found<'a>]) {
        let mut seen = 0u64;
        // What is not an object has no value at the path.
        let _ = scan::object(text, |key, span| {
            let Some(key) = scan::decoded(key) else { return };
            let mut inner = 0u64;
            for (index, (param, found)) in self.params.iter().zip(found.iter_mut()).enumerate() {
                let bit = 1 << index;
                if wanted & bit == 0 || param.path.get(depth).is_none_or(|name| *name.as_bytes() != *key) {
                    continue;
                }
                if seen & bit != 0 {
                    *found = Found::Ambiguous;
                } else if depth + 1 < param.path.len() {
                    inner |= bit;
                } else if let Some(value) = text.get(span.clone()) {
                    *found = Found::Value(value);
                }
                seen |= bit;
            }
            if inner != 0 {
                self.descend(text.get(span).unwrap_or_default(), depth + 1, inner, found);
            }
        });
    }
}

impl HeaderParam {
    fn check(&self, headers: &HeaderMap, found: Found<'_>) -> Result<(), Fault> {
        let name = self.shown.as_str();
        let in_body = match found {
            Found::Ambiguous => return Err(self.ambiguous()),
            Found::Nothing => None,
            Found::Value(text) => Mirror::read(text),
        };
        match (Mirrored::read(headers, &self.header), in_body) {
            (Mirrored::Repeated, _) => Err(repeated(name)),
            (_, Some(Mirror::Impossible)) => {
                let detail = format!(
                    "`{}` is no string, boolean or integer within ±(2^53−1), so no {name} header can mirror it",
                    self.place()
                );
                Err(mismatch(name, detail))
            }
            (Mirrored::Absent, Some(_)) => Err(missing(name)),
            (Mirrored::Absent, None) => Ok(()),
            (Mirrored::One(value), in_body) => {
                let said = decode_header_value(&value).map_err(|invalid| unreadable(name, invalid))?;
                match in_body {
                    None | Some(Mirror::Impossible) => Err(mirrors_nothing(name)),
                    Some(Mirror::Text(text)) if text == said => Ok(()),
                    Some(Mirror::Text(text)) => Err(differs(name, &said, &text)),
                    Some(Mirror::Boolean(boolean)) if said == spelled(boolean) => Ok(()),
                    Some(Mirror::Boolean(boolean)) => Err(differs(name, &said, spelled(boolean))),
                    Some(Mirror::Integer(integer)) if safe_integer(&said) == Some(integer) => Ok(()),
                    Some(Mirror::Integer(integer)) => Err(differs(name, &said, &integer.to_string())),
                }
            }
        }
    }

    fn ambiguous(&self) -> Fault {
        let detail = format!(
            "a key on the way to `{}` in `params.arguments` occurs twice, and the {} header mirrors it",
            self.place(),
            self.shown
        );
        Fault::Malformed { code: code::INVALID_REQUEST, reason: DUPLICATE_KEY, detail }
    }

    fn place(&self) -> String {
        clip(&self.path.join("."))
    }
}

/// The arguments of a `tools/call`: `params.arguments`, `None` if there are none. To be asked about tools that have
/// [`HeaderParams`]; what no header mirrors may occur twice.
///
/// # Errors
///
/// −32600 when there are two: which of them a header mirrors, readers could not agree on.
pub fn tool_arguments(message: &Message) -> Result<Option<RawJson>, Fault> {
    let Some(params) = message.value(Member::Params) else { return Ok(None) };
    let (mut arguments, mut times) = (None, 0);
    // Parameters that are an array have none.
    let _ = scan::object(params.as_bytes(), |key, span| {
        if scan::key_is(key, "arguments") {
            arguments = Some(span);
            times += 1;
        }
    });
    if times > 1 {
        let detail = "`arguments` occurs twice in `params`".to_owned();
        return Err(Fault::Malformed { code: code::INVALID_REQUEST, reason: DUPLICATE_KEY, detail });
    }
    Ok(arguments.map(|span| RawJson::from_validated(params.into_bytes().slice(span))))
}

fn spelled(boolean: bool) -> &'static str {
    if boolean { "true" } else { "false" }
}

const DUPLICATE_KEY: &str = "duplicate_key";

#[cfg(test)]
mod tests;
