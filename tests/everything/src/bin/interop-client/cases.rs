//! The cases, in the order in which they run.

use std::{error::Error, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use towpath::{Era, RawJson};

use crate::{
    Args,
    peer::{Peer, Task},
    started::{Closed, Started},
};

/// What went wrong in a case.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Runs all cases, and says whether none failed.
pub(crate) async fn run(args: Args) -> bool {
    let started = timeout(CASE_LIMIT, Started::new(&args)).await.unwrap_or_else(|_| Err(over()));
    let started = match started {
        Ok(started) => {
            print("connect", &Ok(()));
            started
        }
        Err(failure) => {
            print("connect", &Err(failure));
            for case in REST {
                print(case, &Err("there is no connection".into()));
            }
            return false;
        }
    };
    let cases = Cases { args, started };
    let mut passed = true;
    for case in REST {
        let result = timeout(CASE_LIMIT, cases.case(case)).await.unwrap_or_else(|_| Err(over()));
        passed &= result.is_ok();
        print(case, &result);
    }
    passed
}

/// The cases after `connect`.
const REST: [&str; 7] = ["list", "echo-100B", "echo-1MiB", "progress", "burst", "cancel", "exit"];

/// For one case with all its rounds.
const CASE_LIMIT: Duration = Duration::from_secs(28);

struct Cases {
    args: Args,
    started: Started,
}

impl Cases {
    async fn case(&self, name: &str) -> Result<(), Failure> {
        if name == "exit" {
            return self.exit().await;
        }
        for _ in 0..self.args.rounds {
            match name {
                "list" => self.list().await?,
                "echo-100B" => self.echo(&"x".repeat(100)).await?,
                "echo-1MiB" => self.echo(&"0123456789abcdef".repeat(64 << 10)).await?,
                "progress" => self.progress(20, 5).await?,
                "burst" => self.progress(200, 0).await?,
                "cancel" => self.cancel().await?,
                _ => return Err("there is no such case".into()),
            }
        }
        let stats = self.started.client.peer().stats();
        match stats.malformed + stats.stray_answers + stats.stray_notifications {
            0 => Ok(()),
            _ => Err(format!("messages came that belong nowhere: {stats:?}").into()),
        }
    }

    async fn list(&self) -> Result<(), Failure> {
        let answer = self.started.client.call("tools/list", &json!({})).await?;
        let listed: Value = answer.deserialize()?;
        let tools = listed["tools"].as_array().ok_or("`tools` is no array")?;
        for wanted in self.args.peer.tools() {
            if !tools.iter().any(|tool| tool["name"] == *wanted) {
                return Err(format!("there is no tool `{wanted}`").into());
            }
        }
        Ok(())
    }

    async fn echo(&self, text: &str) -> Result<(), Failure> {
        let Task { params, text } = self.args.peer.echo(text);
        check(&self.started.client.call("tools/call", &params).await?, &text)
    }

    async fn progress(&self, steps: u32, delay_ms: u32) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct Progress {
            progress: f64,
            total: Option<f64>,
        }
        let Task { params, text } = self.args.peer.progress(steps, delay_ms);
        let mut call = self.started.client.call("tools/call", &params).with_progress();
        let mut seen = 0;
        while let Some(note) = call.notification().await {
            if note.method() != "notifications/progress" {
                continue;
            }
            let note = note.params().ok_or("progress without params")?;
            let Progress { progress, total } = note.deserialize()?;
            seen += 1;
            if (progress, total) != (f64::from(seen), Some(f64::from(steps))) {
                return Err(format!("report {seen} of {steps} is {note}").into());
            }
        }
        check(&call.await?, &text)?;
        match seen == steps {
            true => Ok(()),
            false => Err(format!("{seen} of {steps} reports came before the answer").into()),
        }
    }

    async fn cancel(&self) -> Result<(), Failure> {
        let before = self.started.cancelled();
        let call = self.started.client.call("tools/call", &self.args.peer.slow().params).start();
        // The server has read the first request when it answers the second.
        self.echo("one").await?;
        self.echo("two").await?;
        drop(call);
        if let Some(before) = before.filter(|_| self.hears_of_cancelled()) {
            self.started.wait_for_cancelled(before + 1).await?;
        }
        self.echo("after").await
    }

    /// The server on the TypeScript SDK 2.x has no sessions over legacy HTTP, so it cannot know what was cancelled.
    fn hears_of_cancelled(&self) -> bool {
        let stateless = self.args.peer == Peer::Ts2 && self.args.over_http();
        let legacy = self.started.client.server().revision.era() == Era::Legacy;
        self.args.peer.cancels() && !(stateless && legacy)
    }

    async fn exit(&self) -> Result<(), Failure> {
        match self.started.close().await {
            Closed::NotOurs => Ok(()),
            Closed::Exited(exit) if exit.is_success() => Ok(()),
            Closed::Exited(exit) => Err(exit.into()),
            Closed::LivesOn => Err("the server lives on after its input has ended".into()),
        }
    }
}

/// Whether an answer has this text, and nothing else.
fn check(answer: &RawJson, text: &str) -> Result<(), Failure> {
    let answer: Value = answer.deserialize()?;
    let content = answer["content"].as_array().ok_or("`content` is no array")?;
    match content.as_slice() {
        [one] if one["text"] == text => Ok(()),
        [_] => Err("the text came back changed".into()),
        more => Err(format!("{} pieces of content", more.len()).into()),
    }
}

fn over() -> Failure {
    format!("not done within {CASE_LIMIT:?}").into()
}

fn print(case: &str, result: &Result<(), Failure>) {
    match result {
        Ok(()) => println!("case {case} ok"),
        Err(failure) => {
            let reason: String = failure.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            println!("case {case} FAIL {}", reason.chars().take(300).collect::<String>());
        }
    }
}
