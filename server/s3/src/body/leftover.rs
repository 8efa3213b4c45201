//! What is left of a body when its request was refused early.
//!
//! A client that does not wait for `100 Continue` is still sending when the refusal is ready. Closing the connection
//! then resets it, and the client may never see why. So a little of the rest is read and thrown away first.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;

/// How much is thrown away at most.
const DISCARD_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How long it may take.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// Keeps a body after its reader dropped it.
#[derive(Clone, Default)]
pub(crate) struct Leftover(Arc<Mutex<Option<Body>>>);

/// A body that goes back to its [`Leftover`] when it is dropped before its end.
struct Returning {
    body: Body,
    leftover: Leftover,
}

impl Leftover {
    /// Wraps `body`, so that what is not read of it comes back here.
    pub(crate) fn watch(&self, body: Body) -> Body {
        // Most requests have no body, and nothing can be left of it.
        if body.is_end_stream() { body } else { Body::new(Returning { body, leftover: self.clone() }) }
    }

    /// Reads what is left, within limits, and drops it.
    pub(crate) async fn discard(&self) {
        let Some(mut body) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let discard = async {
            let mut bytes = 0_u64;
            while let Some(Ok(frame)) = body.frame().await {
                let length = frame.data_ref().map_or(0, Bytes::len);
                bytes = bytes.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
                if bytes > DISCARD_BYTES_MAX {
                    break;
                }
            }
        };
        // Out of time or done, the answer is the same: stop reading.
        let _ = tokio::time::timeout(DISCARD_TIME, discard).await;
    }
}

impl http_body::Body for Returning {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            let body = std::mem::take(&mut self.body);
            *self.leftover.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}

#[cfg(test)]
#[path = "leftover_tests.rs"]
mod tests;
