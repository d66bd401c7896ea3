//! Towpath's bridge: `towpath serve` in front of a server that speaks over pipes.

use std::env;

use tokio::process::Command;

use super::{ClientCaller, Towpath};
use crate::http::{HttpCaller, HttpServer};
use crate::{Answers, Case, Connection, Failure, Medium, PipeSize, Subject};

/// The variable that has the path of the `towpath` command.
const COMMAND: &str = "TOWPATH_BENCH_COMMAND";

/// The bridge, asked by the load generator.
pub(super) struct Bridge;

/// The server behind the bridge without it: Towpath's client, over pipes.
pub(super) struct Direct;

impl Subject for Bridge {
    const NAME: &'static str = "towpath";
    const SERVER: &'static str = Towpath::NAME;
    type Caller = HttpCaller;

    fn cases() -> Vec<Case> {
        Case::BRIDGE.to_vec()
    }

    async fn connect(_: Medium, callers: usize) -> Result<Connection<HttpCaller>, Failure> {
        let command = env::var_os(COMMAND).ok_or_else(|| format!("{COMMAND} does not name the command"))?;
        let mut command = Command::new(command);
        command.args(["serve", "--port", "0", "--"]).arg(env::current_exe()?).args(["serve", Self::SERVER]);
        let bridge = HttpServer::start_bridge(&mut command).await?;
        let callers = HttpCaller::open(bridge.address, Answers::Json, callers).await?;
        Ok(Connection { callers, owner: Box::new(bridge) })
    }
}

impl Subject for Direct {
    const NAME: &'static str = "direct";
    const SERVER: &'static str = Towpath::NAME;
    type Caller = ClientCaller;

    fn cases() -> Vec<Case> {
        Case::BRIDGE.to_vec()
    }

    async fn connect(_: Medium, callers: usize) -> Result<Connection<ClientCaller>, Failure> {
        Towpath::connect(Medium::Pipes(PipeSize::Default), callers).await
    }
}
