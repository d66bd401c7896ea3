//! Outgoing messages, written straight into a buffer. The user's values are spliced in, never re-encoded.

mod lifecycle;
mod members;
mod notification;
mod params;
mod result;

pub use lifecycle::{discover_result, initialize_params, initialize_result};
pub use notification::{
    acknowledged, cancelled, initialized, list_changed, message, progress, resource_updated, subscribed,
};
pub use params::{RequestParams, WrittenParams};
pub use result::{CacheHint, CacheScope, ResultAdditions, write_modern_result, write_modern_result_head};

pub(crate) use members::write_revisions;
pub(crate) use towpath_jsonrpc::encode::write_string;

/// A message could not be built from what the caller gave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// `params` or a result is not a JSON object.
    #[error("{what} must be a JSON object")]
    NotAnObject {
        /// Which of them.
        what: &'static str,
    },
    /// The `_meta` that the caller gave is not a JSON object.
    #[error("`_meta` must be a JSON object")]
    MetaNotAnObject,
    /// A member that peers would read in two ways.
    #[error("the member `{key}` occurs twice")]
    DuplicateMember {
        /// The member.
        key: &'static str,
    },
    /// The caller set a member of `_meta` that is written from the connection's own settings.
    #[error("`{key}` in `_meta` is set by the connection, not by the caller of a request")]
    ReservedMeta {
        /// The key.
        key: &'static str,
    },
    /// JSON has no such number.
    #[error("progress must be a finite number")]
    NotFinite,
}
