//! The documents about warm copies: prefixes whose objects on disks are copied to SSDs.

use serde::{Deserialize, Serialize};

use crate::restores::RestoreTier;

/// What is to be done with prefixes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
#[allow(missing_docs, reason = "the fields are documented by their types")]
pub enum WarmRequest {
    /// Begin to make copies that go when their room is needed.
    Prefetch { bucket: String, prefix: String },
    /// Begin to make copies that stay, also of what comes to the prefix later.
    Pin { bucket: String, prefix: String },
    /// Pin it no longer.
    Unpin { bucket: String, prefix: String },
    /// Tell which prefixes are pinned.
    Pins,
    /// Tell how far a job is.
    Job { job: u64 },
    /// Tell of the jobs of all nodes, and of the restores that are not done yet.
    Jobs,
}

/// What was done or found: of these what was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmAnswer {
    /// The job that was begun.
    pub started: Option<u64>,
    /// How many copies are not pinned any more, and go when their room is needed.
    pub unpinned: Option<u64>,
    /// All pinned prefixes.
    pub pins: Option<Vec<PinReport>>,
    /// How far a job is.
    pub job: Option<WarmJobReport>,
    /// All jobs.
    pub jobs: Option<Vec<TierJobReport>>,
}

/// A pinned prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinReport {
    /// The bucket.
    pub bucket: String,
    /// The prefix; empty for the whole bucket.
    pub prefix: String,
    /// Objects that have their copies.
    pub copies: u64,
    /// Bytes of these copies.
    pub bytes: u64,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmJobKind {
    /// Copies that go when their room is needed.
    Prefetch,
    /// Copies that stay.
    Pin,
}

/// Where a job is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmJobState {
    /// At work.
    Running,
    /// Everything was gone through.
    Done,
    /// Ended early, and why.
    Failed(String),
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmJobReport {
    /// What it does.
    pub kind: WarmJobKind,
    /// The bucket.
    pub bucket: String,
    /// The prefix.
    pub prefix: String,
    /// Where it is in its life.
    pub state: WarmJobState,
    /// Objects found so far that lie on disks and can be read at once.
    pub found: u64,
    /// Of these, what was copied.
    pub copied: u64,
    /// Bytes that were copied.
    pub bytes: u64,
    /// What had a copy already.
    pub warm: u64,
    /// What was replaced, deleted or copied by somebody else meanwhile.
    pub changed: u64,
    /// What could not be copied now.
    pub failed: u64,
    /// What there was no room for.
    pub no_room: u64,
    /// Objects that lie on SSDs anyway.
    pub on_ssd: u64,
    /// Archived objects, which only a restore makes readable.
    pub archived: u64,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TierJobKind {
    /// A prefix is prefetched.
    Prefetch,
    /// A prefix that was pinned gets its copies.
    Pin,
    /// Archived objects are restored.
    Restore,
    /// The lifecycle of a bucket moves its objects to their classes.
    Move,
}

/// How it is with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TierJobState {
    /// Something else is done first.
    Waiting,
    /// At work.
    Running,
    /// Everything was gone through.
    Done,
    /// Ended early.
    Failed,
    /// Its node was stopped, or does not tell of it any more.
    Interrupted,
}

/// Work on copies, as far as the node that was asked knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierJobReport {
    /// What is done.
    pub kind: TierJobKind,
    /// Of restores, which: all that were asked for with this urgency.
    pub tier: Option<RestoreTier>,
    /// The number that its node gave it; restores have none.
    pub job: Option<u64>,
    /// The bucket; restores have none.
    pub bucket: Option<String>,
    /// The prefix.
    pub prefix: Option<String>,
    /// How it is with it.
    pub state: TierJobState,
    /// Why it ended early.
    pub reason: Option<String>,
    /// The node that does it; absent if the store is on one machine.
    pub holder: Option<String>,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// Objects that were gone through.
    pub objects_done: u64,
    /// Objects found so far, these included.
    pub objects_found: u64,
    /// Whether there are no more.
    pub listed: bool,
    /// Objects of which something failed; it is tried again. Of restores, as the node that was asked saw it.
    #[serde(default)]
    pub objects_failed: u64,
    /// The last of these, and why.
    #[serde(default)]
    pub last_failure: Option<String>,
    /// Objects for which there was no room on the SSDs; nobody tries them again.
    #[serde(default)]
    pub objects_without_room: u64,
    /// Bytes that were copied; of moves 0.
    pub bytes_copied: u64,
    /// Bytes of what was found and is not copied yet. Of very many restores it is reckoned from the first.
    pub bytes_left: u64,
    /// How long these take at the rate that was seen; absent if none was.
    pub seconds_left: Option<u64>,
}

/// What all warm copies of a store come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmReport {
    /// How much prefetched and promoted copies together may take, parity left out.
    pub limit_bytes: u64,
    /// Prefetched copies.
    pub prefetched: CopiesReport,
    /// Copies of what is read often.
    pub promoted: CopiesReport,
    /// Pinned copies.
    pub pinned: CopiesReport,
    /// Restored copies of archived objects.
    pub restored: CopiesReport,
    /// Archived objects whose restores are under way.
    pub restoring: u64,
}

/// Some copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiesReport {
    /// How many.
    pub copies: u64,
    /// Their bytes, parity left out.
    pub bytes: u64,
}
