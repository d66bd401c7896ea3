//! The name card of a peer.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use towpath_jsonrpc::RawJson;

/// Who a client or a server says it is. Self-reported: to display and to log, never to decide by.
///
/// Members that this type does not name (`icons`, `description`, later ones) are kept as they came.
#[derive(Clone, Debug, PartialEq)]
pub struct Implementation {
    /// The name for programs.
    pub name: String,
    /// The version of the software.
    pub version: String,
    /// The name for people.
    pub title: Option<String>,
    /// Every other member, untouched.
    pub other: BTreeMap<String, RawJson>,
}

impl Implementation {
    /// A name card with the two members that are required.
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Implementation {
        Implementation { name: name.into(), version: version.into(), title: None, other: BTreeMap::new() }
    }

    /// Adds the name for people.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Implementation {
        self.title = Some(title.into());
        self
    }

    /// The JSON text that goes into requests and results.
    ///
    /// # Errors
    ///
    /// Only when a member of `other` was declared valid JSON and is not.
    pub fn to_raw(&self) -> Result<RawJson, serde_json::Error> {
        RawJson::serialize(self)
    }
}

impl Serialize for Implementation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("version", &self.version)?;
        if let Some(title) = &self.title {
            map.serialize_entry("title", title)?;
        }
        for (key, value) in &self.other {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

// By hand: raw values do not survive the buffering of `#[serde(flatten)]`.
impl<'de> Deserialize<'de> for Implementation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut other = BTreeMap::<String, RawJson>::deserialize(deserializer)?;
        let mut string = |key: &str| {
            other.remove(key).map(|raw| raw.deserialize::<String>()).transpose().map_err(D::Error::custom)
        };
        let name = string("name")?.ok_or_else(|| D::Error::missing_field("name"))?;
        let version = string("version")?.ok_or_else(|| D::Error::missing_field("version"))?;
        let title = string("title")?;
        Ok(Implementation { name, version, title, other })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_of_a_name_card_are_kept_as_they_came() {
        let text = r#"{"name":"a","version":"1","title":"A","big":9223372036854775808,"icons":[{"src":"x"}],"n":1.50}"#;
        let card: Implementation = serde_json::from_str(text).unwrap();
        assert_eq!(card.name, "a");
        assert_eq!(card.title.as_deref(), Some("A"));
        let again = card.to_raw().unwrap();
        for kept in [r#""big":9223372036854775808"#, r#""icons":[{"src":"x"}]"#, r#""n":1.50"#] {
            assert!(again.as_str().contains(kept), "{kept} is gone from {again}");
        }
        assert_eq!(Implementation::new("a", "1").to_raw().unwrap().as_str(), r#"{"name":"a","version":"1"}"#);
    }
}
