//! An example MCP server that exercises every part of the protocol, in both eras; not published.
//!
//! The tools, prompts and resources are those that the official conformance suite asks for, and those that the
//! interoperability tests use. [`server`] makes it, and [`header_params`] tells an endpoint what its tools want in
//! headers; the binary `everything` serves its own stdin and stdout, or HTTP with `--http`. The binary `interop-client`
//! puts other servers through their paces, and the conformance suite does that with the binary `conformance-client`.
//!
//! # What it does not do
//!
//! Nothing useful. It is made of the public API of `towpath` alone, so it also shows what an application has to
//! write itself.
//!
//! # Example
//!
//! ```no_run
//! use towpath::OwnStdio;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let server = towpath_everything::server()?;
//! server.serve(OwnStdio::lane(Default::default(), Default::default())?).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Handlers hold nothing: a cancelled one is dropped where it waits.
//!
//! # Features
//!
//! None.
#![forbid(unsafe_code)]

mod answer;
mod completion;
mod input;
mod prompts;
mod resources;
mod sealed;
mod server;
mod tools;

pub use server::{Everything, server};
pub use tools::header_params;
