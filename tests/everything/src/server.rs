//! The server: which method is answered where.

use std::sync::{Arc, OnceLock, atomic::AtomicU64};

use serde_json::json;
use towpath::{
    Context, ErrorObject, Handler, Implementation, Publisher, RawJson, Request, Server, ServerBuilder,
};

use crate::{completion, prompts, resources, sealed::Seal, tools};

/// The handler of the example server, which [`server`] makes.
#[derive(Debug)]
pub struct Everything {
    publisher: Arc<OnceLock<Publisher>>,
    pub(crate) seal: Seal,
    /// How often the watched resource has changed.
    pub(crate) changes: AtomicU64,
}

/// The example server, ready to serve lanes.
///
/// # Errors
///
/// When the system has no randomness for the key that seals `requestState`.
pub fn server() -> Result<Server<Everything>, getrandom::Error> {
    // The handler publishes to those who listen to the server that it is the handler of.
    let publisher = Arc::new(OnceLock::new());
    let handler =
        Everything { publisher: Arc::clone(&publisher), seal: Seal::new()?, changes: AtomicU64::new(0) };
    let capabilities = json!({
        "tools": {"listChanged": true},
        "prompts": {"listChanged": true},
        "resources": {"listChanged": true, "subscribe": true},
        "completions": {},
        "logging": {},
    });
    let info = Implementation::new("towpath-everything", env!("CARGO_PKG_VERSION")).with_title("Everything");
    let server = ServerBuilder::new(info, capabilities)
        .instructions("Every tool, prompt and resource is here to be tested against.")
        .build(handler);
    // It was made above, and nobody else has it.
    let _ = publisher.set(server.publisher());
    Ok(server)
}

impl Everything {
    /// Tells those who listen.
    pub(crate) fn publish(&self, what: impl FnOnce(&Publisher)) {
        if let Some(publisher) = self.publisher.get() {
            what(publisher);
        }
    }
}

impl Handler for Everything {
    async fn request(&self, request: Request, context: Context) -> Result<RawJson, ErrorObject> {
        match request.method() {
            "tools/list" => tools::list(&request, &context),
            "tools/call" => tools::call(self, &request, &context).await,
            "prompts/list" => prompts::list(&request, &context),
            "prompts/get" => prompts::get(&request, &context).await,
            "resources/list" => resources::list(&request, &context),
            "resources/templates/list" => resources::templates(&request, &context),
            "resources/read" => resources::read(self, &request, &context),
            "resources/subscribe" | "resources/unsubscribe" => resources::subscribe(&request, &context),
            "completion/complete" => completion::complete(&request, &context),
            _ => Err(request.unknown_method()),
        }
    }
}
