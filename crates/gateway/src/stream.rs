//! A byte stream to a peer, its two buffers, and reading whole messages while a connection is set up.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use drieslot_wire as wire;

/// Anything that bytes flow through both ways.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// One side of a session.
pub(crate) struct Peer {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// Read, not yet handled.
    pub(crate) input: BytesMut,
    /// Decided, not yet written.
    pub(crate) output: BytesMut,
    /// Written, perhaps still in the TLS layer's own buffer.
    unflushed: bool,
    /// The peer has closed its side.
    pub(crate) ended: bool,
    /// Size of the next read: grows with what comes, so that a quiet session holds little memory.
    read_bytes: usize,
}

const MIN_READ_BYTES: usize = 4 << 10;
const MAX_READ_BYTES: usize = 64 << 10;
/// What an empty buffer of an idle session may keep.
const IDLE_BYTES: usize = 16 << 10;
/// Most bytes of one message while a connection is set up.
const SETUP_MESSAGE_BYTES: usize = 64 << 10;

impl Peer {
    pub(crate) fn tcp(stream: tokio::net::TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self::new(Box::new(reader), Box::new(writer))
    }

    pub(crate) fn tls(stream: impl Duplex + 'static) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self::new(Box::new(reader), Box::new(writer))
    }

    fn new(reader: Box<dyn AsyncRead + Send + Unpin>, writer: Box<dyn AsyncWrite + Send + Unpin>) -> Self {
        Self {
            reader,
            writer,
            input: BytesMut::new(),
            output: BytesMut::new(),
            unflushed: false,
            ended: false,
            read_bytes: MIN_READ_BYTES,
        }
    }

    /// Reads what is there into `input`; cancel-safe.
    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        self.input.reserve(self.read_bytes);
        if self.reader.read_buf(&mut self.input).await? == 0 {
            self.ended = true;
        }
        Ok(())
    }

    /// Reads if `read`, writes if there is output, whichever can go on first; cancel-safe.
    pub(crate) async fn exchange(&mut self, read: bool) -> io::Result<()> {
        let Self { reader, writer, input, output, unflushed, ended, read_bytes } = self;
        if read {
            input.reserve(*read_bytes);
        }
        let writing = !output.is_empty() || *unflushed;
        tokio::select! {
            biased;
            written = write_some(writer, output, unflushed), if writing => written,
            got = reader.read_buf(input), if read => {
                let got = got?;
                *ended = got == 0;
                *read_bytes = match got {
                    _ if got >= *read_bytes => (*read_bytes * 4).min(MAX_READ_BYTES),
                    _ if got < *read_bytes / 8 => (*read_bytes / 2).max(MIN_READ_BYTES),
                    _ => *read_bytes,
                };
                Ok(())
            }
            else => std::future::pending().await,
        }
    }

    /// Gives back the memory of buffers that a large result has left.
    pub(crate) fn shrink(&mut self) {
        shrink(&mut self.input);
        shrink(&mut self.output);
        self.read_bytes = MIN_READ_BYTES;
    }

    /// Writes all of `output`.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() || self.unflushed {
            write_some(&mut self.writer, &mut self.output, &mut self.unflushed).await?;
        }
        Ok(())
    }

    /// The next whole message while a connection is set up.
    pub(crate) async fn message(&mut self) -> io::Result<(u8, Bytes)> {
        self.message_within(SETUP_MESSAGE_BYTES).await
    }

    /// The next whole message, however long, from a peer that is signed in.
    pub(crate) async fn any_message(&mut self) -> io::Result<(u8, Bytes)> {
        self.message_within(wire::MAX_FRAME_BYTES).await
    }

    async fn message_within(&mut self, most_bytes: usize) -> io::Result<(u8, Bytes)> {
        let invalid = |error: wire::WireError| io::Error::new(io::ErrorKind::InvalidData, error);
        loop {
            if let Some(frame) = wire::split_frame(&self.input).map_err(invalid)? {
                if frame.size > most_bytes {
                    return Err(invalid(wire::WireError::Length));
                }
                if self.input.len() >= frame.size {
                    let mut bytes = self.input.split_to(frame.size).freeze();
                    return Ok((frame.tag, bytes.split_off(wire::Frame::HEAD)));
                }
            }
            self.fill().await?;
            if self.ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Says goodbye within two seconds, whatever the peer does.
    pub(crate) async fn close(mut self) {
        let goodbye = async {
            let _ = self.flush().await;
            let _ = self.writer.shutdown().await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), goodbye).await;
    }
}

/// An empty buffer that has grown begins anew.
pub(crate) fn shrink(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > IDLE_BYTES {
        *buffer = BytesMut::new();
    }
}

async fn write_some(
    writer: &mut Box<dyn AsyncWrite + Send + Unpin>,
    output: &mut BytesMut,
    unflushed: &mut bool,
) -> io::Result<()> {
    if !output.is_empty() {
        *unflushed = true;
        if writer.write_buf(output).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    if output.is_empty() {
        writer.flush().await?;
        *unflushed = false;
    }
    Ok(())
}
