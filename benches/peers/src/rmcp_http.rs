//! The official Rust SDK over HTTP, in three subjects: `rmcp` in the cases of a server is its `StreamableHttpService`
//! alone, under the load generator of all servers; in the cases of a client it is its client, with that or with the bare server, as it comes, with a
//! connection for each request; `rmcp-pooled` is that client with a reqwest that keeps its connections.
//!
//! The service runs on the same bare hyper server as the floor. It answers in JSON where it can.

use std::sync::Arc;

use rmcp::model::ProtocolVersion;
use rmcp::service::{ClientLifecycleMode, ClientServiceExt};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use towpath_benches::{Case, Connection, Failure, HttpCaller, HttpServer, Medium, Subject, serve_tower};

use crate::rmcp::{Echo, PeerCaller, share};

const SERVED: &str = "rmcp-http";

/// rmcp's HTTP server.
pub(crate) struct RmcpHttp;

/// rmcp's HTTP client, as it comes, and its server.
pub(crate) struct RmcpClient;

/// The same client with connections that are kept.
pub(crate) struct RmcpPooledClient;

impl Subject for RmcpHttp {
    const NAME: &'static str = "rmcp";
    const SERVER: &'static str = SERVED;
    type Caller = HttpCaller;

    fn cases() -> Vec<Case> {
        Case::HTTP_SERVER.to_vec()
    }

    async fn connect(medium: Medium, callers: usize) -> Result<Connection<HttpCaller>, Failure> {
        let Medium::Http(answers) = medium else { return Err("this subject is for HTTP servers".into()) };
        let server = HttpServer::start(SERVED).await?;
        let callers = HttpCaller::open(server.address, answers, callers).await?;
        Ok(Connection { callers, owner: Box::new(server) })
    }

    async fn serve() -> Result<(), Failure> {
        let config = StreamableHttpServerConfig::default().with_json_response(true);
        let sessions = Arc::new(LocalSessionManager::default());
        serve_tower(StreamableHttpService::new(|| Ok(Echo), sessions, config)).await
    }
}

impl Subject for RmcpClient {
    const NAME: &'static str = "rmcp";
    const SERVER: &'static str = SERVED;
    type Caller = PeerCaller;

    fn cases() -> Vec<Case> {
        Case::HTTP_CLIENT.to_vec()
    }

    async fn connect(medium: Medium, callers: usize) -> Result<Connection<PeerCaller>, Failure> {
        let server = HttpServer::start(medium.http_server(SERVED)).await?;
        let config = StreamableHttpClientTransportConfig::with_uri(endpoint(&server));
        let transport = StreamableHttpClientTransport::from_config(config);
        let client = ().serve_with_lifecycle(transport, stateless()).await?;
        Ok(Connection { callers: share(&client, callers), owner: Box::new((client, server)) })
    }
}

impl Subject for RmcpPooledClient {
    const NAME: &'static str = "rmcp-pooled";
    const SERVER: &'static str = SERVED;
    type Caller = PeerCaller;

    fn cases() -> Vec<Case> {
        Case::HTTP_CLIENT.to_vec()
    }

    async fn connect(medium: Medium, callers: usize) -> Result<Connection<PeerCaller>, Failure> {
        let server = HttpServer::start(medium.http_server(SERVED)).await?;
        let config = StreamableHttpClientTransportConfig::with_uri(endpoint(&server));
        let kept = reqwest::Client::builder().tcp_nodelay(true).build()?;
        let transport = StreamableHttpClientTransport::with_client(kept, config);
        let client = ().serve_with_lifecycle(transport, stateless()).await?;
        Ok(Connection { callers: share(&client, callers), owner: Box::new((client, server)) })
    }
}

fn endpoint(server: &HttpServer) -> String {
    format!("http://{}/mcp", server.address)
}

fn stateless() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}
