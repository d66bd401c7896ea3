//! Trees whose parts the tests hold themselves.

use std::{
    env,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    process::{PidfdFlags, kill_process, pidfd_open},
};

use super::*;
use crate::child::log::Audience;

const ROLE: &str = "TOWPATH_TEST_OTHER_PARENT";

/// Another parent, when the test has started it: it has a child that leads a group of two.
#[test]
fn other_parent() {
    if env::var_os(ROLE).is_some() {
        let script = "echo; echo pid $$; sleep 1000 & echo pid $!; wait";
        let mut leader = Command::new("sh");
        // What a failed test leaves behind must not hold the stderr of its runner.
        leader.args(["-c", script]).stderr(Stdio::null()).process_group(0);
        let mut leader = leader.spawn().expect("sh starts");
        leader.wait().expect("it is ours");
        println!("\npid 1");
    }
}

/// A failed test leaves nobody behind.
struct LeftByFailure([Pid; 2]);

impl Drop for LeftByFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for pid in self.0 {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

fn wake_fd() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC).expect("a descriptor")
}

fn tree(number: Pid) -> Tree {
    let wake = wake_fd;
    let mut child = Command::new("true").spawn().expect("true starts");
    child.wait().expect("it is ours");
    let log = StderrLog::new(Audience::new("child 1 (x)".into(), None), Arc::new(Tail::new()));
    let shared = Arc::new(Shared::new("child 1 (x)".into(), number, Arc::new(wake())));
    let escalation = Escalation::new(Duration::ZERO, Duration::ZERO, crate::Signal::Terminate);
    Tree::new(shared, "x".into(), child, (wake(), wake()), log, escalation)
}

fn found(tree: &Tree) -> Vec<Member> {
    let group = tree.shared.pid.as_raw_nonzero().get();
    members(&[group]).expect("/proc").remove(&group).unwrap_or_default()
}

#[test]
fn the_group_of_a_leader_that_is_not_ours_any_more_is_signalled_only_while_a_known_member_lives() {
    let mut other = Command::new(env::current_exe().expect("this program"));
    other.args(["child::tree::tests::other_parent", "--exact", "--nocapture"]).env(ROLE, "1");
    let mut other = other.stdout(Stdio::piped()).spawn().expect("it starts");
    let told = BufReader::new(other.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let mut pids = told.filter_map(|line| Pid::from_raw(line.strip_prefix("pid ")?.parse().ok()?));
    let mut pid = || pids.next().expect("it tells");
    let (leader, member) = (pid(), pid());
    let _left = LeftByFailure([leader, member]);
    let watched = pidfd_open(member, PidfdFlags::empty()).expect("it lives");
    let goes = |seconds| {
        let mut fds = [PollFd::new(&watched, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: seconds, tv_nsec: 0 })) == Ok(1)
    };

    // Somebody else's process has the number now, and a group with it.
    let mut tree = tree(leader);
    assert_eq!(found(&tree).len(), 1);
    assert_eq!(tree.survivor(&found(&tree)), None);
    tree.kill();
    // Had it been killed, the others would go too.
    kill_process(leader, Signal::KILL).expect("it lives");
    assert_eq!(pid().as_raw_nonzero().get(), 1);
    other.wait().expect("it is ours");
    assert_eq!(found(&tree).len(), 1, "a group that is not ours was killed");

    // The number is free again, but for the group.
    tree.kill();
    assert!(!goes(0) && found(&tree).len() == 1, "nobody of it was seen");
    assert_eq!(tree.survivor(&found(&tree)), Some(member.as_raw_nonzero().get()));
    let ours = std::mem::take(&mut tree.seen);
    tree.seen = ours.iter().map(|member| Member { started: member.started + 1, ..*member }).collect();
    assert_eq!(tree.survivor(&ours), None, "another process was seen");
    tree.seen = ours;
    tree.kill();
    assert!(goes(60), "it was seen, and lives on");
}

/// The tree of a shell whose stderr nobody has read, and what is heard of it.
fn unread(script: &str) -> (Tree, mpsc::Receiver<String>) {
    let mut command = Command::new("sh");
    let mut child =
        command.args(["-c", script]).stderr(Stdio::piped()).process_group(0).spawn().expect("sh starts");
    let stderr = OwnedFd::from(child.stderr.take().expect("piped"));
    rustix::fs::fcntl_setfl(&stderr, rustix::fs::OFlags::NONBLOCK).expect("it is ours");
    let pid = Pid::from_raw(child.id() as i32).expect("a process id");
    let (lines, heard) = mpsc::channel();
    let on_line = move |line: &str| lines.send(line.to_owned()).expect("the test listens");
    let shared = Arc::new(Shared::new("child 1 (x)".into(), pid, Arc::new(wake_fd())));
    let audience = Audience::new("child 1 (x)".into(), Some(Arc::new(on_line)));
    let log = StderrLog::new(audience, shared.tail.clone());
    let escalation = Escalation::new(Duration::ZERO, Duration::ZERO, crate::Signal::Terminate);
    (Tree::new(shared, "x".into(), child, (wake_fd(), stderr), log, escalation), heard)
}

#[test]
fn what_was_written_before_the_exit_is_read_before_it_is_told() {
    let (mut tree, heard) = unread("echo last words >&2; printf 'without a newline' >&2; exit 4");
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(tree.shared.pid), options).expect("it is ours");
    let mut buffer = [0; 16];
    tree.leader_exited(&mut buffer);
    let exit = tree.shared.exit.borrow().clone().expect("it has exited");
    assert_eq!((exit.status, &*exit.stderr_tail), (ChildStatus::Code(4), "last words\nwithout a newline"));
    tree.reap(&mut buffer);
    let heard = || heard.recv_timeout(Duration::from_secs(60));
    assert_eq!((heard(), heard()), (Ok("last words".into()), Ok("without a newline".into())));
}

#[test]
fn what_was_written_before_the_last_of_the_group_went_is_passed_on() {
    let (tree, heard) = unread("echo one >&2; echo two >&2");
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(tree.shared.pid), options).expect("it is ours");
    tree.reap(&mut [0; 16]);
    let heard = || heard.recv_timeout(Duration::from_secs(60));
    assert_eq!((heard(), heard()), (Ok("one".into()), Ok("two".into())));
}
