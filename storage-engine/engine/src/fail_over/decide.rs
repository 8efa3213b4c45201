//! Whether a write that the metadata has forgotten is made true again. Pure.
//!
//! Rows are older than a late write unless they say that they were written after it. What the standby had, was committed
//! before all that it had not; and what was committed after the fail-over was written later, or at the same time, in which
//! case either order is one that clients may see.

use granary_metadata::{NewObject, PackedLocation, TagMatch, VersionKind, WriteConditions};

use crate::recover::{CLOCKS_APART_US, Novelty, conditions_hold};
use crate::told::Stamp;

/// Why a write is not made true again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its condition does not hold.
    Condition,
    /// Another write came at about the same time.
    Conflict,
    /// A newer version is on top of where it would be.
    Covered,
}

/// What becomes of a late write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is put, as long as the key still is as it was looked at.
    Put(WriteConditions),
    /// The version is there, and its bytes had been moved from there.
    Move(PackedLocation),
    /// It is there, or something newer.
    Done,
    /// It cannot be made true again.
    Refused(Refusal),
}

/// What the metadata knows of a key now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rows<'r> {
    /// The current version.
    pub(super) current: Option<&'r NewObject>,
    /// The version of the late write's id.
    pub(super) same: Option<&'r NewObject>,
    /// Whether a delete of that version was forgotten that came before the late write.
    pub(super) is_undone: bool,
}

/// How a row stands to a stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    Older,
    /// Newer by no more than clocks may be apart.
    Close,
    Newer,
}

fn age(row: &NewObject, stamp: Stamp) -> Age {
    let modified_us = u64::try_from(row.modified.0).unwrap_or(0).saturating_mul(1000);
    match modified_us.checked_sub(stamp.at_us) {
        None | Some(0) => Age::Older,
        Some(later) if later < CLOCKS_APART_US => Age::Close,
        Some(_) => Age::Newer,
    }
}

/// What becomes of a version that was put.
pub(super) fn decide_put(
    object: &NewObject,
    (conditions, novelty): (Option<&WriteConditions>, Novelty),
    stamp: Stamp,
    rows: Rows<'_>,
) -> Decision {
    if let Some(same) = rows.same.filter(|same| same.write == object.write) {
        return match (same.content.packed(), object.content.packed()) {
            (Some(is), Some(was)) if is != was => Decision::Move(is.clone()),
            _ => Decision::Done,
        };
    }
    // What it tells of may have been deleted before it was moved.
    if novelty == Novelty::Moved {
        return Decision::Done;
    }
    // A version of the same id is replaced: a newer one may stay. What is covered by another version would still be there.
    match rows.same.map(|same| age(same, stamp)) {
        Some(Age::Newer) => return Decision::Done,
        Some(Age::Close) => return Decision::Refused(Refusal::Conflict),
        Some(Age::Older) | None => {}
    }
    if rows.current.is_some_and(|current| age(current, stamp) != Age::Older) {
        return Decision::Refused(Refusal::Covered);
    }
    let is_undone = |current: &&NewObject| rows.is_undone && current.version == object.version;
    let seen = rows.current.filter(|current| !is_undone(current));
    if !conditions.is_none_or(|conditions| conditions_hold(conditions, seen)) {
        return Decision::Refused(Refusal::Condition);
    }
    Decision::Put(as_looked_at(rows.current))
}

/// Conditions that hold as long as the current version is the one that was looked at.
fn as_looked_at(current: Option<&NewObject>) -> WriteConditions {
    match current.filter(|current| current.kind == VersionKind::Object) {
        Some(current) => WriteConditions {
            if_match: Some(TagMatch::OneOf(vec![current.etag.clone()])),
            ..WriteConditions::default()
        },
        None => WriteConditions { if_none_match: Some(TagMatch::Any), ..WriteConditions::default() },
    }
}

/// Whether a version that a late write deleted is there again.
pub(super) fn is_undone(same: Option<&NewObject>, stamp: Stamp) -> bool {
    same.is_some_and(|same| age(same, stamp) == Age::Older)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
