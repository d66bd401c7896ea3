//! Peers that mean harm, or are broken: each costs bounded memory and time, and gets a typed end.
//!
//! Each test runs in a process of its own, in which every allocation is counted.
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use towpath::{
    CallError, ChildCommand, Client, ConnectError, Context, ErrorObject, Handler, Implementation, IoLane,
    LinkEnd, Preference, RawJson, Request, Server, client::ClientTimeouts,
};
use towpath_testkit::{
    leak::{Baseline, CountingAllocator, isolated},
    within_for,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const MIB: usize = 1 << 20;
const LONG: Duration = Duration::from_secs(50);

struct Echo;

impl Handler for Echo {
    async fn request(&self, request: Request, context: Context) -> Result<RawJson, ErrorObject> {
        match request.method() {
            "ask" => {
                let answer = context.request("sampling/createMessage", None).await;
                return answer.map_err(|error| ErrorObject::new(1, error.to_string()));
            }
            "wait" => std::future::pending().await,
            _ => {}
        }
        Ok(request.params().unwrap_or_else(RawJson::empty_object))
    }
}

fn server() -> Server<Echo> {
    Server::new(Implementation::new("echo", "1"), json!({}), Echo)
}

fn lane(stream: DuplexStream) -> IoLane<ReadHalf<DuplexStream>, WriteHalf<DuplexStream>> {
    let (reader, writer) = tokio::io::split(stream);
    IoLane::new(reader, writer, "the test", Default::default(), Default::default())
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { within_for(LONG, test).await });
}

fn discard(mut answers: impl AsyncRead + Unpin + Send + 'static) -> tokio::task::JoinHandle<u64> {
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 << 10];
        let mut lines = 0;
        while let Ok(count @ 1..) = answers.read(&mut buffer).await {
            lines += buffer[..count].iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        lines
    })
}

const HANDSHAKE: &str = concat!(
    r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#,
    "\n",
    r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    "\n"
);

#[test]
fn a_child_that_sends_512_mib_without_a_newline_costs_bounded_memory_and_ends_typed() {
    isolated("a_child_that_sends_512_mib_without_a_newline_costs_bounded_memory_and_ends_typed", || {
        run(async {
            for first in ["{", "x"] {
                CountingAllocator::reset_peak();
                let before = CountingAllocator::live_bytes();
                let script = format!("printf '{first}'; head -c 536870912 /dev/zero | tr '\\0' x");
                let child = ChildCommand::new("sh").args(["-c", &script]).spawn().expect("a shell");
                let client = Client::builder(&Implementation::new("test", "1"))
                    .preference(Preference::LegacyOnly)
                    .connect(child);
                let error = client.await.expect_err("there is no server");
                let ConnectError::Lost(CallError::Closed { end: LinkEnd::PeerClosed(end), .. }) = &error
                else {
                    panic!("{error}")
                };
                assert!(end.explanation.is_some(), "the exit of the child is told: {error}");
                let peak = CountingAllocator::peak_bytes() - before;
                assert!(peak < 32 * MIB, "{first}: {} MiB for a message limit of 16", peak / MIB);
            }
        });
    });
}

#[test]
fn a_million_ids_leave_nothing_behind() {
    isolated("a_million_ids_leave_nothing_behind", || {
        run(async {
            let (near, far) = tokio::io::duplex(256 << 10);
            let serving = tokio::spawn(async move { server().serve(lane(near)).await });
            let (answers, mut requests) = tokio::io::split(far);
            let answered = discard(answers);
            requests.write_all(HANDSHAKE.as_bytes()).await.expect("it reads");
            tokio::task::yield_now().await;
            CountingAllocator::reset_peak();
            let before = CountingAllocator::live_bytes();
            let mut text = String::new();
            for id in 1..=1_000_000_u32 {
                use std::fmt::Write;
                // Every other is a request, the others answers to what nobody asked.
                match id % 2 {
                    0 => writeln!(text, r#"{{"jsonrpc":"2.0","id":"n{id}","method":"echo"}}"#),
                    _ => writeln!(text, r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#),
                }
                .expect("memory");
                if text.len() > 60_000 {
                    requests.write_all(text.as_bytes()).await.expect("it reads");
                    text.clear();
                }
            }
            requests.write_all(text.as_bytes()).await.expect("it reads");
            requests.shutdown().await.expect("it reads");
            let end = serving.await.expect("no panic");
            assert!(matches!(end, LinkEnd::PeerClosed(_)), "{end}");
            assert_eq!(answered.await.expect("no panic"), 1 + 500_000);
            let peak = CountingAllocator::peak_bytes() - before;
            assert!(peak < 4 * MIB, "{} KiB at the peak", peak >> 10);
        });
    });
}

#[test]
fn questions_to_a_peer_that_never_reads_do_not_pile_up() {
    isolated("questions_to_a_peer_that_never_reads_do_not_pile_up", || {
        run(async {
            let (near, far) = tokio::io::duplex(64 << 10);
            let serving = tokio::spawn(async move { server().serve(lane(near)).await });
            let (_unread, mut requests) = tokio::io::split(far);
            requests.write_all(HANDSHAKE.as_bytes()).await.expect("it reads");
            tokio::task::yield_now().await;
            CountingAllocator::reset_peak();
            let before = CountingAllocator::live_bytes();
            for id in 1..=30_000_u32 {
                let ask = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ask\"}}\n");
                let take_back = format!(
                    "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":{id}}}}}\n"
                );
                // In turns, so that the handler has asked before its request is taken back.
                for text in [ask, take_back] {
                    requests.write_all(text.as_bytes()).await.expect("it reads");
                    tokio::task::yield_now().await;
                }
            }
            let peak = CountingAllocator::peak_bytes() - before;
            assert!(peak < 8 * MIB, "{} MiB at the peak", peak / MIB);
            serving.abort();
        });
    });
}

#[test]
fn answers_that_wait_for_their_batch_are_bounded() {
    isolated("answers_that_wait_for_their_batch_are_bounded", || {
        run(async {
            let (near, far) = tokio::io::duplex(64 << 10);
            let serving = tokio::spawn(async move { server().serve(lane(near)).await });
            let (answers, mut requests) = tokio::io::split(far);
            let _answered = discard(answers);
            let handshake = HANDSHAKE.replace("2025-11-25", "2025-03-26");
            requests.write_all(handshake.as_bytes()).await.expect("it reads");
            tokio::task::yield_now().await;
            let text = "x".repeat(64 << 10);
            let mut id = 0;
            CountingAllocator::reset_peak();
            let before = CountingAllocator::live_bytes();
            for _ in 0..30 {
                let mut batch = String::from("[");
                for method in std::iter::once("wait").chain(std::iter::repeat_n("echo", 99)) {
                    use std::fmt::Write;
                    id += 1;
                    let comma = if batch.len() > 1 { "," } else { "" };
                    write!(
                        batch,
                        r#"{comma}{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"text":"{text}"}}}}"#
                    )
                    .expect("memory");
                }
                batch.push_str("]\n");
                requests.write_all(batch.as_bytes()).await.expect("it reads");
            }
            let peak = CountingAllocator::peak_bytes() - before;
            assert!(peak < 100 * MIB, "{} MiB at the peak, of 190 that were asked for", peak / MIB);
            serving.abort();
        });
    });
}

#[test]
fn garbage_is_counted_and_the_next_request_is_answered() {
    isolated("garbage_is_counted_and_the_next_request_is_answered", || {
        run(async {
            let (near, far) = tokio::io::duplex(64 << 10);
            let serving = tokio::spawn(async move { server().serve(lane(near)).await });
            let (answers, mut requests) = tokio::io::split(far);
            let answered = discard(answers);
            let mut seed = 0x5eed_u64;
            for _ in 0..20_000 {
                let mut line: Vec<u8> = (0..40)
                    .map(|_| {
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        (seed >> 33) as u8
                    })
                    .collect();
                if seed >> 63 == 0 {
                    line[0] = b'{';
                }
                line.push(b'\n');
                requests.write_all(&line).await.expect("it reads");
            }
            requests.write_all(HANDSHAKE.as_bytes()).await.expect("it reads");
            requests.shutdown().await.expect("it reads");
            let end = serving.await.expect("no panic");
            assert!(matches!(end, LinkEnd::PeerClosed(_)), "{end}");
            // An error for each line that begins as a message does, and the answer to the handshake.
            assert!(answered.await.expect("no panic") > 5_000);
        });
    });
}

#[test]
fn a_server_that_says_nothing_ends_at_the_handshake_deadline() {
    isolated("a_server_that_says_nothing_ends_at_the_handshake_deadline", || {
        run(async {
            // What owns all children of the process begins with the first, and stays.
            drop(ChildCommand::new("true").spawn().expect("a child"));
            let baseline = Baseline::take();
            let child = ChildCommand::new("sleep").arg("1000").spawn().expect("a child");
            let mut timeouts = ClientTimeouts::default();
            timeouts.handshake = Duration::from_millis(300);
            let connecting =
                Client::builder(&Implementation::new("test", "1")).timeouts(timeouts).connect(child);
            let error = connecting.await.expect_err("it says nothing");
            assert!(matches!(error, ConnectError::Timeout { .. }), "{error}");
            assert!(error.to_string().contains("handshake"), "{error}");
            baseline.check().await;
        });
    });
}

#[test]
fn a_message_of_any_content_costs_at_most_twice_its_size() {
    isolated("a_message_of_any_content_costs_at_most_twice_its_size", || {
        run(async {
            let zeros = "0,".repeat(15 * MIB / 2 - 100);
            let braces = format!("{}{}", "[".repeat(15 * MIB / 2 - 100), "]".repeat(15 * MIB / 2 - 100));
            for params in [format!("[{zeros}0]"), braces] {
                let message = format!("{{\"jsonrpc\":\"2.0\",\"method\":\"none\",\"params\":{params}}}\n");
                drop(params);
                let (near, far) = tokio::io::duplex(64 << 10);
                let serving = tokio::spawn(async move { server().serve(lane(near)).await });
                let (answers, mut requests) = tokio::io::split(far);
                let answered = discard(answers);
                requests.write_all(HANDSHAKE.as_bytes()).await.expect("it reads");
                tokio::task::yield_now().await;
                CountingAllocator::reset_peak();
                let before = CountingAllocator::live_bytes();
                requests.write_all(message.as_bytes()).await.expect("it reads");
                requests.shutdown().await.expect("it reads");
                let end = serving.await.expect("no panic");
                assert!(matches!(end, LinkEnd::PeerClosed(_)), "{end}");
                answered.await.expect("no panic");
                let peak = CountingAllocator::peak_bytes() - before;
                assert!(peak <= 2 * message.len(), "{} MiB for {} MiB", peak / MIB, message.len() / MIB);
            }
        });
    });
}
