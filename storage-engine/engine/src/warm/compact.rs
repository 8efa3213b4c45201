//! Warm copies in volumes that are compacted: what is there still is written again.

use std::sync::Arc;

use bytes::Bytes;
use granary_metadata::{
    BlobRow, Commit, ObjectRow, PackedLocation, VolumeRow, WarmChange, WarmPlace, WarmRow, WarmStep, Write,
};

use super::room::is_done;
use crate::engine::Inner;
use crate::error::Result;
use crate::maintain::{Rewritten, rewrite};
use crate::record::{BlobRecord, ObjectRecord};
use crate::tiers::Tier;
use crate::write::PackWrite;

/// Moves the copy of a packed object, if it still lies where it was found. Returns the bytes moved.
pub(crate) async fn move_packed(
    inner: &Inner,
    (record, row): (&ObjectRecord, &ObjectRow),
    (from, victim): (PackedLocation, &VolumeRow),
    (told, bytes): (Vec<u8>, Bytes),
) -> Result<u64> {
    let (bucket, key, write) = (record.bucket, record.key.clone(), row.object.write);
    if !inner.warm.is_for(row.object.storage_class) || write != record.object.write {
        return Ok(0);
    }
    let found = inner.store.object_warmth(bucket, &key, write).await?;
    let is_there = |row: &WarmRow| matches!(&row.place, Some(WarmPlace::Packed(at)) if *at == from);
    let Some(found) = found.filter(is_there) else { return Ok(0) };
    let length_bytes = u64::from(from.length_bytes);
    // Where to is filled in when it is known.
    let step = WarmStep::MovePacked { to: from.clone(), from };
    let change = WarmChange { bucket, key, version: found.version, write, step };
    let moved = PackWrite::Warm(Box::new(change), Vec::new());
    let outcome =
        inner.packer.write(inner.pool.for_compacting(Tier::Warm, victim), bytes, told, moved).await?;
    Ok(if is_done(&outcome) { length_bytes } else { 0 })
}

/// Moves the parts that lie in `victim` of the copy of a large object, one of whose blobs has this record. Under which id they
/// were written does not matter: their version may refer to other blobs of the same bytes since. Returns the bytes moved.
pub(crate) async fn move_parts(inner: &Arc<Inner>, record: &[u8], victim: &VolumeRow) -> Result<u64> {
    let Some(BlobRecord { bucket, key, version, part: None }) = BlobRecord::decode(record) else {
        return Ok(0);
    };
    let Some(row) = inner.store.object(bucket, &key, Some(version)).await? else { return Ok(0) };
    let object = row.object;
    if !inner.warm.is_for(object.storage_class) {
        return Ok(0);
    }
    let found = inner.store.object_warmth(bucket, &key, object.write).await?;
    let Some(WarmRow { place: Some(place), .. }) = found else { return Ok(0) };
    let mut moved_bytes = 0;
    // Of a copy that was begun, those that are there.
    let parts = object.content.parts().iter().zip(place.parts().to_vec());
    for (index, (part, from)) in (0_u32..).zip(parts) {
        let lies_there = |extent: &granary_metadata::Extent| extent.volume == victim.volume.id;
        let bytes: u64 = from.iter().filter(|e| lies_there(e)).map(|extent| extent.length_bytes).sum();
        if bytes == 0 {
            continue;
        }
        let copy = BlobRow { id: part.blob, extents: from.clone() };
        let to = (inner.pool.for_compacting(Tier::Warm, victim), record.to_vec());
        let copied = rewrite(inner, &copy, to, lies_there, None).await?;
        let Rewritten { extents: to, advances, volumes } = copied;
        let step = WarmStep::MovePart { index, from, to };
        let change = WarmChange { bucket, key: key.clone(), version, write: object.write, step };
        let commit = Commit { advances, writes: vec![Write::Warm(Box::new(change))] };
        let committed = inner.store.commit(commit).await;
        if let Err(error) = &committed {
            inner.pool.leave_fenced(error).await;
        }
        let outcome = crate::objects::first(committed?)?;
        drop(volumes);
        moved_bytes += if is_done(&outcome) { bytes } else { 0 };
    }
    Ok(moved_bytes)
}

#[cfg(test)]
#[path = "compact_tests.rs"]
mod tests;
