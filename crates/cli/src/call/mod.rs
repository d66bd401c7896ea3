//! `towpath call`: one request to a server that is started for it, or that is there.

mod explain;
mod notes;
mod run;

use std::time::Duration;

use tokio::runtime;
use towpath::{RawJson, jsonrpc::EnvelopeError};

use crate::{
    args::{CallArgs, Target, call_hint},
    exit::{Failure, Status},
    signals::Signals,
    trace,
};

/// How long the server may take to end, at the end.
const CHILDREN: Duration = Duration::from_secs(2);

/// Makes the call, prints the result, and leaves nothing behind.
pub(crate) fn run(args: CallArgs) -> Result<(), Failure> {
    let params = args.params.as_deref().map(params).transpose()?;
    if args.command.is_empty() && args.url.is_none() {
        return Err(Failure::new(
            Status::Usage,
            "the server is missing: the command that starts it, after `--`, or --url",
        )
        .with_hint(call_hint()));
    }
    if let Some(Target::Socket(_)) = &args.url
        && !args.headers.is_empty()
    {
        let cause = "--header is for HTTP: a socket has no headers";
        return Err(Failure::new(Status::Usage, cause).with_hint(call_hint()));
    }
    trace::start(args.verbose);
    let mut signals = Signals::listen()?;
    let runtime =
        runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::not_started)?;
    let mut started: Option<run::Started> = None;
    let outcome = runtime.block_on(async {
        tokio::select! {
            // First of all: whoever interrupts does not care what else has happened. Both may be dropped: the call
            // takes the connection with it.
            biased;
            signal = signals.received() => Err(Failure::interrupted(signal)),
            outcome = run::run(&args, params, &mut started) => outcome,
        }
    });
    // With it go the client and its lane; a write to a stdout that nobody reads is not waited for.
    runtime.shutdown_background();
    let (child, guard) = started.map_or((None, None), |started| (Some(started.child), started.guard));
    if let (Some(child), Err(Status::Interrupted | Status::TimedOut)) =
        (child, outcome.as_ref().map_err(Failure::status))
    {
        // The end of its stdin would do for most servers; here nobody has the time.
        child.terminate();
    }
    towpath::wait_for_children(CHILDREN);
    if let Some(guard) = guard {
        guard.finish();
    }
    outcome
}

/// Params are one JSON object, and stay as they were written.
fn params(text: &str) -> Result<RawJson, Failure> {
    let hint = r#"PARAMS_JSON is one JSON object; quote it for the shell: '{"name": "echo"}'"#;
    let failed = |cause: String| Err(Failure::new(Status::Usage, cause).with_hint(hint));
    match RawJson::parse(text.to_owned()) {
        Ok(params) if params.as_bytes().starts_with(b"{") => Ok(params),
        Ok(_) => failed(format!("PARAMS_JSON is JSON, but no object: `{}`", clip(text, 0))),
        Err(EnvelopeError::NotJson { at, expected, .. }) if at >= text.len() => {
            failed(format!("PARAMS_JSON ends too early: {expected} expected after `{}`", tail(text)))
        }
        Err(EnvelopeError::NotJson { at, expected, .. }) => failed(format!(
            "PARAMS_JSON is not JSON: {expected} expected at byte {at}, at `{}`",
            clip(text, at)
        )),
        Err(error) => failed(format!("PARAMS_JSON: {error}")),
    }
}

fn clip(text: &str, at: usize) -> String {
    let rest = text.get(at..).unwrap_or(text);
    let shown: String = rest.chars().take(SHOWN_CHARS).collect();
    if shown.len() < rest.len() { shown + "…" } else { shown }
}

fn tail(text: &str) -> String {
    let start = text.char_indices().rev().nth(SHOWN_CHARS).map(|(at, _)| at);
    start.and_then(|at| text.get(at..)).map_or_else(|| text.to_owned(), |tail| format!("…{tail}"))
}

const SHOWN_CHARS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_are_an_object_and_stay_as_they_were_written() {
        assert_eq!(params(r#" {"a": 1e400} "#).unwrap().as_bytes(), br#"{"a": 1e400}"#);
        let wrong = [
            ("[1]", "no object: `[1]`"),
            (r#"{"a": 1,}"#, "at byte 8, at `}`"),
            (r#"{"a": "#, r#"ends too early"#),
            ("", "ends too early"),
            ("{name: 1}", "at byte 1, at `name: 1}`"),
        ];
        for (text, why) in wrong {
            let error = format!("{:?}", params(text).unwrap_err());
            assert!(error.contains(&why.escape_debug().to_string()), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_shown_of_params_is_short() {
        let long = "é".repeat(100);
        assert_eq!(clip(&long, 2).chars().count(), SHOWN_CHARS + 1);
        assert_eq!(tail(&long).chars().count(), SHOWN_CHARS + 2);
        assert_eq!((clip("ab", 1), tail("ab")), ("b".to_owned(), "ab".to_owned()));
    }
}
