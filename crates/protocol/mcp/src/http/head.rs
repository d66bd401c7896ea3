//! The head of a request, read before its body.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::header;
use super::session_id::{MAX_OWN_SESSION_ID_BYTES, SessionId};
use crate::fault::{Fault, clip};
use crate::revision::{Era, Revision};

/// What the head of a request says, as far as admission needs it. It shares the headers' memory and copies the
/// session id.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HeadInfo {
    /// What is to be done.
    pub verb: Verb,
    /// `MCP-Protocol-Version`.
    pub version: VersionHeader,
    /// Whether the client takes `application/json`; true if it does not say.
    pub accepts_json: bool,
    /// Whether the client takes `text/event-stream`; true if it does not say.
    pub accepts_events: bool,
    /// Whether the client names both by name.
    lists_both: bool,
    pub(crate) session: SessionHeader,
    pub(crate) method: Mirrored,
    pub(crate) name: Mirrored,
}

/// The methods of HTTP that mean something to MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// A message.
    Post,
    /// The stream of a legacy session.
    Get,
    /// The end of a legacy session.
    Delete,
}

/// The header `MCP-Protocol-Version`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VersionHeader {
    /// There is none.
    Absent,
    /// A revision that this crate speaks.
    Known(Revision),
    /// Something else, cut at [`MAX_ECHO_BYTES`](crate::MAX_ECHO_BYTES).
    Unknown(String),
    /// More than one.
    Repeated,
}

/// The header `Mcp-Session-Id`. It may be nonsense in a modern request, which ignores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SessionHeader {
    Absent,
    Id(SessionId),
    /// No session of ours is called that.
    Impossible,
}

/// A header that says again what the body says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mirrored {
    Absent,
    One(HeaderValue),
    Repeated,
}

impl HeadInfo {
    /// The session that the request says it belongs to. A modern request belongs to none, whatever it says.
    #[must_use]
    pub fn session(&self) -> Option<&SessionId> {
        match &self.session {
            SessionHeader::Id(id) => Some(id),
            SessionHeader::Absent | SessionHeader::Impossible => None,
        }
    }

    pub(crate) fn read(verb: Verb, headers: &HeaderMap) -> HeadInfo {
        let accepted = Accepted::read(headers);
        HeadInfo {
            verb,
            version: VersionHeader::read(headers),
            accepts_json: accepted.takes(accepted.json),
            accepts_events: accepted.takes(accepted.events),
            lists_both: accepted.json == Taken::Named && accepted.events == Taken::Named,
            session: SessionHeader::read(headers),
            method: Mirrored::read(headers, &header::METHOD),
            name: Mirrored::read(headers, &header::NAME),
        }
    }

    /// What the client of a POST takes and what it sends. Lax is the rule: a client that says nothing takes everything.
    pub(crate) fn check_media(&self, headers: &HeaderMap, strict: bool) -> Result<(), Fault> {
        if self.verb != Verb::Post {
            return Ok(());
        }
        if strict && !self.lists_both {
            let expected = "the Accept header must list application/json and text/event-stream";
            return Err(Fault::HttpShape { status: 406, expected });
        }
        if !self.accepts_json && !self.accepts_events {
            let expected = "the Accept header must allow application/json or text/event-stream";
            return Err(Fault::HttpShape { status: 406, expected });
        }
        let is_json = match headers.get(CONTENT_TYPE) {
            Some(sent) => media_type(sent).is_some_and(|sent| sent.eq_ignore_ascii_case(JSON)),
            None => !strict,
        };
        if !is_json {
            let expected = "the Content-Type header must be application/json";
            return Err(Fault::HttpShape { status: 415, expected });
        }
        Ok(())
    }

    /// A GET asks for a stream of events.
    pub(crate) fn check_listens(&self) -> Result<(), Fault> {
        if self.accepts_events {
            return Ok(());
        }
        let expected = "the Accept header of a GET must allow text/event-stream";
        Err(Fault::HttpShape { status: 406, expected })
    }
}

impl Verb {
    pub(crate) fn parse(method: &Method) -> Option<Verb> {
        match *method {
            Method::POST => Some(Verb::Post),
            Method::GET => Some(Verb::Get),
            Method::DELETE => Some(Verb::Delete),
            _ => None,
        }
    }
}

impl VersionHeader {
    /// Whether no revision with a handshake is called that: such a message is modern, or of a revision to come.
    #[must_use]
    pub fn is_modern(&self) -> bool {
        match self {
            VersionHeader::Absent => false,
            VersionHeader::Known(revision) => revision.era() == Era::Modern,
            VersionHeader::Unknown(_) | VersionHeader::Repeated => true,
        }
    }

    /// What it says, for an error.
    pub(crate) fn shown(&self) -> &str {
        match self {
            VersionHeader::Absent => "nothing",
            VersionHeader::Known(revision) => revision.as_str(),
            VersionHeader::Unknown(text) => text,
            VersionHeader::Repeated => "several revisions",
        }
    }

    fn read(headers: &HeaderMap) -> VersionHeader {
        match Mirrored::read(headers, &header::PROTOCOL_VERSION) {
            Mirrored::Absent => VersionHeader::Absent,
            Mirrored::Repeated => VersionHeader::Repeated,
            Mirrored::One(value) => {
                let text = String::from_utf8_lossy(value.as_bytes());
                let text = text.trim_matches([' ', '\t']);
                Revision::parse(text).map_or_else(|| VersionHeader::Unknown(clip(text)), VersionHeader::Known)
            }
        }
    }
}

impl SessionHeader {
    fn read(headers: &HeaderMap) -> SessionHeader {
        match Mirrored::read(headers, &header::SESSION_ID) {
            Mirrored::Absent => SessionHeader::Absent,
            Mirrored::One(value) if value.len() <= MAX_OWN_SESSION_ID_BYTES => {
                SessionId::parse(&value).map_or(SessionHeader::Impossible, SessionHeader::Id)
            }
            Mirrored::One(_) | Mirrored::Repeated => SessionHeader::Impossible,
        }
    }
}

impl Mirrored {
    pub(super) fn read(headers: &HeaderMap, name: &HeaderName) -> Mirrored {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Mirrored::Absent,
            (Some(value), None) => Mirrored::One(value.clone()),
            (Some(_), Some(_)) => Mirrored::Repeated,
        }
    }
}

/// What `Accept` says about the two kinds of answer.
#[derive(Default)]
struct Accepted {
    json: Taken,
    events: Taken,
    said: bool,
}

/// How a kind of answer is taken.
#[derive(Clone, Copy, Default, PartialEq, PartialOrd)]
enum Taken {
    #[default]
    No,
    /// By a range with an asterisk.
    Covered,
    Named,
}

impl Accepted {
    fn read(headers: &HeaderMap) -> Accepted {
        let mut accepted = Accepted::default();
        for value in headers.get_all(ACCEPT) {
            // What is no text names nothing, but it is not nothing that the client says.
            let ranges = value.to_str().unwrap_or("?").split(',').map(str::trim);
            for range in ranges.filter(|range| !range.is_empty()) {
                accepted.said = true;
                let (range, parameters) = range.split_once(';').unwrap_or((range, ""));
                if !is_ruled_out(parameters) {
                    accepted.json.widen(range.trim_end(), JSON);
                    accepted.events.widen(range.trim_end(), EVENTS);
                }
            }
        }
        accepted
    }

    /// A client that says nothing takes everything.
    fn takes(&self, kind: Taken) -> bool {
        !self.said || kind != Taken::No
    }
}

impl Taken {
    fn widen(&mut self, range: &str, kind: &str) {
        let group = kind.split_once('/').map_or("", |(group, _)| group);
        let taken = match range.split_once('/') {
            Some((outer, "*")) if outer == "*" || outer.eq_ignore_ascii_case(group) => Taken::Covered,
            _ if range.eq_ignore_ascii_case(kind) => Taken::Named,
            _ => Taken::No,
        };
        if taken > *self {
            *self = taken;
        }
    }
}

/// `q=0`.
fn is_ruled_out(parameters: &str) -> bool {
    parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(key, value)| {
        key.trim().eq_ignore_ascii_case("q")
            && value.trim().parse::<f32>().is_ok_and(|quality| quality <= 0.0)
    })
}

/// A media type without its parameters.
pub(crate) fn media_type(value: &HeaderValue) -> Option<&str> {
    Some(value.to_str().ok()?.split(';').next()?.trim())
}

pub(crate) const JSON: &str = "application/json";
pub(crate) const EVENTS: &str = "text/event-stream";

#[cfg(test)]
mod tests;
