//! Conditions on entity tags: what they need, and what policies know of them.
//!
//! Sources: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html>

use granary_auth::policy::Context as Values;
use granary_engine::{TagMatch, WriteConditions};

use super::{Sent, Target, actions};
use crate::context::Context;
use crate::error::S3Result;
use crate::operation::Operation;

/// Lets a write or a delete go on that compares a tag: who may not read the object could find its tag out.
///
/// # Errors
/// `AccessDenied`.
pub(crate) async fn authorise_tags_compared(
    context: &Context<'_>,
    target: Target<'_>,
    conditions: &WriteConditions,
) -> S3Result<()> {
    let compares = |tags: &Option<TagMatch>| matches!(tags, Some(TagMatch::OneOf(_)));
    if !compares(&conditions.if_match) && !compares(&conditions.if_none_match) {
        return Ok(());
    }
    context.requester.require(actions::of(Operation::GetObject, target.version.is_some()), target).await
}

/// Whether an operation puts an object in its place, or only what one is made of later, which takes no conditions; `None` for
/// others. By this, policies ask for conditions where there can be some.
fn creates_object(operation: Operation) -> Option<bool> {
    match operation {
        Operation::PutObject
        | Operation::CopyObject
        | Operation::RenameObject
        | Operation::CompleteMultipartUpload => Some(true),
        Operation::CreateMultipartUpload | Operation::UploadPart | Operation::UploadPartCopy => Some(false),
        _ => None,
    }
}

/// Adds the conditions that an operation takes. Others must not count, as they have no effect.
pub(super) fn of_headers(sent: &Sent<'_>, values: &mut Values) {
    let creates = creates_object(sent.operation);
    if let Some(creates) = creates {
        values.set("s3:ObjectCreationOperation", creates.to_string());
    }
    let taken: &[&str] = match (sent.operation, creates) {
        (Operation::DeleteObject, _) => &["if-match"],
        (_, Some(true)) => &["if-match", "if-none-match"],
        _ => &[],
    };
    for name in taken {
        // A tag that nothing has would let everything be overwritten where a policy asks for writes that overwrite nothing: AWS
        // takes `*` alone here.
        let counts = |value: &&str| *name != "if-none-match" || value.trim() == "*";
        if let Some(value) = sent.header(name).filter(counts) {
            values.set(&format!("s3:{name}"), value);
        }
    }
}

/// Adds the condition of one entry of a delete of several.
pub(crate) fn of_entry(values: &mut Values, if_match: Option<&str>) {
    if let Some(tag) = if_match {
        values.set("s3:if-match", tag);
    }
}

#[cfg(test)]
#[path = "compared_tests.rs"]
mod tests;
