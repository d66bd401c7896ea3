//! `towpath serve --listen`, and the ways to reach it.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::{
    path::PathBuf,
    process::{self, Stdio},
    time::Duration,
};

use common::{Finished, TOWPATH, processes_with, run, signal, towpath, within};
use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::UnixStream,
    process::{Child, ChildStderr},
};

/// A bridge that listens on a socket.
struct Bridge {
    process: Child,
    stderr: Lines<BufReader<ChildStderr>>,
    address: String,
    mark: String,
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("towpath-{name}-{}.sock", process::id()))
}

impl Bridge {
    async fn serve(listen: &str, name: &str, options: &[&str]) -> Self {
        let mark = format!("TOWPATH_TEST_MARK=socket-{name}-{}", process::id());
        let server = ["--", TOWPATH, "demo-server"];
        let args = [&["serve", "--listen", listen, "--env", &mark], options, &server].concat();
        let (variable, value) = mark.split_once('=').unwrap();
        let mut process = towpath(&args).env(variable, value).spawn().unwrap();
        let mut stderr = BufReader::new(process.stderr.take().unwrap()).lines();
        let said = stderr.next_line().await.unwrap().unwrap();
        assert!(said.contains("serves") && said.contains("2026-07-28"), "{said}");
        let limits = stderr.next_line().await.unwrap().unwrap();
        assert!(limits.contains("--max-sessions"), "{limits}");
        let address = said.split_whitespace().next().unwrap().to_owned();
        let bridge = Self { process, stderr, address, mark };
        // The process that was asked what it speaks is not to be taken for that of a connection.
        bridge.has(2).await;
        bridge
    }

    async fn call(&self, args: &[&str]) -> Finished {
        run(&[&["call", "--url", &self.address], args].concat()).await
    }

    /// A call that is under way when this returns.
    async fn wait(&self) -> Child {
        let args = ["call", "--url", &self.address, "tools/call", r#"{"name":"wait"}"#];
        let mut caller = towpath(&args).spawn().unwrap();
        let mut stderr = BufReader::new(caller.stderr.take().unwrap()).lines();
        assert_eq!(stderr.next_line().await.unwrap().as_deref(), Some("progress 0: waiting"));
        caller
    }

    /// Waits until there are so many processes of it.
    async fn has(&self, processes: usize) {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while processes_with(&self.mark) != processes {
            look.tick().await;
        }
    }

    async fn end(mut self, kind: Signal) {
        signal(&self.process, kind);
        let status = self.process.wait().await.unwrap();
        assert!(kind == Signal::KILL || status.code() == Some(0), "{status}");
        self.has(0).await;
    }
}

const ECHO: [&str; 2] = ["tools/call", r#"{"name":"echo","arguments":{"text":"\u00e9 1e400"}}"#];

#[tokio::test]
async fn a_server_on_stdio_is_reached_on_a_socket_in_both_eras() {
    within(async {
        let unix = path("eras");
        for listen in [format!("unix:{}", unix.display()), "tcp:127.0.0.1:0".to_owned()] {
            let bridge = Bridge::serve(&listen, "eras", &[]).await;
            assert!(!bridge.address.ends_with(":0"), "{}", bridge.address);
            for era in ["auto", "modern", "legacy"] {
                let done = bridge.call(&[&["--era", era], &ECHO[..]].concat()).await;
                assert_eq!(done.status, Some(0), "{done:?}");
                assert!(done.stdout.contains(r#""text":"\u00e9 1e400""#), "{done:?}");
                let connect = ["--", TOWPATH, "connect", &bridge.address];
                let done = run(&[&["call", "--era", era], &ECHO[..], &connect].concat()).await;
                assert_eq!(done.status, Some(0), "{done:?}");
            }
            // The bridge and its guard: the process of a connection ends with it.
            bridge.has(2).await;
            bridge.end(Signal::TERM).await;
        }
        assert!(!unix.exists(), "the path goes with the bridge");
    })
    .await;
}

#[tokio::test]
async fn a_signal_ends_every_connection_and_its_process() {
    within(async {
        for kind in [Signal::TERM, Signal::INT, Signal::KILL] {
            let socket = path(&format!("signal-{kind:?}"));
            let bridge =
                Bridge::serve(&format!("unix:{}", socket.display()), &format!("{kind:?}"), &[]).await;
            let mut callers = [bridge.wait().await, bridge.wait().await];
            // The bridge, its guard, and a process for each connection.
            bridge.has(4).await;
            bridge.end(kind).await;
            for caller in &mut callers {
                assert_eq!(caller.wait().await.unwrap().code(), Some(4), "{kind:?}: lost");
            }
            let _ = std::fs::remove_file(socket);
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_too_many_is_told_so_and_starts_nothing() {
    within(async {
        let socket = path("limit");
        let listen = format!("unix:{}", socket.display());
        let bridge = Bridge::serve(&listen, "limit", &["--max-sessions", "1"]).await;
        let mut caller = bridge.wait().await;
        bridge.has(3).await;
        let mut newcomer = UnixStream::connect(&socket).await.unwrap();
        // One that was let in would be answered nothing, and closed.
        let _ = newcomer.shutdown().await;
        let mut told = String::new();
        newcomer.read_to_string(&mut told).await.unwrap();
        assert!(told.contains("too_many_connections"), "{told}");
        assert_eq!(processes_with(&bridge.mark), 3);
        signal(&caller, Signal::INT);
        caller.wait().await.unwrap();
        bridge.has(2).await;
        assert_eq!(bridge.call(&ECHO).await.status, Some(0));
        bridge.end(Signal::TERM).await;
    })
    .await;
}

#[tokio::test]
async fn a_place_that_is_taken_is_found_before_the_server_is_started() {
    within(async {
        let (socket, touched) = (path("taken"), path("touched"));
        let unix = format!("unix:{}", socket.display());
        let touch = touched.to_str().unwrap();
        let bridges = [
            Bridge::serve(&unix, "taken", &[]).await,
            Bridge::serve("tcp:127.0.0.1:0", "taken-tcp", &[]).await,
        ];
        let http = format!("http://{}/mcp", bridges[1].address.strip_prefix("tcp:").unwrap());
        for place in [&bridges[0].address, &bridges[1].address, &http] {
            let done = run(&["serve", "--listen", place, "--", "touch", touch]).await;
            assert_eq!(done.status, Some(3), "{done:?}");
            assert!(done.stderr.starts_with("error: cannot listen on "), "{done:?}");
            assert!(!touched.exists(), "{place}");
        }
        for bridge in bridges {
            signal(&bridge.process, Signal::TERM);
            bridge.process.wait_with_output().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_connected_socket_says_how_it_was_lost() {
    within(async {
        let mut bridge = Bridge::serve("tcp:127.0.0.1:0", "lost", &[]).await;
        let mut connect = towpath(&["connect", &bridge.address]).stdin(Stdio::piped()).spawn().unwrap();
        let stdin = connect.stdin.take();
        bridge.has(3).await;
        signal(&bridge.process, Signal::TERM);
        let done = Finished::from(connect.wait_with_output().await.unwrap());
        drop(stdin);
        let cause = format!("lost `{}`: the peer has closed the connection", bridge.address);
        done.assert_fails(4, &[&cause], "each request");
        assert_eq!(bridge.process.wait().await.unwrap().code(), Some(0));
        let done = run(&["connect", &bridge.address]).await;
        assert_eq!(done.status, Some(3), "{done:?}");
        assert!(done.stderr.contains("cannot connect to `tcp:127.0.0.1:"), "{done:?}");
        let done = run(&["connect", "--header", "a: b", &bridge.address]).await;
        done.assert_fails(2, &["--header is for HTTP"], "connect --help");
    })
    .await;
}

#[tokio::test]
async fn an_address_that_others_reach_is_warned_of() {
    within(async {
        let mut bridge = Bridge::serve("tcp:0.0.0.0:0", "open", &[]).await;
        signal(&bridge.process, Signal::TERM);
        let warned = bridge.stderr.next_line().await.unwrap().unwrap_or_default();
        assert!(warned.starts_with("warning: ") && warned.contains("no authentication"), "{warned}");
        assert_eq!(bridge.process.wait().await.unwrap().code(), Some(0));
    })
    .await;
}
