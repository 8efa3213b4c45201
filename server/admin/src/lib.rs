//! The admin API: what an operator asks of a running server, and a client for it.
//!
//! Every request is signed with Signature Version 4 by the root credentials, its body included; nothing is served
//! without. Requests and answers are JSON.
//!
//! | request | answer |
//! |---|---|
//! | `GET /_granary/v1/drives` | [`DriveList`] |
//! | `GET /_granary/v1/tiers` | [`TierList`] |
//! | `GET /_granary/v1/volumes?after=ID&limit=N` | [`VolumePage`] |
//! | `GET /_granary/v1/nodes` | [`NodeList`] |
//! | `DELETE /_granary/v1/nodes/NAME` | 200 when the node, dead or drained, was removed |
//! | `DELETE /_granary/v1/drives/ID` | 200 when the drained drive was retired |
//! | `POST /_granary/v1/nodes/NAME/drain?apply=BOOL`, `/drives/ID/drain?apply=BOOL` | [`DrainPlan`] |
//! | `POST /_granary/v1/drives/ID/replace?by=ID&apply=BOOL` | [`DrainPlan`] |
//! | `DELETE /_granary/v1/nodes/NAME/drain`, `/drives/ID/drain` | [`DrainEnded`] |
//! | `GET /_granary/v1/moves` | [`MoveReport`] |
//! | `GET /_granary/v1/losses?after=PLACE&limit=N` | [`LossList`] |
//! | `DELETE /_granary/v1/losses` | [`LossesDismissed`] |
//! | `POST /_granary/v1/heal`, `/scrub`, `/compact` | 202 and [`TaskStarted`] |
//! | `GET /_granary/v1/tasks/ID` | [`TaskProgress`] |
//! | `POST /_granary/v1/identities`, an [`IdentityRequest`] | [`IdentityReport`] |
//! | `POST /_granary/v1/buckets`, a [`BucketRequest`] | [`BucketAnswer`] |
//! | `POST /_granary/v1/restores`, a [`RestoreRequest`] | [`RestorePage`] |
//! | `POST /_granary/v1/warm`, a [`WarmRequest`] | [`WarmAnswer`] |
//!
//! Errors are `{"code": …, "message": …}` with the status that fits. [`router`] serves the API over an
//! [`AdminBackend`]; [`AdminClient`] calls it.

mod backend;
mod bucket;
mod client;
mod error;
mod identity;
mod losses;
mod model;
mod moves;
mod restores;
mod router;
mod tiers;
mod transport;
mod trust;
mod warm;

pub use backend::AdminBackend;
pub use bucket::{BucketAnswer, BucketLimits, BucketReport, BucketRequest};
pub use client::AdminClient;
pub use error::AdminError;
pub use identity::{
    IdentityReport, IdentityRequest, KeyAction, KeyPair, KeyReport, NamedUser, QuotaReport, UserReport,
    UserToAdd,
};
pub use losses::{LossList, LossReport, LossesDismissed};
pub use model::{
    DriveList, DriveReport, DriveState, NodeList, NodeReport, NodeState, TaskId, TaskKind, TaskProgress,
    TaskStarted, TaskState, VolumePage, VolumeReport, VolumeState,
};
pub use moves::{DrainEnded, DrainPlan, DrainReport, Fate, Leaving, MoveReport, MoveStep};
pub use restores::{RestoreFailure, RestorePage, RestoreRequest, RestoreTier};
pub use router::router;
pub use tiers::{ClassReport, TierList, TierReport};
pub use warm::{
    CopiesReport, PinReport, TierJobKind, TierJobReport, TierJobState, WarmAnswer, WarmJobKind,
    WarmJobReport, WarmJobState, WarmReport, WarmRequest,
};
