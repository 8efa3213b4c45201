//! `granary tier jobs`.

use std::time::Duration;

use anyhow::{Context, Result};
use granary_admin::{TierJobKind, TierJobReport, WarmRequest};

use super::{Target, size, word};
use crate::output::{OutputFormat, print_json, print_line, table};

const HEADER: [&str; 9] =
    ["JOB", "OBJECTS", "STATE", "DONE", "FAILED", "COPIED", "LEFT", "TIME LEFT", "HOLDER"];

/// `granary tier jobs`.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn tier_jobs(target: &Target, format: OutputFormat) -> Result<()> {
    let answer = target.client()?.warm(&WarmRequest::Jobs).await.context("listing jobs")?;
    let jobs = answer.jobs.unwrap_or_default();
    match format {
        OutputFormat::Json => print_json(&jobs),
        OutputFormat::Text if jobs.is_empty() => {
            print_line("nothing is prefetched, pinned, restored or moved now")
        }
        OutputFormat::Text => print_line(&text(&jobs)),
    }
}

/// A row for each job, and below why something of them failed.
fn text(jobs: &[TierJobReport]) -> String {
    let mut lines = vec![table(&HEADER, &jobs.iter().map(row).collect::<Vec<_>>())];
    lines.extend(jobs.iter().filter_map(|job| {
        let why = job.last_failure.as_ref()?;
        Some(format!("last failure of {} {}: {why}", name(job), objects(job)))
    }));
    lines.join("\n")
}

fn name(job: &TierJobReport) -> String {
    match (job.kind, job.tier, job.job) {
        (TierJobKind::Restore, Some(tier), _) => format!("restore {}", word(&tier)),
        (_, _, Some(number)) => format!("{} {number}", word(&job.kind)),
        _ => word(&job.kind),
    }
}

fn objects(job: &TierJobReport) -> String {
    match (&job.bucket, &job.prefix) {
        (Some(bucket), Some(prefix)) => format!("s3://{bucket}/{prefix}"),
        _ => "archived objects".to_owned(),
    }
}

/// How it is with it. What found no room is told here: by the other numbers all is done.
fn state(job: &TierJobReport) -> String {
    let reason = job.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let no_room = match job.objects_without_room {
        0 => String::new(),
        objects => format!(", {objects} found no room"),
    };
    format!("{}{reason}{no_room}", word(&job.state))
}

fn row(job: &TierJobReport) -> Vec<String> {
    let dash = || "-".to_owned();
    // What is not listed yet may be more.
    let at_least = if job.listed { "" } else { "at least " };
    // How many there are of what is moved is not known.
    let bytes = |shown: String| if job.kind == TierJobKind::Move { dash() } else { shown };
    let time_left = job.seconds_left.map(|seconds| indicatif::HumanDuration(Duration::from_secs(seconds)));
    vec![
        name(job),
        objects(job),
        state(job),
        format!("{} of {at_least}{}", job.objects_done, job.objects_found),
        job.objects_failed.to_string(),
        bytes(size(job.bytes_copied)),
        bytes(format!("{at_least}{}", size(job.bytes_left))),
        time_left.map_or_else(dash, |left| format!("{at_least}{left}")),
        job.holder.clone().unwrap_or_else(dash),
    ]
}

#[cfg(test)]
#[path = "tier_jobs_tests.rs"]
mod tests;
