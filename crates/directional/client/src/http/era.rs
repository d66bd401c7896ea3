//! What is known of the servers that were spoken to before.

use std::{collections::VecDeque, sync::Arc};

use http::Uri;
use towpath_mcp::Era;
use towpath_raw::{Level, Mutex};

/// Which era each endpoint speaks, as far as it was found out (2026-07-28, basic/versioning): a client that connects
/// again need not ask a legacy server whether it is a modern one. Clones are the same cache, for many clients.
///
/// What is known is an assumption: when the server turns out to speak the other era, it is forgotten, and the server is
/// asked as if nothing had been known.
///
/// It remembers the last endpoints that were connected to, and as many as it was made for, by their whole URI.
#[derive(Clone)]
pub struct EraCache {
    known: Arc<Mutex<VecDeque<(Uri, Era)>>>,
    endpoints: usize,
}

impl EraCache {
    /// A cache for so many endpoints, at least one: each costs its URI. The one that was connected to longest ago makes
    /// room.
    #[must_use]
    pub fn new(endpoints: usize) -> Self {
        let known = Mutex::new(Level::Handler, "EraCache::known", VecDeque::new());
        Self { known: Arc::new(known), endpoints: endpoints.max(1) }
    }

    /// What is known of an endpoint.
    #[must_use]
    pub fn era(&self, endpoint: &Uri) -> Option<Era> {
        self.known.lock().iter().find(|(uri, _)| uri == endpoint).map(|(_, era)| *era)
    }

    /// Forgets an endpoint: it has another server, say.
    pub fn forget(&self, endpoint: &Uri) {
        self.known.lock().retain(|(uri, _)| uri != endpoint);
    }

    pub(super) fn learn(&self, endpoint: &Uri, era: Era) {
        let mut known = self.known.lock();
        known.retain(|(uri, _)| uri != endpoint);
        while known.len() >= self.endpoints {
            known.pop_front();
        }
        known.push_back((endpoint.clone(), era));
    }
}

impl Default for EraCache {
    /// For 1,024 endpoints.
    fn default() -> Self {
        Self::new(1024)
    }
}

impl std::fmt::Debug for EraCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EraCache").field("known", &self.known.lock().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_that_was_learnt_longest_ago_makes_room() {
        let cache = EraCache::new(2);
        let [a, b, c] = ["http://a/", "http://b/", "http://c/"].map(Uri::from_static);
        cache.learn(&a, Era::Legacy);
        cache.learn(&b, Era::Modern);
        cache.learn(&a, Era::Modern);
        cache.clone().learn(&c, Era::Legacy);
        assert_eq!([&a, &b, &c].map(|uri| cache.era(uri)), [Some(Era::Modern), None, Some(Era::Legacy)]);
        cache.forget(&a);
        assert_eq!(cache.era(&a), None);
    }
}
