//! A client and a server with a bad connection between them: for each seed, what went wrong, and how each request ended.
//!
//! Try it: `cargo run --package towpath --example faults`

use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{runtime::Builder, task::JoinSet};
use towpath::{
    CallError, Client, Context, ErrorObject, Handler, Implementation, Phase, Preference, RawJson, Request,
    Server,
    client::{HttpOptions, LinkTimeouts},
    http::{HttpConnect, HttpServer},
    raw::TaskScope,
};
use towpath_testkit::{Corruption, Cut, FaultPlan, Faults, HttpPlan, StreamFaults, Which, memory_pair};

const REQUESTS: usize = 20;

struct Echo;

#[derive(Deserialize, Serialize)]
struct Said {
    number: usize,
}

impl Handler for Echo {
    async fn request(&self, request: Request, _: Context) -> Result<RawJson, ErrorObject> {
        let Said { number } = request.params_as()?;
        request.reply(&Said { number })
    }
}

fn server() -> Server<Echo> {
    Server::new(Implementation::new("echo", "1.0.0"), json!({}), Echo)
}

fn client(patience: Duration) -> towpath::ClientBuilder {
    let mut timeouts = LinkTimeouts::default();
    timeouts.call.total = Some(patience);
    let builder = Client::builder(&Implementation::new("example", "1.0.0"));
    builder.preference(Preference::ModernOnly).link_timeouts(timeouts)
}

fn said(answer: &RawJson) -> Option<usize> {
    serde_json::from_slice(answer.as_bytes()).ok().map(|Said { number }| number)
}

/// Asks many things at once, and counts how they end.
async fn ask(client: &Client) -> Result<BTreeMap<&'static str, usize>, Box<dyn Error>> {
    let mut calls = JoinSet::new();
    for number in 0..REQUESTS {
        let call = client.call("echo", &Said { number });
        calls.spawn(async move { (number, call.await) });
    }
    let mut ends = BTreeMap::new();
    while let Some(end) = calls.join_next().await {
        let (number, end) = end?;
        let end = match end {
            Ok(answer) if said(&answer) == Some(number) => "answered",
            Ok(_) => "answered, and changed on the way",
            Err(CallError::Timeout { .. }) => "timed out",
            Err(error) => match error.phase() {
                Phase::NotSent => "not sent",
                Phase::OutcomeUnknown => "outcome unknown",
                Phase::Answered => "answered with an error",
            },
        };
        *ends.entry(end).or_default() += 1;
    }
    // Each has ended, and none of them twice.
    assert_eq!(ends.values().sum::<usize>(), REQUESTS);
    Ok(ends)
}

/// Over a lane in memory. The clock is paused, so that a minute of waiting takes no time.
async fn over_a_lane(seed: u64) -> Result<(), Box<dyn Error>> {
    // The first frame is what the server says about itself.
    let inbound = [
        Faults::none().stall(10, None),
        Faults::none().corrupt(Which::OneIn(2), Corruption::Any),
        Faults::none().cut(10, Cut::MidFrame),
        Faults::none().half_open(10),
    ];
    let index = usize::try_from(seed)? % inbound.len();
    let plan = FaultPlan::new(seed)
        .inbound(inbound[index].clone())
        .outbound(Faults::none().delay(Duration::ZERO..=Duration::from_millis(200)));
    let (near, far) = memory_pair(Default::default(), Default::default());
    let serving = TaskScope::new();
    serving.spawn(async move { drop(server().serve(far).await) });
    let client = client(Duration::from_secs(60)).connect(plan.wrap(near)).await;
    report(&plan, client?, || plan.stats()).await
}

/// Over real sockets.
async fn over_http(seed: u64) -> Result<(), Box<dyn Error>> {
    let listener = HttpServer::bind("127.0.0.1:0", Default::default(), Default::default()).await?;
    let uri: http::Uri = format!("http://{}/mcp", listener.local_addr()).parse()?;
    let serving = TaskScope::new();
    serving.spawn(async move { _ = listener.serve(server().http(), std::future::pending()).await });
    // The first exchange asks the server what it speaks.
    let plan = HttpPlan::new(seed)
        .head_delay(Duration::ZERO..=Duration::from_millis(20))
        .lose_request(3)
        .lose_answer(4)
        .duplicate(5)
        .reorder(6, Duration::from_millis(30))
        .response(7, StreamFaults::none().chunks(5).stall(40, None));
    let connect = Arc::new(plan.connect(HttpConnect::new(Default::default(), Default::default())?));
    let options = HttpOptions::default();
    let client = client(Duration::from_millis(200)).connect_http(connect, uri, options).await;
    report(&plan, client?, || plan.stats()).await
}

async fn report<S: std::fmt::Display>(
    plan: &impl std::fmt::Display,
    client: Client,
    stats: impl Fn() -> S,
) -> Result<(), Box<dyn Error>> {
    let ends = ask(&client).await?;
    client.close().await;
    println!("{plan}\n  done: {}\n  ends: {ends:?}", stats());
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("Over a lane:");
    let paused = Builder::new_current_thread().enable_all().start_paused(true).build()?;
    for seed in 0..4 {
        paused.block_on(over_a_lane(seed))?;
    }
    println!("Over HTTP:");
    let runtime = Builder::new_current_thread().enable_all().build()?;
    for seed in 1..3 {
        runtime.block_on(over_http(seed))?;
    }
    Ok(())
}
