//! A client and a server over lanes, byte streams and HTTP that misbehave, each by its seed: whatever goes wrong, every
//! request ends exactly once, nobody gets another's answer, and nothing is left.
//!
//! `TOWPATH_FAULT_SEEDS` has it run more seeds (`500`), or others (`1000..2000`).
#![cfg(all(feature = "client", feature = "server", feature = "stdio", feature = "http"))]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

use std::{
    collections::BTreeMap,
    fmt::Display,
    future::Future,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request as HttpRequest, Uri, header::HOST};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{runtime::Handle, task::JoinSet, time::timeout};
use tower_service::Service;
use towpath::{
    CallError, Client, ConnectError, Context, ErrorObject, Handler, Implementation, IoLane, Preference,
    RawJson, Request, Server,
    client::{ClientBuilder, HttpOptions, LinkTimeouts},
    http::{BodyChunks, ChunksBody},
    raw::{Accept, Arrival, Chunks, ChunksExt, ExchangeError, Lane, TaskScope},
    server::HttpService,
};
use towpath_testkit::{
    FaultKind, FaultPlan, FaultStats, HttpPlan, StreamFaults, StreamPlan, memory_http, memory_pair,
    run_within, within_for,
};

/// At least as many that each preference, side and size of a buffer meets each other one. Byte by byte takes longest.
const LANE_SEEDS: u64 = 192;
const STREAM_SEEDS: u64 = 48;
const HTTP_SEEDS: u64 = 96;
const CALLS: usize = 24;
/// More than any buffer on the way holds. In some runs one call has as much.
const LARGE: usize = 200 << 10;
const SECOND: Duration = Duration::from_secs(1);

/// What is asked, and what is answered.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    nonce: u64,
    text: String,
    sum: u64,
}

impl Note {
    fn new(nonce: u64, length: u64) -> Self {
        let text: String = (0..length).map(|at| (b'a' + ((at ^ nonce) % 26) as u8) as char).collect();
        Self { nonce, sum: sum(nonce, &text), text }
    }

    fn is_whole(&self) -> bool {
        self.sum == sum(self.nonce, &self.text)
    }
}

fn sum(nonce: u64, text: &str) -> u64 {
    let bytes = nonce.to_le_bytes().into_iter().chain(text.bytes());
    // Fits into every reader's integers.
    bytes.fold(0xcbf2_9ce4, |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0193) % (1 << 50))
}

#[derive(Clone, Default)]
struct Echo {
    running: Arc<AtomicUsize>,
    /// How often each nonce that arrived whole was acted on.
    acted: Arc<Mutex<BTreeMap<u64, u64>>>,
}

struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Handler for Echo {
    async fn request(&self, request: Request, context: Context) -> Result<RawJson, ErrorObject> {
        self.running.fetch_add(1, Ordering::Relaxed);
        let _running = Running(Arc::clone(&self.running));
        let note: Note = request.params_as()?;
        if !note.is_whole() {
            return Err(ErrorObject::new(1, "the request is corrupted"));
        }
        *self.acted.lock().expect("nobody panics with it").entry(note.nonce).or_default() += 1;
        for step in 0..note.nonce % 3 {
            let _ = context.progress(step as f64, None, None).await;
            tokio::time::sleep(Duration::from_millis(note.nonce % 50)).await;
        }
        request.reply(&note)
    }
}

/// What became of the requests of one run.
#[derive(Debug, Default)]
struct Outcome {
    answered: usize,
    answered_nonces: Vec<u64>,
    /// Answers that were for another, or that are not whole.
    wrong: u64,
    given_up: usize,
    failed: BTreeMap<String, usize>,
}

impl Outcome {
    fn ended(&self) -> usize {
        self.answered + self.wrong as usize + self.given_up + self.failed.values().sum::<usize>()
    }
}

fn builder(seed: u64) -> ClientBuilder {
    let preference = [Preference::Auto, Preference::LegacyOnly, Preference::ModernOnly][(seed % 3) as usize];
    let mut timeouts = LinkTimeouts::default();
    timeouts.call.total = Some(SECOND * 60);
    Client::builder(&Implementation::new("client", "1")).preference(preference).link_timeouts(timeouts)
}

/// Asks many things at once; each ends in one way.
async fn ask(
    seed: u64,
    large: usize,
    connecting: impl Future<Output = Result<Client, ConnectError>>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let client = match within_for(SECOND * 300, connecting).await {
        Ok(client) => client,
        Err(error) => {
            outcome.failed.insert(format!("connect: {error}"), CALLS);
            return outcome;
        }
    };
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let client = client.clone();
        calls.spawn(async move {
            let nonce = seed * 1000 + number as u64;
            let is_large = (seed.is_multiple_of(5) || is_gentle(seed)) && number == 3;
            let note = Note::new(nonce, if is_large { large as u64 } else { nonce % 300 });
            let call = client.call("echo", &note).with_progress();
            // Some are given up while they are on their way.
            let patience = if number % 7 == 6 { Duration::from_millis(seed % 40) } else { SECOND * 90 };
            (note.nonce, patience, timeout(patience, call).await)
        });
    }
    while let Some(call) = within_for(SECOND * 120, calls.join_next()).await {
        let (nonce, patience, answer) = call.expect("no panic");
        match answer {
            Ok(Ok(answer)) => match serde_json::from_slice::<Note>(answer.as_bytes()) {
                Ok(note) if note.is_whole() && note.nonce == nonce => {
                    outcome.answered += 1;
                    outcome.answered_nonces.push(nonce);
                }
                _ => outcome.wrong += 1,
            },
            Ok(Err(error)) => *outcome.failed.entry(kind(&error)).or_default() += 1,
            Err(_) if patience < SECOND => outcome.given_up += 1,
            Err(_) => panic!("the call with nonce {nonce} has no end"),
        }
    }
    assert_eq!(client.peer().calls_in_flight(), 0, "calls are left");
    within_for(SECOND * 120, client.close()).await;
    outcome
}

fn kind(error: &CallError) -> String {
    let text = format!("{error:?}");
    text.split([' ', '(']).next().unwrap_or_default().to_owned()
}

/// Holds of every run, whatever went wrong.
async fn check(
    plan: &dyn Display,
    outcome: Outcome,
    stats: FaultStats,
    server: Server<Echo>,
    echo: Echo,
    tasks: usize,
) {
    assert_eq!(outcome.ended(), CALLS, "{outcome:?}: {plan}");
    if stats.total() == stats.of(FaultKind::Pieces) {
        assert!(outcome.failed.is_empty(), "{outcome:?} by {stats}: {plan}");
    }
    assert!(outcome.wrong <= stats.of(FaultKind::Corrupt), "{outcome:?} by {stats}: {plan}");
    {
        let acted = echo.acted.lock().expect("nobody panics with it");
        let unasked = outcome.answered_nonces.iter().find(|nonce| !acted.contains_key(nonce));
        assert_eq!(unasked, None, "it was answered, and nobody acted on it: {plan}");
        let again: u64 = acted.values().map(|times| times - 1).sum();
        assert!(again <= stats.of(FaultKind::Duplicate), "{again} acted on twice by {stats}: {plan}");
    }
    let _ = within_for(SECOND * 60, server.drain(SECOND)).await;
    let alive = || Handle::current().metrics().num_alive_tasks();
    let gone = async {
        while echo.running.load(Ordering::Relaxed) > 0 || server.lanes() > 0 || alive() > tasks {
            tokio::time::sleep(SECOND).await;
        }
    };
    let left = || {
        format!(
            "{} handlers, {} lanes, {} tasks",
            echo.running.load(Ordering::Relaxed),
            server.lanes(),
            alive()
        )
    };
    assert!(timeout(SECOND * 60, gone).await.is_ok(), "{} are left: {plan}", left());
}

fn server() -> (Server<Echo>, Echo) {
    let echo = Echo::default();
    (Server::new(Implementation::new("echo", "1"), json!({}), echo.clone()), echo)
}

async fn over(
    seed: u64,
    plan: &dyn Display,
    stats: impl Fn() -> FaultStats,
    large: usize,
    lanes: (impl Lane<Source: Unpin, Sink: Unpin>, impl Lane<Source: Unpin, Sink: Unpin>),
) -> (u64, usize) {
    let tasks = Handle::current().metrics().num_alive_tasks();
    let (server, echo) = server();
    let serving = TaskScope::new();
    let (served, near) = (server.clone(), lanes.1);
    serving.spawn(async move { drop(served.serve(near).await) });
    let outcome = ask(seed, large, builder(seed).connect(lanes.0)).await;
    let counted = (outcome.wrong, outcome.answered);
    check(plan, outcome, stats(), server, echo, tasks).await;
    counted
}

/// Runs it under a paused clock for each seed; a loop without an end is an error as well.
fn for_each_seed(usual: u64, test: impl AsyncFn(u64) -> (FaultStats, usize) + Send + 'static) {
    let seeds = seeds(usual);
    let count = seeds.end.saturating_sub(seeds.start);
    let within = Duration::from_secs(60 + 2 * count);
    let (faults, answered) = run_within(within, move || {
        let mut all = (0, 0);
        for seed in seeds {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
            let (stats, answered) = runtime.expect("a runtime").block_on(test(seed));
            all = (all.0 + stats.total(), all.1 + answered);
        }
        all
    });
    // It is no test when everything works, nor when nothing does.
    if count >= usual {
        assert!(
            faults > count && answered > CALLS * count as usize / 4,
            "{faults} faults, {answered} answers"
        );
    }
}

fn seeds(usual: u64) -> Range<u64> {
    let Ok(wanted) = std::env::var("TOWPATH_FAULT_SEEDS") else { return 0..usual };
    let (first, end) = wanted.split_once("..").unwrap_or(("0", &wanted));
    let number = |text: &str| text.parse().expect("TOWPATH_FAULT_SEEDS is a number, or two with .. between");
    number(first)..number(end)
}

#[test]
fn requests_end_exactly_once_over_lanes_that_misbehave() {
    for_each_seed(LANE_SEEDS, async |seed| {
        let plan = FaultPlan::random(seed);
        let (left, right) = memory_pair(Default::default(), Default::default());
        let stats = || plan.stats();
        let (_, answered) = match seed % 2 {
            0 => over(seed, &plan, stats, LARGE, (plan.wrap(left), right)).await,
            _ => over(seed, &plan, stats, LARGE, (left, plan.wrap(right))).await,
        };
        (plan.stats(), answered)
    });
}

#[test]
fn requests_end_exactly_once_over_streams_that_misbehave() {
    for_each_seed(STREAM_SEEDS, async |seed| {
        let plan = if is_gentle(seed) { in_pieces(seed) } else { StreamPlan::random(seed) };
        let buffer = 1 << (seed % 16);
        let (near, far) = tokio::io::duplex(buffer);
        // Byte by byte, what is large would take long.
        let large = if is_gentle(seed) { 8 << 10 } else { (64 * buffer).clamp(8 << 10, LARGE) };
        let stats = || plan.stats();
        let (_, answered) = match seed % 2 {
            0 => over(seed, &plan, stats, large, (lane(plan.wrap(near)), lane(far))).await,
            _ => over(seed, &plan, stats, large, (lane(near), lane(plan.wrap(far)))).await,
        };
        (plan.stats(), answered)
    });
}

/// Where bytes are cut up and nothing else happens, everything is answered.
fn is_gentle(seed: u64) -> bool {
    seed.is_multiple_of(7)
}

fn in_pieces(seed: u64) -> StreamPlan {
    let faults = StreamFaults::none().chunks(1 << (seed % 13)).in_pieces((seed % 3) as u32);
    StreamPlan::new(seed).reading(faults.clone()).writing(faults)
}

fn lane<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static>(
    stream: S,
) -> IoLane<tokio::io::ReadHalf<S>, tokio::io::WriteHalf<S>> {
    let (reader, writer) = tokio::io::split(stream);
    IoLane::new(reader, writer, "the other side", Default::default(), Default::default())
}

#[test]
fn requests_end_exactly_once_over_http_that_misbehaves() {
    for_each_seed(HTTP_SEEDS, async |seed| {
        let plan = HttpPlan::random(seed);
        let tasks = Handle::current().metrics().num_alive_tasks();
        let (server, echo) = server();
        let (connect, accept) = memory_http();
        let (uri, service) = (Uri::from_static("http://localhost/mcp"), server.http());
        let serving = TaskScope::new();
        let outcome = match seed % 2 {
            0 => {
                serving.spawn(serve(accept, service));
                ask(
                    seed,
                    LARGE,
                    builder(seed).connect_http(Arc::new(plan.connect(connect)), uri, HttpOptions::default()),
                )
                .await
            }
            _ => {
                serving.spawn(serve(plan.accept(accept), service));
                ask(seed, LARGE, builder(seed).connect_http(Arc::new(connect), uri, HttpOptions::default()))
                    .await
            }
        };
        let answered = outcome.answered;
        let stats = plan.stats();
        drop(serving);
        check(&plan, outcome, stats, server, echo, tasks).await;
        (stats, answered)
    });
}

/// The server's endpoint behind an [`Accept`]; each exchange is a task, and all of them end with this one.
async fn serve(mut accept: impl Accept, service: HttpService<Server<Echo>>) {
    let exchanges = TaskScope::new();
    while let Some(mut arrival) = accept.accept().await {
        let mut service = service.clone();
        exchanges.spawn(async move {
            let Ok(body) = whole(arrival.body()).await else { return };
            let head = arrival.head();
            let mut request = HttpRequest::builder().method(head.method.clone()).uri(head.uri.clone());
            for (name, value) in &head.headers {
                request = request.header(name, value);
            }
            let request =
                request.header(HOST, "localhost").body(ChunksBody::new(Some(body))).expect("a head");
            let Ok(response) = service.call(request).await;
            let (head, body) = response.into_parts();
            arrival.respond(head, BodyChunks::new(body, "the endpoint".into()));
        });
    }
}

async fn whole(body: &mut impl Chunks) -> Result<Bytes, ExchangeError> {
    let mut whole = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.into())
}
