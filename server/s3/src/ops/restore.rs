//! RestoreObject: archived objects become readable for some days.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html>

use axum::body::Body;
use granary_engine::{RestoreState, Restored, Urgency};
use granary_types::{BucketName, ObjectKey, StorageClass, VersionId};
use http::{HeaderMap, HeaderName, StatusCode};

use super::{ObjectAddress, version};
use crate::body::Protection;
use crate::context::Context;
use crate::dates::http_date;
use crate::error::{S3Error, S3Result};
use crate::respond::{self, S3Response};
use crate::xml::read::Limits;
use crate::xml::{RestoreRequest, RetrievalTier, XmlWriter, parse_restore};

/// The header by which a listing is asked for more.
const OPTIONAL_ATTRIBUTES: &str = "x-amz-optional-object-attributes";

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

/// A version that a listing shows, with its class.
pub(super) type Listed<'a> = (StorageClass, &'a ObjectKey, Option<VersionId>);

/// How far the restores of a listing's entries are, in their order, if the request asks for it; nothing otherwise. An entry that is
/// no version is none.
///
/// # Errors
/// `InvalidArgument` for another attribute than that.
pub(super) async fn of_listing<'a>(
    context: &Context<'_>,
    bucket: &BucketName,
    entries: impl Iterator<Item = Option<Listed<'a>>>,
) -> S3Result<Vec<Option<RestoreState>>> {
    if !is_asked_for(context.headers())? {
        return Ok(Vec::new());
    }
    let archived: Vec<_> = entries.map(|entry| entry.filter(|(class, ..)| class.is_archive())).collect();
    let versions = archived.iter().flatten().map(|(_, key, version)| ((*key).clone(), *version)).collect();
    let mut states = context.shared.engine.restore_states(bucket, versions).await?.into_iter();
    Ok(archived.iter().map(|entry| entry.and_then(|_| states.next().flatten())).collect())
}

fn is_asked_for(headers: &HeaderMap) -> S3Result<bool> {
    let values = headers.get_all(OPTIONAL_ATTRIBUTES).iter();
    let names = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut is_asked = false;
    for name in names.map(str::trim).filter(|name| !name.is_empty()) {
        if name != "RestoreStatus" {
            let message = "Invalid attribute name specified.";
            return Err(S3Error::invalid_argument(OPTIONAL_ATTRIBUTES, name, message));
        }
        is_asked = true;
    }
    Ok(is_asked)
}

/// Adds the `RestoreStatus` of an entry of a listing.
pub(super) fn status(xml: &mut XmlWriter, restored: Option<RestoreState>) {
    let Some(state) = restored else { return };
    xml.open("RestoreStatus");
    match state {
        RestoreState::Ongoing => xml.literal("IsRestoreInProgress", "true"),
        RestoreState::Done(Restored { expires, .. }) => {
            xml.literal("IsRestoreInProgress", "false");
            xml.time("RestoreExpiryDate", expires);
        }
    }
    xml.close("RestoreStatus");
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
