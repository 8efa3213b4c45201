//! UploadPartCopy.

use granary_engine::{ByteRange, EngineError, ObjectHandle, UploadInfo, UploadedPart};
use granary_types::{PartNumber, UploadId};

use super::part::kept_algorithm;
use super::{PART_BYTES_MAX, upload_id};
use crate::context::Context;
use crate::copy_body::{CopyBody, digests_of};
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
    let part = match share(context, object, (upload, number), &upload_info, (&opened, range)).await? {
        Some(part) => part,
        None => {
            let (reader, length_bytes) = (opened.read(range), range.length_bytes());
            let algorithm = kept_algorithm(&upload_info);
            let mut body = CopyBody::new(reader, length_bytes, algorithm, &context.shared.md5_pool)?;
            let (bucket, name) = (&object.bucket, &object.key);
            let part = engine.put_part(bucket, name, (upload, number), key.as_ref(), &mut body).await;
            part.map_err(encryption::part_error)?
        }
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
    Ok(response)
}

/// The part as a reference to the bytes of the source, if that can be: then nothing is written, and nothing read whose digests are
/// known.
async fn share(
    context: &Context<'_>,
    object: &ObjectAddress,
    (upload, number): (UploadId, PartNumber),
    info: &UploadInfo,
    (opened, range): (&ObjectHandle, ByteRange),
) -> S3Result<Option<UploadedPart>> {
    let engine = &context.shared.engine;
    if info.encryption.is_some() {
        return Ok(None);
    }
    let shared = engine.shared_blobs(opened, range, info.storage_class).filter(|shared| shared.is_one());
    let Some(shared) = shared else { return Ok(None) };
    let digests = digests_of(opened.info(), &shared, kept_algorithm(info), &context.shared.md5_pool).await?;
    let (bucket, name) = (&object.bucket, &object.key);
    match engine.refer_part(bucket, name, (upload, number), &shared, digests).await {
        // It was deleted meanwhile. Who has it open can still read it.
        Err(EngineError::BlobsGone) => Ok(None),
        part => Ok(Some(part.map_err(encryption::part_error)?)),
    }
}
