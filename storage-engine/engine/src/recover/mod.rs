//! Making the metadata anew from what the drives hold, for the day the database is gone.
//!
//! Begins with the newest backup of the metadata on the drives, if there is one. Then all volumes are read, checked, and
//! rebuilt where columns are lost ([`scan`]); each record in them goes to a spool by its key ([`spool`]), and key by key
//! what is known is replayed in the order it was written ([`replay`]). What comes out is an export like any other
//! ([`assemble`]), so that writing it is a copy like any other: verified, and resumable while the drives stay as they are.
//!
//! Nothing is guessed silently. What was written and may never have been committed is a candidate ([`Candidates`]), and
//! nothing is written before somebody has decided about them. Buckets with object lock recover closed: a legal hold is
//! on all of their versions, because nobody knows by which locks they were held.

mod assemble;
mod blobs;
mod buckets;
mod drives;
mod later;
mod replay;
mod report;
mod resolve;
mod rows;
mod scan;
mod spool;
mod tail;
mod target;
mod torn;

use std::collections::HashMap;
use std::path::PathBuf;

use granary_metadata::moving::{CopyOptions, CopyReport, Progress, copy};
use granary_types::{ClusterId, WriteId};

use crate::error::{EngineError, Result};
use crate::moving::MetadataPlace;
use crate::start::blocking;

pub(crate) use blobs::Blobs;
pub(crate) use replay::{CLOCKS_APART_US, conditions_hold, stored_length};
pub use report::{Finding, FindingKind, RecoverReport, VolumesReport};
pub(crate) use tail::{KnownVolume, Late, LateDeed, Novelty, Tail, late_writes, read_segments, read_tail};

/// What is done when drives of the store are not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingDrives {
    /// Nothing is done: they may hold the metadata, or newer data.
    Refused,
    /// They are lost: what they held is rebuilt from the others.
    Lost,
}

/// What is done with metadata that is still on the drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Nothing is done.
    Refused,
    /// It is moved aside, and stays on the drives under another name.
    MovedAside,
}

/// The backup that a rebuild begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeginWith {
    /// The newest on the drives, if there is one.
    Newest,
    /// That one.
    Backup(ClusterId),
    /// None: what the blocks tell is all.
    Nothing,
}

/// What becomes of candidates that the decisions do not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Candidates {
    /// Nothing is written as long as there are some.
    Undecided,
    /// What is suggested for each.
    AsSuggested,
    /// All of them count.
    All,
    /// None of them counts.
    None,
}

/// How the metadata is rebuilt.
#[derive(Debug, Clone)]
pub struct RecoverOptions {
    /// The directories of the drives: all of the store's, of all its nodes.
    pub data: Vec<PathBuf>,
    /// Where the metadata shall be; `None` only reports.
    pub to: Option<MetadataPlace>,
    /// A directory for some 500 bytes for each version, removed at the end.
    pub work: PathBuf,
    /// What is done when drives are not given.
    pub missing: MissingDrives,
    /// What is done with metadata that is still there.
    pub existing: Existing,
    /// What to begin with.
    pub begin_with: BeginWith,
    /// What becomes of candidates.
    pub candidates: Candidates,
    /// Decisions about single candidates, by the id of their write: whether they count.
    pub decisions: HashMap<WriteId, Verdict>,
    /// The file that gets all findings, one JSON object a line.
    pub list: Option<PathBuf>,
}

/// Whether a candidate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It counts.
    Include,
    /// It counts for nothing.
    Exclude,
}

impl Verdict {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Include => "include",
            Self::Exclude => "exclude",
        }
    }
}

/// How far a rebuild has come.
#[derive(Debug, Clone, Copy)]
pub enum RecoverProgress {
    /// Bytes of all shard files that were read, of how many.
    Reading {
        /// So far.
        done_bytes: u64,
        /// In all.
        total_bytes: u64,
    },
    /// Shares of the keys that were replayed, of how many.
    Replaying {
        /// So far.
        done: u64,
        /// In all.
        total: u64,
    },
    /// Entries are written and verified.
    Writing(Progress),
}

/// What became of a rebuild.
#[derive(Debug)]
pub struct Recovered {
    /// What was found.
    pub report: RecoverReport,
    /// What was written; `None` if nothing was.
    pub written: Option<CopyReport>,
}

/// Rebuilds the metadata from the drives, and writes it if that was asked for. No server may use the drives. Killed at any
/// point, the same call begins to read anew, and goes on writing where it was.
///
/// # Errors
/// When drives are missing and not given up, a server uses them, metadata is in use already, a drive cannot be read for a
/// reason that may pass, or the target fails. Candidates about which nobody decided are no error: nothing is written then.
pub async fn recover_from_drives(
    options: &RecoverOptions,
    mut watch: impl FnMut(RecoverProgress),
) -> Result<Recovered> {
    let opening = options.clone();
    let opened = blocking(move || drives::open(&opening)).await?;
    let mut target = match &options.to {
        Some(place) => Some(target::open(place, &opened, options.existing).await?),
        None => None,
    };
    let work = spool::Work::create(&options.work)?;
    let base = resolve::find_base(options, &opened).await?;
    let scanned = scan::scan(&opened, base.as_ref(), &work, &mut watch).await?;
    let assembled = resolve::resolve(options, &opened, base.as_ref(), scanned, &work, &mut watch).await?;
    let undecided = options.candidates == Candidates::Undecided && assembled.report.undecided > 0;
    let Some(target) = target.as_mut().filter(|_| !undecided) else {
        return Ok(Recovered { report: assembled.report, written: None });
    };
    let import = target.import(&opened, options.existing).await?;
    let watching = |progress| watch(RecoverProgress::Writing(progress));
    let (report, state) = copy(&assembled.export, import, CopyOptions::default(), watching).await?;
    granary_types::crash_point("recover.after_copy_before_finish");
    import.finish(&state).await?;
    Ok(Recovered { report: assembled.report, written: Some(report) })
}

fn io(context: &'static str) -> impl FnOnce(std::io::Error) -> EngineError {
    move |source| EngineError::Io { context, source }
}
