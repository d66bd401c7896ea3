//! The thread that owns every child of this process.
//!
//! It spawns them (the parent-death signal of a child fires when the *thread* that spawned it dies), waits for
//! them, drains their stderr and brings them to their end, with or without a runtime. It sleeps in one poll over
//! all of them.

use std::{
    collections::HashMap,
    io,
    os::fd::OwnedFd,
    panic::{AssertUnwindSafe, catch_unwind},
    process::Child,
    sync::{
        Arc, OnceLock,
        mpsc::{self, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, Timespec, epoll, eventfd},
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};

use super::{
    ChildLane,
    escalation::Escalation,
    group::members,
    log::{Audience, Severity, about_all, flush},
    spawn::SpawnRequest,
    stderr::StderrLog,
    tree::{Shared, Tree, wake},
};

/// A child that had not gone by the deadline of [`wait_for_children`], and was killed with its group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftChild {
    /// The process id of the child.
    pub pid: u32,
    /// What was started.
    pub program: String,
    /// Whether it still had an owner: a lane or a handle that was never dropped.
    pub was_owned: bool,
}

/// Waits until every child that this process has started through [`ChildCommand`](crate::ChildCommand) is gone
/// with everything that it started: for the end of a program, after the lanes were dropped.
///
/// What is left at the deadline is killed, and returned. It blocks the thread. What is known of the children by
/// then is traced and passed on before it returns, if whoever hears it takes it within the deadline and within a
/// second.
pub fn wait_for_children(deadline: Duration) -> Vec<LeftChild> {
    let Some(reaper) = REAPER.get() else { return Vec::new() };
    let started = Instant::now();
    let (idle, gone) = mpsc::sync_channel(1);
    reaper.ask(Request::WhenIdle(idle));
    if !matches!(gone.recv_timeout(deadline), Err(mpsc::RecvTimeoutError::Timeout)) {
        flush(deadline.saturating_sub(started.elapsed()).min(AT_MOST_TOLD));
        return Vec::new();
    }
    let (reply, left) = mpsc::sync_channel(1);
    reaper.ask(Request::KillAll(reply));
    let left = left.recv_timeout(AFTER_KILL).unwrap_or_default();
    // Nothing can refuse SIGKILL; a process inside the kernel can put it off.
    let _ = gone.recv_timeout(AFTER_KILL);
    left
}

/// Starts a child and gives the lane to it.
pub(super) fn spawn(request: SpawnRequest) -> io::Result<ChildLane> {
    let reaper = match REAPER.get() {
        Some(reaper) => reaper,
        None => {
            // If another thread is faster, its reaper stays, and the thread of this one ends with it.
            let (started, _) = Reaper::start()?;
            REAPER.get_or_init(|| started)
        }
    };
    let (reply, spawned) = mpsc::sync_channel(1);
    reaper.ask(Request::Spawn(Box::new(request), reply));
    spawned.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that owns children has ended")))
}

static REAPER: OnceLock<Reaper> = OnceLock::new();

/// The way to the thread.
struct Reaper {
    /// Not bounded: only spawning and waiting at the end write to it, and they wait for their reply.
    requests: SyncSender<Request>,
    // After the requests: fields drop in order, and the thread must find them closed when it wakes.
    wake: WakeOnDrop,
}

/// Has the thread look.
struct WakeOnDrop(Arc<OwnedFd>);

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        wake(&self.0);
    }
}

/// How many requests may wait for the thread.
const MAX_REQUESTS: usize = 64;

enum Request {
    Spawn(Box<SpawnRequest>, SyncSender<io::Result<ChildLane>>),
    WhenIdle(SyncSender<()>),
    KillAll(SyncSender<Vec<LeftChild>>),
}

impl Reaper {
    fn start() -> io::Result<(Self, thread::JoinHandle<()>)> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &wake, token(WAKE_ID, Kind::Wake), epoll::EventFlags::IN)?;
        // Whoever asks waits for the answer anyway.
        let (requests, inbox) = mpsc::sync_channel(MAX_REQUESTS);
        let thread = Thread {
            epoll,
            wake: wake.clone(),
            inbox,
            trees: HashMap::new(),
            next_id: WAKE_ID + 1,
            when_idle: Vec::new(),
            buffer: vec![0; 64 << 10],
        };
        let thread = thread::Builder::new().name("towpath-reaper".into()).spawn(move || thread.run())?;
        Ok((Self { requests, wake: WakeOnDrop(wake) }, thread))
    }

    fn ask(&self, request: Request) {
        // It fails when the thread has ended, and then the reply channel tells.
        let _ = self.requests.send(request);
        wake(&self.wake.0);
    }
}

/// What the thread has.
struct Thread {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    inbox: mpsc::Receiver<Request>,
    trees: HashMap<u64, Tree>,
    next_id: u64,
    when_idle: Vec<SyncSender<()>>,
    buffer: Vec<u8>,
}

impl Thread {
    fn run(mut self) {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(64);
        // A panic, in a waker of somebody else's say, must not leave all children without an owner.
        while catch_unwind(AssertUnwindSafe(|| self.step(&mut events))).unwrap_or(true) {}
    }

    /// Waits once and does what is due: whether there can be more to do, ever.
    fn step(&mut self, events: &mut Vec<epoll::Event>) -> bool {
        let timeout = self.next_deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|after| Timespec::try_from(after).ok());
        events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                // It cannot happen with a descriptor of ours; if it does, do not spin.
                about_all(Severity::Error, format_args!("cannot wait for children: {error}"));
                // allowed: there is nothing left that could be waited for.
                thread::sleep(Duration::from_millis(100));
            }
        }
        let mut inbox_open = true;
        for event in events.iter() {
            let (id, kind) = parts(event.data);
            match kind {
                Kind::Wake => inbox_open = self.woken(),
                Kind::Leader => self.with(id, |tree, buffer| tree.leader_exited(buffer)),
                Kind::Stderr => self.with(id, |tree, buffer| {
                    tree.read_stderr(buffer);
                }),
                Kind::Survivor => self.with(id, |tree, _| {
                    tree.survivor = None;
                    tree.to_be_counted = true;
                }),
            }
        }
        let now = Instant::now();
        for tree in self.trees.values_mut() {
            tree.tick(now);
        }
        self.count(now);
        if self.trees.is_empty() {
            for idle in self.when_idle.drain(..) {
                let _ = idle.try_send(());
            }
            return inbox_open;
        }
        true
    }

    fn with(&mut self, id: u64, act: impl FnOnce(&mut Tree, &mut [u8])) {
        if let Some(tree) = self.trees.get_mut(&id) {
            act(tree, &mut self.buffer);
        }
    }

    /// Requests and orders have come: whether more can.
    fn woken(&mut self) -> bool {
        let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
        let inbox_open = loop {
            match self.inbox.try_recv() {
                Ok(Request::Spawn(request, reply)) => {
                    let _ = reply.try_send(self.spawn(*request));
                }
                Ok(Request::WhenIdle(idle)) => self.when_idle.push(idle),
                Ok(Request::KillAll(reply)) => {
                    let _ = reply.try_send(self.kill_all());
                }
                Err(mpsc::TryRecvError::Empty) => break true,
                Err(mpsc::TryRecvError::Disconnected) => break false,
            }
        };
        let now = Instant::now();
        for tree in self.trees.values_mut() {
            tree.obey(now);
        }
        inbox_open
    }

    fn spawn(&mut self, request: SpawnRequest) -> io::Result<ChildLane> {
        let SpawnRequest { mut command, name, stdin, stdout, stderr, options } = request;
        if let Some(bytes) = options.pipe_bytes
            && self.trees.len() < ENLARGED_CHILDREN
        {
            for pipe in [&stdin, &stdout] {
                let _ = rustix::pipe::fcntl_setpipe_size(pipe, bytes);
            }
        }
        let mut child = command.spawn()?;
        // The child's ends of the pipes are in it, and must be the child's alone.
        drop(command);
        let id = self.next_id;
        self.next_id += 1;
        let watched = pid_of(&child).and_then(|pid| Ok((pid, self.watch_child(id, pid, &stderr)?)));
        let (pid, pidfd) = match watched {
            Ok(watched) => watched,
            Err(error) => {
                end_at_once(&mut child);
                return Err(error);
            }
        };
        let peer: Arc<str> = format!("child {} ({name})", child.id()).into();
        let shared = Arc::new(Shared::new(peer.clone(), pid, self.wake.clone()));
        let timeouts = &options.child_timeouts;
        let escalation = Escalation::new(
            timeouts.exit_after_stdin_close,
            timeouts.exit_after_terminate,
            options.ends_with,
        );
        let log = StderrLog::new(Audience::new(peer, options.on_stderr_line.clone()), shared.tail.clone());
        let tree = Tree::new(shared.clone(), name, child, (pidfd, stderr), log, escalation);
        self.trees.insert(id, tree);
        Ok(ChildLane::new(shared, stdin, stdout, &options))
    }

    fn watch_child(&self, id: u64, pid: Pid, stderr: &OwnedFd) -> io::Result<OwnedFd> {
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        epoll::add(&self.epoll, &pidfd, token(id, Kind::Leader), epoll::EventFlags::IN)?;
        epoll::add(&self.epoll, stderr, token(id, Kind::Stderr), epoll::EventFlags::IN)?;
        Ok(pidfd)
    }

    fn kill_all(&mut self) -> Vec<LeftChild> {
        let now = Instant::now();
        let mut left = Vec::new();
        for tree in self.trees.values_mut() {
            // What was dropped before this was asked for is nobody's, though it came with the same waking.
            tree.obey(now);
            left.push(LeftChild {
                pid: tree.shared.pid.as_raw_nonzero().get().unsigned_abs(),
                program: tree.name.clone(),
                was_owned: !tree.has_begun_to_end(),
            });
            tree.kill();
        }
        left
    }

    /// Finds out who is left in the groups whose leader has gone, and reaps the leaders of those where nobody is.
    fn count(&mut self, now: Instant) {
        let counted = |tree: &Tree| tree.to_be_counted.then(|| tree.shared.pid.as_raw_nonzero().get());
        let leaders: Vec<i32> = self.trees.values().filter_map(counted).collect();
        if leaders.is_empty() {
            return;
        }
        // Without /proc nobody can be seen, and whoever is there is killed with the reaping.
        let found = members(&leaders).unwrap_or_default();
        let mut gone = Vec::new();
        for (id, tree) in self.trees.iter_mut().filter(|(_, tree)| tree.to_be_counted) {
            tree.to_be_counted = false;
            let found = found.get(&tree.shared.pid.as_raw_nonzero().get());
            let Some(survivor) = found.and_then(|found| tree.survivor(found)) else {
                gone.push(*id);
                continue;
            };
            tree.outlived(now);
            match watch_survivor(&self.epoll, *id, survivor) {
                Ok(fd) => tree.survivor = Some(fd),
                // It has gone meanwhile, or there is no descriptor to be had: count again, soon.
                Err(_) => tree.to_be_counted = true,
            }
        }
        for tree in gone.into_iter().filter_map(|id| self.trees.remove(&id)) {
            tree.reap(&mut self.buffer);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let recount = self.trees.values().any(|tree| tree.to_be_counted);
        let recount = recount.then(|| Instant::now() + COUNT_AGAIN);
        self.trees.values().filter_map(Tree::deadline).chain(recount).min()
    }
}

fn pid_of(child: &Child) -> io::Result<Pid> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::other("the child has no process id"))
}

/// A child that cannot be watched is not kept.
fn end_at_once(child: &mut Child) {
    if let Ok(pid) = pid_of(child) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let _ = child.wait();
}

fn watch_survivor(epoll: &OwnedFd, id: u64, pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    epoll::add(epoll, &pidfd, token(id, Kind::Survivor), epoll::EventFlags::IN)?;
    Ok(pidfd)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Wake,
    Leader,
    Stderr,
    Survivor,
}

fn token(id: u64, kind: Kind) -> epoll::EventData {
    epoll::EventData::new_u64(id << 2 | kind as u64)
}

fn parts(data: epoll::EventData) -> (u64, Kind) {
    let data = data.u64();
    let kind = match data & 3 {
        0 => Kind::Wake,
        1 => Kind::Leader,
        2 => Kind::Stderr,
        _ => Kind::Survivor,
    };
    (data >> 2, kind)
}

const WAKE_ID: u64 = 0;
/// Above so many children the pipes keep the system's size: the quota of the user is for other programs too.
const ENLARGED_CHILDREN: usize = 32;
const COUNT_AGAIN: Duration = Duration::from_millis(10);
const AFTER_KILL: Duration = Duration::from_secs(1);
const AT_MOST_TOLD: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    #[test]
    fn a_reaper_that_lost_the_race_to_be_the_first_ends() {
        let (ended, end) = mpsc::sync_channel(1);
        thread::spawn(move || {
            let (reaper, thread) = Reaper::start().expect("it starts");
            drop(reaper);
            ended.send(thread.join().is_ok()).expect("the test waits");
        });
        assert_eq!(end.recv_timeout(DEADLINE), Ok(true), "it stays for ever");
    }

    #[test]
    fn the_requests_are_closed_before_the_thread_is_woken_to_see_it() {
        // One that is full, and blocks: the wake takes until it is read.
        let full = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).expect("a descriptor"));
        rustix::io::write(&*full, &(u64::MAX - 1).to_ne_bytes()).expect("there is room");
        let (requests, inbox) = mpsc::sync_channel(1);
        let reaper = Reaper { requests, wake: WakeOnDrop(full.clone()) };
        let dropping = thread::spawn(move || drop(reaper));
        let closed = matches!(inbox.recv_timeout(DEADLINE), Err(mpsc::RecvTimeoutError::Disconnected));
        rustix::io::read(&*full, &mut [0; 8]).expect("it was full");
        dropping.join().expect("no panic");
        assert!(closed, "it would find them open, and sleep");
    }
}
