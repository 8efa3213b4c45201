//! Streaming a range of a large object.
//!
//! A task of its own reads ahead in runs of stripes (see [`super::ahead`]), checks the units it needs stripe by stripe and
//! puts them in a short channel. What is read and not yet sent counts against a budget that all readers share.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use granary_drive::{BLOCK_HEADER_LENGTH_BYTES, BlobRecords, UNIT_LENGTH_BYTES};
use granary_keys::DataKey;
use granary_keys::units::{Opener, StreamId, stored_range};
use granary_metadata::{Extent, PartRef};
use granary_types::BlobId;
use tokio::sync::mpsc;

use super::ahead::{Hold, Plan, Run, Window};
use super::block::{BlockPlace, hash_fits, header_at};
use super::gather::{gather_stripe, hedged};
use super::handle::{ObjectHandle, Reader};
use super::places::{Places, look_up};
use super::stripe::Found;
use crate::api::ByteRange;
use crate::error::{EngineError, Result};
use crate::layout::{BLOB_HEAD_BYTES, BlobBlock, BlobStripe};
use crate::volume::VolumeView;
use crate::warm::{WarmRead, count_part};

/// How often one read may find that its bytes were moved.
pub(crate) const RELOCATIONS_MAX: usize = 8;
const CHUNKS_QUEUED_MAX: usize = 8;
/// Who reads less of a warm copy is done before anything else is likely to fail beside the copy, and asks one question less.
const LONG_READ_BYTES: u64 = 64 << 20;
pub(super) const HEAD: usize = BLOB_HEAD_BYTES as usize;

/// Starts the task; it ends when the range is sent, a read fails, or the receiver is dropped.
pub(crate) fn stream(
    handle: ObjectHandle,
    range: ByteRange,
    key: Option<DataKey>,
) -> mpsc::Receiver<Result<Bytes>> {
    let (chunks, receiver) = mpsc::channel(CHUNKS_QUEUED_MAX);
    tokio::spawn(async move {
        if let Err(error) = send_range(handle, range, key, &chunks).await {
            let _gone = chunks.send(Err(error)).await;
        }
    });
    receiver
}

/// Takes the stored bytes of a part in order, and passes on what clients get of them.
struct Sink<'c> {
    chunks: &'c mpsc::Sender<Result<Bytes>>,
    opener: Option<Opener>,
}

impl Sink<'_> {
    /// Passes bytes on, which hold their share of the readers' memory; `false` if nobody listens any more.
    async fn send(&mut self, mut bytes: Bytes, hold: &Hold) -> Result<bool> {
        let Some(opener) = &mut self.opener else {
            return Ok(self.chunks.send(Ok(hold.keep(bytes))).await.is_ok());
        };
        while let Some(plain) = opener.push(&mut bytes)? {
            if self.chunks.send(Ok(hold.keep(plain))).await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_done(&self) -> bool {
        self.opener.as_ref().is_none_or(Opener::is_done)
    }
}

async fn send_range(
    mut handle: ObjectHandle,
    range: ByteRange,
    key: Option<DataKey>,
    chunks: &mpsc::Sender<Result<Bytes>>,
) -> Result<()> {
    let Some((parts, multipart)) = handle.row.object.content.blobs() else {
        return Err(EngineError::Internal("a large object became something else"));
    };
    let count = begun_before(parts, range.end).len();
    let warm = handle.warm_read(range).await;
    let mut places = Places::default();
    let mut start = 0_u64;
    for index in 0..count {
        let parts = parts_of(&handle, count);
        let part = parts.get(index).ok_or(EngineError::Internal("no part is left to be read"))?;
        let end = start + part.length_bytes;
        if end > range.start && start < range.end {
            let (mut from, mut to) = (range.start.max(start) - start, range.end.min(end) - start);
            let mut sink = Sink { chunks, opener: None };
            if let Some(key) = &key {
                let stream = if multipart { StreamId::Part(part.blob) } else { StreamId::Whole };
                sink.opener = Some(Opener::new(key, stream, part.length_bytes, (from, to))?);
                (from, to) = stored_range(part.length_bytes, from, to);
            }
            let mut at = from;
            let sent = match warm.part(index) {
                Some(extents) => {
                    if range.length_bytes() >= LONG_READ_BYTES {
                        places.look_ahead(&handle.reader, (parts, index), &warm).await;
                    }
                    send_warm(&handle.reader, extents, &mut at, to, &mut sink).await
                }
                None => None,
            };
            let is_listening = if let Some(is_listening) = sent {
                is_listening
            } else {
                let own = OwnPlace { places: &mut places, warm: &warm, part: (count, index) };
                own.send(&mut handle, (&mut at, to), &mut sink).await?
            };
            if !is_listening {
                return Ok(());
            }
            if !sink.is_done() {
                return Err(EngineError::Keys(granary_keys::KeyError::Unit));
            }
        }
        start = end;
    }
    drop(handle.guard);
    Ok(())
}

/// The first parts of an object.
fn parts_of(handle: &ObjectHandle, count: usize) -> &[PartRef] {
    let parts = handle.row.object.content.parts();
    parts.get(..count).unwrap_or(parts)
}

/// A part that is read from the place of its object, not from a warm copy.
struct OwnPlace<'a> {
    places: &'a mut Places,
    warm: &'a WarmRead,
    /// Of how many parts that are read, and which of them.
    part: (usize, usize),
}

impl OwnPlace<'_> {
    /// Sends the part's bytes up to `to`; `false` if nobody listens any more. If its blob is gone because the version refers to
    /// another one by now, which holds the same bytes, the rest comes from there.
    async fn send(
        self,
        handle: &mut ObjectHandle,
        (at, to): (&mut u64, u64),
        sink: &mut Sink<'_>,
    ) -> Result<bool> {
        let (count, index) = self.part;
        for _ in 0..RELOCATIONS_MAX {
            let parts = parts_of(handle, count);
            let part = parts.get(index).ok_or(EngineError::Internal("no part is left to be read"))?;
            let sent = match self.places.of_part(&handle.reader, (parts, index), self.warm).await {
                Ok(extents) => send_blob(&handle.reader, (part.blob, extents), (&mut *at, to), sink).await,
                Err(error) => Err(error),
            };
            match sent {
                Err(error @ EngineError::Unreadable { .. }) => handle.relocate(error).await?,
                sent => return sent,
            }
        }
        Err(EngineError::Unavailable { context: "reading an object whose blobs keep changing" })
    }
}

/// The parts that have any of the first `end` bytes of their object.
fn begun_before(parts: &[PartRef], end: u64) -> &[PartRef] {
    let starts = parts.iter().scan(0_u64, |start, part| {
        let this = *start;
        *start = start.saturating_add(part.length_bytes);
        Some(this)
    });
    let count = starts.take_while(|start| *start < end).count();
    parts.get(..count).unwrap_or(parts)
}

/// Sends bytes up to `to` of a part from its warm copy, and says whether anybody still listens; `None` if the rest has to come
/// from elsewhere.
async fn send_warm(
    reader: &Arc<Reader>,
    extents: &[Extent],
    at: &mut u64,
    to: u64,
    sink: &mut Sink<'_>,
) -> Option<bool> {
    let sent = send_extents(reader, extents, at, to, sink).await;
    count_part(sent.is_ok());
    if let Err(error) = &sent {
        tracing::warn!(%error, "a warm copy cannot be read: the object's own place is");
    }
    sent.ok()
}

/// Sends bytes from `at` to `to` of a blob as they are stored, from where it was seen; `false` if nobody listens any more.
async fn send_blob(
    reader: &Arc<Reader>,
    (blob, seen): (BlobId, Vec<Extent>),
    (at, to): (&mut u64, u64),
    sink: &mut Sink<'_>,
) -> Result<bool> {
    let mut extents = seen;
    for _ in 0..RELOCATIONS_MAX {
        let error = match send_extents(reader, &extents, at, to, sink).await {
            Ok(listening) => return Ok(listening),
            Err(error) => error,
        };
        // Compaction may have moved the blob; what was sent stays sent, and the rest comes from there.
        extents.iter().for_each(|extent| reader.map.forget(extent.volume));
        let now = look_up(reader, blob).await?;
        if now == extents {
            return Err(error);
        }
        extents = now;
    }
    Err(EngineError::Unavailable { context: "reading a blob that keeps moving" })
}

async fn send_extents(
    reader: &Arc<Reader>,
    extents: &[Extent],
    at: &mut u64,
    to: u64,
    sink: &mut Sink<'_>,
) -> Result<bool> {
    let mut plan = Plan::new(reader, extents, *at, to).await?;
    let mut next = plan.run(reader).await?;
    while let Some(run) = next {
        let following = plan.run_if_room(reader);
        if !send_run(reader, run, at, sink).await? {
            return Ok(false);
        }
        next = match following {
            Some(run) => Some(run),
            None => plan.run(reader).await?,
        };
    }
    if *at == to {
        Ok(true)
    } else {
        Err(EngineError::Unreadable { context: "a blob shorter than its object".to_owned() })
    }
}

/// Checks and sends a run's stripes one after the other; `false` if nobody listens any more.
async fn send_run(reader: &Arc<Reader>, run: Run, at: &mut u64, sink: &mut Sink<'_>) -> Result<bool> {
    let windows = run.windows.await.map_err(|_| EngineError::Internal("reading ahead panicked"))?;
    for (stripe, wanted) in run.stripes {
        for bytes in reader.blob_stripe(&run.view, stripe, wanted, &windows).await? {
            let length = bytes.len() as u64;
            if !sink.send(bytes, &run.hold).await? {
                return Ok(false);
            }
            *at += length;
        }
    }
    Ok(true)
}

/// The share of each block of a stripe in its bytes `wanted` (from, to), as (block, from, to).
pub(super) fn wanted_blocks(
    stripe: BlobStripe,
    wanted: (u64, u64),
) -> impl Iterator<Item = (BlobBlock, u64, u64)> {
    stripe.blocks().filter_map(move |block| {
        let end = block.stripe_offset + u64::from(block.length_bytes);
        let from = wanted.0.max(block.stripe_offset) - block.stripe_offset;
        let to = wanted.1.min(end).saturating_sub(block.stripe_offset);
        (from < to).then_some((block, from, to))
    })
}

/// Where the last unit ends that holds any byte before `to`.
pub(super) fn unit_end(block: BlobBlock, to: usize) -> usize {
    to.next_multiple_of(UNIT_LENGTH_BYTES).min(block.length_bytes as usize)
}

impl Reader {
    /// Bytes `wanted` (from, to) of a blob's stripe, in order; from the windows where they have them.
    pub(crate) async fn blob_stripe(
        &self,
        view: &Arc<VolumeView>,
        stripe: BlobStripe,
        wanted: (u64, u64),
        windows: &[Window],
    ) -> Result<Vec<Bytes>> {
        let reads: Vec<_> = wanted_blocks(stripe, wanted).collect();
        let blocks = reads.iter().map(|&(block, from, to)| {
            hedged(&self.map, async move {
                let length_bytes = HEAD + unit_end(block, usize::try_from(to).ok()?);
                let found = windows.iter().find_map(|w| w.get(block.column, stripe.offset, length_bytes));
                let read = match found {
                    Some(read) => read,
                    None => {
                        let shard = self.map.shard(view, block.column).await.ok()?;
                        shard.read(stripe.offset, length_bytes).await.ok()?
                    }
                };
                checked(view, stripe, block, (from, to), &read)
            })
        });
        let results = join_all(blocks).await;
        if results.iter().all(|result| matches!(result, Some(Some(_)))) {
            return Ok(results.into_iter().flatten().flatten().collect());
        }
        if let Some(moved) = self.map.moved(view).await {
            return Box::pin(self.blob_stripe(&moved, stripe, wanted, &[])).await;
        }
        // What is merely slow is not reported.
        for ((block, _, _), _) in reads.iter().zip(&results).filter(|(_, result)| **result == Some(None)) {
            self.damage.report(view.id, block.column, view.drive(block.column));
            self.map.forget_shard(view.id, block.column);
        }
        self.rebuild_blocks(view, stripe, &reads).await
    }

    async fn rebuild_blocks(
        &self,
        view: &Arc<VolumeView>,
        stripe: BlobStripe,
        reads: &[(BlobBlock, u64, u64)],
    ) -> Result<Vec<Bytes>> {
        let unreadable = || EngineError::Unreadable { context: format!("a stripe of volume {}", view.id) };
        let Found::Stripe(found) = gather_stripe(&self.map, view, stripe.offset).await else {
            return Err(unreadable());
        };
        let lost: Vec<u8> =
            reads.iter().map(|(b, _, _)| b.column).filter(|c| found.lost().any(|l| l == *c)).collect();
        let mut rebuilt: HashMap<u8, Bytes> = lost.iter().copied().zip(found.rebuild(view, &lost)?).collect();
        metrics::counter!("granary_reads_rebuilt_total").increment(1);
        let mut out = Vec::with_capacity(reads.len());
        for &(block, from, to) in reads {
            let body = match rebuilt.remove(&block.column) {
                Some(body) => checked_rebuilt(body, block).ok_or_else(unreadable)?,
                None => {
                    let whole = found.blocks.get(usize::from(block.column)).and_then(Option::as_ref);
                    whole.ok_or_else(unreadable)?.body.clone()
                }
            };
            let head = HEAD - BLOCK_HEADER_LENGTH_BYTES;
            let cut = |at: u64| usize::try_from(at).map(|at| head + at).map_err(|_| unreadable());
            let (from, to) = (cut(from)?, cut(to)?);
            if to > body.len() {
                return Err(unreadable());
            }
            out.push(body.slice(from..to));
        }
        Ok(out)
    }
}

/// The wanted bytes of a block that was read from its header to the last unit that is needed, if all is as it should be.
fn checked(
    view: &VolumeView,
    stripe: BlobStripe,
    block: BlobBlock,
    (from, to): (u64, u64),
    read: &Bytes,
) -> Option<Bytes> {
    let (from, to) = (usize::try_from(from).ok()?, usize::try_from(to).ok()?);
    let unit_from = from / UNIT_LENGTH_BYTES * UNIT_LENGTH_BYTES;
    let unit_to = unit_end(block, to);
    let place = BlockPlace { volume: view.id, column: block.column, stripe_offset: stripe.offset };
    let header = header_at(read, place)?;
    if header.data_length_bytes != block.length_bytes || header.body_length_bytes != stripe.body_bytes() {
        return None;
    }
    let records_bytes = read.get(BLOCK_HEADER_LENGTH_BYTES..HEAD)?;
    if header.records_length_bytes as usize != records_bytes.len() || !hash_fits(records_bytes, &header.hash)
    {
        return None;
    }
    let records = BlobRecords::decode(records_bytes)?;
    let data = read.get(HEAD + unit_from..HEAD + unit_to)?;
    let hashes = records.units.iter().skip(unit_from / UNIT_LENGTH_BYTES);
    let mut units = data.chunks(UNIT_LENGTH_BYTES).zip(hashes);
    let count = units.len();
    if count != data.len().div_ceil(UNIT_LENGTH_BYTES) || !units.all(|(unit, hash)| hash_fits(unit, hash)) {
        return None;
    }
    Some(read.slice(HEAD + from..HEAD + to))
}

/// A rebuilt body carries its own hashes, covered by the parity it was rebuilt from.
fn checked_rebuilt(body: Bytes, block: BlobBlock) -> Option<Bytes> {
    let head = HEAD - BLOCK_HEADER_LENGTH_BYTES;
    let records = BlobRecords::decode(body.get(..head)?)?;
    let data = body.get(head..head + block.length_bytes as usize)?;
    super::block::units_fit(data, &records.units).then_some(body)
}
