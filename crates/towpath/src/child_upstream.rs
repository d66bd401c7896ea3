//! A program, to be started again and again.

use std::sync::Arc;

use towpath_client::Upstream;
use towpath_link::LinkEnd;
use towpath_raw::Explanation;
use towpath_stdio::{ChildCommand, ChildExit, ChildLane};

/// A program as the [`Upstream`] of a [`Supervised`](crate::Supervised) server, or of a relay's: each lane is a new child
/// process. One that exits with status 0 has ended as it should.
#[derive(Clone)]
pub struct ChildUpstream {
    command: ChildCommand,
    name: Arc<str>,
}

impl ChildUpstream {
    /// The command is started as it is, each time; `name` stands in errors and logs until there is a process.
    pub fn new(name: &str, command: ChildCommand) -> Self {
        Self { command, name: Arc::from(name) }
    }
}

impl Upstream for ChildUpstream {
    type Lane = ChildLane;

    async fn open(&self) -> Result<ChildLane, Explanation> {
        self.command.clone().spawn().map_err(|error| Arc::new(error) as Explanation)
    }

    fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    fn is_success(&self, end: &LinkEnd) -> bool {
        // Whichever direction was the first to tell of the exit.
        ChildExit::cause_of(end).is_some_and(ChildExit::is_success)
    }
}

impl std::fmt::Debug for ChildUpstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChildUpstream").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use towpath_raw::{FrameSourceExt, Inbound, Lane, LaneError};
    use towpath_testkit::within;

    use super::*;

    #[tokio::test]
    async fn exit_status_0_is_a_success_and_no_other_is() {
        for (status, success) in [(0, true), (3, false)] {
            let command = ChildCommand::new("sh").args(["-c", &format!("exit {status}")]);
            let upstream = ChildUpstream::new("a shell", command);
            let (mut source, _sink) = within(upstream.open()).await.expect("sh starts").split();
            let Inbound::End(end) = within(source.receive()).await.expect("it ends") else {
                panic!("it says nothing")
            };
            let unsent = LaneError::Closed { peer: upstream.name(), explanation: end.explanation.clone() };
            for end in [LinkEnd::PeerClosed(end), LinkEnd::Failed(unsent)] {
                assert_eq!(upstream.is_success(&end), success, "{status}: {end}");
            }
        }
        assert!(!ChildUpstream::new("any", ChildCommand::new("sh")).is_success(&LinkEnd::ClosedHere));
        let missing = ChildUpstream::new("none", ChildCommand::new("/no/such/program"));
        let error = within(missing.open()).await.err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| text.contains("/no/such/program")));
    }
}
