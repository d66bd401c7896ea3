//! What a subscription is about.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use bytes::BytesMut;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use towpath_jsonrpc::RawJson;

use crate::encode::write_string;
use crate::fault::Fault;
use crate::limits::SubscriptionLimits;

/// The notifications that a client asks for, or that a server honours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `notifications/tools/list_changed`.
    pub tools: bool,
    /// `notifications/prompts/list_changed`.
    pub prompts: bool,
    /// `notifications/resources/list_changed`.
    pub resources: bool,
    /// `notifications/resources/updated` for these URIs.
    pub uris: BTreeSet<Box<str>>,
}

impl Filter {
    /// Reads the filter of a `subscriptions/listen` request, or of its acknowledgement, from the `params`.
    ///
    /// # Errors
    ///
    /// −32602 for a missing filter or a member of the wrong type, −32600 past a limit, which is noticed before
    /// the URI is copied.
    pub fn parse(params: Option<&RawJson>, limits: &SubscriptionLimits) -> Result<Filter, Fault> {
        let mut over = None;
        let seed = ParamsSeed { limits, over: &mut over };
        let text = params.map_or(&b"{}"[..], |params| params.as_bytes());
        let parsed = seed.deserialize(&mut serde_json::Deserializer::from_slice(text));
        match (parsed, over) {
            (_, Some(fault)) => Err(fault),
            (Ok(Some(filter)), None) => Ok(filter),
            (Ok(None) | Err(_), None) => {
                Err(Fault::InvalidParams { member: "notifications", expected: "a subscription filter" })
            }
        }
    }

    /// Appends the filter's JSON text; what is not asked for is left out.
    pub fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(b"{");
        let mut first = true;
        for (key, asked) in self.kinds() {
            if asked {
                separate(out, &mut first);
                write_string(out, key);
                out.extend_from_slice(b":true");
            }
        }
        if !self.uris.is_empty() {
            separate(out, &mut first);
            write_string(out, RESOURCE_SUBSCRIPTIONS);
            out.extend_from_slice(b":[");
            let mut first = true;
            for uri in &self.uris {
                separate(out, &mut first);
                write_string(out, uri);
            }
            out.extend_from_slice(b"]");
        }
        out.extend_from_slice(b"}");
    }

    /// What is in both: what was asked for and is offered.
    #[must_use]
    pub fn intersect(&self, other: &Filter) -> Filter {
        Filter {
            tools: self.tools && other.tools,
            prompts: self.prompts && other.prompts,
            resources: self.resources && other.resources,
            uris: self.uris.intersection(&other.uris).cloned().collect(),
        }
    }

    /// What is in this one and not in the other: `asked.without(&acknowledged)` is what the server does not do.
    #[must_use]
    pub fn without(&self, other: &Filter) -> Filter {
        Filter {
            tools: self.tools && !other.tools,
            prompts: self.prompts && !other.prompts,
            resources: self.resources && !other.resources,
            uris: self.uris.difference(&other.uris).cloned().collect(),
        }
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.tools && !self.prompts && !self.resources && self.uris.is_empty()
    }

    fn kinds(&self) -> [(&'static str, bool); 3] {
        [(TOOLS, self.tools), (PROMPTS, self.prompts), (RESOURCES, self.resources)]
    }
}

/// How an acknowledgement compares with what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Asked for, and not honoured: notifications of these will not come.
    pub missing: Filter,
    /// Honoured, and never asked for: the server broke the protocol.
    pub unasked: Filter,
}

impl Acknowledged {
    /// Compares.
    #[must_use]
    pub fn check(asked: &Filter, acknowledged: &Filter) -> Acknowledged {
        Acknowledged { missing: asked.without(acknowledged), unasked: acknowledged.without(asked) }
    }

    /// Whether the server honours exactly what was asked for.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unasked.is_empty()
    }
}

fn separate(out: &mut BytesMut, first: &mut bool) {
    if !std::mem::take(first) {
        out.extend_from_slice(b",");
    }
}

struct ParamsSeed<'a> {
    limits: &'a SubscriptionLimits,
    over: &'a mut Option<Fault>,
}

impl<'de> DeserializeSeed<'de> for ParamsSeed<'_> {
    type Value = Option<Filter>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ParamsSeed<'_> {
    type Value = Option<Filter>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("params with a filter")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut filter = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == "notifications" {
                if filter.is_some() {
                    return Err(serde::de::Error::duplicate_field("notifications"));
                }
                filter = Some(map.next_value_seed(FilterSeed { limits: self.limits, over: self.over })?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(filter)
    }
}

struct FilterSeed<'a> {
    limits: &'a SubscriptionLimits,
    over: &'a mut Option<Fault>,
}

impl<'de> DeserializeSeed<'de> for FilterSeed<'_> {
    type Value = Filter;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FilterSeed<'_> {
    type Value = Filter;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a subscription filter")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut filter = Filter::default();
        let mut seen = [false; 4];
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let place = match key.as_ref() {
                TOOLS => 0,
                PROMPTS => 1,
                RESOURCES => 2,
                RESOURCE_SUBSCRIPTIONS => 3,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            // A gateway may read the one and a server the other.
            if seen.get_mut(place).is_some_and(|seen| std::mem::replace(seen, true)) {
                return Err(serde::de::Error::custom("a member of the filter occurs twice"));
            }
            match place {
                0 => filter.tools = map.next_value()?,
                1 => filter.prompts = map.next_value()?,
                2 => filter.resources = map.next_value()?,
                _ => {
                    let uris = UrisSeed { limits: self.limits, over: &mut *self.over };
                    filter.uris = map.next_value_seed(uris)?;
                }
            }
        }
        Ok(filter)
    }
}

struct UrisSeed<'a> {
    limits: &'a SubscriptionLimits,
    over: &'a mut Option<Fault>,
}

impl<'de> DeserializeSeed<'de> for UrisSeed<'_> {
    type Value = BTreeSet<Box<str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for UrisSeed<'_> {
    type Value = BTreeSet<Box<str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of resource URIs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut uris = BTreeSet::new();
        while let Some(Uri(uri)) = seq.next_element::<Uri<'de>>()? {
            let fault = if uri.len() > self.limits.max_uri_bytes {
                Fault::TooLarge {
                    what: "a resource URI",
                    limit_bytes: self.limits.max_uri_bytes,
                    setting: "SubscriptionLimits::max_uri_bytes",
                }
            } else if uris.len() >= self.limits.max_uris && !uris.contains(uri.as_ref()) {
                Fault::LimitReached {
                    what: "resource URIs in a subscription",
                    limit: self.limits.max_uris,
                    setting: "SubscriptionLimits::max_uris",
                }
            } else {
                uris.insert(Box::from(uri.as_ref()));
                continue;
            };
            *self.over = Some(fault);
            return Err(serde::de::Error::custom("past a limit"));
        }
        Ok(uris)
    }
}

/// Borrowed unless it has escapes.
#[derive(Deserialize)]
struct Uri<'a>(#[serde(borrow)] Cow<'a, str>);

const TOOLS: &str = "toolsListChanged";
const PROMPTS: &str = "promptsListChanged";
const RESOURCES: &str = "resourcesListChanged";
const RESOURCE_SUBSCRIPTIONS: &str = "resourceSubscriptions";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::raw;

    fn parse(filter: &str, limits: &SubscriptionLimits) -> Result<Filter, Fault> {
        Filter::parse(Some(&raw(&format!("{{\"x\":[],\"notifications\":{filter}}}"))), limits)
    }

    fn filter(flags: [bool; 3], uris: &[&str]) -> Filter {
        let [tools, prompts, resources] = flags;
        Filter { tools, prompts, resources, uris: uris.iter().map(|uri| Box::from(*uri)).collect() }
    }

    #[test]
    fn a_filter_is_read_and_anything_else_is_refused() {
        let limits = SubscriptionLimits::default();
        let table = [
            ("{}", Some(filter([false; 3], &[]))),
            (r#"{"toolsListChanged":true,"later":{}}"#, Some(filter([true, false, false], &[]))),
            (
                r#"{"promptsListChanged":true,"resourcesListChanged":true,"toolsListChanged":false}"#,
                Some(filter([false, true, true], &[])),
            ),
            (r#"{"resourceSubscriptions":["b","\u0061","b"]}"#, Some(filter([false; 3], &["a", "b"]))),
            (r#"{"toolsListChanged":1}"#, None),
            (r#"{"resourceSubscriptions":"a"}"#, None),
            (r#"{"resourceSubscriptions":[1]}"#, None),
            (r#"{"toolsListChanged":true,"toolsListChanged":false}"#, None),
            (r#"{},"notifications":{}"#, None),
            ("[]", None),
            ("null", None),
        ];
        let refused = Fault::InvalidParams { member: "notifications", expected: "a subscription filter" };
        for (text, expected) in table {
            assert_eq!(parse(text, &limits), expected.ok_or_else(|| refused.clone()), "{text}");
        }
        assert_eq!(Filter::parse(None, &limits), Err(refused));
    }

    #[test]
    fn max_uris_bounds_the_uris_that_differ() {
        let limits = SubscriptionLimits { max_uris: 2, ..SubscriptionLimits::default() };
        assert!(parse(r#"{"resourceSubscriptions":["a","b","a"]}"#, &limits).is_ok());
        let over = parse(r#"{"resourceSubscriptions":["a","b","c"]}"#, &limits);
        let setting = "SubscriptionLimits::max_uris";
        let what = "resource URIs in a subscription";
        assert_eq!(over, Err(Fault::LimitReached { what, limit: 2, setting }));
    }

    #[test]
    fn max_uri_bytes_bounds_each_uri() {
        let limits = SubscriptionLimits { max_uri_bytes: 3, ..SubscriptionLimits::default() };
        assert!(parse(r#"{"resourceSubscriptions":["abc"]}"#, &limits).is_ok());
        let over = parse(r#"{"resourceSubscriptions":["abcd"]}"#, &limits);
        let setting = "SubscriptionLimits::max_uri_bytes";
        assert_eq!(over, Err(Fault::TooLarge { what: "a resource URI", limit_bytes: 3, setting }));
    }

    #[test]
    fn the_client_learns_what_the_server_left_out_or_made_up() {
        let asked = filter([true, true, false], &["a", "b"]);
        let offered = filter([true, false, true], &["b", "c"]);
        let honoured = asked.intersect(&offered);
        assert_eq!(honoured, filter([true, false, false], &["b"]));
        let check = Acknowledged::check(&asked, &honoured);
        assert_eq!(check.missing, filter([false, true, false], &["a"]));
        assert!(check.unasked.is_empty() && !check.is_complete());
        let check = Acknowledged::check(&asked, &offered);
        assert_eq!(check.unasked, filter([false, false, true], &["c"]));
        assert!(Acknowledged::check(&asked, &asked).is_complete());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            flags in any::<[bool; 3]>(), uris in proptest::collection::vec("[a-z\"\\\\\u{e9}\n]{0,6}", 0..5),
        ) {
            let uris: Vec<&str> = uris.iter().map(String::as_str).collect();
            let filter = filter(flags, &uris);
            let mut out = BytesMut::new();
            filter.write(&mut out);
            let text = String::from_utf8(out.to_vec()).unwrap();
            prop_assert_eq!(parse(&text, &SubscriptionLimits::default()), Ok(filter));
        }
    }
}
