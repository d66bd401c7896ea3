//! What is told about children, on a thread of its own.
//!
//! Subscribers and callbacks are other people's code: they may block, on a pipe that nobody reads say, panic, or
//! start a child themselves. None of that may stop the thread that owns all children, so that one only queues,
//! never waits, and drops what does not fit.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::Duration,
};

use tracing::level_filters::LevelFilter;

use super::tail::printable;

/// Called with each line of stderr, on the thread that this module starts.
pub(super) type OnLine = Arc<dyn Fn(&str) + Send + Sync>;

/// Who hears of one child.
pub(super) struct Audience {
    peer: Arc<str>,
    on_line: Option<OnLine>,
    /// Its callback has panicked.
    is_silenced: AtomicBool,
    /// Lines for which there was no room, and that were not told of yet.
    dropped: AtomicU64,
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Error,
    Warning,
    Detail,
}

enum Event {
    /// Whole lines, each with its newline; none, when only the count of the dropped ones is to be told.
    Lines(Arc<Audience>, Vec<u8>),
    About(Option<Arc<Audience>>, Severity, String),
    /// Everything before it was told.
    Flush(SyncSender<()>),
}

impl Audience {
    pub(super) fn new(peer: Arc<str>, on_line: Option<OnLine>) -> Arc<Self> {
        let (is_silenced, dropped) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { peer, on_line, is_silenced, dropped })
    }

    /// Whether anybody may want to hear lines. It asks no subscriber: that would be their code.
    pub(super) fn wants_lines(&self) -> bool {
        let has_callback = self.on_line.is_some() && !self.is_silenced.load(Ordering::Acquire);
        has_callback || is_traced(Severity::Detail)
    }

    /// Passes whole lines on, each with its newline, if there is room.
    pub(super) fn lines(self: &Arc<Self>, lines: Vec<u8>) {
        let count = memchr::memchr_iter(b'\n', &lines).count();
        if !queue(lines.len(), || Event::Lines(self.clone(), lines)) {
            self.dropped.fetch_add(count as u64, Ordering::AcqRel);
        }
    }

    /// There will be no more lines: what could not be told of before is, if there is room now, and the callback
    /// is dropped where it was called.
    pub(super) fn finish(self: Arc<Self>) {
        if self.on_line.is_some() || self.dropped.load(Ordering::Acquire) > 0 {
            queue(0, || Event::Lines(self, Vec::new()));
        }
    }

    /// Something has happened to the child.
    pub(super) fn about(self: &Arc<Self>, severity: Severity, what: fmt::Arguments<'_>) {
        if is_traced(severity) {
            let text = what.to_string();
            queue(text.len(), || Event::About(Some(self.clone()), severity, text));
        }
    }

    fn tell(&self, lines: &[u8]) {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let text = printable(line.strip_suffix(b"\r").unwrap_or(line));
            self.tell_line(text.trim_end());
        }
        let dropped = self.dropped.swap(0, Ordering::AcqRel);
        if dropped > 0 {
            self.tell_line(&format!("({dropped} lines were dropped: who takes them was too slow)"));
        }
    }

    fn tell_line(&self, text: &str) {
        guarded(|| tracing::debug!(target: "towpath::child", child = %self.peer, "{text}"));
        if let Some(on_line) = &self.on_line
            && !self.is_silenced.load(Ordering::Acquire)
            && !guarded(|| on_line(text))
        {
            self.is_silenced.store(true, Ordering::Release);
        }
    }
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audience").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Something has happened to all children.
pub(super) fn about_all(severity: Severity, what: fmt::Arguments<'_>) {
    if is_traced(severity) {
        let text = what.to_string();
        queue(text.len(), || Event::About(None, severity, text));
    }
}

/// Waits until everything that was queued so far is told, or until it has taken too long.
pub(super) fn flush(at_most: Duration) {
    let Some(log) = LOG.get() else { return };
    let (reply, told) = mpsc::sync_channel(1);
    if log.try_send(Event::Flush(reply)).is_ok() {
        let _ = told.recv_timeout(at_most);
    }
}

static LOG: OnceLock<SyncSender<Event>> = OnceLock::new();
/// What the queued events take, and the one that is being told.
static CHARGED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Queues an event of so many bytes: whether there was room. It never waits.
fn queue(bytes: usize, event: impl FnOnce() -> Event) -> bool {
    let charge = bytes + EVENT_BYTES;
    let charged = CHARGED_BYTES.fetch_add(charge, Ordering::AcqRel) + charge;
    // A single event always finds room in an empty queue.
    let has_room = charged <= QUEUE_BYTES || charged == charge;
    let queued = has_room && log().is_some_and(|log| log.try_send(event()).is_ok());
    if !queued {
        CHARGED_BYTES.fetch_sub(charge, Ordering::AcqRel);
    }
    queued
}

/// The way to the thread, which is started with the first event.
fn log() -> Option<&'static SyncSender<Event>> {
    if LOG.get().is_none() {
        let (events, inbox) = mpsc::sync_channel(QUEUE_BYTES / EVENT_BYTES + MAX_FLUSHES);
        start(inbox).ok()?;
        // If another thread was faster, its queue stays, and the inbox of this one closes with `events`.
        let _ = LOG.set(events);
    }
    LOG.get()
}

fn start(inbox: Receiver<Event>) -> io::Result<()> {
    let tell_all = move || inbox.into_iter().for_each(tell);
    thread::Builder::new().name("towpath-child-log".into()).spawn(tell_all).map(drop)
}

fn tell(event: Event) {
    let bytes = match &event {
        Event::Lines(_, lines) => lines.len(),
        Event::About(_, _, text) => text.len(),
        Event::Flush(told) => {
            let _ = told.try_send(());
            return;
        }
    };
    match event {
        Event::Lines(audience, lines) => {
            audience.tell(&lines);
            // It may be the last owner of a callback, which owns whatever its author liked.
            guarded(|| drop(audience));
        }
        Event::About(audience, severity, text) => {
            let child = audience.as_ref().map(|audience| tracing::field::display(&audience.peer));
            guarded(|| match severity {
                Severity::Error => tracing::error!(target: "towpath::child", child, "{text}"),
                Severity::Warning => tracing::warn!(target: "towpath::child", child, "{text}"),
                Severity::Detail => tracing::debug!(target: "towpath::child", child, "{text}"),
            });
        }
        Event::Flush(_) => {}
    }
    CHARGED_BYTES.fetch_sub(bytes + EVENT_BYTES, Ordering::AcqRel);
}

/// Calls other people's code: whether it came back without a panic.
fn guarded(call: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_ok()
}

/// Whether a subscriber can want this: a look at a number, not a question to the subscriber.
fn is_traced(severity: Severity) -> bool {
    LevelFilter::current()
        >= match severity {
            Severity::Error => LevelFilter::ERROR,
            Severity::Warning => LevelFilter::WARN,
            Severity::Detail => LevelFilter::DEBUG,
        }
}

/// What may wait to be told, for all children together.
const QUEUE_BYTES: usize = 1 << 20;
/// What an event is charged beside its text; it also bounds their number.
const EVENT_BYTES: usize = 512;
/// How many may wait for a flush at once; who finds no place does not wait.
const MAX_FLUSHES: usize = 16;
