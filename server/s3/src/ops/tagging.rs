//! GetObjectTagging, PutObjectTagging and DeleteObjectTagging.

use axum::body::Body;
use granary_types::VersionId;
use http::StatusCode;

use super::{ObjectAddress, version};
use crate::access::{self, Target};
use crate::body::Protection;
use crate::context::Context;
use crate::error::S3Result;
use crate::operation::Operation;
use crate::respond::{self, S3Response};
use crate::tags;
use crate::xml::XmlWriter;
use crate::xml::read::Limits;

/// `GET /bucket/key?tagging`.
pub(super) async fn get(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    let version_id = context.query.get("versionId");
    let version = version::named(version_id)?;
    let found = context.shared.engine.object_tags(&object.bucket, &object.key, version).await;
    let (version, tags) = found.map_err(|error| version::not_found(error, context, object, version_id))?;
    let mut xml = XmlWriter::document("Tagging");
    tags::write(&mut xml, &tags);
    Ok(of_version(respond::xml(xml.finish("Tagging")), version))
}

/// `PUT /bucket/key?tagging`.
pub(super) async fn put(context: &Context<'_>, object: &ObjectAddress, body: Body) -> S3Result<S3Response> {
    let version_id = context.query.get("versionId");
    let version = version::named(version_id)?;
    let document = context.document(body, Limits::SMALL.length_bytes, Protection::Required).await?;
    let tags = tags::of_document(&document, tags::OBJECT_TAGS_MAX)?;
    let add = |values: &mut _| access::of_tags(values, &tags);
    let target = Target::object(&object.bucket, &object.key, version_id);
    access::authorise_body(context, Operation::PutObjectTagging, target, &add).await?;
    let done = context.writer().set_object_tags(&object.bucket, &object.key, version, tags).await;
    let version = done.map_err(|error| version::not_found(error, context, object, version_id))?;
    Ok(of_version(respond::empty(StatusCode::OK), version))
}

/// `DELETE /bucket/key?tagging`.
pub(super) async fn delete(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    let version_id = context.query.get("versionId");
    let version = version::named(version_id)?;
    let done = context.writer().set_object_tags(&object.bucket, &object.key, version, Vec::new()).await;
    let version = done.map_err(|error| version::not_found(error, context, object, version_id))?;
    Ok(of_version(respond::empty(StatusCode::NO_CONTENT), version))
}

/// Shows which version the tags are of.
fn of_version(mut response: S3Response, version: Option<VersionId>) -> S3Response {
    version::show(response.headers_mut(), version::VERSION, version);
    response
}
