//! Which peers there are, and how they are installed and started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Ours;
use crate::install;
use crate::process::works;
use crate::workspace::{Result, root};

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Our own client.
    OurClient,
    /// Our own server.
    OurServer,
    /// The client on the TypeScript SDK 1.x.
    TypeScript1Client,
    /// The client on the TypeScript SDK 2.x.
    TypeScript2Client,
    /// The server on the TypeScript SDK 2.x.
    TypeScript2Server,
    /// `@modelcontextprotocol/server-everything`, on the TypeScript SDK 1.x.
    Everything,
    /// The client on the Python SDK.
    PythonClient,
    /// The server on the Python SDK.
    PythonServer,
}

impl Side {
    /// The name in the table, and what our client calls a peer.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OurClient | Self::OurServer => "towpath",
            Self::TypeScript1Client => "ts1",
            Self::TypeScript2Client | Self::TypeScript2Server => "ts2",
            Self::Everything => "everything",
            Self::PythonClient | Self::PythonServer => "py",
        }
    }
}

/// Where the peers are, or why they are not.
pub(super) struct Installed {
    node: std::result::Result<PathBuf, String>,
    python: std::result::Result<PathBuf, String>,
}

impl Installed {
    /// Installs what is not there yet in the pinned versions.
    pub(super) fn new() -> Self {
        Self {
            node: node().map_err(|error| format!("the Node peers: {error}")),
            python: python().map_err(|error| format!("the Python peers: {error}")),
        }
    }

    /// What could not be installed.
    pub(super) fn missing(&self) -> Vec<&String> {
        [&self.node, &self.python].into_iter().filter_map(|folder| folder.as_ref().err()).collect()
    }

    /// A server that listens on this port of the loopback, at `/mcp`; or why there is none.
    pub(super) fn listening(
        &self,
        side: Side,
        ours: &Ours,
        port: u16,
    ) -> std::result::Result<Command, String> {
        let words = self.command(side, ours)?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        match side {
            Side::OurServer => command.args(["--http", &format!("127.0.0.1:{port}")]),
            Side::Everything => command.arg("streamableHttp").env("PORT", port.to_string()),
            _ => command.args(["--port", &port.to_string()]),
        };
        Ok(command)
    }

    /// The program of a side with its first arguments, or why there is none.
    pub(super) fn command(&self, side: Side, ours: &Ours) -> std::result::Result<Vec<OsString>, String> {
        let node = |script: &str| Ok(vec!["node".into(), self.node.clone()?.join(script).into()]);
        let python = |script: &str| {
            let folder = self.python.clone()?;
            Ok(vec![interpreter(&folder).into(), root().join("tests/interop/python").join(script).into()])
        };
        match side {
            Side::OurClient => Ok(vec![ours.client.clone().into()]),
            Side::OurServer => Ok(vec![ours.server.clone().into()]),
            Side::TypeScript1Client => node("client1.mjs"),
            Side::TypeScript2Client => node("client2.mjs"),
            Side::TypeScript2Server => node("server2.mjs"),
            Side::Everything => node("node_modules/@modelcontextprotocol/server-everything/dist/index.js"),
            Side::PythonClient => python("client.py"),
            Side::PythonServer => python("server.py"),
        }
    }
}

/// The folder with the Node peers' packages and our scripts: Node looks for packages beside a script.
fn node() -> Result<PathBuf> {
    let manifests = root().join("tests/interop/node");
    let folder = root().join("target/interop/node");
    install::npm(&manifests, &folder)?;
    for entry in std::fs::read_dir(&manifests)? {
        let script = entry?.path();
        if let (Some("mjs"), Some(name)) =
            (script.extension().and_then(|end| end.to_str()), script.file_name())
        {
            std::fs::copy(&script, folder.join(name))?;
        }
    }
    Ok(folder)
}

/// The virtual environment with the Python peers' packages.
fn python() -> Result<PathBuf> {
    if !works(
        Command::new("python3")
            .args(["-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"]),
    ) {
        return Err("python3 is not installed, or older than 3.11, or without venv".into());
    }
    let folder = root().join("target/interop/python");
    install::once(&folder, &[root().join("tests/interop/python/requirements.txt")], |folder| {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "environment"]).current_dir(folder);
        let mut pip = Command::new(interpreter(folder));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .args(["-r", "requirements.txt"])
            .current_dir(folder);
        vec![venv, pip]
    })?;
    Ok(folder)
}

fn interpreter(folder: &Path) -> PathBuf {
    folder.join("environment/bin/python")
}
