//! The HTTP face: one endpoint for both eras, as a `tower` service.

mod app;
mod body;
mod caller;
mod closing;
mod cors;
mod errand;
mod exchange;
#[cfg(feature = "gzip")]
mod gzip;
mod health;
mod limits;
mod mirrored;
mod modern;
mod post;
mod principal;
mod replay;
mod reply;
mod server;
mod service;
mod session;
mod settings;

pub use app::{HttpApp, OpenedSession};
pub use body::ResponseBody;
pub use cors::{Cors, CorsLayer};
pub use exchange::Exchange;
pub use health::{Health, HealthLayer};
pub use limits::{EndpointLimits, EndpointTimeouts};
pub use principal::Principal;
pub(crate) use service::Drains;
pub use service::HttpService;
pub use session::{EventStore, ReplayLimits, ReplayRing, SessionStreams, StoredEvent, StreamId};
pub use settings::EndpointSettings;
