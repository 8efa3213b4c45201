//! The storage engine: objects on erasure-coded volumes.
//!
//! A small body is packed with others into one stripe ([`write`]); a large one streams through full stripes of its
//! own. Either way the bytes are flushed on every drive before one metadata commit makes them an object. Reading
//! ([`read`]) checks every byte against its hash and rebuilds what is wrong. Behind both, [`maintain`] heals,
//! scrubs, compacts and gives room back.
//!
//! The engine knows nothing of HTTP, XML or S3 headers.

mod acls;
mod api;
mod append;
mod buckets;
mod configurations;
mod configured;
mod deletes;
mod documents;
mod drive_status;
mod drives;
mod engine;
mod error;
mod events;
mod fail_over;
mod failures;
mod identities;
mod layout;
mod lifecycle;
mod locks;
mod maintain;
pub mod moving;
mod multipart;
mod nodes;
mod objects;
mod options;
mod owners;
mod quota;
mod read;
mod receive;
mod record;
pub mod recover;
mod refer;
mod rename;
mod restore;
#[cfg(test)]
mod sample_body;
#[cfg(test)]
mod sample_store;
mod sealing;
#[cfg(test)]
mod simulated;
mod start;
mod status;
mod tags;
mod tier_status;
mod tiers;
mod told;
mod transit;
mod upkeep;
mod volume;
mod waits;
mod warm;
mod write;

pub use acls::ObjectAcl;
pub use api::*;
pub use configured::{ConfiguredBucket, Freshness};
pub use drive_status::{DriveHealth, DriveNode, DriveStatus};
pub use drives::{DriveProblem, UnusedDrive};
pub use engine::Engine;
pub use error::{EngineError, Result};
pub use events::{
    CreatedBy, DestinationKind, Event, EventKind, NOTIFICATIONS, NotificationRule, NotificationRules, Origin,
    WaitingEvent,
};
pub use failures::Failures;
pub use granary_cluster::rpc::{ClusterSecret, SECRET_LENGTH_BYTES_MIN, Tls};
pub use granary_erasure::{Acceleration, Profile, measure_acceleration};
pub use granary_keys::{
    CustomerKey, DEFAULT_KMS_KEY, KeyError, KeyName, KeyNameError, KeyRing, KeyRow, Keys, MANAGED_KEY,
};
pub use granary_metadata::postgres::PostgresOptions;
pub use granary_metadata::{
    BucketDocument, BucketUsage, EventCause, EventPlace, IdentityChange, IdentityDocument, Loss, LossKind,
    LossPage, NodeRow, NodeState, VolumeRow, VolumeState,
};
pub use lifecycle::{
    DayLength, Expiration, FilterShape, LifecycleFilter, LifecycleRule, LifecycleRules, NoncurrentExpiration,
    NoncurrentTransition, RuleStatus, Subject, Tags, Transition, TransitionTime,
};
pub use maintain::{
    DrainPlan, DrainStatus, Fate, Leaving, MoveStep, RebalanceStatus, TaskId, TaskKind, TaskProgress,
    TaskState,
};
pub use nodes::{Join, NodeOptions, NodeStatus, Packing};
pub use options::{EngineOptions, MetadataChoice};
pub use owners::{OwnerDirectory, OwnerLimits};
pub use quota::{BUCKET_LIMITS, BucketLimits, Quota};
pub use read::{ObjectHandle, ObjectStream};
pub use refer::SharedBlobs;
pub use rename::RenameConditions;
pub use restore::check_readable;
pub use sealing::{BucketEncryption, CustomerKeyUse, DefaultEncryption, Encryption, EncryptionInfo};
pub use start::check_one_store;
pub use tier_status::{ClassStatus, TierStatus};
pub use tiers::{CodeRule, TierRule, WhenFull};
pub use waits::Waits;
pub use warm::{
    PinStatus, TierJob, TierJobState, TierWork, WarmJob, WarmJobId, WarmJobKind, WarmJobState, WarmOptions,
    WarmStatus,
};
