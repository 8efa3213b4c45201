//! The bounds of the accept loop.

use std::time::Duration;

use crate::config::Settings;

/// What connections and requests may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub max_connections: usize,
    /// Requests at a time, answers still being sent included.
    pub max_requests: usize,
    /// From accepting to the first bytes of HTTP.
    pub first_byte_timeout: Duration,
    /// For a request's head, and between requests.
    pub header_timeout: Duration,
    /// For each step of a body, and for each write.
    pub stall_timeout: Duration,
    /// For requests in progress after the signal to stop.
    pub drain_timeout: Duration,
    /// The size of a request's head.
    pub max_header_bytes: usize,
    /// HTTP/2 requests at a time on one connection.
    pub h2_max_streams: u32,
}

impl From<&Settings> for Limits {
    fn from(settings: &Settings) -> Self {
        Self {
            max_connections: settings.max_connections,
            max_requests: settings.max_requests,
            first_byte_timeout: Duration::from_millis(settings.first_byte_timeout_ms),
            header_timeout: Duration::from_millis(settings.header_timeout_ms),
            stall_timeout: Duration::from_millis(settings.stall_timeout_ms),
            drain_timeout: Duration::from_millis(settings.drain_timeout_ms),
            max_header_bytes: settings.max_header_bytes,
            h2_max_streams: settings.h2_max_streams,
        }
    }
}
