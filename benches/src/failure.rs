//! The one error of a sample: it could not be taken.

/// Why a sample could not be taken. It is printed and ends the process, so nothing matches on it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
