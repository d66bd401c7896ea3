//! The floor: a newline echo, line by line, and requests written ahead of their answers by one task.
//!
//! This is the plain tokio program: large buffers around the medium, one line read and one line written at
//! a time, flushed when no whole line is left to read. Nothing is parsed, correlated or woken but the
//! two tasks at the ends. Request and answer are the same line, of the size of an `echo` tool call.

use std::any::Any;
use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};

use crate::subject::Answer;
use crate::{Caller, Connection, Failure, Load, MEMORY_BYTES, Medium, Subject, own_pipes, spawn_child};

/// The floor of every case.
pub(crate) struct Floor;

/// The near end of an echo, used by one task.
pub(crate) struct Echoed {
    stream: Buffered<Box<dyn Stream>>,
    out: Vec<u8>,
    line: Vec<u8>,
}

type Buffered<S> = BufReader<BufWriter<S>>;

/// A duplex stream, whatever the medium.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// What comes before the id, between the id and the text, and after the text, in a request.
pub(crate) const BEFORE_ID: &[u8] = br#"{"jsonrpc":"2.0","id":"#;
const BEFORE_TEXT: &[u8] = br#","method":"tools/call","params":{"name":"echo","arguments":{"text":""#;
const AFTER_TEXT: &[u8] = b"\"}}}\n";

/// The near end of an echo, and what must be kept for as long.
pub(crate) struct Near {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) far: Box<dyn Any + Send>,
}

/// Starts an echo: a task in memory, a child process at the other end of pipes.
pub(crate) fn open(medium: Medium, name: &str) -> Result<Near, Failure> {
    match medium {
        Medium::Memory => {
            let (near, far) = tokio::io::duplex(MEMORY_BYTES);
            let mut task = tokio::task::JoinSet::new();
            task.spawn(echo(far));
            Ok(Near { stream: Box::new(near), far: Box::new(task) })
        }
        Medium::Pipes(size) => {
            let pipes = spawn_child(name, size)?;
            let stream = Box::new(tokio::io::join(pipes.reader, pipes.writer));
            Ok(Near { stream, far: Box::new(pipes.child) })
        }
        Medium::Http(_) | Medium::HttpClient | Medium::HttpClientAlone | Medium::Bridge => {
            Err("a newline echo is for memory and pipes".into())
        }
    }
}

fn buffered<S: AsyncRead + AsyncWrite>(stream: S) -> Buffered<S> {
    BufReader::with_capacity(BUFFER_BYTES, BufWriter::with_capacity(BUFFER_BYTES, stream))
}

/// True when the next line would have to be waited for: the moment to flush.
fn is_drained<S: AsyncRead>(stream: &BufReader<S>) -> bool {
    memchr::memchr(b'\n', stream.buffer()).is_none()
}

/// Sends every line back, once it is whole.
async fn echo(stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut stream = buffered(stream);
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await? > 0 {
        stream.write_all(&line).await?;
        if is_drained(&stream) {
            stream.flush().await?;
        }
        line.clear();
    }
    stream.shutdown().await
}

/// Echoes the own stdin to the own stdout.
pub(crate) async fn serve_echo() -> Result<(), Failure> {
    let (reader, writer) = own_pipes()?;
    Ok(echo(tokio::io::join(reader, writer)).await?)
}

/// Appends the line of a request.
pub(crate) fn push_request(out: &mut Vec<u8>, id: usize, text: &str) {
    let mut digits = itoa::Buffer::new();
    for part in [BEFORE_ID, digits.format(id).as_bytes(), BEFORE_TEXT, text.as_bytes(), AFTER_TEXT] {
        out.extend_from_slice(part);
    }
}

/// The text of a line that was sent with an id of `id_bytes` bytes.
pub(crate) fn text_of(line: &[u8], id_bytes: usize) -> Option<&[u8]> {
    line.get(BEFORE_ID.len() + id_bytes + BEFORE_TEXT.len()..)?.strip_suffix(AFTER_TEXT)
}

impl Subject for Floor {
    const NAME: &'static str = "floor";
    type Caller = Echoed;

    /// Gives one caller however many are asked for: it keeps that many requests in flight.
    async fn connect(medium: Medium, _callers: usize) -> Result<Connection<Echoed>, Failure> {
        let Near { stream, far } = open(medium, Self::NAME)?;
        let caller = Echoed { stream: buffered(stream), out: Vec::new(), line: Vec::new() };
        Ok(Connection { callers: vec![caller], owner: far })
    }

    async fn load(callers: Vec<Echoed>, load: Load) -> Result<(), Failure> {
        let mut caller = callers.into_iter().next().ok_or("the floor has no caller")?;
        caller.pipeline(&load).await
    }

    async fn serve() -> Result<(), Failure> {
        serve_echo().await
    }
}

impl Echoed {
    /// Keeps as many requests in flight as the load asks for, and compares every line that comes back
    /// with the one that was sent.
    async fn pipeline(&mut self, load: &Load) -> Result<(), Failure> {
        let requests: Vec<Vec<u8>> = (0..load.texts().count())
            .map(|n| {
                let mut line = Vec::new();
                push_request(&mut line, n, load.texts().text(n));
                line
            })
            .collect();
        let mut to_send = requests.iter().cycle();
        for request in to_send.by_ref().take(load.in_flight()) {
            self.stream.write_all(request).await?;
        }
        self.stream.flush().await?;
        for (expected, next) in requests.iter().cycle().zip(to_send) {
            let right = self.read_line().await? == expected;
            load.count(0, u64::from(right), u64::from(!right));
            if load.is_over() {
                break;
            }
            self.stream.write_all(next).await?;
            if is_drained(&self.stream) {
                self.stream.flush().await?;
            }
        }
        Ok(())
    }

    async fn read_line(&mut self) -> Result<&[u8], Failure> {
        self.line.clear();
        if self.stream.read_until(b'\n', &mut self.line).await? == 0 {
            return Err("the echo ended".into());
        }
        Ok(&self.line)
    }
}

impl Caller for Echoed {
    async fn call(&mut self, text: &str) -> Result<Answer, Failure> {
        self.out.clear();
        push_request(&mut self.out, 0, text);
        self.stream.write_all(&self.out).await?;
        self.stream.flush().await?;
        let came_back = text_of(self.read_line().await?, 1);
        Ok(came_back.map_or(Answer::wrong(), |came_back| Answer::check(came_back, text)))
    }
}

/// The buffers at both ends, in both directions.
const BUFFER_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::{echo, push_request, text_of};

    #[tokio::test]
    async fn the_echo_gives_the_bytes_back_and_ends_with_its_input() {
        let (near, far) = tokio::io::duplex(16);
        let echoing = tokio::spawn(echo(far));
        let (mut reader, mut writer) = tokio::io::split(near);
        let sent: Vec<u8> = (0..100).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            writer.write_all(&sent).await?;
            writer.shutdown().await
        });
        let mut came_back = Vec::new();
        tokio::time::timeout(Duration::from_secs(20), async {
            reader.read_to_end(&mut came_back).await.unwrap();
            writing.await.unwrap().unwrap();
            echoing.await.unwrap().unwrap();
        })
        .await
        .unwrap();
        assert_eq!(came_back, expected);
    }

    #[test]
    fn the_text_of_a_request_is_found_behind_an_id_of_any_length() {
        for (id, id_bytes) in [(7, 1), (64, 2), (1023, 4)] {
            let mut line = Vec::new();
            push_request(&mut line, id, "hello");
            assert_eq!(text_of(&line, id_bytes), Some(&b"hello"[..]));
        }
        assert_eq!(text_of(b"{}\n", 1), None);
    }
}
