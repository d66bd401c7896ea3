//! Subjects of different types in one list.

use std::any::Any;
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Instant;

use crate::{Caller, Case, Failure, Load, Medium, Subject, Texts};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// A subject that can be asked for by its name.
pub struct Entry {
    name: &'static str,
    server: &'static str,
    cases: Vec<Case>,
    actions: Box<dyn Actions>,
}

impl Entry {
    /// Makes an entry of a subject.
    #[must_use]
    pub fn new<S: Subject>() -> Self {
        Self { name: S::NAME, server: S::SERVER, cases: S::cases(), actions: Box::new(Of::<S>(PhantomData)) }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn server(&self) -> &'static str {
        self.server
    }

    pub(crate) fn cases(&self) -> &[Case] {
        &self.cases
    }

    pub(crate) fn actions(&self) -> &dyn Actions {
        self.actions.as_ref()
    }
}

/// What can be done with a subject without knowing its type. Boxed once per connection or per slice
/// of calls, never per call.
pub(crate) trait Actions: Send + Sync {
    /// Opens a connection; the load it gives then runs until it is over.
    fn open_load(&self, medium: Medium, load: Load) -> Boxed<'static, Boxed<'static, ()>>;

    /// Opens a connection for a single caller.
    fn open_caller(&self, medium: Medium, texts: Texts) -> Boxed<'static, Box<dyn OneCaller>>;

    fn serve(&self) -> Boxed<'static, ()>;
}

/// One caller that calls one after another, and what it saw.
pub(crate) trait OneCaller: Send {
    /// Makes `calls` calls and adds the time of each, in nanoseconds, to `times`; gives the number of
    /// wrong answers. The check of an answer is part of the caller's time in every subject.
    fn slice<'a>(&'a mut self, calls: usize, times: &'a mut Vec<u64>) -> Boxed<'a, u64>;
}

struct Of<S>(PhantomData<fn() -> S>);

impl<S: Subject> Actions for Of<S> {
    fn open_load(&self, medium: Medium, load: Load) -> Boxed<'static, Boxed<'static, ()>> {
        Box::pin(async move {
            let connection = S::connect(medium, load.in_flight()).await?;
            let running: Boxed<'static, ()> = Box::pin(async move {
                let _owner = connection.owner;
                S::load(connection.callers, load).await
            });
            Ok(running)
        })
    }

    fn open_caller(&self, medium: Medium, texts: Texts) -> Boxed<'static, Box<dyn OneCaller>> {
        Box::pin(async move {
            let mut connection = S::connect(medium, 1).await?;
            let caller = connection.callers.pop().ok_or("the connection has no caller")?;
            let one: Box<dyn OneCaller> = Box::new(One { caller, _owner: connection.owner, texts, next: 0 });
            Ok(one)
        })
    }

    fn serve(&self) -> Boxed<'static, ()> {
        Box::pin(S::serve())
    }
}

struct One<C> {
    caller: C,
    _owner: Box<dyn Any + Send>,
    texts: Texts,
    next: usize,
}

impl<C: Caller> OneCaller for One<C> {
    fn slice<'a>(&'a mut self, calls: usize, times: &'a mut Vec<u64>) -> Boxed<'a, u64> {
        Box::pin(async move {
            let mut wrong = 0;
            for _ in 0..calls {
                let text = self.texts.text(self.next);
                self.next += 1;
                let start = Instant::now();
                let answer = self.caller.call(text).await?;
                times.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
                wrong += u64::from(!answer.right);
            }
            Ok(wrong)
        })
    }
}
