//! A client and a server of Towpath, who do not notice the relay between them.
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

use serde_json::json;
use towpath_client::{Client, Preference};
use towpath_jsonrpc::{ErrorObject, RawJson};
use towpath_raw::{LaneLimits, LaneTimeouts, TaskScope};
use towpath_relay::{RelayOptions, relay};
use towpath_server::{Context, Filter, Handler, Implementation, Request, Server};
use towpath_testkit::{memory_pair, within};

struct Script;

impl Handler for Script {
    async fn request(&self, request: Request, context: Context) -> Result<RawJson, ErrorObject> {
        for step in 1..=100 {
            context
                .progress(f64::from(step), Some(100.0), None)
                .await
                .map_err(|error| ErrorObject::new(-32603, error.to_string()))?;
        }
        Ok(request.params().unwrap_or_else(RawJson::empty_object))
    }
}

#[tokio::test]
async fn both_eras_work_as_without_it() {
    for preference in [Preference::LegacyOnly, Preference::ModernOnly] {
        let tasks = TaskScope::new();
        let (near, incoming) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
        let (outgoing, far) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
        tasks.spawn(async move {
            relay(incoming, outgoing, RelayOptions::default()).await;
        });
        let capabilities = json!({"tools": {"listChanged": true}});
        let server = Server::new(Implementation::new("far", "1"), capabilities, Script);
        let publisher = server.publisher();
        tasks.spawn(async move {
            server.serve(far).await;
        });
        let builder = Client::builder(&Implementation::new("near", "1")).preference(preference);
        let client = within(builder.connect(near)).await.expect("they understand each other");
        let filter = Filter { tools: true, ..Filter::default() };
        let mut changes = within(client.listen(&filter)).await.expect("it is acknowledged");
        let mut call = client.call("tools/call", &json!({"name": "x", "n": 1})).with_progress();
        let mut reports = 0;
        while within(call.notification()).await.is_some() {
            reports += 1;
        }
        assert_eq!(reports, 100, "{preference:?}");
        let answer = within(call).await.expect("an answer");
        assert!(answer.as_str().contains(r#""name":"x""#), "{answer}");
        // The server has heard by now that the client is there.
        publisher.tools_changed();
        assert!(within(changes.next()).await.expect("it lives").is_some(), "{preference:?}");
        drop(tasks);
    }
}
