//! The headers that say again what the body says: who routes by the one must not be fooled by the other.

use std::borrow::Cow;

use http::HeaderValue;
use towpath_jsonrpc::{Member, Message};

use super::head::{HeadInfo, Mirrored, VersionHeader};
use super::value::{InvalidHeaderValue, decode_header_value, plain_header_value};
use crate::fault::{Fault, clip};
use crate::method;

/// Compares `MCP-Protocol-Version` with the revision in the body.
pub(crate) fn check_version(head: &HeadInfo, in_body: &str) -> Result<(), Fault> {
    let same = match &head.version {
        VersionHeader::Known(revision) => revision.as_str() == in_body,
        VersionHeader::Unknown(text) => *text == clip(in_body),
        VersionHeader::Absent | VersionHeader::Repeated => return check_version_is_there(head),
    };
    if same { Ok(()) } else { Err(differs(VERSION, head.version.shown(), in_body)) }
}

/// Every message that is not a session's names its revision in the head.
pub(crate) fn check_version_is_there(head: &HeadInfo) -> Result<(), Fault> {
    match head.version {
        VersionHeader::Absent => Err(missing(VERSION)),
        VersionHeader::Repeated => Err(repeated(VERSION)),
        VersionHeader::Known(_) | VersionHeader::Unknown(_) => Ok(()),
    }
}

/// Compares `Mcp-Method`, and `Mcp-Name` where the method has one, with the body.
pub(crate) fn check_request(head: &HeadInfo, message: &Message) -> Result<(), Fault> {
    let in_body = Some(Cow::Borrowed(message.method()));
    check(METHOD, &head.method, in_body, |value| plain_header_value(value).map(Cow::Borrowed))?;
    match name_source(message.method()) {
        Some(member) => check(NAME, &head.name, message.string(member), decode_header_value),
        None => Ok(()),
    }
}

/// A notification needs no `Mcp-Method`, but what it has must be right.
pub(crate) fn check_notification(head: &HeadInfo, message: &Message) -> Result<(), Fault> {
    if head.method == Mirrored::Absent {
        return Ok(());
    }
    let in_body = Some(Cow::Borrowed(message.method()));
    check(METHOD, &head.method, in_body, |value| plain_header_value(value).map(Cow::Borrowed))
}

/// The member of the parameters that `Mcp-Name` mirrors.
pub(crate) fn name_source(method: &str) -> Option<Member> {
    match method {
        method::TOOLS_CALL | method::PROMPTS_GET => Some(Member::Name),
        method::RESOURCES_READ => Some(Member::Uri),
        _ => None,
    }
}

/// Where neither has the value there is nothing to compare: the handler refuses the parameters.
fn check(
    header: &str,
    in_head: &Mirrored,
    in_body: Option<Cow<'_, str>>,
    read: impl Fn(&HeaderValue) -> Result<Cow<'_, str>, InvalidHeaderValue>,
) -> Result<(), Fault> {
    match (in_head, in_body) {
        (Mirrored::Repeated, _) => Err(repeated(header)),
        (Mirrored::Absent, Some(_)) => Err(missing(header)),
        (Mirrored::Absent, None) => Ok(()),
        (Mirrored::One(value), in_body) => {
            let said = read(value).map_err(|invalid| unreadable(header, invalid))?;
            match in_body {
                Some(in_body) if in_body == said => Ok(()),
                Some(in_body) => Err(differs(header, &said, &in_body)),
                None => Err(mirrors_nothing(header)),
            }
        }
    }
}

pub(super) fn missing(header: &str) -> Fault {
    mismatch(header, format!("the {header} header is missing"))
}

pub(super) fn repeated(header: &str) -> Fault {
    mismatch(header, format!("more than one {header} header"))
}

pub(super) fn unreadable(header: &str, invalid: InvalidHeaderValue) -> Fault {
    mismatch(header, format!("the {header} header {invalid}"))
}

pub(super) fn mirrors_nothing(header: &str) -> Fault {
    mismatch(header, format!("the {header} header mirrors nothing in the body"))
}

pub(super) fn differs(header: &str, in_head: &str, in_body: &str) -> Fault {
    let (in_head, in_body) = (clip(in_head), clip(in_body));
    mismatch(header, format!("the {header} header says {in_head:?}, the body {in_body:?}"))
}

pub(super) fn mismatch(header: &str, detail: String) -> Fault {
    Fault::HeaderMismatch { header: header.to_owned(), detail }
}

const VERSION: &str = "MCP-Protocol-Version";
const METHOD: &str = "Mcp-Method";
const NAME: &str = "Mcp-Name";
