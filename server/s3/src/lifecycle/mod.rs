//! Lifecycle documents, and the headers that tell when an object expires or an upload is aborted.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html>

mod minimum;
mod read;
mod write;

use std::fmt::Write as _;

use granary_engine::{EngineError, Tags};
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
        Err(error) => unknown(bucket, &error),
    }
}

/// Adds `x-amz-abort-date` and the rule to the answer about an upload that was begun then, if its bucket aborts it.
pub(crate) async fn describe_upload(
    context: &Context<'_>,
    headers: &mut HeaderMap,
    (bucket, key): (&BucketName, &ObjectKey),
    initiated: UnixMillis,
) {
    match context.shared.engine.upload_abort(bucket, key, initiated).await {
        Ok(Some((at, id))) => {
            set(headers, HeaderName::from_static("x-amz-abort-date"), http_date(at));
            // As it is, where a header can hold it: AWS says nothing of an encoding.
            let id = if id.is_ascii() { id } else { encoding::url_encode(&id).into_owned() };
            set(headers, HeaderName::from_static("x-amz-abort-rule-id"), id);
        }
        Ok(None) => {}
        Err(error) => unknown(bucket, &error),
    }
}

fn unknown(bucket: &BucketName, error: &EngineError) {
    tracing::warn!(%bucket, %error, "the lifecycle of a bucket could not be looked up");
}
