//! The API floor: what an interface of one future per call costs at least, over the floor's own echo.
//!
//! Each caller is a task that is woken once per call. One driver writes whatever the callers have
//! left, reads what has come, hands each line to its caller by the id in it, and wakes. There is no JSON, no
//! limit, no deadline and no cancellation: what those cost is for others to show.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::floor::{self, BEFORE_ID, Stream};
use crate::lines::{Lines, READ_BYTES, split};
use crate::subject::Answer;
use crate::{Caller, Connection, Failure, Medium, Subject};

/// The floor of an interface with one future per call.
pub(crate) struct ApiFloor;

/// A caller with a slot of its own.
pub(crate) struct SlotCaller {
    slot: usize,
    id_bytes: usize,
    shared: Arc<Mutex<Shared>>,
    answer: Vec<u8>,
}

struct Shared {
    out: Vec<u8>,
    slots: Vec<Slot>,
    /// Set while the driver has nothing to write.
    driver: Option<Waker>,
    ended: bool,
}

#[derive(Default)]
struct Slot {
    caller: Option<Waker>,
    answer: Vec<u8>,
    answered: bool,
}

struct Driver {
    stream: Box<dyn Stream>,
    lines: Lines,
    out: Vec<u8>,
    written: usize,
    wake: Vec<Waker>,
    shared: Arc<Mutex<Shared>>,
}

impl Subject for ApiFloor {
    const NAME: &'static str = "api-floor";
    type Caller = SlotCaller;

    async fn connect(medium: Medium, callers: usize) -> Result<Connection<SlotCaller>, Failure> {
        let floor::Near { stream, far } = floor::open(medium, Self::NAME)?;
        let slots = std::iter::repeat_with(Slot::default).take(callers).collect();
        let shared = Shared { out: Vec::with_capacity(READ_BYTES), slots, driver: None, ended: false };
        let shared = Arc::new(Mutex::new(shared));
        let mut driver = Driver {
            stream,
            lines: Lines::default(),
            out: Vec::with_capacity(READ_BYTES),
            written: 0,
            wake: Vec::with_capacity(callers),
            shared: Arc::clone(&shared),
        };
        let mut task = JoinSet::new();
        task.spawn(async move {
            let ended = poll_fn(|cx| driver.poll(cx)).await;
            driver.end();
            ended
        });
        let callers = (0..callers)
            .map(|slot| SlotCaller {
                slot,
                id_bytes: slot.to_string().len(),
                shared: Arc::clone(&shared),
                answer: Vec::new(),
            })
            .collect();
        Ok(Connection { callers, owner: Box::new((task, far)) })
    }

    async fn serve() -> Result<(), Failure> {
        floor::serve_echo().await
    }
}

impl Driver {
    /// Moves bytes both ways until neither way can go on; ready at the end of the stream.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.poll_write(cx)?;
            let reading = pin!(self.stream.read_buf(self.lines.room())).poll(cx)?;
            match reading {
                Poll::Ready(0) => return Poll::Ready(Ok(())),
                Poll::Ready(_) => self.hand_out(),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            if self.written == self.out.len() {
                self.written = 0;
                self.out.clear();
                let mut shared = self.shared.lock();
                std::mem::swap(&mut shared.out, &mut self.out);
                if self.out.is_empty() {
                    shared.driver = Some(cx.waker().clone());
                    return Ok(());
                }
            }
            match pin!(self.stream.write(&self.out[self.written..])).poll(cx)? {
                Poll::Ready(bytes) => self.written += bytes,
                Poll::Pending => return Ok(()),
            }
        }
    }

    /// Gives every whole line to its caller: one lock for all, and the wakes after it.
    fn hand_out(&mut self) {
        let whole = self.lines.whole();
        if whole.is_empty() {
            return;
        }
        {
            let mut shared = self.shared.lock();
            for line in split(whole) {
                let Some(slot) = id_of(line).and_then(|id| shared.slots.get_mut(id)) else { continue };
                slot.answer.clear();
                slot.answer.extend_from_slice(line);
                slot.answered = true;
                self.wake.extend(slot.caller.take());
            }
        }
        let taken = whole.len();
        self.lines.consume(taken);
        self.wake.drain(..).for_each(Waker::wake);
    }

    fn end(&mut self) {
        let mut shared = self.shared.lock();
        shared.ended = true;
        self.wake.extend(shared.slots.iter_mut().filter_map(|slot| slot.caller.take()));
        drop(shared);
        self.wake.drain(..).for_each(Waker::wake);
    }
}

impl Caller for SlotCaller {
    async fn call(&mut self, text: &str) -> Result<Answer, Failure> {
        let mut sent = false;
        poll_fn(|cx| {
            let mut shared = self.shared.lock();
            let shared_now = &mut *shared;
            let slot = &mut shared_now.slots[self.slot];
            if slot.answered {
                slot.answered = false;
                std::mem::swap(&mut slot.answer, &mut self.answer);
                return Poll::Ready(Ok(()));
            }
            if shared_now.ended {
                return Poll::Ready(Err("the echo ended"));
            }
            slot.caller = Some(cx.waker().clone());
            if !sent {
                sent = true;
                floor::push_request(&mut shared_now.out, self.slot, text);
                let driver = shared_now.driver.take();
                drop(shared);
                driver.into_iter().for_each(Waker::wake);
            }
            Poll::Pending
        })
        .await?;
        let came_back = floor::text_of(&self.answer, self.id_bytes);
        Ok(came_back.map_or(Answer::wrong(), |came_back| Answer::check(came_back, text)))
    }
}

/// The id of a line, which is a slot.
fn id_of(line: &[u8]) -> Option<usize> {
    let rest = line.strip_prefix(BEFORE_ID)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}
