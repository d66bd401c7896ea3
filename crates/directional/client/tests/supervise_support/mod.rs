//! Servers that a supervised client is given one after another, of which the test writes every byte.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

use std::{io, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use towpath_client::{LinkEnd, Preference, RestartPolicy, Supervised, SupervisionState, Upstream};
use towpath_raw::Explanation;
use towpath_testkit::{MemoryLane, within};

use crate::support::{Far, builder, lanes};

pub(crate) const DISCOVERED: &str =
    r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}"#;
pub(crate) const INITIALIZED: &str =
    r#"{"protocolVersion":"2025-11-25","capabilities":{"resources":{"subscribe":true}}}"#;

/// Each lane that is opened has its far end given to the test; without a test there is none.
pub(crate) struct Lanes(mpsc::UnboundedSender<Far>);

pub(crate) struct Servers(mpsc::UnboundedReceiver<Far>);

impl Upstream for Lanes {
    type Lane = MemoryLane;

    async fn open(&self) -> Result<MemoryLane, Explanation> {
        let (near, far) = lanes();
        match self.0.send(far) {
            Ok(()) => Ok(near),
            Err(_) => Err(Arc::new(io::Error::other("no such program"))),
        }
    }

    fn name(&self) -> Arc<str> {
        Arc::from("the far end")
    }
}

pub(crate) fn upstream() -> (Lanes, Servers) {
    let (opened, servers) = mpsc::unbounded_channel();
    (Lanes(opened), Servers(servers))
}

impl Servers {
    /// The far end of the next lane.
    pub(crate) async fn next(&mut self) -> Far {
        within(self.0.recv()).await.expect("a lane is opened")
    }

    /// The next server, which is modern.
    pub(crate) async fn modern(&mut self) -> Far {
        let mut far = self.next().await;
        let discover = far.hear().await;
        assert_eq!(discover["method"], "server/discover");
        far.answer(&discover, DISCOVERED).await;
        far
    }

    /// The next server, which is legacy, and asked for nothing else.
    pub(crate) async fn legacy(&mut self) -> Far {
        let mut far = self.next().await;
        let initialize = far.hear().await;
        assert_eq!(initialize["method"], "initialize");
        far.answer(&initialize, INITIALIZED).await;
        assert_eq!(far.hear().await["method"], "notifications/initialized");
        far
    }

    pub(crate) fn opened(&mut self) -> bool {
        self.0.try_recv().is_ok()
    }
}

/// A policy without chance.
pub(crate) fn policy() -> RestartPolicy {
    let mut policy = RestartPolicy::default();
    policy.jitter = false;
    policy
}

/// A modern server that is up.
pub(crate) async fn up(policy: RestartPolicy) -> (Supervised, Far, Servers) {
    let (lanes, mut servers) = upstream();
    let supervised = builder().preference(Preference::ModernOnly).supervise(lanes, policy);
    let far = servers.modern().await;
    within(supervised.client()).await.expect("it is up");
    (supervised, far, servers)
}

/// A legacy server that is up.
pub(crate) async fn legacy_up(policy: RestartPolicy) -> (Supervised, Far, Servers) {
    let (lanes, mut servers) = upstream();
    let supervised = builder().preference(Preference::LegacyOnly).supervise(lanes, policy);
    let far = servers.legacy().await;
    within(supervised.client()).await.expect("it is up");
    (supervised, far, servers)
}

/// Waits until the server stands so.
pub(crate) async fn until_state(
    supervised: &Supervised,
    so: impl Fn(&SupervisionState) -> bool,
) -> SupervisionState {
    let mut states = supervised.states();
    within(async move {
        loop {
            let state = supervised.state();
            if so(&state) {
                return state;
            }
            states.next().await.expect("it comes to that");
        }
    })
    .await
}

pub(crate) fn is_crash_loop(state: &SupervisionState) -> bool {
    matches!(state, SupervisionState::CrashLoop { .. })
}

pub(crate) fn is_backing_off(state: &SupervisionState) -> bool {
    matches!(state, SupervisionState::BackingOff { .. })
}

/// So long of tokio's time, for the tests whose clock is paused.
pub(crate) async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

/// The reason of a peer that has just gone.
pub(crate) fn is_gone(end: &LinkEnd) -> bool {
    matches!(end, LinkEnd::PeerClosed(_) | LinkEnd::Failed(_))
}
