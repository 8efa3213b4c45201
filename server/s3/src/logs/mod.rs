//! Server access logs: what was asked of a bucket, written as objects into another.
//!
//! A request about a bucket with logging leaves a line ([`line`]) in memory; every while the lines of each bucket become an
//! object of its target ([`deliver`]). As AWS says of its own, this is done at best effort: what a node that dies has in memory
//! is lost, and so are lines when more come than can be delivered.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html>

mod deliver;
mod grants;
mod line;

use std::collections::HashMap;
use std::sync::Arc;

use granary_types::BucketName;
use parking_lot::Mutex;

use crate::access::rules::Rules;
use crate::xml::read::Element;

pub(crate) use grants::{TargetGrant, check as check_grants};
pub(crate) use line::{Answered, Trail, leave, saw, saw_deleted, saw_need_of_list, saw_source};

/// The name of the configuration.
pub(crate) const DOCUMENT: &str = "logging/";

/// Lines that wait to be delivered, in bytes: all together, and of one bucket.
const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
const ONE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How the keys of logs are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum KeyFormat {
    /// The prefix and the time.
    #[default]
    Simple,
    /// Between them the bucket and the date.
    Partitioned,
}

/// Where the logs of a bucket go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogTarget {
    pub(crate) bucket: BucketName,
    pub(crate) prefix: String,
    pub(crate) format: KeyFormat,
    pub(crate) grants: Vec<TargetGrant>,
}

impl LogTarget {
    /// Reads a configuration; `None` if there is no logging.
    pub(crate) fn of_element(root: &Element) -> Option<Self> {
        let enabled = root.child("LoggingEnabled")?;
        let text = |name: &str| enabled.child(name).map(|child| child.text.as_str()).unwrap_or_default();
        let format =
            enabled.child("TargetObjectKeyFormat").and_then(|format| format.child("PartitionedPrefix"));
        Some(Self {
            bucket: BucketName::new(text("TargetBucket").trim()).ok()?,
            prefix: text("TargetPrefix").to_owned(),
            format: if format.is_some() { KeyFormat::Partitioned } else { KeyFormat::Simple },
            grants: TargetGrant::all(enabled).ok()?,
        })
    }
}

/// The lines of one bucket.
struct Waiting {
    /// As it was when the first line came.
    rules: Arc<Rules>,
    lines: String,
}

/// The lines that wait.
#[derive(Default)]
pub(crate) struct AccessLogs(Mutex<HashMap<BucketName, Waiting>>);

impl AccessLogs {
    /// Adds lines about a bucket that has logging.
    fn add(&self, rules: &Arc<Rules>, lines: &str) {
        let mut waiting = self.0.lock();
        let all: usize = waiting.values().map(|waiting| waiting.lines.len()).sum();
        let own = waiting.get(&rules.bucket).map_or(0, |waiting| waiting.lines.len());
        if all.saturating_add(lines.len()) > WAITING_BYTES_MAX
            || own.saturating_add(lines.len()) > ONE_BYTES_MAX
        {
            metrics::counter!("granary_access_log_lines_total", "outcome" => "dropped")
                .increment(lines.lines().count() as u64);
            return;
        }
        let entry = waiting
            .entry(rules.bucket.clone())
            .or_insert_with(|| Waiting { rules: Arc::clone(rules), lines: String::new() });
        // What counts for delivery is the newest configuration.
        entry.rules = Arc::clone(rules);
        entry.lines.push_str(lines);
    }

    fn take(&self) -> Vec<Waiting> {
        std::mem::take(&mut *self.0.lock()).into_values().collect()
    }
}
