//! The call itself: start, connect, ask, print, close.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::value::RawValue;
use tokio::{
    io::{AsyncWriteExt, stdout},
    sync::mpsc,
    time::timeout_at,
};
use towpath::{
    Client, Implementation, Limits, LogLevel, Message, RawJson,
    client::{CallOptions, ClientTimeouts, ProbeTimeouts},
    stdio::ChildHandle,
};

use super::{
    explain::Explain,
    notes::{Forward, note_line},
};
use crate::{
    args::{CallArgs, EraChoice, Target},
    child::{self, Seen},
    connect::{connector, http_options, socket},
    exit::{Failure, Status},
    explain,
    guard::Guard,
    stderr,
    text::pretty,
    watch::Watched,
};

/// The server, and the guard of what it starts.
pub(super) struct Started {
    pub(super) child: ChildHandle,
    pub(super) guard: Option<Guard>,
}

/// Makes the call. What was started is put into `started`, for whoever drops this future.
///
/// # Cancel safety
///
/// Dropped, the call is cancelled, and the connection ends.
pub(super) async fn run(
    args: &CallArgs,
    params: Option<RawJson>,
    started: &mut Option<Started>,
) -> Result<(), Failure> {
    let until = Instant::now() + args.timeout;
    let seen = Seen::default();
    let explain = Explain { args, start: explanation(args, &seen) };
    let limits = Limits::default().with_max_message_bytes(args.max_message_size);
    let (forward, mut others) = mpsc::channel(WAITING_NOTES);

    let builder = Client::builder(&Implementation::new("towpath", env!("CARGO_PKG_VERSION")))
        .preference(args.era.into())
        .limits(limits.link.clone())
        .timeouts(timeouts(args, until))
        .handler(Forward(forward));
    let connected = match &args.url {
        Some(Target::Http(url)) => {
            let options = http_options(&args.headers, &limits);
            builder.connect_http(connector()?, url.clone(), options).await
        }
        Some(Target::Socket(address)) => {
            let lane = timeout_at(until.into(), socket(address, &limits)).await;
            builder.connect(lane.map_err(|_| explain.start.silent())??).await
        }
        None => {
            let lane =
                child::spawn(&args.command, &args.child, &limits).map_err(|error| explain::spawn(&error))?;
            let child = lane.handle();
            let guard = Guard::of(child.pid()).map_err(|error| {
                // The call can be made without one.
                stderr::write(format!("no guard of the server's processes: {error}\n").into_bytes());
            });
            *started = Some(Started { child, guard: guard.ok() });
            seen.look_at(&lane);
            builder.connect(Watched::new(lane, Arc::new(seen.clone()))).await
        }
    };
    let client = connected.map_err(|error| explain.start.connect(&error))?;

    let mut options = CallOptions::default();
    options.progress = !args.quiet;
    options.log_level = Some(if args.verbose > 0 { LogLevel::Debug } else { LogLevel::Info });
    let mut call = client
        .call_with(args.method.clone(), params, options)
        .with_total(Some(until.saturating_duration_since(Instant::now())));
    loop {
        let note = tokio::select! {
            // What belongs to the call comes first. Both are cancel safe: a wait that is dropped takes nothing.
            biased;
            note = call.notification() => note,
            Some(note) = others.recv() => Some(note),
        };
        match note {
            Some(note) => write_note(args, &note),
            None => break,
        }
    }
    while let Ok(note) = others.try_recv() {
        write_note(args, &note);
    }
    let result = call.await.map_err(|error| explain.call(&error, &client))?;
    timeout_at(until.into(), print(&result)).await.map_err(|_| explain.unread())??;
    // The result is out: a server that takes its time with the end is ended, and that is no failure of the call.
    let _ = timeout_at(until.into(), client.close()).await;
    if args.method == "tools/call" && says_that_it_failed(&result) {
        let cause = "the tool says that it failed: its result, on stdout, has `isError`";
        return Err(Failure::new(Status::Refused, cause));
    }
    Ok(())
}

fn explanation<'a>(args: &CallArgs, seen: &'a Seen) -> explain::Explain<'a> {
    let server = match &args.url {
        Some(url) => url.to_string(),
        None => child::program(&args.command),
    };
    explain::Explain {
        server,
        seen: args.url.is_none().then_some(seen),
        inherits: args.child.inherit_env,
        era: args.era,
        within: (args.timeout, "--timeout"),
        late: Status::TimedOut,
    }
}

/// A server that is slow to start, since it is downloaded first, is not to be taken for a legacy one; and a legacy one
/// that says nothing to what it does not know still gets its share of the time. Where there is nothing to fall back to,
/// silence is no answer.
fn timeouts(args: &CallArgs, until: Instant) -> ClientTimeouts {
    let mut timeouts = ClientTimeouts::default();
    timeouts.handshake = until.saturating_duration_since(Instant::now());
    let discover = match args.era {
        EraChoice::Modern => args.timeout * 2,
        _ => DISCOVER.min(args.timeout / 2),
    };
    timeouts.probe = ProbeTimeouts { discover };
    timeouts
}

fn write_note(args: &CallArgs, note: &Message) {
    if !args.quiet {
        stderr::write(note_line(note).into_bytes());
    }
}

/// The result as it came; for a terminal with lines and indentation.
async fn print(result: &RawJson) -> Result<(), Failure> {
    let mut stdout = stdout();
    let written = async {
        if io::stdout().is_terminal() {
            stdout.write_all(pretty(result.as_str()).as_bytes()).await?;
        } else {
            stdout.write_all(result.as_bytes()).await?;
        }
        stdout.write_all(b"\n").await?;
        stdout.flush().await
    };
    match written.await {
        // Whoever reads has read enough: `| head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(
            Status::NotWritten,
            format!("the result could not be written to stdout: {error}"),
        )
        .with_hint("the server has answered; mind that it may have acted before you call again")),
        Ok(()) => Ok(()),
    }
}

fn says_that_it_failed(result: &RawJson) -> bool {
    let members: BTreeMap<String, Box<RawValue>> = result.deserialize().unwrap_or_default();
    members.get("isError").is_some_and(|value| value.get() == "true")
}

/// Log messages and the like that wait to be printed; at the limit further ones are dropped.
const WAITING_NOTES: usize = 256;
const DISCOVER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_failed_says_so_at_the_top_of_its_result() {
        let says = |text: &str| says_that_it_failed(&RawJson::parse(text.to_owned()).unwrap());
        assert!(says(r#"{"content":[],"isError" : true}"#));
        for text in [r#"{"isError":false}"#, r#"{"a":{"isError":true}}"#, "{}", "[]", r#"{"isError":"true"}"#]
        {
            assert!(!says(text), "{text}");
        }
    }
}
