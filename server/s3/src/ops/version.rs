//! `versionId`, while every bucket is unversioned: only the null version exists.

use granary_types::VersionId;

use crate::error::{ErrorCode, S3Error, S3Result};

/// What a request's `versionId` names in an unversioned bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VersionChoice {
    /// The object itself: no version was named, or the null one.
    Current,
    /// A version that cannot exist here.
    Unknown,
}

/// Reads a version id.
///
/// # Errors
/// `InvalidArgument` for text that no version id is made of.
pub(super) fn choose(version_id: Option<&str>) -> S3Result<VersionChoice> {
    match version_id {
        None | Some("null") => Ok(VersionChoice::Current),
        Some(text) => match text.parse::<VersionId>() {
            Ok(version) if version.is_null() => Ok(VersionChoice::Current),
            Ok(_) => Ok(VersionChoice::Unknown),
            Err(error) => {
                Err(S3Error::invalid_argument("versionId", text, "Invalid version id specified")
                    .because(error))
            }
        },
    }
}

/// As [`choose`], for requests that need the version to exist.
///
/// # Errors
/// `NoSuchVersion`, and `InvalidArgument` as [`choose`].
pub(super) fn require_current(version_id: Option<&str>) -> S3Result<()> {
    match choose(version_id)? {
        VersionChoice::Current => Ok(()),
        VersionChoice::Unknown => {
            Err(S3Error::new(ErrorCode::NoSuchVersion).field("VersionId", version_id.unwrap_or_default()))
        }
    }
}

#[cfg(test)]
#[path = "version_tests.rs"]
mod tests;
