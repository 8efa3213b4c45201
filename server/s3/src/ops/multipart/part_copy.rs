//! UploadPartCopy.

use granary_engine::{ByteRange, EngineError, ObjectHandle, SharedBlobs, UploadInfo};

use super::part::kept_algorithm;
use super::{PART_BYTES_MAX, upload_id};
use crate::context::Context;
use crate::copy_body::{CopyBody, SharedBody};
use crate::encryption;
use crate::error::{S3Error, S3Result};
use crate::ops::attributes::checksum_elements;
use crate::ops::{ObjectAddress, copy, version};
use crate::range::copy_source_range;
use crate::respond::{self, S3Response};
use crate::unsupported;
use crate::xml::XmlWriter;

/// `PUT /bucket/key?partNumber=&uploadId=` with `x-amz-copy-source`.
pub(in crate::ops) async fn copy(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    copy::until_it_stays(|| copy_once(context, object)).await
}

/// Copies the source as it is now; `None` if the bytes that were to be shared went meanwhile.
async fn copy_once(context: &Context<'_>, object: &ObjectAddress) -> S3Result<Option<S3Response>> {
    let upload = upload_id(context)?;
    let number = context.part_number()?;
    unsupported::check_write(context.headers())?;
    let engine = &context.shared.engine;
    let upload_info = engine.upload(&object.bucket, &object.key, upload).await?;
    let key = encryption::upload_key(context, upload_info.encryption.as_ref())?;
    let (_, _, opened) = copy::open_source(context).await?;
    let source_version = opened.info().version;
    let source_bytes = opened.info().length_bytes;
    let range = match context.header("x-amz-copy-source-range") {
        Some(text) => copy_source_range(text, source_bytes)?,
        None => ByteRange { start: 0, end: source_bytes },
    };
    if range.length_bytes() > PART_BYTES_MAX {
        return Err(S3Error::invalid_request(format!(
            "The specified copy source is larger than the maximum allowable size for a copy source: {PART_BYTES_MAX}"
        )));
    }
    let (bucket, name, pool) = (&object.bucket, &object.key, &context.shared.md5_pool);
    let algorithm = kept_algorithm(&upload_info);
    let part = match shared_blob(context, &upload_info, &opened, range).await? {
        // Nothing is written, and nothing read whose digests are known.
        Some(shared) => {
            let mut body = SharedBody::new(opened.info(), &shared, algorithm, pool);
            engine.refer_part(bucket, name, (upload, number), &shared, &mut body).await
        }
        None => {
            let mut body = CopyBody::new(opened.read(range), range.length_bytes(), algorithm, pool)?;
            engine.put_part(bucket, name, (upload, number), key.as_ref(), &mut body).await
        }
    };
    let part = match part {
        Err(EngineError::BlobsGone) => return Ok(None),
        part => part.map_err(encryption::part_error)?,
    };
    let mut xml = XmlWriter::document("CopyPartResult");
    xml.time("LastModified", part.modified);
    xml.etag(part.etag.as_str());
    if let Some(checksum) = &part.checksum {
        checksum_elements(&mut xml, checksum);
    }
    let mut response = respond::xml(xml.finish("CopyPartResult"));
    version::show(response.headers_mut(), version::SOURCE_VERSION, source_version);
    encryption::describe(response.headers_mut(), upload_info.encryption.as_ref(), context.headers());
    Ok(Some(response))
}

/// The blob that holds the range, if the part may refer to it.
async fn shared_blob(
    context: &Context<'_>,
    info: &UploadInfo,
    opened: &ObjectHandle,
    range: ByteRange,
) -> S3Result<Option<SharedBlobs>> {
    if info.encryption.is_some() {
        return Ok(None);
    }
    let shared = context.shared.engine.shared_blobs(opened, range, info.storage_class).await?;
    Ok(shared.filter(SharedBlobs::is_one))
}
