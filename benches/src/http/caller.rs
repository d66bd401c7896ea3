//! The load generator: what calls every HTTP server in the same way.

use std::net::SocketAddr;

use bytes::BytesMut;
use http::{HeaderMap, StatusCode, Uri};

use super::exchange::Exchanges;
use super::expect::Expected;
use super::pattern::Pattern;
use super::wire::{self, HttpIds};
use crate::subject::Answer;
use crate::{Answers, Caller, Failure};

/// One of the callers of an HTTP server, with a connection of its own that is kept.
pub struct HttpCaller {
    exchanges: Exchanges,
    uri: Target,
    headers: HeaderMap,
    request: Pattern,
    expected: Expected,
    ids: HttpIds,
    out: BytesMut,
}

enum Target {
    /// An MCP endpoint.
    Endpoint(Uri),
    /// An echo, which answers as much as its address says: as Towpath answers.
    Echo { answers: Answers, text_bytes: usize, uri: Uri },
}

impl HttpCaller {
    /// Callers of the MCP endpoint `/mcp` at this address. Where it is asked for a session, all of them share one.
    ///
    /// # Errors
    ///
    /// When no connection or no session can be opened.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no connection is left.
    pub async fn open(address: SocketAddr, answers: Answers, callers: usize) -> Result<Vec<Self>, Failure> {
        let host = address.to_string();
        let endpoint = Uri::from_static("/mcp");
        let headers = match answers {
            Answers::Json | Answers::Events => wire::modern_headers(&host, answers)?,
            Answers::Session => open_session(address, &host, &endpoint).await?,
        };
        let target = || Target::Endpoint(endpoint.clone());
        connect(address, answers, callers, &headers, target, Expected::result(answers)).await
    }

    /// Callers of the bare echo at this address.
    pub(crate) async fn open_echo(
        address: SocketAddr,
        answers: Answers,
        callers: usize,
    ) -> Result<Vec<Self>, Failure> {
        let host = address.to_string();
        let headers = match answers {
            Answers::Json | Answers::Events => wire::modern_headers(&host, answers)?,
            Answers::Session => wire::session_headers(&host, wire::NO_SESSION)?,
        };
        let target = || Target::Echo { answers, text_bytes: 0, uri: Uri::default() };
        connect(address, answers, callers, &headers, target, Expected::cut(answers)).await
    }
}

#[cfg(all(test, feature = "towpath"))]
impl HttpCaller {
    /// The last answer, as it came.
    pub(crate) fn answer(&self) -> &[u8] {
        &self.exchanges.answer
    }
}

impl Caller for HttpCaller {
    async fn call(&mut self, text: &str) -> Result<Answer, Failure> {
        let id = self.ids.next();
        self.out.clear();
        self.request.write(&mut self.out, id, text.as_bytes());
        let request = self.out.split().freeze();
        let uri = self.uri.of(text.len())?;
        let head = self.exchanges.post(uri, self.headers.clone(), request.clone()).await?;
        let answer = &self.exchanges.answer;
        head.expect(StatusCode::OK, answer)?;
        let right = self.expected.is(head.content_type(), answer, &request, (id, text.as_bytes()));
        Ok(Answer { right })
    }
}

impl Target {
    fn of(&mut self, bytes: usize) -> Result<Uri, Failure> {
        match self {
            Self::Endpoint(uri) => Ok(uri.clone()),
            Self::Echo { answers, text_bytes, uri } => {
                if *text_bytes != bytes {
                    *uri = wire::echo_path(*answers, bytes).parse()?;
                    *text_bytes = bytes;
                }
                Ok(uri.clone())
            }
        }
    }
}

async fn connect(
    address: SocketAddr,
    answers: Answers,
    callers: usize,
    headers: &HeaderMap,
    target: impl Fn() -> Target,
    expected: Expected,
) -> Result<Vec<HttpCaller>, Failure> {
    let mut all = Vec::with_capacity(callers);
    for number in 0..callers {
        all.push(HttpCaller {
            exchanges: Exchanges::connect(address).await?,
            uri: target(),
            headers: headers.clone(),
            request: answers.request(),
            expected: expected.clone(),
            ids: HttpIds::of_caller(number),
            out: BytesMut::new(),
        });
    }
    Ok(all)
}

/// Opens a session, and gives the headers of what is sent in it.
async fn open_session(address: SocketAddr, host: &str, endpoint: &Uri) -> Result<HeaderMap, Failure> {
    let mut exchanges = Exchanges::connect(address).await?;
    let headers = wire::plain_headers(host)?;
    let head = exchanges.post(endpoint.clone(), headers, wire::INITIALIZE.into()).await?;
    head.expect(StatusCode::OK, &exchanges.answer)?;
    let session = head.headers.get(&wire::SESSION_ID).ok_or("the server opened no session")?;
    let headers = wire::session_headers(host, session.clone())?;
    let head = exchanges.post(endpoint.clone(), headers.clone(), wire::INITIALIZED.into()).await?;
    head.expect(StatusCode::ACCEPTED, &exchanges.answer)?;
    Ok(headers)
}
