//! `granary tier restore`: what is archived below a prefix, page by page, until all of it is asked for.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use granary_admin::{RestoreFailure, RestorePage, RestoreRequest, RestoreTier};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::warm::Prefix;
use super::{Target, size};
use crate::output::{OutputFormat, print_json, print_line, print_notice};

/// Failures that are shown by name; all of them are counted.
const FAILURES_SHOWN_MAX: usize = 100;

/// What is restored.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The objects: s3://bucket/prefix, or s3://bucket for all of them.
    #[arg(value_name = "S3-URL")]
    objects: Prefix,
    /// For how many days objects are readable; the last ends at midnight (UTC).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    days: u32,
    /// How urgent it is.
    #[arg(long, default_value = "Standard")]
    tier: Urgency,
    /// Go on behind this key, as a command that was cut off said.
    #[arg(long, value_name = "KEY")]
    after: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// S3's words for how urgent a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Urgency {
    #[value(name = "Expedited", alias = "expedited")]
    Expedited,
    #[value(name = "Standard", alias = "standard")]
    Standard,
    #[value(name = "Bulk", alias = "bulk")]
    Bulk,
}

impl From<Urgency> for RestoreTier {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Expedited => Self::Expedited,
            Urgency::Standard => Self::Standard,
            Urgency::Bulk => Self::Bulk,
        }
    }
}

/// What was done of all pages.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Done {
    begun: u64,
    begun_bytes: u64,
    extended: u64,
    in_progress: u64,
    readable: u64,
    failed: u64,
    /// The first of those that failed.
    failures: Vec<RestoreFailure>,
}

impl Done {
    fn add(&mut self, page: RestorePage) {
        self.begun += page.begun;
        self.begun_bytes += page.begun_bytes;
        self.extended += page.extended;
        self.in_progress += page.in_progress;
        self.readable += page.readable;
        self.failed += page.failed.len() as u64;
        let room = FAILURES_SHOWN_MAX.saturating_sub(self.failures.len());
        self.failures.extend(page.failed.into_iter().take(room));
    }

    fn line(&self) -> String {
        format!(
            "{} begun ({}), {} restored already, {} in progress already, {} need none, {} failed",
            self.begun,
            size(self.begun_bytes),
            self.extended,
            self.in_progress,
            self.readable,
            self.failed
        )
    }
}

/// `granary tier restore`. The exit code is a failure if an object could not be restored.
///
/// # Errors
/// The server cannot be reached, or refuses; it is said how to go on.
pub async fn restore(args: &RestoreArgs, format: OutputFormat) -> Result<ExitCode> {
    let client = args.target.client()?;
    let Prefix { bucket, prefix } = args.objects.clone();
    let tier = RestoreTier::from(args.tier);
    let mut request = RestoreRequest { bucket, prefix, after: args.after.clone(), days: args.days, tier };
    let (bar, mut done) = (bar(format)?, Done::default());
    loop {
        let page = client.restore(&request).await;
        let page = page.with_context(|| match &request.after {
            Some(after) => format!("restoring; --after '{after}' goes on where it ended"),
            None => "restoring".to_owned(),
        })?;
        let next = page.next_after.clone();
        done.add(page);
        bar.set_message(done.line());
        bar.tick();
        match next {
            Some(after) => request.after = Some(after),
            None => break,
        }
    }
    bar.finish_and_clear();
    match format {
        OutputFormat::Json => print_json(&done)?,
        OutputFormat::Text => {
            for RestoreFailure { key, reason } in &done.failures {
                print_notice(&format!("granary: {key}: {reason}"));
            }
            print_line(&format!("restored for {} days: {}", args.days, done.line()))?;
        }
    }
    Ok(if done.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line on standard error; indicatif hides it when that is no terminal.
fn bar(format: OutputFormat) -> Result<ProgressBar> {
    if format == OutputFormat::Json {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{spinner} {msg}").context("the progress line")?;
    Ok(ProgressBar::new_spinner().with_style(style))
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
