//! Headers that are asked for before each request, and what happens when a server takes them for nobody's.

use std::{future::Future, sync::Arc};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, WWW_AUTHENTICATE},
};
use towpath_raw::{Level, Mutex};

/// Gives the headers of the next request; see [`HttpOptions::with_header_provider`](crate::HttpOptions::with_header_provider).
pub(super) type HeaderProvider = dyn Fn() -> BoxFuture<'static, HeaderMap> + Send + Sync;

/// Is told of a refusal; see [`HttpOptions::with_on_unauthorized`](crate::HttpOptions::with_on_unauthorized).
pub(super) type OnUnauthorized = dyn Fn(Unauthorized) -> BoxFuture<'static, bool> + Send + Sync;

/// A server has refused a request because of who sent it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unauthorized {
    /// 401, or 403.
    pub status: StatusCode,
    /// What the server asks for, if it says so: `WWW-Authenticate`, of which only the first 8 KiB are kept.
    pub challenge: Option<HeaderValue>,
}

impl Unauthorized {
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN).then(|| {
            let challenge = headers.get(WWW_AUTHENTICATE).map(|value| {
                let kept = value.as_bytes().get(..CHALLENGE_BYTES);
                kept.and_then(|kept| HeaderValue::from_bytes(kept).ok()).unwrap_or_else(|| value.clone())
            });
            Self { status, challenge }
        })
    }
}

/// Sees to it that a refusal is told once, however many requests met it.
pub(super) struct Renewals {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of the credentials: a request that was refused with older ones is simply sent again.
    generation: u64,
    running: Option<Shared<BoxFuture<'static, bool>>>,
}

impl Renewals {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(Level::Handler, "Renewals::state", State::default()) }
    }

    pub(super) fn generation(&self) -> u64 {
        self.state.lock().generation
    }

    /// Whether a request that was refused with the credentials of this generation is to be sent again.
    pub(super) async fn renewed(
        &self,
        on_unauthorized: &Arc<OnUnauthorized>,
        unauthorized: Unauthorized,
        generation: u64,
    ) -> bool {
        let running = {
            let mut state = self.state.lock();
            if state.generation != generation {
                return true;
            }
            let told = Arc::clone(on_unauthorized);
            // The callback is first called when it is polled: not under the lock.
            let begin = || async move { told(unauthorized).await }.boxed().shared();
            state.running.get_or_insert_with(begin).clone()
        };
        let renewed = running.await;
        // What the callback has held is let go when the lock is free.
        let done;
        {
            let mut state = self.state.lock();
            done = if state.generation == generation { state.running.take() } else { None };
            state.generation += u64::from(done.is_some() && renewed);
        }
        drop(done);
        renewed
    }
}

/// Headers that nobody is to see in a log.
pub(super) fn mark_sensitive(headers: &mut HeaderMap, all: bool) {
    for (name, value) in headers.iter_mut() {
        if all || [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name) {
            value.set_sensitive(true);
        }
    }
}

pub(super) fn provider<F, R>(provide: F) -> Arc<HeaderProvider>
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = HeaderMap> + Send + 'static,
{
    Arc::new(move || provide().boxed())
}

pub(super) fn callback<F, R>(told: F) -> Arc<OnUnauthorized>
where
    F: Fn(Unauthorized) -> R + Send + Sync + 'static,
    R: Future<Output = bool> + Send + 'static,
{
    Arc::new(move |unauthorized| told(unauthorized).boxed())
}

const CHALLENGE_BYTES: usize = 8 << 10;
