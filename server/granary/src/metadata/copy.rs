//! `granary metadata copy`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clap::Args;
use granary_engine::moving::{CopyOptions, CopyReport, Digests, SetDigest, Table, copy_metadata};
use serde::Serialize;

use super::place;
use super::progress::Shown;
use crate::output::{OutputFormat, print_json, print_line, table};

/// From where to where.
#[derive(Debug, Args)]
pub struct CopyArgs {
    /// Where the metadata is: sqlite:DIRECTORY, naming every drive as --data does (sqlite:/mnt/d{1...6}), or postgres://…
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// Where it shall be: postgres://… of an empty database, or sqlite:DIRECTORY.
    #[arg(long, value_name = "PLACE", env = "GRANARY_METADATA", hide_env_values = true)]
    to: String,
    /// At most so many entries in one transaction of the target.
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    step: u32,
}

/// What was copied, as JSON.
#[derive(Serialize)]
struct Report {
    from: String,
    to: String,
    entries: u64,
    resumed_at: u64,
    was_complete: bool,
    digests: Vec<DigestLine>,
}

/// A table, or one bucket of it.
#[derive(Debug, Serialize)]
pub(super) struct DigestLine {
    table: &'static str,
    bucket: Option<String>,
    entries: u64,
    digest: String,
}

pub(super) fn digest_lines(digests: &Digests) -> Vec<DigestLine> {
    let line = |(table, bucket, digest): (Table, Option<_>, &SetDigest)| DigestLine {
        table: table.name(),
        bucket: bucket.map(|id: granary_types::BucketId| id.to_string()),
        entries: digest.count,
        digest: digest.hex(),
    };
    digests.iter().map(line).collect()
}

/// Copies, verifies, and reports.
///
/// # Errors
/// When the copy was refused or failed; it may be tried again.
pub(super) async fn run(args: &CopyArgs, format: OutputFormat) -> Result<()> {
    let from = place::parse(&args.from).context("--from")?;
    let to = place::parse(&args.to).context("--to")?;
    let mut shown = Shown::new(format)?;
    let options = CopyOptions { rows: args.step.min(500), rows_max: args.step };
    let copied =
        copy_metadata(&from.place, &to.place, &to.shown, options, |progress| shown.update(progress)).await;
    shown.end();
    let report =
        copied.with_context(|| format!("copying the metadata from {} to {}", from.shown, to.shown))?;
    print(&report, from.shown, to.shown, format)
}

fn print(report: &CopyReport, from: String, to: String, format: OutputFormat) -> Result<()> {
    let entries = report.digests.total();
    if format == OutputFormat::Json {
        return print_json(&Report {
            from,
            to,
            entries,
            resumed_at: report.resumed_at,
            was_complete: report.was_complete,
            digests: digest_lines(&report.digests),
        });
    }
    let mut counts: BTreeMap<Table, u64> = BTreeMap::new();
    for (table, _, digest) in report.digests.iter() {
        let count = counts.entry(table).or_default();
        *count = count.saturating_add(digest.count);
    }
    let rows: Vec<Vec<String>> =
        counts.iter().map(|(table, count)| vec![table.name().to_owned(), count.to_string()]).collect();
    print_line(&table(&["TABLE", "ENTRIES"], &rows))?;
    if report.was_complete {
        return print_line(&format!("{to} held a complete copy already; nothing was changed."));
    }
    print_line(&format!(
        "{entries} entries copied and found the same on both sides. Serve the store with --metadata {to} (and its user and \
         password) from now on; {from} is marked as moved."
    ))
}
