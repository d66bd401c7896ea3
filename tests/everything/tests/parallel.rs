//! Many calls at once, over real pipes: nothing is lost, nothing is changed.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "to panic is how a test reports")]

mod common;

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use towpath::Preference;
use towpath_testkit::within_for;

use common::{connect, text, tool};

const CALLS: u64 = 200;
const BYTES: usize = 64 << 10;
const RUNS: u64 = 10;

/// FNV-1a over words of eight bytes: quick enough without optimisation, too.
fn checksum(text: &str) -> u64 {
    let word = |bytes: &[u8]| bytes.iter().fold(0, |word: u64, byte| word << 8 | u64::from(*byte));
    let words = text.as_bytes().chunks(8).map(word);
    words.fold(0xcbf2_9ce4_8422_2325, |sum, word| (sum ^ word).wrapping_mul(0x100_0000_01b3))
}

/// Text that differs from nonce to nonce all along, with the nonce and a checksum in front.
fn payload(nonce: u64) -> String {
    let mut state = nonce.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut filler = String::with_capacity(BYTES);
    while filler.len() + 50 <= BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        filler.push_str(&format!("{state:016x}"));
    }
    format!("{nonce:016x}:{:016x}:{filler}", checksum(&filler))
}

/// Judges by what the text itself says.
fn check(text: &str, nonce: u64) {
    let mut parts = text.splitn(3, ':');
    let mut number = || u64::from_str_radix(parts.next().expect("a part"), 16).expect("a number");
    let (found, sum) = (number(), number());
    let filler = parts.next().expect("the filler");
    assert_eq!(found, nonce, "the answer of another call");
    assert!(filler.len() > BYTES - 64, "cut short to {} bytes", filler.len());
    assert_eq!(checksum(filler), sum, "changed on the way");
}

async fn run(preference: Preference, run: u64) {
    let client = connect(preference).await;
    let calls = (0..CALLS).map(|call| {
        let nonce = run << 32 | call;
        let call = tool(&client, "echo", json!({"text": payload(nonce)})).start();
        async move { (nonce, call.await) }
    });
    for (nonce, answer) in join_all(calls).await {
        check(&text(answer.unwrap_or_else(|error| panic!("call {nonce:x} of run {run}: {error}"))), nonce);
    }
    let stats = client.peer().stats();
    assert_eq!((stats.late_answers, stats.stray_answers, stats.malformed), (0, 0, 0), "{stats:?}");
    client.close().await;
}

#[tokio::test]
async fn two_hundred_answers_of_64_kib_at_once_all_come_in_the_legacy_era() {
    for n in 0..RUNS {
        within_for(Duration::from_secs(60), run(Preference::LegacyOnly, n)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_answers_of_64_kib_at_once_all_come_in_the_modern_era() {
    for n in 0..RUNS {
        within_for(Duration::from_secs(60), run(Preference::ModernOnly, n)).await;
    }
}
