//! Buffers that begin on a page, as writing past the page cache needs them.

use bytes::{Buf as _, BytesMut};

use crate::block::PAGE_LENGTH_BYTES;

/// An empty buffer whose first byte will lie on a page boundary. It takes `capacity_bytes` before it moves; one that
/// grows beyond that loses its alignment, and its bytes are then written through the page cache.
#[must_use]
pub fn aligned_buffer(capacity_bytes: usize) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(capacity_bytes + PAGE_LENGTH_BYTES);
    let skipped = buffer.as_ptr().align_offset(PAGE_LENGTH_BYTES);
    if skipped < PAGE_LENGTH_BYTES {
        buffer.resize(skipped, 0);
        buffer.advance(skipped);
    }
    buffer
}

/// The same bytes in a buffer that begins on a page.
#[must_use]
pub fn aligned_copy(bytes: &[u8]) -> BytesMut {
    let mut copy = aligned_buffer(bytes.len());
    copy.extend_from_slice(bytes);
    copy
}

/// Whether `bytes` begin on a page boundary.
pub(crate) fn is_aligned(bytes: &[u8]) -> bool {
    bytes.as_ptr().align_offset(PAGE_LENGTH_BYTES) == 0
}

#[cfg(test)]
#[path = "aligned_tests.rs"]
mod tests;
