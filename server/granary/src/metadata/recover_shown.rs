//! Showing how far a rebuild of the metadata has come, and what it found.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use granary_engine::recover::{FindingKind, RecoverProgress, RecoverReport};
use indicatif::{ProgressBar, ProgressStyle};

use super::progress;
use crate::output::{OutputFormat, print_json, print_line, table};

/// With `--json`, at most one line of progress in this time.
const LINE_INTERVAL: Duration = Duration::from_millis(500);
const READING: &str = "reading {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
const REPLAYING: &str = "replaying {wide_bar} {pos}/{len}";

/// A bar on standard error, or lines of JSON on standard output.
pub(super) struct Shown {
    format: OutputFormat,
    bar: ProgressBar,
    is_reading: bool,
    last_line: Option<Instant>,
    writing: progress::Shown,
}

fn style(template: &str) -> Result<ProgressStyle> {
    ProgressStyle::with_template(template).context("the progress bar")
}

impl Shown {
    pub(super) fn new(format: OutputFormat) -> Result<Self> {
        let bar = match format {
            OutputFormat::Json => ProgressBar::hidden(),
            OutputFormat::Text => ProgressBar::new(0).with_style(style(READING)?),
        };
        let writing = progress::Shown::new(format)?;
        Ok(Self { format, bar, is_reading: true, last_line: None, writing })
    }

    pub(super) fn update(&mut self, progress: RecoverProgress) {
        let (phase, done, total) = match progress {
            RecoverProgress::Reading { done_bytes, total_bytes } => ("reading", done_bytes, total_bytes),
            RecoverProgress::Replaying { done, total } => ("replaying", done, total),
            RecoverProgress::Writing(progress) => {
                self.bar.finish_and_clear();
                return self.writing.update(progress);
            }
        };
        if self.is_reading && phase == "replaying" {
            self.is_reading = false;
            self.bar.reset();
            if let Ok(style) = style(REPLAYING) {
                self.bar.set_style(style);
            }
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
        if self.format == OutputFormat::Json && self.last_line.is_none_or(|at| at.elapsed() >= LINE_INTERVAL)
        {
            self.last_line = Some(Instant::now());
            // Whoever reads the lines may have gone; the work goes on.
            let _ = print_json(
                &serde_json::json!({ "progress": { "phase": phase, "done": done, "total": total } }),
            );
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
        self.writing.end();
    }
}

fn meaning(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Unconfirmed => "written last, perhaps never acknowledged: to be decided",
        FindingKind::Condition => "conditional writes whose condition seems not to have held: to be decided",
        FindingKind::Conflict => "written by two processes at about the same time: to be decided",
        FindingKind::Lost => "versions whose bytes are on none of the drives given: left out",
        FindingKind::BucketUnnamed => "buckets whose name is not known: named recovered-…",
        FindingKind::BucketOwnerUnknown => "buckets whose owner and region are not known",
        FindingKind::Upload => "uploads in progress: given up",
    }
}

/// Prints what was found.
///
/// # Errors
/// Failure to write.
pub(super) fn print_report(report: &RecoverReport) -> Result<()> {
    let backup = match &report.backup {
        Some((id, _)) => format!("begun with backup {id}"),
        None => "there was no backup to begin with".to_owned(),
    };
    print_line(&format!(
        "Store {}: {} drives, {} lost; {backup}.",
        report.cluster, report.drives, report.lost_drives
    ))?;
    let volumes = &report.volumes;
    let rows = [
        ("buckets", report.buckets),
        ("versions of objects", report.objects),
        ("delete markers", report.delete_markers),
        ("versions that the backup did not know", report.from_blocks),
        ("versions deleted or replaced since", report.gone),
        ("versions under a legal hold now (buckets with object lock recover closed)", report.closed),
        (
            "versions with the tags and locks they were put with; later changes are not known",
            report.tags_as_put,
        ),
        ("volumes", volumes.found),
        ("volumes that lack a shard: run `granary heal`", volumes.degraded),
        ("stripes lost; newer versions may have been in them", volumes.lost_stripes),
        ("stripes that were being written at the end, never acknowledged: left out", volumes.torn_stripes),
        ("volumes with too few files, in which nothing lives: left out", volumes.left_out),
        ("records that cannot be read", volumes.unreadable_records),
        ("files in quarantine, not looked into", volumes.quarantined_files),
    ];
    let mut rows: Vec<Vec<String>> =
        rows.iter().map(|(what, count)| vec![(*what).to_owned(), count.to_string()]).collect();
    rows.extend(
        report.findings.iter().map(|(kind, count)| vec![meaning(*kind).to_owned(), count.to_string()]),
    );
    print_line(&table(&["WHAT", "COUNT"], &rows))?;
    for finding in report.shown.iter().filter(|finding| finding.kind.is_candidate()) {
        print_line(&format!(
            "{} {}/{} write {}: {} suggested",
            finding.deed,
            finding.bucket,
            finding.key,
            finding.write,
            finding.suggested.map_or("nothing", |verdict| verdict.name())
        ))?;
    }
    Ok(())
}
