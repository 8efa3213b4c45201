//! What is packed in the blocks of a stripe.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::future::join_all;
use granary_drive::{BLOCK_HEADER_LENGTH_BYTES, PackedEntry};
use granary_metadata::PackedLocation;
use granary_types::{BlobId, VolumeId};

use super::rebuild::blocks_of;
use crate::error::{EngineError, Result};
use crate::read::{Found, Records, Stripe, VerifiedBlock, any_header, read_block, read_stripe};
use crate::volume::{VolumeMap, VolumeView};

/// A packed object where it was found.
pub(crate) type Entry = (PackedLocation, PackedEntry, Bytes);

/// What the data blocks of a stripe hold.
#[derive(Default)]
pub(super) struct StripeData {
    pub(super) packed: Vec<Entry>,
    pub(super) blobs: Vec<(BlobId, Vec<u8>)>,
    /// Blocks, and objects in them, that can neither be read nor rebuilt.
    pub(super) unread: u64,
}

/// What the data blocks of a stripe hold; lost blocks are rebuilt.
pub(super) fn entries_of(stripe: &Stripe, view: &VolumeView) -> Result<StripeData> {
    let mut found = StripeData::default();
    let data = (0_u8..).take(view.codec.profile().data());
    let written: Vec<u8> = data.filter(|column| stripe.is_written(*column)).collect();
    for block in blocks_of(stripe, view, &written)? {
        match block? {
            Some(block) => add_entries(block, &mut found),
            None => found.unread += 1,
        }
    }
    Ok(found)
}

/// Adds what a block holds.
pub(super) fn add_entries(block: VerifiedBlock, found: &mut StripeData) {
    let (data, header) = (block.data(), block.header);
    let base =
        header.stripe_offset + BLOCK_HEADER_LENGTH_BYTES as u64 + u64::from(header.records_length_bytes);
    match block.records {
        Records::Blob(records) => found.blobs.push((records.blob, records.record)),
        Records::Parity => {}
        Records::Packed(records) => {
            for entry in records.entries {
                let start = entry.offset as usize;
                let end = start + entry.length_bytes as usize;
                if end > data.len() {
                    found.unread += 1;
                    continue;
                }
                let bytes = data.slice(start..end);
                let location = PackedLocation {
                    volume: header.volume,
                    stripe_offset: header.stripe_offset,
                    column: header.column,
                    offset: base + u64::from(entry.offset),
                    length_bytes: entry.length_bytes,
                    hash: entry.hash,
                };
                found.packed.push((location, entry, bytes));
            }
        }
    }
}

/// What these data columns of a stripe hold that is packed. Other columns are read only if one of them is lost.
///
/// # Errors
/// [`EngineError::Unavailable`] if it cannot be read now.
pub(crate) async fn packed_entries(
    map: &VolumeMap,
    volume: VolumeId,
    offset: u64,
    columns: &BTreeSet<u8>,
) -> Result<Vec<Entry>> {
    let view = map.view(volume).await?;
    let mut found = StripeData::default();
    if read_columns(map, &view, (offset, columns), &mut found).await {
        return Ok(found.packed);
    }
    let Found::Stripe(stripe) = read_stripe(map, &view, offset).await else {
        return Err(EngineError::Unavailable {
            context: "copying packed objects: their stripe cannot be read",
        });
    };
    Ok(entries_of(&stripe, &view)?.packed)
}

/// Reads these columns of a stripe alone; `false` if one of them cannot be read.
async fn read_columns(
    map: &VolumeMap,
    view: &VolumeView,
    (offset, columns): (u64, &BTreeSet<u8>),
    found: &mut StripeData,
) -> bool {
    let Some(header) = any_header(map, view, offset).await else { return false };
    let length = BLOCK_HEADER_LENGTH_BYTES + header.body_length_bytes as usize;
    let reads = columns.iter().map(|column| read_block(map, view, *column, offset, length));
    for block in join_all(reads).await {
        let Ok(Some(block)) = block else { return false };
        add_entries(block, found);
    }
    true
}
