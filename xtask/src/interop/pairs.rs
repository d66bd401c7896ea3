//! Who is paired with whom, and over what.

use super::peers::Side;

/// How a client reaches a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The client starts the server.
    Stdio,
    /// The server listens.
    Http,
    /// `towpath serve` puts a server that speaks over stdin and stdout on HTTP.
    Serve,
    /// The client starts `towpath connect`, which reaches a server that listens.
    Connect,
}

/// A client, a server, and the eras that they cannot be run in.
pub(super) struct Pair {
    pub(super) client: Side,
    pub(super) way: Way,
    pub(super) server: Side,
    not: &'static [(&'static str, &'static str)],
}

impl Pair {
    /// The name of its row in an era.
    pub(super) fn name(&self, era: &str) -> String {
        let way = match self.way {
            Way::Stdio => "->",
            Way::Http => "-http->",
            Way::Serve => "-serve->",
            Way::Connect => "-connect->",
        };
        // Behind a bridge of ours, our own server is not the one that the client speaks to.
        let server =
            if self.server == Side::OurServer && self.way == Way::Serve { "own" } else { self.server.name() };
        format!("{} {way} {server} {era}", self.client.name())
    }

    /// Why an era does not apply to this pair, if it does not.
    pub(super) fn not_applicable(&self, era: &str) -> Option<&'static str> {
        self.not.iter().find(|(name, _)| *name == era).map(|(_, reason)| *reason)
    }
}

/// All pairs. A server that speaks both eras takes the era from what the client sends, so it is not told.
pub(super) const PAIRS: &[Pair] = &[
    pair(Side::TypeScript1Client, Way::Stdio, Side::OurServer, TYPESCRIPT_1),
    pair(Side::TypeScript2Client, Way::Stdio, Side::OurServer, ANY),
    pair(Side::PythonClient, Way::Stdio, Side::OurServer, ANY),
    pair(Side::OurClient, Way::Stdio, Side::Everything, LEGACY_SERVER),
    pair(Side::OurClient, Way::Stdio, Side::TypeScript2Server, ANY),
    pair(Side::OurClient, Way::Stdio, Side::PythonServer, ANY),
    pair(Side::TypeScript1Client, Way::Http, Side::OurServer, TYPESCRIPT_1),
    pair(Side::TypeScript2Client, Way::Http, Side::OurServer, ANY),
    pair(Side::PythonClient, Way::Http, Side::OurServer, ANY),
    pair(Side::OurClient, Way::Http, Side::Everything, LEGACY_SERVER),
    pair(Side::OurClient, Way::Http, Side::TypeScript2Server, ANY),
    pair(Side::OurClient, Way::Http, Side::PythonServer, ANY),
    pair(Side::TypeScript1Client, Way::Serve, Side::Everything, TYPESCRIPT_1),
    pair(Side::TypeScript2Client, Way::Serve, Side::Everything, LEGACY_SERVER),
    pair(Side::PythonClient, Way::Serve, Side::Everything, LEGACY_SERVER),
    pair(Side::OurClient, Way::Serve, Side::Everything, LEGACY_SERVER),
    pair(Side::TypeScript2Client, Way::Serve, Side::TypeScript2Server, ANY),
    pair(Side::PythonClient, Way::Serve, Side::PythonServer, ANY),
    pair(Side::TypeScript2Client, Way::Serve, Side::OurServer, ANY),
    pair(Side::OurClient, Way::Connect, Side::Everything, LEGACY_SERVER),
    pair(Side::OurClient, Way::Connect, Side::TypeScript2Server, ANY),
    pair(Side::OurClient, Way::Connect, Side::PythonServer, ANY),
    pair(Side::TypeScript2Client, Way::Connect, Side::PythonServer, ANY),
];

const fn pair(client: Side, way: Way, server: Side, not: &'static [(&'static str, &'static str)]) -> Pair {
    Pair { client, way, server, not }
}

const ANY: &[(&str, &str)] = &[];
const TYPESCRIPT_1: &[(&str, &str)] = &[
    ("modern", "the TypeScript SDK 1.x speaks the legacy era only"),
    ("auto", "the TypeScript SDK 1.x does not ask a server for its era"),
];
const LEGACY_SERVER: &[(&str, &str)] =
    &[("modern", "server-everything is on the TypeScript SDK 1.x: the legacy era only")];
