//! What a peer may make this side keep.

/// What a legacy session may hold for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// The most resource URIs that a session may be subscribed to. Unit: URIs; default 1,024. At the limit
    /// `resources/subscribe` is refused (−32600). Worst case: this many URIs of `max_uri_bytes`, for as long as the
    /// session lives.
    pub max_subscribed_uris: usize,
    /// The longest resource URI. Unit: bytes; default 8,192. At the limit `resources/subscribe` is refused
    /// (−32600). Worst case: see `max_subscribed_uris`.
    pub max_uri_bytes: usize,
    /// The most that a client may say about itself: its name card and its capabilities together. Unit: bytes;
    /// default 65,536. At the limit `initialize` is refused (−32600). Worst case: this much, for as long as the
    /// session lives.
    pub max_client_bytes: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        SessionLimits { max_subscribed_uris: 1024, max_uri_bytes: 8 * 1024, max_client_bytes: 64 * 1024 }
    }
}

/// How large a subscription may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionLimits {
    /// The most resource URIs that one subscription may name. Unit: URIs, repetitions not counted; default
    /// 1,024. At the limit the request is refused (−32600). Worst case: this many URIs of `max_uri_bytes`, and a
    /// flag each, for as long as the subscription lives.
    pub max_uris: usize,
    /// The longest resource URI. Unit: bytes; default 8,192. At the limit the request is refused (−32600).
    /// Worst case: see `max_uris`.
    pub max_uri_bytes: usize,
}

impl Default for SubscriptionLimits {
    fn default() -> Self {
        SubscriptionLimits { max_uris: 1024, max_uri_bytes: 8 * 1024 }
    }
}
