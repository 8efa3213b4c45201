//! `granary tier jobs`.

use std::time::Duration;

use anyhow::{Context, Result};
use granary_admin::{TierJobKind, TierJobReport, WarmRequest};

use super::{Target, size, word};
use crate::output::{OutputFormat, print_json, print_line, table};

const HEADER: [&str; 8] = ["JOB", "OBJECTS", "STATE", "DONE", "COPIED", "LEFT", "TIME LEFT", "HOLDER"];

/// `granary tier jobs`.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn tier_jobs(target: &Target, format: OutputFormat) -> Result<()> {
    let answer = target.client()?.warm(&WarmRequest::Jobs).await.context("listing jobs")?;
    let jobs = answer.jobs.unwrap_or_default();
    match format {
        OutputFormat::Json => print_json(&jobs),
        OutputFormat::Text if jobs.is_empty() => print_line("nothing is prefetched, pinned or restored now"),
        OutputFormat::Text => print_line(&table(&HEADER, &jobs.iter().map(row).collect::<Vec<_>>())),
    }
}

fn row(job: &TierJobReport) -> Vec<String> {
    let dash = || "-".to_owned();
    let what = match (job.kind, job.tier, job.job) {
        (TierJobKind::Restore, Some(tier), _) => format!("restore {}", word(&tier)),
        (_, _, Some(number)) => format!("{} {number}", word(&job.kind)),
        _ => word(&job.kind),
    };
    let objects = match (&job.bucket, &job.prefix) {
        (Some(bucket), Some(prefix)) => format!("s3://{bucket}/{prefix}"),
        _ => "archived objects".to_owned(),
    };
    // What is not listed yet may be more.
    let at_least = if job.listed { "" } else { "at least " };
    let time_left = job.seconds_left.map(|seconds| indicatif::HumanDuration(Duration::from_secs(seconds)));
    vec![
        what,
        objects,
        match &job.reason {
            Some(reason) => format!("{}: {reason}", word(&job.state)),
            None => word(&job.state),
        },
        format!("{} of {at_least}{}", job.objects_done, job.objects_found),
        size(job.bytes_copied),
        format!("{at_least}{}", size(job.bytes_left)),
        time_left.map_or_else(dash, |left| format!("{at_least}{left}")),
        job.holder.clone().unwrap_or_else(dash),
    ]
}

#[cfg(test)]
#[path = "tier_jobs_tests.rs"]
mod tests;
