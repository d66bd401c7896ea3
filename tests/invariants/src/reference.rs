//! The envelope as `serde_json` reads it, with the rules in their slowest form.
#![allow(clippy::expect_used, reason = "to panic is how an invariant reports")]

use std::{collections::HashSet, fmt, ops::Range};

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use towpath_jsonrpc::{Id, Kind, Member};

/// What the keys of the protocol in `_meta` begin with.
pub const META_PREFIX: &str = "io.modelcontextprotocol/";

/// Each member, the object it is in, and its key.
pub const MEMBERS: [(Member, Option<Member>, &str); 25] = [
    (Member::Jsonrpc, None, "jsonrpc"),
    (Member::Id, None, "id"),
    (Member::Method, None, "method"),
    (Member::Params, None, "params"),
    (Member::Result, None, "result"),
    (Member::Error, None, "error"),
    (Member::Name, Some(Member::Params), "name"),
    (Member::Uri, Some(Member::Params), "uri"),
    (Member::RequestId, Some(Member::Params), "requestId"),
    (Member::ProgressToken, Some(Member::Params), "progressToken"),
    (Member::ProtocolVersion, Some(Member::Params), "protocolVersion"),
    (Member::Meta, Some(Member::Params), "_meta"),
    (Member::MetaProgressToken, Some(Member::Meta), "progressToken"),
    (Member::MetaProtocolVersion, Some(Member::Meta), "io.modelcontextprotocol/protocolVersion"),
    (Member::MetaClientInfo, Some(Member::Meta), "io.modelcontextprotocol/clientInfo"),
    (Member::MetaClientCapabilities, Some(Member::Meta), "io.modelcontextprotocol/clientCapabilities"),
    (Member::MetaLogLevel, Some(Member::Meta), "io.modelcontextprotocol/logLevel"),
    (Member::MetaSubscriptionId, Some(Member::Meta), "io.modelcontextprotocol/subscriptionId"),
    (Member::MetaTraceparent, Some(Member::Meta), "traceparent"),
    (Member::MetaTracestate, Some(Member::Meta), "tracestate"),
    (Member::MetaBaggage, Some(Member::Meta), "baggage"),
    (Member::ResultType, Some(Member::Result), "resultType"),
    (Member::ResultMeta, Some(Member::Result), "_meta"),
    (Member::ResultMetaSubscriptionId, Some(Member::ResultMeta), "io.modelcontextprotocol/subscriptionId"),
    (Member::ResultMetaServerInfo, Some(Member::ResultMeta), "io.modelcontextprotocol/serverInfo"),
];

/// An object as serde_json reads it: every member, in order, duplicates too.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// What serde_json makes of a text, and the rules in their slowest form.
pub(crate) struct Reference<'a> {
    text: &'a str,
    spans: Vec<(Member, &'a str)>,
}

impl<'a> Reference<'a> {
    /// `None`: the text is not a message.
    pub(crate) fn read(text: &'a str) -> Option<(Kind, Self)> {
        let mut reference = Self { text, spans: Vec::new() };
        reference.object(text, None)?;
        let first = |member| reference.value(member).map(|value| value.as_bytes()[0]);
        let version = reference.value(Member::Jsonrpc)?;
        if serde_json::from_str::<String>(version).ok()? != "2.0" {
            return None;
        }
        let kind = match (first(Member::Method), first(Member::Result), first(Member::Error)) {
            (Some(b'"'), None, None) if first(Member::Id).is_none() => Kind::Notification,
            (Some(b'"'), None, None) => Kind::Request,
            (None, Some(_), None) if first(Member::Id).is_some() => Kind::Result,
            (None, None, Some(b'{')) => Kind::Error,
            _ => return None,
        };
        match kind {
            Kind::Request | Kind::Notification => {
                if !matches!(first(Member::Params), None | Some(b'{' | b'[')) {
                    return None;
                }
            }
            Kind::Result | Kind::Error => {
                let params = [Some(Member::Params), Some(Member::Meta)];
                reference.spans.retain(|(member, _)| {
                    let (_, parent, _) = MEMBERS.iter().find(|known| known.0 == *member).expect("known");
                    *member != Member::Params && !params.contains(parent)
                });
            }
        }
        match reference.value(Member::Id) {
            Some("null") if kind == Kind::Error => {}
            Some(id) => drop(Id::parse_token(id.as_bytes()).ok()?),
            None => {}
        }
        Some((kind, reference))
    }

    fn object(&mut self, text: &'a str, place: Option<Member>) -> Option<()> {
        let pairs: Pairs<'a> = serde_json::from_str(text).ok()?;
        let mut seen = HashSet::new();
        for (key, value) in pairs.0 {
            let known = MEMBERS.iter().find(|(_, parent, name)| *parent == place && *name == key);
            let unique = match place {
                None | Some(Member::Meta) => true,
                Some(Member::Params) => known.is_some(),
                _ => false,
            };
            if !seen.insert(key) && unique {
                return None;
            }
            let Some(&(member, ..)) = known else { continue };
            self.spans.retain(|(other, _)| {
                let inside =
                    MEMBERS.iter().any(|(child, parent, _)| child == other && *parent == Some(member));
                *other != member && !inside
            });
            let value = value.get();
            self.spans.push((member, value));
            let inner = [Member::Params, Member::Meta, Member::Result, Member::ResultMeta].contains(&member);
            if inner && value.starts_with('{') {
                self.object(value, Some(member))?;
            }
        }
        Some(())
    }

    fn value(&self, member: Member) -> Option<&'a str> {
        self.spans.iter().find(|(other, _)| *other == member).map(|(_, value)| *value)
    }

    pub(crate) fn span(&self, member: Member) -> Option<Range<usize>> {
        let value = self.value(member)?;
        let start = value.as_ptr() as usize - self.text.as_ptr() as usize;
        Some(start..start + value.len())
    }
}
