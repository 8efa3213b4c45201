//! The rows and requests of the metadata, as values. No storage decisions are made here.

mod bucket;
mod commit;
mod event;
mod identity;
mod list;
mod lock;
mod node;
mod object;
mod settings;
mod side;
mod upload;
mod usage;
mod versions;
mod volume;
mod warm;
mod warm_query;
mod warm_step;

pub use bucket::{Bucket, BucketPage, BucketQuery, NewBucket};
pub(crate) use commit::fits;
pub use commit::{
    BlobApart, BlobMove, Commit, CompleteUpload, DeleteObject, NewUpload, ObjectMove, Outcome, PutObject,
    PutPart, ReferPart, RemoveObject, RenameObject, TagMatch, Transition, TransitionApart, VolumeAdvance,
    Write, WriteConditions,
};
pub(crate) use event::{Causes, event_outcome};
pub use event::{EventCause, EventPlace, NewEvent, QueuedEvent};
pub use identity::{IdentityChange, IdentityDocument};
pub use list::{ListEntry, ListPage, ListQuery, ListedObject};
pub use lock::{
    Bypass, EraseObject, EraseTerms, Expected, ExpireObject, LegalHold, LockChange, Locking, ObjectLock,
    Retention, Standing,
};
pub use node::{Drain, LeaseRow, NewNode, NodeDrive, NodeRow, NodeState};
pub use object::{
    BlobRow, Content, Extent, NewBlob, NewObject, ObjectRow, PackedLocation, PartRef, VersionKind,
};
pub use settings::{
    BucketChange, BucketLock, BucketSettings, DefaultRetention, LockMode, RetentionPeriod, Versioning,
};
pub use side::{AclChange, BucketDocument, DocumentQuery, RestoreChange, Restored, Tag, Tagging};
pub use upload::{PartPage, PartQuery, PartRow, UploadEntry, UploadPage, UploadQuery, UploadRow};
pub use usage::BucketUsage;
pub(crate) use usage::{UsageDelta, UsageDeltas};
pub use versions::{ListedVersion, VersionEntry, VersionMarker, VersionPage, VersionQuery};
pub use volume::{DriveRow, DriveState, NewVolume, SealedEnd, ShardMove, VolumeRow, VolumeState};
pub use warm::{Heat, WarmKind, WarmPlace, WarmRow, WarmVersion};
pub use warm_query::{WarmAfter, WarmQuery, WarmUsage};
pub use warm_step::{WarmChange, WarmStep};
pub(crate) use warm_step::{Warmed, warmed};
