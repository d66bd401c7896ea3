//! Tools to look at the wire with: what the interoperability tests and this package's own use.

use std::{
    collections::HashMap,
    io::{Write, stderr},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::sleep;
use towpath::{Context, link::CancelReason};

use super::{Call, notify::unsent};
use crate::answer::{Answer, invalid, reply, text};

/// Answers the bytes that came: the text, and where there are other arguments, all of them.
pub(super) fn echo(call: &Call<'_>) -> Answer {
    #[derive(Serialize)]
    struct Text<'a> {
        r#type: &'static str,
        text: &'a RawValue,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Echo<'a> {
        content: [Text<'a>; 1],
        #[serde(skip_serializing_if = "Option::is_none")]
        structured_content: Option<&'a RawValue>,
    }
    let arguments = call.raw_arguments()?.ok_or_else(|| invalid("`text` is missing"))?;
    let members: HashMap<String, &RawValue> = serde_json::from_str(arguments.get())
        .map_err(|error| invalid(format!("invalid arguments: {error}")))?;
    let text = members.get("text").filter(|text| text.get().starts_with('"'));
    let text = text.ok_or_else(|| invalid("`text` must be a string"))?;
    let structured_content = (members.len() > 1).then_some(arguments);
    reply(Echo { content: [Text { r#type: "text", text }], structured_content })
}

pub(super) async fn progress(call: &Call<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Arguments {
        steps: u32,
        delay_ms: u64,
    }
    let Arguments { steps, delay_ms } = call.arguments()?;
    for step in 1..=steps {
        call.context.progress(step.into(), Some(steps.into()), None).await.map_err(unsent)?;
        if delay_ms > 0 {
            // allowed: to take time is what this tool is for
            sleep(Duration::from_millis(delay_ms)).await;
        }
    }
    text("done")
}

pub(super) async fn slow(call: &Call<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Arguments {
        ms: u64,
    }
    let Arguments { ms } = call.arguments()?;
    let tells = TellsWhenDropped { context: call.context };
    // allowed: to take time is what this tool is for
    sleep(Duration::from_millis(ms)).await;
    drop(tells);
    text("slept")
}

/// Says on stderr that its request was cancelled, if it was.
struct TellsWhenDropped<'a> {
    context: &'a Context,
}

impl Drop for TellsWhenDropped<'_> {
    fn drop(&mut self) {
        let (Some(CancelReason::ByPeer(_)), Some(id)) = (self.context.cancel_reason(), self.context.id())
        else {
            return;
        };
        // Nobody may be reading; that is no reason to panic while something is dropped.
        let _ = writeln!(stderr(), "cancelled {id}");
    }
}

/// Not in the list: a tool that is broken.
pub(super) fn panics() -> Answer {
    panic!("this tool panics on purpose");
}
