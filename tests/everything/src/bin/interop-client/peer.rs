//! In what the servers differ.

use clap::ValueEnum;
use serde_json::{Value, json};
use towpath::Era;

/// A server that is known.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// `@modelcontextprotocol/server-everything`.
    Everything,
    /// The server on the TypeScript SDK 2.x.
    Ts2,
    /// The server on the Python SDK.
    Py,
}

/// A call of a tool, and the text that must come back.
pub(crate) struct Task {
    pub(crate) params: Value,
    pub(crate) text: String,
}

impl Peer {
    /// The latest era that the server speaks.
    pub(crate) fn latest_era(self) -> Era {
        match self {
            Peer::Everything => Era::Legacy,
            Peer::Ts2 | Peer::Py => Era::Modern,
        }
    }

    /// The tools that the cases call.
    pub(crate) fn tools(self) -> &'static [&'static str] {
        match self {
            Peer::Everything => &["echo", "trigger-long-running-operation"],
            Peer::Ts2 | Peer::Py => &["echo", "progress", "slow"],
        }
    }

    /// Whether the server stops what is cancelled, and says so on stderr.
    pub(crate) fn cancels(self) -> bool {
        self != Peer::Everything
    }

    pub(crate) fn echo(self, text: &str) -> Task {
        match self {
            Peer::Everything => task("echo", json!({"message": text}), format!("Echo: {text}")),
            Peer::Ts2 | Peer::Py => task("echo", json!({"text": text}), text.to_owned()),
        }
    }

    pub(crate) fn progress(self, steps: u32, delay_ms: u32) -> Task {
        match self {
            Peer::Everything => long_running(f64::from(steps * delay_ms) / 1000.0, steps),
            Peer::Ts2 | Peer::Py => {
                task("progress", json!({"steps": steps, "delay_ms": delay_ms}), "done".to_owned())
            }
        }
    }

    /// What takes far longer than the case, unless the server does not stop it: then it is short, so that its end can
    /// be waited for.
    pub(crate) fn slow(self) -> Task {
        match self {
            Peer::Everything => long_running(2.0, 1),
            Peer::Ts2 | Peer::Py => task("slow", json!({"ms": 60_000}), "slept".to_owned()),
        }
    }
}

fn long_running(seconds: f64, steps: u32) -> Task {
    let text = format!("Long running operation completed. Duration: {seconds} seconds, Steps: {steps}.");
    task("trigger-long-running-operation", json!({"duration": seconds, "steps": steps}), text)
}

fn task(name: &str, arguments: Value, text: String) -> Task {
    Task { params: json!({"name": name, "arguments": arguments}), text }
}
