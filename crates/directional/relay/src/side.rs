//! One side of a relay: what comes there goes to the other.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context as TaskContext, Waker},
    time::Duration,
};

use futures_util::FutureExt;
use serde::Deserialize;
use towpath_jsonrpc::{ErrorObject, Message, RawJson};
use towpath_link::{Admission, Context, Errand, NotifyError, Peer, Reply, Service};
use towpath_mcp::{Fault, Revision, method};

use crate::{
    Explain, RelayOptions, fault,
    forward::{Forwarded, call},
    order::Order,
};

/// What both sides of a relay know of their conversation.
#[derive(Debug, Default)]
struct Conversation {
    /// Whether the revision that they agreed on has batches.
    batching: AtomicBool,
}

/// Passes on what comes on one link to the peer of the other.
pub struct Side {
    /// Who is at the other link; there is nobody before that is made, and nothing comes before.
    to: Arc<OnceLock<Peer>>,
    conversation: Arc<Conversation>,
    order: Order,
    max_note_bytes: usize,
    /// How long `initialize` may take, if it has a deadline of its own.
    initialize: Option<Duration>,
    explain: Explain,
}

/// The other link's peer, to be told to a side once it is there.
pub(crate) struct Joint(Arc<OnceLock<Peer>>);

impl Joint {
    pub(crate) fn set(self, peer: Peer) {
        // It is set once: the joint is gone then.
        let _ = self.0.set(peer);
    }
}

impl Side {
    /// The two sides of one conversation, each with the place for the other's peer.
    pub(crate) fn pair(options: &RelayOptions) -> [(Side, Joint); 2] {
        let conversation = Arc::new(Conversation::default());
        [(), ()].map(|()| {
            let to = Arc::new(OnceLock::new());
            let side = Side {
                to: Arc::clone(&to),
                conversation: Arc::clone(&conversation),
                order: Order::new(options.limits.max_waiting_note_bytes),
                max_note_bytes: options.limits.max_waiting_note_bytes,
                initialize: options.timeouts.initialize,
                explain: Arc::clone(&options.explain),
            };
            (side, Joint(to))
        })
    }
}

impl Service for Side {
    fn request(&mut self, message: Message, context: Context) -> Admission {
        let Some(to) = self.to.get() else {
            return Admission::Now(Reply::Error(fault::reply(&Fault::Internal)));
        };
        let mut call = call(to, &message, self.max_note_bytes);
        let (order, explain) = (self.order.clone(), Arc::clone(&self.explain));
        let opening = (message.method() == method::INITIALIZE).then(|| Arc::clone(&self.conversation));
        if opening.is_some() && self.initialize.is_some() {
            call = call.with_total(self.initialize);
        }
        Admission::Run(
            async move {
                // A request does not overtake the notifications before it.
                let turn = order.turn().await;
                let mut forwarded = Forwarded::new(context, &message, call);
                drop((turn, message));
                match forwarded.answer(&explain).await {
                    Ok(result) => {
                        if let Some(conversation) = opening {
                            conversation.agreed(&result);
                        }
                        Reply::plain(result)
                    }
                    Err(error) => Reply::Error(error),
                }
            }
            .boxed(),
        )
    }

    fn notification(&mut self, message: Message, _: Context) -> Errand {
        let Some(to) = self.to.get().cloned() else { return Errand::Nothing };
        let Some(waiting) = self.order.wait(message.bytes().len()) else {
            tracing::warn!(to = %to.name(), method = message.method(), "dropped a notification: too many wait");
            return Errand::Nothing;
        };
        let order = self.order.clone();
        let mut passing = async move {
            let _turn = order.turn().await;
            let sent = to.notify(message.method(), message.params()).await;
            drop(waiting);
            if let Err(error @ (NotifyError::TooLarge(_) | NotifyError::Unsendable(_))) = sent {
                tracing::warn!(method = message.method(), %error, "a notification could not be passed on");
            }
        }
        .boxed();
        // Begun here, it stands in line before whatever comes after it; mostly it is done.
        match passing.poll_unpin(&mut TaskContext::from_waker(Waker::noop())) {
            std::task::Poll::Ready(()) => Errand::Nothing,
            std::task::Poll::Pending => Errand::Run(passing),
        }
    }

    fn takes_batches(&self) -> bool {
        self.conversation.batching.load(Relaxed)
    }

    fn reply_to_fault(&self, fault: &Fault) -> Option<ErrorObject> {
        Some(fault::reply(fault))
    }
}

impl Conversation {
    /// Notes what the answer to `initialize` has agreed on.
    fn agreed(&self, result: &RawJson) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Agreed {
            protocol_version: Option<String>,
        }
        let version = result.deserialize::<Agreed>().ok().and_then(|agreed| agreed.protocol_version);
        let revision = version.as_deref().and_then(Revision::parse);
        self.batching.store(revision.is_some_and(|revision| revision.rules().batching), Relaxed);
    }
}

impl std::fmt::Debug for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Side").field("to", &self.to.get()).finish_non_exhaustive()
    }
}
