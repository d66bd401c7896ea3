//! The client's side of a link: what a legacy server asks, and what any server tells.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use futures_util::FutureExt;
use towpath_jsonrpc::{ErrorObject, Member, Message, RawJson};
use towpath_link::{Admission, Context, Errand, Reply, Service};
use towpath_mcp::{Change, Fault, Revision, method, wire_reply};
use towpath_raw::Skipped;

use crate::{ClientHandler, builder::OnSkipped, listeners::Listeners};

/// What the link's service and the client's handles share.
pub(crate) struct Shared {
    /// A modern client answers nobody (2026-07-28, basic/patterns): it learns only in the course of the opening
    /// whether it is one.
    answers: AtomicBool,
    pub(crate) listeners: Listeners,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self { answers: AtomicBool::new(false), listeners: Listeners::new() }
    }

    pub(crate) fn answer_from_now_on(&self) {
        self.answers.store(true, Relaxed);
    }
}

pub(crate) struct ClientService<H> {
    handler: Arc<H>,
    shared: Arc<Shared>,
    on_skipped: Option<Arc<OnSkipped>>,
}

impl<H> ClientService<H> {
    pub(crate) fn new(handler: Arc<H>, shared: Arc<Shared>, on_skipped: Option<Arc<OnSkipped>>) -> Self {
        Self { handler, shared, on_skipped }
    }
}

impl<H: ClientHandler> Service for ClientService<H> {
    fn answers(&self) -> bool {
        self.shared.answers.load(Relaxed)
    }

    fn request(&mut self, message: Message, context: Context) -> Admission {
        if message.method() == method::PING {
            return Admission::Now(Reply::plain(RawJson::empty_object()));
        }
        let handler = Arc::clone(&self.handler);
        Admission::Run(
            async move {
                match handler.request(message, context).await {
                    Ok(result) => Reply::plain(result),
                    Err(error) => Reply::Error(error),
                }
            }
            .boxed(),
        )
    }

    fn notification(&mut self, message: Message, context: Context) -> Errand {
        let uri;
        let change = match message.method() {
            method::TOOLS_LIST_CHANGED => Some(Change::Tools),
            method::PROMPTS_LIST_CHANGED => Some(Change::Prompts),
            method::RESOURCES_LIST_CHANGED => Some(Change::Resources),
            method::RESOURCES_UPDATED => {
                uri = message.string(Member::Uri);
                uri.as_deref().map(Change::Resource)
            }
            _ => None,
        };
        if let Some(change) = change {
            self.shared.listeners.mark(change);
        }
        let handler = Arc::clone(&self.handler);
        Errand::Run(async move { handler.notification(message, context).await }.boxed())
    }

    fn takes_batches(&self) -> bool {
        // A client that offers 2025-03-26 must take them; to take one costs no more than its messages apart.
        self.answers()
    }

    fn reply_to_fault(&self, fault: &Fault) -> Option<ErrorObject> {
        Some(wire_reply(fault, Revision::LATEST_LEGACY.rules()).into_error())
    }

    fn skipped(&mut self, skipped: &Skipped) {
        if let Some(told) = &self.on_skipped {
            told(skipped);
        }
    }
}
