//! The metadata of a store: buckets, objects, uploads, blobs, volumes and drives behind one trait.
//!
//! [`MetadataStore`] is the only serialisation point of Granary: conditional writes, volume ownership and
//! garbage accounting are decided inside one committed [`Commit`]. Every implementation passes the same
//! conformance suite (feature `conformance`). [`sqlite`] is the embedded store, [`postgres`] that of
//! clusters.

// The fuzz targets' code, which tests run as well, names the crate as others do.
#[cfg(test)]
extern crate self as granary_metadata;

#[cfg(feature = "conformance")]
pub mod conformance;
mod durable;
mod error;
mod fail_over;
mod membership;
mod model;
pub mod moving;
pub mod postgres;
pub mod sqlite;
mod store;

/// For fuzz targets only.
#[cfg(any(test, fuzzing))]
pub use sqlite::fuzzing;

pub use durable::{Durable, Promise, durable};
pub use error::{MetadataError, Result};
pub use fail_over::{
    FailOverStep, FailOvers, Loss, LossKind, LossPage, Lost, LostChange, LostTail, NodeHistory, Timeline,
};
pub use membership::Membership;
pub use model::*;
pub use store::MetadataStore;
