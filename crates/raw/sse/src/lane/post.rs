//! One message on its way: a POST, and its answer.

use std::{fmt::Write, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request,
    header::{CONTENT_TYPE, RETRY_AFTER},
    response,
};
use tokio::time::timeout;
use towpath_raw::{Chunks, ChunksExt, Connect, ExchangeError, Operation, Timeout};

use super::sink::Target;

/// Sends one message; done when the server has taken it.
pub(super) async fn post<C: Connect>(target: Arc<Target<C>>, message: Bytes) -> Result<(), ExchangeError> {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = Method::POST;
    head.uri = target.endpoint.clone();
    head.headers = target.headers.clone();
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let sending = async {
        let (head, mut body) = target.connect.exchange(head, message).await?;
        if !head.status.is_success() {
            return Err(refused(&target.peer, &head, &mut body).await);
        }
        Ok(body)
    };
    let mut body = match target.write_stall {
        Some(after) => timeout(after, sending).await.unwrap_or_else(|_| {
            let source = Timeout { operation: Operation::Send, after };
            Err(ExchangeError::Timeout { peer: Arc::clone(&target.peer), source })
        })?,
        None => sending.await?,
    };
    // It says nothing, and was accepted whatever comes; read to its end, the connection can be used again.
    let _ = timeout(DRAIN, beginning(&mut body, MAX_BODY_BYTES)).await;
    Ok(())
}

/// The error that an answer stands for which is no success.
pub(super) async fn refused<B: Chunks>(
    peer: &Arc<str>,
    head: &response::Parts,
    body: &mut B,
) -> ExchangeError {
    let text = timeout(DRAIN, beginning(body, MAX_TEXT_BYTES)).await.unwrap_or_default();
    let seconds = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    ExchangeError::Refused {
        peer: Arc::clone(peer),
        status: head.status.as_u16(),
        body: printable(&text).into(),
        retry_after: seconds.map(Duration::from_secs),
    }
}

/// How a body begins: at most so many bytes. One that breaks off ends there.
async fn beginning<B: Chunks>(body: &mut B, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < most {
        let Ok(Some(chunk)) = body.chunk().await else { break };
        let room = most - bytes.len();
        bytes.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
    }
    bytes
}

/// The bytes as text that is safe to print, of at most 1 KiB.
pub(super) fn printable(bytes: &[u8]) -> String {
    printable_within(bytes, MAX_TEXT_BYTES)
}

/// The same, of at most so many bytes: what is no UTF-8 becomes longer than it was.
pub(super) fn printable_within(bytes: &[u8], most: usize) -> String {
    let mut text = String::new();
    for char in String::from_utf8_lossy(bytes.get(..most).unwrap_or(bytes)).trim().chars() {
        // Escape sequences must not reach the terminal of whoever reads the log.
        let char = match char {
            '\t' | '\r' | '\n' => ' ',
            char if char.is_control() => '?',
            char => char,
        };
        if text.len() + char.len_utf8() > most {
            break;
        }
        let _ = text.write_char(char);
    }
    text
}

/// How long and how far the answer to a POST is read that says nothing any more.
const DRAIN: Duration = Duration::from_secs(1);
const MAX_BODY_BYTES: usize = 16 << 10;

const MAX_TEXT_BYTES: usize = 1 << 10;
