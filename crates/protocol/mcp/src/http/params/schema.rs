//! Where the `x-mcp-header` annotations of a schema are, and whether they may be there.

use std::collections::HashSet;
use std::fmt;

use http::HeaderName;
use memchr::memmem;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{HeaderParam, HeaderParams};
use crate::fault::clip;
use crate::http::header::PARAM_PREFIX;

/// Why the annotations of a tool cannot be followed. A client has to leave the tool out of what `tools/list` returns.
///
/// Text of the server is cut at [`MAX_ECHO_BYTES`](crate::MAX_ECHO_BYTES).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderParamsError {
    /// Not a string.
    #[error("the `x-mcp-header` of `{place}` is not a string")]
    NotText {
        /// The path of the property.
        place: String,
    },
    /// No name at all.
    #[error("the `x-mcp-header` of `{place}` is empty")]
    Empty {
        /// The path of the property.
        place: String,
    },
    /// A character that no name of a header may have.
    #[error("the `x-mcp-header` of `{place}`, {name:?}, is no token, as the name of a header must be")]
    NotToken {
        /// The path of the property.
        place: String,
        /// What it is called.
        name: String,
    },
    /// A name longer than [`MAX_HEADER_PARAM_NAME_BYTES`], which no setting changes.
    #[error("the `x-mcp-header` of `{place}` has {len} bytes, the most is {MAX_HEADER_PARAM_NAME_BYTES}")]
    TooLong {
        /// The path of the property.
        place: String,
        /// Its length.
        len: usize,
    },
    /// Two properties with one header; case does not count.
    #[error("`x-mcp-header` {name:?} is on more than one property; case does not count")]
    Repeated {
        /// The second of them.
        name: String,
    },
    /// On something that is no string, integer or boolean.
    #[error("`{place}` has an `x-mcp-header` but is not of type string, integer or boolean")]
    NotPrimitive {
        /// The path of the property.
        place: String,
    },
    /// Not on a property that a chain of nothing but `properties` leads to.
    #[error("an `x-mcp-header` at `{place}`, where no chain of nothing but `properties` leads")]
    NotReachable {
        /// Where the way left the properties.
        place: String,
    },
    /// A key occurs twice, so that readers would differ in what is annotated.
    #[error("a key occurs twice in `{place}`, so readers differ in which `x-mcp-header` counts")]
    Ambiguous {
        /// Where.
        place: String,
    },
    /// More than [`MAX_HEADER_PARAMS`], which no setting changes.
    #[error("more than {MAX_HEADER_PARAMS} properties have an `x-mcp-header`")]
    TooMany,
    /// More than 127 levels deep, or keys that are not Unicode.
    #[error("the schema cannot be read: it is nested too deeply, or has a key that is not Unicode")]
    Unreadable,
    /// No tool: it has no name.
    #[error("the tool has no name")]
    NoTool,
}

/// The most arguments of one tool that are mirrored. A tool with more is left out: each is a header of every call.
pub const MAX_HEADER_PARAMS: usize = 64;
/// The longest `x-mcp-header`, in bytes. A tool with a longer one is left out.
pub const MAX_HEADER_PARAM_NAME_BYTES: usize = 128;

/// Whether a text can have an annotation in it: as it is usually written, or with an escape in the key.
pub(super) fn may_be_annotated(text: &[u8]) -> bool {
    memmem::find(text, ANNOTATION.as_bytes()).is_some() || memmem::find(text, b"\\u").is_some()
}

/// Reads a schema, in time that grows with its length.
pub(super) fn read(text: &[u8]) -> Result<HeaderParams, HeaderParamsError> {
    if !may_be_annotated(text) {
        return Ok(HeaderParams::default());
    }
    let mut walk = Walk::default();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let root = Part { walk: &mut walk, reach: Reach::Root, kind: PartKind::Schema };
    let walked = root.deserialize(&mut deserializer);
    match (walk.error, walked) {
        (Some(error), _) => Err(error),
        (None, Err(_)) => Err(HeaderParamsError::Unreadable),
        (None, Ok(())) => Ok(HeaderParams { params: walk.params }),
    }
}

/// What was found so far, and where we are.
#[derive(Default)]
struct Walk {
    params: Vec<HeaderParam>,
    path: Vec<String>,
    error: Option<HeaderParamsError>,
}

/// How a schema is reached.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    Root,
    /// By `properties` alone.
    Property,
    /// In any other way: nothing may be annotated there.
    Elsewhere,
}

/// What a key of a schema means.
enum Keyword {
    Annotation,
    Type,
    Properties,
    /// Its members are named by the author, not by JSON Schema.
    Names(String),
    /// Its value is data, not a schema, and need not even be readable: a number may be beyond all floats.
    Data,
    /// A schema, or several, or a keyword that is not known and may be referred to as if it were one.
    Other(String),
}

impl Walk {
    fn place(&self) -> String {
        if self.path.is_empty() { "inputSchema".to_owned() } else { clip(&self.path.join(".")) }
    }

    /// Keeps the error, and gives the one that ends the walk.
    fn fail<E: serde::de::Error>(&mut self, error: HeaderParamsError) -> E {
        self.error = Some(error);
        E::custom("an annotation breaks a rule")
    }

    fn ambiguous<E: serde::de::Error>(&mut self) -> E {
        let place = self.place();
        self.fail(HeaderParamsError::Ambiguous { place })
    }

    /// Goes where no annotation may be. Once off the chain, where exactly does not matter.
    fn leave<E>(
        &mut self,
        reach: Reach,
        keyword: String,
        inside: impl FnOnce(&mut Walk) -> Result<(), E>,
    ) -> Result<(), E> {
        if reach == Reach::Elsewhere {
            return inside(self);
        }
        self.path.push(keyword);
        inside(self)?;
        self.path.pop();
        Ok(())
    }

    fn annotate(&mut self, annotation: &RawValue, kind: Option<&RawValue>) -> Result<(), HeaderParamsError> {
        let place = self.place();
        let Ok(name) = serde_json::from_str::<String>(annotation.get()) else {
            return Err(HeaderParamsError::NotText { place });
        };
        if name.is_empty() {
            return Err(HeaderParamsError::Empty { place });
        }
        if name.len() > MAX_HEADER_PARAM_NAME_BYTES {
            return Err(HeaderParamsError::TooLong { place, len: name.len() });
        }
        // A name of a header is a token, of the characters that RFC 9110 lists, and nothing else.
        let Ok(header) = HeaderName::from_bytes(format!("{PARAM_PREFIX}{name}").as_bytes()) else {
            return Err(HeaderParamsError::NotToken { place, name });
        };
        if !kind.is_some_and(is_primitive) {
            return Err(HeaderParamsError::NotPrimitive { place });
        }
        // `http` compares names without regard to case.
        if self.params.iter().any(|param| param.header == header) {
            return Err(HeaderParamsError::Repeated { name });
        }
        if self.params.len() >= MAX_HEADER_PARAMS {
            return Err(HeaderParamsError::TooMany);
        }
        self.params.push(HeaderParam { header, shown: format!("Mcp-Param-{name}"), path: self.path.clone() });
        Ok(())
    }
}

/// A `type` of one primitive, which may be nullable: an argument that is `null` has no header.
fn is_primitive(kind: &RawValue) -> bool {
    let is_primitive = |name: &str| matches!(name, "string" | "integer" | "boolean");
    if let Ok(name) = serde_json::from_str::<String>(kind.get()) {
        return is_primitive(&name);
    }
    match serde_json::from_str::<[String; 2]>(kind.get()) {
        Ok([one, other]) => {
            (is_primitive(&one) && other == "null") || (one == "null" && is_primitive(&other))
        }
        Err(_) => serde_json::from_str::<[String; 1]>(kind.get()).is_ok_and(|[name]| is_primitive(&name)),
    }
}

/// A part of a schema that is walked through.
struct Part<'w> {
    walk: &'w mut Walk,
    reach: Reach,
    kind: PartKind,
}

#[derive(Clone, Copy)]
enum PartKind {
    Schema,
    /// An object whose members are schemas, under names of the author.
    Names,
}

impl Part<'_> {
    fn schema<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Part { walk, reach, .. } = self;
        let before = walk.params.len();
        let (mut annotation, mut kind) = (None::<&RawValue>, None::<&RawValue>);
        let (mut kinds, mut chains) = (0, 0);
        let inner = if reach == Reach::Elsewhere { Reach::Elsewhere } else { Reach::Property };
        while let Some(keyword) = map.next_key_seed(KeywordSeed)? {
            match keyword {
                Keyword::Annotation if reach != Reach::Property => {
                    let place = walk.place();
                    return Err(walk.fail(HeaderParamsError::NotReachable { place }));
                }
                Keyword::Annotation if annotation.is_some() => return Err(walk.ambiguous()),
                Keyword::Annotation => annotation = Some(map.next_value()?),
                Keyword::Type => {
                    kind = Some(map.next_value()?);
                    kinds += 1;
                }
                Keyword::Properties => {
                    map.next_value_seed(Part { walk: &mut *walk, reach: inner, kind: PartKind::Names })?;
                    chains += 1;
                }
                Keyword::Data => {
                    map.next_value::<IgnoredAny>()?;
                }
                Keyword::Names(name) => walk.leave(reach, name, |walk| {
                    map.next_value_seed(Part { walk, reach: Reach::Elsewhere, kind: PartKind::Names })
                })?,
                Keyword::Other(name) => walk.leave(reach, name, |walk| {
                    map.next_value_seed(Part { walk, reach: Reach::Elsewhere, kind: PartKind::Schema })
                })?,
            }
        }
        if chains > 1 && walk.params.len() > before {
            return Err(walk.ambiguous());
        }
        if let Some(annotation) = annotation {
            if kinds > 1 {
                return Err(walk.ambiguous());
            }
            walk.annotate(annotation, kind).map_err(|error| walk.fail(error))?;
        }
        Ok(())
    }

    fn names<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Part { walk, reach, .. } = self;
        let before = walk.params.len();
        let mut seen = HashSet::new();
        let mut repeats = false;
        while let Some(name) = map.next_key::<String>()? {
            if reach == Reach::Elsewhere {
                map.next_value_seed(Part { walk: &mut *walk, reach, kind: PartKind::Schema })?;
                continue;
            }
            repeats |= !seen.insert(name.clone());
            walk.path.push(name);
            map.next_value_seed(Part { walk: &mut *walk, reach, kind: PartKind::Schema })?;
            walk.path.pop();
        }
        if repeats && walk.params.len() > before {
            return Err(walk.ambiguous());
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a schema")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.kind {
            PartKind::Schema => self.schema(map),
            PartKind::Names => self.names(map),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Part { walk, .. } = self;
        loop {
            let part = Part { walk: &mut *walk, reach: Reach::Elsewhere, kind: PartKind::Schema };
            if seq.next_element_seed(part)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

struct KeywordSeed;

impl<'de> DeserializeSeed<'de> for KeywordSeed {
    type Value = Keyword;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Keyword, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeywordSeed {
    type Value = Keyword;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a keyword")
    }

    fn visit_str<E>(self, keyword: &str) -> Result<Keyword, E> {
        Ok(match keyword {
            ANNOTATION => Keyword::Annotation,
            "type" => Keyword::Type,
            "properties" => Keyword::Properties,
            "patternProperties" | "$defs" | "definitions" | "dependentSchemas" | "dependencies"
            | "dependentRequired" | "$vocabulary" => Keyword::Names(keyword.to_owned()),
            "const" | "enum" | "default" | "examples" | "title" | "description" | "$comment" | "pattern"
            | "format" | "maximum" | "minimum" | "exclusiveMaximum" | "exclusiveMinimum" | "multipleOf" => {
                Keyword::Data
            }
            other => Keyword::Other(other.to_owned()),
        })
    }
}

const ANNOTATION: &str = "x-mcp-header";
