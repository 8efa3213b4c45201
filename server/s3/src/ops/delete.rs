//! DeleteObject and DeleteObjects.

use axum::body::Body;
use granary_engine::{Bypass, DeleteEntry, Deleted, WriteConditions};
use granary_types::{BucketName, ObjectKey};
use http::{HeaderValue, StatusCode};

use super::ObjectAddress;
use super::delete_absent::{self, Settled};
use super::put::write_error;
use super::version;
use crate::access::{self, Target};
use crate::address::object_key;
use crate::body::Protection;
use crate::conditions::{self, tag_match};
use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::logs;
use crate::respond::{self, S3Response};
use crate::xml::XmlWriter;
use crate::xml::read::Limits;
use crate::xml::requests::{DeleteReport, DeleteTarget, parse_delete};

/// `DELETE /bucket/key`. Deleting what is not there succeeds, unless `If-Match` asks for it.
pub(super) async fn delete_object(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    let conditions = conditions::of_delete(context.headers())?;
    let version = version::named(context.query.get("versionId"))?;
    let target = Target::object(&object.bucket, &object.key, context.query.get("versionId"));
    access::authorise_tags_compared(context, target, &conditions).await?;
    let bypass = access::bypass(context, target).await?;
    let entry = DeleteEntry { key: object.key.clone(), version, bypass, conditions };
    let deleted = match delete_absent::settle(context, &object.bucket, entry).await {
        Ok(Settled::Nothing) => Ok(Deleted::Gone),
        Ok(Settled::Delete(entry)) => context.writer().delete_object(&object.bucket, entry).await,
        Err(error) => Err(error),
    };
    let deleted = deleted.map_err(|error| write_error(error, context, object))?;
    let mut response = respond::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    if let Deleted::Marked(_) | Deleted::MarkerGone = deleted {
        headers.insert(version::DELETE_MARKER, HeaderValue::from_static("true"));
    }
    match deleted {
        Deleted::Marked(marker) => version::show(headers, version::VERSION, Some(marker)),
        Deleted::Gone | Deleted::MarkerGone => version::show(headers, version::VERSION, version),
    }
    Ok(response)
}

/// What became of one key.
type Outcome = Result<Deleted, S3Error>;

/// `POST /bucket?delete`.
pub(super) async fn delete_objects(
    context: &Context<'_>,
    bucket: &BucketName,
    body: Body,
) -> S3Result<S3Response> {
    let document = context.document(body, Limits::DELETE.length_bytes, Protection::Required).await?;
    let request = parse_delete(&document)?;
    let outcomes = delete_targets(context, bucket, &request.targets).await?;
    let deleted = request.targets.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok());
    logs::saw_deleted(context, deleted.map(|(target, _)| target));
    let mut xml = XmlWriter::document_with_capacity("DeleteResult", 256 + request.targets.len() * 96);
    for (target, outcome) in request.targets.iter().zip(&outcomes) {
        match outcome {
            Ok(_) if request.report == DeleteReport::Quiet => {}
            Ok(deleted) => {
                xml.open("Deleted");
                target_elements(&mut xml, target);
                marker_elements(&mut xml, target, *deleted);
                xml.close("Deleted");
            }
            Err(error) => {
                xml.open("Error");
                target_elements(&mut xml, target);
                xml.text("Code", error.code().as_str());
                xml.text("Message", error.message());
                xml.close("Error");
            }
        }
    }
    Ok(respond::xml(xml.finish("DeleteResult")))
}

fn target_elements(xml: &mut XmlWriter, target: &DeleteTarget) {
    xml.echo("Key", &target.key);
    xml.optional("VersionId", target.version_id.as_deref());
}

fn marker_elements(xml: &mut XmlWriter, target: &DeleteTarget, deleted: Deleted) {
    match deleted {
        Deleted::Gone => {}
        Deleted::Marked(marker) => {
            xml.literal("DeleteMarker", "true");
            xml.text("DeleteMarkerVersionId", &version::shown(marker));
        }
        Deleted::MarkerGone => {
            xml.literal("DeleteMarker", "true");
            xml.optional("DeleteMarkerVersionId", target.version_id.as_deref());
        }
    }
}

/// Deletes what can be deleted, in one call of the engine, and gives each target's outcome in order.
async fn delete_targets(
    context: &Context<'_>,
    bucket: &BucketName,
    targets: &[DeleteTarget],
) -> S3Result<Vec<Outcome>> {
    let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(targets.len());
    let mut entries = Vec::with_capacity(targets.len());
    for target in targets {
        match authorised_entry(context, bucket, target).await {
            Ok(Settled::Delete(entry)) => {
                entries.push(entry);
                outcomes.push(None);
            }
            Ok(Settled::Nothing) => outcomes.push(Some(Ok(Deleted::Gone))),
            Err(error) => outcomes.push(Some(Err(error))),
        }
    }
    let mut deleted = context.writer().delete_objects(bucket, entries).await?.into_iter();
    let settle = |outcome: Option<Outcome>| {
        outcome.unwrap_or_else(|| match deleted.next() {
            Some(result) => result.map_err(S3Error::from),
            None => Err(ErrorCode::InternalError.into()),
        })
    };
    Ok(outcomes.into_iter().map(settle).collect())
}

/// What is to do about a target that may be deleted.
async fn authorised_entry(
    context: &Context<'_>,
    bucket: &BucketName,
    target: &DeleteTarget,
) -> S3Result<Settled> {
    let entry = entry_of(target, Bypass::Nothing)?;
    let version = target.version_id.as_deref().filter(|id| !id.is_empty());
    let object = Target::object(bucket, &entry.key, version);
    let action = if version.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
    let add = |values: &mut _| access::of_entry(values, target.etag.as_deref());
    context.requester.require_with(action, object, &add).await?;
    access::authorise_tags_compared(context, object, &entry.conditions).await?;
    let bypass = access::bypass(context, object).await?;
    Ok(delete_absent::settle(context, bucket, DeleteEntry { bypass, ..entry }).await?)
}

/// The engine's form of a target.
fn entry_of(target: &DeleteTarget, bypass: Bypass) -> S3Result<DeleteEntry> {
    let key: ObjectKey = object_key(&target.key)?;
    let version = version::named(target.version_id.as_deref().filter(|id| !id.is_empty()))?;
    let conditions = WriteConditions {
        if_match: target.etag.as_deref().map(tag_match),
        if_modified_at: target.modified_at,
        if_length_bytes: target.length_bytes,
        ..WriteConditions::default()
    };
    Ok(DeleteEntry { key, version, bypass, conditions })
}
