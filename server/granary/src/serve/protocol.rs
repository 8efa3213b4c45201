//! Which HTTP a fresh connection speaks, found out within a deadline.
//!
//! hyper-util's own detection waits without a limit when a client sends a part of the HTTP/2 preface and then
//! nothing, and hyper's header timeout starts only after it. So the first bytes are read here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::timeout;

/// The client connection preface of RFC 9113, section 3.4.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Enough for the head of an ordinary request, so that it needs no second read.
const FIRST_READ_BYTES: usize = 4096;

/// The HTTP version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2, by ALPN or with prior knowledge.
    Http2,
}

/// Reads until the protocol is certain; gives back a stream that begins with the bytes read.
///
/// # Errors
/// `TimedOut` after `deadline`, `UnexpectedEof` when the client hangs up, errors of the stream.
pub async fn detect<T: AsyncRead + Unpin>(
    mut io: T,
    deadline: Duration,
) -> io::Result<(Protocol, Prefixed<T>)> {
    let mut read = BytesMut::with_capacity(FIRST_READ_BYTES);
    let reading = async {
        loop {
            if io.read_buf(&mut read).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            let common = read.iter().zip(H2_PREFACE).take_while(|(a, b)| a == b).count();
            if common == H2_PREFACE.len() {
                return Ok(Protocol::Http2);
            }
            if common < read.len() {
                return Ok(Protocol::Http1);
            }
        }
    };
    let protocol =
        timeout(deadline, reading).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok((protocol, Prefixed { prefix: read.freeze(), io }))
}

/// A stream with bytes before it that were read ahead.
#[derive(Debug)]
pub struct Prefixed<T> {
    prefix: Bytes,
    io: T,
}

impl<T: AsyncRead + Unpin> AsyncRead for Prefixed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let length = self.prefix.len().min(buf.remaining());
        buf.put_slice(self.prefix.get(..length).unwrap_or_default());
        self.prefix.advance(length);
        if self.prefix.is_empty() {
            // Gives the read-ahead buffer back for the rest of the connection's life.
            self.prefix = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Prefixed<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}
