//! The HTTP face: one endpoint for both eras, as a `tower` service.

mod app;
mod body;
mod closing;
mod errand;
mod exchange;
mod limits;
mod modern;
mod post;
mod reply;
mod server;
mod service;
mod session;
mod settings;

pub use app::{HttpApp, OpenedSession};
pub use body::ResponseBody;
pub use exchange::Exchange;
pub use limits::{EndpointLimits, EndpointTimeouts};
pub(crate) use service::Drains;
pub use service::HttpService;
pub use settings::EndpointSettings;
