//! How many requests a second somebody may send to this node, or may be sent about a bucket: token buckets.
//!
//! A subject that was silent for a second may send as many requests at once as it may send in one.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};

/// Subjects that are remembered. Those that were silent for long enough are as if they never were.
const SUBJECTS_MAX: usize = 16_384;

#[derive(Debug, Clone, Copy)]
struct Tokens {
    /// In thousandths of a request.
    left: u64,
    at: Instant,
}

/// Who sent how much lately.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<String, Tokens>>);

impl Rates {
    /// Takes a request of `subject`, if it may send one at `now`.
    fn take(&self, subject: &str, requests_per_s: NonZeroU32, now: Instant) -> bool {
        let full = u64::from(requests_per_s.get()).saturating_mul(1000);
        let mut known = self.0.lock();
        if known.len() >= SUBJECTS_MAX && !known.contains_key(subject) {
            known.retain(|_, tokens| now.saturating_duration_since(tokens.at) < Duration::from_secs(1));
            if known.len() >= SUBJECTS_MAX {
                known.clear();
            }
        }
        let tokens = known.entry(subject.to_owned()).or_insert(Tokens { left: full, at: now });
        // What is gained in less than a millisecond is not lost: the time is moved on only by what was counted.
        let passed_ms = now.saturating_duration_since(tokens.at).as_millis();
        let passed_ms = u64::try_from(passed_ms).unwrap_or(u64::MAX);
        let gained = passed_ms.saturating_mul(u64::from(requests_per_s.get()));
        tokens.left = tokens.left.saturating_add(gained).min(full);
        tokens.at = tokens.at.checked_add(Duration::from_millis(passed_ms)).unwrap_or(now);
        let Some(left) = tokens.left.checked_sub(1000) else { return false };
        tokens.left = left;
        true
    }
}

/// Lets a request go on whose sender may send so many.
///
/// # Errors
/// `SlowDown`.
pub(crate) fn check_sender(context: &Context<'_>) -> S3Result<()> {
    let granary_auth::Principal::User(identity) = &context.verified.principal else { return Ok(()) };
    let Some(rate) = &identity.rate else { return Ok(()) };
    let takes = context.shared.rates.take(&rate.subject, rate.requests_per_s, Instant::now());
    if takes { Ok(()) } else { Err(too_fast("user")) }
}

/// Lets a request go on that may be sent about its bucket, whose rules are known.
///
/// # Errors
/// `SlowDown`.
pub(crate) fn check_bucket(context: &Context<'_>) -> S3Result<()> {
    let Some(rules) = context.rules.get() else { return Ok(()) };
    let Some(limit) = rules.requests_per_s else { return Ok(()) };
    // No ARN of a user begins like this.
    let subject = format!("bucket:{}", rules.bucket);
    if context.shared.rates.take(&subject, limit, Instant::now()) { Ok(()) } else { Err(too_fast("bucket")) }
}

fn too_fast(of: &'static str) -> S3Error {
    metrics::counter!("granary_requests_limited_total", "of" => of).increment(1);
    ErrorCode::SlowDown.into()
}

#[cfg(test)]
#[path = "rates_tests.rs"]
mod tests;
