//! The actions that an operation needs.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>

use crate::operation::Operation;

/// The action of an operation that names a version or does not.
pub(crate) fn of(operation: Operation, names_version: bool) -> &'static str {
    if names_version && let Some(action) = of_version(operation) {
        return action;
    }
    of_object(operation).or_else(|| of_bucket(operation)).unwrap_or_else(|| of_configuration(operation))
}

/// The actions that speak of versions, where there is another one for them.
fn of_version(operation: Operation) -> Option<&'static str> {
    Some(match operation {
        Operation::GetObject | Operation::HeadObject => "s3:GetObjectVersion",
        Operation::GetObjectAttributes => "s3:GetObjectVersionAttributes",
        Operation::GetObjectAcl => "s3:GetObjectVersionAcl",
        Operation::PutObjectAcl => "s3:PutObjectVersionAcl",
        Operation::GetObjectTagging => "s3:GetObjectVersionTagging",
        Operation::PutObjectTagging => "s3:PutObjectVersionTagging",
        Operation::DeleteObjectTagging => "s3:DeleteObjectVersionTagging",
        Operation::DeleteObject => "s3:DeleteObjectVersion",
        Operation::GetObjectTorrent => "s3:GetObjectVersionTorrent",
        _ => return None,
    })
}

fn of_object(operation: Operation) -> Option<&'static str> {
    Some(match operation {
        Operation::GetObject | Operation::HeadObject | Operation::SelectObjectContent => "s3:GetObject",
        Operation::GetObjectAttributes => "s3:GetObjectAttributes",
        Operation::GetObjectAcl => "s3:GetObjectAcl",
        Operation::PutObjectAcl => "s3:PutObjectAcl",
        Operation::GetObjectTagging => "s3:GetObjectTagging",
        Operation::PutObjectTagging => "s3:PutObjectTagging",
        Operation::DeleteObjectTagging => "s3:DeleteObjectTagging",
        Operation::GetObjectRetention => "s3:GetObjectRetention",
        Operation::PutObjectRetention => "s3:PutObjectRetention",
        Operation::GetObjectLegalHold => "s3:GetObjectLegalHold",
        Operation::PutObjectLegalHold => "s3:PutObjectLegalHold",
        Operation::GetObjectTorrent => "s3:GetObjectTorrent",
        Operation::RestoreObject => "s3:RestoreObject",
        Operation::DeleteObject | Operation::DeleteObjects => "s3:DeleteObject",
        Operation::AbortMultipartUpload => "s3:AbortMultipartUpload",
        Operation::ListParts => "s3:ListMultipartUploadParts",
        Operation::PutObject
        | Operation::CopyObject
        | Operation::RenameObject
        | Operation::CreateMultipartUpload
        | Operation::UploadPart
        | Operation::UploadPartCopy
        | Operation::CompleteMultipartUpload => "s3:PutObject",
        _ => return None,
    })
}

fn of_bucket(operation: Operation) -> Option<&'static str> {
    Some(match operation {
        Operation::ListBuckets => "s3:ListAllMyBuckets",
        Operation::CreateBucket => "s3:CreateBucket",
        Operation::DeleteBucket => "s3:DeleteBucket",
        Operation::HeadBucket | Operation::ListObjects | Operation::ListObjectsV2 => "s3:ListBucket",
        Operation::ListObjectVersions => "s3:ListBucketVersions",
        Operation::ListMultipartUploads => "s3:ListBucketMultipartUploads",
        Operation::GetBucketLocation => "s3:GetBucketLocation",
        Operation::GetBucketVersioning => "s3:GetBucketVersioning",
        Operation::PutBucketVersioning => "s3:PutBucketVersioning",
        Operation::GetObjectLockConfiguration => "s3:GetBucketObjectLockConfiguration",
        Operation::PutObjectLockConfiguration => "s3:PutBucketObjectLockConfiguration",
        Operation::GetBucketPolicy => "s3:GetBucketPolicy",
        Operation::GetBucketPolicyStatus => "s3:GetBucketPolicyStatus",
        Operation::PutBucketPolicy => "s3:PutBucketPolicy",
        Operation::DeleteBucketPolicy => "s3:DeleteBucketPolicy",
        Operation::GetBucketAcl => "s3:GetBucketAcl",
        Operation::PutBucketAcl => "s3:PutBucketAcl",
        Operation::GetBucketOwnershipControls => "s3:GetBucketOwnershipControls",
        Operation::PutBucketOwnershipControls | Operation::DeleteBucketOwnershipControls => {
            "s3:PutBucketOwnershipControls"
        }
        Operation::GetPublicAccessBlock => "s3:GetBucketPublicAccessBlock",
        Operation::PutPublicAccessBlock | Operation::DeletePublicAccessBlock => {
            "s3:PutBucketPublicAccessBlock"
        }
        _ => return None,
    })
}

/// To put a configuration is to delete it too, except where AWS has an action for that.
fn of_configuration(operation: Operation) -> &'static str {
    match operation {
        Operation::GetBucketTagging => "s3:GetBucketTagging",
        Operation::PutBucketTagging | Operation::DeleteBucketTagging => "s3:PutBucketTagging",
        Operation::GetBucketCors => "s3:GetBucketCORS",
        Operation::PutBucketCors | Operation::DeleteBucketCors => "s3:PutBucketCORS",
        Operation::GetBucketWebsite => "s3:GetBucketWebsite",
        Operation::PutBucketWebsite => "s3:PutBucketWebsite",
        Operation::DeleteBucketWebsite => "s3:DeleteBucketWebsite",
        Operation::GetBucketLogging => "s3:GetBucketLogging",
        Operation::PutBucketLogging => "s3:PutBucketLogging",
        Operation::GetBucketNotificationConfiguration => "s3:GetBucketNotification",
        Operation::PutBucketNotificationConfiguration => "s3:PutBucketNotification",
        Operation::GetBucketRequestPayment => "s3:GetBucketRequestPayment",
        Operation::PutBucketRequestPayment => "s3:PutBucketRequestPayment",
        Operation::GetBucketEncryption => "s3:GetEncryptionConfiguration",
        Operation::PutBucketEncryption | Operation::DeleteBucketEncryption => "s3:PutEncryptionConfiguration",
        Operation::GetBucketLifecycleConfiguration => "s3:GetLifecycleConfiguration",
        Operation::PutBucketLifecycleConfiguration | Operation::DeleteBucketLifecycle => {
            "s3:PutLifecycleConfiguration"
        }
        Operation::GetBucketReplication => "s3:GetReplicationConfiguration",
        Operation::PutBucketReplication | Operation::DeleteBucketReplication => {
            "s3:PutReplicationConfiguration"
        }
        Operation::GetBucketAccelerateConfiguration => "s3:GetAccelerateConfiguration",
        Operation::PutBucketAccelerateConfiguration => "s3:PutAccelerateConfiguration",
        Operation::GetBucketAnalyticsConfiguration | Operation::ListBucketAnalyticsConfigurations => {
            "s3:GetAnalyticsConfiguration"
        }
        Operation::PutBucketAnalyticsConfiguration | Operation::DeleteBucketAnalyticsConfiguration => {
            "s3:PutAnalyticsConfiguration"
        }
        Operation::GetBucketMetricsConfiguration | Operation::ListBucketMetricsConfigurations => {
            "s3:GetMetricsConfiguration"
        }
        Operation::PutBucketMetricsConfiguration | Operation::DeleteBucketMetricsConfiguration => {
            "s3:PutMetricsConfiguration"
        }
        Operation::GetBucketInventoryConfiguration | Operation::ListBucketInventoryConfigurations => {
            "s3:GetInventoryConfiguration"
        }
        Operation::PutBucketInventoryConfiguration | Operation::DeleteBucketInventoryConfiguration => {
            "s3:PutInventoryConfiguration"
        }
        Operation::GetBucketIntelligentTieringConfiguration
        | Operation::ListBucketIntelligentTieringConfigurations => "s3:GetIntelligentTieringConfiguration",
        Operation::PutBucketIntelligentTieringConfiguration
        | Operation::DeleteBucketIntelligentTieringConfiguration => "s3:PutIntelligentTieringConfiguration",
        // Only who may do everything gets to hear that an operation is not there.
        _ => "s3:NotImplemented",
    }
}
