//! The revisions that a server says it speaks.

use std::fmt;

use serde::Deserialize;

use crate::fault::clip;
use crate::revision::Revision;

/// The list of versions of a discover result or of −32022.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Versions {
    /// Of a discover result.
    pub(crate) supported_versions: Option<Listed>,
    /// Of the data of −32022.
    pub(crate) supported: Option<Listed>,
}

/// What a server listed: the revisions known here, and the first names of all for an error's text.
#[derive(Default)]
pub(crate) struct Listed {
    pub(crate) known: Vec<Revision>,
    pub(crate) shown: Vec<String>,
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> serde::de::Visitor<'de> for Names {
            type Value = Listed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of revisions")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Listed, A::Error> {
                let mut listed = Listed::default();
                while let Some(name) = seq.next_element::<String>()? {
                    if let Some(revision) = Revision::parse(&name)
                        && !listed.known.contains(&revision)
                    {
                        listed.known.push(revision);
                    }
                    if listed.shown.len() < MAX_SHOWN {
                        listed.shown.push(clip(&name));
                    }
                }
                Ok(listed)
            }
        }
        deserializer.deserialize_seq(Names)
    }
}

/// How many of a server's versions an error names.
pub(crate) const MAX_SHOWN: usize = 16;
