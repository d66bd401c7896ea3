//! Joins peers: a client here, a server there, and every message passed on as the bytes that came in.
//!
//! | To join | Take |
//! |---|---|
//! | a client's lane and a server's | [`relay()`]: a client on stdio and a server over HTTP, say |
//! | clients over HTTP and a server on lanes | [`RelayApp`], served by `HttpService`: a child process behind an endpoint |
//!
//! A relay uses ids of its own on the way to the server, so that two clients may use the same ones; what is about a request
//! is put back under its client's names. So of a message only four values change: `id`, `requestId`, `progressToken` and
//! `subscriptionId`, each in its place, with every byte around them as it was. The envelope (`jsonrpc`, `id`, `method`, in
//! this order) is written anew.
//!
//! Everything passes: `initialize` and `ping`, requests of the server and their answers, progress (all of it, in order,
//! before the answer), cancellations with their reasons, subscriptions, notifications of either side.
//!
//! # What it does not do
//!
//! It translates nothing: a client of one era and a server of the other do not understand each other through it. It
//! answers nothing in the server's place, but for what a link must refuse, and errors when there is no answer: the server
//! is lost, too slow, or too much is told about a request that nobody reads. It does not watch over the server; it
//! starts it again when it is needed.
//!
//! # Example
//!
//! ```
//! use towpath_raw::{Frame, FrameSinkExt, FrameSourceExt, Inbound, Lane, LaneLimits, LaneTimeouts};
//! use towpath_relay::{RelayOptions, RelaySide, relay};
//! use towpath_testkit::memory_pair;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), towpath_raw::LaneError> {
//! let (client, incoming) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
//! let (outgoing, server) = memory_pair(LaneLimits::default(), LaneTimeouts::default());
//! let relayed = tokio::spawn(relay(incoming, outgoing, RelayOptions::default()));
//!
//! let (_, mut sink) = client.split();
//! sink.send(Frame::from(bytes::Bytes::from_static(br#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#))).await?;
//! let (mut source, _server) = server.split();
//! let Inbound::Frame(passed) = source.receive().await? else { unreachable!("a message is sent") };
//! assert_eq!(passed, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
//! # drop(sink);
//! # relayed.abort();
//! # Ok(())
//! # }
//! ```
//!
//! # When it is full
//!
//! What is told about a request waits for its client, up to [`RelayLimits::max_waiting_note_bytes`]; beyond that this one
//! request fails and is cancelled at the server, and its siblings live on. Either side has the limits of a link, too.
//!
//! # Cancel safety
//!
//! The future of [`relay()`] owns both lanes: dropped, they end. So does a [`RelayApp`] with its lanes. A request that
//! its client gives up is cancelled at the server, under the relay's own id.
//!
//! # Features
//!
//! None.
#![forbid(unsafe_code)]

mod app;
mod fault;
mod forward;
mod options;
mod order;
mod relay;
mod side;
mod splice;

pub use app::{AppOptions, RelayApp, StartError};
pub use options::{Explain, RelayLimits, RelayOptions, RelayTimeouts};
pub use relay::{RelayEnd, RelaySide, relay};
pub use side::Side;
pub use towpath_client::{RestartPolicy, ServerInfo, Upstream};
pub use towpath_link::LinkEnd;
