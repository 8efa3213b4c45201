//! An object's bytes on their way to the client.
//!
//! The first piece is read before the head is sent: what cannot be read is an error response and not a broken
//! connection, and a small object leaves with its head in one write. Later failures break the connection, so that
//! a client never takes a part for the whole.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream as _, StreamExt as _};
use granary_engine::{ByteRange, ObjectHandle, ObjectStream};
use http_body::{Frame, SizeHint};

use crate::error::{ErrorCode, S3Error, S3Result};
use crate::operation::Operation;
use crate::state::S3State;

/// The bytes of `range`, which must not be empty.
pub(crate) async fn object_body(state: &S3State, opened: ObjectHandle, range: ByteRange) -> S3Result<Body> {
    let mut stream = opened.read(range);
    let length_bytes = range.length_bytes();
    let first = stream.next().await.ok_or_else(ended_early)??;
    let first_bytes = u64::try_from(first.len()).unwrap_or(u64::MAX);
    if first_bytes == length_bytes {
        state.0.metrics.of(Some(Operation::GetObject)).sent_bytes.increment(length_bytes);
        return Ok(Body::from(first));
    }
    Ok(Body::new(ObjectBody {
        first: Some(first),
        stream,
        left_bytes: length_bytes,
        sent_bytes: 0,
        started: Instant::now(),
        state: state.clone(),
    }))
}

fn ended_early() -> S3Error {
    S3Error::new(ErrorCode::InternalError).because("an object ended before its length")
}

/// A large object being sent.
struct ObjectBody {
    first: Option<Bytes>,
    stream: ObjectStream,
    left_bytes: u64,
    sent_bytes: u64,
    started: Instant,
    state: S3State,
}

impl ObjectBody {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, S3Error>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Ok(Some(first)));
        }
        let piece = std::task::ready!(Pin::new(&mut self.stream).poll_next(context));
        Poll::Ready(piece.transpose().map_err(S3Error::from))
    }
}

impl http_body::Body for ObjectBody {
    type Data = Bytes;
    type Error = S3Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, S3Error>>> {
        if self.left_bytes == 0 {
            return Poll::Ready(None);
        }
        let result = match std::task::ready!(self.poll_piece(context)) {
            Ok(Some(piece)) => {
                let piece_bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
                match self.left_bytes.checked_sub(piece_bytes) {
                    Some(left_bytes) => {
                        self.left_bytes = left_bytes;
                        self.sent_bytes += piece_bytes;
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                    None => {
                        Err(S3Error::new(ErrorCode::InternalError).because("an object exceeds its length"))
                    }
                }
            }
            Ok(None) => Err(ended_early()),
            Err(error) => Err(error),
        };
        // The response's head is out; the log is the only place left for the reason.
        if let Err(error) = &result {
            tracing::error!(%error, cause = error.causes(), left_bytes = self.left_bytes, "sending an object failed");
        }
        self.left_bytes = 0;
        Poll::Ready(Some(result))
    }

    fn is_end_stream(&self) -> bool {
        self.left_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left_bytes)
    }
}

impl Drop for ObjectBody {
    fn drop(&mut self) {
        let metrics = self.state.0.metrics.of(Some(Operation::GetObject));
        metrics.sent_bytes.increment(self.sent_bytes);
        metrics.record_send(self.started.elapsed());
    }
}
