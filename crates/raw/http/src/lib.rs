//! HTTP exchanges for Towpath, bounded: a client over reqwest, a server over hyper, bodies within a budget.
//!
//! | To | Take |
//! |---|---|
//! | make exchanges | [`HttpConnect`], a [`Connect`](towpath_raw::Connect) |
//! | serve a tower service | [`HttpServer`], or [`serve_connection`] for a single stream |
//! | take exchanges one by one | [`acceptor`]: a service, and an [`Accept`](towpath_raw::Accept) of what it gets |
//! | read the body of a request, in whatever server | [`read_body`], with a [`BodyBudget`] that all of them share |
//! | pass bodies between the two vocabularies | [`ChunksBody`], [`BodyChunks`] |
//!
//! What hyper and reqwest leave open is bounded here: a peer that sends its head, or its body, byte by byte; one that
//! takes nothing; too many connections; too many bytes of unfinished bodies; a redirect that would carry a request and
//! its credentials elsewhere. And each failed exchange says whether the request may have reached the peer.
//!
//! # What it does not do
//!
//! It knows heads, bodies and bytes: no JSON, no events, no sessions. It speaks HTTP/1.1, and HTTP/2 with those that know
//! beforehand that the peer does: nothing is upgraded. The server speaks no TLS: that is for what stands in front of it,
//! or give [`serve_connection`] the stream. Without the feature `gzip` it decompresses nothing, so no body is larger than
//! what came; with it, limits hold for what is decoded.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use hyper::body::Incoming;
//! use towpath_http::*;
//! use towpath_raw::{ChunksExt, Connect};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let budget = BodyBudget::new(BodyLimits::default())?;
//! let echo = tower::service_fn(move |request: http::Request<Incoming>| {
//!     let budget = budget.clone();
//!     async move {
//!         let body = read_body(request.into_body(), None, &budget, &BodyTimeouts::default()).await?;
//!         Ok::<_, BodyError>(http::Response::new(ChunksBody::new(Some(body))))
//!     }
//! });
//! let server = HttpServer::bind("127.0.0.1:0", ListenLimits::default(), ListenTimeouts::default()).await?;
//! let url = format!("http://{}/", server.local_addr());
//! let serving = tokio::spawn(server.serve(echo, std::future::pending()));
//!
//! let connect = HttpConnect::new(ConnectLimits::default(), ConnectTimeouts::default())?;
//! let (head, ()) = http::Request::post(url).body(())?.into_parts();
//! let (head, mut body) = connect.exchange(head, Bytes::from_static(b"hello")).await?;
//! assert_eq!(head.status, 200);
//! assert_eq!(body.chunk().await?.as_deref(), Some(&b"hello"[..]));
//! # serving.abort();
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! A future that is dropped takes what it owns with it: an exchange its connection (with HTTP/2 its stream), a server all its connections, a read
//! its body. Bodies are poll-based, so a dropped wait for a chunk takes none.
//!
//! # Features
//!
//! - `tls`: https for [`HttpConnect`], by rustls with the certificates that the operating system trusts. If the program
//!   has installed no provider of cryptography for rustls, ring is installed. Off by default; without it, an https address
//!   is an error that says so.
//! - `gzip`: `HttpConnectBuilder::gzip` asks for compressed answers and decodes them, `encode_body` and `decode_body` are
//!   for the server's side. Off by default.
//! - `hyper-client`: `HyperConnect`, a client over hyper without reqwest's pool, TLS and proxies. Off by default.
#![forbid(unsafe_code)]

mod accept;
mod body;
mod chunks;
mod connect;
mod decoded;
#[cfg(feature = "gzip")]
mod gzip;
mod reason;
mod server;
mod tcp;

pub use accept::{AcceptService, Acceptor, HttpArrival, acceptor};
pub use body::{BodyBudget, BodyError, BodyLimits, BodyLimitsError, BodyTimeouts, read_body};
pub use chunks::{BodyChunks, ChunksBody};
pub use connect::{
    ConnectBody, ConnectLimits, ConnectTimeouts, HttpConnect, HttpConnectBuilder, HttpConnectError,
};
#[cfg(feature = "hyper-client")]
pub use connect::{HyperBody, HyperConnect};
#[cfg(feature = "gzip")]
pub use decoded::DecodedBody;
#[cfg(feature = "gzip")]
pub use gzip::{decode_body, encode_body};
pub use server::{HttpServer, ListenLimits, ListenTimeouts, serve_connection};
