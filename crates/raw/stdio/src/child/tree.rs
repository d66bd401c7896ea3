//! One child and everything that it has started, as the reaper sees it.

use std::{
    io,
    os::fd::OwnedFd,
    process::Child,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Instant,
};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, test_kill_process, waitid,
};
use tokio::sync::watch;

use super::{
    ChildExit, ChildStatus,
    escalation::{Escalation, Signalled},
    group::{Member, members, own_session},
    log::Severity,
    stderr::StderrLog,
    tail::Tail,
};

/// What a tree and its owners share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) peer: Arc<str>,
    pub(super) pid: Pid,
    pub(super) exit: watch::Sender<Option<Arc<ChildExit>>>,
    pub(super) tail: Arc<Tail>,
    /// What the owners want, as flags: room for every order there is, so giving one cannot fail.
    orders: AtomicU8,
    wake: Arc<OwnedFd>,
}

/// What an owner wants of its tree.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// Nobody owns it any more.
    End = 1,
    /// It is to end now, politely.
    Terminate = 2,
    /// It is to end now.
    Kill = 4,
}

impl Shared {
    pub(super) fn new(peer: Arc<str>, pid: Pid, wake: Arc<OwnedFd>) -> Self {
        let (exit, tail) = (watch::Sender::new(None), Arc::new(Tail::new()));
        Self { peer, pid, exit, tail, orders: AtomicU8::new(0), wake }
    }

    /// Gives an order: neither waits nor needs a runtime.
    pub(super) fn order(&self, order: Order) {
        self.orders.fetch_or(order as u8, Ordering::AcqRel);
        wake(&self.wake);
    }
}

/// Wakes the thread that owns the tree.
pub(super) fn wake(fd: &OwnedFd) {
    // It can only fail when the counter is full, and then the thread is awake.
    let _ = rustix::io::write(fd, &1_u64.to_ne_bytes());
}

/// A child with its group, until the last of them is gone.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) shared: Arc<Shared>,
    pub(super) name: String,
    pub(super) stderr: Option<OwnedFd>,
    /// Of the leader; given up when it has exited.
    pub(super) pidfd: Option<OwnedFd>,
    /// Of one other process of the group, once the leader has gone.
    pub(super) survivor: Option<OwnedFd>,
    /// Whether it must be found out who is left.
    pub(super) to_be_counted: bool,
    /// Who was in the group beside its leader when it was counted last.
    seen: Vec<Member>,
    /// The session that the tree was started in. Who leaves it leaves the group.
    session: Option<i32>,
    child: Child,
    log: StderrLog,
    started: Instant,
    escalation: Escalation,
}

impl Tree {
    pub(super) fn new(
        shared: Arc<Shared>,
        name: String,
        child: Child,
        fds: (OwnedFd, OwnedFd),
        log: StderrLog,
        escalation: Escalation,
    ) -> Self {
        let (pidfd, stderr) = fds;
        Self {
            shared,
            name,
            stderr: Some(stderr),
            pidfd: Some(pidfd),
            survivor: None,
            to_be_counted: false,
            seen: Vec::new(),
            session: own_session(),
            child,
            log,
            started: Instant::now(),
            escalation,
        }
    }

    /// Does what the owners want.
    pub(super) fn obey(&mut self, now: Instant) {
        let orders = self.shared.orders.swap(0, Ordering::AcqRel);
        if orders & Order::End as u8 != 0 {
            self.escalation.end(now);
        }
        if orders & Order::Terminate as u8 != 0 {
            let signalled = self.escalation.terminate(now);
            self.signal(signalled);
        }
        if orders & Order::Kill as u8 != 0 {
            self.kill();
        }
    }

    /// Kills the whole group.
    pub(super) fn kill(&mut self) {
        let signalled = self.escalation.kill();
        self.signal(Some(signalled));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.escalation.deadline()
    }

    pub(super) fn has_begun_to_end(&self) -> bool {
        self.escalation.has_begun() || self.pidfd.is_none()
    }

    pub(super) fn tick(&mut self, now: Instant) {
        let signalled = self.escalation.tick(now);
        self.signal(signalled);
    }

    /// The leader has gone, and these have its number as their group: one that lives on, if they are ours.
    pub(super) fn survivor(&mut self, found: &[Member]) -> Option<i32> {
        if !self.holds_number() && !self.knows(found) {
            return None;
        }
        self.seen = found.to_vec();
        found.first().map(|member| member.pid)
    }

    /// The leader has gone and others have not.
    pub(super) fn outlived(&mut self, now: Instant) {
        if self.escalation.is_killing() {
            self.kill();
        } else {
            let signalled = self.escalation.terminate(now);
            self.signal(signalled);
        }
    }

    /// The leader may have exited: notes how, without reaping it, so that its group keeps its number.
    pub(super) fn leader_exited(&mut self, buffer: &mut [u8]) {
        let peeked = self.peek();
        let status = match &peeked {
            Ok(None) => return,
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => ChildStatus::Code(code),
                (None, signal) => ChildStatus::Signal(signal.unwrap_or_default()),
            },
            // Other code of this process has reaped it; how it ended is lost.
            Err(_) => ChildStatus::Unknown,
        };
        let after = self.started.elapsed();
        self.pidfd = None;
        self.to_be_counted = true;
        self.drain_stderr(buffer);
        let exit = Arc::new(ChildExit::new(status, after, self.shared.tail.text()));
        // Before it is told to anybody else: nothing may come between an exit and those who wait for it.
        self.shared.exit.send_replace(Some(exit.clone()));
        if let Err(error) = peeked {
            self.log.audience().about(Severity::Warning, format_args!("cannot wait for it: {error}"));
        }
        self.log.audience().about(Severity::Detail, format_args!("{exit}"));
    }

    /// How the leader exited, if it has; an error when it is not ours any more.
    fn peek(&self) -> rustix::io::Result<Option<WaitIdStatus>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        waitid(WaitId::Pid(self.shared.pid), options)
    }

    /// Whether the leader, alive or not yet reaped, keeps its number from being given to somebody else.
    fn holds_number(&self) -> bool {
        self.peek().is_ok()
    }

    /// Reads stderr once: whether there may be more now.
    pub(super) fn read_stderr(&mut self, buffer: &mut [u8]) -> bool {
        let Some(stderr) = &self.stderr else { return false };
        match rustix::io::read(stderr, &mut *buffer) {
            Ok(0) => {
                self.log.finish();
                self.stderr = None;
                false
            }
            Ok(bytes) => {
                self.log.push(buffer.get(..bytes).unwrap_or_default());
                true
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => {
                self.stderr = None;
                false
            }
        }
    }

    /// Reads what is there, at least what was there when this began.
    fn drain_stderr(&mut self, buffer: &mut [u8]) {
        for _ in 0..LAST_READS {
            if !self.read_stderr(buffer) {
                break;
            }
        }
    }

    /// Nobody is left: ends the tree.
    pub(super) fn reap(mut self, buffer: &mut [u8]) {
        self.drain_stderr(buffer);
        // Should a process have hidden from the count by forking, it ends here; the number is still ours.
        self.kill();
        if let Err(error) = self.child.wait() {
            self.log.audience().about(Severity::Warning, format_args!("cannot reap it: {error}"));
        }
        self.log.finish();
        self.log.close();
    }

    /// As long as the leader has not been reaped, the number of the group cannot be somebody else's. Other code
    /// of this process can reap it, and so does the system when SIGCHLD is ignored: then a group has the number
    /// while it has members, so it is ours if one of those that were seen in it is in it still.
    fn signal(&self, signalled: Option<Signalled>) {
        let signal = match signalled {
            None => return,
            Some(Signalled::Terminate(polite)) => polite.to_send(),
            Some(Signalled::Kill) => Signal::KILL,
        };
        if !self.holds_number() && !self.sees_a_member() {
            return;
        }
        if let Err(error) = kill_process_group(self.shared.pid, signal)
            && error != rustix::io::Errno::SRCH
        {
            self.log.audience().about(Severity::Warning, format_args!("cannot signal it: {error}"));
        }
    }

    fn sees_a_member(&self) -> bool {
        let group = self.shared.pid.as_raw_nonzero().get();
        let found = members(&[group]).ok().and_then(|mut found| found.remove(&group)).unwrap_or_default();
        !self.seen.is_empty() && self.knows(&found)
    }

    /// Whether these, who have our number as their group when it is not held any more, are ours: of our session,
    /// not around a new process of that number, and with one that was seen before; the first look does without.
    fn knows(&self, found: &[Member]) -> bool {
        let has_new_leader = test_kill_process(self.shared.pid) != Err(rustix::io::Errno::SRCH);
        !has_new_leader
            && found.iter().all(|member| Some(member.session) == self.session)
            && (self.seen.is_empty() || found.iter().any(|member| self.seen.contains(member)))
    }
}

/// What the largest pipe can hold is read at the end of the leader and of the group; what others go on writing after
/// that of the leader is read when its turn comes.
const LAST_READS: usize = 32;

#[cfg(test)]
mod tests;
