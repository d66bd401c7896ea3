//! Protocol revisions as data: what differs between them is one table, a row a revision.

use std::fmt;
use std::str::FromStr;

/// A protocol revision that this crate speaks. Ordered by date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// 2024-11-05: the first one.
    V2024_11_05,
    /// 2025-03-26: Streamable HTTP and batches.
    V2025_03_26,
    /// 2025-06-18: the version header, elicitation; batches are gone.
    V2025_06_18,
    /// 2025-11-25: tasks; the last one with a handshake.
    V2025_11_25,
    /// 2026-07-28: stateless; every request carries its metadata.
    V2026_07_28,
}

/// How two peers agree on what they speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// A session, opened with `initialize` (2025-11-25 and earlier).
    Legacy,
    /// Metadata in every request, no session (2026-07-28 and later).
    Modern,
}

/// What MCP over HTTP looks like in a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpBinding {
    /// A GET stream and a separate endpoint for POSTs.
    HttpSse,
    /// One endpoint, sessions in `Mcp-Session-Id`, a standalone GET stream.
    StreamableSessions,
    /// One endpoint, POST only, no sessions.
    StreamableStateless,
}

/// What holds in one revision. The rows are [`RULES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rules {
    /// The revision that this row describes.
    pub revision: Revision,
    /// Sessions or per-request metadata.
    pub era: Era,
    /// A JSON array of messages is a batch.
    pub batching: bool,
    /// `initialize` exists.
    pub initialize: bool,
    /// `ping` exists.
    pub ping: bool,
    /// `logging/setLevel` exists; where it does not, the level comes with each request.
    pub set_level: bool,
    /// `resources/subscribe` and `resources/unsubscribe` exist.
    pub resources_subscribe: bool,
    /// `subscriptions/listen` exists.
    pub listen: bool,
    /// `server/discover` exists.
    pub discover: bool,
    /// The server may send requests to the client.
    pub server_requests: bool,
    /// The client may send responses, which is the other half of `server_requests`.
    pub client_responses: bool,
    /// `notifications/progress` has a `message`.
    pub progress_message: bool,
    /// The server may only log for a request that asked for it in its `_meta`.
    pub log_per_request: bool,
    /// Every result carries `resultType`.
    pub result_type_required: bool,
    /// Lists, reads and discovery carry `ttlMs` and `cacheScope`.
    pub cacheable_results: bool,
    /// The shape of the HTTP binding.
    pub http: HttpBinding,
    /// Requests over HTTP carry `MCP-Protocol-Version`.
    pub version_header: bool,
    /// Requests over HTTP carry `Mcp-Method`, `Mcp-Name` and `Mcp-Param-*`.
    pub mirrored_headers: bool,
    /// Event streams can be resumed with `Last-Event-ID`.
    pub resumability: bool,
    /// A server may close a resumable stream early and be polled; such a stream opens with an empty event
    /// that carries an id.
    pub stream_polling: bool,
    /// The code for "resource not found".
    pub resource_not_found: i64,
    /// The HTTP status of a request that is refused for its parameters or for a limit of its session.
    pub rejection_status: u16,
    /// The HTTP status that goes with −32601.
    pub method_not_found_status: u16,
}

/// One row a revision, in the order of the revisions.
pub const RULES: [Rules; 5] = [
    LEGACY_BASE,
    Rules {
        revision: Revision::V2025_03_26,
        batching: true,
        progress_message: true,
        http: HttpBinding::StreamableSessions,
        resumability: true,
        ..LEGACY_BASE
    },
    Rules {
        revision: Revision::V2025_06_18,
        progress_message: true,
        http: HttpBinding::StreamableSessions,
        version_header: true,
        resumability: true,
        ..LEGACY_BASE
    },
    Rules {
        revision: Revision::V2025_11_25,
        progress_message: true,
        http: HttpBinding::StreamableSessions,
        version_header: true,
        resumability: true,
        stream_polling: true,
        ..LEGACY_BASE
    },
    Rules {
        revision: Revision::V2026_07_28,
        era: Era::Modern,
        batching: false,
        initialize: false,
        ping: false,
        set_level: false,
        resources_subscribe: false,
        listen: true,
        discover: true,
        server_requests: false,
        client_responses: false,
        progress_message: true,
        log_per_request: true,
        result_type_required: true,
        cacheable_results: true,
        http: HttpBinding::StreamableStateless,
        version_header: true,
        mirrored_headers: true,
        resumability: false,
        stream_polling: false,
        resource_not_found: -32602,
        rejection_status: 400,
        method_not_found_status: 404,
    },
];

const LEGACY_BASE: Rules = Rules {
    revision: Revision::V2024_11_05,
    era: Era::Legacy,
    batching: false,
    initialize: true,
    ping: true,
    set_level: true,
    resources_subscribe: true,
    listen: false,
    discover: false,
    server_requests: true,
    client_responses: true,
    progress_message: false,
    log_per_request: false,
    result_type_required: false,
    cacheable_results: false,
    http: HttpBinding::HttpSse,
    version_header: false,
    mirrored_headers: false,
    resumability: false,
    stream_polling: false,
    resource_not_found: -32002,
    // In a session 400 puts the session in doubt: its requests are answered.
    rejection_status: 200,
    // In a session 404 means "this session is gone", so an unknown method must not use it.
    method_not_found_status: 200,
};

impl Revision {
    /// Every revision, oldest first.
    pub const ALL: [Revision; 5] = [
        Revision::V2024_11_05,
        Revision::V2025_03_26,
        Revision::V2025_06_18,
        Revision::V2025_11_25,
        Revision::V2026_07_28,
    ];
    /// The newest revision.
    pub const LATEST: Revision = Revision::V2026_07_28;
    /// The newest revision with a handshake.
    pub const LATEST_LEGACY: Revision = Revision::V2025_11_25;

    /// What holds in this revision.
    #[must_use]
    pub const fn rules(self) -> &'static Rules {
        &RULES[self as usize]
    }

    /// The era of this revision.
    #[must_use]
    pub const fn era(self) -> Era {
        self.rules().era
    }

    /// The date, as it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Revision::V2024_11_05 => "2024-11-05",
            Revision::V2025_03_26 => "2025-03-26",
            Revision::V2025_06_18 => "2025-06-18",
            Revision::V2025_11_25 => "2025-11-25",
            Revision::V2026_07_28 => "2026-07-28",
        }
    }

    /// The revision of this name, if it is one that this crate speaks.
    #[must_use]
    pub fn parse(name: &str) -> Option<Revision> {
        Revision::ALL.into_iter().find(|revision| revision.as_str() == name)
    }

    /// The newest of `supported` in an era.
    #[must_use]
    pub fn latest_in(era: Era, supported: &[Revision]) -> Option<Revision> {
        supported.iter().copied().filter(|revision| revision.era() == era).max()
    }
}

/// The revision that a server answers to `initialize`: the requested one if it is supported and has a
/// handshake, else the newest supported one that has. `None` when `supported` has no legacy revision: such a
/// server refuses `initialize`.
#[must_use]
pub fn negotiate(requested: &str, supported: &[Revision]) -> Option<Revision> {
    Revision::parse(requested)
        .filter(|revision| revision.era() == Era::Legacy && supported.contains(revision))
        .or_else(|| Revision::latest_in(Era::Legacy, supported))
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Revision {
    type Err = UnknownRevision;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Revision::parse(name).ok_or(UnknownRevision)
    }
}

/// The text names no protocol revision that this crate speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a protocol revision that this crate speaks (2024-11-05 to 2026-07-28)")]
pub struct UnknownRevision;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_stands_where_its_revision_points() {
        for revision in Revision::ALL {
            assert_eq!(revision.rules().revision, revision);
            assert_eq!(revision.to_string().parse(), Ok(revision));
        }
        assert!(Revision::ALL.is_sorted());
        assert_eq!("2025-06-19".parse::<Revision>(), Err(UnknownRevision));
    }

    /// A column as the revisions that have it, oldest first: a changed row changes a line here.
    #[test]
    fn the_table_says_what_the_specification_says() {
        use Revision::*;
        let having = |column: fn(&Rules) -> bool| -> Vec<Revision> {
            RULES.iter().filter(|rules| column(rules)).map(|rules| rules.revision).collect()
        };
        let legacy = vec![V2024_11_05, V2025_03_26, V2025_06_18, V2025_11_25];
        let modern = vec![V2026_07_28];
        let since_streamable = Revision::ALL[1..].to_vec();
        assert_eq!(having(|r| r.era == Era::Legacy), legacy);
        assert_eq!(having(|r| r.batching), [V2025_03_26]);
        assert_eq!(having(|r| r.initialize), legacy);
        assert_eq!(having(|r| r.ping), legacy);
        assert_eq!(having(|r| r.set_level), legacy);
        assert_eq!(having(|r| r.resources_subscribe), legacy);
        assert_eq!(having(|r| r.server_requests), legacy);
        assert_eq!(having(|r| r.client_responses), legacy);
        assert_eq!(having(|r| r.resource_not_found == -32002), legacy);
        assert_eq!(having(|r| r.method_not_found_status == 200), legacy);
        assert_eq!(having(|r| r.rejection_status == 200), legacy);
        assert_eq!(having(|r| r.listen), modern);
        assert_eq!(having(|r| r.discover), modern);
        assert_eq!(having(|r| r.log_per_request), modern);
        assert_eq!(having(|r| r.result_type_required), modern);
        assert_eq!(having(|r| r.cacheable_results), modern);
        assert_eq!(having(|r| r.mirrored_headers), modern);
        assert_eq!(having(|r| r.progress_message), since_streamable);
        assert_eq!(having(|r| r.version_header), [V2025_06_18, V2025_11_25, V2026_07_28]);
        assert_eq!(having(|r| r.resumability), [V2025_03_26, V2025_06_18, V2025_11_25]);
        assert_eq!(having(|r| r.stream_polling), [V2025_11_25]);
        assert_eq!(having(|r| r.http == HttpBinding::HttpSse), [V2024_11_05]);
        assert_eq!(having(|r| r.http == HttpBinding::StreamableStateless), modern);
    }

    #[test]
    fn initialize_gets_the_requested_revision_or_the_newest_with_a_handshake() {
        use Revision::*;
        let all = Revision::ALL;
        let old = [V2024_11_05, V2025_03_26];
        let table: [(&str, &[Revision], Option<Revision>); 7] = [
            ("2025-03-26", &all, Some(V2025_03_26)),
            ("2024-11-05", &all, Some(V2024_11_05)),
            ("1999-01-01", &all, Some(V2025_11_25)),
            ("2026-07-28", &all, Some(V2025_11_25)),
            ("2025-11-25", &old, Some(V2025_03_26)),
            ("2025-11-25", &[V2026_07_28], None),
            ("2025-11-25", &[], None),
        ];
        for (requested, supported, expected) in table {
            assert_eq!(negotiate(requested, supported), expected, "{requested} of {supported:?}");
        }
    }
}
