//! A client of one child, and the calls that it makes.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use towpath::{
    Call, CallError, ChildCommand, ChildLane, Client, Implementation, LinkEnd, Preference, RawJson,
    client::{ClientTimeouts, ConnectError, ProbeTimeouts},
    jsonrpc::Deadlines,
    link::CallOptions,
    stdio::ChildTimeouts,
};

use crate::{count::Counts, left::MARKER, life::Start, server::DEATH};

/// What has gone wrong.
pub(crate) type Wrong = String;

/// Starts a server of this kind.
pub(crate) fn spawn(start: Start, program: &str, counts: &Counts) -> Result<ChildLane, Wrong> {
    let serve = |kind: &str| vec!["--serve".to_owned(), kind.to_owned()];
    let shell = |script: &str| {
        let words = ["-c", script, program].map(str::to_owned);
        ChildCommand::new("sh").args(words)
    };
    let (command, count) = match start {
        Start::Plain => (ChildCommand::new(program).args(serve("answering")), &counts.plain),
        // A shell gives its background job /dev/null as stdin, which would end the server by itself: hence the third
        // descriptor.
        Start::Background => {
            (shell(r#"exec 3<&0; "$0" --serve answering <&3 & wait"#), &counts.behind_a_background_shell)
        }
        Start::Foreground => (shell(r#""$0" --serve answering; true"#), &counts.behind_a_foreground_shell),
        Start::Stubborn => (
            // What is ignored before the program begins stays ignored.
            shell(r#"trap "" TERM; exec "$0" --serve answering --stay"#),
            &counts.ignoring_sigterm,
        ),
        Start::Flooding => (ChildCommand::new(program).args(serve("flooding")), &counts.flooding_stderr),
        Start::Mute => (ChildCommand::new(program).args(serve("mute")), &counts.mute),
    };
    let hurried = ChildTimeouts::default()
        .with_exit_after_stdin_close(Duration::from_millis(200))
        .with_exit_after_terminate(Duration::from_millis(200));
    let command = command.env(MARKER, std::process::id().to_string()).child_timeouts(hurried);
    let lane = command.spawn().map_err(|error| format!("a child cannot be started: {error}"))?;
    counts.spawned.add(1);
    count.add(1);
    Ok(lane)
}

/// A handshake that is not answered ends after `handshake`.
pub(crate) async fn connect(
    lane: ChildLane,
    preference: Preference,
    handshake: Duration,
) -> Result<Client, ConnectError> {
    let mut timeouts = ClientTimeouts::default();
    timeouts.handshake = handshake;
    // It is the handshake that ends, however slow the machine is.
    timeouts.probe = ProbeTimeouts { discover: Duration::from_secs(3600) };
    let info = Implementation::new("soak", "1.0.0");
    Client::builder(&info).preference(preference).timeouts(timeouts).connect(lane).await
}

/// A client that makes calls, and counts how they end.
pub(crate) struct Caller<'a> {
    pub(crate) client: Client,
    pub(crate) counts: &'a Counts,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(client: Client, preference: Preference, counts: &'a Counts) -> Self {
        match preference {
            Preference::LegacyOnly => counts.connected_legacy.add(1),
            _ => counts.connected_modern.add(1),
        }
        Self { client, counts }
    }

    pub(crate) fn call(&self, tool: &str, arguments: Value) -> Call {
        self.counts.calls.add(1);
        self.client.call("tools/call", &json!({"name": tool, "arguments": arguments})).start()
    }

    /// Calls that would take ten minutes, which the server has read.
    pub(crate) async fn slow(&self, count: usize) -> Result<Vec<Call>, Wrong> {
        let calls = (0..count).map(|_| self.call("slow", json!({}))).collect();
        self.echoes(&[10]).await?;
        Ok(calls)
    }

    /// Calls side by side, each of which has to come back as it went.
    pub(crate) async fn echoes(&self, sizes: &[usize]) -> Result<(), Wrong> {
        let calls: Vec<_> = sizes
            .iter()
            .map(|size| {
                let text = format!("{:016x}{}", fastrand::u64(..), "é".repeat(size / 2));
                (self.call("echo", json!({"text": text})), text)
            })
            .collect();
        for (call, text) in calls {
            let answer = call.await.map_err(|error| format!("an echo failed: {error}"))?;
            let answer: Value = answer.deserialize().map_err(|error| format!("no JSON: {error}"))?;
            self.counts.answered.add(1);
            if answer["content"][0]["text"] != *text {
                return Err(format!("another answer, to an echo of {} bytes", text.len()));
            }
        }
        Ok(())
    }

    /// A call that the server refuses.
    pub(crate) async fn refused(&self) -> Result<(), Wrong> {
        self.counts.calls.add(1);
        match self.client.call("soak/unknown", &()).await {
            Err(CallError::Answered { error, .. }) if error.code == -32601 => {
                self.counts.answered_with_an_error.add(1);
                Ok(())
            }
            other => Err(format!("no refusal, but {other:?}")),
        }
    }

    /// A call that takes too long.
    pub(crate) async fn too_long(&self) -> Result<(), Wrong> {
        self.counts.calls.add(1);
        let mut options = CallOptions::default();
        options.deadlines = Some(Deadlines { idle: None, total: Some(Duration::from_millis(30)) });
        let params = RawJson::serialize(&json!({"name": "slow", "arguments": {}}));
        let params = params.map_err(|error| error.to_string())?;
        match self.client.call_with("tools/call", Some(params), options).await {
            Err(CallError::Timeout { .. }) => {
                self.counts.ended_by_a_deadline.add(1);
                Ok(())
            }
            other => Err(format!("no timeout, but {other:?}")),
        }
    }
}

/// Calls whose connection has ended say so, and nothing else.
pub(crate) async fn all_closed(calls: Vec<Call>, counts: &Counts) -> Result<Option<LinkEnd>, Wrong> {
    let mut last = None;
    for call in calls {
        match call.await {
            Err(CallError::Closed { end, .. }) => last = Some(end),
            other => return Err(format!("a call on a connection that has ended gave {other:?}")),
        }
        counts.ended_by_a_closed_connection.add(1);
    }
    Ok(last)
}

/// Whether an end tells of a death like that of our server.
pub(crate) fn tells_of_death(end: Option<LinkEnd>) -> Result<(), Wrong> {
    let said = end.map(|end| end.to_string()).unwrap_or_default();
    let expected: Arc<str> = format!("exited with status {DEATH}").into();
    if said.contains(&*expected) { Ok(()) } else { Err(format!("not explained by `{expected}`: {said}")) }
}
