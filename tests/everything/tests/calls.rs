//! Our client with the example server, in both eras.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "to panic is how a test reports")]

mod common;

use std::{future::Future, time::Duration};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use towpath::{
    Client, ClientHandler, Era, ErrorObject, Event, Filter, Message, Preference, RawJson, jsonrpc::code,
};
use towpath_testkit::within;

use common::{ERAS, command, connect, connect_to, info, refusal, text, tool, value};

async fn in_both_eras<F: Future<Output = ()>>(test: impl Fn(Client) -> F) {
    for preference in ERAS {
        within(async { test(connect(preference).await).await }).await;
    }
}

#[tokio::test]
async fn the_list_has_the_tools_in_one_order_and_the_first_takes_no_arguments() {
    in_both_eras(async |client| {
        let list = async || value(client.call("tools/list", &()).await.expect("a list"));
        let (one, two) = (list().await, list().await);
        assert_eq!(one["tools"], two["tools"]);
        let names: Vec<&str> =
            one["tools"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
        assert!(["echo", "progress", "slow"].iter().all(|name| names.contains(name)), "{names:?}");
        assert!(!names.contains(&"test_panic"), "{names:?}");
        tool(&client, names[0], json!({})).await.expect("it takes no arguments");
        let modern = client.server().revision.era() == Era::Modern;
        assert_eq!(one["ttlMs"].is_u64() && one["cacheScope"].is_string(), modern, "hints to cache by");
    })
    .await;
}

#[tokio::test]
async fn every_tool_of_the_list_that_takes_no_arguments_can_be_called() {
    in_both_eras(async |client| {
        let list = value(client.call("tools/list", &()).await.expect("a list"));
        for listed in list["tools"].as_array().unwrap() {
            let name = listed["name"].as_str().unwrap();
            let required = listed["inputSchema"]["required"].as_array();
            if required.is_none_or(|required| required.is_empty()) {
                // This client declares nothing, so some say what they lack.
                match tool(&client, name, json!({})).await {
                    Ok(answer) => assert!(value(answer)["content"][0].is_object(), "{name}"),
                    Err(_) => assert_eq!(refusal(tool(&client, name, json!({})).await).0, -32021, "{name}"),
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_mebibyte_comes_back_unchanged() {
    let mebibyte = "0123456789abcdé".repeat(1 << 16);
    in_both_eras(async |client| {
        let answer = tool(&client, "echo", json!({"text": mebibyte})).await.expect("an answer");
        assert!(text(answer) == mebibyte, "changed");
    })
    .await;
}

#[tokio::test]
async fn values_come_back_as_the_bytes_that_were_sent() {
    in_both_eras(async |client| {
        let arguments = r#"{"text":"\u00e9\/\ud83d\ude00\t", "big":9223372036854775808,"n":1.0E400,"u\u006e":[ 1 ,{"":null}]}"#;
        let params = RawJson::parse(format!(r#"{{"name":"echo","later":true,"arguments":{arguments}}}"#)).unwrap();
        let answer = client.call_with("tools/call", Some(params), Default::default()).await.expect("an answer");
        assert!(answer.as_str().contains(arguments), "{answer}");
        assert!(answer.as_str().contains(r#""text":"\u00e9\/\ud83d\ude00\t"}]"#), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn progress_comes_in_order_and_before_the_answer() {
    for (steps, delay_ms) in [(20, 2), (200, 0)] {
        in_both_eras(async |client| {
            let mut call =
                tool(&client, "progress", json!({"steps": steps, "delay_ms": delay_ms})).with_progress();
            let mut seen = Vec::new();
            while let Some(note) = call.notification().await {
                let params = value(note.params().expect("params"));
                assert_eq!(params["total"].as_f64(), Some(f64::from(steps)), "{params}");
                seen.push(params["progress"].as_f64().expect("a number"));
            }
            assert_eq!(seen, (1..=steps).map(f64::from).collect::<Vec<_>>());
            assert_eq!(text(call.await.expect("an answer")), "done");
            assert_eq!(client.peer().stats().stray_notifications, 0, "none after the answer");
        })
        .await;
    }
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_at_the_server_and_never_answered() {
    for preference in ERAS {
        within(async {
            let (say, mut said) = mpsc::channel(16);
            let server =
                command().on_stderr_line(move |line| say.try_send(line.to_owned()).expect("few lines"));
            let client = connect_to(server, preference).await;
            let call = tool(&client, "slow", json!({"ms": 600_000})).start();
            let id = call.id().expect("it is sent");
            tool(&client, "echo", json!({"text": "the server has read the call"})).await.expect("an answer");
            drop(call);
            assert_eq!(said.recv().await, Some(format!("cancelled {id}")));
            tool(&client, "echo", json!({"text": "after"})).await.expect("the siblings live");
            let stats = client.peer().stats();
            assert_eq!((stats.late_answers, stats.stray_answers), (0, 0), "{stats:?}");
        })
        .await;
    }
}

/// Answers what a server may ask.
struct Obliging;

impl ClientHandler for Obliging {
    async fn request(&self, request: Message, _: towpath::link::Context) -> Result<RawJson, ErrorObject> {
        let asked = value(request.params().unwrap_or_else(RawJson::empty_object));
        let answer = match request.method() {
            "sampling/createMessage" => {
                let prompt = &asked["messages"][0]["content"]["text"];
                json!({"role": "assistant", "model": "none", "content": {"type": "text", "text": prompt}})
            }
            "elicitation/create" => {
                let fields: Vec<&String> =
                    asked["requestedSchema"]["properties"].as_object().unwrap().keys().collect();
                json!({"action": "accept", "content": {"name": "Ada", "fields": fields}})
            }
            "roots/list" => json!({"roots": [{"uri": "file:///here"}]}),
            _ => return Err(ErrorObject::new(code::METHOD_NOT_FOUND, "what?")),
        };
        Ok(RawJson::serialize(&answer).expect("JSON"))
    }
}

#[tokio::test]
async fn a_legacy_server_asks_its_client_while_it_handles_a_call() {
    within(async {
        let client = Client::builder(&info())
            .preference(Preference::LegacyOnly)
            .capabilities(json!({"sampling": {}, "elicitation": {}, "roots": {}}))
            .handler(Obliging)
            .connect(command().spawn().expect("it starts"))
            .await
            .expect("it answers");
        let expected = [
            ("test_sampling", json!({"prompt": "2 + 2?"}), "LLM response: 2 + 2?"),
            ("test_elicitation", json!({"message": "who?"}), r#"["email","username"]"#),
            ("test_elicitation_sep1034_defaults", json!({}), r#"["age","name","score","status","verified"]"#),
            ("test_elicitation_sep1330_enums", json!({}), r#""untitledSingle""#),
            ("test_input_required_result_elicitation", json!({}), "Hello, Ada!"),
            ("test_input_required_result_list_roots", json!({}), "file:///here"),
        ];
        for (name, arguments, wanted) in expected {
            let answer = text(tool(&client, name, arguments).await.expect("an answer"));
            assert!(answer.contains(wanted), "{name}: {answer}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_modern_server_says_what_is_missing_and_takes_only_its_own_state_back() {
    within(async {
        let client = Client::builder(&info())
            .preference(Preference::ModernOnly)
            .capabilities(json!({"elicitation": {}}))
            .connect(command().spawn().expect("it starts"))
            .await
            .expect("it answers");
        let call = async |name: &str, responses: Value, state: &Value| {
            let mut params = json!({"name": name, "arguments": {}, "inputResponses": responses});
            if !state.is_null() {
                params["requestState"] = state.clone();
            }
            client.call("tools/call", &params).await
        };
        let accept = |key: &str, content: Value| json!({key: {"action": "accept", "content": content}});
        let name = "test_input_required_result_multi_round";
        let first = value(call(name, json!({}), &Value::Null).await.expect("a result"));
        assert_eq!(first["resultType"], "input_required");
        assert_eq!(first["inputRequests"]["step1"]["method"], "elicitation/create");
        let second = call(name, accept("step1", json!({"name": "Ada"})), &first["requestState"]).await;
        let second = value(second.expect("a result"));
        assert!(second["inputRequests"]["step2"].is_object(), "{second}");
        assert_ne!(first["requestState"], second["requestState"]);
        let mut tampered = second["requestState"].as_str().unwrap().to_owned();
        let first_letter = if tampered.starts_with('0') { "1" } else { "0" };
        tampered.replace_range(..1, first_letter);
        let tampered = Value::from(tampered);
        let color = accept("step2", json!({"color": "blue"}));
        assert_eq!(refusal(call(name, color.clone(), &tampered).await).0, code::INVALID_PARAMS);
        let other = "test_input_required_result_request_state";
        assert_eq!(refusal(call(other, json!({}), &second["requestState"]).await).0, code::INVALID_PARAMS);
        let done = value(call(name, color, &second["requestState"]).await.expect("a result"));
        assert_eq!(done["resultType"], "complete");
        // It did not declare sampling.
        let (code, data) = refusal(tool(&client, "test_input_required_result_sampling", json!({})).await);
        assert_eq!((code, &data["requiredCapabilities"]), (-32021, &json!({"sampling": {}})));
        let possible =
            value(call("test_input_required_result_capabilities", Value::Null, &Value::Null).await.unwrap());
        assert_eq!(possible["inputRequests"].as_object().unwrap().keys().collect::<Vec<_>>(), ["user_name"]);
    })
    .await;
}

#[tokio::test]
async fn a_subscriber_hears_of_changes_that_others_make() {
    in_both_eras(async |client| {
        let filter = Filter {
            tools: true,
            prompts: true,
            uris: ["test://watched-resource".into()].into(),
            ..Filter::default()
        };
        let mut subscription = client.listen(&filter).await.expect("it is honoured");
        assert_eq!(*subscription.honoured(), filter);
        let changes = [
            ("test_trigger_tool_change", Event::ToolsChanged),
            ("test_trigger_prompt_change", Event::PromptsChanged),
            ("test_trigger_resource_update", Event::ResourceUpdated("test://watched-resource".to_owned())),
        ];
        for (name, event) in changes {
            tool(&client, name, json!({})).await.expect("an answer");
            assert_eq!(subscription.next().await.expect("the server lives"), Some(event));
        }
        subscription.close().await.expect("it is told");
        tool(&client, "echo", json!({"text": "after"})).await.expect("the client goes on");
    })
    .await;
}

#[tokio::test]
async fn a_tool_that_panics_answers_its_own_request_and_harms_no_other() {
    in_both_eras(async |client| {
        let slow = tool(&client, "slow", json!({"ms": 50})).start();
        assert_eq!(refusal(tool(&client, "test_panic", json!({})).await).0, code::INTERNAL_ERROR);
        assert_eq!(text(slow.await.expect("it ran beside")), "slept");
        assert_eq!(text(tool(&client, "echo", json!({"text": "next"})).await.expect("an answer")), "next");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_an_error_with_the_code_of_the_era() {
    in_both_eras(async |client| {
        assert_eq!(refusal(tool(&client, "no_such_tool", json!({})).await).0, code::INVALID_PARAMS);
        assert_eq!(refusal(client.call("no/such/method", &()).await).0, code::METHOD_NOT_FOUND);
        let prompt = client.call("prompts/get", &json!({"name": "no_such_prompt"})).await;
        assert_eq!(refusal(prompt).0, code::INVALID_PARAMS);
        let (code, data) = refusal(client.call("resources/read", &json!({"uri": "test://nothing"})).await);
        let wanted =
            if client.server().revision.era() == Era::Modern { code::INVALID_PARAMS } else { -32002 };
        assert_eq!((code, &data["uri"]), (wanted, &json!("test://nothing")));
        assert_eq!(refusal(client.call("tools/list", &json!({"cursor": "x"})).await).0, code::INVALID_PARAMS);
    })
    .await;
}

#[tokio::test]
async fn prompts_resources_and_completions_answer_in_both_eras() {
    in_both_eras(async |client| {
        let ask = async |method: &'static str, params: Value| {
            value(client.call(method, &params).await.expect(method))
        };
        for name in ["test_simple_prompt", "test_prompt_with_arguments", "test_prompt_with_image"] {
            let arguments = json!({"arg1": "hello", "arg2": "world"});
            let prompt = ask("prompts/get", json!({"name": name, "arguments": arguments})).await;
            assert!(prompt["messages"][0]["content"].is_object(), "{prompt}");
        }
        let arguments = json!({"resourceUri": "test://any"});
        let params = json!({"name": "test_prompt_with_embedded_resource", "arguments": arguments});
        assert_eq!(
            ask("prompts/get", params).await["messages"][0]["content"]["resource"]["uri"],
            "test://any"
        );
        assert_eq!(ask("prompts/list", json!({})).await["prompts"].as_array().unwrap().len(), 5);
        for resource in ask("resources/list", json!({})).await["resources"].as_array().unwrap() {
            let read = ask("resources/read", json!({"uri": resource["uri"]})).await;
            assert_eq!(read["contents"][0]["uri"], resource["uri"]);
        }
        let read = ask("resources/read", json!({"uri": "test://template/7/data"})).await;
        assert!(read["contents"][0]["text"].as_str().unwrap().contains(r#""id":"7""#), "{read}");
        let templates = ask("resources/templates/list", json!({})).await;
        let of = json!({"type": "ref/resource", "uri": templates["resourceTemplates"][0]["uriTemplate"]});
        let argument = json!({"name": "id", "value": "2"});
        let completed = ask("completion/complete", json!({"ref": of, "argument": argument})).await;
        assert_eq!(completed["completion"]["values"], json!(["2"]));
    })
    .await;
}

#[tokio::test]
async fn a_call_with_a_deadline_is_cancelled_when_it_passes() {
    for preference in ERAS {
        within(async {
            let (say, mut said) = mpsc::channel(16);
            let server =
                command().on_stderr_line(move |line| say.try_send(line.to_owned()).expect("few lines"));
            let client = connect_to(server, preference).await;
            let call = tool(&client, "slow", json!({"ms": 600_000}));
            let failed = call.with_total(Some(Duration::from_millis(50))).await.expect_err("it is slow");
            assert!(failed.to_string().contains("50ms"), "{failed}");
            assert!(said.recv().await.is_some_and(|line| line.starts_with("cancelled ")));
        })
        .await;
    }
}
