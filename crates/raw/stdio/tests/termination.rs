//! The signals that ask a process to end, in a process of its own.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio, exit},
};

use rustix::process::{Pid, Signal as Sent, kill_process};
use towpath_stdio::{Signal, Termination};

use common::{Watched, hear_what_is_ignored, is_ready, own_role, role as start};

struct Listener {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Listener {
    /// Starts it, and waits until it listens.
    fn start(mut command: Command) -> Self {
        hear_what_is_ignored();
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut listener = Self { child, stdout };
        while listener.line() != "listening" {}
        listener
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let is_there = !self.stdout.buffer().is_empty() || is_ready(self.stdout.get_ref());
        assert!(is_there, "it says nothing");
        let bytes = self.stdout.read_line(&mut line).expect("text");
        assert!(bytes > 0, "it ended");
        line.trim_end().to_owned()
    }

    fn send(&self, signal: Sent) {
        kill_process(Pid::from_raw(self.child.id() as i32).expect("a process id"), signal).expect("it lives");
    }

    fn ends(mut self) {
        Watched::new(self.child.id()).assert_goes();
        assert!(self.child.wait().expect("it is ours").success());
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It has no effect on one that has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn each_signal_is_heard_and_a_second_one_again() {
    let mut listener = Listener::start(start("listen"));
    for (signal, name) in
        [(Sent::TERM, "SIGTERM"), (Sent::TERM, "SIGTERM"), (Sent::INT, "SIGINT"), (Sent::HUP, "SIGHUP")]
    {
        listener.send(signal);
        assert_eq!(listener.line(), name);
    }
    listener.ends();
}

#[test]
fn a_signal_that_the_process_was_started_to_ignore_stays_ignored() {
    let inner = start("listen");
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' INT; exec \"$0\" \"$@\""]).arg(inner.get_program()).args(inner.get_args());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut listener = Listener::start(command);
    let status = fs::read_to_string(format!("/proc/{}/status", listener.child.id())).expect("it lives");
    let mask = |name: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix(name)).expect("a mask");
        u64::from_str_radix(mask.trim(), 16).expect("hexadecimal")
    };
    let bit = |signal: Signal| 1_u64 << (signal.number() - 1);
    assert_ne!(mask("SigIgn:") & bit(Signal::Interrupt), 0, "it is not ignored any more");
    assert_ne!(mask("SigCgt:") & bit(Signal::Terminate), 0, "the others are heard");
    listener.send(Sent::INT);
    listener.send(Sent::HUP);
    assert_eq!(listener.line(), "SIGHUP");
    listener.ends();
}

/// Says what it hears, until it hears SIGHUP.
async fn listen() {
    let mut termination = Termination::listen().expect("it can listen");
    println!("listening");
    loop {
        let signal = termination.received().await;
        println!("{signal}");
        if signal == Signal::HangUp {
            return;
        }
    }
}

/// What this program does when a test has started it.
#[test]
fn role() {
    if own_role().is_none() {
        return;
    }
    // The test runner leaves its own line open.
    println!();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(listen());
    exit(0);
}
