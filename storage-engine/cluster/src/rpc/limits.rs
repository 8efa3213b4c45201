//! The bounds of the protocol. Both sides keep them.

use std::time::Duration;

/// The longest read that is one request; longer ones are cut into several.
pub const READ_LENGTH_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The longest single append.
pub const APPEND_LENGTH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A group of appends stops growing here: large enough to keep a link busy, small enough that its answer comes soon.
pub(super) const GROUP_LENGTH_BYTES: usize = 4 * 1024 * 1024;
/// Appends in one group.
pub(super) const GROUP_COUNT_MAX: usize = 512;
/// The longest control message.
pub(super) const CONTROL_LENGTH_BYTES_MAX: usize = 256 * 1024;
/// What one hand-over carries at most: who has more at once packs it without help.
pub const HAND_OVER_LENGTH_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Its pieces.
pub const HAND_OVER_PIECES_MAX: usize = 513;
/// The longest body of a request that carries bytes to be written.
pub(super) const BULK_LENGTH_BYTES_MAX: usize =
    4 + CONTROL_LENGTH_BYTES_MAX + APPEND_LENGTH_BYTES_MAX + GROUP_LENGTH_BYTES;

/// HTTP/2: frames, windows and heads. What lies in a stream's window and in the send buffer has left the sender's sight:
/// progress is seen as long as so much of a body (3 MiB) gets through within the deadline.
pub(super) const FRAME_LENGTH_BYTES_MAX: u32 = 64 * 1024;
pub(super) const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
pub(super) const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
pub(super) const SEND_BUFFER_BYTES: usize = 1024 * 1024;
pub(super) const HEADER_LIST_BYTES_MAX: u32 = 8 * 1024;
pub(super) const STREAMS_MAX: u32 = 128;
/// Resets that a peer may cause before it is hung up on (the "rapid reset" attack).
pub(super) const RESETS_MAX: usize = 256;
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(2);
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(4);
/// A connection on which nothing moves this long, not even a ping, is closed.
pub(super) const CONNECTION_IDLE: Duration = Duration::from_secs(30);
