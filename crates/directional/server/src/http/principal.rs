//! Who is behind a request.

use std::{fmt, sync::Arc};

use http::request::Parts;

/// Who makes a request, as whatever checks credentials in front of the endpoint knows it: a user, a tenant, a key.
///
/// A session belongs to the principal that opened it; to any other it does not exist. Two requests are of the same
/// principal if the text is the same.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    /// The principal of this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Principal").field(&self.0).finish()
    }
}

/// Tells who makes a request.
#[derive(Clone)]
pub(super) struct PrincipalHook(pub(super) Arc<PrincipalFn>);

type PrincipalFn = dyn Fn(&Parts) -> Option<Principal> + Send + Sync;

impl fmt::Debug for PrincipalHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrincipalHook")
    }
}
