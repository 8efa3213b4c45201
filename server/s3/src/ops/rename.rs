//! RenameObject, which AWS has in directory buckets; here every bucket has it.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RenameObject.html>

use granary_engine::{EngineError, RenameConditions, TagMatch, WriteConditions};
use granary_types::ObjectKey;
use http::StatusCode;

use super::put::write_error;
use super::{ObjectAddress, version};
use crate::access::{self, Target};
use crate::address::object_key;
use crate::conditions::{self, ConditionNames, Verdict};
use crate::context::Context;
use crate::encoding::decode;
use crate::error::{S3Error, S3Result};
use crate::respond::{self, S3Response};

const SOURCE: &str = "x-amz-rename-source";

/// `PUT /bucket/key?renameObject`.
pub(super) async fn rename(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    let target = conditions::of_write(context.headers())?;
    let from = ObjectAddress { bucket: object.bucket.clone(), key: source_key(context, object)? };
    if from.key == object.key {
        return Err(S3Error::invalid_request("The source and the destination of a rename must differ."));
    }
    for action in ["s3:GetObject", "s3:DeleteObject"] {
        context.requester.require(action, Target::object(&from.bucket, &from.key, None)).await?;
    }
    let place = Target::object(&object.bucket, &object.key, None);
    access::authorise_tags_compared(context, place, &target).await?;
    let source = source_conditions(context, &from).await?;
    let renamed = RenameConditions { source, target };
    let engine = context.writer();
    let result = engine.rename_object(&object.bucket, &from.key, &object.key, renamed).await;
    let written = result.map_err(|error| match error {
        EngineError::NoSuchKey | EngineError::DeleteMarker { .. } => {
            version::not_found(error, context, &from, None)
        }
        other => write_error(other, context, object),
    })?;
    let mut response = respond::empty(StatusCode::OK);
    version::show(response.headers_mut(), version::VERSION, written.version);
    Ok(response)
}

/// The key to rename. It is sent alone, behind a slash, or behind its bucket as in a copy source.
fn source_key(context: &Context<'_>, object: &ObjectAddress) -> S3Result<ObjectKey> {
    let text = context.header(SOURCE).unwrap_or_default();
    let decoded = decode(text).filter(|key| !key.is_empty()).ok_or_else(|| {
        S3Error::invalid_argument(SOURCE, text, "The rename source must be the URL-encoded key of an object.")
    })?;
    let path = decoded.strip_prefix('/');
    let in_bucket = path.and_then(|path| path.strip_prefix(object.bucket.as_str())?.strip_prefix('/'));
    object_key(in_bucket.or(path).unwrap_or(&decoded))
}

/// The conditions on the source. They are decided here; the commit then insists on the object they were decided for.
async fn source_conditions(context: &Context<'_>, from: &ObjectAddress) -> S3Result<WriteConditions> {
    let names = conditions::RENAME_SOURCE;
    if !names.all().iter().any(|name| context.headers().contains_key(*name)) {
        return Ok(WriteConditions::default());
    }
    let opened = version::open(context, from, None).await?;
    let info = opened.info();
    match names.evaluate(context.headers(), &info.etag, info.modified) {
        Verdict::Proceed => Ok(WriteConditions {
            if_match: Some(TagMatch::OneOf(vec![info.etag.clone()])),
            if_modified_at: Some(info.modified),
            ..WriteConditions::default()
        }),
        Verdict::NotModified | Verdict::Failed(_) => Err(failed(context, names)),
    }
}

fn failed(context: &Context<'_>, names: ConditionNames) -> S3Error {
    let sent = names.all().into_iter().find(|name| context.headers().contains_key(*name));
    S3Error::precondition_failed(sent.unwrap_or(SOURCE))
}
