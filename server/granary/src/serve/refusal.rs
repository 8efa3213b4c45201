//! The refusal of request heads that are too large, or without a host, as S3 words it.
//!
//! A head that was read is refused by [`super::dispatch`]. One that hyper gives up reading (beyond its buffer, or with
//! more than 100 headers) it answers itself, with a bare 431 and no way to say otherwise; S3's clients read 400 and an
//! XML document. So hyper's answer is replaced on its way out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::{Buf, Bytes};
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::linger::{Linger, Unread};

/// How hyper's answer begins. Nothing else here answers 431.
const HYPERS: &[u8] = b"HTTP/1.1 431 ";
/// hyper's answer is a head of a few short headers.
const HYPERS_BYTES_MAX: usize = 256;
/// The shortest head that hyper gives up: 101 headers of four bytes. What is read of one shows that there is one.
const REFUSED_HEAD_BYTES_MIN: usize = 404;

fn document(limit_bytes: usize) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>RequestHeaderSectionTooLarge</Code>\
         <Message>Your request header section exceeds the maximum allowed size.</Message>\
         <MaxSizeAllowed>{limit_bytes}</MaxSizeAllowed></Error>"
    )
}

/// The refusal of a head that was read, of more than `limit_bytes`.
pub fn head_too_large(limit_bytes: usize) -> Response {
    refused(document(limit_bytes))
}

/// The refusal of a head of HTTP/1.1 that names no host, as it must (RFC 9112, section 3.2).
pub fn no_host() -> Response {
    let document = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InvalidRequest</Code>\
                    <Message>Missing required header for this request: Host</Message></Error>";
    refused(document.to_owned())
}

fn refused(document: String) -> Response {
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The same as bytes of HTTP/1.1.
fn raw(limit_bytes: usize) -> Bytes {
    let document = document(limit_bytes);
    let text = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{document}",
        document.len()
    );
    Bytes::from(text)
}

/// How many bytes came since the last request was taken up: those of its body, or of the next head.
#[derive(Clone, Debug, Default)]
pub struct SinceRequest(Arc<AtomicUsize>);

impl SinceRequest {
    /// A request was taken up.
    pub fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn could_be_refused(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= REFUSED_HEAD_BYTES_MIN
    }
}

/// A stream that replaces hyper's refusal, and lingers when it is closed.
pub struct Refusing<T> {
    io: T,
    limit_bytes: usize,
    since: SinceRequest,
    linger: Linger,
    state: State,
}

enum State {
    /// No refusal was seen.
    Serving,
    /// What is left of ours.
    Sending(Bytes),
    /// It is out.
    Sent,
}

impl<T> Refusing<T> {
    /// Wraps the stream of a connection whose heads may have `limit_bytes`. What the client
    /// sends and nobody reads is `unread`.
    pub fn new(io: T, limit_bytes: usize, since: SinceRequest, unread: Unread) -> Self {
        Self { io, limit_bytes, since, linger: Linger::new(unread), state: State::Serving }
    }
}

/// Whether `buffers` are one answer of hyper's to a head it gave up, and nothing else.
fn is_hypers(buffers: &[io::IoSlice<'_>]) -> bool {
    let mut filled = buffers.iter().filter(|buffer| !buffer.is_empty());
    match (filled.next(), filled.next()) {
        (Some(only), None) => {
            only.starts_with(HYPERS) && only.ends_with(b"\r\n\r\n") && only.len() <= HYPERS_BYTES_MAX
        }
        _ => false,
    }
}

impl<T: AsyncWrite + Unpin> Refusing<T> {
    /// Sends what is left of the refusal.
    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let State::Sending(left) = &mut self.state {
            if left.is_empty() {
                ready!(Pin::new(&mut self.io).poll_flush(cx))?;
                self.state = State::Sent;
                break;
            }
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            left.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Takes `buffers` for sent if they are hyper's refusal, and sends ours.
    fn poll_replace(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Option<Poll<io::Result<usize>>> {
        if matches!(self.state, State::Serving) {
            if !is_hypers(buffers) || !self.since.could_be_refused() {
                return None;
            }
            self.linger.begin();
            self.state = State::Sending(raw(self.limit_bytes));
        }
        let length = buffers.iter().map(|buffer| buffer.len()).sum();
        Some(match self.poll_refusal(cx) {
            Poll::Ready(sent) => Poll::Ready(sent.map(|()| length)),
            Poll::Pending => Poll::Pending,
        })
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Refusing<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.since.add(buf.filled().len().saturating_sub(before));
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Refusing<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(replaced) = self.poll_replace(cx, &[io::IoSlice::new(buf)]) {
            return replaced;
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(replaced) = self.poll_replace(cx, bufs) {
            return replaced;
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(cx))?;
        let this = &mut *self;
        this.linger.poll_shutdown(&mut this.io, cx)
    }
}
