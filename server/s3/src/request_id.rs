//! Request ids: unique, cheap, and quoted in every response, error and log line.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// The id of one request, shown as 16 upper-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

/// Gives out request ids: a counter from a random start, scrambled so that ids do not look consecutive.
#[derive(Debug)]
pub struct RequestIds {
    next: AtomicU64,
    host_id: String,
}

impl RequestIds {
    /// Starts at `seed`, which must be random; `node` names this server in `x-amz-id-2`.
    #[must_use]
    pub fn new(seed: u64, node: &str) -> Self {
        Self { next: AtomicU64::new(seed), host_id: BASE64.encode(node) }
    }

    /// The next id.
    pub fn next(&self) -> RequestId {
        let mut id = self.next.fetch_add(1, Ordering::Relaxed);
        // The finaliser of SplitMix64: a bijection, so ids stay unique.
        id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        RequestId(id ^ (id >> 31))
    }

    /// The value of `x-amz-id-2` and `<HostId>`.
    #[must_use]
    pub fn host_id(&self) -> &str {
        &self.host_id
    }
}

#[cfg(test)]
#[path = "request_id_tests.rs"]
mod tests;
