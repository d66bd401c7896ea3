use std::{io::ErrorKind, time::Duration};

use bytes::Bytes;
use http::{Request, Response, header::CONTENT_LENGTH, request};
use tokio::time::{Instant, timeout};
use towpath_raw::{Accept, Arrival, Chunks, ChunksExt, Connect, ExchangeError, TaskScope};

use crate::{
    Corruption, Cut, FaultConnect, FaultKind, HttpPlan, MemoryConnect, StreamFaults, Which, memory_http,
    within,
};

const SECOND: Duration = Duration::from_secs(1);
const EACH: Which = Which::OneIn(1);

fn head() -> request::Parts {
    Request::new(()).into_parts().0
}

async fn all(body: &mut impl Chunks) -> Result<Vec<u8>, ExchangeError> {
    let mut whole = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

/// A server that gives back what it got, each time with the number of that request; a body that broke off is `broken`.
fn echo(mut server: impl Accept) -> TaskScope {
    let tasks = TaskScope::new();
    tasks.spawn(async move {
        let mut number = 0;
        while let Some(mut arrival) = server.accept().await {
            let mut answer = format!("{number}:").into_bytes();
            number += 1;
            answer.extend(all(arrival.body()).await.unwrap_or_else(|_| b"broken".into()));
            arrival.respond(Response::new(()).into_parts().0, Some(Bytes::from(answer)));
        }
    });
    tasks
}

fn at_client(plan: &HttpPlan) -> (FaultConnect<MemoryConnect>, TaskScope) {
    let (client, server) = memory_http();
    (plan.connect(client), echo(server))
}

fn at_server(plan: &HttpPlan) -> (MemoryConnect, TaskScope) {
    let (client, server) = memory_http();
    (client, echo(plan.accept(server)))
}

async fn ask(client: &impl Connect, body: &str) -> Result<String, ExchangeError> {
    let (_, mut answer) = client.exchange(head(), Bytes::from(body.to_owned())).await?;
    Ok(String::from_utf8_lossy(&all(&mut answer).await?).into_owned())
}

#[tokio::test]
async fn a_request_gets_lost_and_so_does_an_answer() {
    let plan = HttpPlan::new(1).lose_request(0).lose_answer(1);
    let (client, _server) = at_client(&plan);
    assert!(matches!(within(ask(&client, "a")).await, Err(ExchangeError::NotConnected { .. })));
    assert!(matches!(within(ask(&client, "b")).await, Err(ExchangeError::Broken { .. })));
    assert_eq!(
        within(ask(&client, "c")).await.expect("an answer"),
        "1:c",
        "the second was heard, the first was not"
    );

    let plan = HttpPlan::new(1).lose_request(0).lose_answer(1);
    let (client, _server) = at_server(&plan);
    for body in ["a", "b"] {
        assert!(matches!(within(ask(&client, body)).await, Err(ExchangeError::Broken { .. })));
    }
    assert_eq!(within(ask(&client, "c")).await.expect("an answer"), "1:c");
    assert_eq!((plan.stats().of(FaultKind::LoseRequest), plan.stats().of(FaultKind::LoseAnswer)), (1, 1));
}

#[tokio::test]
async fn a_doubled_request_is_heard_twice_and_answered_once() {
    let plan = HttpPlan::new(1).duplicate(0);
    let (client, _server) = at_client(&plan);
    assert_eq!(within(ask(&client, "a")).await.expect("an answer"), "1:a");
    assert_eq!(within(ask(&client, "b")).await.expect("an answer"), "2:b");
    assert_eq!(plan.stats().of(FaultKind::Duplicate), 1);
}

#[tokio::test(start_paused = true)]
async fn exchanges_overtake_each_other() {
    let plan = HttpPlan::new(1).reorder(0, SECOND);
    let (client, _server) = at_client(&plan);
    let answers = within(async { tokio::join!(ask(&client, "a"), ask(&client, "b")) }).await;
    assert_eq!((answers.0.expect("an answer"), answers.1.expect("an answer")), ("1:a".into(), "0:b".into()));
    assert_eq!(plan.stats().of(FaultKind::Reorder), 1);

    let plan = HttpPlan::new(1).reorder(0, SECOND);
    let (client, _server) = at_server(&plan);
    let answers = within(async { tokio::join!(ask(&client, "a"), ask(&client, "b")) }).await;
    assert_eq!((answers.0.expect("an answer"), answers.1.expect("an answer")), ("1:a".into(), "0:b".into()));
    assert_eq!(plan.stats().of(FaultKind::Reorder), 1);
}

#[tokio::test(start_paused = true)]
async fn heads_come_late() {
    let plan = HttpPlan::new(1).head_delay(SECOND..=SECOND * 2);
    for at_the_server in [false, true] {
        let ((client, _one), (server, _two)) = (at_client(&plan), at_server(&plan));
        let start = Instant::now();
        let answer = match at_the_server {
            true => within(ask(&server, "a")).await,
            false => within(ask(&client, "a")).await,
        };
        assert_eq!(answer.expect("an answer"), "0:a");
        assert!((SECOND..=SECOND * 2 + SECOND / 100).contains(&start.elapsed()), "{:?}", start.elapsed());
    }
    assert_eq!(plan.stats().of(FaultKind::Delay), 2);
}

#[tokio::test(start_paused = true)]
async fn answers_come_in_parts_corrupted_cut_and_never() {
    let long = "x".repeat(998);
    let response = |faults| HttpPlan::new(1).response(EACH, faults);
    for at_the_server in [false, true] {
        let run = async |plan: &HttpPlan| match at_the_server {
            true => {
                let (client, _server) = at_server(plan);
                timeout(SECOND * 60, ask(&client, &long)).await
            }
            false => {
                let (client, _server) = at_client(plan);
                timeout(SECOND * 60, ask(&client, &long)).await
            }
        };
        let whole = format!("0:{long}");
        let plan = response(StreamFaults::none().chunks(10).in_pieces(3).slow(100, SECOND));
        let start = Instant::now();
        assert_eq!(run(&plan).await.expect("in time").expect("whole"), whole);
        assert!(start.elapsed() >= SECOND * 9 && plan.stats().of(FaultKind::Pieces) > 90);

        let plan = response(StreamFaults::none().corrupt(500, Corruption::InsertByte));
        let changed = run(&plan).await.expect("in time").expect("as long as it is");
        assert!(changed != whole && changed.starts_with(&whole[..500]) && changed.ends_with(&whole[500..]));

        let plan = response(StreamFaults::none().cut(700, Cut::End));
        assert_eq!(run(&plan).await.expect("in time").expect("a clean end"), whole[..700]);
        for how in [Cut::MidFrame, Cut::Error(ErrorKind::ConnectionReset)] {
            let broken = run(&response(StreamFaults::none().cut(700, how))).await.expect("in time");
            assert!(matches!(broken, Err(ExchangeError::Broken { .. })), "{broken:?}");
        }
        for faults in [StreamFaults::none().stall(700, None), StreamFaults::none().half_open(700)] {
            let plan = response(faults);
            assert!(run(&plan).await.is_err(), "{plan}");
            assert_eq!(plan.stats().of(FaultKind::Stall) + plan.stats().of(FaultKind::HalfOpen), 1);
        }
    }
}

#[tokio::test]
async fn requests_come_corrupted_and_cut() {
    let faults = StreamFaults::none().corrupt(1, Corruption::RemoveByte);
    let (plan, server_plan) =
        (HttpPlan::new(1).request(0, faults.clone()), HttpPlan::new(1).request(0, faults));
    let ((client, _one), (server, _two)) = (at_client(&plan), at_server(&server_plan));
    let mut declared = head();
    declared.headers.insert(CONTENT_LENGTH, 3.into());
    let (_, mut answer) =
        within(client.exchange(declared, Bytes::from_static(b"abc"))).await.expect("an answer");
    assert_eq!(within(all(&mut answer)).await.expect("whole"), b"0:ac");
    assert_eq!(within(ask(&server, "abc")).await.expect("an answer"), "0:ac");
    assert_eq!((plan.stats().total(), server_plan.stats().total()), (1, 1));

    let reset = StreamFaults::none().cut(2, Cut::Error(ErrorKind::ConnectionReset));
    let (plan, server_plan) =
        (HttpPlan::new(1).request(0, reset.clone()), HttpPlan::new(1).request(0, reset));
    let ((client, _one), (server, _two)) = (at_client(&plan), at_server(&server_plan));
    assert_eq!(within(ask(&client, "abc")).await.expect("an answer"), "0:ab");
    assert_eq!(within(ask(&server, "abc")).await.expect("an answer"), "0:broken");
}

#[tokio::test(start_paused = true)]
async fn a_seed_decides_the_same_for_each_exchange_whatever_the_timing() {
    async fn outcomes(seed: u64, at_once: bool) -> (Vec<Result<String, String>>, crate::FaultStats) {
        let plan = HttpPlan::new(seed)
            .lose_request(Which::OneIn(9))
            .lose_answer(Which::OneIn(9))
            .response(Which::OneIn(3), StreamFaults::none().corrupt(Which::OneIn(9), Corruption::Any));
        let (client, server) = memory_http();
        let client = plan.connect(client);
        let _server = TaskScope::new();
        _server.spawn(async move {
            let mut server = server;
            while let Some(mut arrival) = server.accept().await {
                let body = all(arrival.body()).await.expect("whole");
                arrival.respond(Response::new(()).into_parts().0, Some(Bytes::from(body)));
            }
        });
        let texts: Vec<_> = (0..40).map(|number| format!("the request with number {number}")).collect();
        let mut outcomes = Vec::new();
        let one = async |text: &String| ask(&client, text).await.map_err(|error| error.to_string());
        if at_once {
            // Polled from the last to the first, and numbered from the first.
            let mut asked: Vec<_> =
                texts.iter().map(|text| client.exchange(head(), Bytes::from(text.clone()))).collect();
            while let Some(exchange) = asked.pop() {
                outcomes.push(match within(exchange).await {
                    Ok((_, mut body)) => {
                        let body = within(all(&mut body)).await.expect("whole");
                        Ok(String::from_utf8_lossy(&body).into_owned())
                    }
                    Err(error) => Err(error.to_string()),
                });
            }
            outcomes.reverse();
        } else {
            for text in &texts {
                outcomes.push(within(one(text)).await);
            }
        }
        (outcomes, plan.stats())
    }
    let first = within(outcomes(1, false)).await;
    assert!(first.1.of(FaultKind::Corrupt) > 0 && first.1.of(FaultKind::LoseAnswer) > 0, "{}", first.1);
    assert_eq!(first, within(outcomes(1, true)).await);
    assert_ne!(first.0, within(outcomes(2, false)).await.0);
}
