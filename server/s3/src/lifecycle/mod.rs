//! Lifecycle documents, and the header that tells when an object expires.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html>

mod minimum;
mod read;
mod write;

use std::fmt::Write as _;

use granary_engine::Tags;
use granary_types::{BucketName, ObjectKey, UnixMillis};
use http::{HeaderMap, HeaderName};

pub use minimum::TransitionMinimum;
pub(crate) use minimum::{minimum, show_minimum};
pub(crate) use read::parse_rules;
pub(crate) use write::document;

use crate::context::Context;
use crate::dates::http_date;
use crate::encoding;
use crate::respond::set;
use crate::xml::read::Limits;

/// The most rules of a bucket.
pub(crate) const RULES_MAX: usize = 1_000;
/// For so many rules, each with several actions and tags.
pub(crate) const LIMITS: Limits = Limits { length_bytes: 1024 * 1024, depth: 8, elements: 60_000 };

/// Adds `x-amz-expiration` to the answer about a current version, if it expires.
pub(crate) async fn describe(
    context: &Context<'_>,
    headers: &mut HeaderMap,
    (bucket, key): (&BucketName, &ObjectKey),
    written: (u64, UnixMillis),
    tags: Tags<'_>,
) {
    // The object is there and its bytes are right: that a hint cannot be given is no reason to refuse it.
    match context.shared.engine.expiration(bucket, key, written, tags).await {
        Ok(Some((at, id))) => {
            let mut value = format!("expiry-date=\"{}\", rule-id=\"", http_date(at));
            let _infallible = write!(value, "{}\"", encoding::url_encode(&id));
            set(headers, HeaderName::from_static("x-amz-expiration"), value);
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%bucket, %error, "the lifecycle of a bucket could not be looked up"),
    }
}
