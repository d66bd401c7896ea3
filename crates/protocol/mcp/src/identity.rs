//! What a server says about itself, in both eras.

use bytes::BytesMut;
use towpath_jsonrpc::RawJson;

use crate::encode::{self, CacheHint};
use crate::revision::{Era, Revision};
use crate::scan;

/// What a server says about itself.
#[derive(Clone, Debug)]
pub struct ServerIdentity {
    /// Its name card, see [`Implementation::to_raw`](crate::Implementation::to_raw).
    pub info: RawJson,
    /// What it can do: a JSON object.
    pub capabilities: RawJson,
    /// Advice for the model on how to use it.
    pub instructions: Option<String>,
    /// The revisions that it speaks.
    pub supported: Vec<Revision>,
    /// How long what it says about itself may be cached.
    pub cache: CacheHint,
}

impl ServerIdentity {
    /// A server of all revisions, without instructions, whose discovery is not cached.
    #[must_use]
    pub fn new(info: RawJson, capabilities: RawJson) -> ServerIdentity {
        ServerIdentity {
            info,
            capabilities,
            instructions: None,
            supported: Revision::ALL.to_vec(),
            cache: CacheHint::default(),
        }
    }

    /// Whether it speaks a revision of this era.
    #[must_use]
    pub fn speaks(&self, era: Era) -> bool {
        Revision::latest_in(era, &self.supported).is_some()
    }

    /// Whether it declares this capability.
    #[must_use]
    pub fn declares(&self, capability: &str) -> bool {
        let mut declared = false;
        let scanned = scan::object(self.capabilities.as_bytes(), |key, _| {
            declared |= scan::key_is(key, capability);
        });
        scanned.is_ok() && declared
    }

    pub(crate) fn initialize_result(&self, revision: Revision) -> RawJson {
        let mut out = BytesMut::with_capacity(256);
        encode::initialize_result(&mut out, revision, self);
        RawJson::from_validated(out.freeze())
    }

    pub(crate) fn discover_result(&self) -> RawJson {
        let mut out = BytesMut::with_capacity(256);
        encode::discover_result(&mut out, self);
        RawJson::from_validated(out.freeze())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::encode::CacheScope;
    use crate::testing::raw;

    fn server() -> ServerIdentity {
        ServerIdentity {
            instructions: Some("use \"it\"".into()),
            supported: vec![Revision::V2025_11_25, Revision::V2026_07_28],
            cache: CacheHint { ttl: Duration::from_millis(1500), scope: CacheScope::Public },
            ..ServerIdentity::new(raw(r#"{"name":"s","version":"1"}"#), raw(r#"{"tools":{},"x":9e999}"#))
        }
    }

    #[test]
    fn a_server_introduces_itself_in_the_way_of_each_era() {
        assert_eq!(
            server().discover_result().as_str(),
            concat!(
                r#"{"resultType":"complete","supportedVersions":["2025-11-25","2026-07-28"],"#,
                r#""capabilities":{"tools":{},"x":9e999},"instructions":"use \"it\"","ttlMs":1500,"cacheScope":"public","#,
                r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}"#,
            )
        );
        assert_eq!(
            server().initialize_result(Revision::V2025_11_25).as_str(),
            concat!(
                r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"x":9e999},"#,
                r#""serverInfo":{"name":"s","version":"1"},"instructions":"use \"it\""}"#,
            )
        );
        let mut out = BytesMut::new();
        encode::initialize_params(&mut out, Revision::V2025_06_18, &raw("{}"), &raw(r#"{"name":"c"}"#));
        assert_eq!(
            out,
            r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c"}}"#.as_bytes()
        );
    }

    #[test]
    fn capabilities_and_eras_are_read_off_what_the_server_says() {
        let server = server();
        assert!(server.declares("tools") && !server.declares("logging"));
        assert!(server.speaks(Era::Modern) && server.speaks(Era::Legacy));
        let modern = ServerIdentity { supported: vec![Revision::LATEST], ..server };
        assert!(!modern.speaks(Era::Legacy));
    }
}
