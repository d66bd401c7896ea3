//! What a newcomer gets for whom there is no place.

use std::{sync::Arc, time::Duration};

use rustix::net::{SendFlags, Shutdown, send, shutdown};
use tokio::{io::AsyncReadExt, sync::Semaphore, time::timeout};
use towpath_raw::{ConnectionLimit, TaskScope};

use super::stream::Stream;

/// Answers newcomers over the limit, of which it keeps a bounded number for a bounded time.
#[derive(Debug)]
pub(super) struct Refusals {
    tasks: TaskScope,
    places: Arc<Semaphore>,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self { tasks: TaskScope::new(), places: Arc::new(Semaphore::new(MOST_AT_ONCE)) }
    }

    /// Tells the peer why, without waiting for it, and has a task close the connection; with too many of them, closes it
    /// at once.
    pub(super) fn refuse(&self, stream: Stream, limit: ConnectionLimit) {
        // A new socket has room for one line.
        let told = send(&stream, line(limit).as_bytes(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        let shut = shutdown(&stream, Shutdown::Write);
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        if told.is_ok() && shut.is_ok() {
            self.tasks.spawn(async move {
                let _place = place;
                // Late or not, that was it.
                let _ = timeout(LINGER, hear_out(stream)).await;
            });
        }
    }
}

/// Bytes that have come and are not read make the system reset the connection, and the peer might lose the line. So they
/// are read, until the peer has read the line and closes.
async fn hear_out(mut stream: Stream) {
    let mut scratch = [0; 1024];
    let mut left = MOST_BYTES;
    while let Ok(bytes @ 1..) = stream.read(&mut scratch).await {
        let Some(rest) = left.checked_sub(bytes) else { break };
        left = rest;
    }
}

/// It answers no request, so it has no id.
fn line(limit: ConnectionLimit) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"error\":{{\"code\":-32603,\"message\":\"{limit}\",\"data\":{{\"reason\":\"too_many_connections\",\"limit\":{},\"setting\":\"max_connections\"}}}}}}\n",
        limit.limit
    )
}

const MOST_AT_ONCE: usize = 64;
const LINGER: Duration = Duration::from_secs(1);
const MOST_BYTES: usize = 1 << 20;
