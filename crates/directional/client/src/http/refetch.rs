//! A tool whose schema has changed since it was listed: its headers are learnt anew (2026-07-28, −32020).

use std::sync::Arc;

use bytes::BytesMut;
use futures_util::{FutureExt, future::BoxFuture};
use serde::Deserialize;
use towpath_jsonrpc::{Id, Member, Message, RawJson, encode};
use towpath_mcp::method;
use towpath_raw::{Connect, Inbound};

use super::{exchange::Exchange, state::own_limits, wire::Wire};

/// Asks for `tools/list` until the tool of this call is in it. Says whether it is, with other headers than before.
pub(super) fn learnt_anew<C: Connect>(wire: Arc<Wire<C>>, call: Message) -> BoxFuture<'static, bool> {
    async move {
        let Some(name) = call.string(Member::Name) else { return false };
        let before = wire.tools.forget(&name);
        let mut cursor = None;
        for _ in 0..MOST_PAGES {
            let Some(list) = list(&call, cursor.as_ref()) else { break };
            let Some(result) = answer(&wire, list).await else { break };
            let after = wire.tools.of(&name);
            if after.is_some() {
                return after != before;
            }
            cursor = result.deserialize::<Page>().ok().and_then(|page| page.next_cursor);
            if cursor.is_none() {
                // It is there without such headers, or not there: either way it is not what it was.
                return before.is_some();
            }
        }
        false
    }
    .boxed()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    next_cursor: Option<RawJson>,
}

/// The request for a page, from whom the call is.
fn list(call: &Message, cursor: Option<&RawJson>) -> Option<Message> {
    let mut params = BytesMut::from(&b"{"[..]);
    if let Some(cursor) = cursor {
        params.extend_from_slice(b"\"cursor\":");
        params.extend_from_slice(cursor.as_bytes());
        params.extend_from_slice(b",");
    }
    params.extend_from_slice(b"\"_meta\":{");
    let mut first = true;
    for (key, member) in [
        (towpath_mcp::meta::PROTOCOL_VERSION, Member::MetaProtocolVersion),
        (towpath_mcp::meta::CLIENT_INFO, Member::MetaClientInfo),
        (towpath_mcp::meta::CLIENT_CAPABILITIES, Member::MetaClientCapabilities),
    ] {
        let Some(value) = call.raw(member) else { continue };
        if !std::mem::replace(&mut first, false) {
            params.extend_from_slice(b",");
        }
        encode::write_string(&mut params, key);
        params.extend_from_slice(b":");
        params.extend_from_slice(value);
    }
    params.extend_from_slice(b"}}");
    let mut text = BytesMut::new();
    encode::request(&mut text, &Id::from(ID), method::TOOLS_LIST, Some(&params));
    Message::parse(text.freeze(), &own_limits()).ok()
}

/// What a request of the lane's own is answered; what else is said meanwhile is about nothing that anybody knows.
async fn answer<C: Connect>(wire: &Arc<Wire<C>>, list: Message) -> Option<RawJson> {
    let mut exchange = Exchange::own(Arc::clone(wire), list);
    loop {
        let Inbound::Frame(frame) = exchange.next().await? else { return None };
        let Ok(message) = Message::parse(frame, &own_limits()) else { return None };
        if exchange.asked_for(&message) {
            return message.result();
        }
    }
}

/// After so many pages without the tool it is not looked for.
const MOST_PAGES: usize = 16;

const ID: &str = "towpath-tools";
