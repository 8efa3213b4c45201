//! What is done otherwise than AWS does it, for old clients and for tools that were made for other stores.

use clap::Args;
use granary_s3::Dialect;
use serde::Serialize;

/// Settings of it given on the command line.
#[derive(Debug, Args, Serialize)]
pub struct DialectSettings {
    /// Take requests that are signed with Signature Version 2, which AWS has retired: it covers less of a request, and not
    /// its body. For old clients.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    allow_signature_v2: bool,
    /// Take objects and parts that are sent without their length (Transfer-Encoding: chunked), which AWS refuses.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    allow_unknown_length: bool,
    /// Whose rules hold where Amazon S3 and Ceph's object gateway disagree: aws or ceph, for who moves from there with tools
    /// that rely on its rules [default: aws].
    #[arg(long, value_name = "DIALECT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<Dialect>,
}
