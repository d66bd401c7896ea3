//! A server on its own stdin and stdout, in real processes: how it ends.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

mod process;

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
};

use process::{DEADLINE, Gate, Served, call, ping};
use rustix::process::Signal;

#[test]
fn what_runs_at_the_end_of_stdin_is_answered_before_the_process_ends() {
    let gate = Gate::new("end");
    let (mut ours, theirs) = UnixStream::pair().expect("a pair");
    let mut served = Served::start(gate.server().stdin(OwnedFd::from(theirs)));
    ours.write_all(call(1, "gate").as_bytes()).expect("it reads");
    let running = gate.opened();
    ours.shutdown(Shutdown::Write).expect("open");
    // It has seen the end: it has given its side up.
    ours.set_read_timeout(Some(DEADLINE)).expect("a socket");
    assert_eq!(ours.read(&mut [0]).expect("it closes"), 0);
    served.assert_lives();
    drop(running);
    assert!(served.message().contains(r#""id":1,"result":"#));
    served.assert_ends("the peer has closed");
}

#[test]
fn what_runs_at_a_signal_is_answered_and_nothing_new_is_taken() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let gate = Gate::new("signal");
        let mut served = Served::start(gate.server().env("DRAIN_MS", "3600000"));
        served.say(&call(1, "gate"));
        let running = gate.opened();
        served.send(signal);
        served.say_until_refused();
        served.assert_lives();
        drop(running);
        let answer = served.message();
        assert!(answer.contains(r#""id":1,"result":"#), "{answer}");
        served.assert_ends("closed on this side");
    }
}

#[test]
fn what_never_ends_is_cut_at_the_deadline_of_the_drain() {
    for signal in [Signal::TERM, Signal::INT] {
        let gate = Gate::new("never");
        let mut served = Served::start(gate.server().env("DRAIN_MS", "50"));
        served.say(&call(1, "gate"));
        let _running = gate.opened();
        served.send(signal);
        served.assert_ends("closed on this side");
        assert_eq!(served.rest(), "", "it was not answered");
    }
}

#[test]
fn a_second_signal_ends_a_drain_at_once() {
    let gate = Gate::new("second");
    let mut served = Served::start(gate.server().env("DRAIN_MS", "3600000"));
    served.say(&call(1, "gate"));
    let _running = gate.opened();
    served.send(Signal::TERM);
    served.say_until_refused();
    served.send(Signal::TERM);
    served.assert_ends("closed on this side");
}

#[test]
fn an_answer_that_nobody_reads_holds_a_drain_up_no_longer_than_it_may() {
    let gate = Gate::new("unread");
    let mut served = Served::start_unread(gate.server().env("DRAIN_MS", "50"));
    served.say(&call(1, "large"));
    // Its answer has begun, and is more than the pipe holds.
    served.read_past_the_runner();
    served.send(Signal::TERM);
    served.assert_ends("closed on this side");
}

#[test]
fn a_reader_that_takes_nothing_ends_the_process_after_write_stall() {
    let gate = Gate::new("stalled");
    let mut served = Served::start_unread(gate.server().env("STALL_MS", "50"));
    served.say(&call(1, "large"));
    served.assert_ends("took no byte");
}

#[test]
fn a_reader_that_has_gone_ends_the_process_though_stdin_is_open() {
    let gate = Gate::new("gone");
    let mut served = Served::start_unread(&mut gate.server());
    served.close_stdout();
    served.say(&ping(1));
    served.assert_ends("closed");
}

#[test]
fn a_line_over_the_limit_of_the_options_is_refused() {
    let gate = Gate::new("limit");
    let mut served = Served::start(gate.server().env("LINE_BYTES", "400"));
    served.say(&ping(1));
    assert!(served.message().contains(r#""id":1,"result":"#));
    let long = ping(2).replace(r#""params""#, &format!(r#""padding":"{}","params""#, "x".repeat(400)));
    served.say(&long);
    let refusal = served.message();
    assert!(refusal.contains(r#""id":2,"error":"#) && refusal.contains("max_message_bytes"), "{refusal}");
    served.end();
    served.assert_ends("the peer has closed");
}

#[test]
fn what_a_shell_pipes_in_is_answered_with_and_without_a_newline() {
    for (print, line) in
        [("printf '%s\\n'", ping(1)), ("printf '%s'", ping(1)), ("printf '\\357\\273\\277%s\\r\\n'", ping(1))]
    {
        let gate = Gate::new("shell");
        let server = gate.server();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("line=$1; shift; {print} \"$line\" | \"$@\""), "sh", line.trim_end()]);
        shell.arg(server.get_program()).args(server.get_args());
        shell.envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut served = Served::start(shell.stdin(Stdio::null()));
        assert!(served.message().contains(r#""id":1,"result":"#), "{print}");
        served.assert_ends("the peer has closed");
    }
}

#[test]
fn what_a_handler_and_its_children_print_goes_to_stderr() {
    let gate = Gate::new("noise");
    let mut served = Served::start(&mut gate.server());
    served.say(&call(1, "print"));
    assert!(served.message().contains(r#""id":1,"result":"#));
    served.end();
    let stderr = served.assert_ends("the peer has closed");
    assert!(stderr.contains("printed by a handler") && stderr.contains("printed by a child"), "{stderr}");
}

/// What this program does when a test has started it.
#[test]
fn role() {
    process::serve_if_asked();
}
