//! Reading bodies of requests within a budget.

mod budget;
mod error;
mod limits;
mod place;
mod read;

pub use budget::BodyBudget;
pub use error::{BodyError, BodyLimitsError};
pub use limits::{BodyLimits, BodyTimeouts};
pub use read::read_body;
