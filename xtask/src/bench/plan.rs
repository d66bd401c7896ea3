//! What is measured, of whom, and what must be reached.

/// The subject that everything is compared with.
pub(super) const FLOOR: &str = "floor";

/// The floor of an interface with one future per call.
pub(super) const API_FLOOR: &str = "api-floor";

/// The subject that has targets.
pub(super) const TOWPATH: &str = "towpath";

/// The server behind a bridge, without the bridge.
pub(super) const DIRECT: &str = "direct";

/// The peer that everything is compared with.
pub(super) const RMCP: &str = "rmcp";

/// The same with a client that keeps its connections.
pub(super) const RMCP_POOLED: &str = "rmcp-pooled";

/// One case and its subjects.
pub(super) struct Row {
    /// Its name in the programs.
    pub(super) case: &'static str,
    pub(super) title: &'static str,
    pub(super) subjects: &'static [SubjectAt],
    pub(super) targets: &'static [Target],
}

/// A subject, and the program that has it.
#[derive(Clone, Copy)]
pub(super) struct SubjectAt {
    pub(super) name: &'static str,
    pub(super) home: Home,
}

/// Which program.
#[derive(Clone, Copy)]
pub(super) enum Home {
    Own,
    Peers,
}

/// What a case counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rate,
    Latency,
    Bulk,
}

/// What Towpath must reach in a case.
pub(super) struct Target {
    pub(super) measure: Measure,
    pub(super) against: &'static str,
    pub(super) reach: Reach,
}

/// Which figure of a subject.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// What the case counts.
    Value,
    /// CPU time per call.
    Cpu,
}

/// How a value is compared with another of the same round.
#[derive(Clone, Copy)]
pub(super) enum Reach {
    /// At least so many times the other.
    AtLeast(f64),
    /// At most so many times the other.
    AtMost(f64),
    /// At most so much above the other.
    Within(f64),
}

const fn own(name: &'static str) -> SubjectAt {
    SubjectAt { name, home: Home::Own }
}

const fn peer(name: &'static str) -> SubjectAt {
    SubjectAt { name, home: Home::Peers }
}

const fn target(against: &'static str, reach: Reach) -> Target {
    Target { measure: Measure::Value, against, reach }
}

const fn cpu_target(against: &'static str, reach: Reach) -> Target {
    Target { measure: Measure::Cpu, against, reach }
}

/// All cases, in the order of the report.
pub(super) const PLAN: &[Row] = &[
    Row {
        case: "memory-rate",
        title: "In memory, client and server: 64 calls of 100 B in flight",
        subjects: &[own(FLOOR), own(API_FLOOR), own(TOWPATH), peer(RMCP)],
        targets: &[
            target(FLOOR, Reach::AtLeast(1.0 / 3.0)),
            target(API_FLOOR, Reach::AtLeast(0.8)),
            target(RMCP, Reach::AtLeast(20.0)),
        ],
    },
    Row {
        case: "memory-latency",
        title: "In memory, client and server: calls of 100 B, one after another",
        subjects: &[own(FLOOR), own(API_FLOOR), own(TOWPATH), peer(RMCP)],
        targets: &[target(FLOOR, Reach::AtMost(3.0))],
    },
    Row {
        case: "pipes-rate",
        title: "Over pipes, client and server: 64 calls of 100 B in flight",
        subjects: &[own(FLOOR), own(API_FLOOR), own(TOWPATH), peer(RMCP), peer("rmcp-pipes")],
        targets: &[target(FLOOR, Reach::AtLeast(0.5))],
    },
    Row {
        case: "pipes-latency",
        title: "Over pipes, client and server: calls of 100 B, one after another",
        subjects: &[own(FLOOR), own(API_FLOOR), own(TOWPATH), peer(RMCP), peer("rmcp-pipes")],
        targets: &[target(FLOOR, Reach::Within(5.0))],
    },
    Row {
        case: "pipes-1mib",
        title: "Over pipes of the default size: calls of 1 MiB, one after another",
        subjects: &[own(FLOOR), own(TOWPATH), peer(RMCP), peer("rmcp-pipes")],
        targets: &[target(FLOOR, Reach::AtLeast(0.75))],
    },
    Row {
        case: "wide-pipes-1mib",
        title: "Over pipes of 1 MiB: calls of 1 MiB, one after another",
        subjects: &[own(FLOOR), own(TOWPATH), peer(RMCP), peer("rmcp-pipes")],
        targets: &[target(FLOOR, Reach::AtLeast(0.75))],
    },
    Row {
        case: "http-json-rate",
        title: "HTTP, server only, stateless, JSON answers: 64 calls of 100 B in flight",
        subjects: &[own(FLOOR), own(TOWPATH), peer(RMCP)],
        targets: &[target(FLOOR, Reach::AtLeast(0.95)), cpu_target(FLOOR, Reach::AtMost(1.05))],
    },
    Row {
        case: "http-json-latency",
        title: "HTTP, server only, stateless, JSON answers: calls of 100 B, one after another",
        subjects: &[own(FLOOR), own(TOWPATH), peer(RMCP)],
        targets: &[target(FLOOR, Reach::Within(10.0))],
    },
    Row {
        case: "http-sse-rate",
        title: "HTTP, server only, stateless, SSE answers with a report of progress: 64 calls of 100 B in flight",
        subjects: &[own(FLOOR), own(TOWPATH), peer(RMCP)],
        targets: &[target(FLOOR, Reach::AtLeast(0.8))],
    },
    Row {
        case: "http-session-rate",
        title: "HTTP, server only, one session of 2025-11-25: 64 calls of 100 B in flight",
        subjects: &[own(FLOOR), own(TOWPATH), peer(RMCP)],
        targets: &[target(FLOOR, Reach::AtLeast(0.85))],
    },
    Row {
        case: "http-1mib",
        title: "HTTP, server only, stateless: calls of 1 MiB, one after another",
        subjects: &[own(FLOOR), own(TOWPATH), peer(RMCP)],
        targets: &[target(FLOOR, Reach::AtLeast(0.9))],
    },
    Row {
        case: "http-client-alone-rate",
        title: "HTTP, client only, stateless, one bare server for all: 64 calls of 100 B in flight",
        subjects: &[own(FLOOR), own(TOWPATH), peer(RMCP), peer(RMCP_POOLED)],
        targets: &[],
    },
    Row {
        case: "http-client-rate",
        title: "HTTP, client and server, stateless: 64 calls of 100 B in flight",
        subjects: &[own(FLOOR), own(TOWPATH), peer(RMCP), peer(RMCP_POOLED)],
        targets: &[target(FLOOR, Reach::AtLeast(0.85))],
    },
    Row {
        case: "http-client-latency",
        title: "HTTP, client and server, stateless: calls of 100 B, one after another",
        subjects: &[own(FLOOR), own(TOWPATH), peer(RMCP), peer(RMCP_POOLED)],
        targets: &[target(FLOOR, Reach::Within(20.0))],
    },
    Row {
        case: "http-client-1mib",
        title: "HTTP, client and server, stateless: calls of 1 MiB, one after another",
        subjects: &[own(FLOOR), own(TOWPATH), peer(RMCP), peer(RMCP_POOLED)],
        targets: &[target(FLOOR, Reach::AtLeast(0.8))],
    },
    Row {
        case: "bridge-rate",
        title: "The bridge, `towpath serve`, in front of a server over pipes: 16 calls of 100 B in flight",
        subjects: &[own(FLOOR), own(DIRECT), own(TOWPATH)],
        targets: &[],
    },
    Row {
        case: "bridge-latency",
        title: "The bridge, `towpath serve`, in front of a server over pipes: calls of 100 B, one after another",
        subjects: &[own(FLOOR), own(DIRECT), own(TOWPATH)],
        targets: &[target(FLOOR, Reach::AtMost(1.15))],
    },
];

impl Row {
    /// Whether it needs the `towpath` command.
    pub(super) fn has_bridge(&self) -> bool {
        self.case.starts_with("bridge-")
    }

    pub(super) fn kind(&self) -> Kind {
        match self.case {
            case if case.ends_with("-rate") => Kind::Rate,
            case if case.ends_with("-latency") => Kind::Latency,
            _ => Kind::Bulk,
        }
    }
}

impl Kind {
    /// The field of a sample that has the figure.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Rate => "req_per_s",
            Self::Latency => "p50_us",
            Self::Bulk => "mb_per_s",
        }
    }

    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Rate => "req/s",
            Self::Latency => "µs (p50)",
            Self::Bulk => "MB/s",
        }
    }
}

impl Reach {
    /// The comparison of one pair of values, to be held against [`bound`](Self::bound).
    pub(super) fn compare(self, (value, other): (f64, f64)) -> f64 {
        match self {
            Self::AtLeast(_) | Self::AtMost(_) => value / other,
            Self::Within(_) => value - other,
        }
    }

    pub(super) fn bound(self) -> f64 {
        match self {
            Self::AtLeast(bound) | Self::AtMost(bound) | Self::Within(bound) => bound,
        }
    }

    /// Whether an interval of comparisons touches the target.
    pub(super) fn is_touched_by(self, (low, high): (f64, f64)) -> bool {
        match self {
            Self::AtLeast(bound) => high >= bound,
            Self::AtMost(bound) | Self::Within(bound) => low <= bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PLAN, Reach};

    #[test]
    fn a_target_is_touched_from_the_right_side_only() {
        assert!(Reach::AtLeast(0.5).is_touched_by((0.4, 0.5)));
        assert!(!Reach::AtLeast(0.5).is_touched_by((0.4, 0.49)));
        assert!(Reach::AtMost(3.0).is_touched_by((3.0, 4.0)));
        assert!(!Reach::AtMost(3.0).is_touched_by((3.1, 4.0)));
        assert!(Reach::Within(5.0).is_touched_by((-1.0, 9.0)));
        assert!((Reach::Within(5.0).compare((12.0, 8.0)) - 4.0).abs() < 1e-9);
    }

    #[test]
    fn every_target_is_held_against_a_subject_of_its_own_row() {
        for row in PLAN {
            for target in row.targets {
                assert!(row.subjects.iter().any(|subject| subject.name == target.against), "{}", row.case);
            }
        }
    }
}
