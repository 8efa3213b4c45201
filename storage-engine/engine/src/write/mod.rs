//! The two ways bytes reach the drives: packed with others ([`Packer`]), or as a blob of their own ([`BlobWriter`]).

mod blob;
mod pack;
mod packer;

pub(crate) use blob::{BUDGET_UNIT_BYTES, BlobWriter, Finished, WrittenBlob};
pub(crate) use pack::PACKED_LENGTH_BYTES_MAX;
pub(crate) use packer::{PackWrite, Packer};
