//! Queries. Each runs on a reader's connection, against one state of the database.

mod beside;
mod events;
mod identities;
mod list;
mod point;
mod side;
mod uploads;
pub(crate) mod versions;
pub(crate) mod walk;
mod warm;

pub(super) use events::{bucket_usage, count_events, event, events};
pub(super) use identities::{identities, identity_generation};
pub(super) use list::list_objects;
pub(super) use point::{blobs, bucket, count_references, drives, list_buckets, list_parts, object, volumes};
pub(super) use side::{bucket_documents, configuration_generation, object_acl, object_restore, object_tags};
pub(super) use uploads::list_uploads;
pub(super) use versions::list_versions;
pub(super) use warm::{warm_after, warm_of_kind, warm_usage};
