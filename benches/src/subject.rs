//! What a subject has to provide.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{Case, Failure, Medium, Texts};

/// Something that answers an `echo` tool call, with its client.
pub trait Subject: Send + Sync + 'static {
    /// The name on the command line, in the samples and in the report.
    const NAME: &'static str;

    /// One of the callers that share a connection.
    type Caller: Caller;

    /// The name by which the program serves this subject in a child process.
    const SERVER: &'static str = Self::NAME;

    /// The cases that this subject can be measured in: by default those in memory and over pipes. Subjects of the same
    /// name have different cases.
    #[must_use]
    fn cases() -> Vec<Case> {
        Case::STREAMS.to_vec()
    }

    /// Opens one connection over `medium`, shared by `callers` callers.
    ///
    /// # Cancel safety
    ///
    /// A dropped call leaves no server and no child behind.
    fn connect(
        medium: Medium,
        callers: usize,
    ) -> impl Future<Output = Result<Connection<Self::Caller>, Failure>> + Send;

    /// Keeps the connection busy until [`Load::is_over`]: by default each caller in a task of its
    /// own, one call after another.
    ///
    /// # Cancel safety
    ///
    /// A dropped load stops its callers.
    fn load(callers: Vec<Self::Caller>, load: Load) -> impl Future<Output = Result<(), Failure>> + Send {
        call_from_tasks(callers, load)
    }

    /// Answers, over the process's own stdin and stdout or at an address that it prints, until stdin ends.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe, and never cancelled: it is the whole of its process.
    fn serve() -> impl Future<Output = Result<(), Failure>> + Send {
        std::future::ready(Err(format!("{} is served by others", Self::NAME).into()))
    }
}

/// One caller of a connection.
pub trait Caller: Send + 'static {
    /// Calls `echo` with `text` and says whether the answer was right.
    ///
    /// # Cancel safety
    ///
    /// The caller is not used again after a dropped call.
    fn call(&mut self, text: &str) -> impl Future<Output = Result<Answer, Failure>> + Send;
}

/// Whether an answer carried the text that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub(crate) right: bool,
}

impl Answer {
    /// Compares the text that came back with the one that was sent.
    #[must_use]
    pub fn check(came_back: &[u8], sent: &str) -> Self {
        Self { right: came_back == sent.as_bytes() }
    }

    /// An answer that is not even a text.
    #[must_use]
    pub fn wrong() -> Self {
        Self { right: false }
    }
}

/// An open connection.
pub struct Connection<C> {
    /// The callers, as many as were asked for.
    pub callers: Vec<C>,
    /// Whatever must live as long as the connection: the server's task, the child process.
    pub owner: Box<dyn Any + Send>,
}

/// The state that a load shares with the one who measures it.
#[derive(Clone, Debug)]
pub struct Load {
    texts: Texts,
    over: Arc<AtomicBool>,
    counts: Arc<[Count]>,
}

/// The counts of one caller, on a cache line of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Count {
    right: AtomicU64,
    wrong: AtomicU64,
}

impl Load {
    pub(crate) fn new(texts: Texts, callers: usize) -> Self {
        let counts = std::iter::repeat_with(Count::default).take(callers).collect();
        Self { texts, over: Arc::default(), counts }
    }

    /// The texts to call with.
    #[must_use]
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// How many requests are to be kept in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.counts.len()
    }

    /// True when the measurement has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Counts answers for the caller number `caller`.
    pub fn count(&self, caller: usize, right: u64, wrong: u64) {
        // Each caller is the only writer of its count: no read-modify-write is needed.
        let count = &self.counts[caller];
        count.right.store(count.right.load(Ordering::Relaxed) + right, Ordering::Relaxed);
        if wrong > 0 {
            count.wrong.store(count.wrong.load(Ordering::Relaxed) + wrong, Ordering::Relaxed);
        }
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn right(&self) -> u64 {
        self.counts.iter().map(|count| count.right.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn wrong(&self) -> u64 {
        self.counts.iter().map(|count| count.wrong.load(Ordering::Relaxed)).sum()
    }
}

async fn call_from_tasks<C: Caller>(callers: Vec<C>, load: Load) -> Result<(), Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    for (number, mut caller) in callers.into_iter().enumerate() {
        let load = load.clone();
        tasks.spawn(async move {
            // Callers start at different places of the ring, so that no two send the same text at once.
            let mut next = number * load.texts.count() / load.in_flight();
            while !load.is_over() {
                let answer = caller.call(load.texts.text(next)).await?;
                next += 1;
                load.count(number, u64::from(answer.right), u64::from(!answer.right));
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}
