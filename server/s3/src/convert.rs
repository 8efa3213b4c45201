//! The errors of the crates below in S3's terms.

use granary_auth::AuthError;
use granary_engine::{EngineError, Quota};

use crate::error::{ErrorCode, S3Error};
use crate::md5_pool::Md5Lost;
use crate::ops::version::with_marker;

impl From<AuthError> for S3Error {
    fn from(error: AuthError) -> Self {
        let code = ErrorCode::parse(error.code()).unwrap_or(ErrorCode::AccessDenied);
        let shown = Self::with_message(code, error.to_string());
        match &error {
            AuthError::AuthorizationHeaderMalformed { region: Some(region), .. } => {
                let region = region.clone();
                shown.field("Region", region)
            }
            _ => shown,
        }
    }
}

impl From<Md5Lost> for S3Error {
    fn from(error: Md5Lost) -> Self {
        Self::new(ErrorCode::InternalError).because(error)
    }
}

impl From<EngineError> for S3Error {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::NoSuchBucket(name) => {
                Self::new(ErrorCode::NoSuchBucket).field("BucketName", name.as_str())
            }
            EngineError::BucketExists(name) => {
                Self::new(ErrorCode::BucketAlreadyOwnedByYou).field("BucketName", name.as_str())
            }
            EngineError::BucketNotEmpty(name) => {
                Self::new(ErrorCode::BucketNotEmpty).field("BucketName", name.as_str())
            }
            EngineError::NoSuchKey => ErrorCode::NoSuchKey.into(),
            EngineError::NoSuchVersion => ErrorCode::NoSuchVersion.into(),
            EngineError::DeleteMarker { version, .. } => with_marker(ErrorCode::NoSuchKey.into(), version),
            EngineError::BucketSettings(name) => {
                Self::new(ErrorCode::InvalidBucketState).field("BucketName", name.as_str())
            }
            EngineError::Locked => Self::with_message(
                ErrorCode::AccessDenied,
                "Access Denied because object protected by object lock.",
            ),
            EngineError::BucketNotLocked(_) => {
                Self::invalid_request("Bucket is missing Object Lock Configuration")
            }
            EngineError::NoSuchUpload => ErrorCode::NoSuchUpload.into(),
            EngineError::InvalidPart(number) => {
                Self::new(ErrorCode::InvalidPart).field("PartNumber", number.get().to_string())
            }
            EngineError::QuotaExceeded(quota) => quota_exceeded("bucket", quota),
            EngineError::AccountQuotaExceeded(quota) => quota_exceeded("account of the bucket", quota),
            EngineError::TooManyParts => ErrorCode::TooManyParts.into(),
            EngineError::CustomerKeyNeeded => Self::invalid_request(
                "The object was stored using a form of Server Side Encryption. The correct parameters must be provided \
                 to retrieve the object.",
            ),
            EngineError::CustomerKeyUnfit => {
                Self::invalid_request("The encryption parameters are not applicable to this object.")
            }
            EngineError::WrongCustomerKey => Self::invalid_request(
                "The provided encryption parameters did not match the ones used originally.",
            ),
            EngineError::NoSuchMasterKey(name) => {
                Self::with_message(ErrorCode::KmsNotFoundException, format!("Key '{name}' does not exist"))
            }
            EngineError::EncryptedAppend => Self::not_implemented("Appending to an encrypted object"),
            EngineError::NoKeyRing => {
                Self::not_implemented("Encryption with the server's keys, without a key ring,")
            }
            EngineError::PreconditionFailed => ErrorCode::PreconditionFailed.into(),
            EngineError::Source(source) => match source.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::new(ErrorCode::IncompleteBody).because(other),
            },
            error if is_of_class(&error) => of_class(&error),
            // A full store is not the client's fault and passes; S3 has no code of its own for it.
            EngineError::NoSpace => Self::with_message(
                ErrorCode::ServiceUnavailable,
                "There is no room left on the drives. Reads and deletes go on.",
            )
            .because(error),
            error if error.may_pass() => Self::new(ErrorCode::ServiceUnavailable).because(error),
            other => Self::new(ErrorCode::InternalError).because(other),
        }
    }
}

fn quota_exceeded(of: &str, quota: Quota) -> S3Error {
    let (max, what) = match quota {
        Quota::Bytes(max) => (max, "bytes"),
        Quota::Objects(max) => (max, "objects"),
    };
    let message = format!("The {of} may hold {max} {what}, and with this it would hold more.");
    S3Error::with_message(ErrorCode::QuotaExceeded, message)
}

/// Whether an error is about an object's storage class.
fn is_of_class(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::Archived(_)
            | EngineError::NotArchived(_)
            | EngineError::RestoreInProgress
            | EngineError::ExpeditedUnavailable
            | EngineError::NoDrivesForClass { .. }
    )
}

/// An error about an object's storage class.
fn of_class(error: &EngineError) -> S3Error {
    match error {
        EngineError::Archived(class) => {
            S3Error::new(ErrorCode::InvalidObjectState).field("StorageClass", class.as_str())
        }
        EngineError::NotArchived(class) => S3Error::with_message(
            ErrorCode::InvalidObjectState,
            "Restore is not allowed for the object's current storage class",
        )
        .field("StorageClass", class.as_str()),
        EngineError::RestoreInProgress => ErrorCode::RestoreAlreadyInProgress.into(),
        EngineError::ExpeditedUnavailable => ErrorCode::GlacierExpeditedRetrievalNotAvailable.into(),
        EngineError::NoDrivesForClass { class, drives } => S3Error::with_message(
            ErrorCode::InvalidStorageClass,
            format!(
                "The storage class you specified is not valid: this store has no drives of class {drives}."
            ),
        )
        .field("StorageClassRequested", class.as_str()),
        _ => ErrorCode::InternalError.into(),
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
