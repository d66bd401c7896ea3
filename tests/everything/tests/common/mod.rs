//! What the tests with real processes share.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use serde_json::{Value, json};
use towpath::{
    Call, CallError, ChildCommand, Client, Implementation, Preference, RawJson, stdio::Environment,
};

/// The program under test.
pub(crate) const EVERYTHING: &str = env!("CARGO_BIN_EXE_everything");

/// Both eras, as a client asks for them.
pub(crate) const ERAS: [Preference; 2] = [Preference::LegacyOnly, Preference::ModernOnly];

/// A server of its own for every test.
pub(crate) fn command() -> ChildCommand {
    ours(ChildCommand::new(EVERYTHING))
}

/// By its environment a process is known as one of the test's, whoever its parent is by then.
pub(crate) fn ours(command: ChildCommand) -> ChildCommand {
    command.environment(Environment::All)
}

/// Who the clients of the tests are.
pub(crate) fn info() -> Implementation {
    Implementation::new("test", "1.0.0")
}

/// A client of a new server.
pub(crate) async fn connect(preference: Preference) -> Client {
    connect_to(command(), preference).await
}

/// A client of a new server that is started in some way.
pub(crate) async fn connect_to(command: ChildCommand, preference: Preference) -> Client {
    let lane = command.spawn().expect("the server starts");
    Client::builder(&info()).preference(preference).connect(lane).await.expect("the server answers")
}

/// A call of a tool.
pub(crate) fn tool(client: &Client, name: &str, arguments: Value) -> Call {
    client.call("tools/call", &json!({"name": name, "arguments": arguments}))
}

/// The value of an answer.
pub(crate) fn value(answer: RawJson) -> Value {
    answer.deserialize().expect("an answer is JSON")
}

/// The first text in the answer of a tool.
pub(crate) fn text(answer: RawJson) -> String {
    match &value(answer)["content"][0]["text"] {
        Value::String(text) => text.clone(),
        other => panic!("no text but {other}"),
    }
}

/// The code of the error that a call was answered with, and its data.
pub(crate) fn refusal(answer: Result<RawJson, CallError>) -> (i64, Value) {
    match answer {
        Err(CallError::Answered { error, .. }) => (error.code, error.data.map_or(Value::Null, value)),
        other => panic!("no error of the server but {other:?}"),
    }
}
