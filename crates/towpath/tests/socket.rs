//! Servers and clients over real sockets: many at once, and what is left when they go without a word.
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

use std::{
    future::{Future, pending},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    task::{JoinHandle, JoinSet},
};
use towpath::{
    Client, Context, ErrorObject, Handler, Implementation, RawJson, Request, Server, ServerBuilder,
    SocketAddress, SocketLane, SocketListener, SocketOptions, link::LinkTimeouts, raw::LaneError,
    stdio::SocketLimits,
};
use towpath_testkit::{
    leak::{Baseline, isolated},
    within_for,
};

/// Shorter than `LinkTimeouts::finish`.
const LONG: Duration = Duration::from_secs(25);

fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    within_for(LONG, future)
}

/// Gives params back, `later` after a while; `wait` never answers.
struct Echo;

impl Handler for Echo {
    async fn request(&self, request: Request, _: Context) -> Result<RawJson, ErrorObject> {
        if request.method() == "wait" {
            pending::<()>().await;
        }
        if request.method() == "later" {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        }
        Ok(request.params().unwrap_or_else(RawJson::empty_object))
    }
}

/// A path that nobody else has; its file goes with the listener.
fn unix() -> SocketAddress {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("towpath-{}-{}.sock", std::process::id(), COUNT.fetch_add(1, Relaxed));
    let directory = std::env::temp_dir();
    // A socket's path has to be short.
    let directory = if directory.as_os_str().len() > 60 { "/tmp".into() } else { directory };
    SocketAddress::Unix(directory.join(name))
}

fn tcp() -> SocketAddress {
    SocketAddress::Tcp("127.0.0.1:0".into())
}

struct Listening {
    server: Server<Echo>,
    address: SocketAddress,
    serving: JoinHandle<Result<(), LaneError>>,
}

impl Listening {
    async fn at(address: &SocketAddress, max_connections: usize) -> Self {
        let limits = SocketLimits::default().with_max_connections(max_connections);
        let options = SocketOptions::default().with_listener(limits);
        let listener = SocketListener::bind(address, options).await.expect("it listens");
        let address = listener.address().clone();
        let mut timeouts = LinkTimeouts::default();
        if matches!(address, SocketAddress::Tcp(_)) {
            // A client that is gone may as well have closed its direction only, and then its calls may go on.
            timeouts.finish = Duration::from_millis(100);
        }
        let builder = ServerBuilder::new(Implementation::new("echo", "1"), json!({"tools": {}}));
        let server = builder.timeouts(timeouts).build(Echo);
        let serving = tokio::spawn({
            let server = server.clone();
            async move { server.serve_listener(listener).await }
        });
        Self { server, address, serving }
    }

    async fn client(&self) -> Client {
        client(&self.address).await.expect("there is room")
    }

    /// Nothing tells a client when the server has seen another one go.
    async fn lanes_are(&self, count: usize) {
        while self.server.lanes() != count {
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) {
        assert_eq!(self.server.drain(Duration::from_secs(10)).await, Ok(()));
        self.serving.await.expect("no panic").expect("it was drained");
    }
}

async fn client(address: &SocketAddress) -> Result<Client, towpath::ConnectError> {
    let lane = SocketLane::connect(address, SocketOptions::default()).await.expect("it connects");
    Client::connect(lane, Implementation::new("caller", "1")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_calls_of_64_kib_at_once_all_get_their_own_answer() {
    within(async {
        for address in [unix(), tcp()] {
            let listening = Listening::at(&address, 1).await;
            let client = listening.client().await;
            let mut calls = JoinSet::new();
            for number in 0..200 {
                let client = client.clone();
                calls.spawn(async move {
                    let text = format!("{number}:{}", "x".repeat(64 << 10));
                    let answer = client.call("echo", &json!({"text": text})).await.expect("an answer");
                    let answer: serde_json::Value = answer.deserialize().expect("JSON");
                    assert_eq!(answer["text"].as_str(), Some(&*text));
                });
            }
            while let Some(ended) = calls.join_next().await {
                ended.expect("each gets its own");
            }
            client.close().await;
            listening.end().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_clients_share_a_listener_and_give_their_places_back_however_they_go() {
    within(async {
        for address in [unix(), tcp()] {
            let listening = Listening::at(&address, 100).await;
            for round in 0..3 {
                let mut clients = JoinSet::new();
                for number in 0..100 {
                    let address = listening.address.clone();
                    clients.spawn(async move {
                        let client = client(&address).await.expect("there is room for a hundred");
                        let answer = client.call("echo", &json!({"n": number})).await.expect("an answer");
                        assert!(answer.as_str().contains(&format!("\"n\":{number}")), "{answer}");
                        client
                    });
                }
                let clients = clients.join_all().await;
                assert_eq!(listening.server.lanes(), 100);
                let refused = client(&listening.address).await;
                assert!(refused.is_err(), "there was room for one more");
                // In the middle of a call, without a word, or politely.
                let mut calls = JoinSet::new();
                for client in &clients {
                    let client = client.clone();
                    calls.spawn(async move { drop(client.call("wait", &()).await) });
                }
                tokio::task::yield_now().await;
                match round {
                    0 => drop(clients),
                    1 => close_all(clients).await,
                    _ => {
                        calls.shutdown().await;
                        drop(clients);
                    }
                }
                drop(calls);
                listening.lanes_are(0).await;
            }
            listening.end().await;
        }
    })
    .await;
}

async fn close_all(clients: Vec<Client>) {
    for client in clients {
        client.close().await;
    }
}

/// As `nc -N` and `socat` do with what they are given.
#[tokio::test]
async fn who_closes_its_direction_after_its_question_is_still_answered() {
    within(async {
        for address in [unix(), tcp()] {
            let listening = Listening::at(&address, 1).await;
            for _ in 0..10 {
                let question = r#"{"jsonrpc":"2.0","id":1,"method":"later","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
                let mut answer = String::new();
                match &listening.address {
                    SocketAddress::Unix(path) => {
                        let mut pipe = UnixStream::connect(path).await.expect("it connects");
                        pipe.write_all(question.as_bytes()).await.expect("written");
                        pipe.shutdown().await.expect("that was all");
                        pipe.read_to_string(&mut answer).await.expect("an answer, then the end");
                    }
                    SocketAddress::Tcp(place) => {
                        let mut pipe = TcpStream::connect(place).await.expect("it connects");
                        pipe.write_all(question.as_bytes()).await.expect("written");
                        pipe.shutdown().await.expect("that was all");
                        pipe.read_to_string(&mut answer).await.expect("an answer, then the end");
                    }
                    other => panic!("{other}"),
                }
                assert!(answer.contains("\"id\":1,\"result\":{") && answer.ends_with("}\n"), "{answer:?}");
                listening.lanes_are(0).await;
            }
            listening.end().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_drain_ends_the_lanes_of_clients_that_stay_and_the_file_is_gone() {
    within(async {
        let address = unix();
        let listening = Listening::at(&address, 10).await;
        let client = listening.client().await;
        client.call("echo", &()).await.expect("an answer");
        listening.end().await;
        client.call("echo", &()).await.expect_err("its server is gone");
        let SocketAddress::Unix(path) = &address else { panic!("a path") };
        assert!(!PathBuf::from(path).exists());
        SocketLane::connect(&address, SocketOptions::default()).await.expect_err("nobody listens");
    })
    .await;
}

#[test]
fn a_listener_with_clients_that_is_dropped_leaves_nothing() {
    isolated("a_listener_with_clients_that_is_dropped_leaves_nothing", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(within(async {
            let round = async |address: SocketAddress| {
                let listening = Listening::at(&address, 2).await;
                let (one, two) = (listening.client().await, listening.client().await);
                assert!(client(&listening.address).await.is_err(), "there was room for one more");
                one.call("echo", &()).await.expect("an answer");
                let waiting = tokio::spawn(async move { two.call("wait", &()).await.is_ok() });
                listening.lanes_are(2).await;
                listening.serving.abort();
                assert!(!waiting.await.expect("no panic"), "it was answered");
                one.call("echo", &()).await.expect_err("its server is gone");
            };
            round(unix()).await;
            let baseline = Baseline::take().and_threads();
            for _ in 0..10 {
                round(unix()).await;
                round(tcp()).await;
            }
            baseline.check().await;
        }));
    });
}
