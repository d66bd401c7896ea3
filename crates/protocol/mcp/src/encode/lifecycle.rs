//! The opening exchange of each era.

use bytes::BytesMut;
use towpath_jsonrpc::RawJson;

use super::members::{Members, write_revisions};
use super::result::write_cache;
use crate::identity::ServerIdentity;
use crate::meta;
use crate::revision::Revision;

/// The `params` of `initialize`.
pub fn initialize_params(
    out: &mut BytesMut,
    revision: Revision,
    capabilities: &RawJson,
    client_info: &RawJson,
) {
    out.extend_from_slice(b"{");
    let mut members = Members::new(out);
    members.string("protocolVersion", revision.as_str());
    members.raw("capabilities", capabilities.as_bytes());
    members.raw("clientInfo", client_info.as_bytes());
    out.extend_from_slice(b"}");
}

/// The result of `initialize`.
pub fn initialize_result(out: &mut BytesMut, revision: Revision, server: &ServerIdentity) {
    out.extend_from_slice(b"{");
    let mut members = Members::new(out);
    members.string("protocolVersion", revision.as_str());
    members.raw("capabilities", server.capabilities.as_bytes());
    members.raw("serverInfo", server.info.as_bytes());
    if let Some(instructions) = &server.instructions {
        members.string("instructions", instructions);
    }
    out.extend_from_slice(b"}");
}

/// The result of `server/discover`. It names every supported revision, those with a handshake too: a client of
/// both eras learns from it where it can go.
pub fn discover_result(out: &mut BytesMut, server: &ServerIdentity) {
    out.extend_from_slice(b"{");
    let mut members = Members::new(out);
    members.raw("resultType", b"\"complete\"");
    write_revisions(members.key("supportedVersions"), &server.supported);
    members.raw("capabilities", server.capabilities.as_bytes());
    if let Some(instructions) = &server.instructions {
        members.string("instructions", instructions);
    }
    write_cache(&mut members, server.cache, false, false);
    let inner = members.key("_meta");
    inner.extend_from_slice(b"{");
    Members::new(inner).raw(meta::SERVER_INFO, server.info.as_bytes());
    inner.extend_from_slice(b"}");
    out.extend_from_slice(b"}");
}
