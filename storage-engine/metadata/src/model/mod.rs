//! The rows and requests of the metadata, as values. No storage decisions are made here.

mod bucket;
mod commit;
mod list;
mod node;
mod object;
mod side;
mod upload;
mod volume;

pub use bucket::{Bucket, BucketPage, BucketQuery, NewBucket};
pub use commit::{
    BlobMove, Commit, CompleteUpload, DeleteObject, NewUpload, ObjectMove, Outcome, PutObject, PutPart,
    TagMatch, VolumeAdvance, Write, WriteConditions,
};
pub use list::{ListEntry, ListPage, ListQuery, ListedObject};
pub use node::{LeaseRow, NewNode, NodeDrive, NodeRow, NodeState};
pub use object::{
    BlobRow, Content, Extent, NewBlob, NewObject, ObjectRow, PackedLocation, PartRef, VersionKind,
};
pub use side::{BucketDocument, DocumentQuery, Tag, Tagging};
pub use upload::{PartPage, PartQuery, PartRow, UploadEntry, UploadPage, UploadQuery, UploadRow};
pub use volume::{DriveRow, DriveState, NewVolume, SealedEnd, ShardMove, VolumeRow, VolumeState};
