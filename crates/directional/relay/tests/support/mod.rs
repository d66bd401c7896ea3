//! A relay between two lanes of which the test writes every byte.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]
#![allow(unreachable_pub, reason = "shared by the test files")]

pub mod http;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::task::JoinHandle;
use towpath_jsonrpc::{EnvelopeLimits, Member, Message};
use towpath_raw::{
    End, Frame, FrameSinkExt, FrameSource, FrameSourceExt, Inbound, Lane, LaneError, LaneLimits, LaneTimeouts,
};
use towpath_relay::{RelayEnd, RelayOptions, relay};
use towpath_testkit::{MemoryLane, MemorySink, MemorySource, memory_pair, within};

/// A relay at work, with both far ends in the hands of the test.
pub struct Bench {
    pub client: Far,
    pub server: Far,
    pub relay: JoinHandle<RelayEnd>,
}

/// The far end of a lane.
pub struct Far {
    pub source: MemorySource,
    pub sink: MemorySink,
}

pub fn bench(options: RelayOptions) -> Bench {
    bench_with(options, LaneLimits::default())
}

pub fn bench_with(options: RelayOptions, client: LaneLimits) -> Bench {
    let (client, incoming) = memory_pair(client, LaneTimeouts::default());
    let (outgoing, server) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
    let relay = tokio::spawn(relay(incoming, outgoing, options));
    Bench { client: client.into(), server: server.into(), relay }
}

impl From<MemoryLane> for Far {
    fn from(lane: MemoryLane) -> Self {
        let (source, sink) = lane.split();
        Self { source, sink }
    }
}

impl Far {
    pub async fn say(&mut self, text: impl Into<String>) {
        let frame = Frame::from(Bytes::from(text.into()));
        within(self.sink.send(frame)).await.expect("the relay reads");
    }

    /// Says several things at once: they are there before the relay looks.
    pub async fn say_all(&mut self, texts: impl IntoIterator<Item = String>) {
        use towpath_raw::FrameSink;
        for text in texts {
            self.sink.start_send(Frame::from(Bytes::from(text))).expect("the lane is open");
        }
        within(self.sink.flush()).await.expect("the relay reads");
    }

    /// The next message; `None` at the end of the lane.
    pub async fn hear_if_any(&mut self) -> Option<Message> {
        match within(self.source.receive()).await.expect("the lane works") {
            Inbound::Frame(bytes) => {
                Some(Message::parse(bytes, &EnvelopeLimits::default()).expect("relays send JSON-RPC"))
            }
            Inbound::End(_) => None,
            other => panic!("not expected here: {other:?}"),
        }
    }

    pub async fn hear(&mut self) -> Message {
        self.hear_if_any().await.expect("a message, not the end")
    }

    /// The next message, as text.
    pub async fn hear_text(&mut self) -> String {
        text(&self.hear().await)
    }

    /// A request: its id, method and params, as text.
    pub async fn hear_request(&mut self) -> (String, String, String) {
        let message = self.hear().await;
        let params = message.params().map(|params| params.as_str().to_owned()).unwrap_or_default();
        (raw(&message, Member::Id), message.method().to_owned(), params)
    }
}

/// A lane that knows why it ended.
pub struct Explained(pub MemoryLane);

pub struct ExplainedSource(MemorySource);

impl Lane for Explained {
    type Source = ExplainedSource;
    type Sink = MemorySink;

    fn peer(&self) -> Arc<str> {
        self.0.peer()
    }

    fn split(self) -> (ExplainedSource, MemorySink) {
        let (source, sink) = self.0.split();
        (ExplainedSource(source), sink)
    }
}

impl FrameSource for ExplainedSource {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, LaneError>> {
        self.0.poll_frame(cx).map_ok(|inbound| match inbound {
            Inbound::End(end) => {
                let why = Arc::new(std::io::Error::other("the child exited with status 3"));
                Inbound::End(End { explanation: Some(why), ..end })
            }
            other => other,
        })
    }
}

pub fn text(message: &Message) -> String {
    String::from_utf8(message.bytes().to_vec()).expect("UTF-8")
}

pub fn raw(message: &Message, member: Member) -> String {
    String::from_utf8(message.raw(member).unwrap_or_default().to_vec()).expect("UTF-8")
}

pub fn request(id: &str, method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}

pub fn notification(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#)
}

pub fn result(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

pub fn progress(token: &str, value: u32) -> String {
    notification("notifications/progress", &format!(r#"{{"progressToken":{token},"progress":{value}}}"#))
}
