//! Progress tokens.

use std::fmt;

use bytes::BytesMut;
use towpath_jsonrpc::{Id, IdError};

/// The token that ties progress notifications to a request: a string or an integer, compared as ids are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProgressToken(Id);

impl ProgressToken {
    /// Reads a token from its JSON text.
    ///
    /// # Errors
    ///
    /// The text is neither a string nor an integer, or is longer than an id may be.
    pub fn parse(token: &[u8]) -> Result<ProgressToken, IdError> {
        Id::parse_token(token).map(ProgressToken)
    }

    /// The token as an id, to look it up.
    #[must_use]
    pub fn as_id(&self) -> &Id {
        &self.0
    }

    /// The token as a number, when it is one of ours.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        self.0.as_u64()
    }

    /// Appends the token's JSON text.
    pub fn write(&self, out: &mut BytesMut) {
        self.0.write(out);
    }
}

impl From<u64> for ProgressToken {
    fn from(token: u64) -> Self {
        ProgressToken(Id::from(token))
    }
}

impl From<Id> for ProgressToken {
    fn from(id: Id) -> Self {
        ProgressToken(id)
    }
}

impl fmt::Display for ProgressToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
