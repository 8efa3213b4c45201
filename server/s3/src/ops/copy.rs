//! CopyObject.

use granary_engine::{
    ByteRange, Encryption, EngineError, ObjectHandle, ObjectInfo, PutOptions, Tag, Tags, Written,
    check_readable,
};
use granary_types::{Attributes, ChecksumAlgorithm, VersionId};

use super::attributes::checksum_elements;
use super::put::{DEFAULT_CHECKSUM, check_early, write_error};
use super::{ObjectAddress, version};
use crate::access::{self, Target};
use crate::attributes;
use crate::checksum::{names, request};
use crate::conditions;
use crate::context::Context;
use crate::copy_body::{CopyBody, SharedBody};
use crate::copy_source::CopySourceHeader;
use crate::encryption;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::lifecycle;
use crate::locks;
use crate::respond::{self, S3Response};
use crate::tags;
use crate::unsupported;
use crate::xml::XmlWriter;

/// The largest object that one CopyObject copies.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
const COPY_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

const REDIRECT: &str = "x-amz-website-redirect-location";

/// Where the copy's headers and metadata come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MetadataDirective {
    Copy,
    Replace,
}

impl MetadataDirective {
    fn of(context: &Context<'_>) -> S3Result<Self> {
        match context.header("x-amz-metadata-directive") {
            None | Some("COPY") => Ok(Self::Copy),
            Some("REPLACE") => Ok(Self::Replace),
            Some(other) => Err(S3Error::invalid_argument(
                "x-amz-metadata-directive",
                other,
                "Unknown metadata directive.",
            )),
        }
    }
}

/// How often a source is looked at that changes while it is copied.
const TRIES: u32 = 4;

/// `PUT /bucket/key` with `x-amz-copy-source`.
pub(super) async fn copy_object(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    until_it_stays(|| copy_once(context, object)).await
}

/// Copies a source again, as it is then, when the bytes that were to be shared went meanwhile.
pub(super) async fn until_it_stays<F>(mut copy: impl FnMut() -> F) -> S3Result<S3Response>
where
    F: Future<Output = S3Result<Option<S3Response>>>,
{
    for _ in 0..TRIES {
        if let Some(response) = copy().await? {
            return Ok(response);
        }
    }
    Err(S3Error::new(ErrorCode::ServiceUnavailable).because("the source of a copy keeps changing"))
}

/// Copies the source as it is now; `None` if the bytes that were to be shared went meanwhile.
async fn copy_once(context: &Context<'_>, object: &ObjectAddress) -> S3Result<Option<S3Response>> {
    let headers = context.headers();
    unsupported::check_write(headers)?;
    let directive = MetadataDirective::of(context)?;
    let tags = replaced_tags(context)?;
    let wanted_algorithm = request::algorithm_header(headers)?;
    let storage_class = attributes::storage_class(headers)?;
    let conditions = conditions::of_write(headers)?;
    let lock = locks::of_write(headers, locks::Digest::Optional)?;
    let encryption = encryption::of_write(context, &object.bucket).await?;
    let (source, version_id, opened) = open_source(context).await?;
    let info = opened.info();
    if info.length_bytes > COPY_BYTES_MAX {
        return Err(S3Error::invalid_request(format!(
            "The specified copy source is larger than the maximum allowable size for a copy source: {COPY_BYTES_MAX}"
        )));
    }
    if version_id.is_none() {
        check_changes(context, object, &source, directive)?;
    }
    let source_version = info.version;
    let attributes = attributes_of_copy(context, info, directive)?;
    let tags = match tags {
        None if info.tag_count > 0 => {
            let target = Target::object(&source.bucket, &source.key, version_id.as_deref());
            access::authorise_tags(context, target, object).await?;
            let engine = &context.shared.engine;
            let version = info.version.unwrap_or(VersionId::NULL);
            engine.object_tags(&source.bucket, &source.key, Some(version)).await?.1
        }
        tags => tags.unwrap_or_default(),
    };
    let of_source = info.checksum.as_ref().map(|checksum| checksum.algorithm);
    let algorithm = wanted_algorithm.or(of_source).unwrap_or(DEFAULT_CHECKSUM);
    check_early(context, object, &conditions).await?;
    let acl = access::of_new_object(context)?;
    let kept = tags.clone();
    let options = PutOptions { attributes, storage_class, conditions, tags, lock, encryption, acl };
    let written = match write(context, object, options, (opened, algorithm)).await {
        Err(EngineError::BlobsGone) => return Ok(None),
        written => written.map_err(|error| write_error(error, context, object))?,
    };
    let mut response = answer(context, &written, source_version);
    let (place, size) = ((&object.bucket, &object.key), (written.length_bytes, written.modified));
    lifecycle::describe(context, response.headers_mut(), place, size, Tags::Known(&kept)).await;
    Ok(Some(response))
}

/// Stores the copy: as a reference to the bytes of its source where that can be, so that nothing is written, and nothing read whose
/// digests are known.
async fn write(
    context: &Context<'_>,
    object: &ObjectAddress,
    options: PutOptions,
    (opened, algorithm): (ObjectHandle, ChecksumAlgorithm),
) -> Result<Written, EngineError> {
    let (engine, pool) = (context.writer(), &context.shared.md5_pool);
    let (bucket, key) = (&object.bucket, &object.key);
    let length_bytes = opened.info().length_bytes;
    let whole = ByteRange { start: 0, end: length_bytes };
    let shared = match options.encryption {
        Encryption::None => engine.shared_blobs(&opened, whole, options.storage_class).await?,
        _ => None,
    };
    if let Some(shared) = shared {
        let mut body = SharedBody::new(opened.info(), &shared, algorithm, pool);
        return engine.put_shared(bucket, key, options, &shared, &mut body).await;
    }
    let body = CopyBody::new(opened.read(whole), length_bytes, algorithm, pool);
    let mut body = body.map_err(|error| EngineError::Source(error.into()))?;
    engine.put_object(bucket, key, options, &mut body).await
}

/// What tells of the copy.
fn answer(context: &Context<'_>, written: &Written, source_version: Option<VersionId>) -> S3Response {
    let mut xml = XmlWriter::document("CopyObjectResult");
    xml.time("LastModified", written.modified);
    xml.etag(written.etag.as_str());
    if let Some(checksum) = &written.checksum {
        xml.literal("ChecksumType", names::kind_value(checksum.kind));
        checksum_elements(&mut xml, checksum);
    }
    let mut response = respond::xml(xml.finish("CopyObjectResult"));
    version::show(response.headers_mut(), version::VERSION, written.version);
    version::show(response.headers_mut(), version::SOURCE_VERSION, source_version);
    encryption::describe_written(response.headers_mut(), written.encryption.as_ref(), context.headers());
    response
}

/// The source of a copy, the version named for it, and it opened, after its conditions held.
pub(super) async fn open_source(
    context: &Context<'_>,
) -> S3Result<(ObjectAddress, Option<String>, ObjectHandle)> {
    let text = context.header("x-amz-copy-source").unwrap_or_default();
    let source = CopySourceHeader::parse(text)?;
    let version_id = source.version_id;
    let source = ObjectAddress { bucket: source.bucket, key: source.key };
    let key = encryption::customer_key(context, &encryption::OF_SOURCE)?;
    access::authorise_source(context, (&source.bucket, &source.key), version_id.as_deref()).await?;
    let opened = match version::open(context, &source, version_id.as_deref()).await {
        Ok(opened) => Ok(opened),
        Err(error) => Err(access::conceal(context, &source, error).await),
    };
    let mut opened = opened.map_err(|error| match error.code() {
        ErrorCode::MethodNotAllowed => S3Error::invalid_request(
            "The source of a copy request may not specifically refer to a delete marker by version id.",
        ),
        _ => error,
    })?;
    opened.unlock(key.as_ref())?;
    let info = opened.info();
    conditions::check_copy_source(context.headers(), &info.etag, info.modified)?;
    check_readable(info.storage_class, info.restored)?;
    Ok((source, version_id, opened))
}

/// The tags of the request, if the copy gets them; `None` if it gets those of its source.
fn replaced_tags(context: &Context<'_>) -> S3Result<Option<Vec<Tag>>> {
    match context.header("x-amz-tagging-directive") {
        None | Some("COPY") => Ok(None),
        Some("REPLACE") => tags::of_header(context.headers()).map(Some),
        Some(other) => {
            Err(S3Error::invalid_argument("x-amz-tagging-directive", other, "Unknown tagging directive."))
        }
    }
}

/// A copy onto itself must change something.
fn check_changes(
    context: &Context<'_>,
    object: &ObjectAddress,
    source: &ObjectAddress,
    directive: MetadataDirective,
) -> S3Result<()> {
    let onto_itself = source.bucket == object.bucket && source.key == object.key;
    let headers = context.headers();
    let changes = directive == MetadataDirective::Replace
        || encryption::changes(headers)
        || ["x-amz-storage-class", REDIRECT, "x-amz-checksum-algorithm"]
            .iter()
            .any(|name| headers.contains_key(*name));
    if onto_itself && !changes {
        return Err(S3Error::invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without changing the \
             object's metadata, storage class, website redirect location or encryption attributes.",
        ));
    }
    Ok(())
}

/// What the copy's record says: the source's, or the request's. A redirect is never copied.
fn attributes_of_copy(
    context: &Context<'_>,
    info: &ObjectInfo,
    directive: MetadataDirective,
) -> S3Result<Attributes> {
    let of_request = attributes::of_request(context.headers())?;
    if directive == MetadataDirective::Replace {
        return Ok(of_request);
    }
    let mut copied = info.attributes.clone();
    copied.headers.retain(|(name, _)| name != REDIRECT);
    copied.headers.extend(of_request.headers.into_iter().filter(|(name, _)| name == REDIRECT));
    Ok(copied)
}
