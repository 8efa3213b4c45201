//! Showing how far work on the metadata has come.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use granary_engine::moving::{Phase, Progress};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::{OutputFormat, print_json};

/// With `--json`, at most one line of progress in this time.
const LINE_INTERVAL: Duration = Duration::from_millis(500);

/// A bar on standard error, or lines of JSON on standard output.
pub(super) struct Shown {
    format: OutputFormat,
    bar: ProgressBar,
    last_line: Option<(Phase, Instant)>,
}

impl Shown {
    pub(super) fn new(format: OutputFormat) -> Result<Self> {
        let bar = match format {
            OutputFormat::Json => ProgressBar::hidden(),
            OutputFormat::Text => {
                let template =
                    "{prefix:>14} {wide_bar} {human_pos}/{human_len} entries, {per_sec}, {eta} left ({msg})";
                let style = ProgressStyle::with_template(template).context("the progress bar")?;
                ProgressBar::new(0).with_style(style)
            }
        };
        Ok(Self { format, bar, last_line: None })
    }

    pub(super) fn update(&mut self, progress: Progress) {
        let is_new_phase = self.last_line.is_none_or(|(phase, _)| phase != progress.phase);
        if self.format == OutputFormat::Text {
            if is_new_phase {
                self.last_line = Some((progress.phase, Instant::now()));
                self.bar.reset();
                self.bar.set_prefix(match progress.phase {
                    Phase::Copying => "copying",
                    Phase::ReadingSource => "reading source",
                    Phase::ReadingTarget => "reading target",
                });
            }
            self.bar.set_length(progress.total);
            self.bar.set_position(progress.done);
            self.bar.set_message(progress.table.name());
            return;
        }
        if is_new_phase || self.last_line.is_some_and(|(_, at)| at.elapsed() >= LINE_INTERVAL) {
            self.last_line = Some((progress.phase, Instant::now()));
            // Whoever reads the lines may have gone; the work goes on.
            let _ = print_json(&serde_json::json!({ "progress": progress }));
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
