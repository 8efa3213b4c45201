//! `granary metadata backup`, `backups` and `restore`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use granary_engine::moving::{
    BackupPlace, CopyOptions, Manifest, back_up_metadata, list_backups, restore_metadata,
};
use granary_types::ClusterId;
use serde_json::json;

use super::copy::digest_lines;
use super::place;
use super::progress::Shown;
use crate::config::expand_data;
use crate::output::{OutputFormat, print_json, print_line, table};

/// What to back up, and where to.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Where the metadata is: postgres://…, or sqlite:DIRECTORY of every drive.
    #[arg(long, value_name = "PLACE", env = "GRANARY_METADATA", hide_env_values = true)]
    from: String,
    /// The file to make: file:PATH.
    #[arg(long, value_name = "file:PATH")]
    to: String,
}

/// The drives whose backups to list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// A drive's directory; once for each drive, or a range: /mnt/d{1...6}.
    #[arg(long, value_name = "DIRECTORY", required = true)]
    data: Vec<String>,
}

/// What to restore, and where to.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup: file:PATH, or drives:DIRECTORY of every drive, for those that the server made.
    #[arg(long, value_name = "BACKUP")]
    from: String,
    /// Which of the backups on the drives [default: the newest].
    #[arg(long, value_name = "ID")]
    id: Option<ClusterId>,
    /// Where the metadata shall be: postgres://… of an empty database, or sqlite:DIRECTORY of every drive.
    #[arg(long, value_name = "PLACE", env = "GRANARY_METADATA", hide_env_values = true)]
    to: String,
}

fn parse(text: &str, id: Option<ClusterId>) -> Result<BackupPlace> {
    if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
        return Ok(BackupPlace::File(PathBuf::from(path)));
    }
    if let Some(paths) = text.strip_prefix("drives:") {
        let patterns: Vec<String> = paths.split(',').map(str::to_owned).collect();
        return Ok(BackupPlace::Drives { data: expand_data(&patterns)?, id });
    }
    bail!("a backup is file:PATH or drives:DIRECTORY (of every drive: drives:/mnt/d{{1...6}})")
}

/// Backs up, and reports.
///
/// # Errors
/// When there is no backup.
pub(super) async fn run(args: &BackupArgs, format: OutputFormat) -> Result<()> {
    let from = place::parse(&args.from).context("--from")?;
    let to = parse(&args.to, None).context("--to")?;
    let mut shown = Shown::new(format)?;
    let made = back_up_metadata(&from.place, &to, |progress| shown.update(progress)).await;
    shown.end();
    let manifest = made.with_context(|| format!("backing up the metadata in {}", from.shown))?;
    if format == OutputFormat::Json {
        return print_json(&json!({ "to": args.to, "backup": describe(&manifest) }));
    }
    print_line(&format!("{} entries of {} are in {}.", manifest.digests.total(), from.shown, args.to))
}

fn describe(manifest: &Manifest) -> serde_json::Value {
    json!({
        "created_ms": manifest.created_ms,
        "entries": manifest.digests.total(),
        "digests": digest_lines(&manifest.digests),
    })
}

/// Lists the backups on drives.
///
/// # Errors
/// When the drives cannot be read.
pub(super) async fn list(args: &ListArgs, format: OutputFormat) -> Result<()> {
    let found = list_backups(&expand_data(&args.data)?).await.context("listing the backups")?;
    if format == OutputFormat::Json {
        let all: Vec<_> = found
            .iter()
            .map(|backup| {
                json!({
                    "id": backup.id.to_string(),
                    "cluster": backup.cluster.to_string(),
                    "created_ms": backup.manifest.created_ms,
                    "entries": backup.manifest.digests.total(),
                })
            })
            .collect();
        return print_json(&all);
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|backup| {
            vec![
                backup.id.to_string(),
                age(backup.manifest.created_ms),
                backup.manifest.digests.total().to_string(),
            ]
        })
        .collect();
    print_line(&table(&["ID", "AGE", "ENTRIES"], &rows))
}

fn age(created_ms: i64) -> String {
    let age_ms = granary_types::UnixMillis::now().0.saturating_sub(created_ms);
    let age = std::time::Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
    indicatif::HumanDuration(age).to_string()
}

/// Restores, verifies and reports.
///
/// # Errors
/// When it was refused or failed; it may be tried again.
pub(super) async fn restore(args: &RestoreArgs, format: OutputFormat) -> Result<()> {
    let from = parse(&args.from, args.id).context("--from")?;
    let to = place::parse(&args.to).context("--to")?;
    let mut shown = Shown::new(format)?;
    let options = CopyOptions::default();
    let restored = restore_metadata(&from, &to.place, options, |progress| shown.update(progress)).await;
    shown.end();
    let (manifest, report) =
        restored.with_context(|| format!("restoring {} into {}", args.from, to.shown))?;
    if format == OutputFormat::Json {
        return print_json(&json!({
            "to": to.shown,
            "resumed_at": report.resumed_at,
            "was_complete": report.was_complete,
            "backup": describe(&manifest),
        }));
    }
    print_line(&format!(
        "{} entries were restored into {} and found right. They are as of {} ago: what was written, changed or deleted \
         since is not known to them.",
        manifest.digests.total(),
        to.shown,
        age(manifest.created_ms)
    ))
}
