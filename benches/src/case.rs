//! What is measured.

use crate::{Medium, PipeSize};

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
}

/// What a case counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Finished requests per second, 64 in flight.
    Rate,
    /// The median time of one call.
    Latency,
    /// Bytes of text per second, one call after another.
    Bulk,
}

impl Case {
    /// All cases, in the order of the report.
    pub const ALL: [Self; 6] = [
        Self::MemoryRate,
        Self::MemoryLatency,
        Self::PipesRate,
        Self::PipesLatency,
        Self::PipesBulk,
        Self::WidePipesBulk,
    ];

    /// The name on the command line and in the samples.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MemoryRate => "memory-rate",
            Self::MemoryLatency => "memory-latency",
            Self::PipesRate => "pipes-rate",
            Self::PipesLatency => "pipes-latency",
            Self::PipesBulk => "pipes-1mib",
            Self::WidePipesBulk => "wide-pipes-1mib",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|case| case.name() == name)
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::MemoryRate | Self::PipesRate => Kind::Rate,
            Self::MemoryLatency | Self::PipesLatency => Kind::Latency,
            Self::PipesBulk | Self::WidePipesBulk => Kind::Bulk,
        }
    }

    pub(crate) fn medium(self) -> Medium {
        match self {
            Self::MemoryRate | Self::MemoryLatency => Medium::Memory,
            Self::PipesRate | Self::PipesLatency | Self::PipesBulk => Medium::Pipes(PipeSize::Default),
            Self::WidePipesBulk => Medium::Pipes(PipeSize::Wide),
        }
    }

    pub(crate) fn text_bytes(self) -> usize {
        match self.kind() {
            Kind::Rate | Kind::Latency => 100,
            Kind::Bulk => 1 << 20,
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
}
