//! An object opened for reading.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt as _, Stream};
use granary_keys::units::{Opener, StreamId, stored_range};
use granary_keys::{CustomerKey, DataKey, KeyRing};
use granary_metadata::{BucketSettings, MetadataStore, ObjectRow, PackedLocation};
use granary_types::{BucketId, ObjectKey};
use tokio::sync::{Semaphore, mpsc};

use super::block::hash_fits;
use super::gather::{gather_stripe, hedged};
use super::running::{ReadGuard, Running};
use super::stripe::Found;
use crate::api::{ByteRange, ObjectInfo, PartInfo, RestoreState};
use crate::error::{EngineError, Result};
use crate::maintain::DamageLog;
use crate::objects::shown_version;
use crate::sealing::{EncryptionInfo, check_customer_key, data_key};
use crate::volume::{VolumeMap, VolumeView};
use crate::warm::{Warm, WarmRead};

/// What every read needs.
pub(crate) struct Reader {
    pub map: Arc<VolumeMap>,
    pub store: Arc<dyn MetadataStore>,
    pub damage: Arc<DamageLog>,
    /// Bytes read and not yet sent, in units of 64 KiB, over all readers.
    pub budget: Arc<Semaphore>,
    /// As many of them are not used to read ahead.
    pub reserve_units: usize,
    pub running: Arc<Running>,
    pub keys: KeyRing,
    pub warm: Arc<Warm>,
}

impl Reader {
    pub(crate) fn new(
        map: Arc<VolumeMap>,
        store: Arc<dyn MetadataStore>,
        damage: Arc<DamageLog>,
        budget: Arc<Semaphore>,
        (keys, warm): (KeyRing, Arc<Warm>),
    ) -> Self {
        Self {
            map,
            store,
            damage,
            reserve_units: budget.available_permits() / 2,
            budget,
            running: Arc::default(),
            keys,
            warm,
        }
    }

    /// A packed object, whole and checked.
    pub(crate) async fn packed(&self, at: &PackedLocation) -> Result<Bytes> {
        let mut view = self.map.view(at.volume).await?;
        let mut fast = hedged(&self.map, self.packed_fast(&view, at)).await;
        if fast == Some(None)
            && let Some(moved) = self.map.moved(&view).await
        {
            view = moved;
            fast = hedged(&self.map, self.packed_fast(&view, at)).await;
        }
        match fast {
            Some(Some(bytes)) => Ok(bytes),
            Some(None) => {
                self.damage.report(at.volume, at.column, view.drive(at.column));
                self.map.forget_shard(at.volume, at.column);
                self.packed_rebuilt(&view, at).await
            }
            // Slow is not damaged. If the others cannot help, it is waited for after all.
            None => match self.packed_rebuilt(&view, at).await {
                Ok(bytes) => Ok(bytes),
                Err(error) => match self.map.moved(&view).await {
                    // Too many columns went to other drives while this one was slow.
                    Some(moved) => self.packed_rebuilt(&moved, at).await,
                    None => self.packed_fast(&view, at).await.ok_or(error),
                },
            },
        }
    }

    async fn packed_rebuilt(&self, view: &Arc<VolumeView>, at: &PackedLocation) -> Result<Bytes> {
        let unreadable =
            || EngineError::Unreadable { context: format!("an object packed in volume {}", at.volume) };
        let Found::Stripe(stripe) = gather_stripe(&self.map, view, at.stripe_offset).await else {
            return Err(unreadable());
        };
        let block = stripe.blocks.get(usize::from(at.column)).ok_or_else(unreadable)?;
        let body = match block {
            Some(block) => block.body.clone(),
            None => stripe.rebuild(view, &[at.column])?.into_iter().next().ok_or_else(unreadable)?,
        };
        let start = at.offset - at.stripe_offset - granary_drive::BLOCK_HEADER_LENGTH_BYTES as u64;
        let start = usize::try_from(start).map_err(|_| unreadable())?;
        let end = start + at.length_bytes as usize;
        let bytes = if end <= body.len() { body.slice(start..end) } else { return Err(unreadable()) };
        metrics::counter!("granary_reads_rebuilt_total").increment(1);
        hash_fits(&bytes, &at.hash).then_some(bytes).ok_or_else(unreadable)
    }

    async fn packed_fast(&self, view: &VolumeView, at: &PackedLocation) -> Option<Bytes> {
        let shard = self.map.shard(view, at.column).await.ok()?;
        let bytes = shard.read(at.offset, at.length_bytes as usize).await.ok()?;
        (bytes.len() == at.length_bytes as usize && hash_fits(&bytes, &at.hash)).then_some(bytes)
    }
}

/// One version of an object, opened for reading: its record, and its bytes on demand.
pub struct ObjectHandle {
    pub(crate) reader: Arc<Reader>,
    pub(crate) guard: Arc<ReadGuard>,
    pub(crate) bucket: BucketId,
    pub(crate) key: ObjectKey,
    pub(crate) row: ObjectRow,
    info: ObjectInfo,
    /// Of an object encrypted with a key that the client brought.
    unlocked: Option<DataKey>,
}

impl ObjectHandle {
    pub(crate) fn new(
        reader: Arc<Reader>,
        guard: Arc<ReadGuard>,
        (bucket, settings): (BucketId, BucketSettings),
        key: ObjectKey,
        row: ObjectRow,
    ) -> Self {
        let object = &row.object;
        let parts = match object.content.blobs() {
            Some((parts, true)) => Some(
                parts
                    .iter()
                    .map(|part| PartInfo {
                        number: part.number,
                        length_bytes: part.length_bytes,
                        checksum: part.checksum.clone(),
                    })
                    .collect(),
            ),
            _ => None,
        };
        let info = ObjectInfo {
            version: shown_version(object.version, settings),
            write: object.write,
            length_bytes: object.length_bytes,
            etag: object.etag.clone(),
            modified: object.modified,
            storage_class: object.storage_class,
            checksum: object.checksum.clone(),
            attributes: object.attributes.clone(),
            parts,
            tag_count: row.tag_count,
            lock: row.lock,
            encryption: object.content.seal().map(EncryptionInfo::from),
            restored: None,
        };
        Self { reader, guard, bucket, key, row, info, unlocked: None }
    }

    /// Knows whether a version of an archive class can be read.
    pub(crate) fn restored(mut self, restored: Option<RestoreState>) -> Self {
        self.info.restored = restored;
        self
    }

    /// The same version again, locked if it is encrypted with a customer's key.
    pub(crate) fn again(&self) -> Self {
        Self {
            reader: Arc::clone(&self.reader),
            guard: Arc::clone(&self.guard),
            bucket: self.bucket,
            key: self.key.clone(),
            row: self.row.clone(),
            info: self.info.clone(),
            unlocked: None,
        }
    }

    /// What HEAD shows.
    #[must_use]
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }

    /// Takes the key that the client brought along, or that it brought none.
    ///
    /// # Errors
    /// [`EngineError::CustomerKeyNeeded`], [`EngineError::CustomerKeyUnfit`], [`EngineError::WrongCustomerKey`].
    pub fn unlock(&mut self, customer: Option<&CustomerKey>) -> Result<()> {
        let seal = self.row.object.content.seal();
        check_customer_key(seal, customer)?;
        if let (Some(seal), Some(_)) = (seal, customer) {
            self.unlocked = Some(data_key(&self.reader.keys, seal, customer)?);
        }
        Ok(())
    }

    /// The data key of an encrypted object.
    fn data_key(&mut self) -> Result<Option<DataKey>> {
        match (self.row.object.content.seal(), self.unlocked.take()) {
            (None, _) => Ok(None),
            (Some(_), Some(key)) => Ok(Some(key)),
            (Some(seal), None) => data_key(&self.reader.keys, seal, None).map(Some),
        }
    }

    /// The bytes of `range`, each checked against its hash before it comes out. A packed object comes in one chunk. If
    /// the object is moved while it is read, reading goes on at its new place. The chunks of a large object hold a share of
    /// the memory of all readers until they are dropped: whoever collects them waits for himself. What is encrypted comes
    /// out decrypted; with a customer's key after [`ObjectHandle::unlock`].
    #[must_use]
    pub fn read(mut self, range: ByteRange) -> ObjectStream {
        let end = range.end.min(self.info.length_bytes);
        let range = ByteRange { start: range.start.min(end), end };
        let guard = Arc::clone(&self.guard);
        if range.length_bytes() == 0 {
            return ObjectStream { state: StreamState::Done, guard };
        }
        let state = match self.data_key() {
            Err(error) => StreamState::Packed(futures::future::ready(Err(error)).boxed()),
            Ok(key) if self.row.object.content.packed().is_some() => {
                StreamState::Packed(Box::pin(self.read_packed(range, key)))
            }
            Ok(key) => StreamState::Blobs(super::blob::stream(self, range, key)),
        };
        ObjectStream { state, guard }
    }

    async fn read_packed(mut self, range: ByteRange, key: Option<DataKey>) -> Result<Bytes> {
        let warm = self.warm_read(range).await;
        if let Some(bytes) = warm.packed(&self.reader).await {
            return self.shown(&bytes, range, key.as_ref());
        }
        for _ in 0..super::blob::RELOCATIONS_MAX {
            let Some(at) = self.row.object.content.packed() else {
                return Err(EngineError::Internal("a packed object became something else"));
            };
            match self.reader.packed(at).await {
                Ok(bytes) => return self.shown(&bytes, range, key.as_ref()),
                Err(error) => self.relocate(error).await?,
            }
        }
        Err(EngineError::Unavailable { context: "reading an object that keeps moving" })
    }

    /// The warm copy of this version, if there is one; `range` is what is read of it.
    pub(crate) async fn warm_read(&self, range: ByteRange) -> WarmRead {
        WarmRead::of(&self.reader, (self.bucket, &self.key), &self.row, range).await
    }

    /// A range of a packed object's stored bytes as clients get it.
    fn shown(&self, stored: &Bytes, range: ByteRange, key: Option<&DataKey>) -> Result<Bytes> {
        match key {
            Some(key) => opened(stored, self.info.length_bytes, range, key),
            None => Ok(cut(stored, range.start, range.end)),
        }
    }

    /// Asks where this same version lies now; `error` comes back if it is still where it was, or gone.
    pub(crate) async fn relocate(&mut self, error: EngineError) -> Result<()> {
        let version = self.row.object.version;
        let row = self.reader.store.object(self.bucket, &self.key, Some(version)).await?;
        match row {
            Some(row)
                if row.object.write == self.row.object.write
                    && row.object.content != self.row.object.content =>
            {
                if let Some(at) = self.row.object.content.packed() {
                    self.reader.map.forget(at.volume);
                }
                self.row = row;
                Ok(())
            }
            _ => Err(error),
        }
    }
}

fn cut(bytes: &Bytes, from: u64, to: u64) -> Bytes {
    let cut = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(cut(from)..cut(to))
}

/// A range of a packed object of `length_bytes` that is encrypted.
fn opened(stored: &Bytes, length_bytes: u64, range: ByteRange, key: &DataKey) -> Result<Bytes> {
    let ByteRange { start, end } = range;
    let mut opener = Opener::new(key, StreamId::Whole, length_bytes, (start, end))?;
    let (from, to) = stored_range(length_bytes, start, end);
    let mut stored = cut(stored, from, to);
    let mut first = opener.push(&mut stored)?.unwrap_or_default();
    if !opener.is_done() {
        let mut plain = BytesMut::with_capacity(usize::try_from(range.length_bytes()).unwrap_or_default());
        plain.extend_from_slice(&first);
        while let Some(bytes) = opener.push(&mut stored)? {
            plain.extend_from_slice(&bytes);
        }
        first = plain.freeze();
    }
    if opener.is_done() { Ok(first) } else { Err(EngineError::Keys(granary_keys::KeyError::Unit)) }
}

/// The bytes of an object, in order.
pub struct ObjectStream {
    state: StreamState,
    guard: Arc<ReadGuard>,
}

enum StreamState {
    Done,
    Packed(futures::future::BoxFuture<'static, Result<Bytes>>),
    Blobs(mpsc::Receiver<Result<Bytes>>),
}

impl Stream for ObjectStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = match &mut self.state {
            StreamState::Done => return Poll::Ready(None),
            StreamState::Packed(read) => {
                let result = std::task::ready!(read.as_mut().poll(context));
                self.state = StreamState::Done;
                Some(result)
            }
            StreamState::Blobs(chunks) => std::task::ready!(chunks.poll_recv(context)),
        };
        let Some(Ok(bytes)) = chunk else { return Poll::Ready(chunk) };
        // Looked at last: the process may have been stopped for long while the bytes were read.
        Poll::Ready(Some(match self.guard.check() {
            Ok(()) => Ok(bytes),
            Err(error) => {
                self.state = StreamState::Done;
                Err(error)
            }
        }))
    }
}
