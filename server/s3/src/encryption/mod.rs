//! Server-side encryption: what requests ask for, what buckets say, and what answers show.
//!
//! Sources: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html>. Unlike at AWS, an
//! object is only encrypted where the request, its bucket or the server's options ask for it.

pub(crate) mod configuration;
mod customer;
mod request;
mod show;

pub use customer::CustomerKeyTransport;
pub(crate) use customer::{OF_OBJECT, OF_SOURCE, of_request as customer_key};
pub(crate) use request::{
    changes, check_completion, etag_need, of_write, part_error, read_key, upload_etag_need, upload_key,
};
pub(crate) use show::{describe, describe_written};

pub(crate) const ALGORITHM: &str = "x-amz-server-side-encryption";
pub(crate) const KMS_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
pub(crate) const CONTEXT: &str = "x-amz-server-side-encryption-context";
pub(crate) const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";

pub(crate) const AES256: &str = "AES256";
pub(crate) const KMS: &str = "aws:kms";
pub(crate) const KMS_TWICE: &str = "aws:kms:dsse";
