//! What a rebuild found, for people and for programs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use granary_types::{BucketId, ObjectKey, VersionId, WriteId};
use serde::Serialize;

use super::scan::FoundVolume;
use super::{Verdict, io};
use crate::error::Result;

/// So many findings of each kind are in the report; the list has all.
const SHOWN_MAX: usize = 100;

/// What is wrong with a version, or uncertain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A candidate: it lies behind the last end of its volume that the drives remember as committed. It was acknowledged,
    /// or its answer was under way when the server ended.
    Unconfirmed,
    /// A candidate: it was put under a condition which, as far as can be seen, did not hold.
    Condition,
    /// A candidate: two processes wrote to the key so shortly after each other that their clocks do not tell the order.
    Conflict,
    /// Bytes of it are on none of the drives given.
    Lost,
    /// A bucket has a made-up name, because no block and no backup tells it.
    BucketUnnamed,
    /// The owner and the region of a bucket are not known.
    BucketOwnerUnknown,
    /// An upload that was in progress is given up.
    Upload,
}

impl FindingKind {
    /// Whether somebody has to decide about it.
    #[must_use]
    pub fn is_candidate(self) -> bool {
        matches!(self, Self::Unconfirmed | Self::Condition | Self::Conflict)
    }
}

/// One thing to know.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// The bucket: its id, and its name where that is known.
    pub bucket: String,
    /// The key; empty for a bucket.
    pub key: String,
    /// The version.
    pub version: String,
    /// The write that made it.
    pub write: String,
    /// Its time, in milliseconds since 1970.
    pub modified_ms: i64,
    /// What it would be: a put or a delete.
    pub deed: &'static str,
    /// For candidates: what is suggested.
    pub suggested: Option<Verdict>,
    /// For candidates: what was decided. A list with other decisions can be given back.
    pub decision: Option<Verdict>,
}

impl Finding {
    pub(super) fn new(kind: FindingKind, bucket: BucketId, key: &ObjectKey) -> Self {
        Self { key: key.as_str().to_owned(), ..Self::of_bucket(kind, bucket) }
    }

    pub(super) fn of_bucket(kind: FindingKind, bucket: BucketId) -> Self {
        Self {
            kind,
            bucket: bucket.to_string(),
            key: String::new(),
            version: VersionId::NULL.to_string(),
            write: String::new(),
            modified_ms: 0,
            deed: "put",
            suggested: None,
            decision: None,
        }
    }

    pub(super) fn of_write(mut self, version: VersionId, write: WriteId, modified_ms: i64) -> Self {
        self.version = version.to_string();
        self.write = write.to_string();
        self.modified_ms = modified_ms;
        self
    }
}

/// What was read of the volumes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VolumesReport {
    /// Volumes of which there is at least one column.
    pub found: u64,
    /// Those of them that lack a column.
    pub degraded: u64,
    /// Stripes that too few columns are left of. What they held is not known; older versions may have come back for it.
    pub lost_stripes: u64,
    /// Stripes that were being written when a process was killed, and those behind them. Nothing of them was acknowledged, and
    /// nothing of them counts.
    pub torn_stripes: u64,
    /// Volumes that nothing lives in and of which more files are gone than are made up for: those of a volume whose files were being
    /// removed, or created, when a process was killed. The metadata does not know them, and a server puts them in quarantine.
    pub left_out: u64,
    /// Records that cannot be understood.
    pub unreadable_records: u64,
    /// Bytes of shard files that were read.
    pub read_bytes: u64,
    /// Files in quarantine, which are not looked into.
    pub quarantined_files: u64,
}

impl VolumesReport {
    /// Nothing is to be healed in a volume that is left out.
    pub(super) fn leave_out(&mut self, volume: &FoundVolume) {
        tracing::warn!(volume = %volume.id, "a volume is left out: nothing lives in it, and too few of its files are there");
        self.left_out = self.left_out.saturating_add(1);
        self.degraded = self.degraded.saturating_sub(1);
        self.lost_stripes = self.lost_stripes.saturating_sub(volume.lost_stripes);
    }
}

/// What a rebuild found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RecoverReport {
    /// The store.
    pub cluster: String,
    /// The backup it began with: id and time.
    pub backup: Option<(String, i64)>,
    /// Drives given.
    pub drives: usize,
    /// Drives that are lost.
    pub lost_drives: usize,
    /// What was read of the volumes.
    pub volumes: VolumesReport,
    /// Buckets.
    pub buckets: u64,
    /// Versions of objects, the current ones and older ones.
    pub objects: u64,
    /// Delete markers.
    pub delete_markers: u64,
    /// Versions that came from the blocks: the backup did not know them.
    pub from_blocks: u64,
    /// Versions that were deleted for good since the backup, or replaced, and do not come back.
    pub gone: u64,
    /// Records of versions that the backup shows to be deleted.
    pub outdated: u64,
    /// Versions in buckets with object lock; each has a legal hold now.
    pub closed: u64,
    /// Versions from the blocks have the tags and locks they were put with: what was changed later is not in the blocks.
    pub tags_as_put: u64,
    /// Candidates that are not named in the decisions.
    pub undecided: u64,
    /// How many there are of each kind.
    pub findings: BTreeMap<FindingKind, u64>,
    /// The first of each kind.
    pub shown: Vec<Finding>,
}

/// Takes findings as they come.
pub(super) struct Findings {
    list: Option<BufWriter<File>>,
    counts: BTreeMap<FindingKind, u64>,
    shown: Vec<Finding>,
}

impl Findings {
    pub(super) fn create(list: Option<&Path>) -> Result<Self> {
        let list = list.map(File::create).transpose().map_err(io("making the list of findings"))?;
        Ok(Self { list: list.map(BufWriter::new), counts: BTreeMap::new(), shown: Vec::new() })
    }

    pub(super) fn add(&mut self, finding: Finding) -> Result<()> {
        if let Some(list) = &mut self.list {
            let line = serde_json::to_string(&finding).map_err(std::io::Error::other);
            line.and_then(|line| writeln!(list, "{line}")).map_err(io("writing the list of findings"))?;
        }
        let count = self.counts.entry(finding.kind).or_default();
        *count = count.saturating_add(1);
        if usize::try_from(*count).is_ok_and(|count| count <= SHOWN_MAX) {
            self.shown.push(finding);
        }
        Ok(())
    }

    pub(super) fn finish(mut self, report: &mut RecoverReport) -> Result<()> {
        if let Some(list) = &mut self.list {
            list.flush().map_err(io("writing the list of findings"))?;
        }
        report.findings = self.counts;
        report.shown = self.shown;
        Ok(())
    }
}
