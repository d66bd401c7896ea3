//! The measurements of Towpath: one harness, and the subjects that run under it.
//!
//! A **subject** is something that answers an `echo` tool call: the *floor* (the least code that
//! moves the same bytes), the *API floor* (the same with 64 callers, each woken once), Towpath, and
//! in the separate workspace `peers/` the implementations it is compared with. Over HTTP every server
//! is driven by one load generator, the same for all. Every subject gets the same texts and the same callers, and every one of its answers is checked: a run with a wrong
//! answer is a failed run, not a fast one.
//!
//! The binary `towpath-bench` takes one sample per process and prints it as one line of JSON;
//! `cargo xtask bench` interleaves the rounds, compares and reports. This crate decides nothing about targets
//! and keeps no results.
//!
//! The entry type is [`Subject`]; [`Entry::new`] makes it known to [`main`](fn@main).
//!
//! # Features
//!
//! `towpath` (default) adds Towpath itself; without it, the harness and the floors remain.

#![forbid(unsafe_code)]

mod case;
mod cpu;
mod entry;
mod failure;
mod http;
mod lines;
mod measure;
mod medium;
mod run;
mod sample;
mod subject;
mod subjects;
mod texts;

pub use case::Case;
pub use entry::Entry;
pub use failure::Failure;
pub use http::{HttpCaller, HttpServer, serve_hyper, serve_tower, until_stdin_ends};
pub use medium::{
    Answers, ChildPipes, MEMORY_BYTES, Medium, PipeSize, own_pipes, serve_command, spawn_child,
};
pub use run::main;
pub use subject::{Answer, Caller, Connection, Load, Subject};
pub use subjects::{entries, floor_entries};
pub use texts::Texts;
