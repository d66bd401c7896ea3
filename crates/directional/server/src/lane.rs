//! A lane that is served: what each message belongs to, and who handles it.

#[cfg(feature = "http")]
use std::sync::OnceLock;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio_util::task::AbortOnDropHandle;
use towpath_jsonrpc::{ErrorObject, Member, Message};
use towpath_link::{Admission, Context as LinkContext, Errand, ModernResult, Reply, ResultDress, Service};
use towpath_mcp::{Admit, CacheHint, Fault, Ignored, LaneEndpoint, ModernRequest, method, wire_reply};
use towpath_raw::{Level, Mutex, MutexGuard, Skipped};

#[cfg(feature = "http")]
use crate::SessionStreams;
use crate::{
    Context, Execution, Handler, Notification, Request, builder::Core, hub::LegacyMarks, listen, listen::Told,
};

/// What is said on one lane: its legacy session, and what the endpoint knows of it.
#[derive(Debug)]
pub(crate) struct Conversation {
    endpoint: Mutex<LaneEndpoint>,
    /// Set before the subscriptions of a lane are ended, for one that is not open yet.
    draining: AtomicBool,
    /// Of a session over HTTP.
    #[cfg(feature = "http")]
    streams: OnceLock<SessionStreams>,
}

impl Conversation {
    pub(crate) fn new(endpoint: LaneEndpoint) -> Self {
        Self {
            endpoint: Mutex::new(Level::Handler, "Conversation::endpoint", endpoint),
            draining: AtomicBool::new(false),
            #[cfg(feature = "http")]
            streams: OnceLock::new(),
        }
    }

    #[cfg(feature = "http")]
    pub(crate) fn set_streams(&self, streams: SessionStreams) {
        let _ = self.streams.set(streams);
    }

    #[cfg(feature = "http")]
    pub(crate) fn streams(&self) -> Option<&SessionStreams> {
        self.streams.get()
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, SeqCst);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(SeqCst)
    }

    pub(crate) fn endpoint(&self) -> MutexGuard<'_, LaneEndpoint> {
        self.endpoint.lock()
    }
}

/// What serves one lane, or one legacy session over HTTP: the service of its link, which a [`Server`](crate::Server)
/// makes.
pub struct LaneService<H> {
    core: Arc<Core<H>>,
    conversation: Arc<Conversation>,
}

impl<H: Handler> LaneService<H> {
    pub(crate) fn new(core: Arc<Core<H>>) -> Self {
        let endpoint = LaneEndpoint::new(Arc::clone(&core.identity), core.session_limits.clone());
        Self { core, conversation: Arc::new(Conversation::new(endpoint)) }
    }

    pub(crate) fn conversation(&self) -> Arc<Conversation> {
        Arc::clone(&self.conversation)
    }

    fn modern(&self, message: Message, link: LinkContext, modern: ModernRequest) -> Admission {
        if message.method() == method::SUBSCRIPTIONS_LISTEN {
            return self.listen(message, link, modern);
        }
        let context = Context::new(link, Arc::clone(&self.conversation), Some(Arc::new(modern)));
        Admission::Run(modern_handler(&self.core, message, context))
    }

    /// `subscribes` is the resource that the session has just noted for this request.
    fn legacy(&self, message: Message, link: LinkContext, subscribes: Option<Subscribing>) -> Admission {
        let context = Context::new(link, Arc::clone(&self.conversation), None);
        let handled = handler(&self.core, message, context, ResultDress::default());
        let Some(subscribing) = subscribes else { return Admission::Run(handled) };
        Admission::Run(
            async move {
                let reply = handled.await;
                if matches!(reply, Reply::Result(..)) {
                    subscribing.keep();
                }
                reply
            }
            .boxed(),
        )
    }

    /// For `resources/subscribe`: the resource, unless the session is subscribed to it already.
    fn subscribes(&self, message: &Message) -> Option<Subscribing> {
        if message.method() != method::RESOURCES_SUBSCRIBE {
            return None;
        }
        let uri = message.string(Member::Uri)?;
        let known = self.conversation.endpoint().session().is_subscribed(&uri);
        (!known).then(|| Subscribing { conversation: self.conversation(), uri: Some(uri.into()) })
    }

    fn listen(&self, message: Message, link: LinkContext, modern: ModernRequest) -> Admission {
        let context = Context::new(link.clone(), Arc::clone(&self.conversation), Some(Arc::new(modern)));
        match listener(&self.core, &message, Told::Link(Box::new(link), self.conversation()), context) {
            Ok(listener) => Admission::Run(listener),
            Err(fault) => Admission::Now(Reply::Error(self.error(&fault))),
        }
    }

    fn error(&self, fault: &Fault) -> ErrorObject {
        let rules = self.conversation.endpoint().session().rules();
        wire_reply(fault, rules).into_error()
    }
}

/// Handles a modern request.
pub(crate) fn modern_handler<H: Handler>(
    core: &Arc<Core<H>>,
    message: Message,
    context: Context,
) -> BoxFuture<'static, Reply> {
    // A handler that says nothing of caching gets the default: not at all.
    let cache = method::is_cacheable(message.method()).then(CacheHint::default);
    let dress = ModernResult { server_info: Some(core.identity.info.clone()), subscription: None, cache };
    handler(core, message, context, ResultDress { modern: Some(dress) })
}

fn handler<H: Handler>(
    core: &Arc<Core<H>>,
    message: Message,
    context: Context,
    dress: ResultDress,
) -> BoxFuture<'static, Reply> {
    let core = Arc::clone(core);
    let spawned = core.execution == Execution::Spawned;
    let context = if spawned { context.outliving() } else { context };
    let handled = async move {
        match core.handler.request(Request::new(message), context).await {
            Ok(result) => Reply::Result(result, dress),
            Err(error) => Reply::Error(error),
        }
    };
    if !spawned {
        return handled.boxed();
    }
    async move {
        match AbortOnDropHandle::new(tokio::spawn(handled)).await {
            Ok(reply) => reply,
            // A panic is answered in the same way, wherever it happened.
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => std::future::pending().await,
            },
        }
    }
    .boxed()
}

/// Handles `subscriptions/listen`.
pub(crate) fn listener<H: Handler>(
    core: &Arc<Core<H>>,
    message: &Message,
    told: Told,
    context: Context,
) -> Result<BoxFuture<'static, Reply>, Fault> {
    let filter = towpath_mcp::Filter::parse(message.params().as_ref(), &core.subscription_limits)?;
    let permit = Arc::clone(&core.subscriptions).try_acquire_owned().map_err(|_| Fault::LimitReached {
        what: "open subscriptions",
        limit: core.max_subscriptions,
        setting: "max_subscriptions",
    })?;
    Ok(listen::modern(Arc::clone(core), told, context, filter, permit).boxed())
}

/// A resource that a session has noted, until its handler has agreed: one that refuses, panics or is dropped takes it
/// back.
struct Subscribing {
    conversation: Arc<Conversation>,
    uri: Option<Box<str>>,
}

impl Subscribing {
    fn keep(mut self) {
        self.uri = None;
    }
}

impl Drop for Subscribing {
    fn drop(&mut self) {
        if let Some(uri) = &self.uri {
            self.conversation.endpoint().session_mut().unsubscribe(uri);
        }
    }
}

impl<H: Handler> Service for LaneService<H> {
    fn request(&mut self, message: Message, context: LinkContext) -> Admission {
        let mut subscribes = self.subscribes(&message);
        let admitted = self.conversation.endpoint().admit(&message);
        match admitted {
            Admit::Modern(modern) => self.modern(message, context, modern),
            Admit::Legacy => self.legacy(message, context, subscribes.take()),
            Admit::Answer(answer) => Admission::Now(Reply::plain(answer.result)),
            Admit::Reject(rejection) => Admission::Now(Reply::Error(rejection.reply().into_error())),
            // None of the others is an outcome for a request.
            _ => Admission::Now(Reply::Error(self.error(&Fault::Internal))),
        }
    }

    fn notification(&mut self, message: Message, context: LinkContext) -> Errand {
        let admitted = self.conversation.endpoint().admit(&message);
        match admitted {
            Admit::Initialized => {
                let pump = listen::legacy(
                    Arc::clone(&self.core.hub),
                    LegacyMarks::new(
                        self.core.declared.clone(),
                        self.core.session_limits.max_subscribed_uris,
                        Arc::clone(&self.conversation),
                    ),
                    context,
                );
                Errand::Background(pump.boxed())
            }
            Admit::Notification => {
                let core = Arc::clone(&self.core);
                let context = Context::new(context, Arc::clone(&self.conversation), None);
                Errand::Run(
                    async move { core.handler.notification(Notification::new(message), context).await }
                        .boxed(),
                )
            }
            Admit::Ignore(Ignored::OutsideSession) => {
                tracing::debug!(
                    method = message.method(),
                    "a notification outside of any session is ignored"
                );
                Errand::Nothing
            }
            _ => Errand::Nothing,
        }
    }

    fn takes_batches(&self) -> bool {
        self.conversation.endpoint().admit_batch().is_ok()
    }

    fn reply_to_fault(&self, fault: &Fault) -> Option<ErrorObject> {
        Some(self.error(fault))
    }

    fn skipped(&mut self, skipped: &Skipped) {
        if let Some(told) = &self.core.on_skipped {
            told(skipped);
        }
    }
}
