//! A database that fails over to a standby may have lost the last commits: what this process knows of that.
//!
//! Postgres counts the histories of a database: each promotion of a standby begins the next *timeline*. So a timeline that
//! is higher than before tells that there was a fail-over, to whoever connects. Whether commits were lost in it, each writer
//! finds out for itself: its last batch is a row of the database, and the row must name the batch that was answered last.

use async_trait::async_trait;
use granary_types::{BucketId, NodeId, ObjectKey, UnixMillis, VersionId, WriteId};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::NewVolume;

/// Which history of the database; goes up with each promotion of a standby.
/// Source: <https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES>
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timeline(pub u32);

/// The end of a volume: what was committed there the database does not know any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostTail {
    /// The volume as it was opened; the database may not know it.
    pub volume: NewVolume,
    /// The committed end that the database knew; 0 if it did not know the volume.
    pub known_end: u64,
    /// The committed end that was answered, or up to where there are whole stripes.
    pub answered_end: u64,
    /// The node that deals with it, unless it is dead; `None` in a store on one machine.
    pub node: Option<NodeId>,
}

/// A change that was answered, is lost, and is told by no block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostChange {
    /// What was changed, in words.
    pub what: &'static str,
    /// The bucket, of what belongs to one.
    pub bucket: Option<BucketId>,
    /// The key, or the name of what was changed.
    pub key: String,
}

/// What this process committed and the database lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost {
    /// Transactions.
    pub batches: u64,
    /// What no block tells of.
    pub changes: Vec<LostChange>,
}

impl Lost {
    /// Whether nothing was lost.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.batches == 0
    }
}

/// How far a node is with what a fail-over asks of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailOverStep {
    /// It knows what it lost, and has stored where that lies.
    Heard,
    /// It has looked for volumes on its drives that nobody knows any more.
    Searched,
}

/// What a node has told of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeHistory {
    /// The node.
    pub node: NodeId,
    /// The timeline it speaks of.
    pub timeline: Timeline,
    /// How far it is.
    pub step: FailOverStep,
    /// Whether it had lost anything.
    pub has_lost: bool,
}

/// Why something that was answered is not as it was answered any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LossKind {
    /// A delete is undone: the version is there again.
    Delete,
    /// A conditional write, whose condition does not hold any more.
    Condition,
    /// A write to a key that others wrote to at about the same time: which came last is not known.
    Conflict,
    /// Bytes of a version, or its record, are not on the drives.
    Bytes,
    /// A bucket was created, deleted or changed, and is not as it was answered.
    Bucket,
    /// A part of an upload in progress; completing the upload tells the client of it.
    Part,
    /// A lock or the versioning of the bucket forbids to write it again.
    Refused,
    /// A change that blocks do not tell of: tags, locks, configurations, identities, uploads.
    Change,
}

/// Something that was answered and could not be made true again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Why.
    pub kind: LossKind,
    /// Found in the fail-over that began this timeline; 0 if that is not known.
    pub timeline: u32,
    /// When it was found.
    pub found: UnixMillis,
    /// The bucket, by name or, where nobody knows that, id.
    pub bucket: String,
    /// The key.
    pub key: Option<ObjectKey>,
    /// The version.
    pub version: Option<VersionId>,
    /// The write.
    pub write: Option<WriteId>,
    /// In words.
    pub detail: String,
}

/// Losses in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LossPage {
    /// The losses.
    pub losses: Vec<Loss>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// Databases that may fail over and lose commits.
///
/// A call that fails may have been applied; all of them may be made again.
#[async_trait]
pub trait FailOvers: Send + Sync + 'static {
    /// The highest timeline that any connection of this process has met; `None` if the database does not tell. It is known
    /// before the first statement on a new history is.
    fn newest(&self) -> Option<Timeline>;

    /// What was found to be lost and not yet finished. Complete once a commit was answered on the newest timeline; the ends
    /// of volumes are then in [`FailOvers::tails`].
    fn lost(&self) -> Lost;

    /// What [`FailOvers::lost`] told is dealt with.
    fn finish_lost(&self, lost: &Lost);

    /// The ends of volumes that are to be dealt with. A writer stores them before it commits anything new.
    async fn tails(&self) -> Result<Vec<LostTail>>;

    /// Adds to what [`FailOvers::tails`] gives. Of one volume there is one, from the lowest end to the highest.
    async fn put_tail(&self, tail: LostTail) -> Result<()>;

    /// Raises the committed end of a tail's volume, open or sealed, to where it was answered to. `stored_bytes` is what its
    /// stripes take in all shard files together. `false` if the volume is not known or was freed.
    async fn raise_end(&self, tail: &LostTail, stored_bytes: u64) -> Result<bool>;

    /// What is in this tail is committed again or reported.
    async fn finish_tail(&self, tail: &LostTail) -> Result<()>;

    /// The timeline up to which all nodes have dealt with what was lost; `None` before it was first stored.
    async fn settled(&self) -> Result<Option<Timeline>>;

    /// Raises what [`FailOvers::settled`] tells.
    async fn settle(&self, timeline: Timeline) -> Result<()>;

    /// Tells the other nodes how far this one is.
    async fn tell(&self, told: NodeHistory) -> Result<()>;

    /// How far the nodes are, as they told last.
    async fn told(&self) -> Result<Vec<NodeHistory>>;

    /// Keeps losses until they are dismissed. One that is reported again counts once.
    async fn report(&self, losses: Vec<Loss>) -> Result<()>;

    /// Losses, behind `after`, at most `limit`.
    async fn losses(&self, after: Option<Vec<u8>>, limit: u32) -> Result<LossPage>;

    /// How many there are.
    async fn count_losses(&self) -> Result<u64>;

    /// Forgets all losses. Returns how many.
    async fn dismiss_losses(&self) -> Result<u64>;
}
