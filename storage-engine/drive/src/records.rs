//! The records at the start of a data block's body: what the data is, and the hash of each unit of it.

use granary_types::BlobId;
use serde::{Deserialize, Serialize};

use crate::error::DriveError;

/// The longest unit that has a hash of its own in a blob's blocks; ranges verify what they read and no more.
pub const UNIT_LENGTH_BYTES: usize = 64 * 1024;

/// One whole small object in a packed block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedEntry {
    /// Where the object begins, counted from the end of the records.
    pub offset: u32,
    /// Its length.
    pub length_bytes: u32,
    /// BLAKE3 of its bytes.
    pub hash: [u8; 32],
    /// The object's record when it was written, opaque here.
    pub record: Vec<u8>,
}

/// The records of a packed block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedRecords {
    /// The objects, in the order of their offsets.
    pub entries: Vec<PackedEntry>,
}

/// The records of a block that holds consecutive bytes of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRecords {
    /// The blob.
    pub blob: BlobId,
    /// Where this block's bytes begin in the blob.
    pub blob_offset: u64,
    /// How many bytes of data the block holds.
    pub length_bytes: u32,
    /// BLAKE3 of each [`UNIT_LENGTH_BYTES`] of the block's data, the last perhaps shorter.
    pub units: Vec<[u8; 32]>,
    /// What the blob was written for, opaque here.
    pub record: Vec<u8>,
}

macro_rules! encoding {
    ($name:ident) => {
        impl $name {
            /// The bytes of the records.
            ///
            /// # Errors
            /// When they cannot be encoded.
            pub fn encode(&self) -> Result<Vec<u8>, DriveError> {
                postcard::to_stdvec(self).map_err(|_| DriveError::Records(stringify!($name)))
            }

            /// The records in `bytes`, which may be followed by padding; `None` if they are damaged.
            #[must_use]
            pub fn decode(bytes: &[u8]) -> Option<Self> {
                Self::decode_with_length(bytes).map(|(records, _)| records)
            }

            /// As `decode`, with how many bytes they took.
            #[must_use]
            pub fn decode_with_length(bytes: &[u8]) -> Option<(Self, usize)> {
                let (records, rest) = postcard::take_from_bytes(bytes).ok()?;
                Some((records, bytes.len() - rest.len()))
            }
        }
    };
}

encoding!(PackedRecords);
encoding!(BlobRecords);
