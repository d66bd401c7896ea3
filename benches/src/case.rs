//! What is measured.

use crate::{Answers, Medium, PipeSize};

/// One row of the benchmarks: a medium, a payload and a way to load it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Requests per second in memory, 64 in flight, texts of 100 bytes.
    MemoryRate,
    /// Median latency in memory, one call after another, texts of 100 bytes.
    MemoryLatency,
    /// Requests per second over pipes to a child process, 64 in flight, texts of 100 bytes.
    PipesRate,
    /// Median latency over pipes, one call after another, texts of 100 bytes.
    PipesLatency,
    /// Megabytes of text per second over pipes of the default size, one call of 1 MiB after another.
    PipesBulk,
    /// The same over pipes of 1 MiB.
    WidePipesBulk,
    /// Requests per second of an HTTP server in a child process, stateless, answers in JSON, 64 in flight, texts of 100
    /// bytes.
    HttpJsonRate,
    /// Median latency of the same, one call after another.
    HttpJsonLatency,
    /// The same as [`Case::HttpJsonRate`] with event streams for answers: a report of progress, then the result.
    HttpEventsRate,
    /// The same as [`Case::HttpJsonRate`] in one session of the older revisions.
    HttpSessionRate,
    /// Megabytes of text per second of an HTTP server, one call of 1 MiB after another.
    HttpBulk,
    /// Requests per second of an HTTP client, stateless, 64 in flight, texts of 100 bytes. The same bare server answers all
    /// clients.
    HttpClientAloneRate,
    /// Requests per second of an HTTP client and a server in a child process, stateless, 64 in flight, texts of 100 bytes.
    HttpClientRate,
    /// Median latency of the same, one call after another.
    HttpClientLatency,
    /// Megabytes of text per second of the same, one call of 1 MiB after another.
    HttpClientBulk,
    /// Requests per second over HTTP to a server that speaks over pipes, 16 in flight, texts of 100 bytes.
    BridgeRate,
    /// Median latency of the same, one call after another.
    BridgeLatency,
}

/// What a case counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Finished requests per second, many in flight.
    Rate,
    /// The median time of one call.
    Latency,
    /// Bytes of text per second, one call after another.
    Bulk,
}

/// The processes whose CPU time a case counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Client and server, whatever processes they are in.
    Everything,
    /// The server alone: the same load generator drives all subjects.
    Server,
    /// The client alone: the same server answers all subjects.
    Client,
}

impl Case {
    /// All cases, in the order of the report.
    pub const ALL: [Self; 17] = [
        Self::MemoryRate,
        Self::MemoryLatency,
        Self::PipesRate,
        Self::PipesLatency,
        Self::PipesBulk,
        Self::WidePipesBulk,
        Self::HttpJsonRate,
        Self::HttpJsonLatency,
        Self::HttpEventsRate,
        Self::HttpSessionRate,
        Self::HttpBulk,
        Self::HttpClientAloneRate,
        Self::HttpClientRate,
        Self::HttpClientLatency,
        Self::HttpClientBulk,
        Self::BridgeRate,
        Self::BridgeLatency,
    ];

    /// The cases in memory and over pipes.
    pub const STREAMS: [Self; 6] = [
        Self::MemoryRate,
        Self::MemoryLatency,
        Self::PipesRate,
        Self::PipesLatency,
        Self::PipesBulk,
        Self::WidePipesBulk,
    ];

    /// The cases of an HTTP server that one and the same load generator drives.
    pub const HTTP_SERVER: [Self; 5] = [
        Self::HttpJsonRate,
        Self::HttpJsonLatency,
        Self::HttpEventsRate,
        Self::HttpSessionRate,
        Self::HttpBulk,
    ];

    /// The cases of an HTTP client, alone and with its server.
    pub const HTTP_CLIENT: [Self; 4] =
        [Self::HttpClientAloneRate, Self::HttpClientRate, Self::HttpClientLatency, Self::HttpClientBulk];

    /// The cases of a bridge from HTTP to pipes.
    pub const BRIDGE: [Self; 2] = [Self::BridgeRate, Self::BridgeLatency];

    /// The name on the command line and in the samples.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|case| case.name() == name)
    }

    pub(crate) fn kind(self) -> Kind {
        self.row().1
    }

    pub(crate) fn medium(self) -> Medium {
        self.row().2
    }

    pub(crate) fn text_bytes(self) -> usize {
        match self.kind() {
            Kind::Rate | Kind::Latency => 100,
            Kind::Bulk => 1 << 20,
        }
    }

    /// Requests in flight where they are counted per second.
    pub(crate) fn in_flight(self) -> usize {
        if self.medium() == Medium::Bridge { 16 } else { 64 }
    }

    pub(crate) fn counted(self) -> Counted {
        match self.medium() {
            Medium::Http(_) => Counted::Server,
            Medium::HttpClientAlone => Counted::Client,
            _ => Counted::Everything,
        }
    }

    fn row(self) -> (&'static str, Kind, Medium) {
        match self {
            Self::MemoryRate => ("memory-rate", Kind::Rate, Medium::Memory),
            Self::MemoryLatency => ("memory-latency", Kind::Latency, Medium::Memory),
            Self::PipesRate => ("pipes-rate", Kind::Rate, Medium::Pipes(PipeSize::Default)),
            Self::PipesLatency => ("pipes-latency", Kind::Latency, Medium::Pipes(PipeSize::Default)),
            Self::PipesBulk => ("pipes-1mib", Kind::Bulk, Medium::Pipes(PipeSize::Default)),
            Self::WidePipesBulk => ("wide-pipes-1mib", Kind::Bulk, Medium::Pipes(PipeSize::Wide)),
            Self::HttpJsonRate => ("http-json-rate", Kind::Rate, Medium::Http(Answers::Json)),
            Self::HttpJsonLatency => ("http-json-latency", Kind::Latency, Medium::Http(Answers::Json)),
            Self::HttpEventsRate => ("http-sse-rate", Kind::Rate, Medium::Http(Answers::Events)),
            Self::HttpSessionRate => ("http-session-rate", Kind::Rate, Medium::Http(Answers::Session)),
            Self::HttpBulk => ("http-1mib", Kind::Bulk, Medium::Http(Answers::Json)),
            Self::HttpClientAloneRate => ("http-client-alone-rate", Kind::Rate, Medium::HttpClientAlone),
            Self::HttpClientRate => ("http-client-rate", Kind::Rate, Medium::HttpClient),
            Self::HttpClientLatency => ("http-client-latency", Kind::Latency, Medium::HttpClient),
            Self::HttpClientBulk => ("http-client-1mib", Kind::Bulk, Medium::HttpClient),
            Self::BridgeRate => ("bridge-rate", Kind::Rate, Medium::Bridge),
            Self::BridgeLatency => ("bridge-latency", Kind::Latency, Medium::Bridge),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Case;

    #[test]
    fn every_case_is_found_by_its_own_name() {
        for case in Case::ALL {
            assert_eq!(Case::from_name(case.name()), Some(case));
        }
        assert_eq!(Case::from_name("unheard-of"), None);
    }

    #[test]
    fn every_case_belongs_to_one_group() {
        let groups =
            [&Case::STREAMS[..], &Case::HTTP_SERVER[..], &Case::HTTP_CLIENT[..], &Case::BRIDGE[..]].concat();
        assert_eq!(groups, Case::ALL);
    }
}
