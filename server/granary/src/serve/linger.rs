//! The end of an HTTP/1 connection whose client may still be sending.
//!
//! Who is refused before the body was read gets the answer at once, and the connection cannot be used again. Closing a
//! socket with bytes unread resets it, and a reset throws away what the client has not read yet: it would see a broken
//! pipe where the answer was. So only the sending side is closed, and what still comes is read and dropped until the
//! client has hung up, sends nothing for a while, or took too long (RFC 9112, section 9.6).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long a client may send nothing. One that read its answer and keeps the connection to itself is not waited for
/// any longer, and neither is the drain of a server that stops.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// How long it may go on sending.
const LINGER_MAX: Duration = Duration::from_secs(30);

/// Whether the client of a connection may be sending something that nobody will read.
#[derive(Clone, Debug, Default)]
pub struct Unread(Arc<AtomicBool>);

impl Unread {
    /// Something is coming.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn is_some(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// A request's `body`, which counts as unread until its end has been seen.
    pub fn watch<B: Body>(&self, body: B) -> Watched<B> {
        match body.is_end_stream() {
            true => self.end(),
            false => self.begin(),
        }
        Watched { body, unread: self.clone() }
    }
}

/// A body that tells when it was read to its end.
#[derive(Debug)]
pub struct Watched<B> {
    body: B,
    unread: Unread,
}

impl<D: Buf, B: Body<Data = D> + Unpin> Body for Watched<B> {
    type Data = D;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let is_error = matches!(frame, Some(Err(_)));
        if frame.is_none() || (!is_error && self.body.is_end_stream()) {
            self.unread.end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How the stream of a connection is closed: not while its client sends what is [`Unread`].
pub struct Linger {
    unread: Unread,
    /// Once the sending side is closed.
    end: Option<End>,
}

struct End {
    silence: Pin<Box<Sleep>>,
    latest: Instant,
}

impl Linger {
    /// For the connection that `unread` is about.
    pub fn new(unread: Unread) -> Self {
        Self { unread, end: None }
    }

    /// Something is coming that nobody will read.
    pub fn begin(&self) {
        self.unread.begin();
    }

    /// Closes the sending side of `io`, and is done when nothing more is to be expected of the client.
    ///
    /// # Errors
    /// Those of closing; errors of reading end it as the end does.
    pub fn poll_shutdown<T>(&mut self, io: &mut T, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let end = match &mut self.end {
            Some(end) => end,
            None => {
                ready!(Pin::new(&mut *io).poll_shutdown(cx))?;
                if !self.unread.is_some() {
                    return Poll::Ready(Ok(()));
                }
                let silence = Box::pin(sleep(SILENCE_MAX));
                self.end.insert(End { silence, latest: Instant::now() + LINGER_MAX })
            }
        };
        end.poll_discard(io, cx).map(Ok)
    }
}

impl End {
    fn poll_discard(&mut self, io: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 16 * 1024];
        while self.silence.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut *io).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    self.silence.as_mut().reset(self.latest.min(Instant::now() + SILENCE_MAX));
                }
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
#[path = "linger_tests.rs"]
mod tests;
