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

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::sync::watch;

use super::{
    ChildExit, ChildStatus,
    escalation::{Escalation, Signalled},
    stderr::StderrLog,
};

/// What a tree and its owners share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) peer: Arc<str>,
    pub(super) pid: Pid,
    pub(super) exit: watch::Sender<Option<Arc<ChildExit>>>,
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
        Self { peer, pid, exit: watch::Sender::new(None), orders: AtomicU8::new(0), wake }
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
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = match waitid(WaitId::Pid(self.shared.pid), options) {
            Ok(None) => return,
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => ChildStatus::Code(code),
                (None, signal) => ChildStatus::Signal(signal.unwrap_or_default()),
            },
            // Other code of this process has reaped it; how it ended is lost.
            Err(error) => {
                tracing::warn!(target: "towpath::child", child = %self.shared.peer, "cannot wait for it: {error}");
                ChildStatus::Unknown
            }
        };
        let after = self.started.elapsed();
        self.pidfd = None;
        self.to_be_counted = true;
        for _ in 0..LAST_READS {
            if !self.read_stderr(buffer) {
                break;
            }
        }
        let exit = ChildExit::new(status, after, self.log.tail());
        tracing::debug!(target: "towpath::child", child = %self.shared.peer, "{exit}");
        self.shared.exit.send_replace(Some(Arc::new(exit)));
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

    /// Nobody is left: ends the tree.
    pub(super) fn reap(mut self) {
        // Should a process have hidden from the count by forking, it ends here; the number is still ours.
        self.kill();
        self.log.finish();
        if let Err(error) = self.child.wait() {
            tracing::warn!(target: "towpath::child", child = %self.shared.peer, "cannot reap it: {error}");
        }
    }

    /// The leader has not been reaped, so the number of the group cannot be somebody else's.
    fn signal(&self, signalled: Option<Signalled>) {
        let signal = match signalled {
            None => return,
            Some(Signalled::Terminate) => Signal::TERM,
            Some(Signalled::Kill) => Signal::KILL,
        };
        if let Err(error) = kill_process_group(self.shared.pid, signal)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!(target: "towpath::child", child = %self.shared.peer, "cannot signal it: {error}");
        }
    }
}

/// What the largest pipe can hold is read after the leader's exit; what others of its group go on writing then
/// is read when its turn comes.
const LAST_READS: usize = 32;
