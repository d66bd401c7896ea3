//! What the tests of the binary share.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::expect_used, reason = "what fails here fails the test")]

use std::{
    fs,
    future::Future,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::process::{Child, Command};

/// The binary.
pub(crate) const TOWPATH: &str = env!("CARGO_BIN_EXE_towpath");

/// How long anything may take before a test says that it hangs.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it hung")
}

/// The binary with these arguments and captured output.
pub(crate) fn towpath(args: &[&str]) -> Command {
    let mut command = Command::new(TOWPATH);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs it to its end.
pub(crate) async fn run(args: &[&str]) -> Finished {
    let output = towpath(args).output().await.expect("the binary starts");
    Finished::from(output)
}

/// `towpath call` with these options, method and params, to the example server.
pub(crate) async fn call(args: &[&str]) -> Finished {
    run(&[&["call"], args, &["--", TOWPATH, "demo-server"]].concat()).await
}

/// `towpath call` with these options, method and params, to a server that is a shell script.
pub(crate) async fn call_script(args: &[&str], script: &str) -> Finished {
    run(&[&["call"], args, &["--", "sh", "-c", script]].concat()).await
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

impl Finished {
    /// It failed with one line that says all of `cause`, one that says `hint`, and nothing on stdout.
    #[track_caller]
    pub(crate) fn assert_fails(&self, status: i32, cause: &[&str], hint: &str) {
        assert_eq!(self.status, Some(status), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        let [said, hinted] = lines.as_slice() else { panic!("not two lines: {self:?}") };
        for part in cause {
            assert!(said.starts_with("error: ") && said.contains(part), "no {part:?} in {said:?}");
        }
        assert!(hinted.starts_with("hint: ") && hinted.contains(hint), "no {hint:?} in {hinted:?}");
    }
}

/// How many processes have this variable in their environment, and are not zombies.
pub(crate) fn processes_with(variable: &str) -> usize {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let has = |entry: &fs::DirEntry| {
        let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|one| one == variable.as_bytes())
    };
    entries.filter(has).count()
}

/// Sends a signal to it.
pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid as i32)).expect("it lives");
    rustix::process::kill_process(pid, signal).expect("kill");
}

/// A server of the legacy era in a few lines of shell: refuses `server/discover`, answers `initialize`, and goes on
/// with `then` when the first request has come.
pub(crate) fn legacy_script(then: &str) -> String {
    format!(
        r#"
        while read -r line; do
            id=$(printf %s "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
            case "$line" in
            *'"server/discover"'*)
                echo '{{"jsonrpc":"2.0","id":'$id',"error":{{"code":-32601,"message":"what?"}}}}';;
            *'"initialize"'*)
                echo '{{"jsonrpc":"2.0","id":'$id',"result":{{"protocolVersion":"2025-11-25","capabilities":{{}},"serverInfo":{{"name":"sh","version":"1"}}}}}}';;
            *'"notifications/'*) ;;
            *) {then};;
            esac
        done"#
    )
}
