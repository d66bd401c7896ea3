//! One connection, with one exchange after another.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Body;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::Failure;

/// A connection that is driven by the task that uses it: no other is woken.
pub(super) struct Exchanges {
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<Connection<TokioIo<TcpStream>, Full<Bytes>>>>,
    /// The body of the last answer.
    pub(super) answer: BytesMut,
}

/// What came before the body.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

impl Exchanges {
    pub(super) async fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, connection: Box::pin(connection), answer: BytesMut::new() })
    }

    /// Posts, and reads the answer into [`answer`](Self::answer).
    pub(super) async fn post(&mut self, uri: Uri, headers: HeaderMap, body: Bytes) -> Result<Head, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;

        // The connection first, so that an answer that is there already is found in the same turn.
        let Self { sender, connection, answer } = self;
        let mut drive = |cx: &mut Context<'_>| match connection.as_mut().poll(cx) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        };
        poll_fn(|cx| {
            drive(cx)?;
            sender.poll_ready(cx)
        })
        .await?;
        let mut sending = Box::pin(sender.send_request(request));
        let response = poll_fn(|cx| {
            drive(cx)?;
            sending.as_mut().poll(cx)
        })
        .await?;
        let (parts, mut body) = response.into_parts();
        answer.clear();
        poll_fn(|cx| {
            loop {
                drive(cx)?;
                match Pin::new(&mut body).poll_frame(cx)? {
                    Poll::Ready(Some(frame)) => {
                        if let Some(data) = frame.data_ref() {
                            answer.extend_from_slice(data);
                        }
                    }
                    Poll::Ready(None) => return Poll::Ready(Ok::<_, Failure>(())),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await?;
        Ok(Head { status: parts.status, headers: parts.headers })
    }
}

impl Head {
    pub(super) fn content_type(&self) -> &[u8] {
        self.headers.get(CONTENT_TYPE).map_or(&[], HeaderValue::as_bytes)
    }

    /// An error unless the answer has this status.
    pub(super) fn expect(&self, status: StatusCode, answer: &[u8]) -> Result<(), Failure> {
        if self.status == status {
            return Ok(());
        }
        Err(format!("the server answered {}: {}", self.status, String::from_utf8_lossy(answer)).into())
    }
}
