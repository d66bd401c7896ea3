//! What to do about an HTTP exchange that has failed.

use towpath::raw::ExchangeError;

pub(crate) fn exchange_hint(error: &ExchangeError) -> &'static str {
    match error {
        ExchangeError::NotConnected { .. } => "is the address right, and does the server run?",
        ExchangeError::Refused { status: 401 | 403, .. } => {
            "it wants credentials: --header 'Authorization: …'"
        }
        ExchangeError::Refused { status: 404 | 405, .. } => "is the path right? It mostly ends with /mcp",
        ExchangeError::Refused { status: 429 | 503, .. } => "it is busy: try again later",
        ExchangeError::Refused { .. } => "is there an MCP server at this address?",
        ExchangeError::TooLarge { .. } => "raise --max-message-size",
        _ => "-v shows more",
    }
}
