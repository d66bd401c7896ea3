//! A peer that writes a great deal of what is no message.
//!
//! Each test runs in a process of its own, in which every allocation is counted.
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

use std::{
    io::Write,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader, ReadBuf};
use towpath::{
    ErrorObject, Handler, Implementation, IoLane, LinkEnd, RawJson, Request, ServerBuilder,
    raw::{LaneLimits, LaneTimeouts},
};
use towpath_testkit::{
    leak::{CountingAllocator, isolated},
    within_for,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

struct Echo;

impl Handler for Echo {
    async fn request(&self, request: Request, _: towpath::Context) -> Result<RawJson, ErrorObject> {
        request.reply(&json!({"tools": []}))
    }
}

/// The same line again and again, as fast as anybody reads.
struct Flood {
    line: &'static [u8],
    left: usize,
}

impl AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let lines = self.left.min((buf.remaining() / self.line.len()).max(1));
        let mut room = buf.initialize_unfilled();
        let before = room.len();
        for _ in 0..lines {
            room.write_all(self.line)?;
        }
        let bytes = before - room.len();
        buf.advance(bytes);
        self.left -= lines;
        Poll::Ready(Ok(()))
    }
}

/// Serves `lines` times `line` and then one request. How many lines were told of, how often something that shares the
/// thread ran meanwhile, and how much memory it took.
fn served(line: &'static [u8], lines: usize) -> (u64, u64, usize) {
    let told = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&told);
    let server = ServerBuilder::new(Implementation::new("flooded", "1.0.0"), json!({"tools": {}}))
        .on_skipped(move |_| {
            counter.fetch_add(1, Relaxed);
        })
        .build(Echo);
    let request: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
    let reader = Flood { line, left: lines }.chain(request);
    let (writer, answers) = tokio::io::duplex(1 << 10);
    let lane = IoLane::new(reader, writer, "flood", LaneLimits::default(), LaneTimeouts::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(within_for(Duration::from_secs(50), async {
        let ran = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&ran);
        let neighbour = tokio::spawn(async move {
            loop {
                counter.fetch_add(1, Relaxed);
                tokio::task::yield_now().await;
            }
        });
        CountingAllocator::reset_peak();
        let before = CountingAllocator::live_bytes();
        let (end, answer) = tokio::join!(server.serve(lane), async {
            let mut answer = String::new();
            BufReader::new(answers).read_line(&mut answer).await.expect("text");
            answer
        });
        neighbour.abort();
        assert!(matches!(end, LinkEnd::PeerClosed(_)), "{end}");
        assert!(answer.contains(r#""id":1"#), "{answer}");
        let grown = CountingAllocator::peak_bytes().saturating_sub(before);
        (told.load(Relaxed), ran.load(Relaxed), grown)
    }))
}

#[test]
fn a_million_banners_are_told_of_and_neither_grow_anything_nor_keep_others_from_running() {
    isolated("a_million_banners_are_told_of_and_neither_grow_anything_nor_keep_others_from_running", || {
        let (told, ran, grown) = served(b"x\n", 1_000_000);
        assert_eq!(told, 1_000_000);
        assert!(ran > 500, "the neighbour ran {ran} times");
        assert!(grown < 1 << 20, "{grown} bytes");
    });
}

#[test]
fn sixteen_mib_of_blank_lines_neither_grow_anything_nor_keep_others_from_running() {
    isolated("sixteen_mib_of_blank_lines_neither_grow_anything_nor_keep_others_from_running", || {
        let (told, ran, grown) = served(b"\r\n", 8 << 20);
        assert_eq!(told, 0);
        assert!(ran > 40, "the neighbour ran {ran} times");
        assert!(grown < 1 << 20, "{grown} bytes");
    });
}
