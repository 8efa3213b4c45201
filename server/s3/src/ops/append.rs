//! PutObject with `x-amz-write-offset-bytes`: appending, which AWS has in directory buckets; here every bucket has it.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/directory-buckets-objects-append.html>

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use granary_engine::{
    Digests, Encryption, EngineError, ObjectHandle, ObjectInfo, PutOptions, PutSource, SourceError, TagMatch,
};
use granary_types::{Checksum, ChecksumAlgorithm, ChecksumKind, Etag};
use http::{HeaderName, StatusCode, header};
use md5::{Digest as _, Md5};

use super::put::{self, DEFAULT_CHECKSUM};
use super::{ObjectAddress, object_headers, version};
use crate::access::{self, Target};
use crate::attributes;
use crate::body::BodySource;
use crate::checksum::combine::combine;
use crate::conditions;
use crate::context::Context;
use crate::encryption;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::locks;
use crate::respond::{self, S3Response};
use crate::tags;
use crate::unsupported;

/// The header that asks for it.
pub(super) const OFFSET: &str = "x-amz-write-offset-bytes";
/// The headers that a condition may be in.
const CONDITIONS: [&str; 2] = ["if-match", "if-none-match"];

/// `PUT /bucket/key` with a write offset.
pub(super) async fn append(
    context: &Context<'_>,
    object: &ObjectAddress,
    body: Body,
) -> S3Result<S3Response> {
    let offset = conditions::length_bytes(OFFSET, context.header(OFFSET).unwrap_or_default())?;
    let mut headers = context.headers().clone();
    headers.remove(OFFSET);
    unsupported::check_write(&headers)?;
    let conditions = conditions::of_write(&headers)?;
    locks::check_digest(context, &object.bucket).await?;
    let target = Target::object(&object.bucket, &object.key, None);
    access::authorise_tags_compared(context, target, &conditions).await?;
    let engine = &context.shared.engine;
    let opened = match engine.open_object(&object.bucket, &object.key, None).await {
        Ok(opened) => Some(opened),
        Err(EngineError::NoSuchKey | EngineError::DeleteMarker { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let size = opened.as_ref().map_or(0, |opened| opened.info().length_bytes);
    if offset != size {
        return Err(wrong_offset(offset, size));
    }
    conditions::check_write(&conditions, opened.as_ref().map(|opened| &opened.info().etag))?;
    let keep = match &opened {
        Some(opened) => Some(kept_algorithm(opened.info())),
        None => put::default_checksum(context),
    };
    let encryption = match &opened {
        Some(_) => Encryption::None,
        None => encryption::of_write(context, &object.bucket).await?,
    };
    let most = put::PUT_BYTES_MAX.saturating_sub(size);
    let mut source = context.object_body(body, (encryption::etag_need(&encryption), keep), most)?;
    let result = match opened {
        None => {
            let mut options = PutOptions {
                attributes: attributes::of_request(&headers)?,
                storage_class: attributes::storage_class(&headers)?,
                tags: tags::of_header(&headers)?,
                lock: locks::of_write(&headers, locks::Digest::Needed)?,
                encryption,
                acl: access::of_new_object(context)?,
                conditions,
            };
            // An object that is made meanwhile is not replaced.
            options.conditions.if_none_match = Some(TagMatch::Any);
            context.writer().put_object(&object.bucket, &object.key, options, &mut source).await
        }
        Some(opened) => append_to(context, object, opened, conditions, &mut source).await,
    };
    context.received.add(source.received_bytes(), source.waited());
    let is_conditional = CONDITIONS.iter().any(|name| headers.contains_key(*name));
    let written = result.map_err(|error| match error {
        EngineError::PreconditionFailed | EngineError::NoSuchKey if !is_conditional => {
            S3Error::new(ErrorCode::InvalidWriteOffset)
        }
        other => put::write_error(other, context, object),
    })?;
    let mut response = respond::empty(StatusCode::OK);
    let headers = response.headers_mut();
    respond::set(headers, header::ETAG, written.etag.to_string());
    respond::set(headers, HeaderName::from_static("x-amz-object-size"), written.length_bytes.to_string());
    version::show(headers, version::VERSION, written.version);
    encryption::describe_written(headers, written.encryption.as_ref(), context.headers());
    if let Some(checksum) = &written.checksum {
        object_headers::checksum(headers, checksum);
    }
    Ok(response)
}

async fn append_to(
    context: &Context<'_>,
    object: &ObjectAddress,
    opened: ObjectHandle,
    conditions: granary_engine::WriteConditions,
    source: &mut BodySource,
) -> Result<granary_engine::Written, EngineError> {
    let mut source = Whole { before: opened.info().clone(), source };
    let engine = context.writer();
    engine.append_object(&object.bucket, &object.key, opened, conditions, &mut source).await
}

fn wrong_offset(offset: u64, size: u64) -> S3Error {
    S3Error::new(ErrorCode::InvalidWriteOffset)
        .field("ExpectedOffset", size.to_string())
        .field("ProvidedOffset", offset.to_string())
}

/// The algorithm whose checksum of the whole can be made of those of its pieces: the object's own, if it can.
fn kept_algorithm(info: &ObjectInfo) -> ChecksumAlgorithm {
    match &info.checksum {
        Some(Checksum { algorithm, kind: ChecksumKind::FullObject, .. }) => *algorithm,
        _ => DEFAULT_CHECKSUM,
    }
}

/// A body whose digests are those of the object with it.
struct Whole<'s> {
    before: ObjectInfo,
    source: &'s mut BodySource,
}

impl Whole<'_> {
    /// The tag is no MD5 of the bytes, and looks as little like one as a completed upload's.
    fn etag(&self, appended: &Etag) -> Etag {
        let (tag, count) = match self.before.etag.as_str().split_once('-') {
            Some((tag, count)) => (tag, count.parse().unwrap_or(1_u64)),
            None => (self.before.etag.as_str(), 1),
        };
        let mut md5 = Md5::new();
        md5.update(tag);
        md5.update(appended.as_str());
        Etag::new(format!("{}-{}", hex::encode(md5.finalize()), count.saturating_add(1)))
    }

    /// `None` where the object has no checksum that can be continued.
    fn checksum(&self, appended: Option<&Checksum>) -> Option<Checksum> {
        let (before, appended) = (self.before.checksum.as_ref()?, appended?);
        if before.algorithm != appended.algorithm || before.kind != ChecksumKind::FullObject {
            return None;
        }
        let pieces = [
            (before.value.as_str(), self.before.length_bytes),
            (appended.value.as_str(), self.source.received_bytes()),
        ];
        combine(before.algorithm, ChecksumKind::FullObject, pieces.into_iter())
    }
}

#[async_trait]
impl PutSource for Whole<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        self.source.next().await
    }

    async fn finish(&mut self) -> Result<Digests, SourceError> {
        let appended = self.source.finish().await?;
        let checksum = self.checksum(appended.checksum.as_ref());
        Ok(Digests { etag: self.etag(&appended.etag), checksum })
    }

    fn length_hint_bytes(&self) -> Option<u64> {
        self.source.length_hint_bytes()
    }
}
