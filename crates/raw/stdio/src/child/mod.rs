//! Child processes as lanes. One thread owns them all: it spawns, drains stderr, escalates and reaps.
//! Another tells of them, so that it never waits for whoever listens.

mod command;
mod environment;
mod escalation;
mod exit;
mod explain;
mod group;
mod lane;
mod log;
mod reaper;
mod spawn;
mod stderr;
mod stdin;
mod stdout;
mod tail;
mod timeouts;
mod tree;

pub use command::ChildCommand;
pub use environment::{Environment, INHERITED_VARIABLES};
pub use exit::{ChildExit, ChildStatus};
pub use lane::{ChildHandle, ChildLane, ChildSink, ChildSource};
pub use reaper::{LeftChild, wait_for_children};
pub use spawn::SpawnError;
pub use timeouts::ChildTimeouts;
