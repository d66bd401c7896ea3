//! Why a body was not read.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use towpath_raw::{MessageTooLarge, Timeout};

/// Why a body was not read. What came of it is gone.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It is larger than [`BodyLimits::max_body_bytes`](crate::BodyLimits::max_body_bytes).
    #[error("{0}; here it is `max_body_bytes`")]
    TooLarge(#[source] MessageTooLarge),
    /// It was the slowest of the bodies that held more than their fair share when the budget was full. Setting:
    /// [`BodyLimits::budget_bytes`](crate::BodyLimits::budget_bytes).
    #[error(
        "the body was given up after {held_bytes} bytes: the bodies being read have used up their {budget_bytes} \
         bytes, and it was the slowest of the large ones (setting: budget_bytes)"
    )]
    Evicted {
        /// What it held.
        held_bytes: usize,
        /// The budget.
        budget_bytes: usize,
    },
    /// There is no room for another body, and it was not begun. Settings:
    /// [`BodyLimits::budget_bytes`](crate::BodyLimits::budget_bytes) and
    /// [`BodyLimits::reserved_body_bytes`](crate::BodyLimits::reserved_body_bytes).
    #[error(
        "no room for another body: {bodies} are being read and hold {held_bytes} of {budget_bytes} bytes (settings: \
         budget_bytes, reserved_body_bytes)"
    )]
    Full {
        /// How many bodies are being read.
        bodies: usize,
        /// What they hold.
        held_bytes: usize,
        /// The budget.
        budget_bytes: usize,
        /// When to come back.
        retry_after: Duration,
    },
    /// It took longer than [`BodyTimeouts::body_read`](crate::BodyTimeouts::body_read).
    #[error(transparent)]
    Timeout(Timeout),
    /// It is encoded (`Content-Encoding`) with something that is not known here.
    #[error("the body is encoded with something else than gzip: {0}")]
    Encoding(Arc<str>),
    /// It broke off, or is no valid body.
    #[error("the body broke off: {0}")]
    Broken(Arc<str>),
}

impl BodyError {
    /// The HTTP status that says it.
    pub fn status(&self) -> StatusCode {
        match self {
            BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Evicted { .. } | BodyError::Timeout(_) => StatusCode::REQUEST_TIMEOUT,
            BodyError::Full { .. } => StatusCode::SERVICE_UNAVAILABLE,
            BodyError::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            BodyError::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// When to come back, if it makes sense to: the `Retry-After` of the response.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            BodyError::Full { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

/// Limits that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyLimitsError {
    /// One body of the largest size would not fit.
    #[error("budget_bytes ({budget_bytes}) is less than max_body_bytes ({max_body_bytes})")]
    BudgetBelowBody {
        /// [`BodyLimits::budget_bytes`](crate::BodyLimits::budget_bytes).
        budget_bytes: usize,
        /// [`BodyLimits::max_body_bytes`](crate::BodyLimits::max_body_bytes).
        max_body_bytes: usize,
    },
    /// There would be no place for a single body, or places without end.
    #[error("reserved_body_bytes ({reserved_body_bytes}) is not between 1 and budget_bytes ({budget_bytes})")]
    Reserved {
        /// [`BodyLimits::reserved_body_bytes`](crate::BodyLimits::reserved_body_bytes).
        reserved_body_bytes: usize,
        /// [`BodyLimits::budget_bytes`](crate::BodyLimits::budget_bytes).
        budget_bytes: usize,
    },
}
