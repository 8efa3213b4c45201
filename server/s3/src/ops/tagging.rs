//! GetObjectTagging, PutObjectTagging and DeleteObjectTagging.

use axum::body::Body;
use http::StatusCode;

use super::{ObjectAddress, put, version};
use crate::body::Protection;
use crate::context::Context;
use crate::error::S3Result;
use crate::respond::{self, S3Response};
use crate::tags;
use crate::xml::XmlWriter;
use crate::xml::read::Limits;

/// `GET /bucket/key?tagging`.
pub(super) async fn get(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    version::require_current(context.query.get("versionId"))?;
    let found = context.shared.engine.object_tags(&object.bucket, &object.key, None).await;
    let (_, tags) = found.map_err(|error| put::with_key(error.into(), object))?;
    let mut xml = XmlWriter::document("Tagging");
    tags::write(&mut xml, &tags);
    Ok(respond::xml(xml.finish("Tagging")))
}

/// `PUT /bucket/key?tagging`.
pub(super) async fn put(context: &Context<'_>, object: &ObjectAddress, body: Body) -> S3Result<S3Response> {
    version::require_current(context.query.get("versionId"))?;
    let document = context.document(body, Limits::SMALL.length_bytes, Protection::Required).await?;
    let tags = tags::of_document(&document, tags::OBJECT_TAGS_MAX)?;
    let done = context.shared.engine.set_object_tags(&object.bucket, &object.key, None, tags).await;
    done.map_err(|error| put::with_key(error.into(), object))?;
    Ok(respond::empty(StatusCode::OK))
}

/// `DELETE /bucket/key?tagging`.
pub(super) async fn delete(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    version::require_current(context.query.get("versionId"))?;
    let done = context.shared.engine.set_object_tags(&object.bucket, &object.key, None, Vec::new()).await;
    done.map_err(|error| put::with_key(error.into(), object))?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}
