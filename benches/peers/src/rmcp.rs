//! The official Rust SDK: its client against its server, with a hand-written `echo` tool (no macros,
//! no schema check), as bare as it goes.
//!
//! Two subjects: `rmcp` serves over `stdio()`, its default, on blocking threads, and its client starts the child with
//! `TokioChildProcess`; `rmcp-pipes` serves over `stdio_pipes()`, which does not block. In memory
//! they are the same, so only the first is measured there.

use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    ProgressNotificationParam, ServerCapabilities, ServerConfig,
};
use rmcp::service::{Peer, RequestContext, RoleClient, RoleServer, ServiceExt};
use rmcp::transport::{TokioChildProcess, stdio, stdio_pipes};
use serde_json::{Map, Value};
use tokio::task::JoinSet;
use towpath_benches::{
    Answer, Caller, Case, Connection, Failure, MEMORY_BYTES, Medium, PipeSize, Subject, serve_command,
    spawn_child,
};

/// rmcp with its default stdio.
pub(crate) struct Rmcp;

/// rmcp with its non-blocking stdio.
pub(crate) struct RmcpPipes;

/// One of the callers that share a client.
pub(crate) struct PeerCaller(Peer<RoleClient>);

/// The server, over whatever transport.
pub(crate) struct Echo;

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        // Its client gives every request a progress token; a report is for those who ask for this tool.
        let token = context.meta.get_progress_token().filter(|_| request.name == "tell");
        if let Some(token) = token {
            let reported = context.peer.notify_progress(ProgressNotificationParam::new(token, 1.0)).await;
            reported.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        }
        let text = match request.arguments.and_then(|mut arguments| arguments.remove("text")) {
            Some(Value::String(text)) => text,
            _ => return Err(ErrorData::invalid_params("text is missing", None)),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

impl Subject for Rmcp {
    const NAME: &'static str = "rmcp";
    type Caller = PeerCaller;

    async fn connect(medium: Medium, callers: usize) -> Result<Connection<PeerCaller>, Failure> {
        match medium {
            Medium::Memory => {
                let (near, far) = tokio::io::duplex(MEMORY_BYTES);
                let mut server = JoinSet::new();
                server.spawn(async move {
                    let running = Echo.serve(far).await?;
                    running.waiting().await?;
                    Ok::<(), Failure>(())
                });
                let client = ().serve(near).await?;
                Ok(Connection { callers: share(&client, callers), owner: Box::new((client, server)) })
            }
            Medium::Pipes(PipeSize::Default) => {
                let client = ().serve(TokioChildProcess::new(serve_command(Self::NAME)?)?).await?;
                Ok(Connection { callers: share(&client, callers), owner: Box::new(client) })
            }
            // Its own child has pipes of the default size only.
            Medium::Pipes(size) => over_own_pipes(Self::NAME, size, callers).await,
            Medium::Http(_) | Medium::HttpClient | Medium::HttpClientAlone | Medium::Bridge => {
                Err(STREAMS_ONLY.into())
            }
        }
    }

    async fn serve() -> Result<(), Failure> {
        Echo.serve(stdio()).await?.waiting().await?;
        Ok(())
    }
}

impl Subject for RmcpPipes {
    const NAME: &'static str = "rmcp-pipes";
    type Caller = PeerCaller;

    fn cases() -> Vec<Case> {
        vec![Case::PipesRate, Case::PipesLatency, Case::PipesBulk, Case::WidePipesBulk]
    }

    async fn connect(medium: Medium, callers: usize) -> Result<Connection<PeerCaller>, Failure> {
        match medium {
            Medium::Memory => Err("in memory there is no stdio to choose".into()),
            Medium::Pipes(size) => over_own_pipes(Self::NAME, size, callers).await,
            Medium::Http(_) | Medium::HttpClient | Medium::HttpClientAlone | Medium::Bridge => {
                Err(STREAMS_ONLY.into())
            }
        }
    }

    async fn serve() -> Result<(), Failure> {
        Echo.serve(stdio_pipes()).await?.waiting().await?;
        Ok(())
    }
}

impl Caller for PeerCaller {
    async fn call(&mut self, text: &str) -> Result<Answer, Failure> {
        let mut arguments = Map::new();
        arguments.insert("text".to_owned(), Value::String(text.to_owned()));
        let result = self.0.call_tool(CallToolRequestParams::new("echo").with_arguments(arguments)).await?;
        let [content] = result.content.as_slice() else { return Ok(Answer::wrong()) };
        Ok(content
            .as_text()
            .map_or(Answer::wrong(), |came_back| Answer::check(came_back.text.as_bytes(), text)))
    }
}

const STREAMS_ONLY: &str = "this subject is for memory and pipes";

async fn over_own_pipes(
    subject: &str,
    size: PipeSize,
    callers: usize,
) -> Result<Connection<PeerCaller>, Failure> {
    let pipes = spawn_child(subject, size)?;
    let client = ().serve((pipes.reader, pipes.writer)).await?;
    Ok(Connection { callers: share(&client, callers), owner: Box::new((client, pipes.child)) })
}

/// Callers that share a client.
pub(crate) fn share(client: &Peer<RoleClient>, callers: usize) -> Vec<PeerCaller> {
    std::iter::repeat_with(|| PeerCaller(client.clone())).take(callers).collect()
}
