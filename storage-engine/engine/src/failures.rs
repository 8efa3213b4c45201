//! How much of some work failed, and why the last of it did.

use std::error::Error;
use std::fmt::Write as _;

use granary_types::ObjectKey;
use serde::{Deserialize, Serialize};

/// Reasons are kept in the metadata beside what they are about.
const REASON_BYTES_MAX: usize = 400;

/// Failures of work that is tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// How many there were.
    pub count: u64,
    /// What the last was about, and why it failed.
    pub last: Option<String>,
}

impl Failures {
    pub(crate) fn add(&mut self, reason: String) {
        self.merge(Self { count: 1, last: Some(reason) });
    }

    /// Adds what failed after these.
    pub(crate) fn merge(&mut self, later: Self) {
        self.count = self.count.saturating_add(later.count);
        if later.last.is_some() {
            self.last = later.last;
        }
    }
}

/// Why something failed that is about a key, with its causes.
pub(crate) fn reason(key: &ObjectKey, error: &dyn Error) -> String {
    // Keys may hold what a terminal would obey.
    let mut reason = format!("{}: {error}", key.as_str().escape_debug());
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a String cannot fail.
        let _ = write!(reason, ": {error}");
        cause = error.source();
    }
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    reason
}

#[cfg(test)]
#[path = "failures_tests.rs"]
mod tests;
