//! The floor of an HTTP client: reqwest with its pool, shared by all callers, against the hyper echo, or, where the client
//! alone is measured, against the bare server that answers the others too.

use bytes::BytesMut;
use http::HeaderMap;
use reqwest::{Client, Url};

use super::http_floor::HttpFloor;
use crate::http::{Expected, HttpIds, HttpServer, Pattern, echo_path, modern_headers};
use crate::subject::Answer;
use crate::{Answers, Caller, Case, Connection, Failure, Medium, Subject};

/// The floor of an HTTP client and its server.
pub(crate) struct HttpClientFloor;

/// One of the callers that share a client.
pub(crate) struct ReqwestCaller {
    client: Client,
    server: Url,
    /// How long the texts are that are sent there.
    text_bytes: usize,
    headers: HeaderMap,
    request: Pattern,
    expected: Expected,
    /// What the bare server answers; against the echo there is none.
    answer: Option<Pattern>,
    ids: HttpIds,
    out: BytesMut,
}

impl Subject for HttpClientFloor {
    const NAME: &'static str = "floor";
    const SERVER: &'static str = HttpFloor::SERVED;
    type Caller = ReqwestCaller;

    fn cases() -> Vec<Case> {
        Case::HTTP_CLIENT.to_vec()
    }

    async fn connect(medium: Medium, callers: usize) -> Result<Connection<ReqwestCaller>, Failure> {
        let server = HttpServer::start(medium.http_server(Self::SERVER)).await?;
        let answer = (medium == Medium::HttpClientAlone).then(|| Answers::Json.answer());
        let client = Client::builder().http1_only().tcp_nodelay(true).no_proxy().build()?;
        let url = Url::parse(&format!("http://{}/", server.address))?;
        let mut headers = modern_headers("unused", Answers::Json)?;
        headers.remove(http::header::HOST);
        let caller = |number| ReqwestCaller {
            client: client.clone(),
            server: url.clone(),
            text_bytes: 0,
            headers: headers.clone(),
            request: Answers::Json.request(),
            expected: Expected::cut(Answers::Json),
            answer: answer.clone(),
            ids: HttpIds::of_caller(number),
            out: BytesMut::new(),
        };
        Ok(Connection { callers: (0..callers).map(caller).collect(), owner: Box::new(server) })
    }
}

impl Caller for ReqwestCaller {
    async fn call(&mut self, text: &str) -> Result<Answer, Failure> {
        let id = self.ids.next();
        self.out.clear();
        self.request.write(&mut self.out, id, text.as_bytes());
        let request = self.out.split().freeze();
        if self.text_bytes != text.len() {
            self.server.set_path(&echo_path(Answers::Json, text.len()));
            self.text_bytes = text.len();
        }
        let sent =
            self.client.post(self.server.clone()).headers(self.headers.clone()).body(request.clone()).send();
        let answer = sent.await?.error_for_status()?.bytes().await?;
        let right = match &self.answer {
            Some(pattern) => pattern.is(&answer, id, text.as_bytes()),
            None => self.expected.is(b"", &answer, &request, (id, text.as_bytes())),
        };
        Ok(Answer { right })
    }
}
