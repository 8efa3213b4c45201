//! GetBucketVersioning and PutBucketVersioning.

use axum::body::Body;
use granary_engine::{BucketChange, Versioning};
use granary_types::BucketName;
use http::StatusCode;

use crate::body::Protection;
use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::respond::{self, S3Response};
use crate::xml::XmlWriter;
use crate::xml::read::{Limits, malformed, parse};

/// `GET /bucket?versioning`.
pub(super) async fn get(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    let settings = context.shared.engine.bucket_settings(bucket).await?;
    let mut xml = XmlWriter::document("VersioningConfiguration");
    match settings.versioning {
        Versioning::Never => {}
        Versioning::Enabled => xml.literal("Status", "Enabled"),
        Versioning::Suspended => xml.literal("Status", "Suspended"),
    }
    Ok(respond::xml(xml.finish("VersioningConfiguration")))
}

/// `PUT /bucket?versioning`.
pub(super) async fn put(context: &Context<'_>, bucket: &BucketName, body: Body) -> S3Result<S3Response> {
    let document = context.document(body, Limits::SMALL.length_bytes, Protection::Optional).await?;
    let change = parse_versioning(&document)?;
    context.shared.engine.change_bucket(bucket, change).await?;
    Ok(respond::empty(StatusCode::OK))
}

/// Reads a `VersioningConfiguration` document.
///
/// # Errors
/// `MalformedXML` when it does not follow the schema, `IllegalVersioningConfigurationException` when it names no
/// status, `NotImplemented` for MFA delete.
fn parse_versioning(document: &[u8]) -> S3Result<BucketChange> {
    let root = parse(document, &Limits::SMALL)?;
    if root.name != "VersioningConfiguration" {
        return Err(malformed());
    }
    let mut change = None;
    for child in root.children {
        match (child.name.as_str(), child.text.trim()) {
            ("Status", "Enabled") => change = Some(BucketChange::EnableVersioning),
            ("Status", "Suspended") => change = Some(BucketChange::SuspendVersioning),
            ("MfaDelete" | "MFADelete", "Disabled") => {}
            ("MfaDelete" | "MFADelete", "Enabled") => return Err(S3Error::not_implemented("MFA delete")),
            _ => return Err(malformed()),
        }
    }
    change.ok_or_else(|| S3Error::new(ErrorCode::IllegalVersioningConfigurationException))
}

/// Takes any bytes for a document.
#[cfg(any(test, fuzzing))]
pub(crate) fn check(document: &[u8]) {
    let _ = parse_versioning(document);
}

#[cfg(test)]
#[path = "versioning_tests.rs"]
mod tests;
