//! The example server over HTTP, with our client, in both eras; and the client of the conformance suite with it.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "to panic is how a test reports")]

mod common;

use std::{process::Stdio, sync::Arc};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};
use towpath::{
    Client, ClientHandler, Era, ErrorObject, Event, Filter, Message, Preference, RawJson,
    client::HttpOptions, http::HttpConnect,
};
use towpath_testkit::within;

use common::{ERAS, EVERYTHING, info, refusal, text, tool, value};

const CONFORMANCE_CLIENT: &str = env!("CARGO_BIN_EXE_conformance-client");

/// The example server, on a port of its own. Dropped, it is gone.
struct Serving {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Serving {
    async fn start() -> Self {
        let mut command = Command::new(EVERYTHING);
        command.arg("--http").stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("it starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let url = stdout.next_line().await.expect("UTF-8").expect("a line");
        Self { child, stdout, url }
    }

    async fn connect(&self, preference: Preference) -> Client {
        self.connect_with(preference, HttpOptions::default()).await
    }

    async fn connect_with(&self, preference: Preference, options: HttpOptions) -> Client {
        let connect = HttpConnect::new(Default::default(), Default::default()).expect("a connector");
        Client::builder(&info())
            .preference(preference)
            .capabilities(json!({"sampling": {}}))
            .handler(Parrot)
            .connect_http(Arc::new(connect), self.url.parse().expect("a URL"), options)
            .await
            .expect("the server answers")
    }

    /// Tells it to leave; its exit code, and what it has printed beside its URL.
    async fn leave(mut self) -> (Option<i32>, Vec<String>) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("it runs");
        kill_process(pid, Signal::TERM).expect("it is ours");
        let mut more = Vec::new();
        while let Some(line) = self.stdout.next_line().await.expect("UTF-8") {
            more.push(line);
        }
        (self.child.wait().await.expect("it is ours").code(), more)
    }
}

/// Answers a prompt with itself.
struct Parrot;

impl ClientHandler for Parrot {
    async fn request(&self, request: Message, _: towpath::link::Context) -> Result<RawJson, ErrorObject> {
        let asked = value(request.params().expect("params"));
        let content = &asked["messages"][0]["content"];
        let answer = json!({"role": "assistant", "model": "none", "content": content});
        Ok(RawJson::serialize(&answer).expect("JSON"))
    }
}

#[tokio::test]
async fn one_address_serves_both_eras_with_what_comes_before_the_answer() {
    within(async {
        let serving = Serving::start().await;
        for preference in ERAS {
            let client = serving.connect(preference).await;
            let mut call = tool(&client, "progress", json!({"steps": 20, "delay_ms": 1})).with_progress();
            let mut seen = Vec::new();
            while let Some(note) = call.notification().await {
                seen.push(value(note.params().expect("params"))["progress"].as_f64().expect("a number"));
            }
            assert_eq!(seen, (1..=20).map(f64::from).collect::<Vec<_>>());
            assert_eq!(text(call.await.expect("an answer")), "done");
            // A modern server asks by its answer; to who writes the handler it is the same.
            let asked = tool(&client, "test_sampling", json!({"prompt": "2 + 2?"})).await.expect("an answer");
            assert_eq!(text(asked), "LLM response: 2 + 2?");
            client.close().await;
        }
        assert_eq!(serving.leave().await, (Some(0), Vec::new()));
    })
    .await;
}

#[tokio::test]
async fn a_client_that_polls_is_sent_away_and_comes_back_for_the_answer() {
    within(async {
        let serving = Serving::start().await;
        for preference in ERAS {
            let client = serving.connect(preference).await;
            let answer = text(tool(&client, "test_reconnection", json!({})).await.expect("an answer"));
            match client.server().revision.era() {
                Era::Legacy => assert_eq!(answer, "You have come back."),
                Era::Modern => assert_eq!(answer, "You have waited."),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_tool_wants_in_headers_is_there_and_has_to_be() {
    within(async {
        let serving = Serving::start().await;
        let client = serving.connect(Preference::ModernOnly).await;
        client.call("tools/list", &()).await.expect("an answer");
        for region in ["north", "Süd ", "=?base64?bm9ydGg=?=", ""] {
            let call = tool(&client, "test_custom_header", json!({"region": region}));
            assert_eq!(text(call.await.expect("an answer")), format!("The region is {region}."));
        }
        let plain = HttpOptions::default().with_tool_headers(false);
        let client = serving.connect_with(Preference::ModernOnly, plain).await;
        client.call("tools/list", &()).await.expect("an answer");
        let call = tool(&client, "test_custom_header", json!({"region": "north"}));
        assert_eq!(refusal(call.await).0, -32020);
        // What is not given needs no header.
        let call = tool(&client, "test_custom_header", json!({}));
        assert_eq!(text(call.await.expect("an answer")), "The region is not given.");
    })
    .await;
}

#[tokio::test]
async fn told_to_leave_the_server_ends_what_listens_and_leaves_well() {
    within(async {
        let serving = Serving::start().await;
        let (legacy, modern) =
            (serving.connect(Preference::LegacyOnly).await, serving.connect(Preference::ModernOnly).await);
        let filter = Filter { tools: true, ..Filter::default() };
        let mut listening = modern.listen(&filter).await.expect("it is acknowledged");
        // Whoever changes it, over whichever connection.
        tool(&legacy, "test_trigger_tool_change", json!({})).await.expect("an answer");
        assert_eq!(listening.next().await.expect("it goes on"), Some(Event::ToolsChanged));
        assert_eq!(serving.leave().await, (Some(0), Vec::new()));
        assert_eq!(listening.next().await.expect("it has ended politely"), None);
    })
    .await;
}

async fn conformance_client(url: &str, scenario: &str, revision: &str) -> (bool, String) {
    let output = Command::new(CONFORMANCE_CLIENT)
        .arg(url)
        .env("MCP_CONFORMANCE_SCENARIO", scenario)
        .env("MCP_CONFORMANCE_PROTOCOL_VERSION", revision)
        .kill_on_drop(true)
        .output()
        .await
        .expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    (output.status.success(), format!("{}{stderr}", String::from_utf8_lossy(&output.stdout)))
}

#[tokio::test]
async fn the_conformance_client_gets_through_everything_and_says_so() {
    within(async {
        let serving = Serving::start().await;
        for revision in ["2025-06-18", "2025-11-25", "2026-07-28"] {
            let said = conformance_client(&serving.url, "http-standard-headers", revision).await;
            assert_eq!(said, (true, "done\n".to_owned()), "{revision}");
        }
        let (success, said) =
            conformance_client(&serving.url, "sep-2322-client-request-state", "2026-07-28").await;
        assert!(!success && !said.contains("done"), "this server has no such tool: {said}");
        let (success, said) = conformance_client(&serving.url, "auth/metadata-default", "2026-07-28").await;
        assert!(!success && said.contains("no scenario"), "{said}");
    })
    .await;
}
