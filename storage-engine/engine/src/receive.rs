//! Receiving bodies: small ones stay in memory to be packed, others go to the drives.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use granary_types::{BlobId, Etag};

use crate::api::{Digests, Ended, PutSource};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::record::BlobRecord;
use crate::sealing::{SealedBody, Sealing};
use crate::tiers::Tier;
use crate::write::{BlobWriter, PACKED_LENGTH_BYTES_MAX, WrittenBlob};

/// A client that sends nothing for this long is slow.
const IDLE: Duration = Duration::from_millis(500);

/// Where a body went.
pub(crate) enum Stored {
    Empty,
    /// Still in memory: it is packed when its record is complete.
    Small(Bytes, Hashing),
    Blob(WrittenBlob),
}

impl Stored {
    fn length_bytes(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Small(bytes, _) => bytes.len() as u64,
            Self::Blob(blob) => blob.length_bytes,
        }
    }
}

/// A body that is received and verified.
pub(crate) struct Received {
    pub(crate) stored: Stored,
    pub(crate) digests: Digests,
    /// How long it came; what is stored of it may be longer.
    pub(crate) length_bytes: u64,
}

/// When the MD5 of a small body is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hashing {
    /// When it is received.
    Now,
    /// When it is packed, with those of its group; until then the tag among its digests is empty.
    WithGroup,
}

/// Whether small bodies may stay in memory to be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Small {
    Pack(Hashing),
    /// Parts are always blobs of their own, with this id: a completion refers to them.
    Blob(BlobId),
}

impl Engine {
    /// Reads a body to its end: small ones stay in memory, others go to the drives of the tier and are flushed.
    pub(crate) async fn receive(
        &self,
        source: &mut dyn PutSource,
        record: &BlobRecord,
        (small, tier): (Small, Tier),
        sealing: Sealing<'_>,
    ) -> Result<Received> {
        let Some((key, stream)) = sealing else {
            let (stored, digests) = self.receive_as_is(source, record, (small, tier)).await?;
            let length_bytes = stored.length_bytes();
            return Ok(Received { stored, digests, length_bytes });
        };
        let mut body = SealedBody::new(source, key, stream)?;
        let (stored, digests) = self.receive_as_is(&mut body, record, (small, tier)).await?;
        Ok(Received { stored, digests, length_bytes: body.plain_bytes() })
    }

    async fn receive_as_is(
        &self,
        source: &mut dyn PutSource,
        record: &BlobRecord,
        (small, tier): (Small, Tier),
    ) -> Result<(Stored, Digests)> {
        let (head, ended) = receive_head(source, small).await?;
        if ended && head.is_empty() {
            return Ok((Stored::Empty, source.finish().await.map_err(EngineError::Source)?));
        }
        if ended && let Small::Pack(hashing) = small {
            let (digests, hashing) = finish_small(source, hashing).await?;
            return Ok((Stored::Small(head.concat(), hashing), digests));
        }
        let stored = Box::pin(self.receive_blob(source, record, (small, tier), (head, ended))).await;
        if matches!(stored, Err(EngineError::NoSpace)) {
            self.inner.pool.note_refused(tier, 1);
        }
        stored
    }

    async fn receive_blob(
        &self,
        source: &mut dyn PutSource,
        record: &BlobRecord,
        (small, tier): (Small, Tier),
        (head, ended): (Head, bool),
    ) -> Result<(Stored, Digests)> {
        let inner = &self.inner;
        let id = match small {
            Small::Pack(_) => BlobId::random().map_err(EngineError::drawing)?,
            Small::Blob(id) => id,
        };
        let (pool, budget) = (inner.pool.clone(), inner.write_budget.clone());
        let mut writer = BlobWriter::start_at((pool, tier), budget, record.encode()?, id, 0).await?;
        for bytes in head.chunks {
            writer.write(&bytes).await?;
        }
        if !ended {
            while let Some(bytes) = next_or_idle(source, &mut writer).await? {
                writer.write(&bytes).await?;
                writer.check_pace()?;
            }
        }
        let verified = async { source.finish().await.map_err(EngineError::Source) };
        let (digests, finished) = tokio::try_join!(verified, writer.finish())?;
        let blob = self.make_whole(finished, record, tier).await?;
        Ok((Stored::Blob(blob), digests))
    }
}

/// The digests of a small body, and whether its tag is among them.
async fn finish_small(source: &mut dyn PutSource, hashing: Hashing) -> Result<(Digests, Hashing)> {
    let ended = match hashing {
        Hashing::Now => source.finish().await.map(Ended::Digested),
        Hashing::WithGroup => source.finish_but_md5().await,
    };
    Ok(match ended.map_err(EngineError::Source)? {
        Ended::Digested(digests) => (digests, Hashing::Now),
        Ended::ButMd5(checksum) => (Digests { etag: Etag::new(""), checksum }, Hashing::WithGroup),
    })
}

/// The next bytes of a body. While none come, full stripes are not held back: a slow client keeps one stripe of the
/// shared buffers, not a whole run, and that only while nobody waits for it.
async fn next_or_idle(source: &mut dyn PutSource, writer: &mut BlobWriter) -> Result<Option<Bytes>> {
    let mut next = source.next();
    loop {
        match tokio::time::timeout(IDLE, &mut next).await {
            Ok(bytes) => return bytes.map_err(EngineError::Source),
            Err(_) => {
                writer.submit_full_stripes().await?;
                writer.check_pace()?;
            }
        }
    }
}

/// The first chunks of a body.
#[derive(Default)]
struct Head {
    chunks: Vec<Bytes>,
    length: usize,
}

impl Head {
    fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// All bytes in one piece, copied only if there are several.
    fn concat(mut self) -> Bytes {
        if self.chunks.len() == 1 {
            return self.chunks.pop().unwrap_or_default();
        }
        let mut bytes = BytesMut::with_capacity(self.length);
        for chunk in &self.chunks {
            bytes.extend_from_slice(chunk);
        }
        bytes.freeze()
    }
}

/// Reads until the body ends or is too long to be packed; tells whether it ended.
async fn receive_head(source: &mut dyn PutSource, small: Small) -> Result<(Head, bool)> {
    let mut head = Head::default();
    let limit = match small {
        Small::Pack(_) => PACKED_LENGTH_BYTES_MAX,
        Small::Blob(_) => 0,
    };
    while head.length <= limit {
        match source.next().await.map_err(EngineError::Source)? {
            Some(bytes) => {
                head.length += bytes.len();
                head.chunks.push(bytes);
            }
            None => return Ok((head, true)),
        }
    }
    Ok((head, false))
}
