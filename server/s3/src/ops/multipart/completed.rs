//! CompleteMultipartUpload sent again.
//!
//! A client whose connection broke before the answer came sends the request again, and its upload may be complete by
//! then. As AWS does for a while, it is told so: as long as the object is still the one that the upload became. After
//! that the upload is unknown.

use granary_engine::{EncryptionInfo, EngineError, ObjectInfo};
use granary_types::{Checksum, Etag, UnixMillis, UploadId, VersionId};

use super::complete::multipart_etag;
use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::ObjectAddress;
use crate::xml::requests::CompletedPart;

/// What an upload became, as the answer to its completion shows it.
pub(super) struct Completed {
    pub(super) etag: Etag,
    pub(super) checksum: Option<Checksum>,
    pub(super) version: Option<VersionId>,
    pub(super) encryption: Option<EncryptionInfo>,
    pub(super) length_bytes: u64,
    pub(super) modified: UnixMillis,
}

/// The object that the upload became.
///
/// # Errors
/// `NoSuchUpload` when there is none, or it was replaced.
pub(super) async fn object_of(
    context: &Context<'_>,
    object: &ObjectAddress,
    upload: UploadId,
) -> S3Result<ObjectInfo> {
    let opened = match context.shared.engine.open_object(&object.bucket, &object.key, None).await {
        Ok(opened) => opened,
        Err(EngineError::NoSuchKey | EngineError::DeleteMarker { .. }) => {
            return Err(ErrorCode::NoSuchUpload.into());
        }
        Err(error) => return Err(error.into()),
    };
    let info = opened.info();
    if info.parts.is_some() && info.write.as_bytes() == upload.as_bytes() {
        return Ok(info.clone());
    }
    Err(ErrorCode::NoSuchUpload.into())
}

/// The outcome of a completion that happened before, if it was of the parts `named`.
///
/// # Errors
/// `NoSuchUpload` otherwise.
pub(super) async fn again(
    context: &Context<'_>,
    object: &ObjectAddress,
    upload: UploadId,
    named: &[CompletedPart],
) -> S3Result<Completed> {
    let info = object_of(context, object, upload).await?;
    match multipart_etag(named.iter().map(|part| part.etag.as_str())) {
        Ok(etag) if etag == info.etag => {
            let ObjectInfo { checksum, version, encryption, length_bytes, modified, .. } = info;
            Ok(Completed { etag, checksum, version, encryption, length_bytes, modified })
        }
        _ => Err(S3Error::new(ErrorCode::NoSuchUpload)),
    }
}
