//! What a connection gets for which there is no room.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

/// Answers newcomers over the limit, of which it keeps a bounded number for a bounded time.
#[derive(Debug)]
pub(super) struct Refusals {
    places: Arc<Semaphore>,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(MOST_AT_ONCE)) }
    }

    /// Has a task tell the peer to come back later; with too many of them, closes at once.
    pub(super) fn refuse(&self, stream: TcpStream, tasks: &mut JoinSet<()>) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        tasks.spawn(async move {
            let _place = place;
            // Late or not, that was it.
            let _ = timeout(LINGER, goodbye(stream)).await;
        });
    }
}

/// Bytes that have come and are not read make the system reset the connection, and the peer might lose the answer. So
/// they are read, until the peer has read the answer and closes.
async fn goodbye(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(ANSWER).await?;
    stream.shutdown().await?;
    let mut scratch = [0; 1024];
    while stream.read(&mut scratch).await? > 0 {}
    Ok(())
}

const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-type: text/plain\r\n\
    content-length: 21\r\nconnection: close\r\n\r\ntoo many connections\n";
const MOST_AT_ONCE: usize = 64;
const LINGER: Duration = Duration::from_secs(1);
