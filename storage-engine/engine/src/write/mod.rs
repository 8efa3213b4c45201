//! The two ways bytes reach the drives: packed with others ([`Packer`]), or as a blob of their own ([`BlobWriter`]); and
//! the records of what has no bytes of its own ([`Recorded`]).

mod blob;
mod etags;
mod filling;
mod group;
mod incoming;
mod lay;
mod manifest;
mod pack;
mod pack_write;
mod packer;
mod pooling;

pub(crate) use blob::{BlobWriter, Finished, WrittenBlob};
pub(crate) use etags::{Draft, placeholder};
pub(crate) use filling::BUDGET_UNIT_BYTES;
pub(crate) use incoming::{GROUP_WRITES_MAX, lot_bytes};
pub(crate) use manifest::{Recorded, Stamping, Unrecorded};
pub(crate) use pack::PACKED_LENGTH_BYTES_MAX;
pub(crate) use pack_write::PackWrite;
pub(crate) use packer::Packer;
pub(crate) use pooling::{Door, Pool};
