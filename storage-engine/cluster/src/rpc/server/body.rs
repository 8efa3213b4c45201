//! The body of a request: read within bounds, hashed, and not used before its hash was found right.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use granary_drive::aligned_buffer;
use http_body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::dispatch::Refusal;
use crate::rpc::limits::CONTROL_LENGTH_BYTES_MAX;

/// Reads one body.
pub(super) struct BodyReader<B = Incoming> {
    body: B,
    frame: Bytes,
    hasher: blake3::Hasher,
    left_bytes: usize,
    deadline: Duration,
}

impl<B: Body<Data = Bytes> + Unpin> BodyReader<B> {
    /// A body of exactly `length_bytes`; each piece of it must come within `deadline`.
    pub(super) fn new(body: B, length_bytes: usize, deadline: Duration) -> Self {
        Self { body, frame: Bytes::new(), hasher: blake3::Hasher::new(), left_bytes: length_bytes, deadline }
    }

    /// The next `length_bytes`, in a buffer that a drive can write past the page cache.
    pub(super) async fn take(&mut self, length_bytes: usize) -> Result<Bytes, Refusal> {
        if length_bytes > self.left_bytes {
            return Err(Refusal::malformed("the body is shorter than its message says"));
        }
        let mut buffer = aligned_buffer(length_bytes);
        while buffer.len() < length_bytes {
            self.fill().await?;
            let count = self.frame.len().min(length_bytes - buffer.len());
            buffer.extend_from_slice(&self.frame.split_to(count));
        }
        self.left_bytes -= length_bytes;
        self.hasher.update(&buffer);
        Ok(buffer.freeze())
    }

    async fn fill(&mut self) -> Result<(), Refusal> {
        while self.frame.is_empty() {
            let next = timeout(self.deadline, self.body.frame()).await;
            let next = next.map_err(|_| Refusal::new(408, "the body does not arrive"))?;
            let frame = next.ok_or_else(|| Refusal::malformed("the body ends early"))?;
            let frame = frame.map_err(|_| Refusal::malformed("the body was cut off"))?;
            self.frame = frame.into_data().map_err(|_| Refusal::malformed("bodies have no trailers"))?;
        }
        Ok(())
    }

    /// The next `length_bytes`, wherever they lie: mostly where they were received.
    pub(super) async fn take_anywhere(&mut self, length_bytes: usize) -> Result<Bytes, Refusal> {
        if length_bytes > self.left_bytes {
            return Err(Refusal::malformed("the body is shorter than its message says"));
        }
        if length_bytes > 0 {
            self.fill().await?;
        }
        if length_bytes > self.frame.len() {
            return self.take(length_bytes).await;
        }
        let taken = self.frame.split_to(length_bytes);
        self.left_bytes -= length_bytes;
        self.hasher.update(&taken);
        Ok(taken)
    }

    /// The control message in front of bytes to be written.
    pub(super) async fn take_control(&mut self) -> Result<Bytes, Refusal> {
        let length_bytes = self.take_anywhere(4).await?.get_u32_le();
        let length_bytes = usize::try_from(length_bytes).unwrap_or(usize::MAX);
        if length_bytes > CONTROL_LENGTH_BYTES_MAX {
            return Err(Refusal::malformed("the control message is too long"));
        }
        self.take_anywhere(length_bytes).await
    }

    /// Everything else there is.
    pub(super) async fn take_rest(&mut self) -> Result<Bytes, Refusal> {
        self.take_anywhere(self.left_bytes).await
    }

    /// Says that everything was taken and is what the sender signed.
    pub(super) fn check(&self, expected_hash: [u8; 32]) -> Result<(), Refusal> {
        if self.left_bytes > 0 || !self.frame.is_empty() {
            return Err(Refusal::malformed("the body is longer than its message says"));
        }
        if self.hasher.finalize() != blake3::Hash::from(expected_hash) {
            return Err(Refusal::new(400, "the body is not the one that was signed"));
        }
        Ok(())
    }
}

/// An empty buffer needs no page of its own.
pub(super) fn empty() -> Bytes {
    BytesMut::new().freeze()
}
