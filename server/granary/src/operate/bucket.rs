//! `granary bucket`.

use std::str::FromStr;

use anyhow::{Context, Result, bail};
use bytesize::ByteSize;
use clap::{Args, Subcommand};
use granary_admin::{BucketLimits, BucketReport, BucketRequest};

use super::{Target, size};
use crate::output::{OutputFormat, print_json, print_line, table};

/// What buckets hold and may hold.
#[derive(Debug, Subcommand)]
pub enum BucketCommand {
    /// Show what a bucket holds and may hold.
    Show(OneBucket),
    /// Set how much a bucket may hold. What is there already stays; what is not named stays as it is.
    Quota {
        /// Which.
        #[command(flatten)]
        bucket: OneBucket,
        /// Bytes of all versions and of parts of uploads in progress, such as 10GiB; or none.
        #[arg(long, value_name = "SIZE|none", required_unless_present = "objects")]
        bytes: Option<Limit<ByteSize>>,
        /// Objects, each version counted; or none.
        #[arg(long, value_name = "N|none")]
        objects: Option<Limit<u64>>,
    },
    /// Set how many requests a second about a bucket each node takes.
    Limit {
        /// Which.
        #[command(flatten)]
        bucket: OneBucket,
        /// Requests a second; or none.
        #[arg(long, value_name = "N|none")]
        requests_per_second: Limit<std::num::NonZeroU32>,
    },
    /// Count anew what all buckets hold, after nodes of an older release ran beside newer ones. It reads all metadata.
    Recount(Target),
}

/// A bucket of a server.
#[derive(Debug, Args)]
pub struct OneBucket {
    /// The name of the bucket.
    bucket: String,
    #[command(flatten)]
    target: Target,
}

/// A limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit<T>(pub Option<T>);

impl<T: FromStr> FromStr for Limit<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text.eq_ignore_ascii_case("none") {
            Ok(Self(None))
        } else {
            text.parse().map(|limit| Self(Some(limit)))
        }
    }
}

/// `granary bucket …`.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn bucket(command: BucketCommand, format: OutputFormat) -> Result<()> {
    match command {
        BucketCommand::Show(OneBucket { bucket, target }) => {
            let request = BucketRequest::Show { bucket };
            show(&ask(&target, &request).await.context("looking at a bucket")?, format)
        }
        BucketCommand::Quota { bucket, bytes, objects } => {
            change(bucket, format, |limits| {
                if let Some(Limit(bytes)) = bytes {
                    limits.bytes_max = bytes.map(|size| size.as_u64());
                }
                if let Some(Limit(objects)) = objects {
                    limits.objects_max = objects;
                }
            })
            .await
        }
        BucketCommand::Limit { bucket, requests_per_second: Limit(limit) } => {
            change(bucket, format, |limits| limits.requests_per_s = limit).await
        }
        BucketCommand::Recount(target) => {
            target.client()?.buckets(&BucketRequest::Recount).await.context("counting").map(drop)
        }
    }
}

/// Changes some limits of a bucket and leaves the others.
async fn change(
    OneBucket { bucket, target }: OneBucket,
    format: OutputFormat,
    change: impl FnOnce(&mut BucketLimits),
) -> Result<()> {
    let found = ask(&target, &BucketRequest::Show { bucket: bucket.clone() }).await;
    let mut limits = found.context("looking at a bucket")?.limits;
    change(&mut limits);
    let request = BucketRequest::Limit { bucket, limits };
    show(&ask(&target, &request).await.context("changing the limits of a bucket")?, format)
}

async fn ask(target: &Target, request: &BucketRequest) -> Result<BucketReport> {
    let answer = target.client()?.buckets(request).await?;
    let Some(bucket) = answer.bucket else { bail!("the server's answer names no bucket") };
    Ok(bucket)
}

fn show(bucket: &BucketReport, format: OutputFormat) -> Result<()> {
    if format == OutputFormat::Json {
        return print_json(bucket);
    }
    let limits = &bucket.limits;
    let none = || "none".to_owned();
    let rows = [
        vec!["bytes".to_owned(), size(bucket.bytes), limits.bytes_max.map_or_else(none, size)],
        vec![
            "objects".to_owned(),
            bucket.objects.to_string(),
            limits.objects_max.map_or_else(none, |max| max.to_string()),
        ],
        vec![
            "requests a second".to_owned(),
            "-".to_owned(),
            limits.requests_per_s.map_or_else(none, |max| max.to_string()),
        ],
    ];
    print_line(&table(&[&bucket.bucket, "USED", "LIMIT"], &rows))
}
