//! The cost of one envelope, beside `serde_json` with raw values: time (the best of several rounds) and allocations.
//!
//! `cargo bench -p towpath-jsonrpc --bench envelope`
#![allow(unsafe_code, reason = "a counting allocator cannot do without")]
#![allow(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use towpath_jsonrpc::{EnvelopeLimits, Id, Member, Message, Scan, encode};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The same shallow look with serde: the envelope, and nothing of `params`.
#[derive(Deserialize)]
#[allow(dead_code, reason = "read by nobody, parsed all the same")]
struct Envelope<'a> {
    jsonrpc: &'a str,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<&'a str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

fn main() {
    let limits = EnvelopeLimits { max_message_bytes: 64 << 20, ..EnvelopeLimits::default() };
    let call = br#"{"jsonrpc":"2.0","id":12,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}}}"#;
    let modern = br#"{"jsonrpc":"2.0","id":12,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let request = |text: &str| {
        let head = r#"{"jsonrpc":"2.0","id":12,"method":"tools/call","params":{"name":"echo","arguments":"#;
        Bytes::from(format!("{head}{text}}}}}"))
    };
    let cases = [
        ("tools/call, 100 B", Bytes::from_static(call), 2_000),
        ("tools/call, 2026-07-28", Bytes::from_static(modern), 2_000),
        ("1 MiB string", request(&format!("{{\"text\":\"{}\"}}", "x".repeat(1 << 20))), 50),
        ("1 MiB string, not ASCII", request(&format!("{{\"text\":\"{}\"}}", "aé漢".repeat(1 << 18))), 20),
        (
            "1 MiB string, escapes",
            request(&format!("{{\"text\":\"{}\"}}", r#"{\"k\":12},\n"#.repeat(1 << 16))),
            20,
        ),
        ("16 MiB of [0,0,…]", request(&format!("[{}0]", "0,".repeat(8 << 20))), 1),
        ("16 MiB of [[[[…]]]]", request(&format!("{}{}", "[".repeat(8 << 20), "]".repeat(8 << 20))), 1),
    ];
    println!(
        "{:<26} {:>10} {:>14} {:>7} {:>14} {:>7}",
        "", "bytes", "towpath", "allocs", "serde_json", "allocs"
    );
    for (name, bytes, repeats) in &cases {
        let ours = measure(*repeats, || {
            black_box(Message::parse(black_box(bytes.clone()), &limits).unwrap());
        });
        let theirs = measure(*repeats, || {
            black_box(serde_json::from_slice::<Envelope<'_>>(black_box(bytes)).unwrap());
        });
        println!(
            "{name:<26} {:>10} {:>14} {:>7} {:>14} {:>7}",
            bytes.len(),
            format!("{:?}", ours.0),
            ours.1,
            format!("{:?}", theirs.0),
            theirs.1
        );
    }

    let (name, zeros, _) = &cases[5];
    let mut longest = Duration::ZERO;
    let mut slices = 0;
    let mut scan = Scan::new(zeros.clone(), &limits);
    loop {
        let start = Instant::now();
        let poll = scan.advance(256 << 10);
        longest = longest.max(start.elapsed());
        slices += 1;
        if poll.is_ready() {
            break;
        }
    }
    println!("{name}, in {slices} slices of 256 KiB: the longest took {longest:?}");

    let message = Message::parse(Bytes::from_static(call), &limits).unwrap();
    let mut out = BytesMut::with_capacity(1 << 10);
    let spliced = measure(2_000, || {
        out.clear();
        encode::replace_id(&mut out, black_box(&message), &Id::from(77u64));
    });
    let answered = measure(2_000, || {
        out.clear();
        encode::result(&mut out, &Id::from(77u64), black_box(message.raw(Member::Params).unwrap()));
    });
    println!(
        "replace_id: {:?}, {} allocations; result: {:?}, {} allocations",
        spliced.0, spliced.1, answered.0, answered.1
    );
}

/// The best of many rounds: the time of one run, and its allocations.
fn measure(repeats: u32, mut run: impl FnMut()) -> (Duration, usize) {
    run();
    let mut best = Duration::MAX;
    let mut allocations = 0;
    // Rounds of about half a millisecond, so that some of them are not interrupted.
    for _ in 0..if repeats > 100 { 500 } else { 7 } {
        let before = ALLOCATIONS.load(Relaxed);
        let start = Instant::now();
        for _ in 0..repeats {
            run();
        }
        best = best.min(start.elapsed() / repeats);
        allocations = (ALLOCATIONS.load(Relaxed) - before) / repeats as usize;
    }
    (best, allocations)
}
