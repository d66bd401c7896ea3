//! Tools that say something before they answer, or to others; and one that has its client come back for the answer.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use serde::Deserialize;
use tokio::time::sleep;
use towpath::{Context, ErrorObject, LogLevel, RawJson, link::NotifyError};

use super::Call;
use crate::{
    answer::{Answer, reply, text},
    resources::WATCHED,
};

/// After how long a client that polls asks again.
const COME_BACK: Duration = Duration::from_millis(100);

/// Between two notifications, so that they do not arrive together.
async fn pause() {
    // allowed: time is what passes between the notifications of this tool
    sleep(Duration::from_millis(50)).await;
}

/// A notification that could not be sent: nobody is left who could read why.
pub(super) fn unsent(error: NotifyError) -> ErrorObject {
    ErrorObject::new(towpath::jsonrpc::code::INTERNAL_ERROR, error.to_string())
}

async fn log(context: &Context, message: &str) -> Result<(), ErrorObject> {
    let data: RawJson = reply(message)?;
    context.log(LogLevel::Info, Some("towpath-everything"), &data).await.map_err(unsent)
}

pub(super) async fn logging(call: &Call<'_>) -> Answer {
    log(call.context, "The tool has started").await?;
    pause().await;
    log(call.context, "The tool is working").await?;
    pause().await;
    log(call.context, "The tool is done").await?;
    text("Logged three times.")
}

pub(super) async fn one_log(call: &Call<'_>) -> Answer {
    log(call.context, "Somebody wants to know").await?;
    text("Logged if it was wanted.")
}

pub(super) async fn half_way(call: &Call<'_>) -> Answer {
    for percent in [0.0, 50.0, 100.0] {
        let message = format!("{percent} of 100");
        call.context.progress(percent, Some(100.0), Some(&message)).await.map_err(unsent)?;
        pause().await;
    }
    text("Reported three times.")
}

pub(super) async fn reconnection(call: &Call<'_>) -> Answer {
    // What takes long can do so without a connection, where the client polls.
    let polls = call.context.close_stream(Some(COME_BACK));
    pause().await;
    text(match polls {
        true => "You have come back.",
        false => "You have waited.",
    })
}

pub(super) fn tools_changed(call: &Call<'_>) -> Answer {
    call.server.publish(|publisher| publisher.tools_changed());
    text("Told of tools.")
}

pub(super) fn prompts_changed(call: &Call<'_>) -> Answer {
    call.server.publish(|publisher| publisher.prompts_changed());
    text("Told of prompts.")
}

pub(super) fn resource_updated(call: &Call<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Arguments {
        uri: Option<String>,
    }
    let Arguments { uri } = call.arguments()?;
    let uri = uri.as_deref().unwrap_or(WATCHED);
    if uri == WATCHED {
        call.server.changes.fetch_add(1, Relaxed);
    }
    call.server.publish(|publisher| publisher.resource_updated(uri));
    text("Told of a resource.")
}
