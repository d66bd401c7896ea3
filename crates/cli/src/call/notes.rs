//! Notifications, one line each.

use serde_json::Value;
use tokio::sync::mpsc;
use towpath::{ClientHandler, Message, link::Context};

use crate::text::one_line;

/// Passes on what a server tells that is about no request: the log messages of a legacy one.
pub(super) struct Forward(pub(super) mpsc::Sender<Message>);

impl ClientHandler for Forward {
    async fn notification(&self, notification: Message, _: Context) {
        // At the limit it is dropped: the answer matters more.
        let _ = self.0.try_send(notification);
    }
}

/// A notification as a line.
pub(super) fn note_line(note: &Message) -> String {
    let params = note.params();
    let params = params.as_ref().filter(|params| params.len() <= READ_BYTES);
    let params = params.and_then(|params| params.deserialize::<Value>().ok()).unwrap_or_default();
    let said = match note.method() {
        "notifications/progress" => progress(&params),
        "notifications/message" => log(&params),
        _ => None,
    };
    let said = said.unwrap_or_else(|| {
        let params = note.params().map(|params| params.to_string()).unwrap_or_default();
        format!("{} {params}", note.method())
    });
    one_line(&said) + "\n"
}

/// `progress 3/10 (30 %): reading`
fn progress(params: &Value) -> Option<String> {
    let done = params.get("progress")?;
    let mut line = format!("progress {done}");
    if let Some(total) = params.get("total") {
        line.push_str(&format!("/{total}"));
        if let (Some(done), Some(total)) = (done.as_f64(), total.as_f64())
            && total > 0.0
        {
            line.push_str(&format!(" ({:.0} %)", done / total * 100.0));
        }
    }
    if let Some(message) = params.get("message").and_then(Value::as_str) {
        line.push_str(&format!(": {message}"));
    }
    Some(line)
}

/// `warning from db: slow`
fn log(params: &Value) -> Option<String> {
    let level = params.get("level")?.as_str()?;
    let from = params.get("logger").and_then(Value::as_str).map(|logger| format!(" from {logger}"));
    let data = params.get("data")?;
    let data = data.as_str().map_or_else(|| data.to_string(), str::to_owned);
    Some(format!("{level}{}: {data}", from.unwrap_or_default()))
}

/// Larger ones are shown as they came, as far as there is room.
const READ_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(method: &str, params: &str) -> String {
        let text = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
        note_line(&Message::parse(text.into(), &Default::default()).unwrap())
    }

    #[test]
    fn each_kind_of_notification_has_its_line() {
        let table = [
            (
                "progress",
                r#"{"progress":3,"total":10,"message":"reading"}"#,
                "progress 3/10 (30 %): reading\n",
            ),
            ("progress", r#"{"progress":0.5}"#, "progress 0.5\n"),
            ("progress", r#"{"progress":1,"total":0}"#, "progress 1/0\n"),
            ("progress", "{}", "notifications/progress {}\n"),
            ("message", r#"{"level":"warning","logger":"db","data":"a\nb"}"#, "warning from db: a | b\n"),
            ("message", r#"{"level":"info","data":{"a":1}}"#, "info: {\"a\":1}\n"),
            ("other", r#"{"a":1e400}"#, "notifications/other {\"a\":1e400}\n"),
        ];
        for (method, params, expected) in table {
            assert_eq!(line(&format!("notifications/{method}"), params), expected);
        }
    }

    #[test]
    fn a_large_notification_is_a_short_line() {
        let large = format!(r#"{{"level":"info","data":"{}"}}"#, "x".repeat(1 << 20));
        let line = line("notifications/message", &large);
        assert!(line.len() < 5000 && line.starts_with("notifications/message {\"level\""), "{line}");
    }
}
