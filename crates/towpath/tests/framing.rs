//! What stands on the lines of a real pipe, and what a real server and a real client make of it.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

mod process;

use std::sync::{Arc, mpsc};

use process::{Gate, Served, call, ping};
use towpath::{ChildCommand, Client, Implementation, Preference, SkipReason};
use towpath_testkit::within;

fn is_answer(message: &str, id: u64) -> bool {
    message.contains(&format!(r#""id":{id},"result":"#))
}

#[test]
fn what_is_no_message_is_passed_over_and_told_of_and_the_messages_around_it_are_answered() {
    let gate = Gate::new("around");
    let mut served = Served::start(&mut gate.server());
    served.say_bytes(b"\xef\xbb\xbf");
    served.say(&ping(1).replace('\n', "\r\n"));
    assert!(is_answer(&served.message(), 1));
    served.say("\n\r\n \t \nnpm notice \x1b[32mready\x1b[0m\r\npanic\n");
    served.say_bytes(b"\0\0{\"jsonrpc\":\"2.0\"}\n\xff\xfe{}\nContent-Length: 5\r\n\r\n");
    served.say(&ping(2));
    assert!(is_answer(&served.message(), 2));
    served.end();
    assert_eq!(served.rest(), "", "nothing of it is answered");
    let stderr = served.assert_ends("the peer has closed");
    let told: Vec<&str> = stderr.lines().filter_map(|line| line.strip_prefix("skipped: ")).collect();
    assert_eq!(told.len(), 5, "{stderr}");
    assert_eq!(told[0], "npm notice ?[32mready?[0m of 25 bytes");
    assert_eq!(told[1], "panic of 5 bytes");
    assert_eq!(told[4], "Content-Length: 5 of 17 bytes");
}

#[test]
fn bad_utf_8_and_nul_in_a_message_are_one_parse_error_each() {
    let gate = Gate::new("bytes");
    let mut served = Served::start(&mut gate.server());
    for bad in [b"\xff".as_slice(), b"\xed\xa0\x80", b"\0", b"\x01"] {
        let message =
            [br#"{"jsonrpc":"2.0","method":"tools/list","params":{"a":""#.as_slice(), bad, b"\"}}\n"];
        served.say_bytes(&message.concat());
        let error = served.message();
        assert!(error.contains(r#""code":-32700"#), "{bad:?}: {error}");
        served.say(&ping(1));
        assert!(is_answer(&served.message(), 1), "{bad:?}: one error, and the next is answered");
    }
}

#[test]
fn half_a_line_at_the_end_is_answered_with_an_error() {
    let gate = Gate::new("half");
    let mut served = Served::start(&mut gate.server());
    let half = r#"{"jsonrpc":"2.0","id":1,"meth"#;
    served.say(&ping(7));
    assert!(is_answer(&served.message(), 7));
    served.say(half);
    served.end();
    let error = served.message();
    assert!(error.contains(r#""code":-32700"#) && error.contains("in the middle of a message"), "{error}");
    assert_eq!(served.rest(), "");
    served.assert_ends(&format!("in the middle of a message ({} bytes", half.len()));
}

#[test]
fn a_line_at_the_limit_is_answered_and_one_over_it_gets_an_error_with_its_id() {
    const LIMIT: usize = 70_000;
    let gate = Gate::new("limit");
    let mut served = Served::start(gate.server().env("LINE_BYTES", LIMIT.to_string()));
    let of_size = |id: u64, size: usize| {
        let line = ping(id);
        let missing = size + 1 - line.len();
        line.replace(r#","params""#, &format!(r#","params"{}"#, " ".repeat(missing)))
    };
    let at_the_limit = of_size(1, LIMIT);
    assert_eq!(at_the_limit.trim_end().len(), LIMIT);
    served.say(&at_the_limit);
    assert!(is_answer(&served.message(), 1));
    for over in [1, 200_000] {
        // Its siblings are in the same write.
        served.say(&format!("{}{}{}", ping(2), of_size(3, LIMIT + over), ping(4)));
        let answers = [served.message(), served.message(), served.message()];
        let refusal =
            answers.iter().find(|answer| answer.contains(r#""id":3"#)).expect("an error with its id");
        assert!(refusal.contains("-32600") && refusal.contains(&format!("{LIMIT}")), "{refusal}");
        for id in [2, 4] {
            assert!(answers.iter().any(|answer| is_answer(answer, id)), "{id} in {answers:?}");
        }
    }
}

#[test]
fn an_answer_of_several_lines_is_written_as_one() {
    let gate = Gate::new("pretty");
    let mut served = Served::start(&mut gate.server());
    served.say(&call(1, "pretty"));
    let answer = served.message();
    assert!(is_answer(&answer, 1) && answer.ends_with('}'), "{answer}");
    assert!(answer.contains(r#""tools":    []"#) && !answer.contains('\r'), "{answer}");
}

#[tokio::test]
async fn a_client_is_told_of_the_banner_of_a_server_and_a_panic_about_it_harms_nothing() {
    let gate = Gate::new("banner");
    let server = gate.server();
    let mut command = ChildCommand::new(server.get_program()).args(server.get_args());
    for (name, value) in server.get_envs() {
        command = command.env(name, value.expect("set"));
    }
    let (told, heard) = mpsc::sync_channel(16);
    let client = Client::builder(&Implementation::new("client", "1.0.0")).on_skipped(move |skipped| {
        assert_eq!(skipped.reason, SkipReason::NotAMessage);
        told.send((skipped.text.clone(), skipped.length)).expect("there is room");
        panic!("as asked");
    });
    let client = within(client.connect(command.spawn().expect("it starts"))).await.expect("it serves");
    let answer = within(client.call("tools/list", &serde_json::json!({}))).await.expect("it answers");
    assert!(answer.as_str().contains("tools"));
    // The runner of the tests has said it.
    let banners: Vec<_> = heard.try_iter().collect();
    assert_eq!(banners.first(), Some(&("running 1 test".to_owned(), 14)), "{banners:?}");
    within(client.close()).await;
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_of_its_answer_is_told_so() {
    let script = r#"read line; printf '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"20'; exit 3"#;
    let child = ChildCommand::new("sh").args(["-c", script]).spawn().expect("a shell");
    let client = Client::builder(&Implementation::new("client", "1.0.0")).preference(Preference::LegacyOnly);
    let error = within(client.connect(child)).await.expect_err("it died");
    let error = Arc::new(error).to_string();
    assert!(error.contains("in the middle of a message (55 bytes of it came)"), "{error}");
    assert!(error.contains('3'), "{error}");
}

/// What this program does when a test has started it.
#[test]
fn role() {
    process::serve_if_asked();
}
