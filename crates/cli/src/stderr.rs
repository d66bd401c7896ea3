//! Stderr, which nobody may be reading: a thread writes it, so that nothing else ever waits for it.

use std::{
    io::{self, Write},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

/// Writes it when there is room; else it is left out, and counted.
pub(crate) fn write(text: Vec<u8>) {
    if let Some(queue) = queue() {
        queue.write(text);
    }
}

/// Why the command failed: there is always room for it.
pub(crate) fn write_cause(text: Vec<u8>) {
    match queue() {
        Some(queue) => queue.send(Entry::Text(text)),
        // A stderr that is closed leaves nobody to tell.
        None => drop(io::stderr().write_all(&text)),
    }
}

/// Waits until all of it is written, but not for long: to be called once, at the end.
pub(crate) fn finish() {
    if let Some(Some(queue)) = QUEUE.get() {
        queue.finish(PATIENCE);
    }
}

/// A line for the trace, which is written as a whole.
pub(crate) struct Trace;

impl Write for Trace {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        write(text.to_vec());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn queue() -> Option<&'static Queue> {
    QUEUE.get_or_init(|| Queue::start(io::stderr()).ok()).as_ref()
}

static QUEUE: OnceLock<Option<Queue>> = OnceLock::new();

/// What waits to be written.
struct Queue {
    entries: SyncSender<Entry>,
    bytes: Arc<AtomicUsize>,
    texts: Arc<AtomicUsize>,
    left_out: AtomicU64,
}

enum Entry {
    Text(Vec<u8>),
    Flush(SyncSender<()>),
}

impl Queue {
    fn start(mut to: impl Write + Send + 'static) -> io::Result<Self> {
        let (entries, receiver): (_, Receiver<Entry>) = sync_channel(MAX_TEXTS + FOR_THE_END);
        let (bytes, texts) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (done_bytes, done_texts) = (bytes.clone(), texts.clone());
        let work = move || {
            for entry in receiver {
                match entry {
                    Entry::Text(text) => {
                        // A stderr that is closed leaves nobody to tell.
                        let _ = to.write_all(&text).and_then(|()| to.flush());
                        done_bytes.fetch_sub(text.len(), Ordering::Relaxed);
                        done_texts.fetch_sub(1, Ordering::Relaxed);
                    }
                    Entry::Flush(done) => drop(done.try_send(())),
                }
            }
        };
        thread::Builder::new().name("towpath-stderr".into()).spawn(work)?;
        Ok(Self { entries, bytes, texts, left_out: AtomicU64::new(0) })
    }

    fn write(&self, text: Vec<u8>) {
        // Writers that come at the same moment may go over it by a line each; the channel has room for those.
        let has_room = self.bytes.load(Ordering::Relaxed).saturating_add(text.len()) <= MAX_BYTES
            && self.texts.load(Ordering::Relaxed) < MAX_TEXTS;
        if has_room {
            self.send(Entry::Text(text));
        } else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn send(&self, entry: Entry) {
        let bytes = match &entry {
            Entry::Text(text) => Some(text.len()),
            Entry::Flush(_) => None,
        };
        if let Some(bytes) = bytes {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.texts.fetch_add(1, Ordering::Relaxed);
        }
        if self.entries.try_send(entry).is_err()
            && let Some(bytes) = bytes
        {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.texts.fetch_sub(1, Ordering::Relaxed);
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn finish(&self, patience: Duration) {
        let left_out = self.left_out.load(Ordering::Relaxed);
        if left_out > 0 {
            let text = format!("lines that were left out, since stderr was not read in time: {left_out}\n");
            self.send(Entry::Text(text.into_bytes()));
        }
        let (done, written) = sync_channel(1);
        self.send(Entry::Flush(done));
        // At the end of the patience the thread ends with the process, in the middle of a write.
        let _ = written.recv_timeout(patience);
    }
}

const MAX_TEXTS: usize = 1024;
const MAX_BYTES: usize = 1 << 20;
/// The cause, the hint, what was left out, the flush, and who came at the same moment.
const FOR_THE_END: usize = 32;
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A stderr that is not read before it is told to be.
    struct Pipe(Option<mpsc::Receiver<()>>, mpsc::Sender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            if let Some(read) = self.0.take() {
                let _ = read.recv();
            }
            let _ = self.1.send(text.to_vec());
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn unread() -> (Queue, mpsc::Sender<()>, mpsc::Receiver<Vec<u8>>) {
        let (read, told) = mpsc::channel();
        let (write, written) = mpsc::channel();
        (Queue::start(Pipe(Some(told), write)).unwrap(), read, written)
    }

    #[test]
    fn lines_that_nobody_reads_are_bounded_and_told_once_at_the_end() {
        for (line, kept) in [("x\n".to_owned(), MAX_TEXTS), ("x".repeat(MAX_BYTES / 4), 4)] {
            let (queue, read, written) = unread();
            for _ in 0..kept + 7 {
                queue.write(line.clone().into_bytes());
            }
            queue.send(Entry::Text(b"error: why\n".to_vec()));
            read.send(()).unwrap();
            queue.finish(Duration::from_secs(60));
            let texts: Vec<Vec<u8>> = written.try_iter().collect();
            assert_eq!(texts.len(), kept + 2);
            assert_eq!(texts[kept], b"error: why\n");
            assert!(texts[kept + 1].ends_with(b"not read in time: 7\n"));
        }
    }

    #[test]
    fn the_end_waits_for_what_can_be_written_and_for_nothing_else() {
        let (queue, read, written) = unread();
        queue.write(b"one\n".to_vec());
        // Nobody reads: it comes back all the same.
        queue.finish(Duration::ZERO);
        assert!(written.try_recv().is_err());
        read.send(()).unwrap();
        queue.finish(Duration::from_secs(60));
        assert_eq!(written.try_recv().unwrap(), b"one\n");
    }
}
