//! Conditional deletes of what is not there, and of delete markers, as Ceph's object gateway decides them.

use granary_engine::{DeleteEntry, EngineError, TagMatch, WriteConditions};
use granary_types::BucketName;

use crate::context::Context;

/// What is left to do of a delete.
pub(super) enum Settled {
    /// Nothing: there is nothing to delete.
    Nothing,
    /// The engine is to do this, and decides about the conditions when it commits.
    Delete(DeleteEntry),
}

/// Looks at what a conditional delete is about, where the dialect's answer depends on that: AWS's are the engine's.
///
/// A marker or an object that comes in between is deleted under the conditions that are left, and `*` matches both.
///
/// # Errors
/// [`EngineError::PreconditionFailed`] for a delete marker that does not match.
pub(super) async fn settle(
    context: &Context<'_>,
    bucket: &BucketName,
    entry: DeleteEntry,
) -> Result<Settled, EngineError> {
    let is_conditional = entry.conditions != WriteConditions::default();
    if !is_conditional || !context.shared.config.dialect.deletes_see_markers() {
        return Ok(Settled::Delete(entry));
    }
    match context.shared.engine.open_object(bucket, &entry.key, entry.version).await {
        Ok(_) => Ok(Settled::Delete(entry)),
        Err(EngineError::NoSuchKey | EngineError::NoSuchVersion) => Ok(Settled::Nothing),
        Err(EngineError::DeleteMarker { .. }) => {
            let conditions = left_of_marker(entry.conditions).ok_or(EngineError::PreconditionFailed)?;
            Ok(Settled::Delete(DeleteEntry { conditions, ..entry }))
        }
        Err(error) => Err(error),
    }
}

/// What is left of the conditions where a delete marker is found, which has no tag, time or length; `None` if one does not
/// hold.
fn left_of_marker(conditions: WriteConditions) -> Option<WriteConditions> {
    let asks_for_object = matches!(conditions.if_match, Some(TagMatch::OneOf(_)))
        || conditions.if_modified_at.is_some()
        || conditions.if_length_bytes.is_some();
    (!asks_for_object).then_some(WriteConditions { if_match: None, ..conditions })
}

#[cfg(test)]
#[path = "delete_absent_tests.rs"]
mod tests;
