//! RestoreObject: archived objects become readable for some days.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html>

use axum::body::Body;
use granary_engine::{RestoreState, Restored, Urgency};
use granary_types::StorageClass;
use http::{HeaderMap, HeaderName, StatusCode};

use super::{ObjectAddress, version};
use crate::body::Protection;
use crate::context::Context;
use crate::dates::http_date;
use crate::error::{S3Error, S3Result};
use crate::respond::{self, S3Response};
use crate::xml::read::Limits;
use crate::xml::{RestoreRequest, RetrievalTier, parse_restore};

/// `POST /bucket/key?restore`.
pub(super) async fn restore(
    context: &Context<'_>,
    object: &ObjectAddress,
    body: Body,
) -> S3Result<S3Response> {
    let version_id = context.query.get("versionId");
    let named = version::named(version_id)?;
    let document = context.document(body, Limits::SMALL.length_bytes, Protection::Optional).await?;
    let RestoreRequest { days, tier } = parse_restore(&document)?;
    let opened = version::open(context, object, version_id).await?;
    let is_deep = opened.info().storage_class == StorageClass::DeepArchive;
    drop(opened);
    if is_deep && tier == RetrievalTier::Expedited {
        let message = "Retrieval option is not supported by this storage class";
        return Err(S3Error::invalid_argument("Tier", "Expedited", message));
    }
    let urgency = match tier {
        RetrievalTier::Expedited => Urgency::Expedited,
        RetrievalTier::Standard => Urgency::Standard,
        RetrievalTier::Bulk => Urgency::Bulk,
    };
    let done = context.writer().restore_object(&object.bucket, &object.key, named, (days, urgency)).await;
    let done = done.map_err(|error| version::not_found(error, context, object, version_id))?;
    let status = if done.was_restored { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = respond::empty(status);
    version::show(response.headers_mut(), version::VERSION, done.version);
    Ok(response)
}

/// Adds `x-amz-restore` to the answer about an object that is restored or will be.
pub(super) fn describe(headers: &mut HeaderMap, restored: Option<RestoreState>) {
    let value = match restored {
        None => return,
        Some(RestoreState::Ongoing) => "ongoing-request=\"true\"".to_owned(),
        Some(RestoreState::Done(Restored { expires, .. })) => {
            format!("ongoing-request=\"false\", expiry-date=\"{}\"", http_date(expires))
        }
    };
    respond::set(headers, HeaderName::from_static("x-amz-restore"), value);
}
